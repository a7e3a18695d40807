"""The simulator as a whole: its seed, its door, its journal, its quotas, its socket and its speed."""

import http.client
import json
import subprocess
import sys
import time
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.client import ControlRefused, Simulator
from tests.simulator.calls import AUTH, CONNECTIONS, EPOCH, EVERYTHING, PEOPLE, get, post_form, reason, walk

CONTACTS = [AUTH + "contacts.readonly"]


def everything(simulator: Simulator) -> tuple[Any, Any, list[Any]]:
    email = simulator.facts["accounts"][0]
    token = simulator.grant(email, CONTACTS)["access_token"]
    listed = walk(simulator, token, personFields=EVERYTHING, pageSize=1000, requestSyncToken="true")[0]
    return simulator.facts["accounts"], simulator.truth(email, "contacts"), listed


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    worlds = []
    for seed in (11, 11, 12):
        with Simulator.start(seed=seed, people=60, epoch=EPOCH) as one:
            worlds.append(everything(one))
    assert worlds[0] == worlds[1]
    assert worlds[0][1] != worlds[2][1]


def test_a_reset_brings_the_beginning_back(simulator: Simulator, account: str) -> None:
    before = everything(simulator)
    simulator.edit(account, {"do": "touch", "percent": 50}, {"do": "delete_all_contacts"})
    assert simulator.truth(account, "contacts") == []
    simulator.control("reset", {})
    assert everything(simulator) == before


def test_the_address_is_the_first_line_and_a_signal_ends_it_cleanly() -> None:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--people", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        assert first.startswith("http://127.0.0.1:")
        assert Simulator(first).control("clock")["offset_s"] == 0
        process.terminate()
        assert process.wait(5) == 0


def test_the_door_lists_what_it_can_do_and_says_what_was_wrong(simulator: Simulator, account: str) -> None:
    door = simulator.control()
    assert {"accounts", "clock", "consent", "counters", "faults", "oauth", "requests", "reset", "truth", "world"} <= {
        *door["controls"]
    }
    assert {"people.googleapis.com", "oauth2.googleapis.com"} <= {*door["hosts"]}
    for name, body, word in (
        ("nothing", None, "no control"),
        ("world", {"account": account, "edits": [{"do": "paint"}]}, "no edit"),
        ("world", {"account": "nobody", "edits": [{"do": "touch", "percent": 1}]}, "nobody"),
        ("world", {"account": account, "edits": [{"do": "add_contact", "fields": {"shoe": 1}}]}, "no field"),
        ("services", {"people": {"colour": 1}}, "no switch"),
        ("quota", {"limits": {"tea": 1}}, "tea"),
        ("clock", {}, "advance_s"),
    ):
        with pytest.raises(ControlRefused, match=word):
            simulator.control(name, body)
    with pytest.raises(ControlRefused, match="no truth"):
        simulator.truth(account, "dreams")


def test_every_example_of_the_door_is_true(simulator: Simulator) -> None:
    door = simulator.control()
    for example in door["examples"]:
        method, path = example.split()[:2]
        name = urlsplit(path).path.removeprefix("/_control").strip("/")
        assert method in {"GET", "POST", "DELETE"}
        assert not name or name in door["controls"], example
        _, brace, body = example.partition(" {")
        if not brace:
            continue
        given = json.loads(brace + body)
        if name == "faults":
            simulator.control(name, given)
        for edit in given.get("edits", []):
            assert edit["do"] in simulator.control("world")["edits"]


def test_a_host_that_nobody_plays_is_a_502_that_names_it(simulator: Simulator) -> None:
    status, reply = get(simulator, "/graph.example/v1/me")
    assert (status, reply["host"]) == (502, "graph.example")


def test_the_journal_tells_who_called_what_and_holds_no_secret(simulator: Simulator, account: str) -> None:
    tokens = simulator.grant(account, CONTACTS, state="secret-state")
    _, page = get(simulator, CONNECTIONS, tokens["access_token"], personFields="names", pageSize=5)
    place = page["nextPageToken"]
    get(simulator, CONNECTIONS, tokens["access_token"], personFields="names", pageSize=5, pageToken=place)
    get(simulator, "/oauth2.googleapis.com/tokeninfo", access_token=tokens["access_token"])
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": simulator.facts["client_id"],
        "client_secret": simulator.facts["client_secret"],
    }
    post_form(simulator, "/oauth2.googleapis.com/token", form)
    log = simulator.requests()
    listed = [entry for entry in log if entry["path"].endswith("connections")]
    assert {entry["account"] for entry in listed} == {account}
    assert {entry["grant"] for entry in listed} == {"grant-1"}
    assert listed[1]["quota_units"] == {"people.critical_reads": 1}
    assert listed[1]["query"]["pageToken"][0].startswith("digest:")
    assert log[-1]["form"] == {"grant_type": "refresh_token"}
    assert log[-1]["account"] == account
    for secret in (tokens["access_token"], tokens["refresh_token"], simulator.facts["client_secret"], place):
        assert secret not in json.dumps(log)
    assert [entry["number"] for entry in simulator.requests(since=log[1]["number"])] == [
        entry["number"] for entry in log[2:]
    ]
    assert len(simulator.requests(host="people.googleapis.com", path="connections")) == 2
    simulator.control("requests", method="DELETE")
    assert simulator.requests() == []
    assert simulator.control("counters")["token_requests"] == 2


def test_a_quota_window_slides_and_a_refused_request_uses_nothing(simulator: Simulator, token: str) -> None:
    simulator.control("quota", {"scale": 1.0, "limits": {"people.critical_reads": 3}})
    statuses = [get(simulator, PEOPLE + "/people/me", token, personFields="names")[0] for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    _, reply = get(simulator, PEOPLE + "/people/me", token, personFields="names")
    assert (reply["error"]["status"], reason(reply)) == ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
    simulator.advance(61)
    assert get(simulator, PEOPLE + "/people/me", token, personFields="names")[0] == 200
    counted = simulator.control("counters")
    window = counted["quotas"]["people.critical_reads"]
    assert (window["limit"], window["peak"], window["refused"]) == (3, 3, 3)
    assert counted["throttled"] == 3


def test_users_have_windows_of_their_own(simulator: Simulator, token: str) -> None:
    simulator.control("quota", {"scale": 1.0, "limits": {"people.critical_reads": 1}})
    other = simulator.grant(simulator.facts["accounts"][1], CONTACTS)["access_token"]
    for bearer, status in ((token, 200), (token, 429), (other, 200)):
        assert get(simulator, CONNECTIONS, bearer, personFields="names")[0] == status


def test_the_first_page_of_a_full_sync_has_a_quota_that_others_do_not_use(simulator: Simulator, token: str) -> None:
    sync = {"personFields": "names", "requestSyncToken": "true", "pageSize": 100}
    _, newest = walk(simulator, token, **sync)
    simulator.control("quota", {"scale": 1.0, "limits": {"people.full_sync_first_page": 1}})
    assert get(simulator, CONNECTIONS, token, **sync)[0] == 429
    assert get(simulator, CONNECTIONS, token, **sync, syncToken=newest)[0] == 200
    assert get(simulator, CONNECTIONS, token, personFields="names")[0] == 200


def test_a_connection_stays_open_for_request_after_request(simulator: Simulator, token: str) -> None:
    place = urlsplit(simulator.url)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)) as line:
        line.connect()
        first = line.sock
        for _ in range(20):
            line.request("GET", PEOPLE + "/people/me?personFields=names", headers={"authorization": f"Bearer {token}"})
            assert line.getresponse().read()
        assert line.sock is first


def test_bytes_that_are_no_request_are_answered_and_the_simulator_lives_on(simulator: Simulator) -> None:
    place = urlsplit(simulator.url)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)) as line:
        line.connect()
        line.sock.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert line.sock.recv(100).startswith(b"HTTP/1.1 400")
    assert simulator.request("GET", "/_control/world", b"{not json")[0] == 400
    assert simulator.control("clock")["offset_s"] == 0


def test_a_hundred_thousand_people_start_at_once_and_are_served_fast() -> None:
    began = time.monotonic()
    with Simulator.start(people=100_000, quota_scale=1000, epoch=EPOCH) as big:
        assert time.monotonic() - began < 5
        email = big.facts["accounts"][0]
        token = big.grant(email, CONTACTS)["access_token"]
        names: set[str] = set()
        place: dict[str, str] = {}
        for _ in range(20):
            _, page = get(big, CONNECTIONS, token, personFields="names,metadata", pageSize=1000, **place)
            names |= {person["resourceName"] for person in page["connections"]}
            place = {"pageToken": page["nextPageToken"]}
        assert len(names) == 20_000
        assert page["totalPeople"] == 100_000
        assert time.monotonic() - began < 20

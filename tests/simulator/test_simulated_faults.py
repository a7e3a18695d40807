"""Every fault that a script can name, seen from the socket; and what the journal says of it."""

import gzip
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.client import ControlRefused, Simulator
from simulator.distort import KINDS
from tests.simulator.calls import CONNECTIONS, PEOPLE, get, post_form, reason

PAGE = {"personFields": "names,metadata", "pageSize": 10, "requestSyncToken": "true"}


@pytest.fixture
def line(simulator: Simulator) -> Iterator[http.client.HTTPConnection]:
    place = urlsplit(simulator.url)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)) as opened:
        yield opened


def ask(line: http.client.HTTPConnection, token: str) -> http.client.HTTPResponse:
    path = f"{CONNECTIONS}?personFields=names,metadata&pageSize=10"
    line.request("GET", path, headers={"authorization": f"Bearer {token}"})
    return line.getresponse()


def last(simulator: Simulator) -> dict[str, Any]:
    return simulator.requests()[-1]


@pytest.mark.parametrize(
    ("status", "why", "seen"),
    [(401, None, "UNAUTHENTICATED"), (403, "SERVICE_DISABLED", "PERMISSION_DENIED"), (404, None, "NOT_FOUND"),
     (410, None, "FAILED_PRECONDITION"), (429, "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"), (500, None, "INTERNAL"),
     (503, None, "UNAVAILABLE")],
)  # fmt: skip
def test_a_status_is_sent_in_the_provider_s_own_envelope_and_nothing_is_carried_out(
    simulator: Simulator, token: str, status: int, why: str | None, seen: str
) -> None:
    simulator.fault({"status": status, "reason": why}, path="connections")
    got, reply = get(simulator, CONNECTIONS, token, **PAGE)
    assert (got, reply["error"]["status"]) == (status, seen)
    assert why is None or reason(reply) == why
    assert last(simulator)["carried_out"] is False
    assert last(simulator)["quota_units"] == {}
    assert get(simulator, CONNECTIONS, token, **PAGE)[0] == 200


def test_retry_after_headers_and_a_body_go_with_a_status(
    simulator: Simulator, token: str, line: http.client.HTTPConnection
) -> None:
    simulator.fault({"status": 429, "retry_after": 17, "headers": {"x-odd": "1"}, "body": {"slow": "down"}})
    reply = ask(line, token)
    assert (reply.status, reply.headers["retry-after"], reply.headers["x-odd"]) == (429, "17", "1")
    assert json.loads(reply.read()) == {"slow": "down"}


def test_the_nth_request_and_only_so_many_suffer(simulator: Simulator, token: str) -> None:
    simulator.fault({"status": 500}, path="connections$", method="GET", nth=2, times=2)
    assert [get(simulator, CONNECTIONS, token, **PAGE)[0] for _ in range(5)] == [200, 500, 500, 200, 200]
    assert get(simulator, PEOPLE + "/contactGroups", token)[0] == 200
    assert simulator.control("faults")["faults"][0]["applied"] == 2


def test_a_rule_can_be_for_one_account_host_or_query(simulator: Simulator, token: str) -> None:
    simulator.fault({"status": 500}, account=simulator.facts["accounts"][1], times=0)
    simulator.fault({"status": 502}, host="oauth2.googleapis.com", times=0)
    simulator.fault({"status": 503}, query="pageSize=11", times=0)
    assert get(simulator, CONNECTIONS, token, **PAGE)[0] == 200
    assert get(simulator, CONNECTIONS, token, personFields="names", pageSize=11)[0] == 503
    assert post_form(simulator, "/oauth2.googleapis.com/token", {})[0] == 502
    simulator.clear_faults()
    assert post_form(simulator, "/oauth2.googleapis.com/token", {})[0] == 401


@pytest.mark.parametrize("action", [{"drop": True}, {"reset": True}, {"reset": "before"}])
def test_a_dropped_or_reset_request_has_no_reply_and_no_effect(
    simulator: Simulator, token: str, line: http.client.HTTPConnection, action: dict[str, Any]
) -> None:
    simulator.fault(action, path="connections")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(line, token)
    assert (last(simulator)["status"], last(simulator)["carried_out"]) == (0, False)


def test_a_lost_reply_was_carried_out(simulator: Simulator, account: str, token: str) -> None:
    simulator.fault({"lost_reply": True}, path="/revoke$")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        post_form(simulator, "/oauth2.googleapis.com/revoke", {"token": token})
    assert (last(simulator)["status"], last(simulator)["carried_out"]) == (0, True)
    assert simulator.accounts()[0]["live_refresh_tokens"] == []
    assert simulator.accounts()[0]["email"] == account


@pytest.mark.parametrize("action", [{"half_body": True}, {"reset": "during"}])
def test_a_body_may_end_in_the_middle(
    simulator: Simulator, token: str, line: http.client.HTTPConnection, action: dict[str, Any]
) -> None:
    simulator.fault(action, path="connections")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(line, token).read()


def test_a_body_drips_and_a_delay_waits(simulator: Simulator, token: str, line: http.client.HTTPConnection) -> None:
    simulator.fault({"drip": 2_000}, path="contactGroups$")
    began = time.monotonic()
    line.request("GET", PEOPLE + "/contactGroups?groupFields=name&pageSize=5",
                 headers={"authorization": f"Bearer {token}"})  # fmt: skip
    body = line.getresponse().read()
    assert time.monotonic() - began > len(body) / 2_000 * 0.8
    simulator.fault({"delay_s": 0.3}, path="connections")
    began = time.monotonic()
    assert ask(line, token).status == 200
    assert time.monotonic() - began > 0.29


def test_a_redirect_leads_elsewhere(simulator: Simulator, token: str, line: http.client.HTTPConnection) -> None:
    simulator.fault({"redirect": "http://127.0.0.1:9/elsewhere"}, path="connections")
    reply = ask(line, token)
    assert (reply.status, reply.headers["location"]) == (302, "http://127.0.0.1:9/elsewhere")


def test_a_gzip_bomb_is_small_and_opens_to_what_it_says(
    simulator: Simulator, token: str, line: http.client.HTTPConnection
) -> None:
    simulator.fault({"gzip_bomb": 20}, path="connections")
    reply = ask(line, token)
    packed = reply.read()
    assert reply.headers["content-encoding"] == "gzip"
    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) > 20 << 20


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_named_body_is_sent_whole(
    simulator: Simulator, token: str, line: http.client.HTTPConnection, kind: str
) -> None:
    good = ask(line, token).read()
    simulator.fault({"body": {"kind": kind}}, path="connections")
    reply = ask(line, token)
    body = reply.read()
    assert reply.status == 200
    assert body != good
    assert last(simulator)["carried_out"] is True


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ("plain text", b"plain text"),
        ({"a": [1]}, b'{"a":[1]}'),
        ({"text": "<b>"}, b"<b>"),
        ({"base64": "/wD+"}, b"\xff\x00\xfe"),
    ],
)
def test_a_body_may_be_given_in_full(
    simulator: Simulator, token: str, line: http.client.HTTPConnection, body: Any, sent: bytes
) -> None:
    simulator.fault({"body": body}, path="connections")
    assert ask(line, token).read() == sent


def test_a_reply_may_come_packed(simulator: Simulator, token: str, line: http.client.HTTPConnection) -> None:
    good = ask(line, token).read()
    simulator.fault({"gzip": True}, path="connections")
    reply = ask(line, token)
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.read()).startswith(good[:40])


def test_page_faults_bend_a_page_and_keep_its_items(simulator: Simulator, token: str) -> None:
    _, good = get(simulator, CONNECTIONS, token, **PAGE)
    names = [person["resourceName"] for person in good["connections"]]

    def bent(action: dict[str, Any]) -> dict[str, Any]:
        simulator.fault(action, path="connections")
        return dict(get(simulator, CONNECTIONS, token, **PAGE)[1])

    assert [person["resourceName"] for person in bent({"reorder": True})["connections"]] == names[::-1]
    twice = bent({"duplicate_items": 3})["connections"]
    assert [person["resourceName"] for person in twice] == names + names[:3]
    odd = bent({"unknown_fields": True})
    assert "xSimulatorUnknown" in odd
    assert "xSimulatorOdd" in odd["connections"][0]


def test_an_empty_page_has_a_token_that_leads_to_the_page_asked_for(simulator: Simulator, token: str) -> None:
    _, good = get(simulator, CONNECTIONS, token, **PAGE)
    simulator.fault({"empty_page_with_token": True}, path="connections", times=2)
    _, empty = get(simulator, CONNECTIONS, token, **PAGE)
    assert set(empty) == {"nextPageToken"}
    _, again = get(simulator, CONNECTIONS, token, **PAGE, pageToken=empty["nextPageToken"])
    assert set(again) == {"nextPageToken"}
    _, page = get(simulator, CONNECTIONS, token, **PAGE, pageToken=again["nextPageToken"])
    assert page["connections"] == good["connections"]


def test_a_page_may_repeat_its_own_token(simulator: Simulator, token: str) -> None:
    _, first = get(simulator, CONNECTIONS, token, **PAGE)
    simulator.fault({"repeat_page_token": True}, query="pageToken")
    _, second = get(simulator, CONNECTIONS, token, **PAGE, pageToken=first["nextPageToken"])
    assert second["nextPageToken"] == first["nextPageToken"]


def test_a_script_that_cannot_be_read_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ControlRefused, match="statuss"):
        simulator.fault({"statuss": 500})
    with pytest.raises(ControlRefused, match="regular expression"):
        simulator.fault({"status": 500}, path="(")


def test_one_item_of_a_page_is_spoilt_and_the_others_are_not(simulator: Simulator, token: str) -> None:
    _, good = get(simulator, CONNECTIONS, token, **PAGE)
    simulator.fault({"spoil_item": {"metadata.sources": "odd", "resourceName": None}}, path="connections")
    simulator.fault({"spoil_item": {"": 7}}, path="connections")
    _, page = get(simulator, CONNECTIONS, token, **PAGE)
    assert page["connections"][0]["metadata"]["sources"] == "odd"
    assert page["connections"][0]["resourceName"] is None
    assert page["connections"][1:] == good["connections"][1:]
    assert get(simulator, CONNECTIONS, token, **PAGE)[1]["connections"][0] == 7


def test_a_rule_can_be_for_what_a_body_says(simulator: Simulator) -> None:
    simulator.fault({"status": 503}, body="grant_type=refresh_token", times=0)
    refresh = {"grant_type": "refresh_token", "refresh_token": "none"}
    assert post_form(simulator, "/oauth2.googleapis.com/token", refresh)[0] == 503
    assert post_form(simulator, "/oauth2.googleapis.com/token", {"grant_type": "authorization_code"})[0] == 401

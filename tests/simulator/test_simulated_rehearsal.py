"""The rehearsal door: what those learn who try a connector, and how third parties bring a provider of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator.client import ControlRefused, Simulator
from tests.conftest import ROOT
from tests.kit.packages import install, variables
from tests.simulator.microsoft_calls import Graph

STREAMS = ("contacts", "messages", "events")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator.start(people=12, messages=12, events=40, accounts=2, page_limit=4) as running:
        yield running


def rehearse(simulator: Simulator, stream: str, do: str, **more: Any) -> Any:
    account = simulator.facts["accounts"][0]
    asked = {"connector": "gmail", "stream": stream, "do": do, "account": account, **more}
    return simulator.control("rehearse", asked)


def held(simulator: Simulator, stream: str) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in rehearse(simulator, stream, "held")["items"])


@pytest.mark.parametrize("stream", STREAMS)
def test_every_act_of_a_stream_shows_in_what_ought_to_be_held(simulator: Simulator, stream: str) -> None:
    before = held(simulator, stream)
    rehearse(simulator, stream, "add", count=3)
    added = held(simulator, stream)
    assert len(added) == len(before) + 3
    rehearse(simulator, stream, "change", count=2)
    changed = held(simulator, stream)
    assert (len(changed), changed == added) == (len(added), False)
    rehearse(simulator, stream, "delete", count=2)
    assert len(held(simulator, stream)) == len(changed) - 2


def test_the_rehearsals_say_what_there_is(simulator: Simulator) -> None:
    shown = simulator.control("rehearsals")["gmail"]
    assert set(shown["streams"]) == {"profile", *STREAMS}
    assert shown["settings"]["google_client_id"] == simulator.facts["client_id"]
    assert shown["accounts"] == simulator.facts["accounts"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"connector": "nobody", "do": "held"}, "nobody"),
        ({"connector": "gmail", "stream": "letters", "do": "held"}, "letters"),
        ({"connector": "gmail", "stream": "contacts", "do": "burn"}, "burn"),
        ({"connector": "gmail", "stream": "profile", "do": "spoil"}, "spoil"),
    ],
)
def test_what_there_is_not_is_said(simulator: Simulator, asked: dict[str, str], told: str) -> None:
    with pytest.raises(ControlRefused, match=told):
        simulator.control("rehearse", {"account": simulator.facts["accounts"][0], **asked})


FAMILY = """
from simulator.exchange import json_reply
class Fig:
    hosts = frozenset({"fig.example"})
    def __init__(self, simulator): self.limit = simulator.options.page_limit
    def __getattr__(self, name): return lambda *_: {}
    def handle(self, request): return json_reply({"limit": self.limit})
"""


def test_a_package_brings_a_provider_and_a_broken_one_is_named(tmp_path: Path) -> None:
    entries = {"crm_sync.simulators": {"fig": "fig_simulated:Fig", "bad": "not_there:Bad"}}
    install(tmp_path, "crm-sync-fig", {"fig_simulated": FAMILY}, entries)
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--page-limit", "9", "--json"],
        env=variables(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        running = Simulator(json.loads(process.stdout.readline())["url"])
        assert running.request("GET", "/fig.example/list") == (200, b'{"limit":9}')
        assert "gmail" in running.control("rehearsals")
    finally:
        os.kill(process.pid, 15)
        _, said = process.communicate(timeout=10)
    assert "The simulated provider bad (not_there:Bad) does not load" in said


def rehearse_outlook(simulator: Simulator, stream: str, do: str, **more: Any) -> Any:
    account = simulator.facts["microsoft"]["accounts"][0]
    return simulator.control(
        "rehearse", {"connector": "outlook", "stream": stream, "do": do, "account": account, **more}
    )


@pytest.mark.parametrize("stream", ["contacts", "messages", "events"])
def test_every_act_of_outlook_s_streams_shows_in_what_ought_to_be_held(simulator: Simulator, stream: str) -> None:
    def shown() -> list[str]:
        items = rehearse_outlook(simulator, stream, "held")["items"]
        return sorted(json.dumps(item, sort_keys=True) for item in items)

    before = shown()
    rehearse_outlook(simulator, stream, "add", count=3)
    added = shown()
    assert len(added) == len(before) + 3
    rehearse_outlook(simulator, stream, "change", count=2)
    changed = shown()
    exceptions = 1 if stream == "events" else 0  # One day of a series that is renamed is a record by itself.
    assert (len(changed), changed == added) == (len(added) + exceptions, False)
    rehearse_outlook(simulator, stream, "delete", count=2)
    assert len(shown()) == len(changed) - 2
    assert rehearse_outlook(simulator, stream, "spoil")["action"]


def test_outlook_s_events_are_those_of_any_sensible_window_of_every_calendar_and_each_series_once(
    simulator: Simulator,
) -> None:
    account = simulator.facts["microsoft"]["accounts"][1]
    graph = Graph(simulator, str(simulator.grant(account, ["Calendars.Read"])["access_token"]))
    asked = {"connector": "outlook", "stream": "events", "do": "held", "account": account}
    held = simulator.control("rehearse", asked)["items"]
    today = datetime.fromtimestamp(simulator.control("clock")["now"], UTC)
    window = {"startDateTime": f"{today - timedelta(11):%Y-%m-%dT%H:%M:%SZ}",
              "endDateTime": f"{today + timedelta(41):%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
    calendars = graph.walk("/me/calendars")[0]
    assert [one["isDefaultCalendar"] for one in calendars] == [True, False, False]
    told, pages = [], 0
    for calendar in calendars:
        items, _ = graph.walk(f"/me/calendars/{calendar['id']}/calendarView/delta", **window)
        stored = [one for one in items if one["type"] != "occurrence"]
        told += [(calendar["id"], one["subject"].replace("\0", "")) for one in stored]
        pages = max(pages, len(items) // 4)
    assert sorted(told) == sorted((one["calendar_id"], one["summary"]) for one in held)
    assert {calendar_id for calendar_id, _ in told} == {one["id"] for one in calendars}
    assert pages > 3

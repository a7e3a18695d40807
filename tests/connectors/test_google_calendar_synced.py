"""The stream `events` against the simulated Google: what all calendars' pages lead to is the world's own truth."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from tests.connectors.sessions import ConnectorSession, Held
from worker.connectors import google_calendar
from worker.errors import CursorExpired, NotFound, ScopeMissing, Transient
from worker.records import Event, Part, When

Session = Callable[..., ConnectorSession]


class Calendars:
    """What we hold of all calendars of an account: the engine's rules for parts, in a few lines."""

    def __init__(self, session: ConnectorSession) -> None:
        self.session = session
        self.held: dict[str, Held] = {}

    def sync(self) -> None:
        listed = {part.key: part for part in google_calendar.parts(self.session)}
        self.held = {key: self.held.get(key, Held()) for key in listed}
        for key, part in listed.items():
            self._pass(self.held[key], part)

    def _pass(self, held: Held, part: Part) -> None:
        for _ in range(3):
            try:
                held.run(google_calendar, self.session, part)
            except CursorExpired:
                held.forget_place()
            except Transient:
                continue
            else:
                return
        raise AssertionError("the pass never came to its end")

    def records(self) -> dict[str, Event]:
        return {key: body for held in self.held.values() for key, body in held.records.items()}  # type: ignore[misc]


def truth(simulator: Simulator, account: str) -> dict[str, dict[str, Any]]:
    shown = {item["id"] for item in simulator.truth(account, "calendars") if not item["hidden"]}
    readable = {item["id"] for item in simulator.truth(account, "calendars") if item["role"] != "freeBusyReader"}
    return {
        f"{item['calendar_id']}/{item['id']}": item
        for item in simulator.truth(account, "events")
        if item["calendar_id"] in shown & readable and item["kind"] in google_calendar.EVENT_TYPES
    }


def moment(item: dict[str, str]) -> When:
    if "day" in item:
        return When(date=datetime.fromisoformat(item["day"]).date())
    return When(at=datetime.fromisoformat(item["at"]).astimezone(UTC))


def place(when: When | None) -> tuple[Any, Any]:
    return (when.at, when.date) if when else (None, None)


def check(simulator: Simulator, account: str, held: dict[str, Event]) -> None:
    world = truth(simulator, account)
    assert set(held) == set(world)
    for key, item in world.items():
        body = held[key]
        assert body.status == item["status"], key
        if item["status"] == "cancelled":
            assert body.series_id.startswith(item["series_id"])
            assert place(body.original_start) == place(moment(item["original_start"]))
            continue
        assert place(body.starts) == place(moment(item["start"])), key
        assert place(body.ends) == place(moment(item["end"])), key
        assert (body.series_id or None) == item["series_id"], key
        if not item["details_hidden"]:
            title = item["title"].replace("\0", "")  # Postgres cannot store a NUL.
            assert (body.summary, body.ical_uid) == (title, item["uid"]), key


@pytest.fixture
def calendars(session_of: Session, account: str) -> Calendars:
    return Calendars(session_of(account))


def test_first_pass_brings_every_calendar_that_is_shown(simulator, account, calendars):
    calendars.sync()
    assert len(calendars.held) >= 3
    check(simulator, account, calendars.records())


EDITS: dict[str, list[dict[str, Any]]] = {
    "an event comes": [{"do": "add_event", "fields": {"title": "New"}}],
    "an event changes": [{"do": "change_event", "id": "#40", "fields": {"title": "Changed"}}],
    "an event goes": [{"do": "cancel_event", "id": "#41"}],
    "one day of a series is cancelled": [
        {"do": "add_event", "id": "daily1", "fields": {"title": "Daily", "recurrence": ["RRULE:FREQ=DAILY;COUNT=9"]}},
        {"do": "cancel_instance", "id": "daily1", "nth": 3},
    ],
    "one day of a series is moved": [
        {"do": "add_event", "id": "daily2", "fields": {"title": "Daily", "recurrence": ["RRULE:FREQ=DAILY;COUNT=9"]}},
        {"do": "move_instance", "id": "daily2", "nth": 4, "by_s": 3600},
    ],
    "a calendar comes": [{"do": "add_calendar", "title": "Trips", "events": 12}],
    "all events of a calendar go": [{"do": "delete_all_events"}],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_change_arrives(simulator, account, calendars, edits):
    calendars.sync()
    simulator.edit(account, *edits)
    calendars.sync()
    check(simulator, account, calendars.records())


def test_series_goes_with_its_exceptions(simulator, account, calendars):
    simulator.edit(account, *EDITS["one day of a series is cancelled"], *EDITS["one day of a series is moved"])
    calendars.sync()
    simulator.edit(account, {"do": "delete_series", "id": "daily1"}, {"do": "delete_series", "id": "daily2"})
    calendars.sync()
    check(simulator, account, calendars.records())


def test_moved_event_is_in_its_new_calendar_only(simulator, account, calendars):
    simulator.edit(account, {"do": "add_calendar", "title": "Other"})
    other = next(item for item in simulator.truth(account, "calendars") if item["title"] == "Other")
    calendars.sync()
    simulator.edit(account, {"do": "move_event", "id": "#42", "to": other["id"]})
    calendars.sync()
    check(simulator, account, calendars.records())


def test_calendar_that_is_no_longer_listed_is_no_part(simulator, account, calendars):
    simulator.edit(account, {"do": "add_calendar", "title": "Brief", "events": 5})
    brief = next(item["id"] for item in simulator.truth(account, "calendars") if item["title"] == "Brief")
    calendars.sync()
    assert brief in calendars.held
    simulator.edit(account, {"do": "remove_calendar", "calendar": brief})
    with pytest.raises(NotFound):
        calendars.held[brief].run(google_calendar, calendars.session, Part(brief))
    calendars.sync()
    assert brief not in calendars.held
    check(simulator, account, calendars.records())


@pytest.mark.parametrize("tombstones", ["usual", "full", "least"])
@pytest.mark.parametrize("with_series", [True, False], ids=["exceptions told", "exceptions not told"])
def test_every_form_of_tombstone_is_understood(simulator, account, calendars, tombstones, with_series):
    switches = {"tombstones": tombstones, "exceptions_end_with_series": with_series}
    simulator.control("services", {"calendar": switches})
    calendars.sync()
    simulator.edit(account, {"do": "cancel_event", "id": "#41"}, *EDITS["one day of a series is cancelled"])
    calendars.sync()
    check(simulator, account, calendars.records())


@pytest.mark.parametrize("reason", ["fullSyncRequired", "updatedMinTooLongAgo"])
def test_expired_token_heals_that_calendar(simulator, account, calendars, reason):
    simulator.control("services", {"calendar": {"gone_reason": reason}})
    calendars.sync()
    simulator.edit(account, *EDITS["an event goes"], *EDITS["an event comes"], {"do": "expire_event_tokens"})
    calendars.sync()
    check(simulator, account, calendars.records())


ODD: dict[str, dict[str, Any]] = {
    "empty pages with a token": {"empty_pages": 2},
    "items come again on the next page": {"repeated_items": 2, "short_pages": 20},
    "short pages": {"short_pages": 7},
}


@pytest.mark.parametrize("switches", ODD.values(), ids=ODD)
def test_odd_pages_change_nothing(simulator, account, calendars, switches):
    simulator.control("services", {"calendar": switches})
    calendars.sync()
    simulator.edit(account, *EDITS["an event goes"])
    calendars.sync()
    check(simulator, account, calendars.records())


def test_list_without_a_sync_token_is_not_taken_for_whole(simulator, account, calendars):
    simulator.control("services", {"calendar": {"omit_sync_token": True}})
    with pytest.raises(AssertionError, match="never came"):
        calendars.sync()


@pytest.mark.parametrize(
    "action", [{"status": 503}, {"reset": True}, {"half_body": True}, {"duplicate_items": 3}, {"unknown_fields": True}]
)
def test_broken_page_changes_nothing_in_the_end(simulator, account, calendars, action):
    simulator.control("services", {"calendar": {"short_pages": 20}})
    simulator.fault(action, path="events", nth=3, times=1)
    calendars.sync()
    simulator.clear_faults()
    calendars.sync()
    check(simulator, account, calendars.records())


def test_scope_that_was_not_ticked_is_told(account, session_of):
    with pytest.raises(ScopeMissing):
        list(google_calendar.parts(session_of(account, ["openid", "email", "profile"])))


def a_step() -> st.SearchStrategy[dict[str, Any]]:
    number = st.integers(20, 79).map(lambda n: f"#{n}")
    return st.one_of(
        st.just({"do": "add_event", "fields": {"title": "Added"}}),
        st.builds(lambda n: {"do": "change_event", "id": n, "fields": {"title": "Again"}}, number),
        st.builds(lambda n: {"do": "cancel_event", "id": n}, number),
        st.just({"do": "touch_events", "percent": 20}),
        st.just({"do": "expire_event_tokens"}),
        st.just({"do": "sync"}),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(a_step(), max_size=12))
def test_whatever_happens_to_a_calendar_its_truth_is_what_we_hold(simulator, session_of, steps):
    simulator.control("reset", {})
    account = str(simulator.facts["accounts"][0])
    calendars = Calendars(session_of(account))
    gone: set[str] = set()
    for step in steps:
        if step["do"] == "sync":
            calendars.sync()
        elif step.get("id") not in gone or step["do"] not in {"cancel_event", "change_event"}:
            simulator.edit(account, step)
            gone |= {step["id"]} if step["do"] == "cancel_event" else set()
    calendars.sync()
    check(simulator, account, calendars.records())

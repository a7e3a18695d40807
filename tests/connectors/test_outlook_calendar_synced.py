"""The stream `events` of Outlook against the simulated Graph: what the records say happens is what happens."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from tests.connectors.microsoft import HeldInParts
from tests.connectors.sessions import NOW, ConnectorSession
from worker.connectors import outlook_calendar
from worker.errors import CursorExpired, ScopeMissing
from worker.records import Event, Part, When

SIZE = {"calendar_days_back": 40, "calendar_days_ahead": 80}
TODAY = NOW.replace(hour=0)
FIRST, LAST = TODAY - timedelta(days=40), TODAY + timedelta(days=80)


def on_day(number: int, time: str = "10:00:00") -> str:
    return f"{(TODAY + timedelta(days=number)).date()}T{time}Z"


def meeting(number: int, **fields: Any) -> dict[str, Any]:
    return {"title": "Meeting", "start": on_day(number), "end": on_day(number, "11:00:00"), "recurrence": [], **fields}


def add(microsoft: Simulator, person: str, **fields: Any) -> str:
    return str(microsoft.edit(person, {"do": "add_event", "fields": fields})[0]["id"])


def daily(microsoft: Simulator, person: str, first: int = 1, count: int = 9, **fields: Any) -> str:
    return add(microsoft, person, **meeting(first, recurrence=[f"RRULE:FREQ=DAILY;COUNT={count}"], **fields))


def moment(when: When | None) -> datetime:
    """A whole day is told as its midnight."""
    assert when is not None
    return when.at or datetime.combine(when.date, datetime.min.time(), UTC)  # type: ignore[arg-type]


def readable(lines: tuple[str, ...]) -> str:
    """`dateutil` does not know days of RFC 5545 that are added as such."""
    return "\n".join(lines).replace("RDATE;VALUE=DATE", "RDATE")


def happenings(events: list[Event], first: datetime = FIRST, last: datetime = LAST) -> Counter[tuple[datetime, str]]:
    """What happens when, as one finds it who reads the records: series unrolled, exceptions in their places."""
    moved = {(event.series_id, moment(event.original_start)) for event in events if event.series_id}
    found: Counter[tuple[datetime, str]] = Counter()
    for event in events:
        if not event.recurrence:
            found[moment(event.starts), event.summary] += 1
            continue
        assert event.starts is not None
        whole = event.starts.date is not None
        start = moment(event.starts)
        start = start.replace(tzinfo=None) if whole else start.astimezone(ZoneInfo(event.starts.time_zone))
        bounds = [bound.replace(tzinfo=None) if whole else bound for bound in (first, last)]
        for day in rrulestr(readable(event.recurrence), dtstart=start, forceset=True).between(*bounds, inc=True):
            at = day.replace(tzinfo=UTC) if whole else day.astimezone(UTC)
            if (event.provider_id, at) not in moved:
                found[at, event.summary] += 1
    within = {key: count for key, count in found.items() if first <= key[0] < last}
    return Counter(within)


def truly(microsoft: Simulator, person: str) -> Counter[tuple[datetime, str]]:
    starts = [(item["title"], item["start"]) for item in microsoft.truth(person, "events")]
    whole = {title: ZoneInfo(start["zone"]) for title, start in starts if start["day"]}
    found: Counter[tuple[datetime, str]] = Counter()
    for item in microsoft.truth(person, "occurrences"):
        at = datetime.fromtimestamp(item["starts_at"], UTC)
        local = at.astimezone(whole.get(item["title"], UTC))
        if item["title"] in whole and not (local.hour or local.minute):
            at = local.replace(tzinfo=UTC)  # A whole day is in no zone.
        if FIRST <= at < LAST:
            found[at, item["title"].replace("\0", "")] += 1  # Postgres cannot store a NUL.
    return found


def events_of(held: HeldInParts) -> list[Event]:
    return [body for _, body in held.records.values() if isinstance(body, Event)]


def check(microsoft: Simulator, person: str, held: HeldInParts) -> None:
    assert not held.refused
    found, truth = happenings(events_of(held)), truly(microsoft, person)
    assert found == truth, (found - truth, truth - found)
    kinds = {item["immutable_id"]: item for item in microsoft.truth(person, "events")}
    for key, (part, body) in held.records.items():
        assert isinstance(body, Event)
        assert body.calendar_id == part
        if key in kinds:
            assert (body.summary, bool(body.recurrence)) == (
                kinds[key]["title"].replace("\0", ""),
                kinds[key]["type"] == "seriesMaster",
            )
            assert bool(body.series_id) == (kinds[key]["type"] == "exception")


@pytest.fixture
def held() -> HeldInParts:
    return HeldInParts(outlook_calendar)


@pytest.fixture
def session(graph: Any) -> ConnectorSession:
    made: ConnectorSession = graph("User.Read", outlook_calendar.SCOPE, **SIZE)
    return made


def test_first_pass_brings_what_happens_in_the_window_with_series_as_series(microsoft, person, session, held):
    held.sync(session)
    check(microsoft, person, held)
    events = events_of(held)
    assert any(event.recurrence for event in events)
    assert any(event.series_id for event in events)
    assert any(event.starts and event.starts.date for event in events)
    assert any("EXDATE" in line for event in events for line in event.recurrence)
    assert {event.starts.time_zone for event in events if event.starts} >= {"Asia/Bangkok", "Europe/London"}


EDITS: dict[str, list[dict[str, Any]]] = {
    "an event comes": [{"do": "add_event", "fields": meeting(3)}],
    "an event changes": [{"do": "change_event", "id": "SINGLE", "fields": {"title": "Changed"}}],
    "an event goes": [{"do": "delete_event", "id": "SINGLE"}],
    "an event comes and lies beyond the window": [{"do": "add_event", "fields": meeting(200)}],
    "one day of a series is cancelled": [{"do": "cancel_instance", "id": "SERIES", "nth": 3}],
    "one day of a series is moved": [{"do": "move_instance", "id": "SERIES", "nth": 4, "by_s": 7_200}],
    "a series changes": [{"do": "change_event", "id": "SERIES", "fields": {"title": "Another"}}],
    "a series goes to another hour": [
        {"do": "change_event", "id": "SERIES", "fields": {"start": on_day(2, "15:00:00"), "end": on_day(2, "16:00:00")}}
    ],
    "a series ends": [{"do": "delete_event", "id": "SERIES"}],
    "a series with a moved day ends": [
        {"do": "move_instance", "id": "SERIES", "nth": 4, "by_s": 7_200}, {"do": "sync"},
        {"do": "delete_event", "id": "SERIES"},
    ],
    "a moved day is cancelled": [
        {"do": "move_instance", "id": "SERIES", "nth": 4, "by_s": 7_200}, {"do": "sync"},
        {"do": "cancel_instance", "id": "SERIES", "nth": 4},
    ],
    "many change": [{"do": "touch_events", "percent": 40}],
    "the place is forgotten": [
        {"do": "delete_event", "id": "SINGLE"}, {"do": "cancel_instance", "id": "SERIES", "nth": 2},
        {"do": "add_event", "fields": meeting(3)}, {"do": "expire_event_links"},
    ],
    "an event goes out of the window while the place is forgotten": [
        {"do": "change_event", "id": "SINGLE", "fields": {"start": on_day(200), "end": on_day(201)}},
        {"do": "expire_event_links"},
    ],
    "a series goes out of the window while the place is forgotten": [
        {"do": "change_event", "id": "SERIES", "fields": {"start": on_day(200), "end": on_day(200, "11:00:00")}},
        {"do": "expire_event_links"},
    ],
    "all go": [{"do": "delete_all_events"}],
}  # fmt: skip
SWITCHES: list[dict[str, Any]] = [
    {},
    {"changed_items": "partial", "short_pages": 7},
    {"repeated_items": 3, "replayed_items": 2, "empty_pages": 2, "removed_first": 2},
    {"occurrences": "whole"},
]


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_change_arrives(microsoft, person, session, held, edits):
    ids = {"SINGLE": add(microsoft, person, **meeting(2)), "SERIES": daily(microsoft, person)}
    held.sync(session)
    check(microsoft, person, held)
    for edit in edits:
        if edit["do"] == "sync":
            held.sync(session)
        else:
            microsoft.edit(person, {**edit, **({"id": ids[edit["id"]]} if "id" in edit else {})})
    held.sync(session)
    check(microsoft, person, held)


@pytest.mark.parametrize("switches", SWITCHES[1:], ids=str)
def test_odd_rounds_lead_to_the_same(microsoft, person, session, held, switches):
    microsoft.control("graph", switches)
    single, series = add(microsoft, person, **meeting(2)), daily(microsoft, person)
    held.sync(session)
    check(microsoft, person, held)
    microsoft.edit(
        person,
        {"do": "change_event", "id": single, "fields": {"title": "Changed"}},
        {"do": "cancel_instance", "id": series, "nth": 3},
        {"do": "move_instance", "id": series, "nth": 5, "by_s": 3_600},
        {"do": "touch_events", "percent": 30},
    )
    held.sync(session)
    check(microsoft, person, held)


def test_an_event_that_goes_out_of_the_window_stays_with_its_new_time(microsoft, person, session, held):
    event = add(microsoft, person, **meeting(2, title="Postponed"))
    held.sync(session)
    microsoft.edit(person, {"do": "change_event", "id": event, "fields": {"start": on_day(200), "end": on_day(201)}})
    held.sync(session)
    (found,) = [each for each in events_of(held) if each.summary == "Postponed"]
    assert moment(found.starts) == TODAY + timedelta(days=200, hours=10)
    forget(held)
    held.sync(session)
    assert [each for each in events_of(held) if each.summary == "Postponed"] == [found]
    microsoft.edit(person, {"do": "delete_event", "id": event})
    held.sync(session)
    check(microsoft, person, held)


def forget(held: HeldInParts) -> None:
    """A full pass begins."""
    for part in held.cursors:
        held.forget(part)


def test_the_window_moves_along_and_what_it_leaves_behind_stays(microsoft, person, session, held):
    old, older, new, ahead = (add(microsoft, person, **meeting(at, title=f"On {at}")) for at in (-39, -38, 5, 90))
    ended = daily(microsoft, person, -39, 3, title="Long ago")
    held.sync(session)
    assert "On 90" not in {event.summary for event in events_of(held)}
    microsoft.edit(person, *({"do": "delete_event", "id": event} for event in (old, new)))
    session.now = lambda: NOW + timedelta(days=20)  # type: ignore[method-assign]
    forget(held)
    held.sync(session)
    titles = {event.summary for event in events_of(held)}
    assert {"On -39", "On -38", "On 90", "Long ago"} <= titles
    assert "On 5" not in titles
    microsoft.edit(person, *({"do": "delete_event", "id": event} for event in (older, ahead, ended)))
    forget(held)
    held.sync(session)
    titles = {event.summary for event in events_of(held)}
    assert "On -38" in titles
    assert not {"On 90", "Long ago"} & titles


def test_a_window_that_is_set_otherwise_begins_anew(microsoft, person, session, held, graph):
    held.sync(session)
    wider = graph("User.Read", outlook_calendar.SCOPE, calendar_days_back=41, calendar_days_ahead=80)
    for part in outlook_calendar.parts(wider):
        with pytest.raises(CursorExpired):
            held.read_part(wider, part)


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_run_killed_after_any_page_ends_as_the_undisturbed_one(microsoft, person, session, held, stop_after):
    microsoft.control("graph", {"short_pages": 9})
    series = daily(microsoft, person)

    def read_all() -> None:
        for part in outlook_calendar.parts(session):
            while not held.read_part(session, part, most_pages=stop_after):
                pass

    read_all()
    check(microsoft, person, held)
    microsoft.edit(person, {"do": "cancel_instance", "id": series, "nth": 1}, {"do": "touch_events", "percent": 60})
    read_all()
    check(microsoft, person, held)


def test_quiet_calendars_cost_a_request_each_and_write_nothing(microsoft, person, session, held):
    held.sync(session)
    held.pages.clear()
    before = len(microsoft.requests(host="graph.microsoft.com"))
    held.sync(session)
    calendars = len(held.cursors)
    assert [(len(page.records), len(page.tombstones)) for page in held.pages] == [(0, 0)] * calendars
    assert len(microsoft.requests(host="graph.microsoft.com")) - before == 1 + calendars


def test_an_event_says_everything(microsoft, person, session, held):
    host = {"email": "host@tinroof.example", "name": "Host"}
    guests = [
        {"email": person, "answer": "tentative"},
        {"email": "room@tinroof.example", "resource": True},
        {"email": "may@tinroof.example", "optional": True, "answer": "declined"},
    ]
    add(
        microsoft, person,
        **meeting(3, title="ประชุม", location="Room 5", guests=guests, organizer=host, visibility="private",
                  description="<p>Agenda</p>", conference="meet"),
    )  # fmt: skip
    held.sync(session)
    (event,) = [each for each in events_of(held) if each.location == "Room 5"]
    assert (event.description, event.location, event.visibility) == ("Agenda", "Room 5", "private")
    assert event.organizer is not None
    assert (event.organizer.email, event.organizer.name, event.organizer.organizer) == (*host.values(), True)
    assert [(each.email, each.response, each.optional, each.resource) for each in event.attendees] == [
        (person, "tentative", False, False),
        ("room@tinroof.example", "needsAction", False, True),
        ("may@tinroof.example", "declined", True, False),
    ]
    assert event.meeting_url.startswith("https://")
    assert event.ical_uid
    assert moment(event.ends) - moment(event.starts) == timedelta(hours=1)


@pytest.mark.parametrize(
    "action", [{"status": 503}, {"half_body": True}, {"duplicate_items": 3}, {"unknown_fields": True}]
)
def test_a_broken_page_changes_nothing_in_the_end(microsoft, person, session, held, action):
    microsoft.control("graph", {"short_pages": 20})
    microsoft.fault(action, path="calendarView", nth=2, times=1)
    held.sync(session)
    microsoft.clear_faults()
    held.sync(session)
    check(microsoft, person, held)


def test_a_grant_without_the_scope_is_told(graph):
    with pytest.raises(ScopeMissing):
        list(outlook_calendar.parts(graph("User.Read", "Contacts.Read")))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(-50, 90)),
        st.tuples(st.just("change"), st.integers(0, 2)),
        st.tuples(st.just("cancel"), st.integers(0, 2), st.integers(0, 7)),
        st.tuples(st.just("move"), st.integers(0, 2), st.integers(0, 7), st.integers(-3, 60)),
        st.tuples(st.just("shift"), st.integers(0, 2), st.integers(-45, 85)),
        st.tuples(st.just("repeat"), st.integers(0, 2), st.integers(1, 12)),
        st.tuples(st.just("expire")),
        st.tuples(st.just("read"), st.integers(1, 2)),
        st.tuples(st.just("sync")),
    ),
    max_size=10,
)


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_whatever_happens_to_a_calendar_while_it_is_read_and_killed_its_truth_is_what_we_hold(
    microsoft, person, graph, steps
):
    microsoft.control("reset", {})
    microsoft.control("graph", {"short_pages": 11})
    held, session = HeldInParts(outlook_calendar), graph("User.Read", outlook_calendar.SCOPE, **SIZE)
    series = [daily(microsoft, person, first, 8, title=f"Series {first}") for first in (1, -41, 75)]
    days = [8, 8, 8]  # How many each series has.
    (part, *_) = outlook_calendar.parts(session)
    for step in steps:
        match step:
            case ("read", most):
                read(held, session, part, most)
            case ("sync",):
                held.sync(session)
            case ("cancel" | "move", which, nth, *_) if nth >= days[which]:
                continue  # The series was cut shorter before.
            case _:
                microsoft.edit(person, edit_of(step, series))
                if step[0] == "repeat":
                    days[step[1]] = step[2]
    held.sync(session)
    held.sync(session)
    check(microsoft, person, held)


def edit_of(step: tuple[Any, ...], series: list[str]) -> dict[str, Any]:
    match step:
        case ("add", day):
            return {"do": "add_event", "fields": meeting(day)}
        case ("change", which):
            return {"do": "change_event", "id": series[which], "fields": {"location": "Roof"}}
        case ("cancel", which, nth):
            return {"do": "cancel_instance", "id": series[which], "nth": nth}
        case ("move", which, nth, days):
            return {"do": "move_instance", "id": series[which], "nth": nth, "by_s": days * 86_400 + 3_600}
        case ("shift", which, day):
            times = {"start": on_day(day), "end": on_day(day, "11:00:00")}
            return {"do": "change_event", "id": series[which], "fields": times}
        case ("repeat", which, count):
            rule = {"recurrence": [f"RRULE:FREQ=DAILY;COUNT={count}"]}
            return {"do": "change_event", "id": series[which], "fields": rule}
    return {"do": "expire_event_links"}


def read(held: HeldInParts, session: ConnectorSession, part: Part, most_pages: int) -> None:
    try:
        held.read_part(session, part, most_pages=most_pages)
    except CursorExpired:
        held.forget(part.key)

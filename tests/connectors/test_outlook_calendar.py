"""The stream `events` of Outlook over the real transport: calendars as parts, series, removals, windows, oddities."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.connectors.microsoft import HeldInParts, session_over
from tests.connectors.outlook_mailbox import GONE, GRAPH, Answer, error
from tests.connectors.sessions import NOW, ConnectorSession, scripted
from worker.connectors import outlook_calendar
from worker.errors import BadRecord, CursorExpired, NotFound, Throttled, Transient
from worker.records import Event, Part

WORK, HOME = Part("id-Work"), Part("id-Home")


def at(moment: str, zone: str = "UTC") -> dict[str, str]:
    return {"dateTime": moment, "timeZone": zone}


class OutlookCalendars:
    """Calendars that answer as providers/microsoft-linkedin.md §3 says; each has a log of ids, cut into pages.

    Everything lies in the window unless it is in `outside`.
    """

    def __init__(self) -> None:
        self.calendars = {"id-Work": "Work", "id-Home": "Home"}
        self.events: dict[str, dict[str, Any]] = {}
        self.of: dict[str, str] = {}
        self.days: dict[str, list[dict[str, Any]]] = {}
        self.log: dict[str, list[str]] = {calendar: [] for calendar in self.calendars}
        self.oldest: dict[str, int] = {}
        self.outside: set[str] = set()
        self.page_size, self.days_page_size = 3, 100
        self.asked: list[str] = []
        self.windows: list[tuple[str, str]] = []
        self.preferred: list[str] = []
        self.inner: dict[str, list[Answer]] = {}
        self.outer: list[Answer] = []

    def put(self, key: str, calendar: str = "Work", **fields: Any) -> None:
        plain = {
            "id": key, "type": "singleInstance", "subject": key, "start": at("2026-12-01T10:00:00.0000000"),
            "end": at("2026-12-01T11:00:00.0000000"), "isAllDay": False, "isCancelled": False, "organizer": None,
            "attendees": [], "body": {"contentType": "text", "content": ""}, "iCalUId": key, "seriesMasterId": None,
        }  # fmt: skip
        self.events[key] = {**plain, **self.events.get(key, {}), **fields}
        self.of[key] = f"id-{calendar}"
        self.log[self.of[key]].append(key)

    def series(self, key: str, days: int, **fields: Any) -> None:
        repeats = {"pattern": {"type": "daily", "interval": 1},
                   "range": {"type": "numbered", "numberOfOccurrences": days}}  # fmt: skip
        self.days[key] = []
        self.put(key, type="seriesMaster", recurrence=repeats, **fields)
        first = datetime(2026, 12, 1, 10, tzinfo=UTC).replace(tzinfo=None)
        for number in range(days):
            start, end = (at((first + timedelta(days=number, hours=hour)).isoformat()) for hour in (0, 1))
            day = {"id": f"{key}-{number}", "type": "occurrence", "seriesMasterId": key, "start": start, "end": end}
            self.days[key].append(day)
            self.of[day["id"]] = self.of[key]
            self.log[self.of[key]].append(day["id"])

    def move(self, key: str, calendar: str) -> None:
        self.log[self.of[key]].append(key)
        self.of[key] = f"id-{calendar}"
        self.log[self.of[key]].append(key)

    def delete(self, key: str) -> None:
        del self.events[key]
        self.log[self.of[key]].append(key)

    def leave(self, key: str) -> None:
        self.outside.add(key)
        self.log[self.of[key]].append(key)

    def truth(self) -> dict[str, str]:
        return {key: self.of[key] for key in self.events if self.of[key] in self.calendars}

    # What Graph answers.

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.preferred.append(request.headers.get("prefer", ""))
        if not request.url.path.endswith("/$batch"):
            status, headers, body = self.outer.pop(0) if self.outer else self.answer(str(request.url))
            return httpx.Response(status, json=body, headers=headers)
        responses = []
        for one in json.loads(request.content)["requests"]:
            self.preferred.append(one["headers"]["Prefer"])
            status, headers, body = self.answer(GRAPH + one["url"])
            responses.append({"id": one["id"], "status": status, "headers": headers, "body": body})
        return httpx.Response(200, json={"responses": responses})

    def answer(self, url: str) -> Answer:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = [unquote(piece) for piece in parts.path.removeprefix("/v1.0/me/").split("/")]
        self.asked.append("/".join(path))
        if self.inner.get("/".join(path)):
            return self.inner["/".join(path)].pop(0)
        match path:
            case ["calendars"]:
                return 200, {}, {"value": [{"id": key, "name": name} for key, name in self.calendars.items()]}
            case ["calendars", calendar, "calendarView", "delta"]:
                return self._round(calendar, query)
            case ["events", key]:
                found = self.events.get(key) or self._day(key)
                return (200, {}, found) if found else GONE
            case ["events", key, "instances"]:
                if key not in self.events:
                    return GONE
                return self._cut(self.days[key], query, f"{GRAPH}/me/events/{key}/instances", self.days_page_size)
        raise AssertionError(f"nobody should ask for {url}")

    def _day(self, key: str) -> dict[str, Any] | None:
        days = (day for series, days in self.days.items() if series in self.events for day in days)
        return next((day for day in days if day["id"] == key), None)

    def _cut(self, items: list[Any], query: dict[str, str], address: str, size: int) -> Answer:
        start = int(query.get("$skip", "0"))
        body: dict[str, Any] = {"value": items[start : start + size]}
        if start + size < len(items):
            body["@odata.nextLink"] = f"{address}?$skip={start + size}"
        return 200, {}, body

    def _round(self, calendar: str, query: dict[str, str]) -> Answer:
        if calendar not in self.calendars:
            return error(404, "ErrorItemNotFound")
        address = f"{GRAPH}/me/calendars/{calendar}/calendarView/delta"
        now = len(self.log[calendar])
        token = query.get("$skiptoken") or query.get("$deltatoken")
        if token is None:
            self.windows.append((query["startDateTime"], query["endDateTime"]))
            since, start, until = 0, 0, now
        else:
            since, start, until = (int(piece) for piece in token.split("."))
            if "$deltatoken" in query:
                since, start, until = until, 0, now
            if since < self.oldest.get(calendar, 0):
                return error(410, "SyncStateNotFound")
        items = [self._item(calendar, key) for key in self.log[calendar][since:until]]
        if token is None or since == 0:
            items = [item for item in items if "@removed" not in item]
        body: dict[str, Any] = {"value": items[start : start + self.page_size]}
        if start + self.page_size < len(items):
            body["@odata.nextLink"] = f"{address}?$skiptoken={since}.{start + self.page_size}.{until}"
        else:
            body["@odata.deltaLink"] = f"{address}?$deltatoken={since}.0.{until}"
        return 200, {}, body

    def _item(self, calendar: str, key: str) -> dict[str, Any]:
        found = self.events.get(key) or self._day(key)
        if found is None or self.of[key] != calendar or key in self.outside:
            return {"id": key, "@removed": {"reason": "deleted"}}
        return found


def session_of(calendars: OutlookCalendars, **options: Any) -> ConnectorSession:
    return session_over(scripted(calendars), "CANARY-access", **options)


def holding(calendars: OutlookCalendars) -> HeldInParts:
    return HeldInParts(outlook_calendar, lambda key: key in calendars.truth())


@pytest.fixture
def calendars() -> OutlookCalendars:
    made = OutlookCalendars()
    for number in range(7):
        made.put(f"e{number}", ("Work", "Home")[number % 2])
    made.series("s", 5)
    return made


@pytest.fixture
def held(calendars: OutlookCalendars) -> HeldInParts:
    held = holding(calendars)
    held.sync(session_of(calendars))
    return held


def check(calendars: OutlookCalendars, held: HeldInParts) -> None:
    assert {key: part for key, (part, _) in held.records.items()} == calendars.truth()
    for key, (part, body) in held.records.items():
        assert isinstance(body, Event)
        assert (body.provider_id, body.calendar_id, body.summary) == (key, part, calendars.events[key]["subject"])
    assert held.lost == []


def event(held: HeldInParts, key: str) -> Event:
    body = held.records[key][1]
    assert isinstance(body, Event)
    return body


def test_each_calendar_is_a_part_with_a_cursor_of_its_own(calendars, held):
    assert list(outlook_calendar.parts(session_of(calendars))) == [Part("id-Work", "Work"), Part("id-Home", "Home")]
    check(calendars, held)
    calendars.put("new", "Home")
    calendars.oldest["id-Work"] = 1_000
    held.read_part(session_of(calendars), HOME)
    with pytest.raises(CursorExpired):
        held.read_part(session_of(calendars), WORK)
    check(calendars, held)


def test_no_calendar_at_all_is_not_believed_and_an_unreadable_one_is_told(calendars):
    calendars.calendars = {}
    with pytest.raises(Transient):
        list(outlook_calendar.parts(session_of(calendars)))
    calendars.outer = [(200, {}, {"value": [{"name": "no id"}]})]
    with pytest.raises(BadRecord):
        list(outlook_calendar.parts(session_of(calendars)))


def test_every_request_asks_for_immutable_ids_and_each_event_for_utc_and_plain_text(calendars, held):
    assert all('IdType="ImmutableId"' in each for each in calendars.preferred)
    of_events = [each for each in calendars.preferred if "timezone" in each]
    assert len(of_events) >= 6
    assert all('outlook.timezone="UTC"' in each and 'body-content-type="text"' in each for each in of_events)


def test_the_window_is_what_is_set_from_midnight_to_midnight(calendars):
    holding(calendars).sync(session_of(calendars, calendar_days_back=10, calendar_days_ahead=20))
    assert set(calendars.windows) == {("2026-11-13T00:00:00Z", "2026-12-13T00:00:00Z")}


def test_a_series_is_one_record_and_a_day_taken_out_of_it_is_told_by_it(calendars, held):
    assert event(held, "s").recurrence == ("RRULE:FREQ=DAILY;COUNT=5",)
    del calendars.days["s"][1:3]
    calendars.log["id-Work"] += ["s-1", "s-2"]
    held.sync(session_of(calendars))
    lines = ("RRULE:FREQ=DAILY;COUNT=5", "EXDATE:20261202T100000Z,20261203T100000Z")
    assert event(held, "s").recurrence == lines
    check(calendars, held)


def test_the_days_of_a_series_may_come_in_many_pages_and_only_its_own_count(calendars):
    calendars.days_page_size = 2
    calendars.days["s"].insert(
        1, {**calendars.days["s"][0], "id": "x", "seriesMasterId": "other", "start": at("2026-12-24T10:00:00")}
    )
    held = holding(calendars)
    held.sync(session_of(calendars))
    assert event(held, "s").recurrence == ("RRULE:FREQ=DAILY;COUNT=5",)


def test_a_series_of_which_only_days_are_told_is_read_once_a_run(calendars):
    calendars.log["id-Work"].remove("s")
    held = holding(calendars)
    held.sync(session_of(calendars))
    check(calendars, held)
    assert calendars.asked.count("events/s") == 1


def test_a_day_that_was_moved_is_a_record_and_none_when_it_is_as_the_others_again(calendars, held):
    moved = {"seriesMasterId": "s", "type": "exception", "start": at("2026-12-03T15:00:00"),
             "originalStart": "2026-12-03T10:00:00Z"}  # fmt: skip
    day = calendars.days["s"][2]
    calendars.put("s-2", **moved)
    calendars.days["s"][2] = calendars.events["s-2"]
    held.sync(session_of(calendars))
    check(calendars, held)
    assert event(held, "s-2").original_start is not None
    assert event(held, "s").recurrence == ("RRULE:FREQ=DAILY;COUNT=5",)
    calendars.delete("s-2")
    calendars.days["s"][2] = day
    everything = holding(calendars)
    everything.records = dict(held.records)
    held.sync(session_of(calendars))
    check(calendars, held)
    everything.sync(session_of(calendars))
    check(calendars, everything)


def test_a_cancelled_event_that_still_stands_in_the_calendar_is_a_record_that_says_so(calendars, held):
    calendars.put("e0", isCancelled=True)
    calendars.put("e2", showAs="tentative")
    held.sync(session_of(calendars))
    assert [event(held, key).status for key in ("e0", "e2", "e4")] == ["cancelled", "tentative", "confirmed"]


def test_a_removal_is_believed_only_of_what_microsoft_does_not_have(calendars, held):
    calendars.leave("e0")
    calendars.delete("e2")
    calendars.asked.clear()
    calendars.log["id-Work"] += ["never-held"]
    held.sync(session_of(calendars))
    check(calendars, held)
    assert "e0" in held.records
    assert "events/never-held" not in calendars.asked


@pytest.mark.parametrize("backwards", [False, True])
def test_an_event_that_goes_to_another_calendar_is_neither_lost_nor_doubled(calendars, held, backwards):
    calendars.move("e0", "Home")
    calendars.move("e1", "Work")
    held.sync(session_of(calendars), lambda parts: parts[::-1] if backwards else parts)
    check(calendars, held)
    for part in held.cursors:
        held.forget(part)
    held.sync(session_of(calendars))
    check(calendars, held)


def test_a_calendar_that_is_gone_takes_its_events_along_whenever_they_were(calendars, held):
    calendars.put("old", "Home", start=at("2020-01-01T10:00:00"), end=at("2020-01-01T11:00:00"))
    held.sync(session_of(calendars))
    del calendars.calendars["id-Home"]
    with pytest.raises(NotFound):
        held.read_part(session_of(calendars), HOME)
    held.sync(session_of(calendars))
    assert {part for part, _ in held.records.values()} == {"id-Work"}


def test_what_ended_before_the_window_is_not_asked_about_and_stays(calendars, held):
    session = session_of(calendars, calendar_days_back=10)
    old = {"start": at("2026-11-01T10:00:00"), "end": at("2026-11-01T11:00:00")}
    day = {"start": at("2026-11-02T00:00:00"), "end": at("2026-11-03T00:00:00"), "isAllDay": True}
    calendars.put("e0", **old)
    calendars.put("e2", **day)
    held.sync(session)
    for key in ("e0", "e2", "e4"):
        calendars.log["id-Work"] = [each for each in calendars.log["id-Work"] if each != key]
        del calendars.events[key]
    held.forget(WORK.key)
    held.read_part(session, WORK)
    assert "e4" not in held.records
    assert {"e0", "e2"} <= set(held.records)
    assert not {"events/e0", "events/e2"} & set(calendars.asked)


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_run_killed_after_any_page_ends_as_the_undisturbed_one(calendars, stop_after):
    held = holding(calendars)
    for _ in range(9):
        held.read_part(session_of(calendars), WORK, most_pages=stop_after)
    calendars.delete("e2")
    calendars.put("late")
    calendars.leave("e4")
    for _ in range(9):
        held.read_part(session_of(calendars), WORK, most_pages=stop_after)
    held.read_part(session_of(calendars), HOME)
    check(calendars, held)


def test_a_removal_in_the_page_after_the_one_that_brought_the_event_is_not_overlooked(calendars, held):
    """What the first page of a run told is not committed yet when the second is read."""
    calendars.page_size = 1
    calendars.put("brief")
    session = session_of(calendars)
    pages = outlook_calendar.pages(session, WORK, held.cursors[WORK.key])
    calendars.log["id-Work"].append("brief")
    first = next(pages)
    assert [record.key for record in first.records] == ["brief"]
    calendars.delete("brief")
    gone = [key for page in pages for key in page.tombstones]
    assert gone == ["brief"]


def test_a_batch_of_refusals_waits_as_long_as_microsoft_says_and_a_series_is_never_half_of_one(calendars):
    calendars.inner["events/s/instances"] = [error(429, "ApplicationThrottled", **{"Retry-After": "37"})]
    held = holding(calendars)
    held.sync(session_of(calendars))
    check(calendars, held)
    calendars.inner["events/s"] = [error(429, "ApplicationThrottled", **{"Retry-After": "37"})]
    held.forget(WORK.key)
    with pytest.raises(Throttled) as caught:
        held.read_part(session_of(calendars), WORK)
    assert caught.value.until == NOW + timedelta(seconds=37)


def test_an_event_that_microsoft_fails_at_for_ever_keeps_no_other_from_being_looked_at(calendars, held):
    for key in ("e0", "e2"):
        calendars.put(key, start=at("2020-01-01T10:00:00"), end=at("2030-01-01T11:00:00"))
    held.sync(session_of(calendars))
    for key in ("e0", "e2"):
        calendars.delete(key)
    calendars.inner["events/e0"] = [error(500, "ErrorInternalServerError")] * 20
    held.forget("id-Work")
    held.sync(session_of(calendars))
    assert held.refused == {"e0": "transient"}
    assert set(held.records) == {*calendars.truth(), "e0"}


def test_a_series_that_goes_between_two_questions_is_gone(calendars):
    calendars.inner["events/s/instances"] = [GONE]
    held = holding(calendars)
    held.read_part(session_of(calendars), WORK)
    assert "s" not in held.records


@pytest.mark.parametrize(
    ("second", "refused", "held_then"),
    [
        ((200, {}, {"value": [{"id": 7}]}), True, False),
        (error(400, "ErrorInvalidUrlQuery"), True, False),
        (GONE, False, False),
        (error(410, "SyncStateNotFound"), False, True),
    ],
)
def test_further_days_that_cannot_be_read_are_the_affair_of_their_series(calendars, second, refused, held_then):
    more = {"value": calendars.days["s"][:2], "@odata.nextLink": f"{GRAPH}/me/events/s/instances?$skip=2"}
    calendars.inner["events/s/instances"] = [(200, {}, more), second]
    calendars.series("t", 3)
    held = holding(calendars)
    held.sync(session_of(calendars))
    assert ("s" in held.refused, "s" in held.records) == (refused, held_then)
    assert {"t", "e0", "e2"} <= set(held.records)
    assert held.refused.keys() <= {"s"}


def test_days_that_never_end_are_not_all_kept_in_mind(calendars):
    calendars.days_page_size = 1_000
    calendars.days["s"] *= 2_000
    held = holding(calendars)
    held.sync(session_of(calendars))
    assert held.refused == {"s": "bad_record"}


def test_what_cannot_be_read_is_set_aside_and_spoils_nothing_else(calendars):
    calendars.put("e0", start=at("yesterday"))
    calendars.put("e2", start=at("2026-12-01T10:00:00", "tzone://Microsoft/Custom"))
    calendars.put("e4", start=at("0001-01-01T00:00:00", "Asia/Tokyo"))
    calendars.put("s", recurrence={"pattern": {"type": "lunar"}, "range": {"type": "noEnd"}})
    calendars.put("t", type="seriesMaster", recurrence=None)
    calendars.days["t"] = []
    held = holding(calendars)
    held.sync(session_of(calendars))
    assert set(held.refused) == {"e0", "e2", "e4", "s", "t"}
    assert set(held.records) == {"e1", "e3", "e5", "e6"}


def test_moments_are_kept_in_utc_with_the_zone_they_were_meant_in_and_days_as_days(calendars, held):
    calendars.put("e0", start=at("2026-03-29T03:30:00.0000000", "W. Europe Standard Time"),
                  originalStartTimeZone="W. Europe Standard Time")  # fmt: skip
    calendars.put("e2", start=at("2026-03-29T00:00:00.0000000"), end=at("2026-03-30T00:00:00.0000000"), isAllDay=True,
                  originalStartTimeZone="Tokyo Standard Time")  # fmt: skip
    calendars.put("e4", originalStartTimeZone="tzone://Microsoft/Custom")
    held.sync(session_of(calendars))
    starts = [event(held, key).starts for key in ("e0", "e2", "e4")]
    assert all(starts)
    assert [(each.at, each.date, each.time_zone) for each in starts if each] == [
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), None, "Europe/Berlin"),
        (None, date(2026, 3, 29), ""),
        (datetime(2026, 12, 1, 10, tzinfo=UTC), None, ""),
    ]


KEYS = ["id", "type", "start", "dateTime", "timeZone", "seriesMasterId", "attendees", "@removed", "recurrence"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["seriesMaster", "occurrence", "2026-12-01T10:00:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=10,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_any_item_is_taken_looked_at_or_refused(value):
    told = outlook_calendar.sort_events("c", [msgspec.Raw(msgspec.json.encode(value))])
    found = told.sorted
    assert len(found.records) + len(found.pending) + len(found.refused) + len(told.removed) + len(told.plain_days) == 1

"""The streams' `events`: calendars as parts, series and their exceptions, tokens that die."""

import json
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.connectors.sessions import ConnectorSession, Held, scripted
from worker.connectors import google_calendar
from worker.errors import BadRecord, CursorExpired, NotFound, Transient
from worker.records import FULL_PASS, Event, Part

WORK = Part("team#work@group.calendar.google.com")


class Calendar:
    """Answers as providers/google.md §6 says: a sync token is the number of changes that were seen."""

    def __init__(self) -> None:
        self.calendars: list[Any] = [{"id": WORK.key, "summary": "Work"}]
        self.events: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []
        self.oldest = 0
        self.page_size = 100
        self.asked: list[httpx.URL] = []
        self.answers: list[tuple[int, Any]] = []

    def put(self, key: str, **fields: Any) -> None:
        moment = {"dateTime": "2026-12-01T10:00:00+01:00", "timeZone": "Europe/Berlin"}
        self.events[key] = {"id": key, "status": "confirmed", "start": moment, "end": moment, **fields}
        self.log.append(key)

    def cancel(self, key: str) -> None:
        series = self.events[key].get("recurringEventId")
        self.events[key] = {"id": key, "status": "cancelled", **({"recurringEventId": series} if series else {})}
        self.log.append(key)

    def truth(self) -> set[str]:
        alive = {key for key, event in self.events.items() if event["status"] != "cancelled"}
        kept = {key for key, event in self.events.items() if event.get("recurringEventId") in alive}
        return {f"{WORK.key}/{key}" for key in alive | kept}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if self.answers:
            status, body = self.answers.pop(0)
            return httpx.Response(status, json=body)
        query = dict(request.url.params)
        if request.url.path.endswith("/calendarList"):
            return self._cut(self.calendars, query, {})
        if f"/calendars/{WORK.key}/" not in unquote(request.url.raw_path.decode()):
            return httpx.Response(404, json={"error": {"errors": [{"reason": "notFound"}]}})
        since = int(query.get("syncToken", "s0")[1:])
        if since < self.oldest and "syncToken" in query:
            return httpx.Response(410, json={"error": {"errors": [{"reason": "fullSyncRequired"}]}})
        keys = list(dict.fromkeys(self.log[since:]))
        items = [self.events[key] for key in keys]
        if "syncToken" not in query:
            shown = self.truth()
            items = [item for item in items if f"{WORK.key}/{item['id']}" in shown]
        return self._cut(items, query, {"nextSyncToken": f"s{len(self.log)}"})

    def _cut(self, items: list[Any], query: dict[str, str], last: dict[str, str]) -> httpx.Response:
        start = int(query.get("pageToken", "0"))
        end = start + self.page_size
        more = {"nextPageToken": str(end)} if end < len(items) else last
        return httpx.Response(200, content=json.dumps({"items": items[start:end], **more}))


@pytest.fixture
def calendar() -> Calendar:
    made = Calendar()
    for number in range(250):
        made.put(f"e{number}", summary=f"Event {number}")
    return made


def session_of(calendar: Calendar) -> ConnectorSession:
    return ConnectorSession(scripted(calendar), google_calendar.HOSTS, google_calendar.BUDGETS)


def test_calendars_are_parts():
    calendar = Calendar()
    calendar.page_size = 1
    calendar.calendars += [
        {"id": "b@example.com", "summary": "B", "summaryOverride": "Mine"},
        {"id": "c", "summary": 7},
    ]
    found = list(google_calendar.parts(session_of(calendar)))
    assert [(part.key, part.label) for part in found] == [(WORK.key, "Work"), ("b@example.com", "Mine"), ("c", "")]


def test_no_calendar_at_all_is_not_believed():
    calendar = Calendar()
    calendar.calendars = []
    with pytest.raises(Transient):
        list(google_calendar.parts(session_of(calendar)))
    calendar.calendars = [{"summary": "no id"}]
    with pytest.raises(BadRecord):
        list(google_calendar.parts(session_of(calendar)))


def test_changes_follow_a_full_pass(calendar):
    session, held = session_of(calendar), Held()
    held.run(google_calendar, session, WORK)
    assert set(held.records) == calendar.truth()
    assert {page.covers for page in held.pages} == {FULL_PASS}
    held.pages.clear()
    calendar.put("e5", summary="Moved")
    calendar.put("new")
    calendar.cancel("e6")
    held.run(google_calendar, session, WORK)
    assert set(held.records) == calendar.truth()
    assert sum(len(page.records) for page in held.pages) == 2
    assert {page.covers for page in held.pages} == {None}


def test_parameters_are_the_same_with_and_without_a_token(calendar):
    session, held = session_of(calendar), Held()
    held.run(google_calendar, session, WORK)
    held.run(google_calendar, session, WORK)
    constant = {
        tuple(sorted((n, v) for n, v in url.params.multi_items() if "Token" not in n)) for url in calendar.asked
    }
    assert len(constant) == 1
    assert ("singleEvents", "false") in constant.pop()


def test_cancelled_exception_of_a_living_series_is_a_record_and_goes_with_it(calendar):
    session, held = session_of(calendar), Held()
    calendar.put("series", recurrence=["RRULE:FREQ=WEEKLY"])
    calendar.put("series_1", recurringEventId="series")
    calendar.cancel("series_1")
    held.run(google_calendar, session, WORK)
    body = held.records[f"{WORK.key}/series_1"]
    assert isinstance(body, Event)
    assert (body.status, body.series_id) == ("cancelled", "series")
    calendar.cancel("series_1")
    calendar.cancel("series")
    held.run(google_calendar, session, WORK)
    assert set(held.records) == calendar.truth()


def test_dead_token_heals_without_false_deletes(calendar):
    session, held = session_of(calendar), Held()
    held.run(google_calendar, session, WORK)
    calendar.cancel("e7")
    calendar.put("new")
    calendar.oldest = len(calendar.log) + 1
    with pytest.raises(CursorExpired):
        held.run(google_calendar, session, WORK)
    held.forget_place()
    held.run(google_calendar, session, WORK)
    assert set(held.records) == calendar.truth()


@pytest.mark.parametrize("stop_after", [1, 2])
def test_run_killed_after_any_page_ends_as_the_undisturbed_one(calendar, stop_after):
    held = Held()
    held.run(google_calendar, session_of(calendar), WORK, most_pages=stop_after)
    calendar.put("e0", summary="again")
    for _ in range(4):
        held.run(google_calendar, session_of(calendar), WORK, most_pages=stop_after)
    assert set(held.records) == calendar.truth()


def test_stale_page_token_begins_anew(calendar):
    held = Held()
    held.run(google_calendar, session_of(calendar), WORK, most_pages=1)
    calendar.answers = [(400, {"error": {"errors": [{"reason": "invalid"}]}})]
    with pytest.raises(CursorExpired):
        held.run(google_calendar, session_of(calendar), WORK)


def test_calendar_that_is_gone_is_told():
    with pytest.raises(NotFound):
        Held().run(google_calendar, session_of(Calendar()), Part("other@example.com"))


def test_malformed_event_spoils_no_other(calendar):
    calendar.put("bad", start={"dateTime": "yesterday"})
    calendar.put("early", start={"dateTime": "0001-01-01T00:00:00+14:00"})
    held = Held()
    held.run(google_calendar, session_of(calendar), WORK)
    assert held.refused == {f"{WORK.key}/bad": "bad_record", f"{WORK.key}/early": "bad_record"}
    assert len(held.records) == 250


@pytest.mark.parametrize("page", [{"items": []}, {"items": [], "nextPageToken": "0", "x": 1}])
def test_list_without_an_end_is_noticed(calendar, page):
    calendar.answers = [(200, page), (200, page), (200, page)]
    with pytest.raises(Transient):
        Held().run(google_calendar, session_of(calendar), WORK)


def when(**fields: Any) -> Any:
    return google_calendar.when_of(msgspec.convert(fields, google_calendar._Moment, strict=False))


def test_days_stay_days_and_moments_are_kept_in_utc():
    assert when(date="2026-03-29").date == date(2026, 3, 29)
    nine = datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert when(dateTime="2026-12-01T10:00:00+01:00", timeZone="Europe/Berlin").at == nine
    assert when(dateTime="2026-12-01T10:00:00", timeZone="Europe/Berlin").at == nine
    assert when(dateTime="2026-12-01T09:00:00", timeZone="../etc").at == nine
    assert when(dateTime="2026-12-01T09:00:00", timeZone="No/Where").at == nine
    assert when() is None


NAMES = st.sampled_from(["id", "status", "start", "dateTime", "date", "timeZone", "attendees", "email"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=10,
)


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_any_event_is_taken_or_refused(value):
    page = google_calendar.sort_events("c", [msgspec.Raw(msgspec.json.encode(value))], set())
    assert len(page.records) + len(page.tombstones) + len(page.refused) == 1


def test_item_without_a_readable_id_is_no_proof_that_others_are_gone(calendar):
    session, held = session_of(calendar), Held()
    held.run(google_calendar, session, WORK)
    held.forget_place()
    nameless = {"items": [{"id": "e0", "status": "confirmed"}, {"id": 7}], "nextPageToken": "p"}
    calendar.answers = [(200, nameless), (200, {"items": [], "nextSyncToken": "s0"})]
    held.run(google_calendar, session, WORK, most_pages=1)
    held.run(google_calendar, session_of(calendar), WORK)
    assert len(held.records) == 250
    held.forget_place()
    calendar.answers = [(200, {"items": [{"id": "e0", "status": "confirmed"}], "nextSyncToken": "s0"})]
    held.run(google_calendar, session, WORK)
    assert set(held.records) == {f"{WORK.key}/e0"}

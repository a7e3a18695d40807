"""The Calendar API as the provider sheet tells it: lists, syncs, tombstones, series, expiry, limits, Google's types."""

import json
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from simulator.client import Simulator
from simulator.world.event_cases import HARD_CASES
from tests.simulator.calls import AUTH, EPOCH, get
from tests.simulator.discovery import Discovery
from tests.simulator.official_client import official

CALENDAR = "/www.googleapis.com/calendar/v3"
LINES = CALENDAR + "/users/me/calendarList"
EVENTS = CALENDAR + "/calendars/primary/events"
LIST = "calendar.events.list"


@pytest.fixture(scope="module")
def discovery() -> Discovery:
    return Discovery("calendar", "v3")


@pytest.fixture
def token(simulator: Simulator, account: str) -> str:
    """An access token of the account for calendars and events."""
    scopes = [AUTH + "calendar.calendarlist.readonly", AUTH + "calendar.events.readonly"]
    return str(simulator.grant(account, scopes)["access_token"])


def events_path(calendar_id: str) -> str:
    return f"{CALENDAR}/calendars/{quote(calendar_id, safe='')}/events"


def pages(simulator: Simulator, token: str, path: str = EVENTS, **query: Any) -> Iterator[dict[str, Any]]:
    """Every page of a list, with the token of the last one's sync in it if there is one."""
    place: dict[str, str] = {}
    while True:
        status, page = get(simulator, path, token, **query, **place)
        assert status == 200, page
        yield page
        if "nextPageToken" not in page:
            return
        assert "nextSyncToken" not in page
        place = {"pageToken": page["nextPageToken"]}


def walk(simulator: Simulator, token: str, path: str = EVENTS, **query: Any) -> tuple[list[dict[str, Any]], str]:
    """All items of a list and the sync token of its last page."""
    found = list(pages(simulator, token, path, **query))
    return [item for page in found for item in page["items"]], found[-1].get("nextSyncToken", "")


def truth_of(simulator: Simulator, account: str, calendar_id: str, kind: str = "events") -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in simulator.truth(account, kind) if one["calendar_id"] == calendar_id}


def case(simulator: Simulator, account: str, name: str) -> dict[str, Any]:
    return next(one for one in simulator.truth(account, "events") if one["case"] == name and one["role"] == "owner")


def legacy_reason(error: dict[str, Any]) -> str:
    return str(error["error"]["errors"][0]["reason"])


def instant_of(moment: dict[str, str]) -> dict[str, str]:
    """A moment of a reply as the truth words it."""
    if "date" in moment:
        return {"day": moment["date"]}
    at = datetime.fromisoformat(moment["dateTime"]).astimezone(ZoneInfo("UTC"))
    return {"at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "zone": moment["timeZone"]}


def mirror(event: dict[str, Any]) -> dict[str, Any]:
    """As much of an event as a test compares with the truth."""
    if event["status"] == "cancelled":
        original = event["originalStartTime"]
        return {"status": "cancelled", "series": event["recurringEventId"], "original": instant_of(original)}
    return {
        "status": event["status"],
        "title": event.get("summary", ""),
        "location": event.get("location", ""),
        "start": instant_of(event["start"]),
        "end": instant_of(event["end"]),
        "recurrence": event.get("recurrence", []),
        "series": event.get("recurringEventId"),
        "uid": event["iCalUID"],
    }


def mirror_of_truth(event: dict[str, Any]) -> dict[str, Any]:
    if event["status"] == "cancelled":
        return {"status": "cancelled", "series": event["series_id"], "original": event["original_start"]}
    hidden = event["details_hidden"]
    return {
        "status": event["status"],
        "title": "" if hidden else event["title"],
        "location": "" if hidden else event["location"],
        "start": event["start"],
        "end": event["end"],
        "recurrence": event["recurrence"],
        "series": event["series_id"],
        "uid": event["uid"],
    }


def apply_sync(held: dict[str, dict[str, Any]], changed: list[dict[str, Any]]) -> None:
    """What a client does with a page of a sync that is not of single events."""
    for event in changed:
        if event["status"] == "cancelled" and "recurringEventId" not in event:
            held.pop(event["id"], None)
            for exception in [key for key, one in held.items() if one["series"] == event["id"]]:
                del held[exception]
        else:
            held[event["id"]] = mirror(event)


def test_official_client_walks_every_calendar_and_each_page_fits_the_document(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    google = official("calendar", "v3", simulator, token)
    lines = google.calendarList().list(showHidden=True).execute()
    discovery.check_reply("calendar.calendarList.list", lines)
    assert {line["accessRole"] for line in lines["items"]} == {"owner", "reader", "freeBusyReader"}
    for line in lines["items"]:
        events: list[dict[str, Any]] = []
        request = google.events().list(calendarId=line["id"], maxResults=25)
        while request is not None:
            page = request.execute()
            discovery.check_reply(LIST, page)
            assert page["accessRole"] == line["accessRole"]
            events += page["items"]
            last, request = page, google.events().list_next(request, page)
        assert last["nextSyncToken"]
        truth = truth_of(simulator, account, line["id"])
        assert {one["id"]: mirror(one) for one in events} == {key: mirror_of_truth(one) for key, one in truth.items()}
        assert len(events) == len(truth)


def test_official_client_reads_single_events_instances_and_calendars(
    simulator: Simulator, account: str, discovery: Discovery
) -> None:
    token = simulator.grant(account, [AUTH + "calendar.readonly"])["access_token"]
    google = official("calendar", "v3", simulator, token)
    series = case(simulator, account, "weekly until a time")
    one = google.events().get(calendarId="primary", eventId=series["id"]).execute()
    discovery.check_reply("calendar.events.get", one)
    assert one["recurrence"] == series["recurrence"]
    instances = google.events().instances(calendarId="primary", eventId=series["id"], maxResults=5).execute()
    discovery.check_reply("calendar.events.instances", instances)
    following = google.events().instances_next
    assert len(instances["items"]) == 5
    assert {event["iCalUID"] for event in instances["items"]} == {series["uid"]}
    request = google.events().instances(calendarId="primary", eventId=series["id"], maxResults=5)
    assert len(following(request, instances).execute()["items"]) == 5
    original = instances["items"][1]["originalStartTime"]["dateTime"]
    only = google.events().instances(calendarId="primary", eventId=series["id"], originalStart=original).execute()
    assert [event["id"] for event in only["items"]] == [instances["items"][1]["id"]]
    same = google.events().get(calendarId="primary", eventId=instances["items"][1]["id"]).execute()
    assert same == instances["items"][1]
    line = google.calendarList().get(calendarId="primary").execute()
    discovery.check_reply("calendar.calendarList.get", line)
    assert line["primary"]
    own = google.calendars().get(calendarId=account).execute()
    discovery.check_reply("calendar.calendars.get", own)
    assert own["id"] == line["id"] == account


def test_every_parameter_of_the_document_is_known(simulator: Simulator, account: str, discovery: Discovery) -> None:
    token = simulator.grant(account, [AUTH + "calendar.readonly"])["access_token"]
    paths = {
        LIST: EVENTS,
        "calendar.events.get": EVENTS + "/any",
        "calendar.events.instances": EVENTS + "/any/instances",
        "calendar.calendarList.list": LINES,
        "calendar.calendarList.get": LINES + "/primary",
        "calendar.calendars.get": CALENDAR + "/calendars/primary",
    }
    for method, path in paths.items():
        for name in discovery.query_parameters(method):
            _, reply = get(simulator, path, token, **{name: ""})
            assert "Unknown name" not in str(reply), (method, name)


@pytest.mark.parametrize("at", range(len(HARD_CASES)), ids=[one.name for one in HARD_CASES])
def test_a_hard_case_stands_where_its_name_says_and_fits_the_document(
    simulator: Simulator, account: str, token: str, discovery: Discovery, at: int
) -> None:
    named = case(simulator, account, HARD_CASES[at].name)
    assert named["number"] == at
    status, event = get(simulator, f"{EVENTS}/{named['id']}", token)
    assert status == 200
    discovery.check_reply("calendar.events.get", event)
    assert mirror(event) == mirror_of_truth(named)


def test_hard_cases_are_hard(simulator: Simulator, account: str, token: str) -> None:
    events, _ = walk(simulator, token)
    numbers = {one.name: at for at, one in enumerate(HARD_CASES)}

    def named(name: str) -> dict[str, Any]:
        return events[numbers[name]]

    assert "summary" not in named("without a title")
    assert named("whole day")["start"].keys() == {"date"}
    first, second = (
        named(f"in the {which} of the doubled hours")["start"]["dateTime"] for which in ("first", "second")
    )
    assert (first[-6:], second[-1]) == ("+01:00", "Z")
    assert first[:16] == second[:16]
    moved = named("moved exception")
    assert moved["originalStartTime"]["dateTime"] < moved["start"]["dateTime"]
    cancelled = named("cancelled exception")
    assert cancelled.keys() == {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"}
    assert named("cancelled exception of whole days")["id"].partition("_")[2].isdigit()
    flight = named("begins and ends in different zones")
    assert flight["start"]["timeZone"] != flight["end"]["timeZone"]
    assert len(named("two hundred guests")["attendees"]) == 200
    assert named("guests left out by the host")["attendeesOmitted"] is True
    assert "self" not in named("organized by someone else")["organizer"]
    assert named("video conference")["hangoutLink"].startswith("https://meet.google.com/")
    assert "hangoutLink" not in named("conference of another maker")
    kinds = {event.get("eventType") for event in events}
    assert kinds >= {"default", "fromGmail", "birthday", "outOfOffice", "focusTime", "workingLocation"}
    team = next(one for one in simulator.truth(account, "calendars") if one["key"] == "team0")
    others, _ = walk(simulator, token, events_path(team["id"]))
    same = named("same meeting in another calendar")
    twin = next(event for event in others if event["iCalUID"] == same["iCalUID"])
    assert twin["id"] != same["id"]


@pytest.mark.parametrize(
    ("name", "walls"),
    [
        ("series through the hour that is left out",
         ["01:30:00Z", "01:30:00Z", "01:30:00Z", "02:30:00+01:00", "01:30:00+01:00", "01:30:00+01:00"]),
        ("series through the doubled hour",
         ["01:30:00-04:00", "01:30:00-04:00", "01:30:00-04:00", "01:30:00-05:00", "01:30:00-05:00"]),
    ],
)  # fmt: skip
def test_a_series_keeps_its_wall_time_when_clocks_are_changed(
    simulator: Simulator, account: str, token: str, name: str, walls: list[str]
) -> None:
    series = case(simulator, account, name)
    asked = {"timeZone": series["start"]["zone"]}
    _, page = get(simulator, f"{EVENTS}/{series['id']}/instances", token, **asked)
    assert [event["start"]["dateTime"].partition("T")[2] for event in page["items"]] == walls


def test_dates_are_added_to_and_left_out_of_a_series(simulator: Simulator, account: str, token: str) -> None:
    series = case(simulator, account, "dates added and left out")
    _, page = get(simulator, f"{EVENTS}/{series['id']}/instances", token)
    first = datetime.fromisoformat(page["items"][0]["start"]["dateTime"]).date()
    days = [(datetime.fromisoformat(one["start"]["dateTime"]).date() - first).days for one in page["items"]]
    assert days == [0, 3, 6, 8, 10, 12, 14, 40]


@pytest.mark.parametrize(
    ("start", "rule", "days"),
    [
        ("2026-01-31", "FREQ=MONTHLY;COUNT=4", ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]),
        ("2026-01-30", "FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("2026-01-31", "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("2024-02-29", "FREQ=YEARLY;UNTIL=20330101", ["2024-02-29", "2028-02-29", "2032-02-29"]),
        ("2026-01-07", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=4",
         ["2026-01-07", "2026-01-19", "2026-01-21", "2026-02-02"]),
        ("2026-01-09", "FREQ=DAILY;BYDAY=MO,FR;COUNT=3", ["2026-01-09", "2026-01-12", "2026-01-16"]),
    ],
)  # fmt: skip
def test_rules_are_expanded_as_rfc_5545_has_it(
    simulator: Simulator, account: str, token: str, start: str, rule: str, days: list[str]
) -> None:
    simulator.control("services", {"calendar": {"single_events_days": 3_650}})
    fields = {"start": start, "recurrence": [f"RRULE:{rule}"]}
    series = simulator.edit(account, {"do": "add_event", "fields": fields})[0]["id"]
    _, page = get(simulator, f"{EVENTS}/{series}/instances", token)
    assert [event["start"]["date"] for event in page["items"]] == days
    assert [event["id"] for event in page["items"]] == [f"{series}_{day.replace('-', '')}" for day in days]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"maxResults": 0}, "maxResults"),
        ({"maxResults": "many"}, "TYPE_INT32"),
        ({"singleEvents": "yes"}, "TYPE_BOOL"),
        ({"pageSize": 3}, "Unknown name"),
        ({"eventTypes": "party"}, "party"),
        ({"orderBy": "colour"}, "TYPE_ENUM"),
        ({"orderBy": "startTime"}, "ordering"),
        ({"timeMin": "2026-11-01T00:00:00"}, "Bad Request"),
        ({"timeMin": "yesterday"}, "Bad Request"),
        ({"timeMin": "2026-11-02T00:00:00Z", "timeMax": "2026-11-01T00:00:00Z"}, "time range"),
        ({"timeZone": "Mars/Base"}, "time zone"),
        ({"maxAttendees": 0}, "maxAttendees"),
        ({"privateExtendedProperty": "crm"}, "crm"),
        ({"pageToken": "made-up"}, "page token"),
        ({"syncToken": "made-up"}, "sync token"),
    ],
)
def test_a_request_out_of_order_is_a_400_that_names_what(
    simulator: Simulator, token: str, query: dict[str, str], word: str
) -> None:
    status, reply = get(simulator, EVENTS, token, **query)
    assert (status, reply["error"]["code"]) == (400, 400)
    assert reply["error"].keys() == {"code", "message", "errors"}
    assert word in json.dumps(reply["error"])


@pytest.mark.parametrize(
    "query",
    [
        {"timeMin": "2026-01-01T00:00:00Z"}, {"timeMax": "2026-01-01T00:00:00Z"}, {"q": "lunch"},
        {"iCalUID": "x@google.com"}, {"updatedMin": "2026-11-20T00:00:00Z"}, {"orderBy": "updated"},
        {"privateExtendedProperty": "crm=17"}, {"sharedExtendedProperty": "deal=1"}, {"showDeleted": "false"},
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_sync_token_is_refused(simulator: Simulator, token: str, query: dict[str, str]) -> None:
    _, sync = walk(simulator, token)
    assert get(simulator, EVENTS, token, syncToken=sync, **query)[0] == 400
    assert get(simulator, EVENTS, token, syncToken=sync, showDeleted="true")[0] == 200


@pytest.mark.parametrize(
    "changed", [{"singleEvents": "true"}, {"eventTypes": "default"}, {"maxAttendees": 5}, {"maxResults": 51}]
)
@pytest.mark.parametrize("status", [400, 410])
def test_a_sync_token_is_refused_under_other_parameters(
    simulator: Simulator, token: str, changed: dict[str, Any], status: int
) -> None:
    simulator.control("services", {"calendar": {"mismatch_status": status}})
    _, sync = walk(simulator, token, maxResults=50)
    got, reply = get(simulator, EVENTS, token, **{"maxResults": 50, **changed}, syncToken=sync)
    assert (got, legacy_reason(reply)) == (status, {400: "invalid", 410: "fullSyncRequired"}[status])


def test_the_size_of_a_page_may_change_between_syncs_when_the_switch_says_so(simulator: Simulator, token: str) -> None:
    simulator.control("services", {"calendar": {"token_binds_page_size": False}})
    _, sync = walk(simulator, token, maxResults=50)
    assert get(simulator, EVENTS, token, maxResults=51, syncToken=sync)[0] == 200


def test_tokens_serve_only_their_own_kind_calendar_and_account(simulator: Simulator, account: str, token: str) -> None:
    _, first = get(simulator, EVENTS, token, maxResults=5)
    _, sync = walk(simulator, token)
    assert get(simulator, EVENTS, token, syncToken=first["nextPageToken"])[0] == 400
    assert get(simulator, EVENTS, token, maxResults=5, pageToken=sync)[0] == 400
    assert get(simulator, EVENTS, token, maxResults=6, pageToken=first["nextPageToken"])[0] == 400
    shared = next(one["id"] for one in simulator.truth(account, "calendars") if one["role"] == "reader")
    _, of_shared = walk(simulator, token, events_path(shared))
    assert get(simulator, EVENTS, token, syncToken=of_shared)[0] == 400
    owner = next(one["owner"] for one in simulator.truth(account, "calendars") if one["id"] == shared)
    others = simulator.grant(owner, [AUTH + "calendar.readonly"])["access_token"]
    assert get(simulator, events_path(shared), others, syncToken=of_shared)[0] == 400
    assert get(simulator, events_path(shared), token, syncToken=of_shared)[0] == 200


def test_a_sync_tells_each_change_once_and_deletions_as_tombstones(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    before, sync = walk(simulator, token)
    added = simulator.edit(
        account,
        {
            "do": "add_event",
            "fields": {"title": "New", "start": "2026-12-01T10:00:00+07:00", "guests": ["a@x.example"]},
        },
        {"do": "change_event", "id": "#0", "fields": {"title": "first"}},
        {"do": "change_event", "id": "#0", "fields": {"title": "second"}},
        {"do": "cancel_event", "id": "#1"},
    )[0]["id"]
    changed, newer = walk(simulator, token, syncToken=sync)
    assert [event["id"] for event in changed] == [added, before[0]["id"], before[1]["id"]]
    assert changed[1]["summary"] == "second"
    assert changed[1]["etag"] != before[0]["etag"]
    assert changed[2].keys() == {"kind", "etag", "id", "status"}
    for event in changed:
        discovery.check_named("Event", event)
    assert walk(simulator, token, syncToken=newer)[0] == []
    assert before[1]["id"] not in {event["id"] for event in walk(simulator, token)[0]}
    with_deleted, _ = walk(simulator, token, showDeleted="true")
    assert next(event for event in with_deleted if event["id"] == before[1]["id"])["status"] == "cancelled"


@pytest.mark.parametrize(("tombstones", "fields"), [("least", {"id", "status"}), ("full", None)])
def test_tombstones_say_as_much_as_the_switch_says(
    simulator: Simulator, account: str, token: str, tombstones: str, fields: set[str] | None, discovery: Discovery
) -> None:
    simulator.control("services", {"calendar": {"tombstones": tombstones}})
    _, sync = walk(simulator, token)
    simulator.edit(account, {"do": "cancel_event", "id": "#0"}, {"do": "cancel_instance", "id": "#9", "nth": 1})
    (gone, cancelled), _ = walk(simulator, token, syncToken=sync)
    assert gone["status"] == cancelled["status"] == "cancelled"
    assert cancelled.keys() >= {"recurringEventId", "originalStartTime"}
    assert (gone.keys() == fields) if fields else ("summary" in gone)
    discovery.check_named("Event", gone)


def test_exceptions_are_told_as_events_of_their_own(simulator: Simulator, account: str, token: str) -> None:
    _, sync = walk(simulator, token)
    series = case(simulator, account, "daily with a count")
    cancelled, moved = simulator.edit(
        account,
        {"do": "cancel_instance", "id": series["id"], "nth": 2},
        {"do": "move_instance", "id": series["id"], "nth": 3, "by_s": 7200, "fields": {"title": "Later"}},
    )
    changed, sync = walk(simulator, token, syncToken=sync)
    assert [event["id"] for event in changed] == [cancelled["id"], moved["id"]]
    assert [event["status"] for event in changed] == ["cancelled", "confirmed"]
    assert {event["recurringEventId"] for event in changed} == {series["id"]}
    assert changed[1]["originalStartTime"] != changed[1]["start"]
    _, page = get(simulator, f"{EVENTS}/{series['id']}/instances", token)
    assert len(page["items"]) == 9
    assert "Later" in {event["summary"] for event in page["items"]}
    simulator.edit(account, {"do": "delete_series", "id": series["id"]})
    gone, _ = walk(simulator, token, syncToken=sync)
    assert {event["id"] for event in gone} == {series["id"], cancelled["id"], moved["id"]}


def test_exceptions_end_in_silence_with_their_series_when_the_switch_says_so(
    simulator: Simulator, account: str, token: str
) -> None:
    simulator.control("services", {"calendar": {"exceptions_end_with_series": False}})
    _, sync = walk(simulator, token)
    series = case(simulator, account, "weekly until a time")
    simulator.edit(account, {"do": "delete_series", "id": series["id"]})
    assert [event["id"] for event in walk(simulator, token, syncToken=sync)[0]] == [series["id"]]


def test_a_moved_event_keeps_its_id_and_leaves_a_tombstone(simulator: Simulator, account: str, token: str) -> None:
    team = next(one["id"] for one in simulator.truth(account, "calendars") if one["key"] == "team0")
    _, here = walk(simulator, token)
    _, there = walk(simulator, token, events_path(team))
    series = case(simulator, account, "weekly until a time")
    simulator.edit(account, {"do": "move_event", "id": series["id"], "to": team})
    left, here = walk(simulator, token, syncToken=here)
    arrived, there = walk(simulator, token, events_path(team), syncToken=there)
    assert {event["status"] for event in left} == {"cancelled"}
    assert {event["id"] for event in left} == {event["id"] for event in arrived}
    assert arrived[0]["iCalUID"] == series["uid"]
    simulator.edit(account, {"do": "move_event", "calendar": team, "id": series["id"], "to": "primary"})
    back, _ = walk(simulator, token, syncToken=here)
    assert next(event for event in back if event["id"] == series["id"])["status"] == "confirmed"
    assert walk(simulator, token, events_path(team), syncToken=there)[0][-1]["status"] == "cancelled"


def test_what_changes_while_a_client_pages_is_told_by_its_next_sync(
    simulator: Simulator, account: str, token: str
) -> None:
    _, first = get(simulator, EVENTS, token, maxResults=20)
    simulator.edit(account, {"do": "change_event", "id": "#0", "fields": {"title": "late"}}, {"do": "add_event"})
    page = first
    while "nextSyncToken" not in page:
        _, page = get(simulator, EVENTS, token, maxResults=20, pageToken=page["nextPageToken"])
    changed, _ = walk(simulator, token, maxResults=20, syncToken=page["nextSyncToken"])
    assert changed[0]["id"] == first["items"][0]["id"]
    assert len(changed) == 2


def test_a_page_of_a_sync_is_reached_only_with_both_tokens(simulator: Simulator, account: str, token: str) -> None:
    _, sync = walk(simulator, token, maxResults=2)
    simulator.edit(account, *({"do": "change_event", "id": f"#{at}", "fields": {"title": "x"}} for at in range(5)))
    _, first = get(simulator, EVENTS, token, maxResults=2, syncToken=sync)
    assert get(simulator, EVENTS, token, maxResults=2, pageToken=first["nextPageToken"])[0] == 400
    both = {"syncToken": sync, "pageToken": first["nextPageToken"]}
    assert len(get(simulator, EVENTS, token, maxResults=2, **both)[1]["items"]) == 2


def test_an_expired_token_is_a_410_in_the_words_of_the_sheet(simulator: Simulator, account: str, token: str) -> None:
    _, sync = walk(simulator, token)
    simulator.edit(account, {"do": "expire_event_tokens", "calendar": "primary"})
    status, reply = get(simulator, EVENTS, token, syncToken=sync)
    message = "Sync token is no longer valid, a full sync is required."
    assert status == 410
    assert reply == {
        "error": {
            "errors": [
                {"domain": "calendar", "reason": "fullSyncRequired", "message": message, "locationType": "parameter",
                 "location": "syncToken"}
            ],
            "code": 410,
            "message": message,
        }
    }  # fmt: skip
    assert walk(simulator, token)[1] != sync


def test_tokens_expire_by_age_and_for_another_reason_when_the_switches_say_so(
    simulator: Simulator, account: str, token: str
) -> None:
    simulator.control("services", {"calendar": {"token_life_s": 3600, "gone_reason": "updatedMinTooLongAgo"}})
    _, sync = walk(simulator, token)
    assert get(simulator, EVENTS, token, syncToken=sync)[0] == 200
    simulator.advance(3500)
    token = simulator.grant(account, [AUTH + "calendar.readonly"])["access_token"]
    simulator.advance(200)
    status, reply = get(simulator, EVENTS, token, syncToken=sync)
    assert (status, legacy_reason(reply)) == (410, "updatedMinTooLongAgo")


def test_updated_min_gives_what_changed_since_and_reaches_back_a_month(
    simulator: Simulator, account: str, token: str
) -> None:
    now = simulator.control("clock")["now"]
    day = 86_400

    def text(at: float) -> str:
        return datetime.fromtimestamp(at, ZoneInfo("UTC")).isoformat()

    simulator.edit(account, {"do": "cancel_event", "id": "#0"}, {"do": "change_event", "id": "#1", "fields": {}})
    changed, sync = walk(simulator, token, updatedMin=text(now - 5))
    assert [event["status"] for event in changed] == ["cancelled", "confirmed"]
    assert sync == ""
    status, reply = get(simulator, EVENTS, token, updatedMin=text(now - 31 * day))
    assert (status, legacy_reason(reply)) == (410, "updatedMinTooLongAgo")


@pytest.mark.parametrize("single", [False, True])
def test_a_window_leaves_what_lies_in_it_and_the_sync_tells_also_of_what_does_not(
    simulator: Simulator, account: str, token: str, *, single: bool
) -> None:
    zone = ZoneInfo("UTC")
    low, high = datetime.fromtimestamp(EPOCH, zone), datetime.fromtimestamp(EPOCH + 10 * 86_400, zone)
    asked = {"timeMin": low.isoformat(), "timeMax": high.isoformat()} | ({"singleEvents": "true"} if single else {})
    found, sync = walk(simulator, token, **asked)
    truth = truth_of(simulator, account, account, "instances" if single else "events")
    home = ZoneInfo(simulator.truth(account, "calendars")[0]["zone"])

    def at(moment: dict[str, str]) -> datetime:
        text = moment.get("at") or moment["day"]
        return datetime.fromisoformat(text) if "at" in moment else datetime.fromisoformat(text).replace(tzinfo=home)

    inside = {key for key, one in truth.items() if at(one["start"]) < high and at(one["end"]) > low}
    ids = {event["id"] for event in found}
    series = {key for key, one in truth.items() if one["recurrence"]}
    assert ids - series == inside - series
    assert ids & series >= inside & series
    outside = case(simulator, account, "far ahead")["id"]
    simulator.edit(account, {"do": "change_event", "id": outside, "fields": {"title": "nearer"}})
    constant = {"singleEvents": "true"} if single else {}
    assert [event["id"] for event in walk(simulator, token, **constant, syncToken=sync)[0]] == [outside]
    simulator.control("services", {"calendar": {"token_keeps_window": True}})
    assert walk(simulator, token, **constant, syncToken=sync)[0] == []


def test_lists_can_be_searched_filtered_and_ordered_but_not_synced_from_then(
    simulator: Simulator, account: str, token: str
) -> None:
    found, sync = walk(simulator, token, q="weekly AUDITORS")
    assert ([event["summary"] for event in found], sync) == (["Weekly round with the auditors"], "")
    named = case(simulator, account, "same meeting in another calendar")
    assert [event["id"] for event in walk(simulator, token, iCalUID=named["uid"])[0]] == [named["id"]]
    owned = case(simulator, account, "own properties and attachments")
    asked = {"privateExtendedProperty": "crm=17", "sharedExtendedProperty": "deal=A-1"}
    assert [event["id"] for event in walk(simulator, token, **asked)[0]] == [owned["id"]]
    ordered, sync = walk(simulator, token, singleEvents="true", orderBy="startTime", maxResults=100)
    starts = [datetime.fromisoformat(event["start"]["dateTime"]) for event in ordered if "dateTime" in event["start"]]
    assert starts == sorted(starts)
    assert sync == ""
    latest, _ = walk(simulator, token, orderBy="updated")
    times = [event["updated"] for event in latest if "updated" in event]
    assert times == sorted(times)
    kinds, sync = walk(simulator, token, eventTypes=["outOfOffice", "focusTime"])
    assert {event.get("eventType") for event in kinds} == {"outOfOffice", "focusTime"}
    assert sync


def test_guests_are_cut_at_the_callers_wish(simulator: Simulator, account: str, token: str) -> None:
    named = case(simulator, account, "two hundred guests")
    _, event = get(simulator, f"{EVENTS}/{named['id']}", token, maxAttendees=10)
    assert [guest["email"] for guest in event["attendees"]] == [account]
    assert event["attendeesOmitted"] is True


def test_times_are_worded_in_the_zone_that_is_asked_for(simulator: Simulator, account: str, token: str) -> None:
    named = case(simulator, account, "arabic")
    _, event = get(simulator, f"{EVENTS}/{named['id']}", token, timeZone="Asia/Bangkok")
    assert event["start"]["dateTime"].endswith("+07:00")
    assert event["start"]["timeZone"] == named["start"]["zone"]
    assert instant_of(event["start"]) == named["start"]


def test_a_reader_sees_no_details_of_what_is_private_and_of_the_busy_only_times(
    simulator: Simulator, account: str, token: str
) -> None:
    lines = {one["role"]: one for one in simulator.truth(account, "calendars") if one["nature"] != "holiday"}
    shared, busy = lines["reader"], lines["freeBusyReader"]
    secret = {"title": "secret", "visibility": "private"}
    simulator.edit(
        account, {"do": "add_event", "calendar": shared["id"], "fields": secret},
        {"do": "add_event", "calendar": shared["id"], "fields": {"title": "open"}},
        {"do": "add_event", "calendar": busy["id"], "fields": {"title": "anything"}},
    )  # fmt: skip
    events, _ = walk(simulator, token, events_path(shared["id"]))
    assert ("summary" in events[-2], events[-2]["visibility"]) == (False, "private")
    assert events[-1]["summary"] == "open"
    owner = simulator.grant(shared["owner"], [AUTH + "calendar.readonly"])["access_token"]
    assert walk(simulator, owner, events_path(shared["id"]))[0][-2]["summary"] == "secret"
    times, _ = walk(simulator, token, events_path(busy["id"]))
    assert "anything" not in json.dumps(times)
    assert times[-1].keys() >= {"id", "start", "end", "status"}
    simulator.control("services", {"calendar": {"busy_times": "forbidden"}})
    status, reply = get(simulator, events_path(busy["id"]), token)
    assert (status, legacy_reason(reply)) == (403, "forbidden")


def test_a_calendar_that_two_accounts_see_changes_for_both(simulator: Simulator, account: str, token: str) -> None:
    shared = next(one for one in simulator.truth(account, "calendars") if one["key"] == "team1")
    owner = simulator.grant(shared["owner"], [AUTH + "calendar.readonly"])["access_token"]
    path = events_path(shared["id"])
    (_, mine), (_, theirs) = walk(simulator, token, path), walk(simulator, owner, path)
    assert mine != theirs
    simulator.edit(shared["owner"], {"do": "add_event", "calendar": shared["id"], "fields": {"title": "both"}})
    assert [event["summary"] for event in walk(simulator, token, path, syncToken=mine)[0]] == ["both"]
    assert [event["summary"] for event in walk(simulator, owner, path, syncToken=theirs)[0]] == ["both"]


def test_the_list_of_calendars_hides_what_is_hidden_and_its_sync_tells_all(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    shown, sync = walk(simulator, token, LINES)
    everything, _ = walk(simulator, token, LINES, showHidden="true", maxResults=2)
    assert len(everything) == len(shown) + 1
    hidden = next(line for line in everything if line.get("hidden"))
    assert hidden["id"].endswith("#holiday@group.v.calendar.google.com")
    assert {line["accessRole"] for line in walk(simulator, token, LINES, minAccessRole="owner")[0]} == {"owner"}
    assert all(line["id"] == account for line in shown if line.get("primary"))
    added = simulator.edit(
        account,
        {"do": "add_calendar", "title": "New", "zone": "Asia/Amman", "events": 3},
        {"do": "hide_calendar", "calendar": "errands0"},
        {"do": "remove_calendar", "calendar": "team1"},
        {"do": "rename_calendar", "calendar": "team0", "title": "Us"},
    )[0]["id"]
    changed, _ = walk(simulator, token, LINES, syncToken=sync)
    for line in changed:
        discovery.check_named("CalendarListEntry", line)
    assert changed[0]["id"] == added
    assert changed[1]["hidden"] is True
    assert changed[2].keys() == {"kind", "etag", "id", "deleted"}
    assert changed[3]["summaryOverride"] == "Us"
    assert len(walk(simulator, token, events_path(added))[0]) == 3
    for refused in ({"minAccessRole": "reader"}, {"showDeleted": "false"}, {"showHidden": "false"}):
        assert get(simulator, LINES, token, **refused, syncToken=sync)[0] == 400
    simulator.edit(account, {"do": "expire_calendar_tokens"})
    assert get(simulator, LINES, token, syncToken=sync)[0] == 410


def test_a_calendar_that_its_owner_deletes_is_gone_for_everybody(
    simulator: Simulator, account: str, token: str
) -> None:
    shared = next(one for one in simulator.truth(account, "calendars") if one["key"] == "team1")
    _, sync = walk(simulator, token, LINES)
    simulator.edit(shared["owner"], {"do": "remove_calendar", "calendar": "team1"})
    assert [line["id"] for line in walk(simulator, token, LINES, syncToken=sync)[0]] == [shared["id"]]
    assert get(simulator, events_path(shared["id"]), token)[0] == 404


def test_access_that_was_lost_is_a_404_and_another_role_ends_the_sync_token(
    simulator: Simulator, account: str, token: str
) -> None:
    shared = next(one["id"] for one in simulator.truth(account, "calendars") if one["key"] == "team1")
    _, lines = walk(simulator, token, LINES)
    _, sync = walk(simulator, token, events_path(shared))
    simulator.edit(account, {"do": "share_calendar", "calendar": shared, "role": "freeBusyReader"})
    assert walk(simulator, token, LINES, syncToken=lines)[0] == []
    assert get(simulator, events_path(shared), token, syncToken=sync)[0] == 410
    simulator.edit(account, {"do": "share_calendar", "calendar": shared, "role": "none"})
    status, reply = get(simulator, events_path(shared), token)
    assert (status, legacy_reason(reply)) == (404, "notFound")
    assert walk(simulator, token, LINES, syncToken=lines)[0][0]["deleted"] is True
    simulator.edit(account, {"do": "share_calendar", "calendar": shared, "role": "writer"})
    assert walk(simulator, token, LINES, syncToken=lines)[0][0]["accessRole"] == "writer"
    assert get(simulator, events_path("nobody@accounts.example"), token)[0] == 404


def test_what_is_deleted_is_gone_or_a_tombstone_for_who_asks_for_it(
    simulator: Simulator, account: str, token: str
) -> None:
    named = case(simulator, account, "thai")
    assert get(simulator, f"{EVENTS}/nosuchevent", token)[0] == 404
    simulator.edit(account, {"do": "cancel_event", "id": named["id"]})
    status, reply = get(simulator, f"{EVENTS}/{named['id']}", token)
    assert (status, legacy_reason(reply), reply["error"]["message"]) == (410, "deleted", "Resource has been deleted")
    simulator.control("services", {"calendar": {"get_deleted": "cancelled"}})
    assert get(simulator, f"{EVENTS}/{named['id']}", token)[1]["status"] == "cancelled"


def test_pages_may_be_empty_short_or_begin_with_what_was_there_before(
    simulator: Simulator, account: str, token: str
) -> None:
    whole = [event["id"] for event in walk(simulator, token)[0]]
    simulator.control("services", {"calendar": {"empty_pages": 2, "short_pages": 9, "repeated_items": 1}})
    found = list(pages(simulator, token, maxResults=20))
    assert [len(page["items"]) for page in found[:3]] == [0, 0, 9]
    assert found[3]["items"][0] == found[2]["items"][-1]
    assert list(dict.fromkeys(event["id"] for page in found for event in page["items"])) == whole
    simulator.control("services", {"calendar": {"omit_sync_token": True}})
    assert walk(simulator, token)[1] == walk(simulator, token, LINES)[1] == ""


def test_a_page_larger_than_the_largest_is_clamped_or_refused(simulator: Simulator, account: str, token: str) -> None:
    assert get(simulator, EVENTS, token, maxResults=9999)[0] == 200
    assert get(simulator, LINES, token, maxResults=9999)[0] == 200
    simulator.control("services", {"calendar": {"oversized_page": "reject"}})
    assert get(simulator, EVENTS, token, maxResults=2501)[0] == 400
    assert get(simulator, LINES, token, maxResults=251)[0] == 400


def test_scopes_open_what_they_name_and_nothing_else(simulator: Simulator, account: str) -> None:
    def token(*ends: str) -> str:
        return str(simulator.grant(account, [AUTH + end for end in ends])["access_token"])

    lines, events = token("calendar.calendarlist.readonly"), token("calendar.events.readonly")
    owned = token("calendar.events.owned.readonly")
    shared = next(one["id"] for one in simulator.truth(account, "calendars") if one["role"] == "reader")
    assert [get(simulator, path, lines)[0] for path in (LINES, EVENTS)] == [200, 403]
    assert [get(simulator, path, events)[0] for path in (LINES, EVENTS)] == [403, 200]
    assert [get(simulator, path, owned)[0] for path in (EVENTS, events_path(shared))] == [200, 403]
    status, reply = get(simulator, EVENTS, lines)
    assert (status, legacy_reason(reply)) == (403, "insufficientPermissions")
    status, reply = get(simulator, EVENTS)
    assert (status, legacy_reason(reply)) == (401, "authError")


@pytest.mark.parametrize(
    ("limit", "status", "reason"),
    [("calendar.user", 403, "userRateLimitExceeded"), ("calendar.project", 403, "rateLimitExceeded"),
     ("calendar.user", 429, "userRateLimitExceeded")],
)  # fmt: skip
def test_quota_is_refused_as_the_sheet_says(
    simulator: Simulator, token: str, limit: str, status: int, reason: str
) -> None:
    simulator.control("services", {"calendar": {"quota_status": status}})
    simulator.control("quota", {"scale": 1.0, "limits": {limit: 2}})
    assert [get(simulator, LINES, token)[0] for _ in range(3)] == [200, 200, status]
    _, reply = get(simulator, EVENTS, token)
    assert (legacy_reason(reply), reply["error"]["errors"][0]["domain"]) == (reason, "usageLimits")
    simulator.advance(61)
    assert get(simulator, EVENTS, token)[0] == 200


def test_published_quotas_are_those_of_the_sheet(simulator: Simulator) -> None:
    simulator.control("quota", {"scale": 1.0})
    quotas = simulator.control("counters")["quotas"]
    assert (quotas["calendar.user"]["limit"], quotas["calendar.project"]["limit"]) == (600, 10_000)


def test_official_client_batches_calls_and_each_counts(simulator: Simulator, account: str, token: str) -> None:
    google = official("calendar", "v3", simulator, token)
    ids = [*list(truth_of(simulator, account, account))[:3], "nosuchevent"]
    replies: dict[str, Any] = {}
    batch = google.new_batch_http_request(callback=lambda key, reply, error: replies.update({key: error or reply}))
    for event_id in ids:
        batch.add(google.events().get(calendarId="primary", eventId=event_id), request_id=event_id)
    batch.execute()
    assert [replies[event_id]["id"] for event_id in ids[:3]] == ids[:3]
    assert replies["nosuchevent"].status_code == 404
    entry = simulator.requests(path="/batch/calendar/v3")[0]
    assert [inner["status"] for inner in entry["inner"]] == [200, 200, 200, 404]
    assert sum(inner["quota_units"]["calendar.user"] for inner in entry["inner"]) == 4


def test_a_part_of_a_batch_may_bring_its_own_token_and_reaches_no_other_api(
    simulator: Simulator, account: str, token: str
) -> None:
    calls = {
        "own": f"GET {LINES.removeprefix('/www.googleapis.com')} HTTP/1.1\nAuthorization: Bearer {token}",
        "none": f"GET {LINES.removeprefix('/www.googleapis.com')}",
        "other": "GET /oauth2/v3/certs HTTP/1.1",
    }
    parts = [f"--b\nContent-Type: application/http\nContent-ID: <{key}>\n\n{call}\n\n" for key, call in calls.items()]
    headers = {"content-type": 'multipart/mixed; boundary="b"'}
    body = ("".join(parts) + "--b--").encode()
    status, raw = simulator.request("POST", "/www.googleapis.com/batch/calendar/v3", body, headers)
    statuses = [line.split()[1] for line in raw.decode().splitlines() if line.startswith("HTTP/1.1")]
    assert (status, statuses) == (200, ["200", "401", "404"])
    assert [f"<response-{key}>" in raw.decode() for key in calls] == [True] * 3


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/mixed; boundary=b", b"--b--\r\n"),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: application/http\r\n\r\nGET /x HTTP/1.1\r\n"),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\nGET /x HTTP/1.1\r\n\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: application/http\r\n\r\nnonsense\r\n\r\n--b--"),
        ("multipart/mixed; boundary=b",
         b"--b\r\nContent-Type: application/http\r\n\r\nGET /x HTTP/1.1\r\n\r\n" * 1001 + b"--b--"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_read_or_is_too_large_is_a_400(
    simulator: Simulator, token: str, content_type: str, body: bytes
) -> None:
    headers = {"authorization": f"Bearer {token}", "content-type": content_type}
    status, raw = simulator.request("POST", "/www.googleapis.com/batch/calendar/v3", body, headers)
    assert (status, legacy_reason(json.loads(raw))) == (400, "badRequest")


def test_warm_events_are_served_as_cold_ones_are(simulator: Simulator, account: str, token: str) -> None:
    cold, _ = walk(simulator, token)
    assert simulator.edit(account, {"do": "warm_events"}) == [{"warmed": len(cold)}]
    simulator.edit(account, {"do": "change_event", "id": "#0", "fields": {"title": "after"}})
    warm, _ = walk(simulator, token)
    assert warm[1:] == cold[1:]
    assert warm[0]["summary"] == "after"


def test_a_partial_response_has_only_what_was_asked_for(simulator: Simulator, token: str) -> None:
    _, page = get(simulator, EVENTS, token, maxResults=1, fields="nextPageToken,items(id,start/dateTime)")
    assert set(page) == {"items", "nextPageToken"}
    assert page["items"][0].keys() == {"id", "start"}


def random_edits(chance: random.Random, held: dict[str, dict[str, Any]], team: str) -> list[dict[str, Any]]:
    """A few edits of the primary calendar that can all be carried out, whatever went before."""
    edits: list[dict[str, Any]] = []
    singles = sorted(key for key, one in held.items() if one.get("recurrence") == [] and one["series"] is None)
    series = sorted(key for key, one in held.items() if one.get("recurrence"))
    for event_id in chance.sample(singles, 6):
        fields = {"title": f"Title {chance.random()}"}
        edits.append(
            chance.choice(
                [{"do": "change_event", "id": event_id, "fields": fields}, {"do": "cancel_event", "id": event_id},
                 {"do": "change_event", "id": event_id, "fields": {"start": "2026-12-24T18:00:00+00:00"}},
                 {"do": "change_event", "id": event_id, "fields": {"recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]}},
                 {"do": "move_event", "id": event_id, "to": team},
                 {"do": "add_event", "fields": {**fields, "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]}}]
            )
        )  # fmt: skip
    edits += [
        chance.choice(
            [{"do": "cancel_instance", "id": event_id, "nth": 1}, {"do": "delete_series", "id": event_id},
             {"do": "move_instance", "id": event_id, "nth": 0, "by_s": 86_400},
             {"do": "change_event", "id": event_id, "fields": {"recurrence": ["RRULE:FREQ=DAILY;COUNT=2"]}},
             {"do": "change_event", "id": event_id, "fields": {"recurrence": []}},
             {"do": "move_event", "id": event_id, "to": team}]
        )
        for event_id in chance.sample(series, min(4, len(series)))
    ]  # fmt: skip
    return edits


@pytest.mark.parametrize("seed", range(8))
def test_a_client_that_follows_syncs_holds_what_the_world_holds(
    simulator: Simulator, account: str, token: str, seed: int
) -> None:
    chance = random.Random(seed)
    simulator.control("services", {"calendar": {"exceptions_end_with_series": seed % 2 == 0, "empty_pages": seed % 3}})
    team = next(one["id"] for one in simulator.truth(account, "calendars") if one["key"] == "team0")
    asked = {"maxResults": chance.choice([1, 7, 2500])}
    full, sync = walk(simulator, token, **asked)
    held = {event["id"]: mirror(event) for event in full}
    for _ in range(4):
        simulator.edit(account, *random_edits(chance, held, team), {"do": "touch_events", "percent": 5})
        changed, sync = walk(simulator, token, **asked, syncToken=sync)
        apply_sync(held, changed)
        truth = truth_of(simulator, account, account)
        assert held == {key: mirror_of_truth(one) for key, one in truth.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_client_of_single_events_that_follows_syncs_holds_every_instance(
    simulator: Simulator, account: str, token: str, seed: int
) -> None:
    chance = random.Random(seed)
    team = next(one["id"] for one in simulator.truth(account, "calendars") if one["key"] == "team0")
    asked = {"maxResults": chance.choice([30, 2500]), "singleEvents": "true"}
    full, sync = walk(simulator, token, **asked)
    held = {event["id"]: mirror(event) for event in full}
    for _ in range(3):
        events = {key: mirror_of_truth(one) for key, one in truth_of(simulator, account, account).items()}
        simulator.edit(account, *random_edits(chance, events, team), {"do": "touch_events", "percent": 4})
        changed, sync = walk(simulator, token, **asked, syncToken=sync)
        for event in changed:
            if event["status"] == "cancelled":
                held.pop(event["id"], None)
            else:
                held[event["id"]] = mirror(event)
        truth = truth_of(simulator, account, account, "instances")
        assert held == {key: mirror_of_truth(one) for key, one in truth.items()}


def test_all_events_can_be_deleted_and_a_sync_tells_so(simulator: Simulator, account: str, token: str) -> None:
    _, sync = walk(simulator, token)
    simulator.edit(account, {"do": "delete_all_events"})
    gone, _ = walk(simulator, token, syncToken=sync)
    assert {event["status"] for event in gone} == {"cancelled"}
    assert walk(simulator, token)[0] == []
    counts = next(one["counts"] for one in simulator.accounts() if one["email"] == account)
    assert (counts["calendars"], counts["events"]) == (6, 0)


@pytest.mark.parametrize(
    "edit",
    [
        {"do": "add_event", "fields": {"colour": 1}},
        {"do": "add_event", "fields": {"recurrence": ["RRULE:FREQ=SECONDLY"]}},
        {"do": "add_event", "fields": {"start": "2026-12-01", "end": "2026-12-01T10:00:00Z"}},
        {"do": "add_event", "calendar": "nobody"}, {"do": "change_event", "id": "nothing", "fields": {}},
        {"do": "cancel_instance", "id": "#9", "nth": 99}, {"do": "remove_calendar", "calendar": "primary"},
        {"do": "move_event", "id": "#11", "to": "team0"}, {"do": "move_event", "id": "#0", "to": "primary"},
        {"do": "share_calendar", "calendar": "team1", "role": "king"},
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_is_refused_and_says_why(
    simulator: Simulator, account: str, edit: dict[str, Any]
) -> None:
    status, raw = simulator.request(
        "POST", "/_control/world", json.dumps({"account": account, "edits": [edit]}).encode()
    )
    assert status == 400
    assert json.loads(raw)["error"]


def test_of_a_hundred_thousand_events_only_those_that_are_asked_for_are_made_up() -> None:
    with Simulator.start(people=200, events=100_000, quota_scale=1000, epoch=EPOCH, accounts=1) as big:
        email = big.facts["accounts"][0]
        token = big.grant(email, [AUTH + "calendar.readonly"])["access_token"]
        ids: set[str] = set()
        place: dict[str, str] = {}
        for _ in range(4):
            _, page = get(big, EVENTS, token, maxResults=2500, **place)
            ids |= {event["id"] for event in page["items"]}
            place = {"pageToken": page["nextPageToken"]}
        assert len(ids) == 10_000

"""The calendar as the provider sheet tells of it: windows, series, rounds, removals, zones, and the SDK's models."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgraph.generated.models.calendar_collection_response import CalendarCollectionResponse
from msgraph.generated.models.event import Event
from msgraph.generated.models.event_collection_response import EventCollectionResponse
from msgraph.generated.users.item.calendar_view.delta.delta_get_response import DeltaGetResponse

from simulator.client import Simulator
from tests.simulator.calls import EPOCH
from tests.simulator.microsoft_calls import Graph
from tests.simulator.microsoft_models import parsed

VIEW = "/me/calendarView"
DELTA = VIEW + "/delta"
BIG = "odata.maxpagesize=200"
DAY = 86_400


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FIRST, LAST = EPOCH - 60 * DAY, EPOCH + 120 * DAY
WINDOW = {"startDateTime": at(FIRST), "endDateTime": at(LAST)}
START = datetime.fromtimestamp(EPOCH, UTC).date()


def day(number: int, time: str = "10:00:00") -> str:
    return f"{START + timedelta(days=number)}T{time}Z"


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["microsoft"]["accounts"][0])


@pytest.fixture
def graph(simulator: Simulator, account: str) -> Graph:
    return Graph(simulator, str(simulator.grant(account, ["Calendars.Read"])["access_token"]))


def seconds(moment: dict[str, str]) -> int:
    assert moment["timeZone"] == "UTC"
    whole, _, fraction = moment["dateTime"].partition(".")
    assert len(fraction) == 7
    return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())


def truly(simulator: Simulator, account: str, at_place: int = 0) -> dict[str, tuple[int, int]]:
    """What happens in the window of a calendar, by id; a whole day has no zone, so these have tests of their own."""
    found = {}
    calendar = simulator.truth(account, "calendars")[at_place]["id"]
    for one in simulator.truth(account, "occurrences"):
        if one["calendar_id"] != calendar:
            continue
        if one["starts_at"] < LAST and (one["ends_at"] > FIRST or one["starts_at"] == one["ends_at"] == FIRST):
            found[one["id"]] = (one["starts_at"], one["ends_at"])
    return found


def add(simulator: Simulator, account: str, **fields: Any) -> str:
    plain = {"guests": [], "organizer": None, "recurrence": [], "description": "", "visibility": "default"}
    return str(simulator.edit(account, {"do": "add_event", "fields": {**plain, **fields}})[0]["id"])


def series(simulator: Simulator, account: str, rule: str = "RRULE:FREQ=DAILY;COUNT=5") -> str:
    return add(simulator, account, title="Series", start=day(1), end=day(1, "11:00:00"), recurrence=[rule])


def test_a_first_round_tells_what_is_in_the_window_as_graph_s_own_model_reads_it(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    items, link = graph.walk(DELTA, BIG, **WINDOW)
    read = parsed({"value": items}, DeltaGetResponse).value or []
    masters = {one.id for one in read if one.type and one.type.value == "seriesMaster"}
    happening = {one["id"]: one for one in items if one["id"] not in masters}
    assert len(happening) + len(masters) == len(items)
    truth = truly(simulator, account)
    assert set(happening) == set(truth)
    assert len(truth) > 30
    for event_id, one in happening.items():
        begins = seconds(one["start"])
        assert begins == truth[event_id][0] or begins % DAY == 0  # A whole day begins at midnight, whatever the zone.
    assert {
        one["seriesMasterId"] for one in happening.values() if one["type"] in ("occurrence", "exception")
    } == masters
    assert graph.walk(link, BIG)[0] == []


def test_an_occurrence_comes_with_its_times_only_unless_the_switch_says_otherwise(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    master = series(simulator, account)
    items = [one for one in graph.walk(DELTA, BIG, **WINDOW)[0] if master in (one["id"], one.get("seriesMasterId"))]
    assert [one["type"] for one in items] == ["seriesMaster"] + ["occurrence"] * 5
    assert set(items[1]) == {"@odata.type", "@odata.etag", "id", "seriesMasterId", "type", "start", "end"}
    assert items[0]["recurrence"]["pattern"]["type"] == "daily"
    assert items[0]["recurrence"]["range"] | {"startDate": ""} == {
        "type": "numbered", "numberOfOccurrences": 5, "startDate": "", "endDate": "0001-01-01",
        "recurrenceTimeZone": items[0]["recurrence"]["range"]["recurrenceTimeZone"],
    }  # fmt: skip
    simulator.control("graph", {"occurrences": "whole"})
    items = [one for one in graph.walk(DELTA, BIG, **WINDOW)[0] if one.get("seriesMasterId") == master]
    assert all(one["subject"] == "Series" for one in items)


def test_a_single_event_says_everything(simulator: Simulator, account: str, graph: Graph) -> None:
    host = {"email": "host@tinroof.example", "name": "Host"}
    guests = [{"email": account, "answer": "tentative"}, {"email": "room@tinroof.example", "resource": True},
              {"email": "may@tinroof.example", "optional": True, "answer": "declined"}]  # fmt: skip
    event = add(
        simulator, account, title="ประชุม", start=day(3), end=day(3, "11:30:00"), location="Room 5", guests=guests,
        organizer=host, description="<p onclick='x'>Agenda</p>", visibility="private", busy=False, conference="meet",
    )  # fmt: skip
    entry = graph.get(f"/me/events/{event}")[1]
    read = parsed(entry, Event)
    assert (read.subject, read.type and read.type.value) == ("ประชุม", "singleInstance")
    assert seconds(entry["end"]) - seconds(entry["start"]) == 5_400
    assert [one["status"]["response"] for one in entry["attendees"]] == [
        "tentativelyAccepted", "notResponded", "declined",
    ]  # fmt: skip
    assert [one["type"] for one in entry["attendees"]] == ["required", "resource", "optional"]
    assert entry["organizer"]["emailAddress"] == {"name": "Host", "address": "host@tinroof.example"}
    assert (entry["isOrganizer"], entry["responseStatus"]["response"]) == (False, "tentativelyAccepted")
    assert (entry["sensitivity"], entry["showAs"], entry["isOnlineMeeting"]) == ("private", "free", True)
    assert entry["body"]["content"] == "<html><body><p>Agenda</p></body></html>"
    assert graph.get(f"/me/events/{event}", 'outlook.body-content-type="text"')[1]["body"]["content"] == "Agenda"


def test_times_come_in_the_preferred_zone_and_whole_days_stay_days(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    event = add(simulator, account, start=day(3), end=day(3, "11:00:00"))
    for zone in ("Asia/Bangkok", "SE Asia Standard Time"):
        start = graph.get(f"/me/events/{event}", f'outlook.timezone="{zone}"')[1]["start"]
        assert start == {"dateTime": day(3, "17:00:00").removesuffix("Z") + ".0000000", "timeZone": zone}
    assert graph.headers["preference-applied"] == 'outlook.timezone="SE Asia Standard Time"'
    assert graph.get(f"/me/events/{event}", 'outlook.timezone="Moon/Crater"')[0] == 400
    whole = add(simulator, account, start=str(START), end=str(START + timedelta(days=2)))
    entry = graph.get(f"/me/events/{whole}", 'outlook.timezone="Asia/Bangkok"')[1]
    assert entry["isAllDay"]
    assert [entry[name]["dateTime"][:11] for name in ("start", "end")] == [
        f"{START}T", f"{START + timedelta(days=2)}T",
    ]  # fmt: skip


def changed(graph: Graph, link: str) -> tuple[dict[str, str], str]:
    """What a later round tells by id: the type, or `removed`."""
    items, link = graph.walk(link, BIG)
    parsed({"value": items}, DeltaGetResponse)
    return {one["id"]: "removed" if "@removed" in one else one["type"] for one in items}, link


def test_a_later_round_tells_single_events_that_came_changed_and_went(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    kept, gone, away = (add(simulator, account, start=day(at), end=day(at, "11:00:00")) for at in (2, 3, 4))
    _, link = graph.walk(DELTA, BIG, **WINDOW)
    simulator.edit(
        account,
        {"do": "change_event", "id": kept, "fields": {"title": "New"}},
        {"do": "delete_event", "id": gone},
        {"do": "change_event", "id": away, "fields": {"start": day(300), "end": day(300, "11:00:00")}},
    )
    come = add(simulator, account, start=day(5), end=day(5, "11:00:00"))
    outside = add(simulator, account, start=day(400), end=day(400, "11:00:00"))
    told, link = changed(graph, link)
    assert told == {
        kept: "singleInstance", gone: "removed", away: "removed", come: "singleInstance", outside: "removed",
    }  # fmt: skip
    assert changed(graph, link)[0] == {}
    assert graph.get(f"/me/events/{gone}")[0] == 404


def test_a_series_that_is_changed_is_told_with_all_its_occurrences(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    master = series(simulator, account)
    items, link = graph.walk(DELTA, BIG, **WINDOW)
    before = [one["id"] for one in items if one.get("seriesMasterId") == master]
    simulator.edit(account, {"do": "change_event", "id": master, "fields": {"title": "Other"}})
    told, link = changed(graph, link)
    assert told == {master: "seriesMaster", **dict.fromkeys(before, "occurrence")}
    later = {"start": day(2, "15:00:00"), "end": day(2, "16:00:00")}
    simulator.edit(account, {"do": "change_event", "id": master, "fields": later})
    told, link = changed(graph, link)
    assert [one for one in told.items() if one[1] == "removed"] == [(one, "removed") for one in before]
    assert sorted(told.values()) == ["occurrence"] * 5 + ["removed"] * 5 + ["seriesMaster"]
    simulator.edit(account, {"do": "delete_event", "id": master})
    told, link = changed(graph, link)
    assert told[master] == "removed"
    assert set(told.values()) == {"removed"}
    assert len(told) >= 6


def test_an_exception_is_moved_cancelled_and_returns_to_its_series(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    master = series(simulator, account)
    items, link = graph.walk(DELTA, BIG, **WINDOW)
    second, third = [one["id"] for one in items if one.get("seriesMasterId") == master][1:3]
    simulator.edit(
        account,
        {"do": "move_instance", "id": master, "nth": 1, "by_s": 7_200, "fields": {"title": "Moved"}},
        {"do": "cancel_instance", "id": master, "nth": 2},
    )
    told, link = changed(graph, link)
    assert told == {master: "seriesMaster", second: "exception", third: "removed"}
    entry = graph.get(f"/me/events/{second}")[1]
    assert (entry["subject"], entry["type"], entry["seriesMasterId"]) == ("Moved", "exception", master)
    assert entry["originalStart"] == day(2)
    assert graph.get(f"/me/events/{third}")[0] == 404
    simulator.edit(account, {"do": "change_event", "id": second, "fields": {"start": day(300), "end": day(301)}})
    assert changed(graph, link)[0] == {second: "removed"}
    listed = graph.walk(f"/me/events/{master}/instances", **WINDOW)[0]
    assert {one["type"] for one in listed} == {"occurrence"}
    assert len(listed) == 3


def test_one_of_a_series_can_be_read_whole(simulator: Simulator, account: str, graph: Graph) -> None:
    master = series(simulator, account)
    one = next(one for one in graph.walk(DELTA, BIG, **WINDOW)[0] if one.get("seriesMasterId") == master)
    entry = graph.get(f"/me/events/{one['id']}")[1]
    parsed(entry, Event)
    assert (entry["type"], entry["subject"], entry["start"]) == ("occurrence", "Series", one["start"])
    assert entry["iCalUId"] == graph.get(f"/me/events/{master}")[1]["iCalUId"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"startDateTime": at(FIRST)},
        {"startDateTime": at(LAST), "endDateTime": at(FIRST)},
        {"startDateTime": "soon", "endDateTime": at(LAST)},
        {**WINDOW, "select": "subject"},
        {**WINDOW, "filter": "isAllDay eq true"},
        {**WINDOW, "orderby": "subject"},
        {**WINDOW, "expand": "instances"},
        {**WINDOW, "search": "x"},
        {**WINDOW, "top": "5"},
    ],
)
def test_a_round_refuses_what_it_does_not_support(graph: Graph, query: dict[str, str]) -> None:
    assert graph.get(DELTA, **query)[0] == 400


def test_the_window_is_part_of_the_link(simulator: Simulator, account: str, graph: Graph) -> None:
    _, link = graph.walk(DELTA, BIG, startDateTime=day(0), endDateTime=day(2))
    assert graph.get(link + "&endDateTime=" + day(9))[0] == 400
    event = add(simulator, account, start=day(5), end=day(5, "11:00:00"))
    assert changed(graph, link)[0] == {event: "removed"}


def test_an_expired_link_is_a_410(simulator: Simulator, account: str, graph: Graph) -> None:
    before, link = graph.walk(DELTA, BIG, **WINDOW)
    simulator.edit(account, {"do": "expire_event_links"})
    assert graph.get(link)[0] == 410
    assert len(graph.walk(DELTA, BIG, **WINDOW)[0]) == len(before)


def test_small_pages_cut_series_and_lose_nothing(simulator: Simulator, account: str, graph: Graph) -> None:
    series(simulator, account, "RRULE:FREQ=DAILY;COUNT=40")
    whole, link = graph.walk(DELTA, BIG, **WINDOW)
    small, _ = graph.walk(DELTA, "odata.maxpagesize=3", **WINDOW)
    assert [one["id"] for one in small] == [one["id"] for one in whole]
    simulator.edit(account, {"do": "touch_events", "percent": 30})
    assert [one["id"] for one in graph.walk(link, "odata.maxpagesize=3")[0]] == [
        one["id"] for one in graph.walk(link, BIG)[0]
    ]


def test_plain_views_and_lists_are_ordered_and_without_masters(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    items, _ = graph.walk(VIEW, **WINDOW)
    parsed({"value": items}, EventCollectionResponse)
    assert {one["id"] for one in items} == set(truly(simulator, account))
    starts = [one["start"]["dateTime"] for one in items]
    assert starts == sorted(starts)
    listed, _ = graph.walk("/me/events", top="100", select="type")
    assert {one["type"] for one in listed} == {"singleInstance", "seriesMaster"}
    page = parsed(graph.get("/me/calendars")[1], CalendarCollectionResponse)
    default, team, holidays = page.value or []
    assert [one.is_default_calendar for one in (default, team, holidays)] == [True, False, False]
    assert [one.can_edit for one in (default, team, holidays)] == [True, True, False]
    assert graph.walk(f"/me/calendars/{default.id}/events", top="100", select="type")[0] == listed


def test_every_calendar_has_rounds_of_its_own(simulator: Simulator, account: str, graph: Graph) -> None:
    team = graph.get("/me/calendars")[1]["value"][1]["id"]
    before, elsewhere = (
        graph.walk(f"/me{at}/calendarView/delta", BIG, **WINDOW)[1] for at in ("", f"/calendars/{team}")
    )
    items, link = graph.walk(f"/me/calendars('{team}')/calendarView/delta", "odata.maxpagesize=3", **WINDOW)
    assert {one["id"] for one in items if one["type"] != "seriesMaster"} == set(truly(simulator, account, 1))
    times = {"start": day(2), "end": day(2, "11:00:00"), "recurrence": []}
    event = simulator.edit(account, {"do": "add_event", "calendar": team, "fields": times})[0]["id"]
    assert changed(graph, link)[0] == {event: "singleInstance"} == changed(graph, elsewhere)[0]
    assert changed(graph, before)[0] == {}
    assert graph.get(before.replace("/me/", f"/me/calendars/{team}/"))[0] == 400
    assert graph.get(f"/me/events/{event}")[0] == graph.get(f"/me/calendars/{team}/events/{event}")[0] == 200
    default = graph.get("/me/calendar")[1]["id"]
    assert graph.get(f"/me/calendars/{default}/events/{event}")[0] == 404
    simulator.control("graph", {"rounds_of_calendars": "default"})
    assert graph.get(f"/me/calendars/{team}/calendarView/delta", **WINDOW)[0] == 400
    assert graph.get(f"/me/calendars/{default}/calendarView/delta", **WINDOW)[0] == 200


def test_a_calendar_comes_and_goes_with_its_events(simulator: Simulator, account: str, graph: Graph) -> None:
    added = simulator.edit(account, {"do": "add_calendar", "title": "Garden", "events": 7})[0]["id"]
    assert [one["name"] for one in graph.get("/me/calendars")[1]["value"]][3:] == ["Garden"]
    event = graph.get(f"/me/calendars/{added}/events")[1]["value"][0]["id"]
    simulator.edit(account, {"do": "remove_calendar", "calendar": "Garden"})
    assert [graph.get(f"/me/{path}")[0] for path in (f"calendars/{added}/events", f"events/{event}")] == [404, 404]
    assert len(graph.get("/me/calendars")[1]["value"]) == 3


def test_pages_of_the_instances_of_a_series_are_pages_of_these(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    master = series(simulator, account)
    listed, _ = graph.walk(f"/me/events/{master}/instances", top="2", **WINDOW)
    assert [one["seriesMasterId"] for one in listed] == [master] * 5


def test_immutable_ids_name_the_same_events(simulator: Simulator, account: str, graph: Graph) -> None:
    truth = {one["immutable_id"] for one in simulator.truth(account, "events") if one["type"] == "singleInstance"}
    items, _ = graph.walk(DELTA, f'{BIG}, IdType="ImmutableId"', **WINDOW)
    singles = {one["id"] for one in items if one["type"] == "singleInstance"}
    assert singles <= truth
    assert graph.get(f"/me/events/{singles.pop()}")[0] == 200


def test_every_event_of_the_seed_can_be_read_by_graph_s_own_model(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    truth = simulator.truth(account, "events")
    for one in truth:
        entry = graph.get(f"/me/events/{one['id']}")[1]
        read = parsed(entry, Event)
        assert read.subject == one["title"]
        assert read.type is not None
        assert read.type.value == one["type"]
        assert len(read.attendees or []) == sum(not guest["organizer"] for guest in one["guests"])
    assert {one["type"] for one in truth} == {"singleInstance", "seriesMaster", "exception"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_life_is_told_truly_round_by_round(
    simulator: Simulator, account: str, graph: Graph, seed: int
) -> None:
    draw = random.Random(seed)
    items, link = graph.walk(DELTA, BIG, **WINDOW)
    held = {one["id"]: one["type"] for one in items}
    mine = [series(simulator, account, "RRULE:FREQ=WEEKLY;COUNT=8") for _ in range(3)]

    def stir() -> dict[str, Any]:
        chosen = draw.choice(mine)
        moved = draw.randrange(-50, 100)
        times = {"start": day(moved), "end": day(moved, "12:00:00")}
        return draw.choice(
            [
                {
                    "do": "move_instance",
                    "id": chosen,
                    "nth": draw.randrange(8),
                    "by_s": draw.randrange(-9, 200) * 86_400,
                },
                {"do": "cancel_instance", "id": chosen, "nth": draw.randrange(8)},
                {"do": "change_event", "id": chosen, "fields": draw.choice([times, {"title": "x"}])},
                {"do": "touch_events", "percent": 10},
                {"do": "add_event", "fields": times},
                {
                    "do": "change_event",
                    "id": chosen,
                    "fields": {"recurrence": [f"RRULE:FREQ=DAILY;COUNT={8 + moved % 5}"]},
                },
            ]
        )

    for _ in range(10):
        simulator.edit(account, *(stir() for _ in range(draw.randrange(1, 5))))
        items, link = graph.walk(link, f"odata.maxpagesize={draw.choice([3, 20, 200])}")
        for one in items:
            if "@removed" in one:
                held.pop(one["id"], None)
            else:
                held[one["id"]] = one["type"]
        happening = {event_id for event_id, kind in held.items() if kind != "seriesMaster"}
        assert happening == set(truly(simulator, account))

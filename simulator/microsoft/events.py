"""The calendars: windows of one, plain or by delta rounds, and single events.

    /calendarView[/delta] · /events[/ID[/instances]] · /calendar[…]      the default calendar
    /calendars · /calendars/ID[…]                                        all of them, and the same of each one

An event is found by its id in whichever calendar it stands, unless the path names one. Nothing is written here: events
are changed through the control door.
Source: the provider sheet, sections 3.1, 3.3 and 3.5; rounds of a calendar that is not the default one:
https://learn.microsoft.com/en-us/graph/delta-query-events, read 2026-11-26.
"""

from dataclasses import replace
from typing import Any

import msgspec

from simulator.exchange import Reply
from simulator.microsoft import scopes
from simulator.microsoft.calendar_view import CalendarWindow, EventView, Window
from simulator.microsoft.calls import Call
from simulator.microsoft.delta import Round, Rounds
from simulator.microsoft.errors import bad_request, malformed_id, no_such_segment, not_found
from simulator.microsoft.event_edits import EventEdits
from simulator.microsoft.event_resource import PROPERTIES, check_zone
from simulator.microsoft.event_truth import calendars_truth, events_truth, occurrences_truth
from simulator.microsoft.ids import Ids
from simulator.microsoft.listing import kept, listed, single
from simulator.microsoft.service import Parts, Service
from simulator.microsoft.times import read_utc
from simulator.world.office import OfficeAccount
from simulator.world.office_calendars import OfficeCalendar

_WINDOW = ("startDateTime", "endDateTime")


def event_service(parts: Parts) -> Service:
    """Build the part."""
    world = parts.simulator.world
    ids = Ids(world.seed)
    return Service(
        name="calendar",
        scopes=scopes.CALENDARS,
        begins=frozenset({"calendarview", "events", "calendar", "calendars"}),
        handle=Events(parts, ids).handle,
        truth={
            "calendars": lambda account: calendars_truth(account, ids),
            "events": lambda account: events_truth(account, ids),
            "occurrences": lambda account: occurrences_truth(account, ids, world.epoch),
        },
        edits=EventEdits(world, ids).table,
        counts=_counts,
    )


def _counts(account: OfficeAccount) -> dict[str, int]:
    calendars = list(account.calendars.there())
    return {"calendars": len(calendars), "events": sum(one.calendar.alive for one in calendars)}


class Events:
    """Serves the calendars of every account."""

    def __init__(self, parts: Parts, ids: Ids) -> None:
        self._ids = ids
        self._switches = parts.access.switches
        self._rounds = Rounds(parts.simulator.mint, parts.access.switches, parts.simulator.clock.now)

    def handle(self, call: Call) -> Reply:
        """Serve a call.

        Raises: GraphError.
        """
        check_zone(call.preferences.time_zone)
        named, path = self._in_calendar(call)
        view = EventView(call, self._ids, self._switches, named or call.account.calendars.default)
        match path:
            case ("calendar",):
                return single(call, self._calendar_entry(call, view.entry_of_list), ("calendars",))
            case ("calendars",):
                call.only("$top", "$skip", "$select")
                there = call.account.calendars.there()
                entries = (msgspec.json.encode(self._calendar_entry(call, one)) for one in there)
                return listed(call, entries, ("calendars",))
            case ("calendarview",):
                return self._list(call, view, self._window(call), None)
            case ("calendarview", "delta"):
                return self._delta(call, view)
            case ("events",):
                return self._list(call, view, None, None)
            case ("events", event_id):
                return self._single(call, self._view_of(view, named, event_id), event_id)
            case ("events", event_id, "instances"):
                return self._list(call, self._view_of(view, named, event_id), self._window(call), event_id)
            case _:
                raise no_such_segment(call.path[-1])

    def _in_calendar(self, call: Call) -> tuple[OfficeCalendar | None, tuple[str, ...]]:
        """Return the calendar that a path names, if it names one, and the path without it.

        Raises: GraphError for one that there is not.
        """
        if call.path[:1] == ("calendar",) and len(call.path) > 1:
            return call.account.calendars.default, call.path[1:]
        if call.path[:1] != ("calendars",) or len(call.path) == 1:
            return None, call.path
        meant = self._ids.read("calendar", call.account, call.path[1])
        if meant is None:
            raise malformed_id()
        found = call.account.calendars.at(meant.number)
        if found.deleted:
            raise not_found()
        return found, call.path[2:] or ("calendar",)

    def _view_of(self, view: EventView, named: OfficeCalendar | None, event_id: str) -> EventView:
        """Return the view of the calendar in which an event stands.

        Raises: GraphError for an event that is in no calendar, or in another than the one that was named.
        """
        meant = self._ids.read_event(view.call.account, event_id)
        if meant is None:
            raise malformed_id()
        if meant.calendar.deleted or named not in (None, meant.calendar):
            raise not_found()
        return replace(view, entry_of_list=meant.calendar)

    def _calendar_entry(self, call: Call, entry: OfficeCalendar) -> dict[str, Any]:
        account = call.account
        return {
            "id": self._ids.of_calendar(account, entry),
            "name": entry.calendar.title,
            "color": "auto",
            "isDefaultCalendar": entry is account.calendars.default,
            "changeKey": "AAAAAA==",
            "canShare": entry.editable,
            "canViewPrivateItems": True,
            "canEdit": entry.editable,
            "owner": {"name": account.display_name, "address": account.email},
        }

    def _window(self, call: Call) -> Window:
        """Return the window in seconds since 1970.

        Raises: GraphError 400 for one that is missing, cannot be read or ends before it begins.
        """
        found = []
        for name in _WINDOW:
            if name not in call.query:
                raise bad_request(f"This request requires a time window: '{name}' is missing.", "ErrorInvalidParameter")
            try:
                found.append(int(read_utc(call.query[name])))
            except ValueError:
                raise bad_request(f"Invalid value of '{name}'.", "ErrorInvalidParameter") from None
        if found[1] <= found[0]:
            raise bad_request("The window ends before it begins.", "ErrorInvalidParameter")
        return found[0], found[1]

    def _delta(self, call: Call, view: EventView) -> Reply:
        default = view.entry_of_list is call.account.calendars.default
        if self._switches.rounds_of_calendars == "default" and not default:
            raise bad_request("Change tracking is not supported against 'microsoft.graph.event' of this calendar.")
        name = f"events of {self._ids.of_calendar(call.account, view.entry_of_list)}"
        collection = CalendarWindow(name=name, path=self._path(view, "calendarView"), view=view)
        one = self._rounds.continued(call, collection.name)
        if one is None:
            self._rounds.fitting(call, *_WINDOW)
            log = collection.log
            one = Round(
                of=collection.name, generation=log.generation, since=None, until=log.last, window=self._window(call)
            )
        return self._rounds.page(call, collection, one)

    def _list(self, call: Call, view: EventView, window: Window | None, series_id: str | None) -> Reply:
        call.only("$top", "$skip", "$select", "$orderby", *(_WINDOW if window else ()))
        chosen = call.select(PROPERTIES, "event")
        there = [one for one in view.calendar.from_number(0) if not one.deleted and one.series is None]
        if series_id is not None:
            there = [self._item(call, view, series_id)]
        entries = [
            entry
            for item in there
            for entry in ([view.entry(item)] if window is None else view.expanded(item, window, masters=False))
        ]
        if window is not None:
            entries.sort(key=lambda entry: entry["start"]["dateTime"])
        query = {name: call.query[name] for name in _WINDOW if name in call.query}
        last = ("events", f"'{series_id}'", "instances") if series_id else ("calendarView" if window else "events",)
        return listed(call, (msgspec.json.encode(kept(one, chosen)) for one in entries), self._path(view, *last), query)

    def _path(self, view: EventView, *last: str) -> tuple[str, ...]:
        """Return where something of a calendar stands, after /me."""
        if view.entry_of_list is view.call.account.calendars.default:
            return last
        return ("calendars", f"'{self._ids.of_calendar(view.call.account, view.entry_of_list)}'", *last)

    def _single(self, call: Call, view: EventView, event_id: str) -> Reply:
        call.only("$select", "$expand")
        chosen = call.select(PROPERTIES, "event")
        return single(call, kept(self._entry(call, view, event_id), chosen), ("events",))

    def _item(self, call: Call, view: EventView, event_id: str) -> Any:
        meant = self._ids.read_event(call.account, event_id)
        if meant is None:
            raise malformed_id()
        item = view.calendar.at(meant.number)
        if item.deleted:
            raise not_found()
        return item

    def _entry(self, call: Call, view: EventView, event_id: str) -> dict[str, Any]:
        item = self._item(call, view, event_id)
        meant = self._ids.read_event(call.account, event_id)
        if meant is None or not meant.stamp:
            return view.entry(item)
        calendar = view.calendar
        found = next((one for one in calendar.exceptions(item) if calendar.original(one).stamp == meant.stamp), None)
        if found is not None and not found.deleted:
            if found.cancelled:
                raise not_found()
            return view.entry(found)
        stands = calendar.instance(f"{calendar.identity(item)}_{meant.stamp}")
        if stands is None:
            raise not_found()
        return view.instance(item, stands[1], whole=True)

"""What a window of a calendar holds, and what delta rounds tell of it.

    single event ─▶ itself        series ─▶ its master · one entry for each occurrence in the window · its exceptions

A round's window cannot slide: it is part of the token. What leaves the window is told as removed, and so may be what
never was in it.
Source: the provider sheet, sections 3.3 and 3.5.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.microsoft.calls import Call
from simulator.microsoft.delta import Round, Told, removal
from simulator.microsoft.event_resource import event, occurrence
from simulator.microsoft.ids import Ids
from simulator.microsoft.switches import GraphSwitches
from simulator.world.calendars import Calendar, Event
from simulator.world.changes import ChangeLog
from simulator.world.event_facts import EventFacts, shifted
from simulator.world.moments import At
from simulator.world.office_calendars import OfficeCalendar

Window = tuple[int, int]
_UID = "040000008200E00074C5B7101A82E008"
_TYPED = {"@odata.type": "#microsoft.graph.event"}


@dataclass(frozen=True, slots=True)
class EventView:
    """The events of one calendar of an account as one call wants to see them."""

    call: Call
    ids: Ids
    switches: GraphSwitches
    entry_of_list: OfficeCalendar

    @property
    def calendar(self) -> Calendar:
        """The calendar itself."""
        return self.entry_of_list.calendar

    def id_of(self, number: int, stamp: str = "") -> str:
        """Return the id of an event, or of one of a series."""
        immutable = self.call.preferences.immutable_ids
        return self.ids.of_event(self.call.account, self.entry_of_list, number, stamp, immutable=immutable)

    def entry(self, item: Event) -> dict[str, Any]:
        """Return a single event, a master or an exception whole."""
        facts, series = self.calendar.facts(item), self._series(item)
        original = self.calendar.original(item) if series is not None else None
        return event(
            self.call.account, item, facts, self.call.preferences,
            event_id=self.id_of(item.number) if original is None or series is None
            else self.id_of(series.number, original.stamp),
            uid=self._uid(series or item),
            master_id=None if series is None else self.id_of(series.number),
            kind="exception" if series else "seriesMaster" if facts.recurrence else "singleInstance",
            original_at=None if original is None else original.instant(self.calendar.zone),
        )  # fmt: skip

    def instance(self, series: Event, original: At, *, whole: bool) -> dict[str, Any]:
        """Return one of a series as its rules have it."""
        facts = shifted(self.calendar.facts(series), original)
        event_id, master_id = self.id_of(series.number, original.stamp), self.id_of(series.number)
        if not whole:
            return occurrence(series, facts, self.call.preferences, event_id=event_id, master_id=master_id)
        return event(
            self.call.account, series, facts, self.call.preferences, event_id=event_id, uid=self._uid(series),
            master_id=master_id, kind="occurrence",
        )  # fmt: skip

    def overlaps(self, facts: EventFacts, window: Window) -> bool:
        """Say whether an event is in a window, in part."""
        begins, ends = (at.instant(self.calendar.zone) for at in (facts.start, facts.end))
        return begins < window[1] and (ends > window[0] or begins == ends == window[0])

    def originals(self, series: Event, window: Window) -> list[At]:
        """Return where a series stands in a window by its rules, without its exceptions."""
        facts = self.calendar.facts(series)
        return [
            one.original
            for one in self.calendar.instances(series, window[1])
            if one.exception is None and self.overlaps(shifted(facts, one.original), window)
        ]

    def exceptions(self, series: Event, window: Window) -> list[Event]:
        """Return the exceptions of a series that are in a window."""
        return [
            one
            for one in self.calendar.exceptions(series)
            if not one.deleted and not one.cancelled and self.overlaps(self.calendar.facts(one), window)
        ]

    def expanded(self, item: Event, window: Window, *, masters: bool) -> list[dict[str, Any]]:
        """Return what stands in a window for a single event or a series."""
        facts = self.calendar.facts(item)
        if not facts.recurrence:
            return [self.entry(item)] if self.overlaps(facts, window) else []
        whole = self.switches.occurrences == "whole" or not masters
        found = [self.instance(item, one, whole=whole) for one in self.originals(item, window)]
        found += [self.entry(one) for one in self.exceptions(item, window)]
        return [self.entry(item), *found] if found and masters else found

    def told(self, item: Event, window: Window) -> list[bytes]:
        """Return what a later round tells of an event that changed."""
        series = self._series(item)
        if series is not None:
            return self._exception_told(series, item, window)
        removed = [stamp for stamp in self._former(item, window) if stamp]
        if item.deleted:
            facts = self.calendar.facts(item)
            removed += [one.stamp for one in self.originals(item, window)] if facts.recurrence else []
            gone = [removal(self.id_of(item.number), "event")]
            return gone + [removal(self.id_of(item.number, one), "event") for one in dict.fromkeys(removed)]
        entries = self.expanded(item, window, masters=True)
        there = {one["id"] for one in entries}
        gone_ids = [self.id_of(item.number, stamp) for stamp in removed]
        if not entries:
            gone_ids.insert(0, self.id_of(item.number))
        return [removal(one, "event") for one in gone_ids if one not in there] + [written(one) for one in entries]

    def _exception_told(self, series: Event, item: Event, window: Window) -> list[bytes]:
        original = self.calendar.original(item)
        event_id = self.id_of(series.number, original.stamp)
        if item in self.exceptions(series, window) and not series.deleted:
            return [written(self.entry(series)), written(self.entry(item))]
        stands = item.deleted and not series.deleted and original in self.originals(series, window)
        return [written(self.instance(series, original, whole=False))] if stands else [removal(event_id, "event")]

    def _former(self, item: Event, window: Window) -> list[str]:
        """Return where a series stood in a window before its times were changed."""
        length = self.calendar.facts(item).start.until(self.calendar.facts(item).end)
        zone = self.calendar.zone
        return [
            stamp
            for stamp, at in item.former.items()
            if at.instant(zone) < window[1] and at.instant(zone) + length >= window[0]
        ]

    def _series(self, item: Event) -> Event | None:
        return None if item.series is None else self.calendar.at(item.series)

    def _uid(self, item: Event) -> str:
        known = self.calendar.facts(item).uid
        return known or _UID + hashlib.sha256(self.calendar.identity(item).encode()).hexdigest()[:48].upper()


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """The events of a window, as a collection for rounds."""

    name: str
    path: Sequence[str]
    view: EventView

    type_name = "event"

    @property
    def log(self) -> ChangeLog[int]:
        """The calendar's log."""
        return self.view.calendar.log

    def whole(self, _call: Call, one: Round) -> Iterator[Told]:
        """Go through the window."""
        window = _window(one)
        after = (0, -1) if one.after is None else tuple(one.after)
        for item in self.view.calendar.from_number(after[0]):
            if item.deleted or item.series is not None:
                continue
            for at, entry in enumerate(self.view.expanded(item, window, masters=True)):
                if (item.number, at) > after:
                    yield (item.number, at), written(entry)

    def changed(self, _call: Call, one: Round) -> Iterator[Told]:
        """Go through what became of events that changed, whether they are in the window or not."""
        after = (one.since or 0, 1 << 30) if one.after is None else tuple(one.after)
        for number, event_number in self.log.between(after[0] - 1, one.until):
            if (number, 1 << 30) <= after:
                continue
            for at, entry in enumerate(self.view.told(self.view.calendar.at(event_number), _window(one))):
                if (number, at) > after:
                    yield (number, at), entry

    def removed(self, _call: Call) -> Iterator[bytes]:
        """Go through events that are gone."""
        for item in self.view.calendar.from_number(0):
            if item.deleted and item.series is None:
                yield removal(self.view.id_of(item.number), "event")


def written(entry: dict[str, Any]) -> bytes:
    """Return an entry of a round as JSON."""
    return msgspec.json.encode({**_TYPED, **entry})


def _window(one: Round) -> Window:
    return (0, 0) if one.window is None else (one.window[0], one.window[1])

"""What the calendars of an account really hold, as the control door tells it.

    calendars     each one that is there              events   single events, series and exceptions, as they are kept
    occurrences   whatever happens within a year, one of a series each by itself

Every event and occurrence names its calendar.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.clock import DAY_S
from simulator.microsoft.ids import Ids
from simulator.world.calendars import Event, shown
from simulator.world.event_facts import EventFacts, shifted
from simulator.world.office import OfficeAccount
from simulator.world.office_calendars import OfficeCalendar

_SPAN_S = 365 * DAY_S


def calendars_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return the calendars that were not removed, the default one first."""
    return [
        {
            "id": ids.of_calendar(account, entry),
            "title": entry.calendar.title,
            "default": entry is account.calendars.default,
            "editable": entry.editable,
            "events": entry.calendar.alive,
        }
        for entry in account.calendars.there()
    ]


def events_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return the single events, the series and their exceptions that are there, cancelled ones left out."""
    return [
        _event(account, ids, entry, item)
        for entry in account.calendars.there()
        for item in entry.calendar.from_number(0)
        if not item.deleted and not item.cancelled
    ]


def occurrences_truth(account: OfficeAccount, ids: Ids, epoch: float) -> list[dict[str, Any]]:
    """Return whatever happens within a year of the world's first day, one of a series each by itself."""
    first, last = int(epoch - _SPAN_S), int(epoch + _SPAN_S)
    found = []
    for entry in account.calendars.there():
        zone = entry.calendar.zone
        for number, stamp, facts in _happening(entry, last):
            if first <= facts.start.instant(zone) < last:
                named = _named(account, ids, entry, number, stamp)
                found.append({**named, **_times(facts, zone), "title": facts.title})
    return found


def _happening(entry: OfficeCalendar, last: int) -> Iterator[tuple[int, str, EventFacts]]:
    """Go through single events and those of series: the number, the stamp, and what it says."""
    calendar = entry.calendar
    for item in calendar.from_number(0):
        if item.deleted or item.series is not None:
            continue
        facts = calendar.facts(item)
        if not facts.recurrence:
            yield item.number, "", facts
            continue
        for one in calendar.instances(item, last + 400 * 86_400):
            if one.exception is None:
                yield item.number, one.original.stamp, shifted(facts, one.original)
            elif not one.exception.cancelled:
                yield item.number, one.original.stamp, calendar.facts(one.exception)


def _event(account: OfficeAccount, ids: Ids, entry: OfficeCalendar, item: Event) -> dict[str, Any]:
    calendar, facts = entry.calendar, entry.calendar.facts(item)
    number, stamp = item.number, ""
    if item.series is not None:
        number, stamp = item.series, calendar.original(item).stamp
    return {
        **shown(facts),
        **_named(account, ids, entry, number, stamp),
        **_times(facts, calendar.zone),
        "number": item.number,
        "version": item.version,
        "type": "exception" if stamp else "seriesMaster" if facts.recurrence else "singleInstance",
        "start": msgspec.to_builtins(facts.start),
        "end": msgspec.to_builtins(facts.end),
    }


def _named(account: OfficeAccount, ids: Ids, entry: OfficeCalendar, number: int, stamp: str) -> dict[str, Any]:
    return {
        "id": ids.of_event(account, entry, number, stamp, immutable=False),
        "immutable_id": ids.of_event(account, entry, number, stamp, immutable=True),
        "calendar_id": ids.of_calendar(account, entry),
        "series_id": ids.of_event(account, entry, number, "", immutable=False) if stamp else None,
    }


def _times(facts: EventFacts, zone: str) -> dict[str, Any]:
    return {"starts_at": facts.start.instant(zone), "ends_at": facts.end.instant(zone)}

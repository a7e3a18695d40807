"""How the Calendar API takes its place in the family: its addresses, the truth about calendars and events, switches.

What tests may edit is in `calendar_edits.py`.
"""

from collections.abc import Iterator
from typing import Any

from simulator.exchange import Reply, Request
from simulator.google.batch import serve_batch
from simulator.google.calendar_api import HOST, PATH, Calendar
from simulator.google.calendar_edits import CalendarEdits
from simulator.google.calendar_names import calendar_id
from simulator.google.event_resource import ical_uid, sight_of
from simulator.google.service import Parts, Service
from simulator.switching import switch
from simulator.world import Account
from simulator.world.calendar_lists import Entry
from simulator.world.calendars import Event, shown
from simulator.world.event_cases import HARD_CASES
from simulator.world.event_facts import EventFacts, shifted
from simulator.world.moments import At, utc_text

BATCH_PATH = "/batch/calendar/v3"
BATCH_LIMIT = 1_000
_DAY_S = 86_400


def calendar_service(parts: Parts) -> Service:
    """Build the service."""
    world = parts.simulator.world
    calendar = Calendar(world, parts.simulator.mint, parts.access)

    def handle(request: Request) -> Reply:
        if request.path == BATCH_PATH and not request.inner:
            return serve_batch(parts.simulator, request, most=BATCH_LIMIT, within=PATH)
        return calendar.handle(request)

    def instances(account: Account) -> list[dict[str, Any]]:
        before = int(world.epoch) + calendar.switches.single_events_days * _DAY_S
        return [one for entry in account.calendars.there() for one in _instances(entry, before)]

    return Service(
        name="calendar",
        prefixes=((HOST, PATH), (HOST, BATCH_PATH)),
        style="legacy",
        handle=handle,
        truth={
            "calendars": lambda account: [_entry_truth(entry) for entry in account.calendars.there()],
            "primary_events": lambda account: list(_events(account.calendars.primary)),
            "events": lambda account: [one for entry in account.calendars.there() for one in _events(entry)],
            "instances": instances,
        },
        edits=CalendarEdits(world, calendar).table,
        counts=_counts,
        switches=lambda changes: switch(calendar.switches, changes),
    )


def _counts(account: Account) -> dict[str, int]:
    entries = list(account.calendars.there())
    return {"calendars": len(entries), "events": account.calendars.primary.calendar.alive}


def _entry_truth(entry: Entry) -> dict[str, Any]:
    calendar = entry.calendar
    return {
        "id": calendar_id(calendar),
        "key": calendar.key,
        "title": calendar.title,
        "listed_as": entry.listed_as,
        "description": calendar.description,
        "zone": calendar.zone,
        "role": entry.role,
        "primary": calendar.nature == "primary" and entry.role == "owner",
        "nature": calendar.nature,
        "hidden": entry.hidden,
        "selected": entry.selected,
        "owner": calendar.owner.email,
        "events": calendar.alive,
    }


def _events(entry: Entry) -> Iterator[dict[str, Any]]:
    """Go through what a list of the calendar without a token holds: single events, series and all exceptions."""
    for item in entry.calendar.from_number(0):
        if not item.deleted:
            yield _truth(entry, item, entry.calendar.facts(item), entry.calendar.identity(item))


def _instances(entry: Entry, before: int) -> Iterator[dict[str, Any]]:
    """Go through what a list of single events holds."""
    calendar = entry.calendar
    for item in calendar.from_number(0):
        if item.deleted or item.cancelled:
            continue
        facts = calendar.facts(item)
        if not facts.recurrence:
            yield _truth(entry, item, facts, calendar.identity(item))
            continue
        for one in calendar.instances(item, before):
            if one.exception is None:
                words = _truth(entry, item, shifted(facts, one.original), calendar.instance_id(item, one.original))
                yield words | {"series_id": calendar.identity(item), "original_start": _moment(one.original)}


def _truth(entry: Entry, item: Event, facts: EventFacts, event_id: str) -> dict[str, Any]:
    calendar = entry.calendar
    sight = sight_of(entry.role)
    hides = sight == "times" or (sight != "all" and facts.visibility in {"private", "confidential"})
    series = calendar.at(item.series) if item.series is not None else None
    case = HARD_CASES[item.number].name if calendar.nature == "primary" and item.number < len(HARD_CASES) else None
    return {
        **shown(facts),
        "calendar_id": calendar_id(calendar),
        "id": event_id,
        "uid": ical_uid(calendar, item, facts),
        "number": item.number,
        "version": item.version,
        "case": case,
        "status": "cancelled" if item.cancelled else facts.status,
        "start": _moment(facts.start),
        "end": _moment(facts.end),
        "all_day": facts.start.day is not None,
        "series_id": calendar.identity(series) if series else None,
        "original_start": _moment(calendar.original(item)) if series else None,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "role": entry.role,
        "details_hidden": hides,
    }


def _moment(at: At) -> dict[str, str]:
    """Return a moment as tests compare it: a day, or an instant in UTC and the zone that the event gives."""
    return {"day": at.day} if at.day is not None else {"at": utc_text(at), "zone": at.zone}

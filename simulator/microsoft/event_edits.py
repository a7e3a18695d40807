"""What tests may do to events, and what the world really holds.

`id` is an event's id of either family, `#number`, or its title; one of a series is named by its own id, or as `nth`.
"""

from typing import Any

import msgspec

from simulator.clock import DAY_S
from simulator.microsoft.ids import Ids
from simulator.microsoft.service import Edit
from simulator.world import World
from simulator.world.calendars import Calendar, Event, shown
from simulator.world.event_facts import EventFacts, shifted
from simulator.world.moments import At, utc_text
from simulator.world.office import OfficeAccount

_FOREVER = 1 << 40
_SPAN_S = 365 * DAY_S


class EventEdits:
    """The edits by name; every one takes the account and the edit as it was given."""

    def __init__(self, world: World, ids: Ids) -> None:
        self._now = world.clock.now
        self._ids = ids
        self.table: dict[str, Edit] = {
            "add_event": self._add,
            "change_event": self._change,
            "delete_event": self._delete,
            "cancel_event": self._delete,
            "cancel_instance": self._cancel_instance,
            "move_instance": self._move_instance,
            "delete_all_events": self._delete_all,
            "touch_events": lambda account, given: {
                "touched": account.calendar.touch(float(given["percent"]), self._now())
            },
            "expire_event_links": self._expire,
        }

    def _add(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        fields, count = given.get("fields", {}), int(given.get("count", 1))
        added = [account.calendar.add(fields, self._now()) for _ in range(count)]
        return self._named(account, [(one.number, "") for one in added])

    def _change(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        item, original = self._found(account, str(given["id"]))
        if original is not None:
            account.calendar.depart(item, original, given["fields"], self._now())
        else:
            account.calendar.change(item, given["fields"], self._now())
        return self._named(account, [(item.number, original.stamp if original else "")])

    def _delete(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        references = given.get("ids", [given.get("id", "")])
        for reference in references:
            item, original = self._found(account, str(reference))
            if original is not None:
                account.calendar.depart(item, original, None, self._now())
            else:
                account.calendar.delete(item, self._now())
        return {"deleted": len(references)}

    def _cancel_instance(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        series, original = self._nth(account, given)
        account.calendar.depart(series, original, None, self._now())
        return self._named(account, [(series.number, original.stamp)])

    def _move_instance(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        series, original = self._nth(account, given)
        fields = dict(given.get("fields", {}))
        if "by_s" in given:
            moved = original.moved(int(given["by_s"]))
            fields["start"] = moved.day or {"at": utc_text(moved), "zone": moved.zone}
        account.calendar.depart(series, original, fields, self._now())
        return self._named(account, [(series.number, original.stamp)])

    def _delete_all(self, account: OfficeAccount, _given: dict[str, Any]) -> dict[str, Any]:
        there = [item for item in account.calendar.from_number(0) if not item.deleted and item.series is None]
        for item in there:
            account.calendar.delete(item, self._now())
        return {"deleted": len(there)}

    def _expire(self, account: OfficeAccount, _given: dict[str, Any]) -> dict[str, Any]:
        account.calendar.log.expire()
        return {"expired": 1}

    def _nth(self, account: OfficeAccount, given: dict[str, Any]) -> tuple[Event, At]:
        series, _ = self._found(account, str(given["id"]))
        for at, one in enumerate(account.calendar.instances(series, _FOREVER)):
            if at == int(given["nth"]):
                return series, one.original
        raise ValueError("The series has no such occurrence.")

    def _found(self, account: OfficeAccount, reference: str) -> tuple[Event, At | None]:
        """Return an event, and which of a series is meant when the id is that of one.

        Raises: KeyError when there is none.
        """
        meant, calendar = self._ids.read("event", account, reference), account.calendar
        if meant is None:
            return calendar.find(reference), None
        item = calendar.at(meant.number)
        if not meant.stamp:
            return item, None
        for one in calendar.instances(item, _FOREVER):
            if one.original.stamp == meant.stamp:
                return item, one.original
        raise KeyError(reference)

    def _named(self, account: OfficeAccount, meant: list[tuple[int, str]]) -> dict[str, Any]:
        usual = [self._ids.of_event(account, number, stamp, immutable=False) for number, stamp in meant]
        lasting = [self._ids.of_event(account, number, stamp, immutable=True) for number, stamp in meant]
        return {"id": usual[0], "ids": usual, "immutable_id": lasting[0], "immutable_ids": lasting}


def events_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return the single events, the series and their exceptions that are there, cancelled ones left out."""
    calendar = account.calendar
    return [
        _shown(account, ids, calendar, item, calendar.facts(item))
        for item in calendar.from_number(0)
        if not item.deleted and not item.cancelled
    ]


def occurrences_truth(account: OfficeAccount, ids: Ids, epoch: float) -> list[dict[str, Any]]:
    """Return whatever happens within a year of the world's first day, one of a series each by itself."""
    calendar = account.calendar
    first, last = int(epoch - _SPAN_S), int(epoch + _SPAN_S)
    found = []
    for item in calendar.from_number(0):
        if item.deleted or item.series is not None:
            continue
        facts = calendar.facts(item)
        if not facts.recurrence:
            found.append((item.number, "", facts))
            continue
        for one in calendar.instances(item, last + 400 * 86_400):
            if one.exception is None:
                found.append((item.number, one.original.stamp, shifted(facts, one.original)))
            elif not one.exception.cancelled:
                found.append((item.number, one.original.stamp, calendar.facts(one.exception)))
    plain: list[dict[str, Any]] = [
        {
            "id": ids.of_event(account, number, stamp, immutable=False),
            "immutable_id": ids.of_event(account, number, stamp, immutable=True),
            "title": facts.title,
            "starts_at": facts.start.instant(calendar.zone),
            "ends_at": facts.end.instant(calendar.zone),
        }
        for number, stamp, facts in found
    ]
    return [one for one in plain if first <= one["starts_at"] < last]


def _shown(account: OfficeAccount, ids: Ids, calendar: Calendar, item: Event, facts: EventFacts) -> dict[str, Any]:
    number, stamp = item.number, ""
    if item.series is not None:
        number, stamp = item.series, calendar.original(item).stamp
    return {
        **shown(facts),
        "id": ids.of_event(account, number, stamp, immutable=False),
        "immutable_id": ids.of_event(account, number, stamp, immutable=True),
        "number": item.number,
        "version": item.version,
        "type": "exception" if stamp else "seriesMaster" if facts.recurrence else "singleInstance",
        "series_id": ids.of_event(account, number, "", immutable=False) if stamp else None,
        "starts_at": facts.start.instant(calendar.zone),
        "ends_at": facts.end.instant(calendar.zone),
        "start": msgspec.to_builtins(facts.start),
        "end": msgspec.to_builtins(facts.end),
    }

"""What tests may do to calendars and their events.

`id` is an event's id of either family, `#number`, or its title; one of a series is named by its own id, or as `nth`.
An id says in which calendar it is; for all else that is `calendar` (an id or a title), or the default one.
"""

from typing import Any

from simulator.microsoft.ids import Ids
from simulator.microsoft.service import Edit
from simulator.world import World
from simulator.world.calendars import Event
from simulator.world.moments import At, utc_text
from simulator.world.office import OfficeAccount
from simulator.world.office_calendars import OfficeCalendar

_FOREVER = 1 << 40


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
            "touch_events": self._touch,
            "expire_event_links": self._expire,
            "add_calendar": self._add_calendar,
            "remove_calendar": self._remove_calendar,
        }

    def _add(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        fields, count, entry = given.get("fields", {}), int(given.get("count", 1)), self._calendar(account, given)
        added = [entry.calendar.add(fields, self._now()) for _ in range(count)]
        return self._named(account, entry, [(one.number, "") for one in added])

    def _change(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        entry, item, original = self._found(account, given, str(given["id"]))
        if original is not None:
            entry.calendar.depart(item, original, given["fields"], self._now())
        else:
            entry.calendar.change(item, given["fields"], self._now())
        return self._named(account, entry, [(item.number, original.stamp if original else "")])

    def _delete(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        references = given.get("ids", [given.get("id", "")])
        for reference in references:
            entry, item, original = self._found(account, given, str(reference))
            if original is not None:
                entry.calendar.depart(item, original, None, self._now())
            else:
                entry.calendar.delete(item, self._now())
        return {"deleted": len(references)}

    def _cancel_instance(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        entry, series, original = self._nth(account, given)
        entry.calendar.depart(series, original, None, self._now())
        return self._named(account, entry, [(series.number, original.stamp)])

    def _move_instance(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        entry, series, original = self._nth(account, given)
        fields = dict(given.get("fields", {}))
        if "by_s" in given:
            moved = original.moved(int(given["by_s"]))
            fields["start"] = moved.day or {"at": utc_text(moved), "zone": moved.zone}
        entry.calendar.depart(series, original, fields, self._now())
        return self._named(account, entry, [(series.number, original.stamp)])

    def _delete_all(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        calendar = self._calendar(account, given).calendar
        there = [item for item in calendar.from_number(0) if not item.deleted and item.series is None]
        for item in there:
            calendar.delete(item, self._now())
        return {"deleted": len(there)}

    def _touch(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        calendar = self._calendar(account, given).calendar
        return {"touched": calendar.touch(float(given["percent"]), self._now())}

    def _expire(self, account: OfficeAccount, _given: dict[str, Any]) -> dict[str, Any]:
        entries = list(account.calendars.there())
        for entry in entries:
            entry.calendar.log.expire()
        return {"expired": len(entries)}

    def _add_calendar(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        entry = account.calendars.add(str(given["title"]), int(given.get("events", 0)))
        return {"id": self._ids.of_calendar(account, entry)}

    def _remove_calendar(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        entry = self._calendar(account, given)
        if entry is account.calendars.default:
            raise ValueError("The default calendar cannot be removed.")
        entry.deleted = True
        return {"id": self._ids.of_calendar(account, entry)}

    def _calendar(self, account: OfficeAccount, given: dict[str, Any]) -> OfficeCalendar:
        if "calendar" not in given:
            return account.calendars.default
        meant = self._ids.read("calendar", account, str(given["calendar"]))
        calendars = account.calendars
        return calendars.titled(str(given["calendar"])) if meant is None else calendars.at(meant.number)

    def _nth(self, account: OfficeAccount, given: dict[str, Any]) -> tuple[OfficeCalendar, Event, At]:
        entry, series, _ = self._found(account, given, str(given["id"]))
        for at, one in enumerate(entry.calendar.instances(series, _FOREVER)):
            if at == int(given["nth"]):
                return entry, series, one.original
        raise ValueError("The series has no such occurrence.")

    def _found(
        self, account: OfficeAccount, given: dict[str, Any], reference: str
    ) -> tuple[OfficeCalendar, Event, At | None]:
        """Return an event with its calendar, and which of a series is meant when the id is that of one.

        Raises: KeyError when there is none.
        """
        meant = self._ids.read_event(account, reference)
        if meant is None:
            entry = self._calendar(account, given)
            return entry, entry.calendar.find(reference), None
        calendar = meant.calendar.calendar
        item = calendar.at(meant.number)
        if not meant.stamp:
            return meant.calendar, item, None
        for one in calendar.instances(item, _FOREVER):
            if one.original.stamp == meant.stamp:
                return meant.calendar, item, one.original
        raise KeyError(reference)

    def _named(self, account: OfficeAccount, entry: OfficeCalendar, meant: list[tuple[int, str]]) -> dict[str, Any]:
        usual = [self._ids.of_event(account, entry, number, stamp, immutable=False) for number, stamp in meant]
        lasting = [self._ids.of_event(account, entry, number, stamp, immutable=True) for number, stamp in meant]
        return {"id": usual[0], "ids": usual, "immutable_id": lasting[0], "immutable_ids": lasting}

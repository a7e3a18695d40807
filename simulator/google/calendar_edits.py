"""What tests may do to calendars and their events.

Every edit takes the account and the edit as it was given; `calendar` is a calendar's id, its key, or `primary`, which
is the default; `id` is an event's id, `#number` or its title. Any calendar that the account sees can be edited, as if
its owner had done it, and a calendar that several accounts see changes for all of them.
"""

from typing import Any

import msgspec

from simulator.google.calendar_api import Calendar as CalendarApi
from simulator.google.calendar_names import calendar_id, find_entry
from simulator.google.service import Edit
from simulator.world import Account, World
from simulator.world.calendar_lists import Entry, Role
from simulator.world.calendars import Calendar, Event
from simulator.world.moments import At, moment, utc_text

_FOREVER = 1 << 40


class CalendarEdits:
    """The edits by name."""

    def __init__(self, world: World, api: CalendarApi) -> None:
        self._world = world
        self._now = world.clock.now
        self._api = api
        self.table: dict[str, Edit] = {
            "add_event": self._add,
            "change_event": self._change,
            "cancel_event": self._cancel,
            "delete_series": self._cancel,
            "cancel_instance": self._cancel_instance,
            "move_instance": self._move_instance,
            "move_event": self._move,
            "delete_all_events": self._delete_all,
            "touch_events": self._touch,
            "add_calendar": self._add_calendar,
            "remove_calendar": self._remove_calendar,
            "hide_calendar": self._hide_calendar,
            "rename_calendar": self._rename_calendar,
            "share_calendar": self._share_calendar,
            "expire_event_tokens": self._expire,
            "expire_calendar_tokens": self._expire_list,
            "warm_events": self._warm,
        }

    def _add(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar = _entry(account, given).calendar
        added = [
            calendar.identity(calendar.add(given.get("fields", {}), self._now(), given.get("id")))
            for _ in range(int(given.get("count", 1)))
        ]
        return {"id": added[0] if added else None, "ids": added}

    def _change(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar = _entry(account, given).calendar
        item = self._item(calendar, given["id"], given["fields"])
        return {"id": calendar.identity(item)}

    def _item(self, calendar: Calendar, reference: str, fields: dict[str, object]) -> Event:
        """Change an event; one of a series that was named by its id becomes an exception."""
        instance = None if calendar.by_id(reference) else calendar.instance(reference)
        if instance is not None:
            return calendar.depart(*instance, fields, self._now())
        item = calendar.find(reference)
        calendar.change(item, fields, self._now())
        return item

    def _cancel(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar = _entry(account, given).calendar
        references = given.get("ids", [given.get("id", "")])
        for reference in references:
            instance = None if calendar.by_id(reference) else calendar.instance(reference)
            if instance is not None:
                calendar.depart(*instance, None, self._now())
            else:
                calendar.delete(calendar.find(reference), self._now())
        return {"cancelled": len(references)}

    def _cancel_instance(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar = _entry(account, given).calendar
        series = calendar.find(given["id"])
        original = _original(calendar, series, given)
        item = calendar.depart(series, original, None, self._now())
        return {"id": calendar.identity(item), "original_start": original.stamp}

    def _move_instance(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar = _entry(account, given).calendar
        series = calendar.find(given["id"])
        original = _original(calendar, series, given)
        fields = dict(given.get("fields", {}))
        if "by_s" in given:
            moved = original.moved(int(given["by_s"]))
            fields["start"] = moved.day or {"at": utc_text(moved), "zone": moved.zone}
        item = calendar.depart(series, original, fields, self._now())
        return {"id": calendar.identity(item), "original_start": original.stamp}

    def _move(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar, other = _entry(account, given).calendar, _entry(account, {"calendar": given["to"]}).calendar
        item = calendar.hand_over(calendar.find(given["id"]), other, self._now())
        return {"id": other.identity(item), "calendar": calendar_id(other)}

    def _delete_all(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        calendar = _entry(account, given).calendar
        there = [item for item in calendar.from_number(0) if not item.deleted and item.series is None]
        for item in there:
            calendar.delete(item, self._now())
        return {"deleted": len(there)}

    def _touch(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        return {"touched": _entry(account, given).calendar.touch(float(given["percent"]), self._now())}

    def _add_calendar(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        entry = account.calendars.add(
            str(given.get("title", "Calendar")), str(given.get("zone", "UTC")), int(given.get("events", 0)), self._now()
        )
        entry.role = msgspec.convert(given.get("role", "owner"), Role)
        return {"id": calendar_id(entry.calendar), "key": entry.calendar.key}

    def _remove_calendar(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        """Take a calendar off the account's list; one that the account owns is gone for everybody.

        Raises: ValueError for the primary one.
        """
        entry = _entry(account, given)
        if entry is account.calendars.primary:
            raise ValueError("Nobody can remove their primary calendar; delete_all_events clears it.")
        key = entry.calendar.key
        losing = self._world.accounts if entry.role == "owner" else [account]
        for one in losing:
            if one.calendars.has(key):
                one.calendars.remove(one.calendars.keyed(key), self._now())
        return {"removed": calendar_id(entry.calendar)}

    def _hide_calendar(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        hidden = bool(given.get("hidden", True))
        account.calendars.hide(_entry(account, given), self._now(), hidden=hidden)
        return {"hidden": hidden}

    def _rename_calendar(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        account.calendars.rename(_entry(account, given), str(given["title"]), self._now())
        return {"listed_as": given["title"]}

    def _share_calendar(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        """Give the account another role; `none` ends the sharing, and a role on a removed calendar brings it back."""
        entry = _entry(account, given, also_removed=True)
        if given["role"] != "none":
            role = msgspec.convert(given["role"], Role)
            account.calendars.share(entry, role, self._now(), told=bool(given.get("told", False)))
        elif self._api.switches.lost_access_told:
            account.calendars.remove(entry, self._now())
        else:
            entry.deleted = True
        return {"role": given["role"]}

    def _expire(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        entries = [_entry(account, given)] if "calendar" in given else list(account.calendars.every())
        for entry in entries:
            entry.calendar.log.expire()
        return {"expired": len(entries)}

    def _expire_list(self, account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        account.calendars.log.expire()
        return {"expired": 1}

    def _warm(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        return {"warmed": self._api.events.warm(_entry(account, given))}


def _entry(account: Account, given: dict[str, Any], *, also_removed: bool = False) -> Entry:
    name = str(given.get("calendar", "primary"))
    found = find_entry(account.calendars, name, also_removed=also_removed)
    if found is None:
        found = next((one for one in account.calendars.every() if one.calendar.key == name), None)
    if found is None or (found.deleted and not also_removed):
        raise KeyError(name)
    return found


def _original(calendar: Calendar, series: Event, given: dict[str, Any]) -> At:
    """Return which of a series is meant: `nth` from 0, as its rules say, or `original`, the moment where it stood.

    Raises: ValueError when there is none.
    """
    wanted = moment(given["original"], calendar.zone).stamp if "original" in given else None
    for at, one in enumerate(calendar.instances(series, _FOREVER)):
        if at == given.get("nth", -1) or one.original.stamp == wanted:
            return one.original
    raise ValueError("The series has no such occurrence.")

"""How Google names calendars: by address, with `primary` for one's own."""

from functools import lru_cache

from simulator.world.calendar_lists import CalendarList, Entry
from simulator.world.calendars import Calendar
from simulator.world.dice import Dice


def calendar_id(calendar: Calendar) -> str:
    """Return a calendar's id."""
    if calendar.nature == "primary":
        return calendar.owner.email
    if calendar.nature == "holiday":
        return f"{calendar.key}#holiday@group.v.calendar.google.com"
    return _group_address(calendar.ground.seed, calendar.ground.book)


@lru_cache(maxsize=10_000)
def _group_address(seed: int, book: int) -> str:
    return f"c_{Dice(seed, 37, book).hex(32)}@group.calendar.google.com"


def find_entry(calendars: CalendarList, name: str, *, also_removed: bool = False) -> Entry | None:
    """Find a line of an account's list by the calendar's id or by `primary`."""
    if name == "primary" and (also_removed or not calendars.primary.deleted):
        return calendars.primary
    entries = calendars.every() if also_removed else calendars.there()
    return next((entry for entry in entries if calendar_id(entry.calendar) == name), None)

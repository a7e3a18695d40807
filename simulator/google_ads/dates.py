"""Days in queries: literals, ranges by name, the periods that statistics are cut into, and how far back they reach.

Pure; days are ordinals, a range has both its ends.
Source: https://developers.google.com/google-ads/api/docs/query/date-ranges, read 2026-11-23; the sheet, section 8.4.
"""

import calendar
import re
from collections.abc import Callable
from datetime import date
from functools import cache

Range = tuple[int, int]
REACH_MONTHS = 37
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


def read_day(text: str) -> int | None:
    """Return the day that a literal names, None when it names none."""
    if not _ISO.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        return None


@cache
def shown(day: int) -> str:
    """Return a day as the API writes it."""
    return date.fromordinal(day).isoformat()


def months_before(day: int, months: int) -> int:
    """Return the day so many months earlier, the last of its month where the month is too short."""
    at = date.fromordinal(day)
    count = at.year * 12 + at.month - 1 - months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(at.day, calendar.monthrange(year, month + 1)[1])).toordinal()


def week_of(day: int) -> int:
    """Return the Monday."""
    return day - (day + 6) % 7


def month_of(day: int) -> int:
    """Return the first day of the month."""
    return date.fromordinal(day).replace(day=1).toordinal()


def quarter_of(day: int) -> int:
    """Return the first day of the quarter."""
    at = date.fromordinal(day)
    return date(at.year, (at.month - 1) // 3 * 3 + 1, 1).toordinal()


def _month_end(day: int) -> int:
    return months_before(month_of(day), -1) - 1


STARTS: dict[str, Callable[[int], int]] = {
    "date": lambda day: day,
    "week": week_of,
    "month": month_of,
    "quarter": quarter_of,
}
ENDS: dict[str, Callable[[int], int]] = {
    "date": lambda day: day,
    "week": lambda day: day + 6,
    "month": _month_end,
    "quarter": lambda day: months_before(day, -3) - 1,
}


def during(word: str, today: int) -> Range | None:
    """Return the range that a word means, None for a word that means none."""
    found = _DURING.get(word.upper())
    return None if found is None else found(today)


def _last_month(today: int) -> Range:
    end = month_of(today) - 1
    return month_of(end), end


_DURING: dict[str, Callable[[int], Range]] = {
    "TODAY": lambda today: (today, today),
    "YESTERDAY": lambda today: (today - 1, today - 1),
    "LAST_7_DAYS": lambda today: (today - 7, today - 1),
    "LAST_14_DAYS": lambda today: (today - 14, today - 1),
    "LAST_30_DAYS": lambda today: (today - 30, today - 1),
    "LAST_BUSINESS_WEEK": lambda today: (week_of(today) - 7, week_of(today) - 3),
    "LAST_WEEK_MON_SUN": lambda today: (week_of(today) - 7, week_of(today) - 1),
    "LAST_WEEK_SUN_SAT": lambda today: (week_of(today + 1) - 8, week_of(today + 1) - 2),
    "THIS_WEEK_MON_TODAY": lambda today: (week_of(today), today),
    "THIS_WEEK_SUN_TODAY": lambda today: (week_of(today + 1) - 1, today),
    "THIS_MONTH": lambda today: (month_of(today), today),
    "LAST_MONTH": _last_month,
}

"""How a series of Outlook repeats, in the lines of RFC 5545 that other calendars use. Pure.

    Graph's pattern and range ─▶ RRULE ─▶ the days that it gives ─┐
    the days on which Graph shows the series ─────────────────────┴▶ EXDATE (not shown) · RDATE (shown beside the rule)

Graph's rule is not all: a day that was taken out of a series is told nowhere, it is just no longer shown. And a rule
can mean something else here and there (the 31st of a short month). So the rule is held against what is shown within
the window, and corrected: there, the lines give the days that Graph gives.

Source: providers/microsoft-linkedin.md §3.5 (read 2026-11);
https://learn.microsoft.com/graph/api/resources/patternedrecurrence
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import date as Date  # noqa: N812 - as in worker.records
from typing import Final

import msgspec
from dateutil.rrule import rrulestr

from worker.connectors.windows_zones import zone_called
from worker.errors import BadRecord
from worker.records import Event

_DAYS: Final = {
    "sunday": "SU", "monday": "MO", "tuesday": "TU", "wednesday": "WE", "thursday": "TH", "friday": "FR",
    "saturday": "SA",
}  # fmt: skip
_PLACES: Final = {"first": "1", "second": "2", "third": "3", "fourth": "4", "last": "-1"}
_MARK_BYTES: Final = 4
_CLOCKS: Final = timedelta(days=2)
"""More than any clock is ahead of UTC or behind it."""
MOST_YEARS: Final = 30
"""A series that began longer ago is not held against what is shown: to count its days would take too long."""


class Pattern(msgspec.Struct, rename="camel"):
    """How it repeats."""

    type: str
    interval: int = 1
    month: int = 0
    day_of_month: int = 0
    days_of_week: list[str] = []
    first_day_of_week: str = "sunday"
    index: str = "first"


class Range(msgspec.Struct, rename="camel"):
    """How long it repeats, by days in the zone of the series."""

    type: str
    end_date: Date | None = None
    number_of_occurrences: int = 0
    recurrence_time_zone: str | None = None


class Recurrence(msgspec.Struct):
    """Graph's `patternedRecurrence`."""

    pattern: Pattern
    range: Range


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when a series was looked at, in UTC; what begins just then is beyond the end."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Beginning:
    """When the first event of a series begins: on its own clock, without zone. Whole days have no zone."""

    local: datetime
    zone: tzinfo
    all_day: bool

    def moment(self, local: datetime) -> datetime:
        """The moment in UTC at which its clock shows `local`; a whole day is no moment, and stays as it is."""
        return local if self.all_day else local.replace(tzinfo=self.zone).astimezone(UTC)

    def stands_for(self, moment: datetime) -> datetime:
        """What a moment in UTC is to the series: the moment, or the whole day."""
        return datetime.combine(day_of(moment, self.zone), datetime.min.time()) if self.all_day else moment


def day_of(moment: datetime, zone: tzinfo) -> Date:
    """The day that a moment in UTC stands for: a whole day's midnight is given in no zone, or in the event's own."""
    return moment.date() if not (moment.hour or moment.minute) else moment.astimezone(zone).date()


def lines_of(series: Recurrence, begins: Beginning, shown: Iterable[datetime], span: Span) -> tuple[str, ...]:
    """The lines of a series. `shown` are the moments in UTC at which its events begin, or began before they were moved.

    Raises:
        BadRecord: nobody can say how it repeats.
    """
    rule = rule_of(series.pattern)
    try:
        lines = [f"RRULE:{rule}{_end(series.range, begins, written=True)}"]
        first, last = begins.stands_for(span.first), begins.stands_for(span.last)
        if begins.moment(begins.local) < first - timedelta(days=366 * MOST_YEARS):
            return tuple(lines)
        given = rrulestr(f"{rule}{_end(series.range, begins, written=False)}", dtstart=begins.local)
        near = (bound.replace(tzinfo=None) for bound in (first - _CLOCKS, last + _CLOCKS))
        # Held together as moments: a clock shows some hours twice a year, and others never.
        by_rule = {day for day in map(begins.moment, given.between(*near, inc=True)) if first <= day < last}
        told = {day for day in map(begins.stands_for, shown) if first <= day < last}
        lines += _days("EXDATE", by_rule - told, begins)
        lines += _days("RDATE", told - by_rule, begins)
    except (ValueError, OverflowError):
        raise BadRecord("a recurrence that gives no days") from None
    return tuple(lines)


def has_days(event: Event, span: Span) -> bool:
    """Whether an event in our form is a series that has days in a span, by its own lines."""
    starts = event.starts
    if not event.recurrence or starts is None:
        return False
    first, last = span.first, span.last
    if starts.at is not None:
        start = starts.at.astimezone(zone_called(starts.time_zone) or UTC)
    elif starts.date is not None:
        start = datetime.combine(starts.date, datetime.min.time())
        first, last = first.replace(tzinfo=None), last.replace(tzinfo=None)
    else:
        return False
    if start.year < span.first.year - MOST_YEARS:
        return False
    by_rule = (
        day.astimezone(UTC) if day.tzinfo else day
        for line in event.recurrence
        if line.startswith("RRULE")
        for day in rrulestr(line, dtstart=start).between(first, last, inc=True)
    )
    # Held together as moments: an hour that a clock shows twice is equal to none in another zone.
    days = set(by_rule) - set(_read_days("EXDATE", event.recurrence)) | set(_read_days("RDATE", event.recurrence))
    return any(first <= day < last for day in days)


def marks_of(days: Iterable[str]) -> bytes:
    """Marks of days by their ids: short, as a cursor may have thousands; two that are the same cost a look in vain."""
    return b"".join(hashlib.blake2b(day.encode(), digest_size=_MARK_BYTES).digest() for day in days)


def having_any(days: Sequence[str], marks: Mapping[str, bytes]) -> list[str]:
    """The series of which any of `days` is a day, by the marks that were made of theirs."""
    wanted = {marks_of([day]) for day in days}
    return [series for series, found in marks.items() if not wanted.isdisjoint(_cut(found))] if wanted else []


def _cut(marks: bytes) -> Iterator[bytes]:
    return (marks[start : start + _MARK_BYTES] for start in range(0, len(marks), _MARK_BYTES))


def rule_of(pattern: Pattern) -> str:
    """The rule without its end.

    Raises:
        BadRecord: it is of a kind that nobody knows, or says something that cannot be.
    """
    days = ",".join(_named(_DAYS, day) for day in pattern.days_of_week)
    on_day, in_month = f";BYMONTHDAY={pattern.day_of_month}", f";BYMONTH={pattern.month}"
    match pattern.type.lower():
        case "daily":
            rule = "FREQ=DAILY"
        case "weekly":
            rule = f"FREQ=WEEKLY;BYDAY={days};WKST={_named(_DAYS, pattern.first_day_of_week)}"
        case "absolutemonthly":
            rule = f"FREQ=MONTHLY{on_day}"
        case "relativemonthly":
            rule = f"FREQ=MONTHLY;BYDAY={days};BYSETPOS={_named(_PLACES, pattern.index)}"
        case "absoluteyearly":
            rule = f"FREQ=YEARLY{in_month}{on_day}"
        case "relativeyearly":
            rule = f"FREQ=YEARLY{in_month};BYDAY={days};BYSETPOS={_named(_PLACES, pattern.index)}"
        case _:
            raise BadRecord("a recurrence of an unknown kind")
    needs_days = "BYDAY" in rule and not days
    needs_day = on_day in rule and not 1 <= pattern.day_of_month <= 31
    needs_month = in_month in rule and not 1 <= pattern.month <= 12
    if needs_days or needs_day or needs_month or not 1 <= pattern.interval <= 999:
        raise BadRecord("a recurrence that cannot be")
    return rule if pattern.interval == 1 else f"{rule};INTERVAL={pattern.interval}"


def _named(names: dict[str, str], name: str) -> str:
    found = names.get(name.lower())
    if found is None:
        raise BadRecord("a recurrence on an unknown day")
    return found


def _end(range_: Range, begins: Beginning, *, written: bool) -> str:
    """The end of a rule: as it is written, in UTC, or by the series' own clock."""
    match range_.type.lower():
        case "numbered":
            return f";COUNT={max(1, range_.number_of_occurrences)}"
        case "enddate" if range_.end_date:
            last = datetime.combine(range_.end_date, datetime.max.time())
            if written and begins.all_day:
                return f";UNTIL={last:%Y%m%d}"
            if written:
                return f";UNTIL={begins.moment(last.replace(microsecond=0)):%Y%m%dT%H%M%SZ}"
            return f";UNTIL={last:%Y%m%dT%H%M%S}"
        case _:
            return ""


def _days(name: str, moments: Iterable[datetime], begins: Beginning) -> list[str]:
    days = sorted(moments)
    if not days:
        return []
    if begins.all_day:
        return [f"{name};VALUE=DATE:{','.join(f'{day:%Y%m%d}' for day in days)}"]
    return [f"{name}:{','.join(f'{day:%Y%m%dT%H%M%SZ}' for day in days)}"]


def _read_days(name: str, lines: Iterable[str]) -> Iterator[datetime]:
    """The inverse of `_days`."""
    for line in lines:
        kind, _, days = line.partition(":")
        if kind == f"{name};VALUE=DATE":
            yield from (datetime.strptime(day, "%Y%m%d") for day in days.split(","))  # noqa: DTZ007 - a whole day
        elif kind == name:
            yield from (datetime.strptime(day, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for day in days.split(","))

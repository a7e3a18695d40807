"""When a series happens: its moments in order, from the rules that RFC 5545 names.

    start + RRULE ─▶ dates ─▶ the same wall time in the start's zone ─▶ with RDATE, without EXDATE ─▶ moments, each once

Played: FREQ of DAILY, WEEKLY, MONTHLY and YEARLY with INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY and WKST=MO; one RRULE
to a series; RDATE and EXDATE. Anything else is refused rather than guessed.
Source: https://www.rfc-editor.org/rfc/rfc5545 sections 3.3.10 and 3.8.5, read 2026-11-23.
"""

import calendar
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from simulator.world.moments import At, at_wall, wall_of

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_PARTS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "WKST"})
_LAST_YEAR = 2200


@dataclass(frozen=True, slots=True)
class _Rule:
    every: str
    interval: int
    count: int | None
    until: str | None
    days: tuple[tuple[int, int], ...]
    month_days: tuple[int, ...]


def occurrences(start: At, rules: tuple[str, ...]) -> Iterator[At]:
    """Go through the moments of a series, possibly for two centuries; without rules there is the start alone.

    Raises: ValueError for a rule that is not played.
    """
    added: list[At] = []
    left_out: set[str] = set()
    rule: _Rule | None = None
    for line in rules:
        name, _, value = line.partition(":")
        kind, *details = name.split(";")
        zone = next((one.removeprefix("TZID=") for one in details if one.startswith("TZID=")), start.zone)
        if kind == "RRULE" and rule is None:
            rule = _read(value)
        elif kind == "RDATE":
            added += [_listed(one, zone) for one in value.split(",")]
        elif kind == "EXDATE":
            left_out |= {_listed(one, zone).stamp for one in value.split(",")}
        else:
            raise ValueError(f"The rule {line!r} is not played.")
    by_rule = _by_rule(start, rule) if rule else iter([start])
    last = ""
    for one in heapq.merge(by_rule, sorted(added, key=_order), key=_order):
        if one.stamp != last and one.stamp not in left_out:
            yield one
        last = one.stamp


def first_occurrences(start: At, rules: tuple[str, ...], before: int, limit: int) -> list[At]:
    """Return the moments before an instant, at most so many."""
    result = []
    for one in islice(occurrences(start, rules), limit):
        if one.instant("UTC") >= before:
            break
        result.append(one)
    return result


def _order(at: At) -> int:
    return at.instant("UTC")


def _by_rule(start: At, rule: _Rule) -> Iterator[At]:
    wall = None if start.day is not None else wall_of(start.seconds or 0, start.zone)
    first = wall.date() if wall else date.fromisoformat(start.day or "")
    counted = 0
    for day in _dates(first, rule):
        if day < first:
            continue
        if wall is None:
            at = At(day=day.isoformat(), zone=start.zone)
        elif day == first:
            at = start
        else:
            at = At(at_wall(datetime.combine(day, wall.time()), start.zone), start.zone)
        if rule.until is not None and _past(at, day, rule.until):
            return
        yield at
        counted += 1
        if counted == rule.count:
            return


def _past(at: At, day: date, until: str) -> bool:
    return at.stamp > until if "T" in until and at.day is None else day.strftime("%Y%m%d") > until[:8]


def _dates(first: date, rule: _Rule) -> Iterator[date]:
    """Go through the dates of a rule in order, some perhaps before the first."""
    if rule.every == "DAILY":
        day = first
        while day.year < _LAST_YEAR:
            if not rule.days or any(one == day.weekday() for _, one in rule.days):
                yield day
            day += timedelta(days=rule.interval)
    elif rule.every == "WEEKLY":
        monday = first - timedelta(days=first.weekday())
        wanted = sorted(one for _, one in rule.days) or [first.weekday()]
        while monday.year < _LAST_YEAR:
            yield from (monday + timedelta(days=one) for one in wanted)
            monday += timedelta(weeks=rule.interval)
    else:
        step = rule.interval * (12 if rule.every == "YEARLY" else 1)
        month = first.year * 12 + first.month - 1
        while month // 12 < _LAST_YEAR:
            yield from _in_month(month // 12, month % 12 + 1, first, rule)
            month += step


def _in_month(year: int, month: int, first: date, rule: _Rule) -> list[date]:
    length = calendar.monthrange(year, month)[1]
    if rule.days:
        found = set()
        for nth, weekday in rule.days:
            fitting = [day for day in range(1, length + 1) if date(year, month, day).weekday() == weekday]
            found |= set(fitting if nth == 0 else fitting[nth - 1 : nth] if nth > 0 else fitting[nth:][:1])
        return [date(year, month, day) for day in sorted(found)]
    wanted = rule.month_days or (first.day,)
    days = sorted({day if day > 0 else length + 1 + day for day in wanted})
    return [date(year, month, day) for day in days if 1 <= day <= length]


def _read(text: str) -> _Rule:
    parts = dict(part.partition("=")[::2] for part in text.split(";"))
    if not set(parts) <= _PARTS or parts.get("FREQ") not in {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}:
        raise ValueError(f"The rule {text!r} is not played; it may have {sorted(_PARTS)}.")
    days = tuple((int(one[:-2] or 0), _DAYS.index(one[-2:])) for one in parts.get("BYDAY", "").split(",") if one)
    return _Rule(
        every=parts["FREQ"],
        interval=int(parts.get("INTERVAL", "1")),
        count=int(parts["COUNT"]) if "COUNT" in parts else None,
        until=parts.get("UNTIL"),
        days=days,
        month_days=tuple(int(one) for one in parts.get("BYMONTHDAY", "").split(",") if one),
    )


def _listed(text: str, zone: str) -> At:
    if "T" not in text:
        return At(day=datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date().isoformat(), zone=zone)
    read = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007  The zone is set just below.
    return At(int(read.replace(tzinfo=UTC).timestamp()) if text.endswith("Z") else at_wall(read, zone), zone)

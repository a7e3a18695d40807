"""Which days of an account are read next: a pure function of where we are, of the time, and of the account's own date.

    the newest days, each run ─▶ then, once a day of the account, everything that may have been corrected since
                                 (at first: all that Google still has), from the newest day to the oldest

Both are read newest first. What a customer looks at first is this month and not the year before last; a first load that
takes days, since operations are scarce, is useful from its first minute; and the newest days never wait for the oldest
ones, for each of the two has a place of its own. Days are only ever added next to days that were read, so what is held
is always one unbroken stretch up to the day of the last run.

A correction pass goes back from today to `restatement_days` before the day of the last one that came to its end: after
a month without runs it goes back a month further.
"""

from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - as in `worker.measures`
from datetime import datetime, timedelta
from typing import Final

import msgspec

NEWEST_DAYS: Final = 3
"""Clicks and costs of these are still being counted."""
NEWEST_EVERY: Final = timedelta(minutes=30)
"""A run that goes on with older days after a pause does not read the newest ones again before that."""
WINDOW_DAYS: Final = 92
"""Days of one query. It is one operation of the day however many days it has; but what is heavy is refused as such."""
REACH_DAYS: Final = 1_110
"""Google keeps 37 months by the day; a connector that asked for all of them was refused at times (google.md §8.4)."""
_DAY: Final = timedelta(days=1)


class Pass(msgspec.Struct, frozen=True, omit_defaults=True):
    """A way back to the day `since`, begun on the account's day `day`; `to` is the newest day that it has not read."""

    day: Date
    since: Date
    to: Date
    begun_at: datetime


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an account stands; it is the cursor.

    `newest_at`, `newest_day`: when the newest days were last read; `began` is the account's day of the first time.
    `deep_day` is the account's day on which the last pass began that came to its end; None until the first load is
    done, and `deep.to` then says to which day that has come.
    """

    time_zone: str
    currency: str
    began: Date | None = None
    newest_at: datetime | None = None
    newest_day: Date | None = None
    deep_day: Date | None = None
    newest: Pass | None = None
    deep: Pass | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How far back the first load goes, and how far corrections reach."""

    history_days: int
    restatement_days: int


@dataclass(frozen=True, slots=True)
class Step:
    """The days to ask for next, and the place from which they are asked."""

    first: Date
    last: Date
    place: Place
    deep: bool


def next_step(place: Place, now: datetime, today: Date, limits: Limits, *, anew: bool = False) -> Step | None:
    """What to read next, or None if there is nothing to read for now. Pure.

    `anew`: somebody asked, and all is read; so the newest days are due, however lately they were read.
    """
    reach = today - REACH_DAYS * _DAY
    # At least a day more than the newest ones, for it is the end of a first pass that corrections count from. And from
    # its first day, however long it takes: what was read on the way may have been corrected since.
    oldest = max(reach, (place.began or today) - max(limits.history_days, NEWEST_DAYS) * _DAY)
    if anew or _newest_is_due(place, now, today):
        way = place.newest
        if way is None or way.day != today or not timedelta(0) <= now - way.begun_at < NEWEST_EVERY:
            back = min(place.newest_day or today, today) - (NEWEST_DAYS - 1) * _DAY
            # Days that went by since the last run are read whatever is set, so that no gap is left.
            way = Pass(
                day=today, since=max(oldest if place.newest_day is None else reach, back), to=today, begun_at=now
            )
        return _step(msgspec.structs.replace(place, newest=way, began=place.began or today), way, deep=False)
    way = place.deep
    if way is None:
        if place.deep_day is not None and place.deep_day >= today:
            return None
        back = oldest if place.deep_day is None else max(reach, place.deep_day - limits.restatement_days * _DAY)
        way = Pass(day=today, since=back, to=today - NEWEST_DAYS * _DAY, begun_at=now)
        if way.to < way.since:
            return None
    return _step(msgspec.structs.replace(place, deep=way), way, deep=True)


def after(step: Step, first: Date) -> Place:
    """The place once the days of a step down to `first` are read. Pure."""
    way = _way(step)
    if first > way.since:
        return _with(step, msgspec.structs.replace(way, to=first - _DAY))
    place = _with(step, None)
    if step.deep:
        return msgspec.structs.replace(place, deep_day=way.day)
    return msgspec.structs.replace(place, newest_at=way.begun_at, newest_day=way.day)


def out_of_reach(step: Step) -> Place:
    """The place after Google refused the oldest days of a deep step: a month less is asked for. Pure."""
    nearer = step.first + 31 * _DAY
    if step.deep and step.place.deep is not None and nearer <= step.last:
        return _with(step, msgspec.structs.replace(step.place.deep, since=nearer))
    return after(step, min(step.first, _way(step).since))


def _newest_is_due(place: Place, now: datetime, today: Date) -> bool:
    if place.newest_at is None or place.newest_day is None:
        return True
    # A clock that was set back must not keep the newest days from being read.
    return place.newest_day != today or not timedelta(0) <= now - place.newest_at < NEWEST_EVERY


def _step(place: Place, way: Pass, *, deep: bool) -> Step:
    return Step(first=max(way.since, way.to - (WINDOW_DAYS - 1) * _DAY), last=way.to, place=place, deep=deep)


def _way(step: Step) -> Pass:
    way = step.place.deep if step.deep else step.place.newest
    if way is None:
        raise AssertionError("a step has a pass")
    return way


def _with(step: Step, way: Pass | None) -> Place:
    if step.deep:
        return msgspec.structs.replace(step.place, deep=way)
    return msgspec.structs.replace(step.place, newest=way)

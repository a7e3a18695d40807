"""Calendars: the events of one, with exceptions of its series, what was changed since, and the log of it.

    number ─▶ Event (what changed) + facts (made up from the seed unless they were changed)

An exception is an event of its own that names its series and the moment at which it stood there. Events are made up
when they are asked for; only what was changed is kept. Who sees a calendar is written in `calendar_lists.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import msgspec

from simulator.world.changes import ChangeLog
from simulator.world.dice import Dice
from simulator.world.event_cases import departure_of, event
from simulator.world.event_facts import EventFacts, facts_from, shifted
from simulator.world.events import Departure, Ground, Owner, holiday
from simulator.world.moments import At
from simulator.world.recurrence import first_occurrences, occurrences

Nature = Literal["primary", "group", "holiday"]
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_WRITTEN = re.compile("[0-9a-f]{13}")
_ODD, _BITS = 0x2545F4914F6CDD, 50
_BACK = pow(_ODD, -1, 1 << _BITS)
_SERIES_LIMIT = 5_000
_YEAR_S = 365 * 86_400


class Event:
    """One event, series or exception of a series.

    `series` is the number of the series that this is an exception of, `original` the moment at which it stands there.
    A `cancelled` exception is there and says that this one of the series does not happen; what is `deleted` is gone.
    """

    __slots__ = ("cancelled", "created_at", "deleted", "former", "name", "number", "original", "own", "series",
                 "updated_at", "version")  # fmt: skip

    def __init__(self, number: int, updated_at: float) -> None:
        self.number = number
        self.created_at = updated_at
        self.updated_at = updated_at
        self.version = 1
        self.deleted = False
        self.own: EventFacts | None = None
        self.series: int | None = None
        self.original: At | None = None
        self.cancelled = False
        self.name: str | None = None
        self.former: dict[str, At] = {}


@dataclass(frozen=True, slots=True)
class Instance:
    """One of a series: where it stands by the rules, and the exception that takes its place, if there is one."""

    original: At
    exception: Event | None


class Calendar:
    """One calendar; `key` is its name in the world, whatever a provider calls it."""

    def __init__(self, ground: Ground, key: str, nature: Nature, title: str, size: int) -> None:
        self.ground = ground
        self.key = key
        self.nature = nature
        self.title = title
        self.description = "" if nature == "primary" else f"{title} · <i>made up</i>"
        self.zone = ground.zone
        self.log: ChangeLog[int] = ChangeLog()
        self.updated_at = ground.epoch
        self._hard = nature == "primary"
        dice = Dice(ground.seed, 29, ground.book)
        self._salt = "".join(dice.pick(_DIGITS) for _ in range(12))
        self._items = [Event(n, ground.epoch - 60 - (size - n) * (2 * _YEAR_S / max(size, 1))) for n in range(size)]
        self._named: dict[str, Event] = {}
        self._exceptions: dict[int, list[Event]] = {}
        for item in self._items:
            departure = self._departure(item.number)
            if departure is not None:
                item.series, item.cancelled = departure.series, departure.cancelled
                self._exceptions.setdefault(departure.series, []).append(item)

    @property
    def owner(self) -> Owner:
        """Whose calendar it is."""
        return self.ground.owner

    @property
    def alive(self) -> int:
        """How many events there are: single ones, series and exceptions, cancelled ones not counted."""
        return sum(1 for item in self._items if not item.deleted and not item.cancelled)

    def facts(self, item: Event) -> EventFacts:
        """Return what the event says now."""
        return item.own or self._seeded(item.number)

    def from_number(self, number: int) -> Iterator[Event]:
        """Go through all events from a number on, also those that are gone."""
        return islice(self._items, number, None)

    def at(self, number: int) -> Event:
        """Return the event with this number."""
        return self._items[number]

    def identity(self, item: Event) -> str:
        """Return the event's id: small letters up to v and digits; that of an exception ends with its moment."""
        if item.series is not None:
            return self.instance_id(self._items[item.series], self.original(item))
        return item.name or f"{self._salt}{item.number * _ODD % (1 << _BITS):013x}"

    def instance_id(self, series: Event, original: At) -> str:
        """Return the id of one of a series."""
        return f"{self.identity(series)}_{original.stamp}"

    def original(self, item: Event) -> At:
        """Return the moment at which an exception stands in its series."""
        if item.original is None:
            departure = self._departure(item.number)
            if departure is None:
                return self.facts(item).start
            series = self._seeded(departure.series)
            found = first_occurrences(series.start, series.recurrence, before=1 << 40, limit=departure.nth + 1)
            item.original = found[-1]
        return item.original

    def by_id(self, event_id: str) -> Event | None:
        """Find an event, a series or an exception by its id, gone or not."""
        base, _, stamp = event_id.partition("_")
        found = self._named.get(base) or self._numbered(base)
        if found is None or not stamp:
            return found
        return next((one for one in self.exceptions(found) if self.original(one).stamp == stamp), None)

    def instance(self, event_id: str) -> tuple[Event, At] | None:
        """Find one of a series that has no exception of its own: the series and the moment."""
        base, _, stamp = event_id.partition("_")
        series = self._named.get(base) or self._numbered(base)
        if series is None or not stamp or series.deleted:
            return None
        facts = self.facts(series)
        if not facts.recurrence:
            return None
        for one in islice(occurrences(facts.start, facts.recurrence), _SERIES_LIMIT):
            if one.stamp[:8] > stamp[:8]:
                return None
            if one.stamp == stamp:
                return series, one
        return None

    def find(self, reference: str) -> Event:
        """Find an event as tests name it: by id, by `#number` or by its title.

        Raises: KeyError when there is none.
        """
        if reference.startswith("#"):
            return self._items[int(reference[1:])]
        found = self.by_id(reference)
        if found is None:
            found = next((one for one in self._items if not one.deleted and self.facts(one).title == reference), None)
        if found is None:
            raise KeyError(reference)
        return found

    def exceptions(self, series: Event) -> list[Event]:
        """Return a series' exceptions, also those that are gone."""
        return self._exceptions.get(series.number, [])

    def instances(self, series: Event, before: int) -> Iterator[Instance]:
        """Go through a series by its rules up to an instant; an exception stands where it stood, wherever it went."""
        facts = self.facts(series)
        taken = {self.original(one).stamp: one for one in self.exceptions(series) if not one.deleted}
        for original in islice(occurrences(facts.start, facts.recurrence), _SERIES_LIMIT):
            if original.instant(self.zone) >= before:
                return
            yield Instance(original, taken.get(original.stamp))

    def add(self, fields: dict[str, object], now: float, name: str | None = None) -> Event:
        """Add an event: an ordinary one of the seed with the fields changed.

        Raises: ValueError for an id that is taken, or for fields that no event has.
        """
        if name is not None and (found := self.by_id(name)) is not None and not found.deleted:
            raise ValueError(f"There is an event {name!r} already.")
        number = len(self._items)
        start = shifted(self._seeded(number), self._seeded(number).start)
        facts = facts_from(fields, self.zone, start)
        list(islice(occurrences(facts.start, facts.recurrence), 1))  # Rules that are not played are refused here.
        return self._put(facts, now, name)

    def take_in(self, facts: EventFacts, name: str, now: float) -> Event:
        """Put an event here that stood in another calendar, under the id that it had there."""
        return self._put(facts, now, name)

    def change(self, item: Event, fields: dict[str, object], now: float) -> None:
        """Change what an event says; when a series happens at other times, its exceptions end.

        Raises: ValueError.
        """
        before = self.facts(item)
        after = facts_from(fields, self.zone, before)
        if (before.start, before.end, before.recurrence) != (after.start, after.end, after.recurrence):
            list(islice(occurrences(after.start, after.recurrence), 1))
            if before.recurrence and item.series is None:
                self._forget_times(item, before, now)
            elif after.recurrence and item.series is None:
                item.former[""] = before.start
        item.own = after
        item.cancelled = False
        self._touched(item, now)

    def delete(self, item: Event, now: float) -> None:
        """Delete an event, or a series with its exceptions; one exception becomes a cancelled one. Twice is once."""
        if item.deleted or item.cancelled:
            return
        if item.series is not None:
            item.own, item.cancelled = self.facts(item), True
            self._touched(item, now)
            return
        for one in self.exceptions(item):
            if not one.deleted:
                one.deleted = True
                self._touched(one, now)
        item.deleted = True
        self._touched(item, now)

    def depart(self, series: Event, original: At, fields: dict[str, object] | None, now: float) -> Event:
        """Make one of a series an exception, with fields changed or, without any, cancelled."""
        found = next((one for one in self.exceptions(series) if self.original(one).stamp == original.stamp), None)
        current = shifted(self.facts(series), original)
        if found is not None and not found.deleted:
            if fields is None:
                self.delete(found, now)
            else:
                self.change(found, fields, now)
            return found
        facts = facts_from(fields or {}, self.zone, current)
        item = found or self._appended(now)
        item.series, item.original, item.own = series.number, original, facts
        item.cancelled, item.deleted = fields is None, False
        if found is None:
            self._exceptions.setdefault(series.number, []).append(item)
        self._touched(item, now)
        return item

    def hand_over(self, item: Event, other: "Calendar", now: float) -> Event:
        """Move an event or a whole series to another calendar, where it keeps its id.

        Raises: ValueError for an exception, which cannot leave its series.
        """
        if item.series is not None or item.deleted or other is self:
            raise ValueError("Only an event that is there and no exception can be moved, and only elsewhere.")
        name, facts = self.identity(item), self.facts(item)
        exceptions = [
            (self.original(one), self.facts(one), one.cancelled) for one in self.exceptions(item) if not one.deleted
        ]
        self.delete(item, now)
        moved = other.take_in(facts, name, now)
        for original, exception, cancelled in exceptions:
            other.depart(moved, original, None if cancelled else {}, now).own = exception
        return moved

    def touch(self, percent: float, now: float) -> int:
        """Change the location of about that share of the events, spread evenly; return how many."""
        step = 100.0 / percent
        there = [one for one in self._items if not one.deleted and not one.cancelled]
        chosen = [one for at, one in enumerate(there) if int((at + 1) / step) != int(at / step)]
        for item in chosen:
            self.change(item, {"location": f"Room {item.version + 1}"}, now)
        return len(chosen)

    def _put(self, facts: EventFacts, now: float, name: str | None) -> Event:
        found = self.by_id(name) if name else None
        item = found or self._appended(now)
        item.own, item.deleted, item.cancelled = facts, False, False
        item.former = item.former if found else {}
        if found is None:
            item.name = name
            if name is not None:
                self._named[name] = item
        self._touched(item, now)
        return item

    def _appended(self, now: float) -> Event:
        item = Event(len(self._items), now)
        item.version = 0
        self._items.append(item)
        return item

    def _forget_times(self, series: Event, before: EventFacts, now: float) -> None:
        for one in islice(occurrences(before.start, before.recurrence), _SERIES_LIMIT):
            series.former[one.stamp] = one
        for exception in self.exceptions(series):
            if not exception.deleted:
                exception.deleted = True
                self._touched(exception, now)

    def _touched(self, item: Event, now: float) -> None:
        item.version += 1
        item.updated_at = self.updated_at = now
        self.log.record(item.number, now)

    def _seeded(self, number: int) -> EventFacts:
        if self.nature == "holiday":
            return holiday(self.ground, number)
        return event(self.ground, number, hard=self._hard)

    def _departure(self, number: int) -> Departure | None:
        return None if self.nature == "holiday" else departure_of(number, hard=self._hard)

    def _numbered(self, base: str) -> Event | None:
        written = base.removeprefix(self._salt)
        if not base.startswith(self._salt) or not _WRITTEN.fullmatch(written):
            return None
        number = int(written, 16) * _BACK % (1 << _BITS)
        return self._items[number] if number < len(self._items) and self._items[number].name is None else None


def shown(facts: EventFacts) -> dict[str, object]:
    """Return facts as plain data, without the moments."""
    plain: dict[str, object] = msgspec.to_builtins(facts)
    return {key: value for key, value in plain.items() if key not in ("start", "end")}

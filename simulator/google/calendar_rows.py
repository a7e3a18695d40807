"""Which events a list consists of, in order, each already encoded and with the place from which to go on.

    full pass    every event by number      ─▶ filters ─▶ itself, or each of its single events, or nothing
    sync         the change log by number   ─▶ filters ─▶ the same, and tombstones

A place is a pair: the event's number (in a sync that of its change) and how many of its single events come before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from simulator.google.calendar_requests import Query
from simulator.google.calendar_switches import CalendarSwitches
from simulator.google.event_resource import View, event_resource, ical_uid, instance_gone, instance_resource
from simulator.world.calendars import Calendar, Event
from simulator.world.event_facts import EventFacts, shifted
from simulator.world.moments import At

Place = tuple[int, int]
Row = tuple[Place, bytes]
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Wish:
    """What is listed: a view of a calendar, what the query leaves of it, and whether it is a sync.

    `window` is that of the query or, in a sync, of the full pass where it is kept.
    """

    view: View
    query: Query
    sync: bool
    window: tuple[int | None, int | None]

    @property
    def calendar(self) -> Calendar:
        """The calendar."""
        return self.view.calendar


class EventRows:
    """Makes the rows and keeps what was encoded; what is kept is good while the event's version is."""

    def __init__(self, switches: CalendarSwitches) -> None:
        self._switches = switches
        self._encode = msgspec.json.Encoder().encode
        self._encoded: dict[tuple[str, str], dict[int, tuple[int, bytes]]] = {}

    def full(self, wish: Wish, place: Place) -> Iterator[Row]:
        """Go through the whole calendar from a place on."""
        for item in wish.calendar.from_number(place[0]):
            for at, raw in enumerate(self._told(wish, item)):
                if (item.number, at) >= place:
                    yield (item.number, at), raw

    def ordered(self, wish: Wish, place: Place) -> Iterator[Row]:
        """Go through the whole calendar in the order that the query asks for; places count rows."""
        keys = []
        for item in wish.calendar.from_number(0):
            for raw in self._told(wish, item):
                order = item.updated_at if wish.query.order == "updated" else _begins(wish.calendar, raw)
                keys.append((order, item.number, raw))
        for at, (_, _, raw) in enumerate(sorted(keys)):
            if at >= place[0]:
                yield (at, 0), raw

    def changed(self, wish: Wish, place: Place, until: int) -> Iterator[Row]:
        """Go through what changed from a place in the log up to a number of it."""
        for number, event_number in wish.calendar.log.between(place[0] - 1, until):
            for at, raw in enumerate(self._told(wish, wish.calendar.at(event_number))):
                if (number, at) >= place:
                    yield (number, at), raw

    def one(self, view: View, item: Event) -> bytes:
        """Return one event, from what is kept where many see the same."""
        if not view.plain or item.deleted or item.cancelled:
            return self._encode(event_resource(view, item))
        kept = self._encoded.setdefault((view.calendar.key, view.sight), {})
        known = kept.get(item.number)
        if known is not None and known[0] == item.version:
            return known[1]
        raw = self._encode(event_resource(view, item))
        kept[item.number] = (item.version, raw)
        return raw

    def series(self, wish: Wish, series: Event) -> Iterator[bytes]:
        """Go through a series with its exceptions in their places."""
        for instance in wish.calendar.instances(series, self._horizon(wish)):
            exception = instance.exception
            if exception is None:
                facts = shifted(wish.calendar.facts(series), instance.original)
                if _inside(wish, facts):
                    yield self._encode(instance_resource(wish.view, series, instance.original))
            elif _inside(wish, wish.calendar.facts(exception)) and (wish.query.deleted or not exception.cancelled):
                yield self.one(wish.view, exception)

    def _told(self, wish: Wish, item: Event) -> Iterator[bytes]:
        query, calendar = wish.query, wish.calendar
        changed = query.changed_since is not None and item.updated_at >= query.changed_since
        if query.changed_since is not None and not changed:
            return
        if item.deleted or item.cancelled:
            if self._tells_gone(wish, item, asked=wish.sync or query.deleted or changed):
                yield from self._gone(wish, item)
            return
        if query.takes_all and wish.window == (None, None) and item.own is None:
            yield self.one(wish.view, item)  # What nobody asks for need not be made up.
            return
        facts = calendar.facts(item)
        if not _wanted(wish, item, facts):
            return
        if query.single and facts.recurrence:
            yield from self._expanded(wish, item, facts)
        elif _inside(wish, facts) if not facts.recurrence else self._touches(wish, facts, item):
            yield self.one(wish.view, item)
        if query.single and wish.sync:
            yield from self._former(wish, item, facts)

    def _tells_gone(self, wish: Wish, item: Event, *, asked: bool) -> bool:
        if item.deleted:
            if item.series is None:
                return asked
            series = wish.calendar.at(item.series)
            alone = wish.query.single or self._switches.exceptions_end_with_series or not series.deleted
            return asked and alone and (wish.sync or series.deleted)
        if not _inside(wish, wish.calendar.facts(item)) or not _wanted(wish, item, wish.calendar.facts(item)):
            return False
        return asked or not wish.query.single

    def _gone(self, wish: Wish, item: Event) -> Iterator[bytes]:
        facts = wish.calendar.facts(item)
        if wish.query.single and item.series is None and facts.recurrence:
            for instance in wish.calendar.instances(item, self._horizon(wish)):
                yield self._encode(instance_gone(wish.view, item, instance.original))
        else:
            yield self.one(wish.view, item)
        if wish.query.single and wish.sync:
            yield from self._former(wish, item, facts)

    def _expanded(self, wish: Wish, item: Event, facts: EventFacts) -> Iterator[bytes]:
        """Go through the single events of a series; exceptions are events of their own and come by themselves."""
        for instance in wish.calendar.instances(item, self._horizon(wish)):
            if instance.exception is None and _inside(wish, shifted(facts, instance.original)):
                yield self._encode(instance_resource(wish.view, item, instance.original))

    def _former(self, wish: Wish, item: Event, facts: EventFacts) -> Iterator[bytes]:
        """Go through the single events that a change of the rules ended."""
        now: set[str] = set()
        if facts.recurrence and not item.deleted:
            now = {one.original.stamp for one in wish.calendar.instances(item, self._horizon(wish))}
        for stamp, original in item.former.items():
            if not stamp and (facts.recurrence or item.deleted):
                gone = {"kind": "calendar#event", "id": wish.calendar.identity(item), "status": "cancelled"}
                yield self._encode(gone)
            elif stamp and stamp not in now:
                yield self._encode(instance_gone(wish.view, item, original))

    def _touches(self, wish: Wish, facts: EventFacts, item: Event) -> bool:
        """Say whether any of a series lies in the window."""
        if wish.window == (None, None):
            return True
        instances = wish.calendar.instances(item, self._horizon(wish))
        return any(_inside(wish, shifted(facts, one.original)) for one in instances)

    def _horizon(self, wish: Wish) -> int:
        """Return the instant up to which a series is expanded."""
        last = int(wish.calendar.ground.epoch) + self._switches.single_events_days * _DAY_S
        return last if wish.window[0] is None else min(last, wish.window[0])


def _inside(wish: Wish, facts: EventFacts) -> bool:
    before, after = wish.window
    zone = wish.calendar.zone
    return (before is None or facts.start.instant(zone) < before) and (after is None or facts.end.instant(zone) > after)


def _wanted(wish: Wish, item: Event, facts: EventFacts) -> bool:
    query = wish.query
    if query.kinds and facts.kind not in query.kinds:
        return False
    if facts.hidden_invitation and not query.hidden_invitations:
        return False
    if query.uid is not None and ical_uid(wish.calendar, item, facts) != query.uid:
        return False
    if query.words and not _mentions(facts, query.words):
        return False
    return set(query.own_properties) <= set(facts.own_properties) and set(query.shared_properties) <= set(
        facts.shared_properties
    )


def _mentions(facts: EventFacts, words: tuple[str, ...]) -> bool:
    people = [text for guest in facts.guests for text in (guest.name, guest.email)]
    if facts.organizer is not None:
        people += [facts.organizer.name, facts.organizer.email]
    text = " ".join((facts.title, facts.description, facts.location, *people)).casefold()
    return all(word in text for word in words)


class _Starts(msgspec.Struct):
    """As much of an encoded event as its order needs."""

    class Moment(msgspec.Struct):
        date: str | None = None
        dateTime: str | None = None  # noqa: N815  Google's own name.

    start: Moment | None = None


def _begins(calendar: Calendar, raw: bytes) -> float:
    start = msgspec.json.decode(raw, type=_Starts).start
    if start is None:
        return 0.0
    if start.date is not None:
        return At(day=start.date).instant(calendar.zone)
    return datetime.fromisoformat(start.dateTime or "").timestamp()

"""Events made up from a seed, by their number in a calendar.

The first numbers of a primary calendar are hard cases (`event_cases.py`); the rest repeat a pattern of twenty: timed
events in several zones, whole days, series, and of every first series one moved and one cancelled exception.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import msgspec

from simulator.world import words
from simulator.world.dice import Dice
from simulator.world.event_facts import Answer, EventFacts, Guest, Kind, Organizer, shifted
from simulator.world.moments import At, at_wall
from simulator.world.people import person
from simulator.world.recurrence import first_occurrences

ZONES = ("Asia/Bangkok", "Europe/London", "America/New_York", "Asia/Amman", "Europe/Berlin", "Australia/Lord_Howe")
_ANSWERS: tuple[Answer, ...] = ("accepted", "needsAction", "declined", "tentative")
_PERIOD = 20
_FOREVER = 1 << 40
_SPAN_DAYS, _PAST_DAYS = 700, 500


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose calendar it is: the number of the account whose address book has the guests, and what it is called."""

    number: int
    email: str
    name: str
    locale: str


@dataclass(frozen=True, slots=True)
class Ground:
    """What a calendar's events are made from."""

    seed: int
    book: int
    owner: Owner
    zone: str
    epoch: float
    people: int

    @property
    def today(self) -> date:
        """The day from which dates are counted."""
        return datetime.fromtimestamp(self.epoch, UTC).date()


@dataclass(frozen=True, slots=True)
class Departure:
    """An exception: of which series, of which of its occurrences, and whether that one is cancelled."""

    series: int
    nth: int
    cancelled: bool


def ordinary_departure(number: int) -> Departure | None:
    """Say whether the event with this number is an exception of a series."""
    place = number % _PERIOD
    return Departure(number - place + 3, 2 * (place - 3), place == 5) if place in (4, 5) else None


def ordinary_event(ground: Ground, number: int) -> EventFacts:
    """Make up the event with this number."""
    departure = ordinary_departure(number)
    if departure is not None:
        series = ordinary_event(ground, departure.series)
        at = occurrence(series, departure.nth)
        moved = shifted(series, at if departure.cancelled else at.moved(5_400))
        return moved if departure.cancelled else msgspec.structs.replace(moved, title=f"{series.title} (moved)")
    dice = Dice(ground.seed, 23, ground.book, number)
    place = number % _PERIOD
    day = ground.today + timedelta(days=dice.below(_SPAN_DAYS) - _PAST_DAYS)
    zone = ground.zone if number % 3 else dice.pick(ZONES)
    if place in (8, 9):
        start = At(day=day.isoformat(), zone=ground.zone)
        end = start.moved(86_400 * (1 if place == 8 else 2 + dice.below(6)))
    else:
        minutes = 8 * 60 + dice.below(20) * 30
        start = At(at_wall(datetime(day.year, day.month, day.day) + timedelta(minutes=minutes), zone), zone)  # noqa: DTZ001  The zone is given beside.
        end = start.moved(900 * (1 + dice.below(8)))
    guests = _guests(ground, dice, number) if number % 2 else ()
    host = next((one for one in guests if one.organizer), None)
    return EventFacts(
        start=start,
        end=end,
        title=dice.pick(words.MEETINGS),
        description=_description(dice) if number % 4 == 0 else "",
        location=dice.pick(words.CITIES)[0] if number % 5 == 0 else "",
        recurrence=_rules(place, dice, start),
        kind=_KINDS.get(place, "default"),
        status="tentative" if number % 31 == 0 else "confirmed",
        visibility="private" if number % 17 == 0 else "default",
        busy=number % 13 != 0,
        guests=guests,
        organizer=Organizer(host.email, host.name) if host and host.email != ground.owner.email else None,
        conference="meet" if number % 7 == 0 else "",
        working_place="officeLocation" if place == 14 else "",
    )


def holiday(ground: Ground, number: int) -> EventFacts:
    """Make up a public holiday: a whole day, free, that everybody may see."""
    dice = Dice(ground.seed, 31, ground.book, number)
    start = At(day=(ground.today + timedelta(days=30 * number - 300 + dice.below(20))).isoformat(), zone=ground.zone)
    title = dice.pick(("Day of the Lanterns", "วันหยุดชดเชย", "عيد الحصاد"))
    return EventFacts(start=start, end=start.moved(86_400), title=title, busy=False, visibility="public")


_KINDS: dict[int, Kind] = {13: "fromGmail", 14: "workingLocation", 16: "outOfOffice", 17: "focusTime"}


def occurrence(series: EventFacts, nth: int) -> At:
    """Return the moment of one of a series, counted from 0.

    Raises: ValueError when there are not so many.
    """
    found = first_occurrences(series.start, series.recurrence, before=_FOREVER, limit=nth + 1)
    if len(found) <= nth:
        raise ValueError(f"The series has only {len(found)} occurrences.")
    return found[nth]


def _rules(place: int, dice: Dice, start: At) -> tuple[str, ...]:
    if place == 3:
        last = start.moved(86_400 * 7 * (8 + dice.below(40))).stamp
        return (dice.pick(("RRULE:FREQ=WEEKLY;COUNT=12", f"RRULE:FREQ=WEEKLY;UNTIL={last}", "RRULE:FREQ=WEEKLY")),)
    if place == 11:
        return (dice.pick(("RRULE:FREQ=DAILY;COUNT=5", "RRULE:FREQ=MONTHLY;COUNT=6", "RRULE:FREQ=WEEKLY;INTERVAL=2")),)
    return ()


def _guests(ground: Ground, dice: Dice, number: int) -> tuple[Guest, ...]:
    """Return the owner and a few people of the address book; of every third event somebody else is the host."""
    if not ground.people:
        return ()
    others: list[Guest] = []
    for _ in range(1 + dice.below(4)):
        address, name = _reached(ground.seed, ground.owner.number, dice.below(ground.people))
        if address and address not in {one.email for one in others}:
            others.append(Guest(address, name, dice.pick(_ANSWERS), optional=dice.below(5) == 0))
    own = Guest(ground.owner.email, ground.owner.name, dice.pick(_ANSWERS))
    if not others:
        return ()
    if number % 3 == 0:
        others[0] = msgspec.structs.replace(others[0], organizer=True, answer="accepted", optional=False)
    else:
        own = msgspec.structs.replace(own, organizer=True, answer="accepted")
    return (own, *others)


@lru_cache(maxsize=20_000)
def _reached(seed: int, book: int, number: int) -> tuple[str, str]:
    """Return the address and the name of somebody in an address book, as it was at the beginning."""
    facts = person(seed, book, number)
    return next((one.value for one in facts.emails if "@" in one.value), ""), facts.display_name[:60]


def _description(dice: Dice) -> str:
    first, second = dice.pick(words.LINES_EN + words.LINES_TH), dice.pick(words.LINES_EN + words.LINES_AR)
    return f'<p>{first}</p><ul><li><b>{second}</b></li></ul><a href="https://notes.example/{dice.below(999)}">notes</a>'

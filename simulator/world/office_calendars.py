"""The calendars of an account whose mail and contacts lie in folders.

    1  the default one (hard cases first)     2  the team's (own)     3  public holidays (may only be read)

Further ones can be added. With `--page-limit` the world is small and they hold what `few_events.py` makes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulator.options import Options
from simulator.world.calendars import Calendar, Nature
from simulator.world.events import Ground, Owner
from simulator.world.few_events import add_series, add_singles

_BOOKS_PER_OWNER = 16
_TEAM_LIMIT, _HOLIDAYS, _FEW = 500, 24, 5


@dataclass(slots=True, eq=False)
class OfficeCalendar:
    """One line of the list; `number` never changes, and what is not `editable` is somebody else's."""

    number: int
    calendar: Calendar
    editable: bool
    deleted: bool = False


class OfficeCalendars:
    """All calendars of one account, in the order in which they came."""

    def __init__(self, options: Options, owner: Owner, zone: str, epoch: float) -> None:
        self._ground = Ground(options.seed, owner.number * _BOOKS_PER_OWNER, owner, zone, epoch, options.people)
        self._small = options.page_limit > 0
        self._entries: list[OfficeCalendar] = []
        self.add("Calendar", options.events, nature="primary")
        self.add(f"Team {owner.name}", _FEW if self._small else min(options.events // 4 + 5, _TEAM_LIMIT))
        self.add("Holidays", _FEW if self._small else _HOLIDAYS, nature="holiday", editable=False)
        if self._small:
            add_series(self.default.calendar)

    @property
    def default(self) -> OfficeCalendar:
        """The one that is meant where none is named."""
        return self._entries[0]

    def there(self) -> Iterator[OfficeCalendar]:
        """Go through those that were not removed."""
        return (entry for entry in self._entries if not entry.deleted)

    def at(self, number: int) -> OfficeCalendar:
        """Return the calendar with this number, removed or not."""
        return self._entries[number - 1]

    def titled(self, title: str) -> OfficeCalendar:
        """Return the calendar of that name.

        Raises: KeyError when there is none.
        """
        for entry in self.there():
            if entry.calendar.title == title:
                return entry
        raise KeyError(title)

    def add(self, title: str, size: int, *, nature: Nature = "group", editable: bool = True) -> OfficeCalendar:
        """Make a calendar with so many events in it."""
        at, owner = len(self._entries), self._ground.owner.number
        ground = replace(self._ground, book=self._ground.book + at)
        key = f"office{owner}.{at}" if at else f"office{owner}"
        entry = OfficeCalendar(at + 1, Calendar(ground, key, nature, title, 0 if self._small else size), editable)
        self._entries.append(entry)
        if self._small:
            add_singles(entry.calendar, size)
        return entry

"""Who sees which calendar: each account's list, and the hall where every calendar stands once however many see it.

    primary (own) · team (own) · errands (own, not selected) · the next account's team (reader) ·
    the primary of the one after that (free and busy only) · the public holidays of the country (hidden)

The next account exists as the owner of a calendar even where the world has no such account to log in to.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from simulator.options import Options
from simulator.world.calendars import Calendar, Nature
from simulator.world.changes import ChangeLog
from simulator.world.event_cases import shared_meeting
from simulator.world.events import Ground, Owner

Role = Literal["owner", "writer", "writerWithoutPrivateAccess", "reader", "freeBusyReader"]
_HOME = {"en": "Europe/London", "th": "Asia/Bangkok", "ar": "Asia/Amman"}
_HOLIDAYS = {"en": ("en.uk", "Holidays in the United Kingdom"), "th": ("th.th", "วันหยุดในไทย"),
             "ar": ("ar.jo", "العطلات في الأردن")}  # fmt: skip
_TEAM_LIMIT, _ERRANDS, _HOLIDAY_COUNT, _OUTSIDERS_LIMIT = 500, 12, 24, 60
_BOOKS_PER_OWNER, _HOLIDAY_BOOK, _NEW_BOOK = 16, 900_000, 1_000_000


class Entry:
    """One line of an account's list of calendars; `version` counts what the account itself changed of it."""

    __slots__ = ("calendar", "color", "deleted", "hidden", "listed_as", "role", "selected", "version")

    def __init__(self, calendar: Calendar, role: Role, color: str, *, hidden: bool = False) -> None:
        self.calendar = calendar
        self.role = role
        self.color = color
        self.hidden = hidden
        self.selected = not hidden
        self.deleted = False
        self.listed_as = ""
        self.version = 1


class CalendarList:
    """The calendars that one account sees, in the order in which they came."""

    def __init__(self, owner: int, entries: list[Entry], new: Callable[[str, str, int], Calendar]) -> None:
        self.log: ChangeLog[str] = ChangeLog()
        self._owner = owner
        self._new = new
        self._entries = {entry.calendar.key: entry for entry in entries}

    @property
    def primary(self) -> Entry:
        """The account's own calendar."""
        return next(iter(self._entries.values()))

    def every(self) -> Iterator[Entry]:
        """Go through all lines, also those that were removed."""
        return iter(self._entries.values())

    def there(self) -> Iterator[Entry]:
        """Go through the lines that are there."""
        return (entry for entry in self._entries.values() if not entry.deleted)

    def keyed(self, key: str) -> Entry:
        """Return the line of a calendar.

        Raises: KeyError for one that was never here.
        """
        return self._entries[key]

    def has(self, key: str) -> bool:
        """Say whether a calendar is on the list."""
        return key in self._entries and not self._entries[key].deleted

    def add(self, title: str, zone: str, size: int, now: float) -> Entry:
        """Make a calendar of the account's own."""
        entry = Entry(self._new(title, zone, size), "owner", "7")
        self._entries[entry.calendar.key] = entry
        self.log.record(entry.calendar.key, now)
        return entry

    def remove(self, entry: Entry, now: float) -> None:
        """Take a calendar off the list: it was deleted, or is no longer shared."""
        entry.deleted = True
        self._changed(entry, now)

    def hide(self, entry: Entry, now: float, *, hidden: bool) -> None:
        """Hide a calendar, or show it again."""
        entry.hidden, entry.selected = hidden, not hidden
        self._changed(entry, now)

    def share(self, entry: Entry, role: Role, now: float, *, told: bool) -> None:
        """Give the account another role; `told` puts it into the log, as only changes of the line itself are."""
        back = entry.deleted
        entry.role, entry.deleted = role, False
        if told or back:
            self._changed(entry, now)

    def rename(self, entry: Entry, title: str, now: float) -> None:
        """Let the account call the calendar something else."""
        entry.listed_as = title
        self._changed(entry, now)

    def _changed(self, entry: Entry, now: float) -> None:
        entry.version += 1
        self.log.record(entry.calendar.key, now)


class CalendarHall:
    """Every calendar of the world, each made when it is first seen."""

    def __init__(self, options: Options, epoch: float, owner_of: Callable[[int], Owner]) -> None:
        self._options = options
        self._epoch = epoch
        self._owner_of = owner_of
        self._calendars: dict[str, Calendar] = {}
        self._lists: dict[int, CalendarList] = {}
        self._new = 0

    def list_of(self, number: int) -> CalendarList:
        """Return the list of the account with this number."""
        if number not in self._lists:
            self._lists[number] = self._list(number)
        return self._lists[number]

    def _list(self, number: int) -> CalendarList:
        accounts = self._options.accounts
        errands = Entry(self._own(number, "errands"), "owner", "3")
        errands.selected = False
        entries = [
            Entry(self._own(number, "primary"), "owner", "14"),
            Entry(self._own(number, "team"), "owner", "9"),
            errands,
            Entry(self._own((number + 1) % max(accounts, 2), "team"), "reader", "5"),
            Entry(self._own((number + 2) % max(accounts, 3), "primary"), "freeBusyReader", "1"),
            Entry(self._holidays(self._owner_of(number)), "reader", "8", hidden=True),
        ]
        return CalendarList(number, entries, lambda title, zone, size: self._added(number, title, zone, size))

    def _own(self, number: int, slot: str) -> Calendar:
        owner = self._owner_of(number)
        at = ("primary", "team", "errands").index(slot)
        there = number < self._options.accounts
        events = self._options.events if there else min(self._options.events, _OUTSIDERS_LIMIT)
        size = (events, min(events // 4 + 5, _TEAM_LIMIT), _ERRANDS)[at]
        zone = "America/New_York" if slot == "errands" else _HOME[owner.locale]
        title = (owner.email, f"Team {owner.name}", "ธุระส่วนตัว · Errands")[at]
        nature: Nature = "primary" if slot == "primary" else "group"
        return self._kept(f"{slot}{number}", nature, owner, number * _BOOKS_PER_OWNER + at, zone, title, size)

    def _holidays(self, owner: Owner) -> Calendar:
        key, title = _HOLIDAYS[owner.locale]
        book = _HOLIDAY_BOOK + list(_HOLIDAYS).index(owner.locale)
        public = Owner(-1, f"{key}@holidays.example", title, owner.locale)
        return self._kept(key, "holiday", public, book, _HOME[owner.locale], title, _HOLIDAY_COUNT)

    def _added(self, number: int, title: str, zone: str, size: int) -> Calendar:
        self._new += 1
        book = _NEW_BOOK + self._new
        return self._kept(f"new{self._new}", "group", self._owner_of(number), book, zone, title, size)

    def _kept(self, key: str, nature: Nature, owner: Owner, book: int, zone: str, title: str, size: int) -> Calendar:
        if key not in self._calendars:
            people = self._options.people if owner.number >= 0 else 0
            ground = Ground(self._options.seed, book, owner, zone, self._epoch, people)
            self._calendars[key] = Calendar(ground, key, nature, title, size)
            if key.startswith("team"):
                self._calendars[key].at(0).own = shared_meeting(ground)
        return self._calendars[key]

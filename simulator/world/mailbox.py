"""An account's mailbox: seeded mails, what was done to them since, and the history of it.

Only light facts are kept of each mail; what it says is made up when somebody asks. The first numbers are the hard
cases of `hard_mails`, a few hours apart in the last weeks. Of the ordinary mails half came in the last 30 days and the
rest over four years; the higher the number, the newer the mail.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from simulator.clock import DAY_S
from simulator.world.dice import Dice
from simulator.world.hard_mails import BY_NAME, HARD_MAILS, Setting
from simulator.world.mail_facts import (
    Letter,
    MailFacts,
    MailOwner,
    MailTruth,
    correspondent,
    message_id_of,
    ordinary_mail,
    truth_of,
)
from simulator.world.mail_history import Change, MailHistory
from simulator.world.mime_writer import written

SYSTEM_LABELS = (
    "CHAT", "SENT", "INBOX", "IMPORTANT", "TRASH", "DRAFT", "SPAM", "CATEGORY_FORUMS", "CATEGORY_UPDATES",
    "CATEGORY_PERSONAL", "CATEGORY_PROMOTIONS", "CATEGORY_SOCIAL", "STARRED", "UNREAD",
)  # fmt: skip
_USER_LABELS = {"Label_1": "Customers", "Label_2": "Suppliers/Asia", "Label_3": "ลูกค้า", "Label_4": "عملاء"}
_CATEGORIES = ("CATEGORY_PERSONAL", "CATEGORY_UPDATES", "CATEGORY_PROMOTIONS", "CATEGORY_FORUMS", "CATEGORY_SOCIAL")
_PLACES = (0, 0, 1, 0, 0, 1, 2, 0)
_HARD_STEP_S = 8 * 3600.0
_RECENT_S = 30 * DAY_S
_OLDEST_S = 4 * 365 * DAY_S
_KEY_STEP = 0x1F3D
Own = MailFacts | Letter


class Mail:
    """One mail. `root` and `place` tell its thread; `own` is what it says unless the seed says it.

    A vanished mail is still listed, but cannot be read.
    """

    __slots__ = ("at", "case", "deleted", "history", "labels", "number", "own", "place", "root", "vanished")

    def __init__(self, number: int, at: float, root: int, place: int, labels: frozenset[str]) -> None:
        self.number = number
        self.at = at
        self.root = root
        self.place = place
        self.labels = labels
        self.history = 0
        self.own: Own | None = None
        self.case: str | None = None
        self.deleted = False
        self.vanished = False


class Mailbox:
    """All mails of one account, by number."""

    def __init__(self, owner: MailOwner, size: int, epoch: float) -> None:
        self.owner = owner
        dice = Dice(owner.seed, 31, owner.number)
        self._first_key = (0x18 << 56) + (dice.below(1 << 30) << 20)
        self._epoch = epoch
        self.label_names = dict(_USER_LABELS)
        self._labels_made = len(_USER_LABELS)
        self._items = [self._seeded(number, size) for number in range(size)]
        self._by_date = sorted((mail.at, mail.number) for mail in self._items)
        self._began = [number for _, number in self._by_date]
        self.history = MailHistory(1_000_000 + dice.below(1_000_000), size, self._came_in, dice)
        for rank, number in enumerate(self._began):
            self._items[number].history = self.history.past_id(rank)
        self._threads: dict[int, list[int]] = {}
        for mail in self._items:
            self._threads.setdefault(mail.root, []).append(mail.number)
        self.alive = size

    def raw(self, mail: Mail) -> bytes:
        """Return a mail as RFC 5322 text."""
        what = self.content(mail)
        return what.raw if isinstance(what, Letter) else written(what)

    def truth(self, mail: Mail) -> MailTruth:
        """Return what a reader should find in a mail."""
        what = self.content(mail)
        return what.truth if isinstance(what, Letter) else truth_of(what)

    def content(self, mail: Mail) -> Own:
        """Return a mail as it was written: as facts, or as bytes."""
        if mail.own is not None:
            return mail.own
        if mail.case is not None:
            return BY_NAME[mail.case].write(self._setting(mail))
        return ordinary_mail(self.owner, mail.number, mail.root, mail.place, mail.at)

    def at(self, number: int) -> Mail:
        """Return the mail with this number, deleted or not."""
        return self._items[number]

    def newest_first(self, before: tuple[float, int] | None = None) -> Iterator[Mail]:
        """Go through the mails that are there, from the newest or from what comes after a time and number."""
        end = len(self._by_date) if before is None else bisect_left(self._by_date, before)
        for at in range(end - 1, -1, -1):
            mail = self._items[self._by_date[at][1]]
            if not mail.deleted:
                yield mail

    def every(self) -> Iterator[Mail]:
        """Go through the mails that are there, by number."""
        return (mail for mail in self._items if not mail.deleted)

    def thread(self, root: int) -> list[Mail]:
        """Return the mails of a thread that are there, the oldest first."""
        found = [self._items[number] for number in self._threads.get(root, ())]
        return sorted((mail for mail in found if not mail.deleted), key=lambda mail: (mail.at, mail.number))

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return len({mail.root for mail in self.every()})

    def key(self, number: int) -> int:
        """Return the number by which a provider knows the mail, or the thread that it began."""
        return self._first_key + number * _KEY_STEP

    def by_key(self, key: int) -> Mail | None:
        """Return the mail with this key, deleted or not."""
        number, rest = divmod(key - self._first_key, _KEY_STEP)
        return self._items[number] if not rest and 0 <= number < len(self._items) else None

    def find(self, reference: str) -> Mail:
        """Find a mail as tests name it: `#number`, its key in hexadecimal, or the name of a hard case.

        Raises: KeyError when there is none.
        """
        if reference in BY_NAME:
            return next(mail for mail in self._items if mail.case == reference)
        number = int(reference[1:]) if reference.startswith("#") else None
        mail = self.by_key(int(reference, 16)) if number is None else self._items[number]
        if mail is None:
            raise KeyError(reference)
        return mail

    def label_id(self, text: str) -> str:
        """Return the id of a label named by id or name.

        Raises: KeyError when there is none.
        """
        if text in SYSTEM_LABELS or text in self.label_names:
            return text
        for label_id, name in self.label_names.items():
            if name == text:
                return label_id
        raise KeyError(text)

    def add(
        self,
        now: float,
        own: Own | None = None,
        *,
        case: str | None = None,
        labels: Iterable[str] | None = None,
        at: float | None = None,
        thread_of: Mail | None = None,
    ) -> Mail:
        """Add a mail: one that is given, a hard case, or the next of the seed."""
        number = len(self._items)
        if labels is None:
            labels = BY_NAME[case].labels if case is not None else ("INBOX", "UNREAD", "CATEGORY_PERSONAL")
        root = number if thread_of is None else thread_of.root
        mail = Mail(number, now if at is None else at, root, 0, frozenset(labels))
        mail.own, mail.case = own, case
        self._items.append(mail)
        insort(self._by_date, (mail.at, number))
        self._threads.setdefault(root, []).append(number)
        self.alive += 1
        mail.history = self.history.record(now, number, mail.labels, added=True)
        return mail

    def setting(self, number: int, at: float) -> Setting:
        """Return what a mail with this number is written from."""
        return Setting(
            owner=self.owner.party,
            other=correspondent(self.owner, number),
            at=at,
            number=number,
            message_id=message_id_of(self.owner, number),
        )

    @property
    def next_number(self) -> int:
        """The number that the next mail will have."""
        return len(self._items)

    def delete(self, mail: Mail, now: float) -> None:
        """Delete a mail for good; deleting it twice changes nothing."""
        if not mail.deleted:
            mail.deleted = True
            self.alive -= 1
            mail.history = self.history.record(now, mail.number, mail.labels, deleted=True)

    def label(self, mail: Mail, add: Iterable[str], remove: Iterable[str], now: float) -> bool:
        """Add and remove labels; return whether anything changed."""
        gained = tuple(sorted(set(add) - mail.labels))
        lost = tuple(sorted((set(remove) & mail.labels) - set(add)))
        if not gained and not lost:
            return False
        mail.labels = (mail.labels | set(gained)) - set(lost)
        mail.history = self.history.record(now, mail.number, mail.labels, gained=gained, lost=lost)
        return True

    def touch(self, percent: float, now: float) -> int:
        """Put a star on, or take it from, about that share of the mails, spread evenly; return how many."""
        step = 100.0 / percent
        chosen = [one for one in self.every() if int((one.number + 1) / step) != int(one.number / step)]
        for mail in chosen:
            starred = "STARRED" in mail.labels
            self.label(mail, () if starred else ("STARRED",), ("STARRED",) if starred else (), now)
        return len(chosen)

    def make_label(self, name: str) -> str:
        """Make a label and return its id."""
        self._labels_made += 1
        label_id = f"Label_{self._labels_made}"
        self.label_names[label_id] = name
        return label_id

    def drop_label(self, label_id: str, now: float) -> int:
        """Delete a user's label, taking it from its mails; return from how many."""
        del self.label_names[label_id]
        return sum(self.label(mail, (), (label_id,), now) for mail in list(self.every()))

    def _setting(self, mail: Mail) -> Setting:
        return self.setting(mail.number, mail.at)

    def _seeded(self, number: int, size: int) -> Mail:
        if number < len(HARD_MAILS):
            hard = HARD_MAILS[number]
            age_s = 3600.0 + number * _HARD_STEP_S if hard.age_days is None else hard.age_days * DAY_S
            mail = Mail(number, self._epoch - age_s, number, 0, frozenset(hard.labels))
            mail.case = hard.name
            return mail
        place = _PLACES[number % len(_PLACES)]
        if number - place < len(HARD_MAILS):
            place = 0
        at = self._epoch - 60 - _age_s((number + 0.5) / size)
        return Mail(number, at, number - place, place, _ordinary_labels(number, place))

    def _came_in(self, rank: int) -> Change:
        number = self._began[rank]
        mail = self._items[number]
        hard = number < len(HARD_MAILS)
        labels = frozenset(HARD_MAILS[number].labels) if hard else _ordinary_labels(number, mail.place)
        return Change(self.history.past_id(rank), mail.at, number, labels, added=True)


def _age_s(share: float) -> float:
    """Return how old the mail is before which this share of all mails came."""
    if share >= 0.5:
        return (1 - share) * 2 * _RECENT_S
    return _RECENT_S + (1 - share * 2) ** 2 * (_OLDEST_S - _RECENT_S)


_KNOWN_SETS: dict[frozenset[str], frozenset[str]] = {}


def _ordinary_labels(number: int, place: int) -> frozenset[str]:
    """Return the labels a seeded mail begins with; equal sets are one object, for there are many."""
    labels = {"SENT"} if place % 2 else _received(number)
    if number % 13 == 3:
        labels.add(f"Label_{number % 4 + 1}")
    if number % 11 == 2:
        labels.add("STARRED")
    found = frozenset(labels)
    return _KNOWN_SETS.setdefault(found, found)


def _received(number: int) -> set[str]:
    if number % 41 == 7:
        return {"SPAM", "UNREAD"}
    if number % 37 == 5:
        return {"TRASH"}
    labels = {_CATEGORIES[min(number % 7, 4)] if number % 3 == 0 else _CATEGORIES[0]}
    labels |= {"INBOX"} if number % 4 else set()
    labels |= {"UNREAD"} if number % 5 == 1 else set()
    labels |= {"IMPORTANT"} if number % 6 == 1 else set()
    return labels

"""What happened to a mailbox, in order, under numbers that ascend with gaps.

The mails a mailbox began with count as having come in one after another; that part of the past is not stored but
worked out when somebody asks for it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulator.world.dice import Dice

_PAST_STEP = 7
_WIDEST_GAP = 40


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to one mail (told by its number), and the labels that it had afterwards."""

    id: int
    at: float
    mail: int
    labels: frozenset[str]
    added: bool = False
    deleted: bool = False
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class MailHistory:
    """The changes of one mailbox; `current` is the number of the newest, `floor` the lowest that still counts."""

    def __init__(self, first: int, past_size: int, past: Callable[[int], Change], dice: Dice) -> None:
        """`past` returns how the mail of a rank (from 0) came in, under the number `past_id(rank)`."""
        self._dice = dice
        self._past_size = past_size
        self._past = past
        self._ids: list[int] = []
        self._changes: list[Change] = []
        self.floor = first
        self.current = self.past_id(past_size - 1)

    def past_id(self, rank: int) -> int:
        """Return the number under which the mail of this rank came in."""
        return self.floor + (rank + 1) * _PAST_STEP

    def record(
        self,
        at: float,
        mail: int,
        labels: frozenset[str],
        *,
        added: bool = False,
        deleted: bool = False,
        gained: tuple[str, ...] = (),
        lost: tuple[str, ...] = (),
    ) -> int:
        """Write down a change and return its number."""
        self.current += 1 + self._dice.below(_WIDEST_GAP)
        self._ids.append(self.current)
        self._changes.append(
            Change(self.current, at, mail, labels, added=added, deleted=deleted, gained=gained, lost=lost)
        )
        return self.current

    def after(self, start: int) -> Iterator[Change]:
        """Go through the changes with numbers above `start`."""
        if not self._ids or start < self._ids[0]:
            for rank in range(self._rank_after(start), self._past_size):
                yield self._past(rank)
        for at in range(bisect_right(self._ids, start), len(self._changes)):
            yield self._changes[at]

    def knows(self, start: int, since: float) -> bool:
        """Say whether everything after `start` is still there when what was before a time has been forgotten."""
        if not self.floor <= start <= self.current:
            return False
        following = next(self.after(start), None)
        return following is None or following.at >= since

    def forget(self) -> None:
        """Make every number that was given out so far worthless; the mailbox goes on under a higher one."""
        self.current += 1 + self._dice.below(_WIDEST_GAP)
        self._past_size = 0
        self._ids.clear()
        self._changes.clear()
        self.floor = self.current

    def _rank_after(self, start: int) -> int:
        return max(0, (start - self.floor) // _PAST_STEP)

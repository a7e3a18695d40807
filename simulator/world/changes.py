"""A log of what changed, in order, from which every incremental sync of every provider is told.

It holds keys only; what a key means now is asked where the thing itself is kept.
"""

from bisect import bisect_right
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")


class ChangeLog(Generic[K]):
    """Ascending numbers, one for each change."""

    def __init__(self) -> None:
        self.last = 0
        self.generation = 1
        self._numbers: list[int] = []
        self._times: list[float] = []
        self._keys: list[K] = []
        self._latest: dict[K, int] = {}

    def record(self, key: K, at: float = 0.0) -> int:
        """Write down that a thing changed; the time matters only to who asks `reached`."""
        self.last += 1
        self._numbers.append(self.last)
        self._times.append(at)
        self._keys.append(key)
        self._latest[key] = self.last
        return self.last

    def between(self, after: int, until: int, limit: int | None = None) -> list[tuple[int, K]]:
        """Return what changed after one number and up to another, each thing once, at its latest change.

        With a limit, only so many of them from the beginning.
        What changed once more after `until` is left out: the next sync will tell of it.
        """
        start, end = bisect_right(self._numbers, after), bisect_right(self._numbers, until)
        latest = (
            (self._numbers[at], self._keys[at])
            for at in range(start, end)
            if self._latest[self._keys[at]] == self._numbers[at]
        )
        return list(islice(latest, limit))

    def latest(self, key: K) -> int:
        """Return the number of a thing's latest change, 0 for one that never changed."""
        return self._latest.get(key, 0)

    def reached(self, at: float) -> int:
        """Return the number of the last change that was made by then, 0 before the first."""
        return bisect_right(self._times, at)

    def expire(self) -> None:
        """Make every sync token that was given out so far worthless."""
        self.generation += 1

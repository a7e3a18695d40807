"""Seeded draws that cost little, so that a hundred thousand people can be made up on demand.

Not for anything that must be unguessable.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


class Dice:
    """A stream of draws that depends only on the numbers it was made from."""

    __slots__ = ("_state",)

    def __init__(self, *numbers: int) -> None:
        state = 0x9E3779B97F4A7C15
        for number in numbers:
            state = ((state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9) & _MASK
            state ^= state >> 29
        self._state = state

    def below(self, limit: int) -> int:
        """Return a number from 0 to limit - 1."""
        self._state = state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (state >> 33) % limit

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.below(len(choices))]

    def digits(self, count: int) -> str:
        """Return a number written with that many digits, leading zeros kept."""
        return str(self.below(10**count)).zfill(count) if count <= 9 else self.digits(9) + self.digits(count - 9)

    def hex(self, count: int) -> str:
        """Return that many hexadecimal digits."""
        return "".join(f"{self.below(16):x}" for _ in range(count))

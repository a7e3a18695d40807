"""Quotas as sliding windows over the simulated clock.

It counts and refuses; what a refusal looks like is the provider family's business. A refused request uses nothing
where the provider does not say otherwise. A limit without a window is one of what may be under way at the same time.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from simulator.clock import Clock

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A published limit: `units` in a window of `window_s` for each key (a user, a project)."""

    name: str
    units: int
    window_s: float = WINDOW_S


@dataclass(slots=True)
class _Window:
    uses: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0
    peak: int = 0
    spent: int = 0
    refused: int = 0

    def slide(self, since: float) -> None:
        while self.uses and self.uses[0][0] <= since:
            self.total -= self.uses.popleft()[1]


class Quotas:
    """Every window of every limit, with peaks for tests to read."""

    def __init__(self, clock: Clock, scale: float) -> None:
        self._clock = clock
        self.scale = scale
        self._limits: dict[str, Limit] = {}
        self._windows: dict[tuple[str, str], _Window] = {}

    def declare(self, *limits: Limit) -> None:
        """Make limits known, at scale 1."""
        self._limits.update({limit.name: limit for limit in limits})

    def change(self, name: str, units: int) -> None:
        """Set another size for a known limit.

        Raises: KeyError for a limit that nobody declared.
        """
        self._limits[name] = Limit(name, units, self._limits[name].window_s)

    def allowed(self, name: str) -> int:
        """Return the units of a window after scaling."""
        return max(1, int(self._limits[name].units * self.scale))

    def spend(self, claims: list[tuple[str, str, int]], *, count_refused: bool = False) -> str | None:
        """Take (limit, key, units) from all windows or from none; return the name of the limit that refused.

        With `count_refused` a refused claim fills the window that refused it all the same.
        """
        now = self._clock.now()
        windows = []
        for name, key, units in claims:
            window = self._windows.get((name, key))
            if window is None:
                window = self._windows[name, key] = _Window()
            window.slide(now - self._limits[name].window_s)
            if window.total + units > self.allowed(name):
                window.refused += 1
                if count_refused:
                    window.uses.append((now, units))
                    window.total += units
                return name
            windows.append((window, units))
        for window, units in windows:
            window.uses.append((now, units))
            window.total += units
            window.spent += units
            window.peak = max(window.peak, window.total)
        return None

    def wait_s(self, name: str, key: str) -> float:
        """Return the seconds until a window has room for one unit."""
        window, now = self._windows.get((name, key)), self._clock.now()
        if window is None:
            return 0.0
        surplus = window.total + 1 - self.allowed(name)
        for at, units in window.uses:
            if surplus <= 0:
                break
            surplus -= units
            if surplus <= 0:
                return max(0.0, at + self._limits[name].window_s - now)
        return 0.0

    def enter(self, name: str, key: str) -> bool:
        """Begin something that counts until `leave`; false when too much is under way, and then it must not leave."""
        window = self._windows.setdefault((name, key), _Window())
        if window.total >= self.allowed(name):
            window.refused += 1
            return False
        window.total += 1
        window.spent += 1
        window.peak = max(window.peak, window.total)
        return True

    def leave(self, name: str, key: str) -> None:
        """End something that had entered."""
        window = self._windows.get((name, key))
        if window is not None and window.total:
            window.total -= 1

    def counters(self) -> dict[str, dict[str, Any]]:
        """Return for each limit its size, and for each key the peak of a window, the sum and the refusals."""
        result: dict[str, dict[str, Any]] = {
            name: {"limit": self.allowed(name), "window_s": limit.window_s, "peak": 0, "refused": 0, "keys": {}}
            for name, limit in self._limits.items()
        }
        for (name, key), window in self._windows.items():
            of_limit = result[name]
            of_limit["keys"][key] = {"peak": window.peak, "spent": window.spent, "refused": window.refused}
            of_limit["peak"] = max(of_limit["peak"], window.peak)
            of_limit["refused"] += window.refused
        return result

    def reset_counters(self) -> None:
        """Forget all use."""
        self._windows.clear()

"""The simulated clock: real time plus an offset that only the control door moves.

It never stands still and never sleeps.
"""

import time
from datetime import UTC, datetime

DAY_S = 86_400.0


class Clock:
    """Seconds since 1970 in the simulated world."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        """Return the simulated time."""
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Move the simulated world forward, or back when negative."""
        self.offset_s += seconds


def utc_text(at: float) -> str:
    """Write a time as RFC 3339 with microseconds, as protobuf's JSON does."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def utc_millis_text(at: float) -> str:
    """Write a time as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

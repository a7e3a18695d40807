"""Moments of a calendar: an instant in a zone, or a whole day that belongs to no zone; and when clocks are changed.

An instant is kept as seconds since 1970, so that the doubled hour of autumn stays two hours.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_DAY = timedelta(days=1)


class At(msgspec.Struct, frozen=True, gc=False):
    """Either `seconds` with the zone in which it was written down, or `day` as an ISO date."""

    seconds: int | None = None
    zone: str = "UTC"
    day: str | None = None

    @property
    def stamp(self) -> str:
        """The moment without punctuation, in UTC; a day has no time."""
        if self.day is not None:
            return self.day.replace("-", "")
        return datetime.fromtimestamp(self.seconds or 0, UTC).strftime("%Y%m%dT%H%M%SZ")

    def instant(self, zone: str) -> int:
        """Return seconds since 1970; a day begins at midnight in the zone."""
        return at_wall(datetime.fromisoformat(self.day), zone) if self.day is not None else self.seconds or 0

    def moved(self, seconds: int) -> "At":
        """Return a later moment; a day moves by whole days."""
        if self.day is not None:
            return At(day=(date.fromisoformat(self.day) + timedelta(seconds=seconds)).isoformat(), zone=self.zone)
        return At((self.seconds or 0) + seconds, self.zone)

    def until(self, end: "At") -> int:
        """Return the seconds from here to another moment of the same kind."""
        if self.day is not None and end.day is not None:
            return (date.fromisoformat(end.day) - date.fromisoformat(self.day)).days * 86_400
        return (end.seconds or 0) - (self.seconds or 0)


@lru_cache(maxsize=600)
def zone_info(zone: str) -> ZoneInfo:
    """Return a zone's rules.

    Raises: ValueError for a name that is none.
    """
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"{zone!r} is no time zone.") from None


def at_wall(wall: datetime, zone: str) -> int:
    """Return the instant of a wall time; in the hour that is left out clocks show an hour more."""
    return int(wall.replace(tzinfo=zone_info(zone)).timestamp())


def wall_of(seconds: int, zone: str) -> datetime:
    """Return what clocks show at an instant, with their offset."""
    return datetime.fromtimestamp(seconds, zone_info(zone))


def clock_change(zone: str, year: int, *, forward: bool) -> int:
    """Return the instant at which a zone's clocks are put forward (or back) in a year.

    Raises: ValueError for a zone that does not do so.
    """
    at = datetime(year, 1, 1, tzinfo=UTC)
    while at.year == year:
        before, after = wall_of(int(at.timestamp()), zone), wall_of(int((at + _DAY).timestamp()), zone)
        gain = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        if gain and (gain > timedelta()) == forward:
            return _edge(int(at.timestamp()), int((at + _DAY).timestamp()), zone)
        at += _DAY
    raise ValueError(f"The clocks of {zone} are not changed in {year}.")


def _edge(low: int, high: int, zone: str) -> int:
    offset = wall_of(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wall_of(middle, zone).utcoffset() == offset else (low, middle)
    return high


def moment(value: object, zone: str) -> At:
    """Read a moment as tests write it: a day, a time with offset, a wall time in the zone, or any with `zone` beside.

    `"2026-12-01"`, `"2026-12-01T10:00:00+07:00"`, `{"at": "2026-12-01T10:00:00", "zone": "Asia/Amman"}`

    Raises: ValueError.
    """
    if isinstance(value, dict):
        return moment(value.get("at", value.get("day")), str(value.get("zone") or zone))
    text = str(value)
    if len(text) == len("2026-12-01"):
        return At(day=date.fromisoformat(text).isoformat(), zone=zone)
    read = datetime.fromisoformat(text)
    zone_info(zone)
    return At(int(read.timestamp()) if read.tzinfo else at_wall(read, zone), zone)


def utc_text(at: At) -> str:
    """Return an instant as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(at.seconds or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

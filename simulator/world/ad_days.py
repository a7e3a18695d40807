"""What a campaign did on one day, and how the figures of that day change in the weeks after it.

    pace of the campaign + day ─▶ what is true in the end ─▶ what is known of it so many days later

    age 0        only what happened until now; few conversions have come in
    ages 0 to 2  cost and clicks are a little too high: invalid clicks are taken back on the third day
    age 3        a day in about a hundred turns out to be void as a whole
    up to the look-back, conversions that happened later are credited to the day of their click

Pure and cheap: nothing is stored for a day that nobody asks for. Money, and conversions too, are whole millionths.
"""

from dataclasses import dataclass
from typing import NamedTuple

_MASK = (1 << 64) - 1
_MICROS = 1_000_000
_SETTLED_AT = 3
_FIRST_DAY_SHARE = 350
MINUTES = 1_440


class Figures(NamedTuple):
    """One day, or a sum of days. `conversions` and the values are in millionths, like the cost."""

    impressions: int = 0
    clicks: int = 0
    interactions: int = 0
    cost_micros: int = 0
    conversions: int = 0
    conversions_value: int = 0
    all_conversions: int = 0
    all_conversions_value: int = 0
    video_views: int = 0

    def plus(self, other: "Figures") -> "Figures":
        """Return the sum of two."""
        return Figures(*(one + two for one, two in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Pace:
    """How a campaign usually does.

    `unit_micros` is what cost is rounded to; 1 gives amounts that no binary fraction holds. `weekdays` has a bit for
    each day of the week on which it runs, Monday first. `fractional` conversions are shared among several clicks.
    """

    salt: int
    impressions: int
    clicks_permille: int
    cost_per_click_micros: int
    unit_micros: int
    conversions_permille: int
    value_micros: int
    idle_percent: int
    weekdays: int
    lookback_days: int
    fractional: bool
    video: bool


def figures(pace: Pace, day: int, age: int, minutes: int = MINUTES) -> Figures | None:
    """Return what is known of a day (an ordinal) at an age in days, None when there is nothing.

    `minutes` of the day are over at age 0; later ages ignore it.
    """
    chance = _mixed(pace.salt, day)
    if age < 0 or not pace.weekdays >> (day + 6) % 7 & 1 or ((chance >> 48) % 97 == 0 and age >= _SETTLED_AT):
        return None
    if chance % 100 < pace.idle_percent:
        return _only_calls(pace) if chance >> 57 == 5 and age >= _SETTLED_AT else None
    if age:
        minutes = MINUTES
    impressions = pace.impressions * (50 + (chance >> 8) % 101) // 100 * minutes // MINUTES
    clicks = impressions * pace.clicks_permille * (70 + (chance >> 16) % 61) // 100_000
    cost = clicks * pace.cost_per_click_micros * (80 + (chance >> 24) % 41) // 100
    if age < _SETTLED_AT:
        clicks = clicks * (100 + _SETTLED_AT - age) // 100
        cost = cost * (100 + _SETTLED_AT - age) // 100
    cost -= cost % pace.unit_micros
    conversions = impressions * pace.clicks_permille * pace.conversions_permille * ((chance >> 32) % 201) // 100
    conversions = _whole(pace, conversions * _arrived(age, pace.lookback_days) // 1_000)
    value = conversions * pace.value_micros // _MICROS
    calls = (chance >> 52) % 4 * _MICROS if age else 0
    found = Figures(
        impressions, clicks, clicks + (impressions // 50 if pace.video else 0), cost, conversions,
        value - value % 10_000, conversions + calls, value - value % 10_000 + calls * 3,
        impressions // 3 if pace.video else 0,
    )  # fmt: skip
    return found if any(found) else None


def _only_calls(pace: Pace) -> Figures:
    """Return a day without impressions that a call made later is credited to."""
    return Figures(all_conversions=_MICROS, all_conversions_value=pace.value_micros)


def _whole(pace: Pace, conversions: int) -> int:
    return conversions if pace.fractional else conversions - conversions % _MICROS


def _arrived(age: int, lookback_days: int) -> int:
    """Return how much of a day's conversions is known at an age, in thousandths: quickly at first, then slowly."""
    if age >= lookback_days:
        return 1_000
    left = lookback_days - age
    return 1_000 - (1_000 - _FIRST_DAY_SHARE) * left * left // (lookback_days * lookback_days)


def _mixed(salt: int, day: int) -> int:
    """Return 64 bits that depend on both in no simple way."""
    mixed = (salt + day * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
    return mixed ^ mixed >> 31

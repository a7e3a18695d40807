"""Campaigns of an advertising account, made up from a seed; days of theirs are asked for one at a time.

A removed or paused campaign keeps its past. What the control door says about a day overrules what was made up.
"""

from dataclasses import dataclass, field

from simulator.world.ad_days import MINUTES, Figures, Pace, figures
from simulator.world.ad_words import CAMPAIGNS, HARD_CAMPAIGNS
from simulator.world.dice import Dice

_CHANNELS = ("SEARCH", "DISPLAY", "VIDEO", "SHOPPING", "PERFORMANCE_MAX", "DEMAND_GEN")
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency as advertising bills it: the smallest amount, and what a click costs about."""

    code: str
    unit_micros: int
    click_micros: int


CURRENCIES = {
    one.code: one
    for one in (
        Currency("USD", 10_000, 1_200_000), Currency("EUR", 10_000, 1_050_000), Currency("THB", 10_000, 12_340_000),
        Currency("JPY", 1_000_000, 140_000_000), Currency("BHD", 1_000, 431_000),
    )
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Campaign:
    """A campaign. Days are ordinals; `last_day` is the last on which it ran, None while it runs."""

    number: int
    name: str
    status: str
    channel: str
    first_day: int
    end_day: int | None
    budget_number: int
    budget_micros: int
    pace: Pace
    last_day: int | None = None
    told: dict[int, Figures | None] = field(default_factory=dict)

    def on(self, day: int, today: int, minutes: int = MINUTES) -> Figures | None:
        """Return what is known of a day, None when there is nothing."""
        if day in self.told:
            return self.told[day] if day <= today else None
        if day < self.first_day or (self.last_day is not None and day > self.last_day):
            return None
        if self.end_day is not None and day > self.end_day:
            return None
        return figures(self.pace, day, today - day, minutes)

    def between(self, first: int, last: int, today: int, minutes: int) -> list[tuple[int, Figures]]:
        """Return the days of a range on which there is something, oldest first."""
        begins = min((self.first_day, *self.told))
        days = range(max(first, begins), min(last, today) + 1)
        found = ((day, self.on(day, today, minutes)) for day in days)
        return [(day, of_day) for day, of_day in found if of_day is not None]


def make_campaigns(seed: int, owner: int, count: int, currency: str, today: int, reach: int = 0) -> list[Campaign]:
    """Return an account's campaigns as they stand on a day; with a reach none began more than so many days before."""
    campaigns = [make_campaign(seed, owner, at, currency, today) for at in range(count)]
    for campaign in campaigns:
        campaign.first_day = max(campaign.first_day, today - reach if reach else 1)
    return campaigns


def make_campaign(seed: int, owner: int, at: int, currency: str, today: int) -> Campaign:
    """Return the campaign at a place of an account: every fourth has a hard name, every sixth is gone or paused."""
    dice = Dice(seed, 17, owner, at)
    number = 1_000_000_000 + owner % 9_000 * 1_000_000 + at * 997 + dice.below(900)
    first_day = today - 1_000 - dice.below(600) if at % 3 else today - 20 - dice.below(400)
    campaign = Campaign(
        number=number,
        name=_name(dice, at),
        status="ENABLED",
        channel=_CHANNELS[at % len(_CHANNELS)],
        first_day=first_day,
        end_day=today + dice.below(200) if at % 5 == 4 else None,
        budget_number=number + 7,
        budget_micros=(5 + dice.below(200)) * CURRENCIES[currency].click_micros,
        pace=_pace(dice, at, CURRENCIES[currency]),
    )
    if at % 6 in (3, 5):
        campaign.status = "PAUSED" if at % 6 == 3 else "REMOVED"
        campaign.last_day = max(first_day + 5, today - 3 - dice.below(60))
    return campaign


def _name(dice: Dice, at: int) -> str:
    if at % 4 == 3:
        return HARD_CAMPAIGNS[at // 4 % len(HARD_CAMPAIGNS)]
    return f"{dice.pick(CAMPAIGNS)} {at + 1}"


def _pace(dice: Dice, at: int, currency: Currency) -> Pace:
    video = _CHANNELS[at % len(_CHANNELS)] == "VIDEO"
    return Pace(
        salt=dice.below(1 << 30) << 31 | dice.below(1 << 30),
        impressions=(80, 900, 25_000)[at % 3] + dice.below(400),
        clicks_permille=5 + dice.below(60),
        cost_per_click_micros=currency.click_micros * (40 + dice.below(160)) // 100 + dice.below(9_973) * video,
        unit_micros=1 if video else currency.unit_micros,
        conversions_permille=10 + dice.below(120),
        value_micros=currency.click_micros * (10 + dice.below(90)),
        idle_percent=(0, 12, 45)[dice.below(3)],
        weekdays=0b11111 if dice.below(4) == 0 else 0b1111111,
        lookback_days=(30, 90, 7)[at % 3],
        fractional=bool(at % 2),
        video=video,
    )

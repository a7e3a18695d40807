"""Campaign days: the numbers of one campaign on one day, stored plain so that an analyst can add them up.

A measure holds no person's data. Money is exact: whole micros (millionths of the account's currency) of what was spent,
decimals of what conversions were worth. A day is the account's own: it begins when the account's time zone says so.

Measures come in slices, all days of an account from one to another, and a slice is replaced whole: a day on which
nothing happened has no row at any provider, so a row that is shown no more has become zero.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - a field is named `day`, and its type is a date
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MOST: Final = 2**63 - 1
_DECIMAL_MOST: Final = Decimal(10) ** 18
_DECIMAL_PLACES: Final = 30


class CampaignDay(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one campaign did on one day. `conversion_value` is in the account's currency, in major units."""

    campaign_id: str
    day: Date
    campaign_name: str = ""
    cost_micros: int = 0
    impressions: int = 0
    clicks: int = 0
    conversions: Decimal = Decimal(0)
    conversion_value: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Slice:
    """The days from `first` to `last`, both included, of one ad account: what a page of measures speaks of.

    `whole`: the page shows all that there is, so what we hold in the slice and did not see is gone. Otherwise what it
    shows is written and nothing goes.
    """

    account_id: str
    currency: str
    time_zone: str
    first: Date
    last: Date
    account_name: str = ""
    whole: bool = True

    def __contains__(self, day: Date) -> bool:
        return self.first <= day <= self.last


def measure_key(campaign_id: str, day: Date) -> str:
    """The name of a campaign's day within its account, for what is set aside."""
    return f"{campaign_id}/{day.isoformat()}"


def faults_of(measure: CampaignDay, of: Slice) -> Iterator[str]:
    """The fields of a measure that no table could keep as they are: a lie of the provider, or a mistake in parsing."""
    if not measure.campaign_id or len(measure.campaign_id) > 200:
        yield "campaign_id"
    if measure.day not in of:
        yield "day"
    if not -_MOST <= measure.cost_micros <= _MOST:
        yield "cost_micros"
    if not 0 <= measure.impressions <= _MOST:
        yield "impressions"
    if not 0 <= measure.clicks <= _MOST:
        yield "clicks"
    if not _is_plain(measure.conversions):
        yield "conversions"
    if not _is_plain(measure.conversion_value):
        yield "conversion_value"


def slice_fault(of: Slice) -> str | None:
    """What is wrong with a slice itself, or None."""
    if _CURRENCY.fullmatch(of.currency) is None:
        return "currency"
    if not _is_zone(of.time_zone):
        return "time_zone"
    if not of.account_id:
        return "account_id"
    return "first" if of.first > of.last else None


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def _is_plain(number: Decimal) -> bool:
    if not number.is_finite() or abs(number) >= _DECIMAL_MOST:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DECIMAL_PLACES

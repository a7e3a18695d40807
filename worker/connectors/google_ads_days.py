"""The stream `campaign_days` of Google Ads: what each campaign cost and brought on each day of its account.

part        an account that is no manager
cursor      the days that were read: to which day the first load has come, newest days first; when the newest days and
            the corrections were last read (`google_ads_plan.py`)
dies        when the account's time zone or currency is another: all days of a first load are read anew, for they are
            cut otherwise. What is older stays as it was, with the zone and the currency that it was in
deletions   a slice of days is replaced whole: a day on which a campaign did nothing comes without a row
corrected   conversions count for the day of their click, up to 90 days back, and clicks are struck out later: the last
            three days are read each time, and once a day the last 90 (a setting). The length costs nothing: a query is
            one operation of the day, however many days and pages it has
limits      a day's operations of the Cloud project, shared out fairly among the workspaces; 37 months back
known gaps  no figures below the campaign, none by conversion action

Pages come newest day first; a page of ours is cut where a day ends, so that each day is replaced whole. Within a page
of Google's the order of rows is not relied on.

Source: providers/google.md §8.4, §8.5 (read 2026-11); https://developers.google.com/google-ads/api/docs/reporting/
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date as Date  # noqa: N812 - as in `worker.measures`
from datetime import timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from worker.connectors import google_api
from worker.connectors.contract import Session
from worker.connectors.cursors import read_cursor
from worker.connectors.google_ads_api import OutOfReach, search
from worker.connectors.google_ads_numbers import Whole, amount, whole_number
from worker.connectors.google_ads_plan import Limits, Place, Step, after, next_step, out_of_reach
from worker.errors import BadRecord, CursorExpired, ProviderRefused, Transient
from worker.measures import CampaignDay, Slice, measure_key
from worker.records import Page, Part, Refused
from worker.transport.json_reply import read_items

ROWS_A_PAGE: Final = 2_000
"""A page of ours is cut at the first end of a day after so many rows."""
QUERY: Final = (
    "SELECT customer.id, customer.currency_code, customer.time_zone, campaign.id, campaign.name, segments.date, "
    "metrics.impressions, metrics.clicks, metrics.cost_micros, metrics.conversions, metrics.conversions_value "
    "FROM campaign WHERE segments.date BETWEEN '{first}' AND '{last}' ORDER BY segments.date DESC"
)
_TRIES: Final = 2
"""How often a query is asked anew from where it was, when Google forgets its next page."""


class _Customer(msgspec.Struct, rename="camel"):
    id: str = ""
    currency_code: str = ""
    time_zone: str = ""


class _Campaign(msgspec.Struct):
    id: str
    name: str = ""


class _Segments(msgspec.Struct):
    date: Date


class _Metrics(msgspec.Struct, rename="camel"):
    impressions: Whole = 0
    clicks: Whole = 0
    cost_micros: Whole = 0
    conversions: Decimal = Decimal(0)
    conversions_value: Decimal = Decimal(0)


class _Row(msgspec.Struct):
    campaign: _Campaign
    segments: _Segments
    customer: _Customer = msgspec.field(default_factory=_Customer)
    metrics: _Metrics = msgspec.field(default_factory=_Metrics)


@dataclass(slots=True)
class _Days:
    """Whole days of an answer, from `last` downwards. `unsure`: a row among them had no readable campaign or day."""

    last: Date
    measures: list[CampaignDay] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unsure: bool = False


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """The newest days, then what may have been corrected, or what the first load has not come to yet.

    Raises:
        CursorExpired: the account's days are cut otherwise than they were.
        BadRecord: the account has no time zone that we know.
    """
    place = _read_cursor(cursor, part)
    limits = Limits(int(session.options["history_days"]), int(session.options["restatement_days"]))
    step = _next(session, part, place, limits)
    anew = step is None
    if step is None and (step := _next(session, part, place, limits, anew=True)) is None:
        yield Page(cursor=msgspec.json.encode(place))
        return
    tries = 0
    while step is not None:
        asked, following = step, None
        try:
            for slice_, days in _asked(session, part, asked):
                place = after(asked, slice_.first)
                following = _next(session, part, place, limits)
                yield Page(
                    measures=tuple(days.measures),
                    refused=tuple(days.refused),
                    cursor=msgspec.json.encode(place),
                    more=following is not None,
                    covers=slice_,
                )
                tries = 0
            step = following
        except OutOfReach:
            place = out_of_reach(asked)
            step = _next(session, part, place, limits)
            if step is None:
                yield Page(cursor=msgspec.json.encode(place))
        except CursorExpired:
            tries += 1
            if tries > _TRIES:
                raise Transient("Google Ads forgets the next page again and again.") from None
            step = _next(session, part, place, limits, anew=anew)


def measure_of(row: _Row, part: Part) -> CampaignDay:
    """A row in normal form. Pure.

    Raises:
        BadRecord: a figure is none, or the row is of another account, zone or currency.
    """
    for shown, ours, where in (
        (row.customer.id, part.key, "customer.id"),
        (row.customer.currency_code, part.carries["currency"], "customer.currencyCode"),
        (row.customer.time_zone, part.carries["time_zone"], "customer.timeZone"),
    ):
        if shown not in {"", ours}:
            raise BadRecord(where)
    metrics = row.metrics
    return CampaignDay(
        campaign_id=row.campaign.id,
        day=row.segments.date,
        campaign_name=row.campaign.name,
        cost_micros=whole_number(metrics.cost_micros, "metrics.costMicros"),
        impressions=whole_number(metrics.impressions, "metrics.impressions"),
        clicks=whole_number(metrics.clicks, "metrics.clicks"),
        conversions=amount(metrics.conversions, "metrics.conversions"),
        conversion_value=amount(metrics.conversions_value, "metrics.conversionsValue"),
    )


def _next(session: Session, part: Part, place: Place, limits: Limits, *, anew: bool = False) -> Step | None:
    if not part.carries["open"]:
        return None  # It answers no more; what we hold of it is kept as it is.
    now = session.now()
    return next_step(place, now, now.astimezone(_zone(part)).date(), limits, anew=anew)


def _asked(session: Session, part: Part, step: Step) -> Iterator[tuple[Slice, _Days]]:
    """The days of a step, in slices from the newest to the oldest; together they leave out none."""
    query = QUERY.format(first=step.first.isoformat(), last=step.last.isoformat())
    tokens = google_api.PageTokens()
    days = _Days(step.last)
    current: Date | None = None
    token = ""
    while True:
        found = search(session, part.key, part.carries["login"], query, token)
        for day, number, row in _newest_first(found.results, step):
            if day is not None and current is not None and day != current:
                if day > current:
                    raise ProviderRefused("Google Ads gave days out of their order.")
                if len(days.measures) >= ROWS_A_PAGE:
                    yield _slice(part, current, days), days
                    days = _Days(current - timedelta(days=1), unsure=days.unsure)
            current = day or current
            _add(days, row, found.results[number], part, number)
        token = tokens.next(found.next_page_token)
        if not token:
            yield _slice(part, step.first, days), days
            return


def _newest_first(results: list[msgspec.Raw], step: Step) -> list[tuple[Date | None, int, _Row | BadRecord]]:
    """The rows of a page of Google's with their days and numbers. First come those that have no day that was asked for.

    They are set aside; and since nobody knows which day they are of, they leave every slice that ends later unsure.
    """
    rows = []
    for number, row in read_items(results, _Row):
        day = _day_of(results[number]) if isinstance(row, BadRecord) else row.segments.date
        rows.append((day if day is not None and step.first <= day <= step.last else None, number, row))
    return sorted(rows, key=lambda found: (found[0] is not None, -(found[0].toordinal() if found[0] else 0), found[1]))


def _add(days: _Days, row: _Row | BadRecord, raw: msgspec.Raw, part: Part, number: int) -> None:
    try:
        if isinstance(row, BadRecord):
            raise row
        days.measures.append(measure_of(row, part))
    except BadRecord as error:
        campaign, day = _campaign_of(raw), _day_of(raw)
        named = bool(campaign) and day is not None
        days.unsure = days.unsure or not named
        key = measure_key(campaign, day) if day is not None and campaign else f"{days.last} row {number}"
        days.refused.append(Refused(key, error.reason, str(error)))


def _slice(part: Part, first: Date, days: _Days) -> Slice:
    return Slice(
        account_id=part.key,
        currency=part.carries["currency"],
        time_zone=part.carries["time_zone"],
        first=first,
        last=days.last,
        account_name=part.label,
        whole=not days.unsure,
    )


def _zone(part: Part) -> ZoneInfo:
    try:
        return ZoneInfo(part.carries["time_zone"])
    except (ZoneInfoNotFoundError, ValueError):
        raise BadRecord("The account's time zone is none that we know.") from None


def _read_cursor(cursor: bytes | None, part: Part) -> Place:
    fresh = Place(part.carries["time_zone"], part.carries["currency"])
    if cursor is None:
        return fresh
    place = read_cursor(cursor, Place)
    if (place.time_zone, place.currency, place.version) != (fresh.time_zone, fresh.currency, fresh.version):
        raise CursorExpired("The account's time zone or currency is another than it was.")
    return place


class _AnyCampaign(msgspec.Struct):
    id: str = ""


class _AnySegments(msgspec.Struct):
    date: str = ""


class _NamedRow(msgspec.Struct):
    campaign: _AnyCampaign | None = None


class _DatedRow(msgspec.Struct):
    segments: _AnySegments | None = None


def _campaign_of(raw: msgspec.Raw) -> str:
    try:
        row = msgspec.json.decode(raw, type=_NamedRow)
    except (msgspec.MsgspecError, RecursionError):
        return ""
    return row.campaign.id if row.campaign else ""


def _day_of(raw: msgspec.Raw) -> Date | None:
    try:
        row = msgspec.json.decode(raw, type=_DatedRow)
        return Date.fromisoformat(row.segments.date) if row.segments else None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None

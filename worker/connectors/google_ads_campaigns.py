"""The stream `campaigns` of Google Ads: what each account's campaigns are called, whether they run, and on what budget.

part        an account that is no manager
cursor      the page token of a pass; each run is a pass, since Google has no list of what changed that reaches far
dies        with Google's page token, after some hours: the pass begins anew
deletions   Google has none: a removed campaign stays, with its status. What a whole pass does not show goes
limits      one operation of the day for each account and pass, 10,000 campaigns a page
known gaps  a budget that is shared among campaigns is shown with each of them

Source: providers/google.md §8.4 (read 2026-11); https://developers.google.com/google-ads/api/fields/v26/campaign
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from worker.connectors import google_api
from worker.connectors.contract import Session
from worker.connectors.cursors import read_cursor
from worker.connectors.google_ads_api import search
from worker.connectors.google_ads_numbers import Whole, whole_number
from worker.errors import BadRecord, CursorExpired
from worker.records import FULL_PASS, Campaign, Kind, Page, Part, Record, Refused
from worker.transport.json_reply import read_items

QUERY: Final = (
    "SELECT customer.id, customer.currency_code, customer.time_zone, campaign.id, campaign.name, campaign.status, "
    "campaign.advertising_channel_type, campaign.start_date_time, campaign.end_date_time, "
    "campaign_budget.amount_micros FROM campaign ORDER BY campaign.id"
)


class _Customer(msgspec.Struct, rename="camel"):
    id: str = ""
    currency_code: str = ""
    time_zone: str = ""


class _Campaign(msgspec.Struct, rename="camel"):
    id: str
    name: str = ""
    status: str = ""
    advertising_channel_type: str = ""
    start_date_time: str = ""
    end_date_time: str = ""


class _Budget(msgspec.Struct, rename="camel"):
    amount_micros: Whole = 0


class _Row(msgspec.Struct, rename="camel"):
    campaign: _Campaign
    customer: _Customer = msgspec.field(default_factory=_Customer)
    campaign_budget: _Budget = msgspec.field(default_factory=_Budget)


class _Cursor(msgspec.Struct, omit_defaults=True):
    """Where a pass resumes. `unsure`: it met a row without a readable campaign, so absence proves nothing."""

    query: str
    page: str = ""
    unsure: bool = False


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """All campaigns of an account.

    Raises:
        CursorExpired: the pass cannot go on where it was.
    """
    if not part.carries["open"]:
        # It answers no more. What it had is kept as it is, and told again when it opens.
        yield Page(cursor=msgspec.json.encode(_Cursor(QUERY)))
        return
    place = _read_cursor(cursor)
    tokens = google_api.PageTokens()
    while True:
        found = search(session, part.key, part.carries["login"], QUERY, place.page)
        records, refused, nameless = _read(found.results, part)
        token = tokens.next(found.next_page_token)
        place = _Cursor(QUERY, token, place.unsure or nameless)
        yield Page(
            records=records,
            refused=refused,
            cursor=msgspec.json.encode(place),
            more=bool(token),
            covers=None if place.unsure else FULL_PASS,
        )
        if not token:
            return


def campaign_of(row: _Row, account_id: str, time_zone: str) -> Campaign:
    """A row in normal form. Pure.

    Raises:
        BadRecord: a figure is none, or the row is another account's.
    """
    if row.customer.id not in {"", account_id}:
        raise BadRecord("customer.id")
    campaign = row.campaign
    return Campaign(
        account_id=account_id,
        campaign_id=campaign.id,
        name=campaign.name,
        status=campaign.status,
        channel=campaign.advertising_channel_type,
        starts_at=_moment(campaign.start_date_time, time_zone),
        ends_at=_moment(campaign.end_date_time, time_zone),
        daily_budget_micros=whole_number(row.campaign_budget.amount_micros, "campaignBudget.amountMicros"),
        currency=row.customer.currency_code,
    )


def _read(rows: list[msgspec.Raw], part: Part) -> tuple[tuple[Record, ...], tuple[Refused, ...], bool]:
    records: list[Record] = []
    refused: list[Refused] = []
    nameless = False
    for number, row in read_items(rows, _Row):
        try:
            if isinstance(row, BadRecord):
                raise row
            body = campaign_of(row, part.key, row.customer.time_zone or part.carries["time_zone"])
        except BadRecord as error:
            name = _name_of(rows[number])
            nameless = nameless or not name
            refused.append(Refused(f"{part.key}/{name or f'row {number}'}", error.reason, str(error)))
        else:
            records.append(Record(f"{part.key}/{body.campaign_id}", Kind.CAMPAIGN, body))
    return tuple(records), tuple(refused), nameless


def _read_cursor(cursor: bytes | None) -> _Cursor:
    if cursor is None:
        return _Cursor(QUERY)
    place = read_cursor(cursor, _Cursor)
    if place.query != QUERY and place.page:
        raise CursorExpired("The cursor belongs to another query.")
    return place


def _moment(text: str, time_zone: str) -> datetime | None:
    """`2026-11-22 00:00:00` in the account's zone; None for what is no moment there."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo(time_zone))
    except (ValueError, ZoneInfoNotFoundError):
        return None


class _Named(msgspec.Struct):
    id: str = ""


class _NamedRow(msgspec.Struct):
    campaign: _Named | None = None


def _name_of(raw: msgspec.Raw) -> str:
    try:
        row = msgspec.json.decode(raw, type=_NamedRow)
    except (msgspec.MsgspecError, RecursionError):
        return ""
    return row.campaign.id if row.campaign else ""

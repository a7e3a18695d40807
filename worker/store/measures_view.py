"""Measures as the CRM reads them: campaign days, the accounts behind them, and what was spent by day.

They hold no person's data, so reading them is no disclosure and is not written down.
"""

from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - as in `worker.measures`
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("measures_view")


@dataclass(frozen=True, slots=True)
class MeasuredDay:
    """What one campaign did on one day of its account. Money: `cost_micros` are millionths of `currency`."""

    connection_id: UUID
    connector: str
    account_id: str
    account_name: str | None
    campaign_id: str
    campaign_name: str
    day: Date
    time_zone: str
    currency: str
    cost_micros: int
    impressions: int
    clicks: int
    conversions: Decimal
    conversion_value: Decimal
    updated_at: datetime

    @property
    def cost(self) -> Decimal:
        """What was spent, in the currency itself, exact."""
        return Decimal(self.cost_micros).scaleb(-6)


@dataclass(frozen=True, slots=True)
class MeasuredAccount:
    """An ad account, and which of its days were read. Within them, a day without a row was a day without anything."""

    connection_id: UUID
    connector: str
    account_id: str
    account_name: str
    time_zone: str
    currency: str
    first_day: Date
    last_day: Date
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Spend:
    """What all accounts of one currency spent on one day, which is another day for each of their time zones."""

    day: Date
    currency: str
    cost_micros: int
    impressions: int
    clicks: int
    conversions: Decimal

    @property
    def cost(self) -> Decimal:
        """What was spent, in the currency itself, exact."""
        return Decimal(self.cost_micros).scaleb(-6)


def days(
    tx: Connection,
    workspace: str,
    *,
    connection_id: UUID | None,
    connector: str | None,
    first: Date | None,
    last: Date | None,
    after: MeasuredDay | None,
    limit: int,
) -> list[MeasuredDay]:
    """A page of campaign days, oldest first: of one connection as it brought them, or of all with each account once.

    It begins behind `after`, the last of the page before.
    """
    arguments = {
        "workspace": workspace,
        "connection": connection_id,
        "connector": connector,
        "first": after.day if after is not None else first,
        "last": last,
        "after_day": after.day if after is not None else None,
        "after_connector": after.connector if after is not None else None,
        "after_account": after.account_id if after is not None else None,
        "after_campaign": after.campaign_id if after is not None else None,
        "limit": limit,
    }
    query = QUERIES["days" if connection_id is None else "days_of_connection"]
    return [MeasuredDay(**row) for row in tx.execute(query, arguments).fetchall()]


def accounts(tx: Connection, workspace: str, connection_id: UUID | None) -> list[MeasuredAccount]:
    """The accounts that are read, by all connections or by one."""
    arguments = {"workspace": workspace, "connection": connection_id}
    return [MeasuredAccount(**row) for row in tx.execute(QUERIES["accounts"], arguments).fetchall()]


def spend(tx: Connection, workspace: str, first: Date, last: Date) -> list[Spend]:
    """What was spent on each day, by currency."""
    arguments = {"workspace": workspace, "first": first, "last": last}
    return [Spend(**row) for row in tx.execute(QUERIES["spend"], arguments).fetchall()]

"""The stream `accounts` of Google Ads, and the parts of the other streams: which accounts can be reached, and how.

    accounts with direct access ─▶ for each: itself and all accounts under it, in one query ─▶ each account once

A person may reach one account in several ways: directly, and through any number of managers above it. It is then read
once, in the way that needs nobody else: directly if that is open, else through the manager with the smallest number.

cursor      none: read whole each time
deletions   by absence, where every account with direct access could be asked; one that is closed or suspended is left
            out, the others go on, and nothing under it is taken for gone
limits      one operation of the day for the list, one for each account with direct access
known gaps  links that were invited and not yet accepted are not shown by Google

Source: providers/google.md §8.3 (read 2026-11);
https://developers.google.com/google-ads/api/docs/account-management/listing-accounts
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from worker.connectors.contract import Session
from worker.connectors.google_ads_api import accessible_customers, search_all
from worker.errors import BadRecord, NotFound
from worker.records import FULL_PASS, AdAccount, Kind, Page, Part, Record, Refused, SomeParts
from worker.transport.json_reply import read_items

SCOPE: Final = "https://www.googleapis.com/auth/adwords"
_OPEN: Final = frozenset({"ENABLED", "SUSPENDED"})
"""Accounts that answer queries, or may: one that was cancelled or closed never does."""

_CLIENT_FIELDS: Final = (
    "customer_client.id, customer_client.level, customer_client.manager, customer_client.descriptive_name, "
    "customer_client.currency_code, customer_client.time_zone, customer_client.status, customer_client.hidden, "
    "customer_client.test_account"
)
# Without a condition on `level` the answer holds all accounts below, at any depth, and the account itself.
CLIENTS: Final = f"SELECT {_CLIENT_FIELDS} FROM customer_client"
ITSELF: Final = (
    "SELECT customer.id, customer.manager, customer.descriptive_name, customer.currency_code, customer.time_zone, "
    "customer.status, customer.test_account FROM customer"
)


class _Client(msgspec.Struct, rename="camel"):
    id: str
    manager: bool = False
    descriptive_name: str = ""
    currency_code: str = ""
    time_zone: str = ""
    status: str = ""
    hidden: bool = False
    test_account: bool = False


class _ClientRow(msgspec.Struct, rename="camel"):
    customer_client: _Client | None = None
    customer: _Client | None = None


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts that can be reached, by number. `whole`: nobody above them refused to answer."""

    accounts: tuple[AdAccount, ...]
    refused: tuple[Refused, ...]
    whole: bool


def discover(session: Session) -> Accounts:
    """Every account, once.

    Raises:
        NotFound: the person has no Google Ads account at all.
    """
    roots = accessible_customers(session)
    found: dict[str, AdAccount] = {}
    refused: list[Refused] = []
    whole = True
    for root in roots:
        try:
            rows = _rows(session, root)
        except NotFound:
            whole = False
            continue
        for number, row in rows:
            if isinstance(row, BadRecord) or (client := row.customer_client or row.customer) is None:
                refused.append(Refused(f"account {root} {number}", BadRecord.reason, str(row)[:100]))
                whole = False
            elif client.id not in found or client.id == root:
                found[client.id] = _account(client, root)
    accounts = tuple(found[key] for key in sorted(found, key=lambda key: (len(key), key)))
    return Accounts(accounts, tuple(refused), whole)


def leaf_parts(session: Session) -> Iterable[Part]:
    """Each account that can have campaigns: all but managers, closed ones too, whose days stay."""
    known = discover(session)
    parts = [
        Part(
            key=account.account_id,
            label=account.name,
            carries={
                "login": account.reached_through,
                "currency": account.currency,
                "time_zone": account.time_zone,
                "open": "yes" if account.status in _OPEN or not account.status else "",
            },
        )
        for account in known.accounts
        if not account.manager
    ]
    return parts if known.whole else SomeParts(parts)


def parts(_session: Session) -> Iterable[Part]:
    """The list of accounts is one piece."""
    return (Part(),)


def pages(session: Session, _part: Part, _cursor: bytes | None) -> Iterator[Page]:
    """All accounts, managers and closed ones too."""
    known = discover(session)
    yield Page(
        records=tuple(Record(account.account_id, Kind.AD_ACCOUNT, account) for account in known.accounts),
        refused=known.refused,
        cursor=b"whole",
        covers=FULL_PASS if known.whole else None,
    )


def _rows(session: Session, root: str) -> list[tuple[int, _ClientRow | BadRecord]]:
    rows = list(read_items(list(search_all(session, root, root, CLIENTS)), _ClientRow))
    # Google promises `customer_client` for managers only; any other account is asked for itself.
    return rows or list(read_items(list(search_all(session, root, root, ITSELF)), _ClientRow))


def _account(client: _Client, root: str) -> AdAccount:
    return AdAccount(
        account_id=client.id,
        name=client.descriptive_name,
        currency=client.currency_code,
        time_zone=client.time_zone,
        status=client.status,
        manager=client.manager,
        hidden=client.hidden,
        test=client.test_account,
        reached_through=root,
    )

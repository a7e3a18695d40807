"""Measures: plain rows of campaign days, written by slices; which of them wait in a hold; which days were read.

Plain reads and writes over a transaction that the caller has opened for a workspace; it decides nothing.
"""

from collections.abc import Sequence
from datetime import date as Date  # noqa: N812 - as in `worker.measures`
from datetime import timedelta

import msgspec
from psycopg.rows import tuple_row

from worker.measures import CampaignDay, Slice
from worker.store.database import Connection
from worker.store.documents import StreamPlace
from worker.store.queries import load

QUERIES = load("measures")

Key = tuple[str, Date]
"""A campaign and a day, within a part."""


class HeldDay(msgspec.Struct, frozen=True, gc=False):
    """A row as we hold it. `account` is its time zone, currency and account id; `hold_id` its open hold, if any."""

    measure: CampaignDay
    account: tuple[str, str, str]
    hold_id: int | None
    kept: bool


def held(tx: Connection, place: StreamPlace, part: bytes, first: Date, last: Date) -> dict[Key, HeldDay]:
    """What we hold of the days from `first` to `last`."""
    arguments = {**place.arguments(), "part": part, "first": first, "last": last}
    rows = tx.cursor(row_factory=tuple_row).execute(QUERIES["held"], arguments, binary=True)
    return {
        (row[0], row[1]): HeldDay(
            CampaignDay(
                campaign_id=row[0],
                day=row[1],
                campaign_name=row[2],
                cost_micros=row[3],
                impressions=row[4],
                clicks=row[5],
                conversions=row[6],
                conversion_value=row[7],
            ),
            (row[8], row[9], row[10]),
            row[11],
            row[12],
        )
        for row in rows
    }


def save(
    tx: Connection, place: StreamPlace, part: bytes, of: Slice, measures: Sequence[CampaignDay],
    age: timedelta | None = None, rule: str | None = None,
) -> None:  # fmt: skip
    """Write new and restated rows, sorted by key, each key once; each ends `age` after its day, by `rule`."""
    if not measures:
        return
    tx.execute(
        QUERIES["save"],
        {
            **place.arguments(),
            "part": part,
            "account": of.account_id,
            "time_zone": of.time_zone,
            "currency": of.currency,
            "age": age,
            "rule": rule,
            "days": [measure.day for measure in measures],
            "campaigns": [measure.campaign_id for measure in measures],
            "names": [measure.campaign_name for measure in measures],
            "costs": [measure.cost_micros for measure in measures],
            "impressions": [measure.impressions for measure in measures],
            "clicks": [measure.clicks for measure in measures],
            "conversions": [measure.conversions for measure in measures],
            "values": [measure.conversion_value for measure in measures],
        },
    )


def delete(tx: Connection, place: StreamPlace, part: bytes, keys: Sequence[Key]) -> None:
    """Delete rows."""
    if keys:
        tx.execute(QUERIES["delete"], {**place.arguments(), "part": part, **_columns(keys)})


def mark(
    tx: Connection, place: StreamPlace, part: bytes, keys: Sequence[Key], *, hold_id: int | None, kept: bool = False
) -> None:
    """Put rows into a hold, keep them by a person's word, or (neither) take them out of both."""
    if keys:
        arguments = {**place.arguments(), "part": part, "hold": hold_id, "kept": kept, **_columns(keys)}
        tx.execute(QUERIES["mark"], arguments)


def note_account(tx: Connection, place: StreamPlace, part: bytes, of: Slice) -> None:
    """Note that the days of a slice were read whole."""
    arguments = {
        **place.arguments(),
        "part": part,
        "account": of.account_id,
        "account_name": of.account_name,
        "time_zone": of.time_zone,
        "currency": of.currency,
        "first": of.first,
        "last": of.last,
    }
    tx.execute(QUERIES["note_account"], arguments)


def forget_account(tx: Connection, place: StreamPlace, part: bytes) -> None:
    """The account is gone, and nothing of it is held."""
    tx.execute(QUERIES["forget_account"], {**place.arguments(), "part": part})


def account_of(tx: Connection, place: StreamPlace, part: bytes) -> str:
    """The provider's id of the account that a part reads; empty if none of its days was ever read whole."""
    row = tx.execute(QUERIES["account_of"], {**place.arguments(), "part": part}).fetchone()
    return str(row["account_id"]) if row else ""


def count(tx: Connection, place: StreamPlace, part: bytes) -> tuple[int, int]:
    """How many rows the part holds, and how many of them neither wait in a hold nor were kept."""
    row = tx.execute(QUERIES["count"], {**place.arguments(), "part": part}).fetchone()
    return (int(row["total"]), int(row["free"])) if row else (0, 0)


def some_free(tx: Connection, place: StreamPlace, part: bytes, limit: int) -> list[Key]:
    """A batch of the part's rows that neither wait in a hold nor were kept."""
    return _keys(tx, "some_free", {**place.arguments(), "part": part, "limit": limit})


def of_hold(tx: Connection, workspace: str, hold_id: int, limit: int) -> list[Key]:
    """A batch of what waits in a hold."""
    return _keys(tx, "of_hold", {"workspace": workspace, "hold": hold_id, "limit": limit})


def _keys(tx: Connection, query: str, arguments: dict[str, object]) -> list[Key]:
    return [(row["campaign_id"], row["day"]) for row in tx.execute(QUERIES[query], arguments).fetchall()]


def _columns(keys: Sequence[Key]) -> dict[str, list[object]]:
    return {"campaigns": [campaign for campaign, _ in keys], "days": [day for _, day in keys]}

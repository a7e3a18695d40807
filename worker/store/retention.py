"""Rules of retention and the ends of records, as the store keeps them: published, read with a page, planned anew.

Plain reads and writes; which end follows from which rule is decided in `worker.privacy.retention`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from worker.errors import ConnectionStopped
from worker.store.database import Connection, Row
from worker.store.queries import load

QUERIES = load("retention")
_LOCK = load("parts")["lock_connection"]


@dataclass(frozen=True, slots=True)
class PublishedRule:
    """One kind's rule, as it is published."""

    kind: str
    max_age: timedelta | None
    counted_from: str
    after_disconnect: timedelta | None
    ends_when: tuple[str, ...]
    why: str
    source: str
    read_on: date
    sure: str


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """A record of a batch that is looked at again; at `confirmed_at` the provider last showed it, as far as we know."""

    stream: str
    document_key: bytes
    kind: str
    dated: date | None
    fetched_at: datetime
    expires_at: datetime | None
    rule: str | None
    renewable: bool
    confirmed_at: datetime


def begin_page(tx: Connection, workspace: str, connection: UUID, epoch: int) -> list[Row]:
    """Hold the connection in its epoch, let the transaction see what is due, and read the rules: one exchange.

    The rules are read once the connection is held: whoever changes one waits for this page, or this page has it.

    Raises:
        ConnectionStopped: the epoch has moved on.
    """
    place = {"workspace": workspace, "connection": connection}
    with tx.pipeline():
        locked = tx.execute(_LOCK, {**place, "epoch": epoch})
        tx.execute(QUERIES["see_due"])
        rules = tx.execute(QUERIES["rules"], place)
    if locked.fetchone() is None:
        raise ConnectionStopped("the connection was stopped while the page was on its way")
    return rules.fetchall()


def see_due(tx: Connection) -> None:
    """Let the transaction see what is due: it writes over it or deletes it."""
    tx.execute(QUERIES["see_due"])


def rules(tx: Connection, workspace: str, connection: UUID) -> list[Row]:
    """The rules for a connection's records; none if there is no such connection."""
    return tx.execute(QUERIES["rules"], {"workspace": workspace, "connection": connection}).fetchall()


def publish(tx: Connection, connector: str, title: str, version: int, published: Sequence[PublishedRule]) -> str:
    """Publish a policy: `published`, `known` if it was before, `differs` if the same version was with other rules."""
    rows = [{name: getattr(rule, name) for name in PublishedRule.__dataclass_fields__} for rule in published]
    digest = sha256(json.dumps(rows, default=str, sort_keys=True).encode()).hexdigest()
    policy = {"connector": connector, "title": title, "version": version, "digest": digest}
    tx.execute(QUERIES["forget_policy"], policy)
    if tx.execute(QUERIES["add_policy"], policy).fetchone() is None:
        held = tx.execute(QUERIES["published"], policy).fetchone()
        return "differs" if held is not None and held["version"] == version and held["digest"] != digest else "known"
    for row in rows:
        tx.execute(QUERIES["add_policy_rule"], {**row, "connector": connector, "ends_when": list(row["ends_when"])})
    return "published"


def batch_to_plan(
    tx: Connection, workspace: str, connection: UUID, after: tuple[str, bytes], limit: int
) -> list[PlannedRecord]:
    """The next records of a connection after a place, in order."""
    place = {"workspace": workspace, "connection": connection, "stream": after[0], "last": after[1], "limit": limit}
    return [PlannedRecord(**row) for row in tx.execute(QUERIES["batch_to_plan"], place).fetchall()]


def plan(
    tx: Connection, workspace: str, connection: UUID, ends: Sequence[tuple[PlannedRecord, Any]]
) -> set[tuple[str, bytes]]:
    """Write ends (each a `Due`); returns which were written, since a page may have been quicker."""
    if not ends:
        return set()
    rows = tx.execute(
        QUERIES["plan"],
        {
            "workspace": workspace,
            "connection": connection,
            "streams": [record.stream for record, _ in ends],
            "keys": [record.document_key for record, _ in ends],
            "fetched": [record.fetched_at for record, _ in ends],
            "confirmed": [record.confirmed_at for record, _ in ends],
            "expires": [due.expires_at for _, due in ends],
            "rules": [due.rule for _, due in ends],
            "renewable": [due.renewable for _, due in ends],
        },
    ).fetchall()
    return {(row["stream"], row["document_key"]) for row in rows}


def planned(tx: Connection, workspace: str, connection: UUID, wait: timedelta | None) -> None:
    """Note that all was looked at, and after how long it must be again."""
    tx.execute(QUERIES["planned"], {"workspace": workspace, "connection": connection, "wait": wait})


@dataclass(frozen=True, slots=True)
class Swept:
    """A record that was deleted because its time was over."""

    stream: str
    document_key: bytes
    part_key: bytes
    rule: str | None
    renewable: bool


def due_connection(tx: Connection, workspace: str) -> UUID | None:
    """The connection of the record that has been due for longest; None if nothing is. Needs `see_due`."""
    row = tx.execute(QUERIES["due_connection"], {"workspace": workspace}).fetchone()
    return row["connection_id"] if row else None


def sweep(tx: Connection, workspace: str, connection: UUID, limit: int) -> list[Swept]:
    """Delete a batch of a connection's due records, and have what may still be shown read again. Needs `see_due`."""
    place = {"workspace": workspace, "connection": connection}
    gone = [Swept(**row) for row in tx.execute(QUERIES["sweep"], {**place, "limit": limit}).fetchall()]
    again = sorted({(record.stream, record.part_key) for record in gone if record.renewable})
    if again:
        streams, parts = [stream for stream, _ in again], [part for _, part in again]
        tx.execute(QUERIES["reread"], {**place, "streams": streams, "parts": parts})
    return gone


@dataclass(frozen=True, slots=True)
class SweptDays:
    """Days of an ad account that were deleted because their time was over: how many rows, from which day to which."""

    stream: str
    account_id: str
    first: date
    last: date
    days: int


def plan_measures(
    tx: Connection, workspace: str, connection: UUID, age: timedelta | None, rule: str | None, ended: datetime | None,
    limit: int,
) -> int:  # fmt: skip
    """Write the ends of a batch of days; how many were written. `ended`: none lives longer than that."""
    arguments = {"workspace": workspace, "connection": connection, "age": age, "rule": rule, "ended": ended}
    return tx.execute(QUERIES["plan_measures"], {**arguments, "limit": limit}).rowcount


def due_measures(tx: Connection, workspace: str) -> UUID | None:
    """The connection of the day that has been due for longest; None if none is. Needs `see_due`."""
    row = tx.execute(QUERIES["due_measures"], {"workspace": workspace}).fetchone()
    return row["connection_id"] if row else None


def sweep_measures(tx: Connection, workspace: str, connection: UUID, limit: int) -> list[SweptDays]:
    """Delete a batch of a connection's due days. Needs `see_due`."""
    place = {"workspace": workspace, "connection": connection, "limit": limit}
    return [SweptDays(**row) for row in tx.execute(QUERIES["sweep_measures"], place).fetchall()]


def count_due(tx: Connection, workspace: str) -> dict[tuple[str, str], int]:
    """How much is due and waits for its sweep, by connector and kind."""
    tx.execute(QUERIES["see_due"])
    rows = tx.execute(QUERIES["count_due"], {"workspace": workspace}).fetchall()
    return {(row["connector"], row["kind"]): row["due"] for row in rows}

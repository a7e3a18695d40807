"""Records and the feed as the CRM reads them, still sealed: one, by lookup value, or change by change.

It opens nothing; `worker.client` does, after it has written down who asked and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from worker.errors import BadRequest
from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("client")


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """One record as it is kept. `document_key` is its name here: an HMAC of the provider's id."""

    connection_id: UUID
    stream: str
    document_key: bytes
    kind: str
    sealed: bytes = field(repr=False)
    updated_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class SealedChange:
    """One entry of the feed; `record` is the record that it tells of, if it is still held."""

    position: int
    at: datetime
    event: str
    connection_id: UUID | None
    stream: str | None
    document_key: bytes | None
    details: dict[str, Any]
    record: SealedRecord | None


@dataclass(frozen=True, slots=True)
class News:
    """A workspace whose feed has gone past what a reader has acknowledged."""

    workspace: str
    read_position: int
    head: int


def one(tx: Connection, workspace: str, connection_id: UUID, stream: str, document_key: bytes) -> SealedRecord | None:
    """The record of that key, or None."""
    arguments = {
        "workspace": workspace,
        "connection": connection_id,
        "stream": stream,
        "document_key": document_key,
    }
    row = tx.execute(QUERIES["document"], arguments).fetchone()
    return SealedRecord(**row) if row else None


def found(tx: Connection, workspace: str, values: Sequence[bytes], limit: int) -> list[SealedRecord]:
    """The records under any of these lookup values."""
    arguments = {"workspace": workspace, "values": list(values), "limit": limit}
    return [SealedRecord(**row) for row in tx.execute(QUERIES["find_documents"], arguments).fetchall()]


def changes(tx: Connection, workspace: str, after: int, limit: int, *, with_records: bool) -> list[SealedChange]:
    """What happened after a position, in order; a record stands with each change as it is now."""
    arguments = {"workspace": workspace, "after": after, "limit": limit, "with_documents": with_records}
    result = []
    for row in tx.execute(QUERIES["feed"], arguments).fetchall():
        record = None
        if row["sealed"] is not None:
            record = SealedRecord(
                row["connection_id"],
                row["stream"],
                row["document_key"],
                row["kind"],
                row["sealed"],
                row["updated_at"],
                row["expires_at"],
            )
        change = SealedChange(
            row["position"],
            row["at"],
            row["event"],
            row["connection_id"],
            row["stream"],
            row["document_key"],
            row["details"] or {},
            record,
        )
        result.append(change)
    return result


def news(tx: Connection, reader: str) -> list[News]:
    """Every workspace with something new for the reader."""
    rows = tx.execute(QUERIES["feed_news"], {"reader": reader}).fetchall()
    return [News(row["workspace_id"], row["read_position"], row["head"]) for row in rows]


def head(tx: Connection, workspace: str) -> int:
    """The last position of a workspace's feed; 0 if nothing has happened yet."""
    row = tx.execute(QUERIES["feed_head"], {"workspace": workspace}).fetchone()
    return int(row["position"]) if row else 0


def read_position(tx: Connection, workspace: str, reader: str) -> int:
    """How far the reader has acknowledged; 0 for one that is not known."""
    row = tx.execute(QUERIES["reader"], {"workspace": workspace, "reader": reader}).fetchone()
    return int(row["position"]) if row else 0


def acknowledge(tx: Connection, workspace: str, reader: str, position: int) -> int:
    """Note that the reader has dealt with everything up to `position`; it never goes back.

    Raises:
        BadRequest: the feed has not come so far.
    """
    arguments = {"workspace": workspace, "reader": reader, "position": position}
    # A caller's own connection may give tuples where ours gives dictionaries.
    row = tx.cursor(row_factory=dict_row).execute(QUERIES["acknowledge"], arguments).fetchone()
    if row is None:
        raise BadRequest(f"The feed of workspace «{workspace}» has not reached position {position}.")
    return int(row["position"])

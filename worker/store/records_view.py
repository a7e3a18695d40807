"""Records and the feed as the CRM reads them, still sealed: one, by lookup value, all, or change by change.

    all records, page by page ─▶ the feed from the position that the first page named ─▶ … up to date

The feed is a log whose oldest entries are swept. Positions have no gaps, so whoever stands before what is kept is told,
and reads all records again. It opens nothing; `worker.client` does, after it has written down who asked and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from worker.errors import BadRequest, PositionSwept
from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("client")
_BEFORE_ALL = UUID(int=0)


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
    """A workspace whose feed has gone past what a reader has acknowledged. Entries up to `kept_after` were swept."""

    workspace: str
    read_position: int
    head: int
    kept_after: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reading of all records stands: after which record, and from where the feed goes on once it is through."""

    position: int
    connection_id: UUID = _BEFORE_ALL
    stream: str = ""
    document_key: bytes = b""

    def token(self) -> str:
        """The place as text, opaque to everybody else."""
        return f"{self.position}:{self.connection_id.hex}:{self.document_key.hex()}:{self.stream}"

    @classmethod
    def of(cls, token: str) -> "Place":
        """The place of a token.

        Raises:
            BadRequest: it is none.
        """
        parts = token.split(":", 3)
        try:
            position, connection_id, key, stream = parts
            return cls(int(position), UUID(connection_id), stream, bytes.fromhex(key))
        except ValueError:
            raise BadRequest(
                "That is no place in a reading of all records. Pass on `next` of the page before, or none to begin."
            ) from None


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


def after(tx: Connection, workspace: str, place: Place, limit: int) -> list[SealedRecord]:
    """The next records of all, in the order of their keys.

    Raises:
        BadRequest: `limit` is below 1.
    """
    _require_some(limit)
    arguments = {
        "workspace": workspace,
        "connection": place.connection_id,
        "stream": place.stream,
        "document_key": place.document_key,
        "limit": limit,
    }
    return [SealedRecord(**row) for row in tx.execute(QUERIES["documents_after"], arguments).fetchall()]


def changes(tx: Connection, workspace: str, position: int, limit: int, *, with_records: bool) -> list[SealedChange]:
    """What happened after a position, in order; a record stands with each change as it is now.

    Raises:
        PositionSwept: what came next is not kept any more, or the feed never came so far.
        BadRequest: `limit` is below 1.
    """
    _require_some(limit)
    arguments = {"workspace": workspace, "after": position, "limit": limit, "with_documents": with_records}
    rows = tx.execute(QUERIES["feed"], arguments).fetchall()
    # Positions have no gaps, so the entries themselves tell; a sweep that commits meanwhile cannot come in between.
    if rows and rows[0]["position"] != position + 1:
        raise _swept(workspace, position, rows[0]["position"] - 1)
    if not rows:
        end = bounds(tx, workspace)
        if position < end.kept_after:
            raise _swept(workspace, position, end.kept_after)
        if position > end.head:
            raise PositionSwept(
                f"The feed of workspace «{workspace}» ends at position {end.head}, before yours ({position}): it is "
                f"another feed than the one that you read, as after a backup was put back. {_ANEW}"
            )
    result = []
    for row in rows:
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


def _require_some(limit: int) -> None:
    # A page of nothing looks like the last one.
    if limit < 1:
        raise BadRequest(f"A limit of {limit} would show nothing. Ask for 1 or more.")


def news(tx: Connection, reader: str) -> list[News]:
    """Every workspace with something new for the reader."""
    rows = tx.execute(QUERIES["feed_news"], {"reader": reader}).fetchall()
    return [News(row["workspace_id"], row["read_position"], row["head"], row["kept_after"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where to where a workspace's feed is kept: entries up to `kept_after` were swept, `head` is the last."""

    kept_after: int
    head: int


def bounds(tx: Connection, workspace: str) -> Bounds:
    """From where to where the feed is kept; 0 and 0 if nothing has happened yet."""
    row = tx.execute(QUERIES["feed_head"], {"workspace": workspace}).fetchone()
    return Bounds(int(row["kept_after"]), int(row["position"])) if row else Bounds(0, 0)


_ANEW = (
    "Read all records anew (`Client.records`, `crm-sync records list`), drop what you hold and do not find there, and "
    "go on from the position that it names."
)


def _swept(workspace: str, position: int, kept_after: int) -> PositionSwept:
    return PositionSwept(
        f"What happened in workspace «{workspace}» after position {position} is not kept any more: the feed begins "
        f"after {kept_after}, since entries have an end (CRM_SYNC_FEED_DAYS). {_ANEW}"
    )


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


def key_bytes(key: str) -> bytes:
    """The key of a record, from its text.

    Raises:
        BadRequest: it is none.
    """
    try:
        return bytes.fromhex(key)
    except ValueError:
        raise BadRequest(f"«{key}» is no record key; a key is 32 hexadecimal digits, as the feed gives it.") from None

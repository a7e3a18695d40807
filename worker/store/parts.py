"""Streams and their parts: cursors, passes, counters, and the holds on mass deletions.

Plain reads and writes over a transaction that the caller has opened for a workspace. Each write of a page that must
hit exactly one row says so by raising; it decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from worker.errors import ConnectionStopped, LeaseLost
from worker.store.database import Connection, Row
from worker.store.documents import StreamPlace
from worker.store.queries import load

QUERIES = load("parts")


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection as the engine needs it."""

    provider: str
    state: str
    state_reason: str | None
    epoch: int
    purposes: tuple[str, ...]
    scopes: tuple[str, ...]
    account_mac: bytes | None
    default_region: str


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream as the engine needs it."""

    state: str
    purpose: str | None
    every: timedelta
    lane: str
    synced_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part: where it stands. `hold_id` is its open hold on deletions; `set_aside`: it has records in quarantine.

    `reread`: records of it expired that the provider may still show, which only a full pass brings back. `rests_for`:
    so long the provider asked us to leave it alone.
    """

    part_key: bytes
    sealed_key: bytes | None
    sealed_cursor: bytes | None
    page_number: int
    pass_id: int
    in_full_pass: bool
    sweeping: bool
    normaliser: int | None
    full_pass_at: datetime | None
    synced_at: datetime | None
    error_reason: str | None
    hold_id: int | None
    set_aside: bool
    reread: bool = False
    rests_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """What a page came to; `seen` is always the sum of the others (P12)."""

    saved: int = 0
    unchanged: int = 0
    deleted: int = 0
    repeated: int = 0
    skipped: int = 0
    refused: int = 0

    @property
    def seen(self) -> int:
        """Everything that the page showed."""
        return self.saved + self.unchanged + self.deleted + self.repeated + self.skipped + self.refused

    def as_dict(self) -> dict[str, int]:
        """All seven numbers."""
        return {
            "seen": self.seen,
            "saved": self.saved,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "repeated": self.repeated,
            "skipped": self.skipped,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold on deletions, locked."""

    hold_id: int
    connection_id: UUID
    stream: str
    part_key: bytes
    state: str
    applies_at: datetime


def lock_connection(tx: Connection, workspace: str, connection: UUID, epoch: int) -> None:
    """Hold the connection in its epoch until the transaction ends: the first statement of every page (P1).

    Raises:
        ConnectionStopped: the epoch has moved on.
    """
    arguments = {"workspace": workspace, "connection": connection, "epoch": epoch}
    if tx.execute(QUERIES["lock_connection"], arguments).fetchone() is None:
        raise ConnectionStopped("the connection was stopped while the page was on its way")


def read_connection(tx: Connection, workspace: str, connection: UUID) -> ConnectionRow | None:
    """The connection, or None."""
    row = tx.execute(QUERIES["read_connection"], {"workspace": workspace, "connection": connection}).fetchone()
    if row is None:
        return None
    return ConnectionRow(
        row["provider"],
        row["state"],
        row["state_reason"],
        row["epoch"],
        tuple(row["purposes"]),
        tuple(row["scopes"]),
        row["account_mac"],
        row["default_region"],
    )


def read_stream(tx: Connection, place: StreamPlace) -> StreamRow | None:
    """The stream, or None."""
    row = tx.execute(QUERIES["read_stream"], place.arguments()).fetchone()
    return StreamRow(**row) if row else None


def want_full_pass(tx: Connection, place: StreamPlace) -> None:
    """Drop every cursor of the stream, so that each part passes in full."""
    tx.execute(QUERIES["want_full_pass"], place.arguments())


def stream_synced(tx: Connection, place: StreamPlace) -> None:
    """Note that a run reached its end, and plan the next."""
    tx.execute(QUERIES["stream_synced"], place.arguments())


def stream_lacks_scope(tx: Connection, place: StreamPlace, reason: str) -> bool:
    """Switch the stream off until its scope is granted; False if it already was."""
    return tx.execute(QUERIES["stream_lacks_scope"], {**place.arguments(), "reason": reason}).rowcount == 1


def list_parts(tx: Connection, place: StreamPlace) -> dict[bytes, PartRow]:
    """Every part of the stream by its key."""
    rows = tx.execute(QUERIES["list_parts"], place.arguments()).fetchall()
    return {row["part_key"]: PartRow(**row) for row in rows}


def add_part(tx: Connection, place: StreamPlace, part: bytes, sealed_key: bytes) -> None:
    """Add a part that the provider shows for the first time."""
    tx.execute(QUERIES["add_part"], {**place.arguments(), "part": part, "sealed_key": sealed_key})


def remove_part(tx: Connection, place: StreamPlace, part: bytes) -> None:
    """Remove a part that is gone at the provider and holds nothing more."""
    tx.execute(QUERIES["remove_part"], {**place.arguments(), "part": part})


def begin_pass(tx: Connection, place: StreamPlace, part: PartRow, normaliser: int) -> int:
    """Begin a full pass and return its number.

    Raises:
        LeaseLost: another worker turned a page of this part meanwhile.
    """
    arguments = {
        **place.arguments(),
        "part": part.part_key,
        "page_number": part.page_number,
        "normaliser": normaliser,
    }
    return int(_one(tx.execute(QUERIES["begin_pass"], arguments).fetchone())["pass_id"])


def turn_page(
    tx: Connection, place: StreamPlace, part: bytes, *, page_number: int, cursor: bytes, counters: Counters, last: bool,
    sweeping: bool,
) -> None:  # fmt: skip
    """Move the part's cursor past a page.

    Raises:
        LeaseLost: another worker turned this page meanwhile.
    """
    arguments = {
        **place.arguments(),
        **counters.as_dict(),
        "part": part,
        "page_number": page_number,
        "cursor": cursor,
        "last": last,
        "sweeping": sweeping,
    }
    _one(tx.execute(QUERIES["turn_page"], arguments).fetchone())


def count_documents(tx: Connection, place: StreamPlace, part: bytes) -> int:
    """How many documents the part holds."""
    row = tx.execute(QUERIES["count_documents"], {**place.arguments(), "part": part}).fetchone()
    return int(row["total"]) if row else 0


def begin_sweep(tx: Connection, place: StreamPlace, part: bytes) -> None:
    """Turn to the sweep of the pass that has begun, with nothing seen: the part is gone."""
    tx.execute(QUERIES["begin_sweep"], {**place.arguments(), "part": part})


def count_swept(tx: Connection, place: StreamPlace, part: bytes, swept: int) -> None:
    """Count deletions that a sweep found."""
    tx.execute(QUERIES["count_swept"], {**place.arguments(), "part": part, "swept": swept})


def count_refused(tx: Connection, place: StreamPlace, part: bytes, refused: int) -> None:
    """Count records that were set aside outside any page."""
    if refused:
        tx.execute(QUERIES["count_refused"], {**place.arguments(), "part": part, "refused": refused})


def end_pass(tx: Connection, place: StreamPlace, part: bytes, pass_id: int) -> None:
    """Close a full pass."""
    tx.execute(QUERIES["end_pass"], {**place.arguments(), "part": part, "pass": pass_id})


def part_failed(tx: Connection, place: StreamPlace, part: bytes, reason: str, rest: timedelta | None = None) -> None:
    """Note why the part cannot be read, and for how long it is left alone."""
    tx.execute(QUERIES["part_failed"], {**place.arguments(), "part": part, "reason": reason, "rest": rest})


def part_rests(tx: Connection, place: StreamPlace, part: bytes, rest: timedelta) -> None:
    """Leave the part alone for a while."""
    tx.execute(QUERIES["part_rests"], {**place.arguments(), "part": part, "rest": rest})


def hold_deletions(
    tx: Connection, place: StreamPlace, part: bytes, keys: Sequence[bytes], total: int
) -> tuple[int, int]:
    """Put deletions on hold; returns the hold and how many of `keys` are new in it."""
    hold_id = open_hold(tx, place, part, total)
    arguments = {"workspace": place.workspace, "hold": hold_id, "keys": sorted(keys)}
    added = _one(tx.execute(QUERIES["hold_items"], arguments).fetchone())
    return hold_id, added["added"]


def open_hold(tx: Connection, place: StreamPlace, part: bytes, total: int) -> int:
    """The part's open hold, or a new one."""
    row = _one(tx.execute(QUERIES["open_hold"], {**place.arguments(), "part": part, "total": total}).fetchone())
    return int(row["hold_id"])


def put_off_hold(tx: Connection, workspace: str, hold_id: int) -> None:
    """Something new waits in the hold: its seven days begin anew."""
    tx.execute(QUERIES["put_off_hold"], {"workspace": workspace, "hold": hold_id})


def release_items(tx: Connection, place: StreamPlace, hold_id: int, keys: Sequence[bytes]) -> None:
    """Take records that showed themselves again out of a hold."""
    tx.execute(QUERIES["release_items"], {"workspace": place.workspace, "hold": hold_id, "keys": list(keys)})


def connection_of_hold(tx: Connection, workspace: str, hold_id: int) -> UUID | None:
    """Whose deletions the hold keeps, or None. It never changes, so nothing is locked."""
    row = tx.execute(QUERIES["connection_of_hold"], {"workspace": workspace, "hold": hold_id}).fetchone()
    return row["connection_id"] if row else None


def lock_hold(tx: Connection, workspace: str, hold_id: int) -> HoldRow | None:
    """The hold, locked, or None."""
    row = tx.execute(QUERIES["lock_hold"], {"workspace": workspace, "hold": hold_id}).fetchone()
    return HoldRow(**row) if row else None


def hold_batch(tx: Connection, workspace: str, hold_id: int, limit: int) -> list[bytes]:
    """Some keys of a hold."""
    arguments = {"workspace": workspace, "hold": hold_id, "limit": limit}
    return [row["document_key"] for row in tx.execute(QUERIES["hold_batch"], arguments).fetchall()]


def drop_items(tx: Connection, workspace: str, hold_id: int, keys: Sequence[bytes]) -> None:
    """Take keys that were dealt with out of a hold."""
    tx.execute(QUERIES["drop_items"], {"workspace": workspace, "hold": hold_id, "keys": list(keys)})


def keep_documents(tx: Connection, place: StreamPlace, keys: Sequence[bytes]) -> None:
    """Keep documents by a person's word: later sweeps leave them alone."""
    tx.execute(QUERIES["keep_documents"], {**place.arguments(), "keys": list(keys)})


def close_hold(tx: Connection, workspace: str, hold_id: int, state: str, by: str) -> None:
    """Close a hold as `approved`, `rejected` or `applied`."""
    tx.execute(QUERIES["close_hold"], {"workspace": workspace, "hold": hold_id, "state": state, "by": by})


def _one(row: Row | None) -> Row:
    if row is None:
        raise LeaseLost("another worker turned a page of this part")
    return row

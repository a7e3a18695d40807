"""What is taken away when a connection ends, a slice at a time, and the receipt that says so."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("farewells")


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice of a purge took away."""

    documents: int
    lookups: int


def forget_tokens(tx: Connection, workspace: str, connection_id: UUID) -> None:
    """Delete the sealed tokens, and what was sealed for consents that nobody will give any more."""
    key = {"workspace": workspace, "connection": connection_id}
    tx.execute(QUERIES["forget_tokens"], key)
    tx.execute(QUERIES["forget_requests"], key)


def purge_documents(tx: Connection, workspace: str, connection_id: UUID, limit: int) -> Slice:
    """Delete a slice of the documents with their lookups; what is due for expiry goes too."""
    tx.execute(QUERIES["sweep"])
    asked = {"workspace": workspace, "connection": connection_id, "limit": limit}
    row = tx.execute(QUERIES["purge_documents"], asked).fetchone()
    return Slice(int(row["documents"]), int(row["lookups"])) if row else Slice(0, 0)


def purge_measures(tx: Connection, workspace: str, connection_id: UUID, limit: int) -> int:
    """Delete a slice of the measures; how many went. What is due for expiry goes too."""
    tx.execute(QUERIES["sweep"])
    asked = {"workspace": workspace, "connection": connection_id, "limit": limit}
    return tx.execute(QUERIES["purge_measures"], asked).rowcount


def purge_notes(tx: Connection, workspace: str, connection_id: UUID, limit: int) -> int:
    """Delete a slice of the notes of full passes; how many went."""
    asked = {"workspace": workspace, "connection": connection_id, "limit": limit}
    return tx.execute(QUERIES["purge_seen"], asked).rowcount


def purge_rest(tx: Connection, workspace: str, connection_id: UUID) -> list[str]:
    """Delete all that describes the connection's streams, and what jobs carried sealed; returns the streams' names."""
    key = {"workspace": workspace, "connection": connection_id}
    tx.execute(QUERIES["purge_quarantine"], key)
    tx.execute(QUERIES["purge_holds"], key)
    tx.execute(QUERIES["purge_accounts"], key)
    gone = tx.execute(QUERIES["purge_streams"], key).fetchall()
    tx.execute(QUERIES["blank_jobs"], key)
    return sorted(row["stream"] for row in gone)


def receipt_since(
    tx: Connection, workspace: str, connection_id: UUID, kind: str, since: datetime
) -> tuple[UUID, dict[str, Any]] | None:
    """The last receipt of a kind that was written since then, and what it says; None if there is none."""
    asked = {"workspace": workspace, "connection": connection_id, "kind": kind, "since": since}
    row = tx.execute(QUERIES["receipt_since"], asked).fetchone()
    return (row["receipt_id"], row["body"]) if row else None


def become_tombstone(tx: Connection, workspace: str, connection_id: UUID) -> None:
    """Leave of the connection only that it was."""
    tx.execute(QUERIES["become_tombstone"], {"workspace": workspace, "connection": connection_id})


def add_receipt(tx: Connection, workspace: str, connection_id: UUID, kind: str, body: dict[str, Any]) -> UUID:
    """Write a receipt, which holds ids, codes, numbers and times only; returns its id."""
    asked = {"workspace": workspace, "connection": connection_id, "kind": kind, "body": json.dumps(body)}
    row = tx.execute(QUERIES["add_receipt"], asked).fetchone()
    if row is None:
        raise AssertionError("an INSERT … RETURNING returned nothing")
    receipt_id: UUID = row["receipt_id"]
    return receipt_id

"""Connections, streams, holds and receipts as the CRM's login may see them: states, codes and counts.

It changes nothing but a workspace's registration, and shows neither accounts nor tokens.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.errors import BadRequest
from worker.store.database import Connection as Transaction
from worker.store.queries import load

QUERIES = load("client")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_REGION = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant."""

    workspace_id: str
    default_region: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Connection:
    """One account linked to the workspace, with its consent.

    `admin_consent_url` is where an administrator can allow the app for the whole organisation, while that is what a
    connection that is `blocked_by_admin` waits for. Anybody may see it.
    """

    connection_id: UUID
    provider: str
    state: str
    state_reason: str | None
    admin_consent_url: str | None
    state_since: datetime
    purposes: list[str]
    scopes: list[str]
    policy_version: str
    agreed_by: str
    agreed_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Counters:
    """What came of everything that was ever seen: `seen` is the sum of the next six. `swept` stands beside them."""

    seen: int
    saved: int
    unchanged: int
    deleted: int
    repeated: int
    skipped: int
    refused: int
    swept: int


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of data of a connection. Before `synced_at` is set, what is held is not all there is.

    `failing_parts` of its `parts` cannot be read at present; `error_reason` is the latest one's. `held` is
    the number of records by kind.
    """

    connection_id: UUID
    stream: str
    purpose: str | None
    state: str
    state_reason: str | None
    next_run_at: datetime | None
    synced_at: datetime | None
    parts: int
    failing_parts: int
    in_full_pass: bool
    error_reason: str | None
    counters: Counters
    held: dict[str, int]


@dataclass(frozen=True, slots=True)
class Hold:
    """An unusual number of deletions that waits for a word; it applies by itself at `applies_at`."""

    hold_id: int
    connection_id: UUID
    stream: str
    state: str
    part_total: int
    opened_at: datetime
    applies_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that something ended: what, how much, when."""

    receipt_id: UUID
    connection_id: UUID | None
    kind: str
    at: datetime
    body: dict[str, Any]


def register(tx: Transaction, workspace: str, region: str) -> bool:
    """Register a workspace; False if it was registered before (its region then stays as it is).

    Raises:
        BadRequest: the id or the region is malformed.
    """
    if _WORKSPACE.fullmatch(workspace) is None:
        raise BadRequest(
            f"«{workspace[:80]}» is no workspace id: letters, digits, `.`, `_` and `-`, at most 63, beginning with a "
            "letter or a digit."
        )
    if _REGION.fullmatch(region) is None:
        raise BadRequest(f"«{region[:80]}» is no region: two capital letters, such as US or TH.")
    row = tx.execute(QUERIES["register_workspace"], {"workspace": workspace, "region": region}).fetchone()
    return row is not None


def workspace_of(tx: Transaction, workspace: str) -> Workspace | None:
    """The workspace, or None if nobody registered it."""
    row = tx.execute(QUERIES["workspace"], {"workspace": workspace}).fetchone()
    return Workspace(**row) if row else None


def connections(tx: Transaction, workspace: str, connection_id: UUID | None = None) -> list[Connection]:
    """All connections of the workspace, or the one."""
    arguments = {"workspace": workspace, "connection": connection_id}
    return [Connection(**row) for row in tx.execute(QUERIES["connections"], arguments).fetchall()]


def streams(tx: Transaction, workspace: str, connection_id: UUID | None = None) -> list[Stream]:
    """The streams of all connections, or of one."""
    arguments = {"workspace": workspace, "connection": connection_id}
    held: dict[tuple[UUID, str], dict[str, int]] = {}
    for row in tx.execute(QUERIES["held_documents"], arguments).fetchall():
        held.setdefault((row["connection_id"], row["stream"]), {})[row["kind"]] = row["held"]
    result = []
    for row in tx.execute(QUERIES["streams"], arguments).fetchall():
        counters = Counters(**{name: row.pop(name) for name in Counters.__dataclass_fields__})
        result.append(Stream(**row, counters=counters, held=held.get((row["connection_id"], row["stream"]), {})))
    return result


def holds(tx: Transaction, workspace: str, *, decided_too: bool) -> list[Hold]:
    """The deletions that wait for a word, and those that had one."""
    arguments = {"workspace": workspace, "all": decided_too}
    return [Hold(**row) for row in tx.execute(QUERIES["holds"], arguments).fetchall()]


def receipts(tx: Transaction, workspace: str, connection_id: UUID | None = None) -> list[Receipt]:
    """The receipts of the workspace, oldest first."""
    arguments = {"workspace": workspace, "connection": connection_id}
    return [Receipt(**row) for row in tx.execute(QUERIES["receipts"], arguments).fetchall()]

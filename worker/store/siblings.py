"""Siblings: grants of one account to one provider project, in any workspace, known by an HMAC of the account.

At Google and Facebook a revocation ends all of them, so only the last one to go revokes. Rows are locked while they are
counted, in one order for all.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("siblings")


@dataclass(frozen=True, slots=True)
class Sibling:
    """One grant of the account."""

    workspace_id: str
    connection_id: UUID
    revoking_at: datetime | None = None
    consented_at: datetime | None = None


def lock_account(tx: Connection, workspace: str, account_mac: bytes) -> None:
    """Let two consents for one account in one workspace wait for each other."""
    tx.execute(QUERIES["lock_account"], {"workspace": workspace, "account_mac": account_mac})


def holder(tx: Connection, workspace: str, provider: str, account_mac: bytes, but: UUID) -> UUID | None:
    """The other connection by which the workspace holds this account now, if any."""
    asked = {"workspace": workspace, "provider": provider, "account_mac": account_mac, "connection": but}
    row = tx.execute(QUERIES["holder_of_account"], asked).fetchone()
    return row["connection_id"] if row else None


def add(tx: Connection, workspace: str, connection_id: UUID, account_mac: bytes) -> None:
    """Note a grant, consented to now."""
    tx.execute(QUERIES["add_sibling"], _key(workspace, connection_id, account_mac))


def lock_all(tx: Connection, account_mac: bytes) -> list[Sibling]:
    """All grants of the account, locked."""
    return [Sibling(**row) for row in tx.execute(QUERIES["lock_siblings"], {"account_mac": account_mac}).fetchall()]


def mark_revoking(tx: Connection, workspace: str, connection_id: UUID, account_mac: bytes) -> None:
    """Note that this one goes as the last and revokes at the provider."""
    tx.execute(QUERIES["mark_revoking"], _key(workspace, connection_id, account_mac))


def remove(tx: Connection, workspace: str, connection_id: UUID, account_mac: bytes) -> bool:
    """Take a grant away; False if it was not there."""
    return tx.execute(QUERIES["remove_sibling"], _key(workspace, connection_id, account_mac)).fetchone() is not None


def _key(workspace: str, connection_id: UUID, account_mac: bytes) -> dict[str, object]:
    return {"workspace": workspace, "connection": connection_id, "account_mac": account_mac}

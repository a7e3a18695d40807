"""Requests for consent: each asked once, answered once, and found again by its `state` only.

The `state` itself is not kept, only an HMAC of it, and the PKCE verifier only sealed.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("consents")


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """What a person is asked to agree to. `epoch` is the connection's when they were asked."""

    request_id: UUID
    connection_id: UUID
    epoch: int
    sealed_verifier: bytes = field(repr=False)
    purposes: tuple[str, ...]
    scopes: tuple[str, ...]
    policy_version: str
    agreed_by: str
    redirect_uri: str
    expired: bool = False
    used: bool = False


def add(tx: Connection, workspace: str, request: ConsentRequest, state_mac: bytes, life: timedelta) -> bool:
    """Store a request, or give it a fresh state if it is there already; False if it was answered meanwhile."""
    row = tx.execute(
        QUERIES["add_request"],
        {
            "workspace": workspace,
            "request": request.request_id,
            "connection": request.connection_id,
            "epoch": request.epoch,
            "state_mac": state_mac,
            "sealed_verifier": request.sealed_verifier,
            "purposes": list(request.purposes),
            "scopes": list(request.scopes),
            "policy_version": request.policy_version,
            "agreed_by": request.agreed_by,
            "redirect_uri": request.redirect_uri,
            "life": life,
        },
    ).fetchone()
    return row is not None


def lock(tx: Connection, workspace: str, state_mac: bytes) -> ConsentRequest | None:
    """The request with that state, locked; None if there is none."""
    row = tx.execute(QUERIES["lock_request"], {"workspace": workspace, "state_mac": state_mac}).fetchone()
    if row is None:
        return None
    used = row.pop("used_at") is not None
    row["purposes"], row["scopes"] = tuple(row["purposes"]), tuple(row["scopes"])
    return ConsentRequest(**row, used=used)


def use(tx: Connection, workspace: str, request_id: UUID) -> bool:
    """Mark it answered; False if it was before."""
    asked = {"workspace": workspace, "request": request_id}
    return tx.execute(QUERIES["use_request"], asked).rowcount == 1


def adopt_job(tx: Connection, workspace: str, job_id: int, connection_id: UUID) -> None:
    """Tell a job whose connection it works for, so that a stop of the connection sees it."""
    tx.execute(QUERIES["adopt_job"], {"workspace": workspace, "job": job_id, "connection": connection_id})


def drop_old(tx: Connection, workspace: str) -> list[UUID]:
    """Forget requests that ended more than a day ago; returns the connections that nobody consented to since."""
    tx.execute(QUERIES["drop_old_requests"], {"workspace": workspace})
    rows = tx.execute(QUERIES["never_consented"], {"workspace": workspace}).fetchall()
    return [row["connection_id"] for row in rows]

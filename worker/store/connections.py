"""Connections and their streams: made, activated, stopped, each change announced in the feed by its own transaction.

Plain reads and writes over a transaction that the caller has opened for the workspace. `stop` touches the
connection's row and its jobs' rows, and nothing else: what is deleted, and what a provider is told, is later work.
Consents, siblings and farewells have modules of their own; which stop an error asks for is decided in
`worker.privacy`.

    connecting ─▶ active ─▶ reconnect_needed | blocked_by_admin ─▶ active …
        └──────────┴──────────────────┴─▶ disconnected (data kept) ─▶ active …
                                      └─▶ deleting ─▶ disconnected (purged: for good)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from worker.store import feed
from worker.store.database import Connection as Transaction
from worker.store.database import Row
from worker.store.feed import Entry, Event
from worker.store.queries import load

QUERIES = load("connections")


class State(StrEnum):
    """Where a connection stands. They are wire names: add, never rename."""

    CONNECTING = "connecting"
    ACTIVE = "active"
    RECONNECT_NEEDED = "reconnect_needed"
    BLOCKED_BY_ADMIN = "blocked_by_admin"
    DISCONNECTED = "disconnected"
    DELETING = "deleting"


class StreamState(StrEnum):
    """Whether a stream runs. They are wire names: add, never rename."""

    ACTIVE = "active"
    MISSING_SCOPE = "missing_scope"
    OFF = "off"


PURGED = "purged"
"""The `state_reason` of a connection whose data is gone: it never comes back, a new one is made instead."""

GONE = frozenset({State.DISCONNECTED, State.DELETING})
"""States in which a customer (or a withdrawn consent) ended the connection."""

_MAY_BECOME: dict[State, frozenset[State]] = {
    State.RECONNECT_NEEDED: frozenset({State.ACTIVE, State.BLOCKED_BY_ADMIN}),
    State.BLOCKED_BY_ADMIN: frozenset({State.CONNECTING, State.ACTIVE, State.RECONNECT_NEEDED}),
    State.DISCONNECTED: frozenset(State) - {State.DISCONNECTED},
    State.DELETING: frozenset(State) - {State.DELETING},
}
_WORK = ("sync_stream", "refresh_grant")
_ALL_WORK = (*_WORK, "start_connect", "complete_connect", "decide_deletions")
FAREWELLS = ("disconnect", "purge_connection")
"""Kinds of jobs that a stop leaves alone, since they are what ends a connection."""


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """A connection's row. `account_mac` names the account without telling it; `scopes` are those that were granted."""

    connection_id: UUID
    provider: str
    state: State
    state_reason: str | None
    state_since: datetime
    epoch: int
    account_mac: bytes | None
    purposes: tuple[str, ...]
    scopes: tuple[str, ...]
    policy_version: str
    agreed_by: str
    agreed_at: datetime
    created_at: datetime

    @property
    def purged(self) -> bool:
        """Whether its data was deleted, which is for good."""
        return self.state is State.DISCONNECTED and self.state_reason == PURGED


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to: purposes under a version of the policy, and who they are in the CRM's own ids."""

    purposes: tuple[str, ...]
    policy_version: str
    agreed_by: str


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What becomes of a stream when its connection is activated."""

    stream: str
    purpose: str | None
    state: StreamState
    every: timedelta

    @property
    def reason(self) -> str | None:
        """The code that goes with the state."""
        return {StreamState.MISSING_SCOPE: "missing_scope", StreamState.OFF: "purpose_not_held"}.get(self.state)


def create(tx: Transaction, workspace: str, connection_id: UUID, provider: str, consent: Consent) -> bool:
    """Make a connection that waits for its account; False if it is there already."""
    values = {"provider": provider, "policy_version": consent.policy_version, "agreed_by": consent.agreed_by}
    if tx.execute(QUERIES["create"], {**_key(workspace, connection_id), **values}).fetchone() is None:
        return False
    _announce(tx, workspace, connection_id, State.CONNECTING, None)
    return True


def read(tx: Transaction, workspace: str, connection_id: UUID) -> StoredConnection | None:
    """The connection, or None."""
    row = tx.execute(QUERIES["read"], _key(workspace, connection_id)).fetchone()
    return _stored(row) if row else None


def lock(tx: Transaction, workspace: str, connection_id: UUID) -> StoredConnection | None:
    """The connection, which nobody else changes and no page commits on until the transaction ends."""
    row = tx.execute(QUERIES["lock"], _key(workspace, connection_id)).fetchone()
    return _stored(row) if row else None


def list_all(tx: Transaction, workspace: str) -> list[StoredConnection]:
    """Every connection of the workspace, oldest first."""
    return [_stored(row) for row in tx.execute(QUERIES["list"], {"workspace": workspace}).fetchall()]


def activate(
    tx: Transaction,
    workspace: str,
    was: StoredConnection,
    *,
    consent: Consent,
    scopes: Sequence[str],
    account_mac: bytes,
    streams: Sequence[StreamPlan],
) -> None:
    """Make a locked connection active with what was consented to and granted, and its streams due.

    The epoch stays: what was stopped before stays stopped, and what runs on an active connection goes on.
    """
    key = _key(workspace, was.connection_id)
    tx.execute(
        QUERIES["activate"],
        {
            **key,
            "account_mac": account_mac,
            "purposes": list(consent.purposes),
            "scopes": list(scopes),
            "policy_version": consent.policy_version,
            "agreed_by": consent.agreed_by,
        },
    )
    before = {row["stream"]: row["state"] for row in tx.execute(QUERIES["read_streams"], key).fetchall()}
    tx.execute(
        QUERIES["put_streams"],
        {
            **key,
            "restart": was.state is not State.ACTIVE,
            "streams": [plan.stream for plan in streams],
            "purposes": [plan.purpose for plan in streams],
            "states": [plan.state.value for plan in streams],
            "reasons": [plan.reason for plan in streams],
            "everys": [plan.every for plan in streams],
        },
    )
    _announce(tx, workspace, was.connection_id, State.ACTIVE, None)
    for plan in streams:
        if before.get(plan.stream, StreamState.ACTIVE) != plan.state:
            _announce_stream(tx, workspace, was.connection_id, plan.stream, plan.state, plan.reason)


def stop(
    tx: Transaction,
    workspace: str,
    connection_id: UUID,
    state: State,
    reason: str,
    *,
    epoch: int | None = None,
    admin_consent_url: str | None = None,
) -> int | None:
    """Stop a connection: from the commit on, no request starts and no page commits for what began before (P1, P2).

    Jobs that have not begun are cancelled; those that run find out at their gate or their fence. With `epoch`, only
    a connection that still has it is stopped, so that an error of an ended consent does not end its successor.
    `admin_consent_url` is kept with it, and told, as long as that state lasts.

    Returns:
        The new epoch; None if nothing was stopped, because it was stopped already or may not go to that state.
    """
    was = lock(tx, workspace, connection_id)
    if was is None or was.state not in _MAY_BECOME[state] or (epoch is not None and was.epoch != epoch):
        return None
    key = _key(workspace, connection_id)
    becomes = {"state": state.value, "reason": reason, "admin_consent_url": admin_consent_url}
    row = tx.execute(QUERIES["stop"], {**key, **becomes}).fetchone()
    cancel_jobs(tx, workspace, connection_id, state, reason)
    _announce(tx, workspace, connection_id, state, reason, admin_consent_url)
    return int(row["epoch"]) if row else None


def cancel_jobs(tx: Transaction, workspace: str, connection_id: UUID, state: State, reason: str) -> int:
    """Cancel what waits to work on a connection that has come to `state`, and return how many jobs that were.

    A connection that only needs its person to come back keeps the jobs that help with it.
    """
    arguments = {
        **_key(workspace, connection_id),
        "kinds": list(_ALL_WORK if state in GONE else _WORK),
        "reason": "connection_stopped",
        "message": f"The connection was stopped ({reason}) before this began.",
    }
    tx.execute(QUERIES["forget_repetitions"], arguments)
    return len(tx.execute(QUERIES["cancel_jobs"], arguments).fetchall())


def still_running(tx: Transaction, workspace: str, connection_id: UUID, *, but: int) -> int:
    """How many jobs other than `but` hold a lease on the connection."""
    row = tx.execute(QUERIES["still_running"], {**_key(workspace, connection_id), "job": but}).fetchone()
    return int(row["jobs"]) if row else 0


def last_request(tx: Transaction, workspace: str, connection_id: UUID) -> tuple[int, datetime | None]:
    """How many requests were ever made for the connection, and when the last of them started."""
    row = tx.execute(
        QUERIES["last_request"], {**_key(workspace, connection_id), "farewells": list(FAREWELLS)}
    ).fetchone()
    return (int(row["requests"]), row["last_request_at"]) if row else (0, None)


def lack_scope(tx: Transaction, workspace: str, connection_id: UUID, stream: str, *, epoch: int) -> bool:
    """Switch off a stream whose scope was not granted; the others go on. False if it was off, or the epoch moved."""
    was = lock(tx, workspace, connection_id)
    if was is None or was.epoch != epoch:
        return False
    arguments = {**_key(workspace, connection_id), "stream": stream, "reason": "missing_scope"}
    if tx.execute(QUERIES["stream_lacks_scope"], arguments).fetchone() is None:
        return False
    _announce_stream(tx, workspace, connection_id, stream, StreamState.MISSING_SCOPE, "missing_scope")
    return True


def set_alarm(tx: Transaction, workspace: str, connection_id: UUID, reason: str) -> bool:
    """Say on an active connection that an error of ours holds it up. It stays active. False if it said so already."""
    if tx.execute(QUERIES["set_alarm"], {**_key(workspace, connection_id), "reason": reason}).fetchone() is None:
        return False
    _announce(tx, workspace, connection_id, State.ACTIVE, reason)
    return True


def clear_alarm(tx: Transaction, workspace: str, connection_id: UUID) -> bool:
    """Take back what `set_alarm` said, once something works again; cheap when there is nothing to take back."""
    if tx.execute(QUERIES["clear_alarm"], _key(workspace, connection_id)).fetchone() is None:
        return False
    _announce(tx, workspace, connection_id, State.ACTIVE, None)
    return True


def being_ended(tx: Transaction, workspace: str, connection_id: UUID) -> bool:
    """Whether a disconnect or a purge is asked for or under way: until it is through, nobody connects it again."""
    asked = {**_key(workspace, connection_id), "farewells": list(FAREWELLS)}
    row = tx.execute(QUERIES["being_ended"], asked).fetchone()
    return bool(row and row["ending"])


def ask_for_purge(tx: Transaction, workspace: str, connection_id: UUID) -> int:
    """Ask for the deletion of what is held of a connection; returns the job."""
    row = tx.execute(QUERIES["ask_for_purge"], _key(workspace, connection_id)).fetchone()
    if row is None:
        raise AssertionError("an INSERT … RETURNING returned nothing")
    return int(row["job_id"])


def announce_state(tx: Transaction, workspace: str, connection_id: UUID, state: State, reason: str | None) -> None:
    """Put a state that another module wrote into the feed."""
    _announce(tx, workspace, connection_id, state, reason)


def _announce(
    tx: Transaction,
    workspace: str,
    connection_id: UUID,
    state: State,
    reason: str | None,
    admin_consent_url: str | None = None,
) -> None:
    details = {"state": state.value, "reason": reason}
    if admin_consent_url is not None:
        details["admin_consent_url"] = admin_consent_url
    entry = Entry(Event.CONNECTION_STATE, details=details)
    feed.append(tx, workspace, [entry], connection_id=connection_id)


def _announce_stream(
    tx: Transaction, workspace: str, connection_id: UUID, stream: str, state: StreamState, reason: str | None
) -> None:
    entry = Entry(Event.STREAM_STATE, details={"state": state.value, "reason": reason})
    feed.append(tx, workspace, [entry], connection_id=connection_id, stream=stream)


def _key(workspace: str, connection_id: UUID) -> dict[str, object]:
    return {"workspace": workspace, "connection": connection_id}


def _stored(row: Row) -> StoredConnection:
    return StoredConnection(**{**row, "state": State(row["state"]), **_tuples(row, ("purposes", "scopes"))})


def _tuples(row: Row, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(row[name]) for name in names}

"""The ledger as a worker uses it: claim a job, finish it, hand it back. Plain functions over a database.

    admitted ──claim──▶ running ──finish──▶ done | failed | dead | cancelled | parked | queued

Every write after the claim names the lease's epoch, so a worker whose job was given to another writes nothing. What is
admitted, and what happens to the jobs of a dead process, is the scheduler's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from worker.errors import LeaseLost
from worker.jobs import outcomes
from worker.jobs.lanes import ANNOUNCED, ANNOUNCEMENTS
from worker.store import queries
from worker.store.database import Database

_LEDGER = queries.load("ledger")
MOST_DELIVERIES = 5
"""A job that was begun so often in a row without an outcome is not begun again."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours now."""

    workspace: str
    job_id: int
    kind: str
    lane: str
    connection_id: UUID | None
    args: outcomes.Json
    sealed: bytes | None = field(repr=False)
    attempt: int
    lease_epoch: int
    progress: outcomes.Json | None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a claim of each kind may last, in the form in which Postgres reads it."""

    by_kind: Jsonb

    @classmethod
    def of(cls, deadlines: Mapping[str, timedelta]) -> "Deadlines":
        """From the handlers' own; a kind that is not in it gets a minute."""
        return cls(Jsonb({kind: deadline.total_seconds() for kind, deadline in deadlines.items()}))


def claim(database: Database, workspace: str, job_id: int, process_id: UUID, deadlines: Deadlines) -> Claimed | None:
    """Take an admitted job; None if there is nothing to take (a second ring, a cancelled job) or it is dead now.

    Raises:
        Unavailable: nobody knows whether the claim was committed; see `hand_back`.
    """
    row = database.ask(
        _LEDGER["claim"],
        {
            "workspace": workspace,
            "job_id": job_id,
            "process_id": process_id,
            "most_deliveries": MOST_DELIVERIES,
            "deadlines_s": deadlines.by_kind,
        },
        workspace,
    ).fetchone()
    if row is None or row["state"] != "running":
        return None
    del row["state"]
    return Claimed(workspace, job_id, **row)


def finish(database: Database, claimed: Claimed, outcome: outcomes.Outcome, now: datetime) -> str:
    """Write a run's outcome, and return the state that the job is in now.

    `now` is the present moment by the clock that the outcome's times are of. Only the wait between them reaches
    Postgres, whose own clock decides when it is over: this machine's may be wrong.

    Raises:
        LeaseLost: the job is another's; nothing was written.
        Unavailable: nobody knows whether it was committed; doing it again is safe.
    """
    row = database.ask(
        _LEDGER["finish"],
        {
            "workspace": claimed.workspace,
            "job_id": claimed.job_id,
            "lease_epoch": claimed.lease_epoch,
            "announced": [lane.value for lane in ANNOUNCED],
            "channel": ANNOUNCEMENTS,
            **_as_columns(outcome, now),
        },
        claimed.workspace,
    ).fetchone()
    if row is None:
        raise LeaseLost(f"job {claimed.job_id} is no longer ours")
    return str(row["state"])


def hand_back(
    database: Database, workspace: str, job_id: int, process_id: UUID, lease_epoch: int | None = None
) -> bool:
    """Give back what this process runs of a job; whether there was anything. Without an epoch, of any claim."""
    with database.transaction(workspace) as tx:
        asked = {"workspace": workspace, "job_id": job_id, "process_id": process_id, "lease_epoch": lease_epoch}
        return tx.execute(_LEDGER["hand_back"], asked).rowcount == 1


def is_first_book(database: Database) -> bool:
    """Whether nothing was ever booked against a provider's budget: True once in the life of a deployment."""
    with database.transaction() as tx:
        return tx.execute(_LEDGER["open_first_book"]).fetchone() is not None


def _as_columns(outcome: outcomes.Outcome, now: datetime) -> dict[str, Any]:
    match outcome:
        case outcomes.Done():
            return _columns(
                "done",
                may_repeat=True,
                attempt="resets",
                outcome=outcome.outcome,
                sealed_outcome=outcome.sealed_outcome,
            )
        case outcomes.Yield():
            return _columns("queued", attempt="resets", progress=outcome.progress)
        case outcomes.HandBack():
            return _columns("queued", progress=outcome.progress)
        case outcomes.Parked():
            return _columns(
                "parked",
                wait=outcome.until - now,
                named=outcome.named,
                reason=outcome.reason,
                message=outcome.message or None,
                progress=outcome.progress,
            )
        case outcomes.Retry():
            return _columns(
                "parked",
                wait=outcome.at - now,
                named=outcome.named,
                attempt="counts",
                reason=outcome.reason,
                message=outcome.message or None,
            )
        case outcomes.Failed():
            return _columns("failed", reason=outcome.reason, message=outcome.message, outcome=outcome.outcome)
        case outcomes.Dead():
            return _columns("dead", reason=outcome.reason, message=outcome.message)
        case outcomes.Cancelled():
            return _columns("cancelled", may_repeat=True, reason=outcome.reason)
        case outcomes.Dropped():
            raise LeaseLost("a dropped run has nothing to write")


def _columns(
    state: str,
    *,
    may_repeat: bool = False,
    attempt: str = "stays",
    wait: timedelta | None = None,
    named: bool = False,
    reason: str | None = None,
    message: str | None = None,
    progress: outcomes.Json | None = None,
    outcome: outcomes.Json | None = None,
    sealed_outcome: bytes | None = None,
) -> dict[str, Any]:
    return {
        "state": state,
        "may_repeat": may_repeat,
        "attempt": attempt,
        "wait": wait,
        "named": named,
        "reason": reason,
        "message": message,
        "progress": None if progress is None else Jsonb(progress),
        "outcome": None if outcome is None else Jsonb(outcome),
        "sealed_outcome": sealed_outcome,
    }

"""Jobs as those see them who asked for them: read, list, ask again, lay to rest.

It never opens what a job carries sealed, and it claims, runs and finishes nothing: that is the ledger's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.errors import BadRequest, NotFound
from worker.store.database import Connection, Row
from worker.store.queries import load

QUERIES = load("client")
STATES = ("parked", "queued", "admitted", "running", "done", "failed", "dead", "cancelled")
FINISHED = frozenset({"done", "failed", "dead", "cancelled"})
GIVEN_UP = ("dead", "failed")


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of asked or planned work. `outcome` and `progress` hold ids, codes and numbers.

    `private` is what the job answered under seal, opened; None unless it was asked for and is there.
    """

    job_id: int
    kind: str
    lane: str
    state: str
    connection_id: UUID | None
    args: dict[str, Any]
    run_at: datetime
    attempt: int
    deliveries: int
    requests: int
    last_request_at: datetime | None
    progress: dict[str, Any] | None
    outcome: dict[str, Any] | None
    reason: str | None
    message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    sealed_outcome: bytes | None = field(default=None, repr=False)
    private: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def finished(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in FINISHED

    @property
    def succeeded(self) -> bool:
        """Whether it did what was asked."""
        return self.state == "done"


def read(tx: Connection, workspace: str, job_id: int) -> Job:
    """One job.

    Raises:
        NotFound: the workspace has none of that number.
    """
    row = tx.execute(QUERIES["job"], {"workspace": workspace, "job_id": job_id}).fetchone()
    if row is None:
        raise _no_such_job(workspace, job_id)
    return _job(row)


def listed(
    tx: Connection,
    workspace: str,
    *,
    states: Sequence[str] | None = None,
    kind: str | None = None,
    connection_id: UUID | None = None,
    limit: int = 50,
) -> list[Job]:
    """The newest jobs first."""
    arguments = {
        "workspace": workspace,
        "states": list(states) if states is not None else None,
        "kind": kind,
        "connection": connection_id,
        "limit": limit,
    }
    return [_job(row) for row in tx.execute(QUERIES["jobs"], arguments).fetchall()]


def retry(tx: Connection, workspace: str, job_id: int) -> None:
    """Ask again for a job that was given up; its attempts count from zero. Needs the worker's login.

    Raises:
        NotFound: there is no such job.
        BadRequest: it was not given up, or the same work is already asked for by a newer job.
    """
    job = read(tx, workspace, job_id)
    _require_given_up(job, workspace)
    twin = tx.execute(QUERIES["live_twin"], {"workspace": workspace, "job_id": job_id}).fetchone()
    if twin is not None:
        raise BadRequest(
            f"Job {job_id} cannot be asked for again: job {twin['job_id']} already does the same work. See "
            f"`crm-sync jobs -w {workspace}`, or lay this one to rest: `crm-sync dead drop {job_id} -w {workspace}`."
        )
    if tx.execute(QUERIES["retry_job"], {"workspace": workspace, "job_id": job_id}).fetchone() is None:
        raise _no_such_job(workspace, job_id)  # Its time was over, and it was swept just now.


def drop(tx: Connection, workspace: str, job_id: int) -> None:
    """Lay a job to rest that was given up; what it carried sealed is deleted. Needs the worker's login.

    Raises:
        NotFound: there is no such job.
        BadRequest: it was not given up.
    """
    _require_given_up(read(tx, workspace, job_id), workspace)
    tx.execute(QUERIES["drop_job"], {"workspace": workspace, "job_id": job_id})


def _require_given_up(job: Job, workspace: str) -> None:
    if job.state not in GIVEN_UP:
        raise BadRequest(
            f"Job {job.job_id} is {job.state}; only a job that is dead or failed can be retried or dropped. "
            f"See `crm-sync dead list -w {workspace}`."
        )


def _no_such_job(workspace: str, job_id: int) -> NotFound:
    return NotFound(f"Workspace «{workspace}» has no job {job_id}. See `crm-sync jobs --workspace {workspace}`.")


def _job(row: Row) -> Job:
    return Job(**row)

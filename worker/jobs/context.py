"""What a handler is given for one run of one job: who it works for, its fence, its gate, its time.

    run(context) ─┬─ context.gate(epoch)          asked before every request to a provider
                  ├─ context.fence(tx, progress)  the last statement of every transaction that writes
                  └─ context.out_of_time()        asked after every page: time to yield or to hand back?

It starts no transaction of its own but for the gate, and never finishes the job: outcomes are returned.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from psycopg.types.json import Jsonb

from worker.errors import LeaseLost
from worker.jobs.gate import JobGate
from worker.jobs.outcomes import Json
from worker.jobs.services import Services
from worker.store import queries
from worker.store.database import Connection

_LEDGER = queries.load("ledger")


@dataclass(frozen=True, slots=True)
class JobContext:
    """One run of one job. `args` are plain, `sealed` is for the intake key, `attempt` counts failures so far."""

    services: Services
    workspace: str
    job_id: int
    kind: str
    lane: str
    connection_id: UUID | None
    args: Json
    sealed: bytes | None
    attempt: int
    lease_epoch: int
    progress: Json | None = None
    stopping: Callable[[], bool] = field(default=lambda: False)
    started_s: float = field(default_factory=time.monotonic)

    def fence(self, tx: Connection, progress: Json | None = None) -> None:
        """Hold the transaction to this run's lease; it must be the transaction's last statement (P1).

        Raises:
            LeaseLost: another worker holds the job now; the transaction must not be committed.
        """
        touched = tx.execute(
            _LEDGER["fence"],
            {
                "workspace": self.workspace,
                "job_id": self.job_id,
                "lease_epoch": self.lease_epoch,
                "progress": None if progress is None else Jsonb(progress),
            },
        ).rowcount
        if touched != 1:
            raise LeaseLost(f"job {self.job_id} is no longer ours")

    def out_of_time(self) -> bool:
        """Whether the run should end at the next safe point: its slice is over, or the process is stopping."""
        return self.stopping() or time.monotonic() - self.started_s >= self.services.settings.slice_s

    def gate(self, epoch: int | None, connection_id: UUID | None = None) -> JobGate:
        """The gate for requests of this run under a connection's epoch (the job's own connection unless named)."""
        return JobGate(
            self.services.database,
            self.workspace,
            self.job_id,
            self.lease_epoch,
            connection_id or self.connection_id,
            epoch,
        )

"""The gate: may this request to a provider start now (P2)? Asked of Postgres each time, never remembered.

One statement locks the connection's row for the blink of its own transaction and counts the request on the job's
row. Whoever stops the connection changes that row, so either the stop waits for the gate, and the request began
before it, or the gate finds the new epoch and stays shut. The count need not survive a crash of the server, so the
commit does not wait for the disk. The gate takes no permits and knows no tokens.
"""

from dataclasses import dataclass
from uuid import UUID

from worker.errors import ConnectionStopped, LeaseLost, Unavailable
from worker.store import queries
from worker.store.database import Database

_LEDGER = queries.load("ledger")


@dataclass(frozen=True, slots=True)
class JobGate:
    """The gate of one run. With no connection (nobody has one yet) only the lease is asked."""

    database: Database
    workspace: str
    job_id: int
    lease_epoch: int
    connection_id: UUID | None
    epoch: int | None

    def open(self) -> None:
        """Return if the request may start now.

        Raises:
            ConnectionStopped: the connection's epoch moved on.
            LeaseLost: another worker holds the job.
            Unavailable: Postgres gave no answer, which means no.
        """
        asked = {
            "workspace": self.workspace,
            "job_id": self.job_id,
            "lease_epoch": self.lease_epoch,
            "connection_id": self.connection_id,
            "epoch": self.epoch,
        }
        bound = self.connection_id is not None and self.epoch is not None
        statement = _LEDGER["pass_gate" if bound else "pass_gate_unbound"]
        if self.database.ask(statement, asked, self.workspace, durable=False).rowcount == 1:
            return
        found = self.database.ask(_LEDGER["why_shut"], asked, self.workspace).fetchone()
        if bound and (found is None or found["epoch"] != self.epoch):
            raise ConnectionStopped(f"connection {self.connection_id} was stopped")
        if found is not None and found["held"]:
            # Both hold now and did not then: a stop that was rolled back in between, say. No answer means no.
            raise Unavailable(f"the gate of job {self.job_id} gave no answer")
        raise LeaseLost(f"job {self.job_id} is no longer ours")

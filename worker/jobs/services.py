"""What a handler may use, in one frozen record; `worker.app.build_services` fills it once a process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from worker.settings import Settings
from worker.store.database import Database

if TYPE_CHECKING:  # Loading these costs a third of a worker's memory; who only wants the ledger need not pay.
    from worker.jobs.endpoints import Endpoints
    from worker.transport.budgets import Budgets
    from worker.transport.client import Transport
    from worker.vault.grants import Grants
    from worker.vault.keys import KeyStore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one worker process. All of them may be used by many threads at once."""

    settings: Settings
    database: Database
    keys: "KeyStore"
    transport: "Transport"
    budgets: "Budgets"
    grants: "Grants"
    endpoints: "Endpoints"
    clock: Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)

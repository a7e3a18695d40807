"""A transaction of the CRM that stays open holds up its own request and nobody else's: P11, fault matrix 22."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scheduler.dispatcher import Dispatcher
from scheduler.planner import Planner
from scheduler.reconciler import Reconciler
from tests.conftest import register_workspace
from tests.sync.scripted import connection_exists
from worker.client import Client
from worker.jobs.bell import Bell
from worker.settings import Role
from worker.store.database import Database

SOON_S = 5.0
"""Far below the time-out for locks, which is what a scheduler that waits would wait for."""


class Tenant:
    """A tenant with a connection and one stream."""

    def __init__(self, url: str, keyring: Path, worker_db: Database, crm_db: Database) -> None:
        self.url = url
        self.workspace = register_workspace(crm_db)
        self.connection: UUID = connection_exists(worker_db, self.workspace, "contacts")
        self.crm = Client(url, keyring, workspace=self.workspace, actor="u", reason="a test")

    def ask(self, own: "psycopg.Connection[tuple[object, ...]] | None" = None) -> int:
        args = {"connection_id": str(self.connection), "stream": "contacts"}
        return self.crm.enqueue("sync_stream", args, connection=own)


@pytest.fixture
def tenants(
    database_urls: dict[Role, str], keyrings: dict[str, Path], worker_db: Database, crm_db: Database
) -> Iterator[list[Tenant]]:
    """Two tenants; the first one's CRM is slow to commit."""
    made = [Tenant(database_urls[Role.CRM], keyrings["records"], worker_db, crm_db) for _ in range(2)]
    yield made
    for tenant in made:
        tenant.crm.close()


@pytest.fixture
def dispatcher(scheduler_db: Database, redis_url: str) -> Iterator[Dispatcher]:
    bell = Bell(redis_url)
    yield Dispatcher(scheduler_db, bell)
    bell.close()


def test_p11_a_request_that_joins_a_job_and_is_not_committed_stops_no_admission(
    tenants: list[Tenant], dispatcher: Dispatcher
) -> None:
    slow, other = tenants
    joined, free = slow.ask(), other.ask()
    with psycopg.connect(slow.url) as own:
        assert slow.ask(own) == joined
        started_s = time.monotonic()
        dispatcher.tick({})
        assert time.monotonic() - started_s < SOON_S
        assert (slow.crm.job(joined).state, other.crm.job(free).state) == ("queued", "admitted")
    dispatcher.tick({})
    assert slow.crm.job(joined).state == "admitted"


def test_p11_a_request_that_joins_a_dead_workers_job_and_is_not_committed_stops_no_rescue(
    tenants: list[Tenant], dispatcher: Dispatcher, scheduler_db: Database, owner_db: Database, redis_url: str
) -> None:
    slow, other = tenants
    jobs = [slow.ask(), other.ask()]
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'running', lease_epoch = 1 WHERE job_id = ANY(%s)", [jobs])
    reconciler = Reconciler(scheduler_db, Bell(redis_url), dispatcher, timedelta(seconds=5))
    with psycopg.connect(slow.url) as own:
        assert slow.ask(own) == jobs[0]
        started_s = time.monotonic()
        assert reconciler.tick() >= 1
        assert time.monotonic() - started_s < SOON_S
        assert (slow.crm.job(jobs[0]).state, other.crm.job(jobs[1]).state) == ("running", "queued")
    assert reconciler.tick() == 1
    assert slow.crm.job(jobs[0]).state == "queued"


def test_p11_a_request_that_is_not_committed_stops_no_planning(
    tenants: list[Tenant], scheduler_db: Database, owner_db: Database
) -> None:
    slow, other = tenants
    connections = [tenant.connection for tenant in tenants]
    with owner_db.transaction() as tx:
        tx.execute(
            "UPDATE crm_sync.stream SET next_run_at = now() - interval '1 minute' WHERE connection_id = ANY(%s)",
            [connections],
        )
    planner = Planner(scheduler_db)
    with psycopg.connect(slow.url) as own:
        asked = slow.ask(own)
        started_s = time.monotonic()
        planner.tick()
        assert time.monotonic() - started_s < SOON_S
        assert len(other.crm.jobs()) == 1
    planner.tick()
    assert [job.job_id for job in slow.crm.jobs()] == [asked], "what was asked for meanwhile is enough"

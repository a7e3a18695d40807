"""Clocks that are wrong, days of 23 and 25 hours, slots that passed while nobody planned: fault matrix 40 to 42."""

import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.planner import Planner, next_wait
from tests.conftest import register_workspace
from tests.deployment import Deployment
from tests.sync.scripted import connection_exists
from worker.settings import Settings
from worker.store.database import Database

WORKER_OF_ANOTHER_TIME = """
import sys, time_machine
from datetime import UTC, datetime, timedelta
moved = time_machine.travel(datetime.now(UTC) + timedelta(seconds=float(sys.argv[1])), tick=True)
moved.start()
from worker import app, settings
sys.exit(app.run_worker(settings.load(), threads=4))
"""


@pytest.fixture
def deployment(settings: Settings, tmp_path: Path, owner_db: Database) -> Iterator[Deployment]:
    """An account that was connected in right time, and workers of another: one ahead, one behind."""
    with owner_db.transaction() as tx:
        tx.execute("DELETE FROM crm_sync.deployment_mark")  # Its Redis is new too.
    with Deployment.start(settings, tmp_path) as running:
        running.sync(running.connect())
        running.kill(running.processes[-1], signal.SIGTERM)
        for skew_s in (-90, 90):
            running.spawn("-c", WORKER_OF_ANOTHER_TIME, str(skew_s))
        yield running


def test_p5_workers_whose_clocks_are_wrong_by_ninety_seconds_take_no_job_too_early_and_park_none_too_short(
    deployment: Deployment, owner_db: Database
) -> None:
    crm, simulator = deployment.client, deployment.simulator
    long = [crm.enqueue("ping", {"sleep_s": deployment.settings.lease_s + 2}) for _ in range(2)]
    ended = [deployment.wait(each) for each in long]
    assert {each.state for each in ended} == {"done"}
    with owner_db.transaction() as tx:
        rows = tx.execute("SELECT lease_epoch FROM crm_sync.job WHERE job_id = ANY(%s)", [long]).fetchall()
    assert {row["lease_epoch"] for row in rows} == {1}, "each ran once"
    deployment.kill(deployment.processes[-1], signal.SIGTERM)
    # The provider asks for a minute: a clock that is behind would be back at once, again and again.
    simulator.fault({"status": 429, "retry_after": 60}, path="connections", times=0)
    job = crm.sync(crm.connections()[0].connection_id, "contacts")[0]
    deployment.until(lambda: crm.job(job).state == "parked" and crm.job(job).requests > 0)
    parked = crm.job(job)
    asked = len(simulator.requests(path="connections"))
    with owner_db.transaction() as tx:
        row = tx.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    assert timedelta(seconds=45) < parked.run_at - row["now"] < timedelta(seconds=75)
    time.sleep(1.5)
    assert crm.job(job).run_at == parked.run_at
    assert len(simulator.requests(path="connections")) == asked


# Planning.


@pytest.fixture
def due(worker_db: Database, crm_db: Database) -> str:
    """A tenant with a stream that was due three times while no scheduler ran."""
    workspace = register_workspace(crm_db)
    connection = connection_exists(worker_db, workspace, "contacts")
    with worker_db.transaction(workspace) as tx:
        tx.execute(
            "UPDATE crm_sync.stream SET next_run_at = now() - interval '50 minutes' WHERE connection_id = %s",
            [connection],
        )
    return workspace


def planned(database: Database, workspace: str) -> int:
    with database.transaction(workspace) as tx:
        row = tx.execute("SELECT count(*) AS n FROM crm_sync.job WHERE workspace_id = %s", [workspace]).fetchone()
    assert row is not None
    return int(row["n"])


def test_a_stream_that_was_due_while_nobody_planned_is_caught_up_once_by_however_many_schedulers(
    due: str, scheduler_db: Database, worker_db: Database
) -> None:
    ready = threading.Barrier(6)

    def plan() -> None:
        planner = Planner(scheduler_db)
        ready.wait(10)
        for _ in range(5):
            planner.tick()

    schedulers = [threading.Thread(target=plan) for _ in range(6)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join(30)
    assert planned(worker_db, due) == 1
    with worker_db.transaction(due) as tx:
        row = tx.execute(
            "SELECT next_run_at - clock_timestamp() AS wait FROM crm_sync.stream WHERE workspace_id = %s", [due]
        ).fetchone()
    assert row is not None
    assert timedelta(minutes=11) < row["wait"] < timedelta(minutes=19), "the next is a whole interval away"


def test_planning_reads_no_local_time(scheduler_db: Database, owner_db: Database, due: str) -> None:
    """Intervals are lengths: a day is 24 hours, on the two days of the year too that are not."""
    with owner_db.transaction() as tx:
        tx.execute("ALTER ROLE crm_sync_scheduler SET timezone = 'America/New_York'")
    try:
        with scheduler_db.transaction() as tx:
            row = tx.execute(
                "SELECT current_setting('timezone') AS zone, timestamptz '2026-03-07 07:30Z' + %s::interval AS spring, "
                "timestamptz '2026-10-31 05:30Z' + %s::interval AS autumn",
                [timedelta(days=1), timedelta(days=1)],
            ).fetchone()
    finally:
        with owner_db.transaction() as tx:
            tx.execute("ALTER ROLE crm_sync_scheduler RESET timezone")
    assert row == {
        "zone": "UTC",
        "spring": datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
        "autumn": datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
    }
    del due


@pytest.mark.parametrize("every", [timedelta(minutes=5), timedelta(days=1)])
def test_the_next_run_lies_a_quarter_around_the_interval(every: timedelta) -> None:
    waits = [next_wait(every, fraction / 10) for fraction in range(11)]
    assert waits == sorted(waits)
    assert (waits[0], waits[5], waits[10]) == (every * 0.75, every, every * 1.25)

"""P9 for our own rows: secrets of finished jobs, decided holds and consents that nobody gave have an end."""

from collections.abc import Callable

import pytest

from scheduler.planner import Planner
from tests.sync.one_connection import OneConnection
from tests.sync.retained import job_of, slices
from tests.sync.scripted import World, world_of
from worker.jobs import sweep_own_rows
from worker.jobs.outcomes import Done
from worker.store.database import Database

Make = Callable[[World], OneConnection]
JOB = (
    "INSERT INTO crm_sync.job (workspace_id, kind, lane, state, sealed, sealed_outcome, finished_at) "
    "VALUES (%s, 'ping', 'sync', %s, 'secret', 'secret', now() - %s::interval)"
)


def swept(one: OneConnection, **given: float) -> Done:
    outcome = list(slices(sweep_own_rows.run, job_of(one, **given)))[-1]
    assert isinstance(outcome, Done)
    return outcome


@pytest.mark.parametrize(("state", "age", "stays"), [
    ("done", "23 hours", True), ("done", "25 hours", False), ("cancelled", "25 hours", False),
    ("failed", "29 days", True), ("dead", "29 days", True), ("dead", "31 days", False),
])  # fmt: skip
def test_p9_what_a_finished_job_carried_under_seal_has_an_end(
    bench: Make, owner_db: Database, state: str, age: str, stays: bool
) -> None:
    one = bench(world_of(1))
    with owner_db.transaction() as tx:
        tx.execute(JOB, [one.workspace, state, age])
    swept(one)
    left = one.rows("SELECT count(*) AS n FROM crm_sync.job WHERE sealed IS NOT NULL AND sealed_outcome IS NOT NULL")
    assert left == [{"n": int(stays)}]


def test_p9_more_than_a_batch_goes_in_batches(bench: Make, owner_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_own_rows, "BATCH", 2)
    one = bench(world_of(1))
    with owner_db.transaction() as tx:
        for _ in range(5):
            tx.execute(JOB, [one.workspace, "done", "2 days"])
    assert swept(one, slice_s=0).outcome == {"secrets": 5, "holds": 0, "connections": 0}


def test_p9_a_decided_hold_goes_and_an_open_one_stays(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(1))
    with owner_db.transaction() as tx:
        for state, age in (("approved", "91 days"), ("rejected", "89 days"), ("open", "91 days")):
            tx.execute(
                "INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total, state, "
                "decided_at) VALUES (%s, %s, 'contacts', %s, 1, %s, now() - %s::interval)",
                [one.workspace, one.connection_id, state.encode(), state, age],
            )
    assert swept(one).outcome == {"secrets": 0, "holds": 1, "connections": 0}


def test_p9_each_workspace_is_tidied_once_a_day(bench: Make, owner_db: Database, scheduler_db: Database) -> None:
    one = bench(world_of(1))
    planner = Planner(scheduler_db)
    planner.tick()
    count = "SELECT count(*) AS n FROM crm_sync.job WHERE kind = 'sweep_own_rows'"
    assert one.rows(count) == [{"n": 0}]
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.workspace SET upkeep_due_at = now() WHERE workspace_id = %s", [one.workspace])
    planner.tick()
    planner.tick()
    assert one.rows(count) == [{"n": 1}]

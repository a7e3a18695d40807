"""P9 for our own rows: finished jobs, their secrets, feed entries, decided holds, consents that nobody gave."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from scheduler.planner import Planner
from tests.conftest import register_workspace
from tests.sync.one_connection import OneConnection
from tests.sync.retained import job_of, slices
from tests.sync.scripted import World, world_of
from worker.jobs import sweep_own_rows
from worker.jobs.outcomes import Done
from worker.store import connections
from worker.store.database import Database

Make = Callable[[World], OneConnection]
JOB = (
    "INSERT INTO crm_sync.job (workspace_id, kind, lane, state, sealed, sealed_outcome, finished_at) "
    "VALUES (%s, 'ping', 'sync', %s, 'secret', 'secret', now() - %s::interval)"
)


NOTHING = {"connections": 0, "secrets": 0, "jobs": 0, "feed": 0, "holds": 0}


def swept(one: OneConnection, **given: Any) -> Done:
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
    one = bench(world_of(7))
    with owner_db.transaction() as tx:
        for _ in range(5):
            tx.execute(JOB, [one.workspace, "done", "2 days"])
    one.sync()
    entries = len(one.events())
    assert swept(one, slice_s=0, feed_days=0).outcome == {**NOTHING, "secrets": 5, "feed": entries}
    assert one.events() == []


def test_p9_a_decided_hold_goes_and_an_open_one_stays(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(1))
    with owner_db.transaction() as tx:
        for state, age in (("approved", "91 days"), ("rejected", "89 days"), ("open", "91 days")):
            tx.execute(
                "INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total, state, "
                "decided_at) VALUES (%s, %s, 'contacts', %s, 1, %s, now() - %s::interval)",
                [one.workspace, one.connection_id, state.encode(), state, age],
            )
    assert swept(one).outcome == {**NOTHING, "holds": 1}


ENDED = (
    "INSERT INTO crm_sync.job (workspace_id, kind, lane, state, connection_id, requests, last_request_at, created_at, "
    "finished_at) VALUES (%s, %s, 'sync', %s, %s, 7, now() - %s::interval, now() - interval '1 year', "
    "CASE WHEN %s THEN now() - %s::interval END) RETURNING job_id"
)


def ended(one: OneConnection, kind: str, state: str, age: str) -> int:
    """A job of the connection that came to this state so long ago; one that lives has not ended."""
    over = state in {"done", "failed", "dead", "cancelled"}
    return int(one.rows(ENDED, one.workspace, kind, state, one.connection_id, age, over, age)[0]["job_id"])


@pytest.mark.parametrize(("kind", "state", "age", "stays"), [
    ("sync_stream", "done", "29 days", True), ("sync_stream", "done", "31 days", False),
    ("sync_stream", "cancelled", "31 days", False), ("disconnect", "cancelled", "31 days", False),
    ("sync_stream", "failed", "89 days", True), ("sync_stream", "failed", "91 days", False),
    ("sync_stream", "dead", "89 days", True), ("sync_stream", "dead", "91 days", False),
    ("disconnect", "dead", "900 days", True), ("purge_connection", "dead", "900 days", True),
    ("sync_stream", "queued", "900 days", True), ("sync_stream", "parked", "900 days", True),
    ("sync_stream", "running", "900 days", True),
])  # fmt: skip
def test_p9_a_finished_job_has_an_end_and_no_other_has(
    bench: Make, kind: str, state: str, age: str, stays: bool
) -> None:
    one = bench(world_of(1))
    job_id = ended(one, kind, state, age)
    assert swept(one).outcome == {**NOTHING, "jobs": int(not stays)}
    assert (one.rows("SELECT 1 FROM crm_sync.job WHERE job_id = %s", job_id) != []) is stays


def test_p2_a_receipt_tells_of_requests_by_jobs_that_were_swept(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_own_rows, "BATCH", 2)
    one, other = bench(world_of(1)), bench(world_of(1))

    def told(connection: OneConnection) -> tuple[int, datetime | None]:
        with one.database.transaction(one.workspace) as tx:
            return connections.last_request(tx, one.workspace, connection.connection_id)

    for age in ("31 days", "45 days", "400 days", "3 days", "91 days"):
        ended(one, "sync_stream", "done", age)
    ended(other, "refresh_grant", "done", "99 days")
    ended(one, "disconnect", "done", "31 days")  # Its own requests are no part of what it tells.
    before = told(one), told(other)
    assert (before[0][0], before[1][0]) == (35, 7)
    assert swept(one, slice_s=0).outcome == {**NOTHING, "jobs": 6}
    assert (told(one), told(other)) == before
    ended(one, "sync_stream", "done", "50 days")
    swept(one)
    assert told(one) == (42, before[0][1])


def test_p7_the_sweep_of_one_tenant_leaves_the_others_rows(bench: Make, worker_db: Database, crm_db: Database) -> None:
    one = bench(world_of(3))
    other = OneConnection(worker_db, one.keys, register_workspace(crm_db), world_of(3))
    for each in (one, other):
        each.sync()
        ended(each, "sync_stream", "done", "99 days")
    swept(one, feed_days=0)
    assert one.events() == []
    assert len(other.events()) >= 3
    jobs = "SELECT count(*) AS n FROM crm_sync.job WHERE state = 'done'"
    assert (one.rows(jobs), other.rows(jobs)) == ([{"n": 0}], [{"n": 1}])


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

"""Asking for work that is asked for already: nobody's request is lost, no wait is cut short, no decision is doubled."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.sync.scripted import connection_exists
from worker.client import Client
from worker.errors import BadRequest, BudgetSpent, RunAgainLater, Throttled, Transient
from worker.jobs import ledger
from worker.jobs.ledger import Claimed, Deadlines
from worker.jobs.outcomes import Done, Outcome, Parked, Retry, Yield, decide
from worker.settings import Role
from worker.store.database import Database

NOTES = {"started_at": "2026-11-01T00:00:00+00:00", "parts_done": ["aa"]}


@pytest.fixture
def crm(database_urls: dict[Role, str], workspace: str) -> Iterator[Client]:
    with Client(database_urls[Role.CRM], workspace=workspace, actor="test", reason="a test") as client:
        yield client


@pytest.fixture
def connection_id(worker_db: Database, workspace: str) -> UUID:
    return connection_exists(worker_db, workspace, "contacts")


def begin(database: Database, crm: Client, job_id: int) -> Claimed:
    """A worker takes the job."""
    with database.transaction(crm.workspace) as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'admitted' WHERE job_id = %s", [job_id])
    claimed = ledger.claim(database, crm.workspace, job_id, uuid4(), Deadlines.of({}))
    assert claimed is not None
    return claimed


def end(database: Database, claimed: Claimed, outcome: Outcome) -> str:
    return ledger.finish(database, claimed, outcome, datetime.now(UTC))


def run_at(database: Database, crm: Client, job_id: int) -> timedelta:
    """How long the job waits yet."""
    with database.transaction(crm.workspace) as tx:
        row = tx.execute("SELECT run_at - now() AS wait FROM crm_sync.job WHERE job_id = %s", [job_id]).fetchone()
    assert row is not None
    wait: timedelta = row["wait"]
    return wait


# A sync that is asked for is one that reads everything after it was asked for.


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("between", [Yield(NOTES), Parked(datetime(2099, 1, 1, tzinfo=UTC), "throttled", NOTES)])
def test_a_sync_that_joins_one_with_parts_behind_it_has_a_run_of_its_own(
    crm: Client, worker_db: Database, connection_id: UUID, between: Outcome, full: bool
) -> None:
    (job_id,) = crm.sync(connection_id, "contacts")
    end(worker_db, begin(worker_db, crm, job_id), between)
    assert crm.sync(connection_id, "contacts", full=full) == [job_id]
    going_on = begin(worker_db, crm, job_id)
    assert going_on.progress == NOTES, "the run that has begun goes on where it was"
    assert not going_on.args.get("full")
    assert end(worker_db, going_on, Done()) == "queued"
    anew = begin(worker_db, crm, job_id)
    assert anew.progress is None
    assert bool(anew.args.get("full")) is full
    assert end(worker_db, anew, Done()) == "done"


def test_a_full_sync_that_joins_one_that_waits_makes_it_full(
    crm: Client, worker_db: Database, connection_id: UUID
) -> None:
    (job_id,) = crm.sync(connection_id, "contacts")
    crm.sync(connection_id, "contacts", full=True)
    crm.sync(connection_id, "contacts")
    claimed = begin(worker_db, crm, job_id)
    assert claimed.args["full"] is True
    assert end(worker_db, claimed, Done()) == "done"


def test_a_repeated_sync_is_full_only_if_that_was_asked_for_since(
    crm: Client, worker_db: Database, connection_id: UUID
) -> None:
    (job_id,) = crm.sync(connection_id, "contacts", full=True)
    first = begin(worker_db, crm, job_id)
    crm.sync(connection_id, "contacts")
    end(worker_db, first, Yield())
    begun = begin(worker_db, crm, job_id)
    assert begun.args["full"] is True, "it has not read anything yet"
    end(worker_db, begun, Done())
    second = begin(worker_db, crm, job_id)
    assert "full" not in second.args
    crm.sync(connection_id, "contacts", full=True)
    crm.sync(connection_id, "contacts")
    end(worker_db, second, Done())
    assert begin(worker_db, crm, job_id).args["full"] is True


def test_what_was_asked_of_a_run_that_died_is_done_when_it_is_taken_up_again(
    crm: Client, worker_db: Database, connection_id: UUID
) -> None:
    (job_id,) = crm.sync(connection_id, "contacts")
    end(worker_db, begin(worker_db, crm, job_id), Yield(NOTES))
    crm.sync(connection_id, "contacts", full=True)
    dying = begin(worker_db, crm, job_id)
    end(worker_db, dying, decide(RuntimeError(), attempt=9, max_attempts=10, now=datetime.now(UTC)))
    assert crm.job(job_id).state == "dead"
    from worker.store import jobs_view

    with worker_db.transaction(crm.workspace) as tx:
        jobs_view.retry(tx, crm.workspace, job_id)
    assert end(worker_db, begin(worker_db, crm, job_id), Done()) == "queued"
    assert begin(worker_db, crm, job_id).args["full"] is True


@pytest.mark.parametrize(("runs", "asked", "again"), [
    (False, False, False), (True, False, False), (True, True, False), (False, True, True),
])  # fmt: skip
def test_a_disconnect_that_joins_one_that_runs_is_done_again_only_if_it_asks_for_more(
    crm: Client, worker_db: Database, connection_id: UUID, runs: bool, asked: bool, again: bool
) -> None:
    job_id = crm.disconnect(connection_id, delete_data=runs)
    running = begin(worker_db, crm, job_id)
    assert crm.disconnect(connection_id, delete_data=asked) == job_id
    assert crm.disconnect(connection_id) == job_id, "nor does a third one take back what the second asked for"
    assert end(worker_db, running, Done()) == ("queued" if again else "done")
    if again:
        assert begin(worker_db, crm, job_id).args["delete_data"] is True


# A wait that somebody named.


def waits(error: Exception) -> Outcome:
    return decide(error, attempt=0, max_attempts=10, now=datetime.now(UTC))


@pytest.mark.parametrize(
    "kind",
    [Throttled, BudgetSpent, Transient],
    ids=["Retry-After of a 429", "our own books", "Retry-After of a 503"],
)
def test_p10_asking_again_does_not_cut_a_wait_short_that_was_named(
    crm: Client, worker_db: Database, connection_id: UUID, kind: type[RunAgainLater]
) -> None:
    (job_id,) = crm.sync(connection_id, "contacts")
    named = kind("slow down", until=datetime.now(UTC) + timedelta(hours=1))
    end(worker_db, begin(worker_db, crm, job_id), waits(named))
    crm.sync(connection_id, "contacts")
    assert run_at(worker_db, crm, job_id) > timedelta(minutes=50)


def test_asking_again_ends_a_wait_that_nobody_named(crm: Client, worker_db: Database, connection_id: UUID) -> None:
    (job_id,) = crm.sync(connection_id, "contacts")
    backing_off = Retry(datetime.now(UTC) + timedelta(minutes=10), "transient")
    end(worker_db, begin(worker_db, crm, job_id), backing_off)
    crm.sync(connection_id, "contacts")
    assert run_at(worker_db, crm, job_id) <= timedelta(0)


# Decisions on holds.


@pytest.fixture
def hold_id(worker_db: Database, workspace: str, connection_id: UUID) -> int:
    with worker_db.transaction(workspace) as tx:
        row = tx.execute(
            "INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total) "
            "VALUES (%s, %s, 'contacts', '\\x00', 100) RETURNING hold_id",
            [workspace, connection_id],
        ).fetchone()
    assert row is not None
    return int(row["hold_id"])


def planned(database: Database, crm: Client, hold_id: int, connection_id: UUID) -> int:
    """The planner's own job for a hold whose time is over."""
    with database.transaction(crm.workspace) as tx:
        row = tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane, connection_id, args, unique_key) VALUES "
            "(%s, 'decide_deletions', 'upkeep', %s, jsonb_build_object('hold_id', %s::bigint, 'decision', 'apply'), "
            "%s) RETURNING job_id",
            [crm.workspace, connection_id, hold_id, f"decide_deletions:{hold_id}"],
        ).fetchone()
    assert row is not None
    return int(row["job_id"])


def test_p12_a_hold_is_decided_on_by_one_job(crm: Client, worker_db: Database, hold_id: int) -> None:
    first = crm.decide_deletions(hold_id, approve=True)
    assert crm.decide_deletions(hold_id, approve=True) == first
    with pytest.raises(BadRequest, match=rf"decided on already \(approve\), by job {first}"):
        crm.decide_deletions(hold_id, approve=False)
    claimed = begin(worker_db, crm, first)
    with pytest.raises(BadRequest, match="decided on already"):
        crm.decide_deletions(hold_id, approve=False)
    assert crm.decide_deletions(hold_id, approve=True) == first
    assert claimed.args["decision"] == "approve"
    assert end(worker_db, claimed, Done({"records": 7})) == "done", "it does not run twice"


def test_p12_a_decision_names_its_connection(crm: Client, hold_id: int, connection_id: UUID) -> None:
    assert crm.job(crm.decide_deletions(hold_id, approve=True)).connection_id == connection_id


def test_p12_a_persons_word_outweighs_the_planners_until_it_has_begun(
    crm: Client, worker_db: Database, hold_id: int, connection_id: UUID
) -> None:
    job_id = planned(worker_db, crm, hold_id, connection_id)
    assert crm.decide_deletions(hold_id, approve=False) == job_id
    claimed = begin(worker_db, crm, job_id)
    assert (claimed.args["decision"], claimed.args["by"], claimed.lane) == ("reject", "test", "interactive")


def test_p12_what_the_planner_has_begun_to_apply_is_not_turned_round(
    crm: Client, worker_db: Database, hold_id: int, connection_id: UUID
) -> None:
    job_id = planned(worker_db, crm, hold_id, connection_id)
    end(worker_db, begin(worker_db, crm, job_id), Yield({"records": 1_000}))
    with pytest.raises(BadRequest, match=r"decided on already \(apply\)"):
        crm.decide_deletions(hold_id, approve=False)


@pytest.mark.parametrize("args", [{}, {"hold_id": 0}, {"hold_id": "1"}, {"hold_id": None}])
def test_a_decision_on_no_hold_is_refused(crm: Client, hold_id: int, args: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="has no hold"):
        crm.enqueue("decide_deletions", {"decision": "approve", **args})


def test_p7_a_decision_reaches_no_other_tenants_hold(crm: Client, hold_id: int) -> None:
    other = crm.at(f"{crm.workspace}-2")
    other.register_workspace()
    with pytest.raises(BadRequest, match="has no hold"):
        other.enqueue("decide_deletions", {"hold_id": hold_id, "decision": "approve"})

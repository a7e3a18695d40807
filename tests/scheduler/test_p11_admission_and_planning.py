"""What the scheduler admits and plans, with several replicas at once and what came to nothing before: P11."""

import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from scheduler.dispatcher import SMALLEST_WINDOW, Dispatcher
from scheduler.loop import Loop
from scheduler.planner import GRANT_IDLE, Planner
from tests.conftest import register_workspace
from tests.postgres_proxy import PostgresProxy
from tests.sync.scripted import connection_exists
from worker.errors import DatabaseFault, Unavailable
from worker.jobs.bell import Bell
from worker.jobs.lanes import Lane
from worker.settings import Role, Settings
from worker.store import database
from worker.store.database import Database


@pytest.fixture
def bell(redis_url: str) -> Iterator[Bell]:
    bell = Bell(redis_url)
    yield bell
    bell.close()


@pytest.fixture
def tenant(crm_db: Database) -> str:
    return register_workspace(crm_db)


@pytest.fixture
def connection(worker_db: Database, tenant: str) -> UUID:
    return connection_exists(worker_db, tenant, "contacts")


def jobs_are_due(owner_db: Database, workspace: str, count: int, state: str = "queued") -> None:
    with owner_db.transaction() as tx:
        tx.execute("DELETE FROM crm_sync.job")
        tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane, args, state, run_at) "
            "SELECT %s, 'ping', 'sync', %s, %s, now() FROM generate_series(1, %s)",
            [workspace, Jsonb({}), state, count],
        )


def states(owner_db: Database) -> dict[str, int]:
    with owner_db.transaction() as tx:
        rows = tx.execute("SELECT state, count(*) AS n FROM crm_sync.job GROUP BY state").fetchall()
    return {row["state"]: int(row["n"]) for row in rows}


def test_many_schedulers_admit_no_more_than_one_window(
    owner_db: Database, scheduler_db: Database, tenant: str, bell: Bell
) -> None:
    replicas = [Dispatcher(scheduler_db, bell) for _ in range(4)]
    for _ in range(5):
        jobs_are_due(owner_db, tenant, 200)
        ready = threading.Barrier(len(replicas))

        def tick(replica: Dispatcher, ready: threading.Barrier = ready) -> None:
            ready.wait(10)
            replica.tick({})

        running = [threading.Thread(target=tick, args=(replica,)) for replica in replicas]
        for each in running:
            each.start()
        for each in running:
            each.join(30)
        for replica in replicas:
            replica.tick({})
        assert states(owner_db) == {"admitted": SMALLEST_WINDOW, "queued": 200 - SMALLEST_WINDOW}


def test_p5_a_scheduler_that_is_frozen_while_it_admits_holds_its_lane_no_longer_than_a_transaction_may_last(
    owner_db: Database, scheduler_db: Database, database_urls: dict[Role, str], tenant: str, bell: Bell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    jobs_are_due(owner_db, tenant, 5)
    frozen, thawed = threading.Event(), threading.Event()

    def at_statement(_number: int, text: str) -> None:
        if text == "COMMIT":
            frozen.set()
            thawed.wait(60)

    def admit_and_freeze() -> None:
        with pytest.raises(Unavailable):
            Dispatcher(slow, bell).tick({})

    with (
        PostgresProxy(database_urls[Role.SCHEDULER], at_statement) as proxy,
        Database(proxy.url, max_size=1, name="frozen") as slow,
    ):
        longest_s = database._LONGEST_TRANSACTION_S
        monkeypatch.setattr(database, "_LONGEST_TRANSACTION_S", 2)
        thread = threading.Thread(target=admit_and_freeze)
        thread.start()
        assert frozen.wait(20)
        monkeypatch.setattr(database, "_LONGEST_TRANSACTION_S", longest_s)
        other = Dispatcher(scheduler_db, bell)
        while not other.tick({}):
            time.sleep(0.05)
        thawed.set()
        thread.join(20)
    assert states(owner_db) == {"admitted": 5}
    assert other.admitted == 5


def test_what_another_replica_admitted_after_the_look_takes_room(
    owner_db: Database, scheduler_db: Database, tenant: str, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs_are_due(owner_db, tenant, 200)
    late, quick = Dispatcher(scheduler_db, bell), Dispatcher(scheduler_db, bell)
    looked = late.look()
    quick.tick({})
    monkeypatch.setattr(late, "look", lambda: looked)  # It looked before the other admitted.
    late.tick({})
    assert states(owner_db)["admitted"] == SMALLEST_WINDOW


def test_a_parked_job_whose_time_has_come_is_admitted_in_the_same_tick(
    owner_db: Database, scheduler_db: Database, tenant: str, bell: Bell
) -> None:
    jobs_are_due(owner_db, tenant, 3, state="parked")
    assert Dispatcher(scheduler_db, bell).tick({})
    # They were woken by the statement that looked, and are admitted by the next.
    assert states(owner_db) == {"admitted": 3}


def test_a_tick_with_nothing_due_admits_nothing(scheduler_db: Database, owner_db: Database, bell: Bell) -> None:
    with owner_db.transaction() as tx:
        tx.execute("DELETE FROM crm_sync.job")
    dispatcher = Dispatcher(scheduler_db, bell)
    assert dispatcher.look() == dict.fromkeys(Lane, (False, 0))
    assert not dispatcher.tick({})


# Planning.


def planned(owner_db: Database, workspace: str, kind: str) -> int:
    with owner_db.transaction() as tx:
        row = tx.execute(
            "SELECT count(*) AS n FROM crm_sync.job WHERE workspace_id = %s AND kind = %s", [workspace, kind]
        ).fetchone()
    assert row is not None
    return int(row["n"])


def jobs_come_to_nothing(owner_db: Database) -> None:
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'dead', finished_at = now() WHERE state = 'queued'")


def test_an_overdue_hold_is_planned_once_and_again_in_an_hour_if_its_job_came_to_nothing(
    owner_db: Database, scheduler_db: Database, tenant: str, connection: UUID
) -> None:
    with owner_db.transaction() as tx:
        tx.execute(
            "INSERT INTO crm_sync.deletion_hold "
            "(workspace_id, connection_id, stream, part_key, part_total, applies_at) "
            "VALUES (%s, %s, 'contacts', %s, 100, now() - interval '1 second')",
            [tenant, connection, uuid4().bytes],
        )
    planner = Planner(scheduler_db)
    for _ in range(3):
        planner.tick()
        jobs_come_to_nothing(owner_db)
    assert planned(owner_db, tenant, "decide_deletions") == 1
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.deletion_hold SET planned_at = planned_at - interval '2 hours'")
    planner.tick()
    assert planned(owner_db, tenant, "decide_deletions") == 2


def test_a_grant_that_would_die_unused_is_refreshed_once_a_day_and_only_where_its_connection_works(
    owner_db: Database, worker_db: Database, scheduler_db: Database, tenant: str, connection: UUID
) -> None:
    away = connection_exists(worker_db, tenant, "contacts")
    fresh = connection_exists(worker_db, tenant, "contacts")
    with owner_db.transaction() as tx:
        for each, idle in ((connection, GRANT_IDLE), (away, GRANT_IDLE), (fresh, GRANT_IDLE / 2)):
            tx.execute(
                "INSERT INTO crm_sync.oauth_grant (workspace_id, connection_id, refreshed_at) "
                "VALUES (%s, %s, now() - %s::interval - interval '1 minute') "
                "ON CONFLICT (workspace_id, connection_id) DO UPDATE SET refreshed_at = excluded.refreshed_at",
                [tenant, each, idle],
            )
        tx.execute("UPDATE crm_sync.connection SET state = 'reconnect_needed' WHERE connection_id = %s", [away])
    for _ in range(2):
        Planner(scheduler_db).tick()
        jobs_come_to_nothing(owner_db)
    assert planned(owner_db, tenant, "refresh_grant") == 1


def test_a_statement_that_postgres_refuses_holds_up_its_own_part_only_and_ends_no_scheduler(
    owner_db: Database, scheduler_db: Database, tenant: str, bell: Bell, settings: Settings
) -> None:
    jobs_are_due(owner_db, tenant, 3)
    with owner_db.transaction() as tx:
        tx.execute("ALTER TABLE crm_sync.job ADD CONSTRAINT poison CHECK (kind <> 'sweep_own_rows')")
        tx.execute("UPDATE crm_sync.workspace SET upkeep_due_at = now() WHERE workspace_id = %s", [tenant])
    stop, ended = threading.Event(), []
    loop = Loop(scheduler_db, bell, settings, stop)
    running = threading.Thread(target=lambda: ended.append(loop.run()))
    running.start()
    try:
        _until(lambda: states(owner_db) == {"admitted": 3})
        jobs_are_due(owner_db, tenant, 2)
        _until(lambda: states(owner_db) == {"admitted": 2})
        assert running.is_alive()
        assert planned(owner_db, tenant, "sweep_own_rows") == 0
        with owner_db.transaction() as tx:
            tx.execute("ALTER TABLE crm_sync.job DROP CONSTRAINT poison")
        _until(lambda: planned(owner_db, tenant, "sweep_own_rows") == 1)
    finally:
        stop.set()
        running.join()
    assert ended == [None]


@pytest.mark.parametrize("poisoned", ["interactive", "upkeep"])
def test_a_lane_in_which_postgres_refuses_to_admit_keeps_no_other_lane_from_it(
    owner_db: Database, scheduler_db: Database, tenant: str, bell: Bell, poisoned: str
) -> None:
    with owner_db.transaction() as tx:
        tx.execute("DELETE FROM crm_sync.job")
        tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane, args, state, run_at) "
            "SELECT %s, 'ping', lane, '{}', 'queued', now() FROM unnest(%s::text[]) AS lane",
            [tenant, [lane.value for lane in Lane]],
        )
        tx.execute(
            f"ALTER TABLE crm_sync.job ADD CONSTRAINT poison CHECK (lane <> '{poisoned}' OR state <> 'admitted')"
        )
    try:
        with pytest.raises(DatabaseFault):
            Dispatcher(scheduler_db, bell).tick({})
    finally:
        with owner_db.transaction() as tx:
            tx.execute("ALTER TABLE crm_sync.job DROP CONSTRAINT poison")
    assert states(owner_db) == {"admitted": len(Lane) - 1, "queued": 1}
    assert sum(bell.unanswered(dict.fromkeys(Lane, 1)).values()) == len(Lane) - 1, "and they are rung"


@pytest.mark.parametrize("limit", ["lock_timeout", "statement_timeout"])
def test_a_part_of_the_work_that_waits_for_a_lock_in_vain_keeps_nothing_from_being_admitted(
    owner_db: Database,
    database_urls: dict[Role, str],
    tenant: str,
    bell: Bell,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    # Whoever waits for a lock gives up after 15 seconds otherwise.
    monkeypatch.setattr(database, "_SESSION_OPTIONS", f"-c {limit}=200ms")
    jobs_are_due(owner_db, tenant, 3)
    stop = threading.Event()
    with (
        Database(database_urls[Role.SCHEDULER], max_size=2, name="impatient") as impatient,
        owner_db.transaction() as tx,
    ):
        tx.execute("LOCK TABLE crm_sync.stream IN ACCESS EXCLUSIVE MODE")  # As an upgrade may.
        running = threading.Thread(target=Loop(impatient, bell, settings, stop).run)
        running.start()
        try:
            _until(lambda: states(owner_db) == {"admitted": 3})
            jobs_are_due(owner_db, tenant, 2)
            _until(lambda: states(owner_db) == {"admitted": 2})
        finally:
            stop.set()
            running.join()


def _until(holds: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < give_up_s, "it never came to hold"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ("SELECT FROM crm_sync.oauth_grant WHERE refreshed_at < now() - interval '150 days'", "oauth_grant_idle"),
        (
            "SELECT FROM crm_sync.deletion_hold WHERE state = 'open' AND applies_at <= now() AND planned_at IS NULL",
            "deletion_hold_due",
        ),
    ],
)
def test_planning_costs_what_is_due_and_not_what_exists(owner_db: Database, asked: str, index: str) -> None:
    with owner_db.transaction() as tx:
        tx.execute("SET LOCAL enable_seqscan TO off")
        plan = tx.execute(f"EXPLAIN {asked}").fetchall()
    assert any(index in next(iter(row.values())) for row in plan)

"""Postgres deadlocks, is full, has no connection to spare, or answers into the void: fault matrix 22 to 25."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors as pg

from tests.postgres_proxy import PostgresProxy, ReplyLost
from tests.sync.conftest import bench, keys  # noqa: F401 - fixtures
from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World, world_of
from worker.embedded import Servers
from worker.embedded.faults import outage
from worker.errors import CrmSyncError, Unavailable
from worker.jobs import ledger
from worker.jobs.ledger import Deadlines
from worker.jobs.outcomes import Dead, Done, Outcome, Parked, Retry, decide
from worker.settings import Role
from worker.store import database as store_database
from worker.store.database import Connection, Database, translated_errors
from worker.sync.engine import run_stream
from worker.sync.run import RunNotes

Make = Callable[[World], OneConnection]


# The server's answer to a commit is lost: nobody knows whether it holds.


def loses_the_reply_to(commit: int) -> Callable[[int, str], None]:
    """The reply to this commit (from 0) is lost; what a proxy asks at each statement."""
    seen = iter(range(1_000_000))

    def at_statement(_number: int, text: str) -> None:
        if text.strip().upper() == "COMMIT" and next(seen) == commit:
            raise ReplyLost

    return at_statement


@pytest.mark.parametrize("commit", range(14))
def test_p1_a_page_whose_commit_went_unanswered_is_neither_lost_nor_doubled(
    bench: Make,  # noqa: F811 - the fixture
    database_urls: dict[Role, str],
    commit: int,
) -> None:
    quiet, one = bench(world_of(8)), bench(world_of(8))
    quiet.sync()
    with (
        PostgresProxy(database_urls[Role.WORKER], loses_the_reply_to(commit)) as proxy,
        Database(proxy.url, name="unanswered") as database,
    ):
        try:
            one.sync(database=database)
            broke_off = False
        except Unavailable:
            broke_off = True
    assert broke_off or commit > 5, "a run has six transactions at least"
    assert one.replay() == set(one.names())
    with one.database.transaction(one.workspace) as tx:
        tx.execute("UPDATE crm_sync.job SET lease_epoch = lease_epoch + 1 WHERE job_id = %s", [one.job_id])
    one.lease_epoch += 1
    one.sync(resume=True)
    assert one.names() == one.truth()
    assert sorted(event for event, _ in one.events()) == sorted(event for event, _ in quiet.events())


# Two at once, and none free.


def test_a_deadlock_is_a_wait_that_spends_no_attempt(bench: Make, worker_db: Database) -> None:  # noqa: F811
    one, other = bench(world_of(1)), bench(world_of(1))
    rows = [one.job_id, other.job_id]
    both_hold = threading.Barrier(2)
    raised: list[Exception] = []

    def lock(first: OneConnection, second: OneConnection) -> None:
        try:
            with worker_db.transaction(one.workspace) as tx:
                tx.execute("UPDATE crm_sync.job SET attempt = attempt WHERE job_id = %s", [first.job_id])
                both_hold.wait(10)
                tx.execute("UPDATE crm_sync.job SET attempt = attempt WHERE job_id = %s", [second.job_id])
        except Unavailable as error:
            raised.append(error)

    assert one.workspace == other.workspace
    threads = [threading.Thread(target=lock, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(raised) == 1, "one of them is let through"
    assert isinstance(decide(raised[0], attempt=3, max_attempts=5, now=datetime.now(UTC)), Parked)
    assert str(rows[0]) not in str(raised[0])


def test_p1_two_workers_on_one_page_in_opposite_order_do_not_deadlock(bench: Make) -> None:  # noqa: F811
    """Keys are sorted before they are written, whatever the order in which the provider shows them."""
    one = bench(world_of(60, page_size=60))
    stream = one.world.stream()

    def backwards(session: object, part: object, cursor: bytes | None) -> Iterator[object]:
        for page in stream.pages(session, part, cursor):  # type: ignore[arg-type]
            yield replace(page, records=page.records[::-1])

    again = [one.run(), one.run(stream=one.world.stream(pages=backwards))]
    failed: list[str] = []

    def work(run: object) -> None:
        try:
            run_stream(run, RunNotes.resume(None, datetime.now(UTC)))  # type: ignore[arg-type]
        except Unavailable as error:
            failed.append(str(error))
        except Exception as error:  # noqa: BLE001 - whoever came second finds the page turned already.
            failed.append(type(error).__name__)

    threads = [threading.Thread(target=work, args=[run]) for run in again]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [each for each in failed if "Deadlock" in each] == []
    one.sync()
    assert one.names() == one.truth()


def test_a_pool_without_a_free_connection_gives_up_in_time(database_urls: dict[Role, str]) -> None:
    with Database(database_urls[Role.WORKER], max_size=1, timeout_s=0.5) as database, database.transaction("w"):
        started_s = time.monotonic()
        waiting = [threading.Thread(target=_tries, args=[database]) for _ in range(20)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join(20)
        assert not any(thread.is_alive() for thread in waiting), "threads pile up"
        assert time.monotonic() - started_s < 10


def _tries(database: Database) -> None:
    with pytest.raises(Unavailable), database.transaction("w"):
        raise AssertionError("there was no connection to be had")


def test_p7_a_setting_that_leaked_into_the_session_is_gone_for_the_next_borrower(
    bench: Make,  # noqa: F811
    database_urls: dict[Role, str],
) -> None:
    one = bench(world_of(3))
    one.sync()
    count = "SELECT count(*) AS held FROM crm_sync.document"
    with Database(database_urls[Role.WORKER], max_size=1) as database:
        with database.session() as leaky:
            pid = leaky.info.backend_pid
            leaky.execute("SELECT set_config('crm_sync.workspace', %s, false)", [one.workspace])
            assert leaky.execute(count).fetchone() == {"held": 3}
        with database.session() as next_one:
            assert next_one.info.backend_pid == pid, "it is the same connection"
            assert next_one.execute(count).fetchone() == {"held": 0}
        with database.transaction() as tx:
            tx.execute("SELECT set_config('crm_sync.workspace', %s, false)", [one.workspace])
        with database.transaction() as tx:
            assert tx.execute(count).fetchone() == {"held": 0}


def test_p7_a_statement_asked_alone_sees_its_own_workspace_whatever_leaked_and_leaves_nothing_behind(
    database_urls: dict[Role, str],
) -> None:
    settings = (
        "SELECT current_setting('crm_sync.workspace', true) AS workspace, "
        "current_setting('synchronous_commit') AS commit, pg_backend_pid() AS pid"
    )
    with Database(database_urls[Role.WORKER], max_size=1) as database:
        with database.session() as leaky:
            leaky.execute("SELECT set_config('crm_sync.workspace', 'another', false)")
        own = database.ask(settings, {}, "own", durable=False).fetchone()
        nobodys = database.ask(settings, {}).fetchone()
        with database.session() as after:
            left = after.execute(settings).fetchone()
    pid = own["pid"]
    assert own == {"workspace": "own", "commit": "off", "pid": pid}
    assert nobodys == {"workspace": "", "commit": "on", "pid": pid}
    assert left == nobodys


# What Postgres may say of itself spends no attempt; what it says of a statement of ours does.

PASSES = [
    pg.DiskFull, pg.OutOfMemory, pg.TooManyConnections, pg.CannotConnectNow, pg.AdminShutdown, pg.CrashShutdown,
    pg.DeadlockDetected, pg.SerializationFailure, pg.LockNotAvailable, pg.ConnectionFailure,
    pg.IdleInTransactionSessionTimeout, pg.ReadOnlySqlTransaction, psycopg.OperationalError,
]  # fmt: skip


@pytest.mark.parametrize("error", PASSES, ids=lambda error: error.__name__)
def test_a_trouble_of_the_server_parks_the_job_and_quotes_nothing(error: type[psycopg.Error]) -> None:
    with pytest.raises(Unavailable) as caught, translated_errors():
        raise error("Key (value)=(canary@example.com) already exists")
    assert isinstance(decide(caught.value, attempt=0, max_attempts=1, now=datetime.now(UTC)), Parked)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "first",
    [
        "SELECT set_config('idle_in_transaction_session_timeout', '100ms', true)",
        "SELECT set_config('transaction_read_only', 'on', true)",
    ],
    ids=["frozen in a transaction", "no longer the primary server"],
)
def test_a_real_trouble_of_the_server_is_told_as_such(
    worker_db: Database, workspace: str, first: LiteralString
) -> None:
    with pytest.raises(Unavailable), worker_db.transaction(workspace) as tx:
        write_late(tx, first)


def test_who_waits_for_a_connection_gets_one_once_the_server_is_back(
    servers: Servers, database_urls: dict[Role, str]
) -> None:
    found: list[object] = []

    def ask() -> None:
        try:
            with database.session() as session:
                found.append(session.execute("SELECT 1 AS one").fetchone())
        except Unavailable as error:
            found.append(error)

    with Database(database_urls[Role.WORKER], timeout_s=20, name="patient") as database:
        ask()
        with outage(servers.folder, "postgres"):
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(1.5)
        for thread in threads:
            thread.join(60)
    assert found == [{"one": 1}] * 5


# What is too much for Postgres is too much each time: it spends attempts.


def judged(error: Exception, attempt: int) -> Outcome:
    return decide(error, attempt=attempt, max_attempts=3, now=datetime.now(UTC))


def test_p13_a_statement_that_always_takes_too_long_ends_in_the_dead_list(worker_db: Database, workspace: str) -> None:
    with pytest.raises(Unavailable) as caught, worker_db.transaction(workspace) as tx:
        tx.execute("SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(5)")
    assert isinstance(judged(caught.value, attempt=0), Retry)
    last = judged(caught.value, attempt=2)
    assert isinstance(last, Dead)
    assert last.reason == "statement_timeout"
    assert "ran longer" in last.message


def test_p13_a_statement_that_takes_too_long_ends_before_its_transaction_does(
    worker_db: Database, workspace: str
) -> None:
    limits = "current_setting('statement_timeout')::interval < current_setting('transaction_timeout')::interval"
    with worker_db.transaction(workspace) as tx:
        row = tx.execute(f"SELECT {limits} AS sooner").fetchone()
    assert row == {"sooner": True}


@pytest.mark.parametrize(
    "too_large",
    [
        (
            "UPDATE crm_sync.job SET unique_key = (SELECT string_agg(gen_random_uuid()::text, '') "
            "FROM generate_series(1, 1000)) WHERE job_id = %s"
        ),
        "SELECT repeat('much too long', 1000000000) WHERE %s > 0",
    ],
    ids=["an index row", "a value"],
)
def test_p13_what_is_too_large_for_postgres_ends_in_the_dead_list(
    bench: Make,  # noqa: F811 - the fixture
    too_large: LiteralString,
) -> None:
    one = bench(world_of(1))
    with pytest.raises(CrmSyncError) as caught, one.database.transaction(one.workspace) as tx:
        tx.execute(too_large, [one.job_id])
    assert isinstance(judged(caught.value, attempt=0), Retry)
    last = judged(caught.value, attempt=2)
    assert isinstance(last, Dead)
    assert last.reason == "too_large_for_database"


def write_late(tx: Connection, first: LiteralString) -> None:
    tx.execute(first)
    time.sleep(0.5)
    tx.execute("UPDATE crm_sync.job SET attempt = 0 WHERE job_id = 1")


def test_p3_an_error_with_a_row_in_it_is_told_by_its_place(worker_db: Database, workspace: str) -> None:
    with pytest.raises(Exception, match="connection_state_is_known") as caught, worker_db.transaction(workspace) as tx:
        tx.execute(
            "INSERT INTO crm_sync.connection (workspace_id, provider, state, policy_version, agreed_by) "
            "VALUES (%s, 'canary', 'canary', 'canary', 'canary')",
            [workspace],
        )
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_p5_an_outcome_that_is_written_twice_holds_once(bench: Make, worker_db: Database) -> None:  # noqa: F811
    one = bench(world_of(1))
    process = uuid4()
    with worker_db.transaction(one.workspace) as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'admitted' WHERE job_id = %s", [one.job_id])
    claimed = ledger.claim(worker_db, one.workspace, one.job_id, process, Deadlines.of({}))
    assert claimed is not None
    assert ledger.claim(worker_db, one.workspace, one.job_id, uuid4(), Deadlines.of({})) is None
    assert ledger.finish(worker_db, claimed, Done(), datetime.now(UTC)) == "done"
    with pytest.raises(Exception, match="no longer ours"):
        ledger.finish(worker_db, claimed, Done(), datetime.now(UTC))


def is_locked(database: Database, one: OneConnection) -> bool:
    """Whether somebody holds the job's row just now."""
    with database.transaction(one.workspace) as tx:
        free = tx.execute("SELECT FROM crm_sync.job WHERE job_id = %s FOR UPDATE SKIP LOCKED", [one.job_id])
        return free.rowcount == 0


def test_p5_a_process_that_is_frozen_in_the_middle_of_a_claim_keeps_the_job_from_nobody(
    bench: Make,  # noqa: F811
    worker_db: Database,
    database_urls: dict[Role, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = bench(world_of(1))
    with worker_db.transaction(one.workspace) as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'admitted', lease_epoch = 7 WHERE job_id = %s", [one.job_id])
    frozen, thawed = threading.Event(), threading.Event()

    def at_end() -> None:
        frozen.set()
        thawed.wait(60)

    def claim_and_freeze() -> None:
        with pytest.raises(Unavailable):
            ledger.claim(slow, one.workspace, one.job_id, uuid4(), Deadlines.of({}))

    with (
        PostgresProxy(database_urls[Role.WORKER], lambda _number, _text: None, at_end) as proxy,
        Database(proxy.url, max_size=1, name="frozen") as slow,
    ):
        # Who waits for a lock has no more patience than who holds it: as if the frozen one had begun long before.
        patience_s = store_database._LONGEST_ANSWER_S
        monkeypatch.setattr(store_database, "_LONGEST_ANSWER_S", 3)
        thread = threading.Thread(target=claim_and_freeze)
        thread.start()
        assert frozen.wait(20)
        monkeypatch.setattr(store_database, "_LONGEST_ANSWER_S", patience_s)
        while not is_locked(worker_db, one):
            time.sleep(0.01)
        claimed = ledger.claim(worker_db, one.workspace, one.job_id, uuid4(), Deadlines.of({}))
        thawed.set()
        thread.join(20)
    assert claimed is not None
    assert claimed.lease_epoch == 8, "what the frozen one began never was"


@pytest.fixture
def asked(owner_db: Database) -> Iterator[Connection]:
    """Whose `public.asked` it is."""
    with owner_db.session() as owner:
        owner.execute("CREATE TABLE public.asked (number integer)")
        yield owner
        owner.execute("DROP TABLE public.asked")


@pytest.mark.parametrize(
    ("meanwhile", "afterwards"),
    [
        ("ALTER TABLE public.asked RENAME TO away", "ALTER TABLE public.away RENAME TO asked"),
        ("ALTER TABLE public.asked ALTER number TYPE bigint", "SELECT 1"),
    ],
    ids=["its table was away", "its plan is stale"],
)
@pytest.mark.parametrize("times_before", [2, 3, 4])
def test_a_statement_that_failed_goes_well_when_its_cause_is_gone(
    asked: Connection,
    database_urls: dict[Role, str],
    times_before: int,
    meanwhile: LiteralString,
    afterwards: LiteralString,
) -> None:
    with Database(database_urls[Role.OWNER], max_size=1, name="asking") as database:
        for _ in range(times_before):
            database.ask("SELECT number FROM public.asked", {})
        asked.execute(meanwhile)
        with suppress(CrmSyncError):
            database.ask("SELECT number FROM public.asked", {})
        asked.execute(afterwards)
        for _ in range(5):
            database.ask("SELECT number FROM public.asked", {})

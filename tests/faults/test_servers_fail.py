"""Postgres and Redis fail under a whole deployment: restarts, stalls, lost replies, no memory. Matrix 10 to 25."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import redis

from tests.deployment import Deployment
from worker import embedded
from worker.client import Client
from worker.embedded.folder import Folder
from worker.jobs.lanes import Lane, bell_of
from worker.settings import Role, Settings
from worker.store.database import Database

PEOPLE = 400


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    logs = tmp_path_factory.mktemp("logs")
    with Deployment.start(module_settings, logs, workers=2, simulator={"people": PEOPLE, "accounts": 4}) as running:
        running.next_account = iter(running.accounts)  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def crm(deployment: Deployment) -> Client:
    """A tenant of this test's own."""
    client = deployment.client.at(f"tenant-{time.monotonic_ns()}")
    client.register_workspace()
    return client


def all_done(deployment: Deployment, crm: Client, jobs: list[int], timeout_s: float = 60) -> None:
    deployment.until(lambda: set(jobs) <= {job.job_id for job in crm.jobs(states=["done"], limit=5000)}, timeout_s)
    assert {crm.job(job).attempt for job in jobs} == {0}, "none of it is a failure of the job"


def begun(owner_db: Database, jobs: list[int]) -> list[int]:
    """How often each job was claimed or taken away; 1 if it ran once and undisturbed."""
    with owner_db.transaction() as tx:
        rows = tx.execute("SELECT lease_epoch FROM crm_sync.job WHERE job_id = ANY(%s)", [jobs]).fetchall()
    return [row["lease_epoch"] for row in rows]


# Postgres goes in the middle of a sync.


def slow_sync(deployment: Deployment) -> tuple[str, UUID, int]:
    """A full pass of 400 contacts on its way, whose page takes a while."""
    account = next(deployment.next_account)  # type: ignore[attr-defined]
    connection = deployment.connect(account)
    deployment.sync(connection)
    deployment.simulator.fault({"delay_s": 0.5}, path="connections", account=account, times=3)
    job = deployment.client.sync(connection, "contacts", full=True)[0]
    deployment.until(lambda: deployment.client.job(job).requests > 0)
    return account, connection, job


def ends_in_truth(deployment: Deployment, account: str, connection: UUID, job: int) -> None:
    done = deployment.wait(job, 120)
    assert (done.state, done.attempt) == ("done", 0), (done.reason, done.message)
    truth = deployment.simulator.truth(account, "contacts")
    held = deployment.held(connection, "contacts")
    assert sorted(each.display_name for each in held) == sorted(each["display_name"] for each in truth)
    assert len(held) == PEOPLE


def test_p5_backends_that_are_ended_again_and_again_cost_a_sync_nothing(
    deployment: Deployment, owner_db: Database
) -> None:
    account, connection, job = slow_sync(deployment)
    ended = 0
    for _ in range(8):
        with owner_db.transaction() as tx:
            ended += tx.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'crm-sync-%'"
            ).rowcount
        time.sleep(0.1)
    assert ended > 8
    ends_in_truth(deployment, account, connection, job)


def test_p5_a_postgres_that_is_restarted_at_once_in_the_middle_of_a_sync_loses_nothing(
    deployment: Deployment, servers: embedded.Servers
) -> None:
    account, connection, job = slow_sync(deployment)
    embedded.restart_postgres(servers.folder, "immediate")
    deployment.until(lambda: answers(deployment), 60)
    ends_in_truth(deployment, account, connection, job)


def answers(deployment: Deployment) -> bool:
    try:
        with psycopg.connect(deployment.settings.database_url_of(Role.CRM), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


# Redis stalls, is full, is away.


def test_p4_a_redis_that_stalls_for_nine_seconds_makes_no_job_run_twice(
    deployment: Deployment, crm: Client, servers: embedded.Servers, owner_db: Database
) -> None:
    jobs = [crm.enqueue("ping", {"sleep_s": 1.0}) for _ in range(12)]
    deployment.until(lambda: bool(crm.jobs(states=["running"])))
    state = Folder(servers.folder).living_state()
    assert state is not None
    stalled = state.servers["redis"].process
    assert stalled is not None
    os.kill(stalled.pid, signal.SIGSTOP)
    try:
        jobs += [crm.enqueue("ping") for _ in range(10)]
        time.sleep(9)
    finally:
        os.kill(stalled.pid, signal.SIGCONT)
    all_done(deployment, crm, jobs)
    assert set(begun(owner_db, jobs)) == {1}


def test_p4_a_redis_that_is_full_stops_no_commit_of_the_crm_and_what_waited_runs_once_there_is_room(
    deployment: Deployment, crm: Client
) -> None:
    with open_redis(deployment) as client:
        try:
            client.config_set("maxmemory", 1)
            with pytest.raises(redis.ResponseError, match="maxmemory"):
                client.set("crm-sync:probe", "x")
            jobs = [crm.enqueue("ping") for _ in range(20)]
            connection_asked = crm.connect_start("gmail", ["contacts"], policy_version="1", agreed_by="u")
            time.sleep(3)
            assert {crm.job(job).state for job in jobs} <= {"queued", "admitted"}
        finally:
            client.config_set("maxmemory", 0)
    all_done(deployment, crm, [*jobs, connection_asked])


def test_p4_jobs_that_end_and_jobs_that_fail_while_redis_is_down_are_all_accounted_for(
    deployment: Deployment, crm: Client, servers: embedded.Servers
) -> None:
    good = [crm.enqueue("ping", {"sleep_s": 1.0}) for _ in range(4)]
    bad = [crm.connect_start("nonesuch", ["contacts"], policy_version="1", agreed_by="u") for _ in range(4)]
    with embedded.outage(servers.folder, "redis", kill=True):
        good += [crm.enqueue("ping") for _ in range(4)]
        bad += [crm.connect_start("nonesuch", ["contacts"], policy_version="1", agreed_by="u") for _ in range(4)]
        time.sleep(3)
    all_done(deployment, crm, good)
    ended = [deployment.wait_of(crm, job) for job in bad]
    assert {(job.state, job.reason, job.attempt) for job in ended} == {("failed", "bad_request", 0)}


# What lies in Redis was written by anybody.


def test_p13_hostile_keys_and_rings_cost_no_thread_and_are_not_logged(
    deployment: Deployment, crm: Client, owner_db: Database
) -> None:
    threads_before = [thread_count(process.pid) for process in deployment.processes]
    hostile = [
        b"\xff\xfe CANARY", b"[" * 100_000, b'{"actor_name":"run_job","args":["w",1],"options":{"throws":"CANARY"}}',
        b'{"queue_name":"elsewhere","options":{"max_retries":"many"}}', b"w 0", b"w -1", b"w 1e3", b"w 1 CANARY",
        b"w\x00 1", b"w 1\n", f"{crm.workspace} 999999999999999999".encode(), b"CANARY" * 1_000_000,
        "\uff57 \uff11".encode(), b" ", b"\r\n",
    ]  # fmt: skip
    with open_redis(deployment) as client:
        for lane in Lane:
            client.rpush(bell_of(lane), *hostile)
        deployment.until(lambda: not any(client.llen(bell_of(lane)) for lane in Lane))
        for make in (lambda key: client.set(key, "CANARY"), lambda key: client.hset(key, "CANARY", "1")):
            for lane in Lane:
                client.delete(bell_of(lane))
                make(bell_of(lane))
            all_done(deployment, crm, [crm.enqueue("ping") for _ in range(5)])
    assert [thread_count(process.pid) for process in deployment.processes] == threads_before
    assert all(process.poll() is None for process in deployment.processes)
    everything = b"".join(path.read_bytes() for path in deployment.logs.glob("*.log"))
    assert b"doorbell.poison" in everything
    assert b"CANARY" not in everything
    assert b"throws" not in everything
    with owner_db.transaction() as tx:
        assert tx.execute("SELECT FROM crm_sync.job WHERE state = 'dead'").fetchone() is None


def thread_count(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def test_p7_a_forged_ring_moves_no_job_of_another_tenant_and_none_before_its_time(
    deployment: Deployment, crm: Client
) -> None:
    later = crm.enqueue("ping", run_at=deployment.client.workspace_facts().created_at.replace(year=2099))
    before = crm.job(later)
    with open_redis(deployment) as client:
        for workspace in (crm.workspace, deployment.client.workspace, "nobody"):
            client.rpush(bell_of(Lane.INTERACTIVE), f"{workspace} {later}".encode())
        deployment.until(lambda: client.llen(bell_of(Lane.INTERACTIVE)) == 0)
    all_done(deployment, crm, [crm.enqueue("ping")])
    assert crm.job(later) == before
    assert before.state == "parked"


@pytest.mark.slow
def test_p11_a_flood_of_fifty_thousand_jobs_does_not_hold_up_another_tenant(
    deployment: Deployment, crm: Client, owner_db: Database
) -> None:
    other = deployment.client.at(f"small-{time.monotonic_ns()}")
    other.register_workspace()
    with owner_db.transaction() as tx:
        tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane, state, args) SELECT %s, 'ping', 'interactive', "
            "'queued', '{\"sleep_s\": 0.02}' FROM generate_series(1, 50000)",
            [crm.workspace],
        )
    try:
        deployment.until(lambda: len(crm.jobs(states=["done"])) > 20)
        for _ in range(20):
            started_s = time.monotonic()
            deployment.wait_of(other, other.enqueue("ping"))
            assert time.monotonic() - started_s < 5
        assert len(crm.jobs(states=["queued"], limit=1000)) == 1000, "the flood is still there"
    finally:
        with owner_db.transaction() as tx:
            tx.execute("DELETE FROM crm_sync.job WHERE workspace_id = %s AND state = 'queued'", [crm.workspace])


def open_redis(deployment: Deployment) -> "redis.Redis":
    assert deployment.settings.redis_url is not None
    return redis.Redis.from_url(deployment.settings.redis_url.get_secret_value(), socket_timeout=20)

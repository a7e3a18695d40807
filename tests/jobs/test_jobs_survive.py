"""Jobs survive what may happen to Redis, to workers and to schedulers: P4, P5, P11, P13, with real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.conftest import environment_of
from tests.deployment import Deployment
from worker import embedded
from worker.client import Client
from worker.settings import Role, Settings
from worker.store.database import Database

pytestmark = pytest.mark.slow
SLEEPY = 0.15


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two schedulers, and workers that a test may kill: `workers` starts again what is missing."""
    logs = tmp_path_factory.mktemp("logs")
    with Deployment.start(module_settings, logs, workers=0, schedulers=2) as running:
        yield running


@pytest.fixture
def workers(deployment: Deployment) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Two workers of this test's own."""
    started = [deployment.start_worker(), deployment.start_worker()]
    deployment.wait(deployment.client.enqueue("ping"))
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def crm(deployment: Deployment) -> Client:
    """A tenant of this test's own."""
    client = deployment.client.at(f"tenant-{time.monotonic_ns()}")
    client.register_workspace()
    return client


@pytest.fixture
def long(deployment: Deployment, crm: Client) -> Iterator[int]:
    """A job that runs for half a minute, and after the test no more."""
    job_id = crm.enqueue("ping", {"sleep_s": 30})
    yield job_id
    with (
        Database(deployment.settings.database_url_of(Role.WORKER)) as database,
        database.transaction(crm.workspace) as tx,
    ):
        tx.execute("UPDATE crm_sync.job SET state = 'cancelled' WHERE job_id = %s", [job_id])


def pings(crm: Client, count: int, sleep_s: float = SLEEPY) -> list[int]:
    return [crm.enqueue("ping", {"sleep_s": sleep_s}) for _ in range(count)]


def all_done(deployment: Deployment, crm: Client, jobs: list[int], timeout_s: float = 60) -> None:
    wanted = set(jobs)

    def finished() -> bool:
        return wanted <= {job.job_id for job in crm.jobs(states=["done"], limit=5000)}

    deployment.until(finished, timeout_s)


def redis_of(deployment: Deployment) -> "redis.Redis":
    assert deployment.settings.redis_url is not None
    return redis.Redis.from_url(deployment.settings.redis_url.get_secret_value())


@pytest.mark.usefixtures("workers")
def test_p4_a_redis_that_is_flushed_again_and_again_loses_no_job(deployment: Deployment, crm: Client) -> None:
    stop = threading.Event()

    def flush() -> None:
        with redis_of(deployment) as client:
            while not stop.wait(0.05):
                client.flushdb()

    burning = threading.Thread(target=flush)
    burning.start()
    try:
        jobs = pings(crm, 60, 0.05)
        all_done(deployment, crm, jobs)
    finally:
        stop.set()
        burning.join()


@pytest.mark.usefixtures("workers")
def test_p4_a_redis_that_is_killed_while_jobs_end_loses_no_job(
    deployment: Deployment, crm: Client, servers: embedded.Servers
) -> None:
    jobs = pings(crm, 40)
    embedded.kill_redis(servers.folder)
    jobs += pings(crm, 20)
    all_done(deployment, crm, jobs)


def test_p5_a_postgres_that_is_killed_loses_no_job(
    deployment: Deployment, crm: Client, servers: embedded.Servers, workers: list["subprocess.Popen[bytes]"]
) -> None:
    jobs = pings(crm, 30)
    embedded.kill_postgres(servers.folder)
    deployment.until(lambda: _answers(deployment), 60)
    all_done(deployment, crm, jobs)
    assert all(process.poll() is None for process in workers), "no worker dies of it"


def _answers(deployment: Deployment) -> bool:
    try:
        with psycopg.connect(deployment.settings.database_url_of(Role.CRM), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def test_p5_a_killed_workers_jobs_are_run_by_others_within_the_lease(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"]
) -> None:
    jobs = pings(crm, 40, 0.3)
    time.sleep(0.5)
    workers[0].kill()
    all_done(deployment, crm, jobs, 30)
    assert all(crm.job(job).attempt == 0 for job in jobs), "to be killed is no failure of the job"


def test_p5_a_worker_that_was_frozen_past_its_lease_writes_nothing_more(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"]
) -> None:
    deployment.kill(workers[1])
    jobs = pings(crm, 4, 1.0)
    deployment.until(lambda: bool(crm.jobs(states=["running"])))
    os.kill(workers[0].pid, signal.SIGSTOP)
    time.sleep(deployment.settings.lease_s * 1.2)
    workers.append(deployment.start_worker())
    all_done(deployment, crm, jobs, 30)
    before = {job: crm.job(job) for job in jobs}
    os.kill(workers[0].pid, signal.SIGCONT)
    time.sleep(2)
    assert {job: crm.job(job) for job in jobs} == before


def test_p13_a_job_that_kills_its_process_is_parked_and_its_neighbours_run(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"]
) -> None:
    for process in workers:
        deployment.kill(process)
    poison = crm.enqueue("ping", {"poison": True})
    code = (
        "import os, sys\n"
        "from worker import app, settings\n"
        "from worker.jobs import ping\n"
        "from worker.jobs.handler import Handler\n"
        "def run(context):\n"
        "    if context.args.get('poison'):\n"
        "        os._exit(9)\n"
        "    return ping.HANDLER.run(context)\n"
        "sys.exit(app.run_worker(settings.load(), handlers={'ping': Handler('ping', run)}))\n"
    )
    give_up_s = time.monotonic() + 90
    process = deployment.spawn("-c", code)
    while crm.job(poison).state != "dead":
        assert time.monotonic() < give_up_s, (crm.job(poison), deployment.log())
        if process.poll() is not None:
            process = deployment.spawn("-c", code)
        time.sleep(0.1)
    assert crm.job(poison).reason == "crash_loop"
    assert crm.job(poison).deliveries == 5
    all_done(deployment, crm, pings(crm, 3))
    deployment.kill(process)


@pytest.mark.usefixtures("workers")
def test_p13_poison_in_redis_is_dropped_and_what_lies_behind_it_runs(deployment: Deployment, crm: Client) -> None:
    with redis_of(deployment) as client:
        for bad in (b"\xff\xfe", b"", b"[" * 100_000, b"w 1 2", b"../etc 7", b'{"a":1}', b"w 99999999999999999999"):
            client.rpush("crm-sync:bell:interactive", bad)
    all_done(deployment, crm, pings(crm, 5))
    assert "etc 7" not in deployment.log()


@pytest.mark.usefixtures("workers")
def test_p11_a_tenant_with_a_long_queue_does_not_hold_up_another(deployment: Deployment, crm: Client) -> None:
    with psycopg.connect(deployment.settings.database_url_of(Role.CRM)) as connection:
        many = [crm.enqueue("ping", {"sleep_s": 0.05}, connection=connection) for _ in range(600)]
    other = deployment.client.at(f"small-{time.monotonic_ns()}")
    other.register_workspace()
    time.sleep(0.5)
    started_s = time.monotonic()
    deployment.wait_of(other, other.enqueue("ping"))
    assert time.monotonic() - started_s < 3
    assert any(job.state != "done" for job in crm.jobs(limit=1000)), "the long queue is still there"
    all_done(deployment, crm, many, 90)


@pytest.mark.usefixtures("workers")
def test_two_schedulers_let_each_job_run_once(deployment: Deployment, crm: Client) -> None:
    jobs = pings(crm, 80, 0.0)
    all_done(deployment, crm, jobs)
    with (
        Database(deployment.settings.database_url_of(Role.WORKER)) as database,
        database.transaction(crm.workspace) as tx,
    ):
        rows = tx.execute("SELECT lease_epoch FROM crm_sync.job WHERE workspace_id = %s", [crm.workspace]).fetchall()
    assert {row["lease_epoch"] for row in rows} == {1}


def test_a_ring_for_a_finished_job_does_nothing(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"]
) -> None:
    del workers
    job = pings(crm, 1, 0.0)[0]
    all_done(deployment, crm, [job])
    before = crm.job(job)
    with redis_of(deployment) as client:
        client.rpush("crm-sync:bell:interactive", f"{crm.workspace} {job}".encode())
        client.rpush("crm-sync:bell:interactive", f"{deployment.client.workspace} {job}".encode())
    all_done(deployment, crm, pings(crm, 1, 0.0))
    assert crm.job(job) == before


def test_sigterm_hands_back_what_runs_without_spending_an_attempt(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"], long: int
) -> None:
    deployment.kill(workers[1])
    deployment.until(lambda: crm.job(long).state == "running")
    started_s = time.monotonic()
    workers[0].terminate()
    assert workers[0].wait(15) == 0
    assert time.monotonic() - started_s < deployment.settings.shutdown_s + 4
    job = crm.job(long)
    assert (job.state in {"queued", "admitted"}, job.attempt, job.deliveries) == (True, 0, 0)


def test_a_second_sigterm_ends_a_worker_at_once(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"], long: int
) -> None:
    deployment.kill(workers[1])
    deployment.until(lambda: crm.job(long).state == "running")
    workers[0].terminate()
    time.sleep(0.3)
    started_s = time.monotonic()
    workers[0].terminate()
    workers[0].wait(10)
    assert time.monotonic() - started_s < 1.5


def test_plain_dramatiq_works_and_its_children_die_with_their_master(
    deployment: Deployment, crm: Client, workers: list["subprocess.Popen[bytes]"]
) -> None:
    for process in workers:
        deployment.kill(process)
    master = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", "worker.app", "--processes", "2", "--threads", "2"],
        env=environment_of(deployment.settings),
        stderr=subprocess.DEVNULL,
    )
    try:
        all_done(deployment, crm, pings(crm, 6))
        children = _children(master.pid)
        assert len(children) >= 2
        master.kill()
        master.wait()
        deployment.until(lambda: not any(_runs(pid) for pid in children), 20)
    finally:
        if master.poll() is None:
            master.kill()
            master.wait()


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.usefixtures("workers")
def test_a_kind_of_a_newer_release_goes_back_and_waits(deployment: Deployment, crm: Client) -> None:
    with (
        Database(deployment.settings.database_url_of(Role.WORKER)) as database,
        database.transaction(crm.workspace) as tx,
    ):
        row = tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane) VALUES (%s, 'of_tomorrow', 'interactive') "
            "RETURNING job_id",
            [crm.workspace],
        ).fetchone()
    assert row is not None
    deployment.until(lambda: crm.job(row["job_id"]).state == "parked")
    assert crm.job(row["job_id"]).reason == "unknown_kind"
    assert crm.job(row["job_id"]).attempt == 0


def test_an_idempotency_key_gives_the_job_of_that_time(crm: Client) -> None:
    first = crm.enqueue("ping", idempotency_key="k")
    assert crm.enqueue("ping", idempotency_key="k") == first
    assert crm.enqueue("ping", idempotency_key="l") != first


def test_a_request_in_a_transaction_that_is_rolled_back_never_was(deployment: Deployment, crm: Client) -> None:
    with psycopg.connect(deployment.settings.database_url_of(Role.CRM)) as connection:
        job = crm.enqueue("ping", connection=connection)
        connection.rollback()
    with pytest.raises(Exception, match="no job"):
        crm.job(job)

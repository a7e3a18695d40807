"""Replies of Postgres and Redis that are lost on the way: it was done, and nobody knows. Matrix 14, 15 and 25."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.deployment import Deployment
from tests.faults.redis_proxy import Loses, RedisProxy
from tests.postgres_proxy import PostgresProxy, ReplyLost
from worker.client import Client
from worker.settings import Role, Settings
from worker.store.database import Database


def all_done(deployment: Deployment, crm: Client, jobs: list[int], timeout_s: float = 60) -> None:
    deployment.until(lambda: set(jobs) <= {job.job_id for job in crm.jobs(states=["done"], limit=5000)}, timeout_s)
    assert {crm.job(job).attempt for job in jobs} == {0}, "none of it is a failure of the job"


def begun(owner_db: Database, jobs: list[int]) -> list[int]:
    """How often each job was claimed or taken away; 1 if it ran once and undisturbed."""
    with owner_db.transaction() as tx:
        rows = tx.execute("SELECT lease_epoch FROM crm_sync.job WHERE job_id = ANY(%s)", [jobs]).fetchall()
    return [row["lease_epoch"] for row in rows]


@contextmanager
def over(
    settings: Settings,
    logs: Path,
    *,
    redis_loses: Loses | None = None,
    postgres: Callable[[int, str], None] | None = None,
) -> Iterator[tuple[Deployment, RedisProxy | None]]:
    """A deployment of its own whose ways to its servers lose replies."""
    assert settings.redis_url is not None
    redis_proxy = RedisProxy(settings.redis_url.get_secret_value(), redis_loses or (lambda _, __: False))
    postgres_proxy = PostgresProxy(settings.database_url_of(Role.WORKER), postgres or (lambda _, __: None))
    with redis_proxy, postgres_proxy:
        changes = {"redis_url": SecretStr(redis_proxy.url), "database_url": SecretStr(postgres_proxy.url)}
        with Deployment.start(settings.model_copy(update=changes), logs) as deployment:
            yield deployment, redis_proxy


def every(count: int, holds: Callable[[bytes, bytes], bool]) -> Loses:
    """Every so-manieth of those for which this holds."""
    lock, seen = threading.Lock(), iter(range(1, 1_000_000))

    def loses(request: bytes, reply: bytes) -> bool:
        with lock:
            return holds(request, reply) and next(seen) % count == 0

    return loses


@pytest.mark.parametrize(
    ("command", "what"),
    [(b"RPUSH", "the ring"), (b"BLPOP", "what was popped")],
    ids=["of the ring", "of what was popped"],
)
def test_p4_a_lost_reply_of_redis_loses_no_job_and_runs_none_twice(
    settings: Settings, tmp_path: Path, owner_db: Database, command: bytes, what: str
) -> None:
    loses = every(3, lambda request, reply: command in request.upper() and b"crm-sync:bell" in request + reply
                  and not reply.startswith((b"*-1", b"_")))  # fmt: skip
    with over(settings, tmp_path, redis_loses=loses) as (deployment, proxy):
        jobs = [deployment.client.enqueue("ping")]
        all_done(deployment, deployment.client, jobs)
        for _ in range(12):
            jobs.append(deployment.client.enqueue("ping"))
            time.sleep(0.1)
        all_done(deployment, deployment.client, jobs)
        assert proxy is not None
        assert proxy.lost >= 2, f"{what} was never lost"
        assert set(begun(owner_db, jobs)) == {1}


def test_p5_jobs_whose_claims_and_outcomes_are_committed_but_unanswered_run_and_end(
    settings: Settings, tmp_path: Path
) -> None:
    lost, seen = [], iter(range(1_000_000))

    def at_statement(_number: int, text: str) -> None:
        if "UPDATE crm_sync.job" in text and next(seen) % 7 == 5:
            lost.append(text)
            raise ReplyLost

    with over(settings, tmp_path, postgres=at_statement) as (deployment, _):
        jobs = [deployment.client.enqueue("ping") for _ in range(40)]
        ended = [deployment.wait(job) for job in jobs]
    assert len(lost) > 8
    assert len(set(lost)) > 1, "claims as well as outcomes"
    assert {(job.state, job.attempt) for job in ended} == {("done", 0)}

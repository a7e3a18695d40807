"""No-op jobs a second through ledger, scheduler and doorbell, against bare dramatiq and against procrastinate.

All three have one worker process with the same number of threads (procrastinate: tasks at once), on the same servers;
the jobs are there before the worker starts to count. Then the time from the commit of a request to the start of its
handler when nothing else is going on.
"""

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from bench.place import Place, place
from worker.settings import Role

THREADS = 8


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All of it in one run."""
    with place(people=1, threads=THREADS) as there:
        idle = _idle(there, options.idle)
        ours = _ours(there, options.jobs)
        dramatiq = _dramatiq(there, options.jobs)
        procrastinate = _procrastinate(there, options.jobs)
    return {
        "jobs": options.jobs,
        "per_s": {"crm-sync": ours, "bare dramatiq": dramatiq, "procrastinate": procrastinate},
        "ratio_to_procrastinate": round(ours / procrastinate, 2),
        "ratio_to_bare_dramatiq": round(ours / dramatiq, 2),
        "idle_start_ms": idle,
    }


def _ours(there: Place, count: int) -> int:
    """Jobs of eight tenants, from the first claim to the last outcome, by the ledger's own times."""
    tenants = [f"jobs-{number}" for number in range(8)]
    for tenant in tenants:
        there.client(tenant).close()
    with psycopg.connect(there.opened.settings.database_url_of(Role.CRM), autocommit=True) as connection:
        for tenant in tenants:
            # Asked for a moment ahead, so that all are there when the first may begin.
            connection.execute(
                "SELECT count(crm_sync.enqueue('ping', %s, run_at => now() + interval '8 seconds')) "
                "FROM generate_series(1, %s)",
                [tenant, count // len(tenants)],
            )
    with there.opened.database(Role.OWNER) as database:
        while True:
            with database.transaction() as tx:
                row = tx.execute(
                    "SELECT count(*) FILTER (WHERE state = 'done') AS done, min(started_at) AS first, "
                    "max(finished_at) AS last FROM crm_sync.job WHERE workspace_id LIKE 'jobs-%%'"
                ).fetchone()
            if row is not None and row["done"] == count // len(tenants) * len(tenants):
                took_s: float = (row["last"] - row["first"]).total_seconds()
                return round(int(row["done"]) / took_s)
            time.sleep(0.2)


def _idle(there: Place, count: int) -> dict[str, float]:
    took = []
    with there.client("idle") as crm:
        for _ in range(count):
            job = there.wait(crm, crm.enqueue("ping"))
            if job.started_at is not None:
                took.append((job.started_at - job.created_at).total_seconds() * 1000)
            time.sleep(0.03)
    took.sort()
    return {"p50": round(statistics.median(took), 1), "p99": round(took[int(len(took) * 0.99) - 1], 1)}


DRAMATIQ = """
import sys, time, dramatiq
from dramatiq.brokers.redis import RedisBroker
url, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
broker = RedisBroker(url=url, namespace="bench")
dramatiq.set_broker(broker)
done = []
@dramatiq.actor(queue_name="bench")
def noop(number):
    done.append(time.perf_counter())
for number in range(count):
    noop.send(number)
worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
started = time.perf_counter()
worker.start()
while len(done) < count:
    time.sleep(0.02)
print(count / (done[-1] - started))
worker.stop()
"""


def _dramatiq(there: Place, count: int) -> int:
    settings = there.opened.settings
    if settings.redis_url is None:
        raise RuntimeError("there is no Redis")
    url = urlunsplit(urlsplit(settings.redis_url.get_secret_value())._replace(path="/9"))
    said = _python(DRAMATIQ, url, str(count), str(THREADS))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return round(float(said))


PROCRASTINATE = """
import asyncio, sys, time
from procrastinate import App, PsycopgConnector
url, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
app = App(connector=PsycopgConnector(conninfo=url, max_size=threads + 2))
done = []
@app.task
async def noop(number):
    done.append(time.perf_counter())
async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await noop.batch_defer_async(*({"number": number} for number in range(count)))
        started = time.perf_counter()
        await app.run_worker_async(concurrency=threads, wait=False, install_signal_handlers=False)
        print(count / (done[-1] - started))
asyncio.run(main())
"""


def _procrastinate(there: Place, count: int) -> int:
    owner = there.opened.settings.database_url_of(Role.OWNER)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS bench")
    said = _python(PROCRASTINATE, f"{owner}?options=-csearch_path%3Dbench", str(count), str(THREADS))
    return round(float(said))


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout

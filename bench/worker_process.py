"""A worker process with all connectors installed: how soon it claims a job, and what it weighs before and after each.

Libraries of providers are imported when a connector first needs them, so an idle worker carries none of them.
"""

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Any

from bench.place import Place, memory_mib, place
from worker.cli.supervise import Child
from worker.settings import Role
from worker.store.database import Database

THREADS = 8
CONNECTORS = {
    "gmail": ["contacts", "mail", "calendar"],
    "outlook": ["contacts", "mail", "calendar"],
    "google_ads": ["campaign_stats"],
}
_SETTLED_S = 2.0
_LOOK_S = 0.02


def run(_options: argparse.Namespace) -> dict[str, Any]:
    """A fresh worker for each connector, and one that runs jobs of all of them one after the other."""
    started: list[dict[str, float]] = []
    alone = {}
    with place(people=20, messages=20, events=5, ad_days=30, threads=THREADS) as there:
        _end(there.workers[0])
        for provider in CONNECTORS:
            child, start_s = _start(there)
            started.append(start_s)
            idle_mib = _settled_mib(child)
            _run_jobs(there, provider, "alone")
            alone[provider] = {"idle": idle_mib, "after": _settled_mib(child)}
            _end(child)
        child, start_s = _start(there)
        started.append(start_s)
        in_turn = {"idle": _settled_mib(child)}
        for provider in CONNECTORS:
            _run_jobs(there, provider, "in-turn")
            in_turn[f"after {provider}"] = _settled_mib(child)
    return {
        "threads": THREADS,
        "from_start_to_s": {
            moment: sorted(each[moment] for each in started) for moment in ("first beat", "first claim")
        },
        "mib_with_one_connector": alone,
        "mib_with_all_in_turn": in_turn,
    }


def _start(there: Place) -> tuple[Child, dict[str, float]]:
    """A worker that begins while a job waits for it, and the seconds until it beat and until it claimed that job."""
    with there.client("waiting") as crm, there.opened.database(Role.WORKER) as database:
        job_id = crm.enqueue("ping")
        began, began_s = datetime.now(UTC), time.monotonic()
        ties = ("--with-parent", str(os.getpid()))
        child = there.supervisor.add("worker", "-m", "worker", "--threads", str(THREADS), *ties)
        while not _beats(database, child):
            time.sleep(_LOOK_S)
        beat_s = time.monotonic() - began_s
        job = there.wait(crm, job_id)
    if job.started_at is None:
        raise RuntimeError("the job was done without a start")
    claim_s = (job.started_at - began).total_seconds()
    return child, {"first beat": round(beat_s, 2), "first claim": round(claim_s, 2)}


def _beats(database: Database, child: Child) -> bool:
    if child.pid is None:
        raise RuntimeError("the worker ended as it began")
    with database.session() as session:
        return session.execute("SELECT 1 FROM crm_sync.process WHERE pid = %s", [child.pid]).fetchone() is not None


def _end(child: Child) -> None:
    if child.process is not None:
        child.process.terminate()
        child.process.wait(30)


def _settled_mib(child: Child) -> float:
    """What it weighs a moment after its last job."""
    if child.pid is None:
        raise RuntimeError("the worker ended")
    time.sleep(_SETTLED_S)
    return memory_mib(child.pid)


def _run_jobs(there: Place, provider: str, tenant: str) -> None:
    """Every stream of the connector, once."""
    account = there.microsoft_accounts[0] if provider == "outlook" else there.accounts[0]
    with there.client(f"{tenant}-{provider.replace('_', '-')}") as crm:
        connection = there.connect(crm, account, CONNECTORS[provider], provider)
        for job_id in crm.sync(connection):
            there.wait(crm, job_id)

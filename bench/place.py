"""A deployment to measure: embedded servers that wait for the disk, a simulator, a scheduler, workers, a client."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from simulator.client import Simulator
from worker import embedded
from worker.cli.consent import connect_account
from worker.cli.environment import Environment, open_environment
from worker.cli.supervise import Child, Supervisor
from worker.client import Client
from worker.settings import Mode, Role, Settings
from worker.store.jobs_view import Job

QUOTA_SCALE = 1_000_000.0
"""Permits are asked for, and never wait."""


class Place:
    """What runs, and how to ask it for work."""

    def __init__(self, opened: Environment, simulator: Simulator, supervisor: Supervisor, workers: list[Child]) -> None:
        self.opened, self.simulator, self.supervisor, self.workers = opened, simulator, supervisor, workers
        self.accounts: list[str] = simulator.facts["accounts"]
        self.microsoft_accounts: list[str] = simulator.facts["microsoft"]["accounts"]

    def client(self, workspace: str) -> Client:
        """A tenant's client, registered."""
        crm = self.opened.client(workspace, actor="bench", reason="a measurement")
        crm.register_workspace()
        return crm

    def connect(self, crm: Client, account: str, purposes: list[str], provider: str = "gmail") -> UUID:
        """Connect an account; its streams begin at once."""
        outcome = connect_account(
            self.opened.settings,
            crm,
            lambda _text: None,
            provider=provider,
            purposes=purposes,
            policy_version="1",
            agreed_by="bench",
            account=account,
            without_browser=True,
        )
        return UUID(outcome["connection_id"])

    def first_sync(self, crm: Client, connection: UUID, stream: str) -> Job:
        """Wait for the job that connecting leads to, which the scheduler plans within a second or so."""
        for _ in range(1_000):
            jobs = crm.jobs(kind="sync_stream", connection_id=connection)
            if planned := [job.job_id for job in jobs if job.args["stream"] == stream]:
                return self.wait(crm, min(planned))
            time.sleep(0.01)
        raise RuntimeError(f"nobody planned {stream}")

    def wait(self, crm: Client, job_id: int, timeout_s: float = 900) -> Job:
        """Wait for a job that must succeed."""
        job = crm.wait(job_id, timedelta(seconds=timeout_s))
        if not job.succeeded:
            raise RuntimeError(f"{job.kind} ended as {job.state}: {job.reason} {job.message}")
        return job

    def await_workers(self) -> None:
        """Wait until all workers beat."""
        with self.opened.database(Role.WORKER) as database:
            for _ in range(600):
                with database.session() as session:
                    row = session.execute(
                        "SELECT (SELECT count(*) FROM crm_sync.process) AS beating, "
                        "(SELECT count(*) FROM crm_sync.intake) AS keys"
                    ).fetchone()
                if row and row["beating"] == len(self.workers) and row["keys"]:
                    return
                time.sleep(0.05)
        raise RuntimeError("the workers did not start")


@contextmanager
def place(*, workers: int = 1, threads: int = 4, quota_scale: float = QUOTA_SCALE, **world: float) -> Iterator[Place]:
    """A deployment in a folder of its own; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="crm-sync-bench-"))
    try:
        with Simulator.start(quota_scale=quota_scale, **{"accounts": 4, "seed": 7, **world}) as simulator:
            settings = Settings(
                mode=Mode.DEVELOPMENT,
                data_dir=folder,
                provider_route=simulator.url,
                quota_scale=quota_scale,
                google_client_id=simulator.facts["client_id"],
                google_client_secret=SecretStr(simulator.facts["client_secret"]),
                microsoft_client_id=simulator.facts["microsoft"]["client_id"],
                microsoft_client_secret=SecretStr(simulator.facts["microsoft"]["client_secret"]),
                redirect_uri=simulator.facts["redirect_uris"][0],
                gmail_window_days=0,
                outlook_window_days=0,
                google_ads_history_days=1_100,
            )
            opened = open_environment(settings)
            log = (folder / "processes.log").open("w", encoding="utf-8")
            supervisor = Supervisor(opened.variables(), lambda name, line: print(name, line, file=log, flush=True))
            try:
                supervisor.add("scheduler", "-m", "scheduler", "--with-parent", str(os.getpid()))
                children = [
                    supervisor.add(
                        f"worker {n}", "-m", "worker", "--threads", str(threads), "--with-parent", str(os.getpid())
                    )
                    for n in range(workers)
                ]
                ready = Place(opened, simulator, supervisor, children)
                ready.await_workers()
                yield ready
            finally:
                supervisor.close()
                log.close()
                if opened.servers is not None:
                    opened.servers.close()
    finally:
        embedded.remove(folder / "servers", force=True)
        shutil.rmtree(folder, ignore_errors=True)


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process now, or at its highest (`VmHWM`)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""A whole deployment for a test: simulator, scheduler and workers as processes of their own over the module's database.

    with Deployment.start(settings, people=50) as deployment:
        connection = deployment.connect()
        deployment.sync(connection)

Nothing in it stands in for a part; a test may kill, stop or restart each process by its pid.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic import SecretStr

from simulator.client import Simulator
from tests.conftest import environment_of
from worker.client import Client
from worker.settings import Role, Settings
from worker.store.jobs_view import Job

ACCOUNTS = 4
PURPOSES = ("contacts",)


class Deployment:
    """Everything that runs, and the CRM's side of it."""

    def __init__(
        self, settings: Settings, simulator: Simulator, logs: Path, keys_urls: dict[Role, str] | None = None
    ) -> None:
        self.settings = settings
        self.simulator = simulator
        self.logs = logs
        self.accounts: list[str] = [account["email"] for account in simulator.accounts()]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.client = Client(
            settings.database_url_of(Role.CRM),
            Path(settings.records_keyring.get_secret_value()) if settings.records_keyring else None,
            workspace=f"w-{secrets.token_hex(6)}",
            actor="test",
            reason="a test",
            keys_url=keys_urls[Role.CRM] if keys_urls else None,
        )
        self.client.register_workspace()

    @classmethod
    @contextmanager
    def start(
        cls,
        settings: Settings,
        logs: Path,
        *,
        workers: int = 1,
        schedulers: int = 1,
        simulator: dict[str, Any] | None = None,
        keys_urls: dict[Role, str] | None = None,
        **changes: Any,
    ) -> Iterator[Self]:
        """Start everything, and end everything at the end of the block. `keys_urls` is where data keys live apart."""
        options = {"people": 40, "seed": 7, "accounts": ACCOUNTS, "quota_scale": 10_000, **(simulator or {})}
        with Simulator.start(**options) as running:
            routed = settings.model_copy(
                update={
                    "provider_route": running.url,
                    "quota_scale": options["quota_scale"],
                    "google_client_id": running.facts["client_id"],
                    "google_client_secret": SecretStr(running.facts["client_secret"]),
                    "keys_url": SecretStr(keys_urls[Role.WORKER]) if keys_urls else None,
                    **changes,
                }
            )
            deployment = cls(routed, running, logs, keys_urls)
            try:
                for _ in range(schedulers):
                    deployment.start_scheduler()
                for _ in range(workers):
                    deployment.start_worker()
                yield deployment
            finally:
                deployment.end()

    def start_worker(self, pool: str = "all", *, threads: int = 4) -> subprocess.Popen[bytes]:
        """One more worker process."""
        return self.spawn("-m", "worker", "--pool", pool, "--threads", str(threads))

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """One more scheduler."""
        return self.spawn("-m", "scheduler")

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python process with the deployment's settings."""
        log = (self.logs / f"process-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen([sys.executable, *arguments], env=environment_of(self.settings), stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
        """End one of ours."""
        os.kill(process.pid, how)
        process.wait(20)

    def end(self) -> None:
        """End everything, gently at first."""
        self.client.close()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # The CRM's side.

    def wait(self, job_id: int, timeout_s: float = 60, **more: Any) -> Job:
        """Wait for a job, which must come to its end."""
        job = self.client.wait(job_id, timedelta(seconds=timeout_s), **more)
        assert job.finished, f"job {job_id} ({job.kind}) is still {job.state}: {job.reason} {job.message}\n{self.log()}"
        return job

    def wait_of(self, crm: Client, job_id: int, timeout_s: float = 30) -> Job:
        """The same for another tenant."""
        job = crm.wait(job_id, timedelta(seconds=timeout_s))
        assert job.finished, f"job {job_id} ({job.kind}) is still {job.state}\n{self.log()}"
        return job

    def connect(
        self,
        account: str | None = None,
        purposes: Iterable[str] = PURPOSES,
        scopes: list[str] | None = None,
        connection_id: UUID | None = None,
        *,
        client: Client | None = None,
    ) -> UUID:
        """Connect an account, as a person would who ticks `scopes` (all of them, if None)."""
        crm = client or self.client
        asked = crm.connect_start(
            "gmail", purposes, policy_version="2026-11", agreed_by="user:1", connection_id=connection_id
        )
        started = crm.wait(asked, timedelta(seconds=30), open_outcome=True)
        assert started.succeeded, (started.reason, started.message, self.log())
        assert started.private is not None
        back = self.simulator.consent(started.private["authorize_url"], account or self.accounts[0], scopes)
        done = crm.wait(crm.connect_complete(back), timedelta(seconds=30))
        assert done.succeeded, (done.reason, done.message, self.log())
        assert done.outcome is not None
        return UUID(done.outcome["connection_id"])

    def sync(self, connection_id: UUID, stream: str | None = None, *, full: bool = False) -> list[Job]:
        """Sync now and wait for the end; every job must succeed."""
        jobs = [self.wait(job_id) for job_id in self.client.sync(connection_id, stream, full=full)]
        assert all(job.succeeded for job in jobs), [(job.kind, job.state, job.reason, job.message) for job in jobs]
        return jobs

    def held(self, connection_id: UUID, stream: str) -> list[Any]:
        """Every record of a stream, opened, by reading the feed as a CRM would."""
        believed: dict[str, Any] = {}
        for change in self.client.feed(after=0, limit=1_000_000):
            if change.connection_id != connection_id or change.stream != stream or change.key is None:
                continue
            if change.event in {"record.saved", "record.moved"}:
                believed[change.key] = change.record
                if "previous_key" in change.details:
                    believed.pop(change.details["previous_key"], None)
            elif change.event == "record.deleted":
                believed.pop(change.key, None)
        return [record.body for record in believed.values() if record is not None]

    def until(self, holds: Callable[[], bool], timeout_s: float = 30) -> None:
        """Wait until something holds, or fail with what the processes said."""
        give_up_s = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < give_up_s, f"it never came to hold\n{self.log()}"
            time.sleep(0.05)

    def log(self) -> str:
        """What all processes said."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in sorted(self.logs.glob("*.log")))

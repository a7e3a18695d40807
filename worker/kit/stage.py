"""The processes that a check runs: a scheduler and a worker, with everything that they say kept in files.

    STEADY   a worker as in production
    HASTY    one that ends its time slice after every page, so that every page is resumed from
    MORTAL   one that is killed (kill -9) when every scene has a page half-way, and another one that takes over

It starts and ends processes; what they do is the product's, and what must come of it the cases'.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final, Self

from worker.errors import Unavailable
from worker.settings import Role, Settings
from worker.store.database import Database

_THREADS: Final = 12
_START_S: Final = 60.0
_STOP_S: Final = 10.0


class Temper(Enum):
    """What kind of worker a case is tried with."""

    STEADY = "steady"
    HASTY = "hasty"
    MORTAL = "mortal"


class Stage:
    """A scheduler, and one worker at a time."""

    def __init__(self, settings: Settings, logs: Path, variables: dict[str, str]) -> None:
        self.settings = settings
        self.temper = Temper.STEADY
        self._logs = logs
        self._variables = variables
        self._started: list[subprocess.Popen[bytes]] = []
        self._worker: subprocess.Popen[bytes] | None = None
        self.killed = threading.Event()

    @classmethod
    @contextmanager
    def open(cls, settings: Settings, logs: Path, variables: dict[str, str]) -> Iterator[Self]:
        """Everything runs inside the block, and nothing after it."""
        stage = cls(settings, logs, variables)
        try:
            stage._start("scheduler", {})
            yield stage
        finally:
            stage._end(stage._started)

    def set(self, temper: Temper) -> None:
        """Put a worker of that temper in the place of the one that runs.

        Raises:
            Unavailable: it does not come up.
        """
        if self._worker is not None:
            self._end([self._worker])
        self.temper = temper
        self.killed = threading.Event()
        self._begin_worker()

    def kill(self) -> None:
        """End the worker with kill -9, and start another one, which knows nothing of the first."""
        if self._worker is not None:
            os.kill(self._worker.pid, signal.SIGKILL)
            self._worker.wait()
        self._begin_worker()
        self.killed.set()

    def said(self) -> str:
        """What all processes said so far."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._logs.glob("*.log")))

    def _begin_worker(self) -> None:
        slice_s = {"CRM_SYNC_SLICE_S": "0.001"} if self.temper is Temper.HASTY else {}
        self._worker = self._start("worker", slice_s, "--threads", str(_THREADS))
        give_up_s = time.monotonic() + _START_S
        with Database(self.settings.database_url_of(Role.WORKER), max_size=1, name="crm-sync-check") as database:
            while not self._beats(database, self._worker.pid):
                if time.monotonic() > give_up_s or self._worker.poll() is not None:
                    raise Unavailable(f"The worker did not start. It said:\n{self.said()[-2_000:]}")
                time.sleep(0.05)

    @staticmethod
    def _beats(database: Database, pid: int) -> bool:
        with database.session() as session:
            row = session.execute(
                "SELECT EXISTS (SELECT FROM crm_sync.process WHERE pid = %s) "
                "AND EXISTS (SELECT FROM crm_sync.intake) AS ready",
                [pid],
            ).fetchone()
        return row is not None and bool(row["ready"])

    def _start(self, module: str, more: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
        with (self._logs / f"{module}-{len(self._started)}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", module, *arguments, "--with-parent", str(os.getpid())],
                env={**self._variables, **more}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    @staticmethod
    def _end(processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

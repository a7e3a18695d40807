"""One worker process as the rest of the deployment sees it: its row, its beat, what it holds, how it leaves.

    register ─▶ beat … beat ─▶ stop claiming ─▶ (jobs end, or are handed back) ─▶ leave

The beat renews the leases of all its jobs at once. A process that could not beat for the lease's length claims nothing:
others may already hold its jobs, and the fences of those that still run here decide. It runs no jobs; see `run_job`.
"""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

import structlog

from worker.errors import CrmSyncError
from worker.jobs import ledger
from worker.jobs.lanes import Lane
from worker.jobs.ledger import Claimed
from worker.settings import Settings
from worker.store import queries
from worker.store.database import Database

_log = structlog.get_logger(__name__)
_LEDGER = queries.load("ledger")
_BEAT_S: Final = 5.0
_BEAT_AGAIN_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1


class WorkerProcess:
    """This process. `database` is for the jobs' rows; beats go over a connection of their own."""

    def __init__(
        self, settings: Settings, database: Database, beats: Database, lanes: tuple[Lane, ...], threads: int, pool: str
    ) -> None:
        self.process_id: Final[UUID] = uuid4()
        self._settings = settings
        self._database = database
        self._beats = beats
        self._row = {
            "process_id": self.process_id,
            "pool": pool,
            "lanes": [lane.value for lane in lanes],
            "threads": threads,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._held: dict[tuple[str, int], Claimed] = {}
        self._guard = threading.Lock()
        self._beaten_s = float("-inf")
        self._thread = threading.Thread(target=self._beat_until_ended, name="beat", daemon=True)

    def register(self) -> None:
        """Write the row and begin to beat.

        Raises:
            Unavailable: Postgres cannot be reached.
            Misconfigured: the database is not migrated, or the login is wrong.
        """
        self._beat()
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop; handlers end at their next safe point then."""
        return self._stopping.is_set()

    def may_claim(self) -> bool:
        """Whether others can know that this process lives."""
        return not self.stopping and time.monotonic() - self._beaten_s < self._settings.lease_s

    def hold(self, claimed: Claimed) -> None:
        """Note that a thread of ours runs this."""
        with self._guard:
            self._held[claimed.workspace, claimed.job_id] = claimed

    def let_go(self, claimed: Claimed) -> None:
        """Note that it ended."""
        with self._guard:
            if self._held.get((claimed.workspace, claimed.job_id)) is claimed:
                del self._held[claimed.workspace, claimed.job_id]

    def holds(self, workspace: str, job_id: int) -> bool:
        """Whether a thread of ours runs this job now."""
        with self._guard:
            return (workspace, job_id) in self._held

    def held(self) -> list[Claimed]:
        """What runs here now."""
        with self._guard:
            return list(self._held.values())

    def wait(self, timeout_s: float) -> bool:
        """Wait, but not longer than this process lives; whether it has ended."""
        return self._ended.wait(timeout_s)

    def stop_claiming(self) -> None:
        """The first step of a stop: claim nothing more, and let the scheduler know."""
        self._stopping.set()
        self._wake.set()

    def hand_back(self, give_up_s: float) -> int:
        """Give back what still runs, without spending an attempt; how many jobs.

        What cannot be given back in time is left to the reconciler.
        """
        deadline_s = time.monotonic() + give_up_s
        given = 0
        for claimed in self.held():
            if time.monotonic() > deadline_s:
                break
            try:
                given += ledger.hand_back(
                    self._database, claimed.workspace, claimed.job_id, self.process_id, claimed.lease_epoch
                )
            except CrmSyncError as error:
                _log.warning("job.not_handed_back", job_id=claimed.job_id, reason=error.reason)
        return given

    def leave(self) -> None:
        """The last step: end the beat and remove the row, if Postgres can be reached."""
        self._ended.set()
        self._wake.set()
        try:
            with self._beats.session() as connection:
                connection.execute(_LEDGER["leave"], {"process_id": self.process_id})
        except CrmSyncError as error:
            _log.warning("process.row_left_behind", reason=error.reason)

    def end_within(self, patience_s: float, end: Callable[[int], None] = os._exit) -> None:
        """In a thread: if the process still lives after `patience_s`, hand back what runs and end it with code 0."""

        def guard() -> None:
            if not self._ended.wait(patience_s):
                self.end_now(0, end)

        threading.Thread(target=guard, name="end", daemon=True).start()

    def end_now(self, code: int, end: Callable[[int], None] = os._exit) -> None:
        """Hand back and leave, quickly, without waiting for any thread."""
        self._stopping.set()
        given = self.hand_back(give_up_s=1.5)
        self.leave()
        _log.info("process.ended", handed_back=given)
        sys.stdout.flush()
        sys.stderr.flush()
        end(code)

    def _beat(self) -> None:
        begun_s = time.monotonic()
        with self._beats.session() as connection:
            connection.execute(_LEDGER["beat"], {**self._row, "stopping": self.stopping})
        self._beaten_s = begun_s

    def _beat_until_ended(self) -> None:
        every_s = min(_BEAT_S, self._settings.lease_s / 4)
        pause_s = every_s
        missed = False
        while not self._ended.is_set():
            self._wake.wait(pause_s)
            self._wake.clear()
            if self._ended.is_set():
                return
            try:
                self._beat()
            except CrmSyncError as error:
                if not missed:
                    _log.warning("process.beat_missed", reason=error.reason)
                missed, pause_s = True, min(_BEAT_AGAIN_S, every_s)
            else:
                if missed:
                    _log.info("process.beats_again")
                missed, pause_s = False, every_s


def end_with_parent(parent: int | None) -> None:
    """Ask the kernel to stop this process when its parent dies: a killed master leaves no orphans (Linux only).

    `parent` is the pid that the parent gave itself. This process cannot find it out: by the time that it has
    imported everything, its parent may be dead already and another process stand in that place.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:
        # It died before the kernel knew of our wish.
        os.kill(os.getpid(), signal.SIGTERM)

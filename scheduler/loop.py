"""The scheduler's loop: admit every 20 ms or so, at once again while there is work; reconcile and plan each second.

Without Postgres it waits and tries again; without Redis it goes on, and rings when Redis is back. A statement that
Postgres refuses, or gives up on, is logged and holds up its own part of the work only: what else is due is admitted,
planned and picked up. Admission comes first, so that no lock for which another part waits in vain keeps jobs from being
admitted for good. It ends on SIGTERM within a tick; there is nothing to hand over.
"""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from scheduler.dispatcher import Dispatcher
from scheduler.planner import Planner
from scheduler.reconciler import Reconciler
from worker.errors import DatabaseFault, Misconfigured, StatementTimedOut, Unavailable
from worker.jobs.bell import Bell
from worker.jobs.process import end_with_parent
from worker.settings import Role, Settings
from worker.store.database import Database

_log = structlog.get_logger(__name__)
_IDLE_S: Final = 0.02
_ROUND_S: Final = 1.0
_AWAY_S: Final = 1.0
_REPORT_S: Final = 60.0
T = TypeVar("T")


def run_scheduler(settings: Settings, *, with_parent: int | None = None) -> int:
    """Run until SIGTERM or SIGINT, and return the exit code. `with_parent` is a pid: it ends when that process dies.

    Raises:
        Misconfigured: a URL is missing, or the database is not migrated.
    """
    if with_parent is not None:
        end_with_parent(with_parent)
    if settings.redis_url is None:
        raise Misconfigured("CRM_SYNC_REDIS_URL is not set. Set it, e.g. redis://:PASSWORD@HOST:6379/0.")
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:  # noqa: ARG001
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    bell = Bell(settings.redis_url.get_secret_value())
    url = settings.database_url_of(Role.SCHEDULER)
    with Database(url, max_size=2, name="crm-sync-scheduler") as database:
        Loop(database, bell, settings, stop).run()
    bell.close()
    return 0


class Loop:
    """One replica."""

    def __init__(self, database: Database, bell: Bell, settings: Settings, stop: threading.Event) -> None:
        self._stop = stop
        self._dispatcher = Dispatcher(database, bell)
        self._reconciler = Reconciler(database, bell, self._dispatcher, settings.lease)
        self._planner = Planner(database)
        self._threads: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        self._round_due_s = 0.0
        self._report_due_s = time.monotonic() + _REPORT_S
        self._reported = 0

    def run(self) -> None:
        """Until asked to stop."""
        _log.info("scheduler.started")
        reachable = True
        while not self._stop.is_set():
            try:
                busy = self.step()
            except Unavailable as error:
                if reachable:
                    _log.warning("postgres.away", reason=str(error))
                reachable = False
                self._stop.wait(_AWAY_S)
                continue
            if not reachable:
                _log.info("postgres.back")
            reachable = True
            if not busy:
                self._stop.wait(_AWAY_S if "admit" in self._faults else _IDLE_S)
        _log.info("scheduler.ended", admitted=self._dispatcher.admitted)

    def step(self) -> bool:
        """One tick; whether there was anything to do.

        Raises:
            Unavailable: Postgres cannot be reached.
            Misconfigured: the database is not migrated, or the login is wrong.
        """
        busy = bool(self._try("admit", lambda: self._dispatcher.tick(self._threads)))
        now_s = time.monotonic()
        if now_s >= self._round_due_s:
            self._round_due_s = now_s + _ROUND_S
            threads = self._try("threads", self._reconciler.threads)
            self._threads = self._threads if threads is None else threads
            self._try("reconcile", self._reconciler.tick)
            self._try("plan", self._planner.tick)
        if now_s >= self._report_due_s:
            self._report_due_s = now_s + _REPORT_S
            admitted = self._dispatcher.admitted - self._reported
            self._reported = self._dispatcher.admitted
            if admitted:
                _log.info("scheduler.minute", admitted=admitted)
        return busy

    def _try(self, part: str, act: Callable[[], T]) -> T | None:
        """Do a part of the work; None if Postgres refused it, or gave up on it, which is said once until it works."""
        try:
            done = act()
        except (DatabaseFault, StatementTimedOut) as error:
            if self._faults.get(part) != str(error):
                _log.error("scheduler.fault", part=part, reason=error.reason, error=str(error))
            self._faults[part] = str(error)
            return None
        if self._faults.pop(part, None) is not None:
            _log.info("scheduler.mended", part=part)
        return done

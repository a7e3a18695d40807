"""The one thing that worker threads do: claim a job, run its handler, write its outcome.

    ring ─▶ claim ─┬─ nothing to claim: a second ring, quietly over
                   └─▶ handler ─▶ outcome, or an error that `decide` turns into one ─▶ finish

Plain code that fails closed: dramatiq swallows what its hooks raise and runs the actor all the same, so no question of
«may this run?» is asked there. It is the only place that catches `Exception`.
"""

import time
from collections.abc import Callable, Mapping
from itertools import chain, repeat
from typing import TypeVar

import structlog

from worker.errors import CrmSyncError, LeaseLost, Unavailable
from worker.jobs import ledger
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.ledger import Claimed, Deadlines
from worker.jobs.outcomes import UNKNOWN_KIND_WAIT, Dropped, Outcome, Parked, decide
from worker.jobs.process import WorkerProcess
from worker.jobs.services import Services

_log = structlog.get_logger(__name__)
_AGAIN_S = (0.1, 0.25, 0.5, 1.0)
T = TypeVar("T")


class Runner:
    """Runs jobs for one process; any number of threads may call it at once."""

    def __init__(self, services: Services, process: WorkerProcess, handlers: Mapping[str, Handler]) -> None:
        self._services = services
        self._process = process
        self._handlers = handlers
        self._deadlines = Deadlines.of({kind: handler.deadline for kind, handler in handlers.items()})

    def run(self, workspace: str, job_id: int) -> None:
        """Answer one ring. Nothing is raised: what cannot be written down now is the reconciler's."""
        if not self._process.may_claim():
            return
        try:
            claimed = ledger.claim(
                self._services.database, workspace, job_id, self._process.process_id, self._deadlines
            )
        except Unavailable:
            self._undo_doubtful_claim(workspace, job_id)
            return
        except CrmSyncError as error:
            _log.error("job.not_claimed", job_id=job_id, reason=error.reason, error=str(error))
            return
        if claimed is None:
            return
        self._process.hold(claimed)
        try:
            started_s = time.monotonic()
            outcome = self._outcome_of(claimed)
            self._write(claimed, outcome, started_s)
        finally:
            self._process.let_go(claimed)

    def _outcome_of(self, claimed: Claimed) -> Outcome:
        handler = self._handlers.get(claimed.kind)
        now = self._services.clock()
        if handler is None:
            # A newer release asked for it: while both run, one of its own workers will come by.
            return Parked(now + UNKNOWN_KIND_WAIT, "unknown_kind")
        context = JobContext(
            services=self._services,
            workspace=claimed.workspace,
            job_id=claimed.job_id,
            kind=claimed.kind,
            lane=claimed.lane,
            connection_id=claimed.connection_id,
            args=claimed.args,
            sealed=claimed.sealed,
            attempt=claimed.attempt,
            lease_epoch=claimed.lease_epoch,
            progress=claimed.progress,
            stopping=lambda: self._process.stopping,
        )
        try:
            return handler.run(context)
        except Exception as error:  # noqa: BLE001 - a bug in one handler must not end the thread of all others.
            return self._judge(error, claimed, handler.max_attempts)

    def _judge(self, error: Exception, claimed: Claimed, max_attempts: int) -> Outcome:
        if not isinstance(error, CrmSyncError):
            _log.error(
                "job.bug", kind=claimed.kind, job_id=claimed.job_id, error=type(error).__name__, place=_place_of(error)
            )
        return decide(error, attempt=claimed.attempt, max_attempts=max_attempts, now=self._services.clock())

    def _write(self, claimed: Claimed, outcome: Outcome, started_s: float) -> None:
        state: str | None = "dropped"
        if not isinstance(outcome, Dropped):
            try:
                state = self._finish(claimed, outcome)
            except LeaseLost:
                state = "dropped"
            except Exception as error:  # noqa: BLE001 - an outcome that cannot be written is a bug of its handler.
                outcome = self._judge(error, claimed, max_attempts=0)
                state = self._finish(claimed, outcome)
        _log.info(
            "job.finished",
            kind=claimed.kind,
            workspace=claimed.workspace,
            job_id=claimed.job_id,
            state=state or "not_written",
            reason=getattr(outcome, "reason", None),
            attempt=claimed.attempt,
            took_ms=round((time.monotonic() - started_s) * 1000),
        )

    def _finish(self, claimed: Claimed, outcome: Outcome) -> str | None:
        return self._patiently(lambda: ledger.finish(self._services.database, claimed, outcome, self._services.clock()))

    def _undo_doubtful_claim(self, workspace: str, job_id: int) -> None:
        """The claim may have been committed before the line was cut; nobody would run the job until its deadline."""

        def undo() -> bool:
            return not self._process.holds(workspace, job_id) and ledger.hand_back(
                self._services.database, workspace, job_id, self._process.process_id
            )

        try:
            self._patiently(undo)
        except CrmSyncError as error:
            _log.error("job.not_claimed", job_id=job_id, reason=error.reason, error=str(error))

    def _patiently(self, act: Callable[[], T]) -> T | None:
        """Do it again while Postgres is away; None if this process ends meanwhile.

        There is no other end to it: as long as this process beats, nobody takes the job from it, and a job whose
        outcome was never written would lie there until its deadline.
        """
        for pause_s in chain(_AGAIN_S, repeat(_AGAIN_S[-1])):
            try:
                return act()
            except Unavailable:
                if self._process.wait(pause_s):
                    return None
        return None


def _place_of(error: Exception) -> str:
    """The innermost place, without any value: texts of foreign errors may hold what must not be logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"

"""How a job's run may end, and what an error of ours means for the job: decisions only, no I/O.

    outcome      state after     attempt      who tells
    Done         done            0            the handler
    Yield        queued          0            the handler: pages were committed, more is to do
    Parked       parked          unchanged    the handler, or a wait that somebody named
    Retry        parked          + 1          a fault that is expected to pass
    Failed       failed          unchanged    what was asked cannot be
    Dead         dead            unchanged    attempts are used up, or a person of ours has to look
    Cancelled    cancelled       unchanged    the connection was stopped meanwhile
    HandBack     queued          unchanged    the process is stopping
    Dropped      (no write)                   another worker holds the job now

Each of them but `Dropped` sets the count of deliveries to zero. A job that was asked for again when it had begun goes
back to `queued`, without its notes, where it would have been done or cancelled.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from worker.errors import (
    Abandoned,
    AskPerson,
    BadRequest,
    BudgetSpent,
    ConnectionStopped,
    CrmSyncError,
    KeyMissing,
    NeedsOperator,
    NotFound,
    RunAgainLater,
    SetAside,
    StatementTimedOut,
    Throttled,
    Unavailable,
    VaultError,
)

Json = dict[str, Any]
Fraction = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Done:
    """The job did what it was for. `outcome` holds ids, numbers and codes; what is personal goes sealed."""

    outcome: Json | None = None
    sealed_outcome: bytes | None = None


@dataclass(frozen=True, slots=True)
class Yield:
    """The time slice is over and something was committed: the job goes to the end of its workspace's queue."""

    progress: Json | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing to do before `until`; nothing went wrong.

    `named` says that a provider or our own books named the time: then it holds though somebody asks again meanwhile.
    `message` is for whoever looks why nothing happens.
    """

    until: datetime
    reason: str
    progress: Json | None = None
    named: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """A fault that is expected to pass; it spends an attempt. `named` as for `Parked`."""

    at: datetime
    reason: str
    message: str = ""
    named: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked for cannot be. `message` is for whoever asked."""

    reason: str
    message: str
    outcome: Json | None = None


@dataclass(frozen=True, slots=True)
class Dead:
    """Kept for a person of ours, who may redrive it."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The connection was stopped: there is nothing left to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class HandBack:
    """The process stops before the job is through; another takes it up at once."""

    progress: Json | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """The lease is another's: this run ends without a word."""


Outcome = Done | Yield | Parked | Retry | Failed | Dead | Cancelled | HandBack | Dropped

_NAMED_TIME_SPREAD = timedelta(seconds=5)
"""A window that many jobs wait for must not be stormed in the second it opens."""
_BOOKED_TIME_SPREAD = timedelta(seconds=1)
"""What our own books name is asked of them again, and not of a provider: waiting longer would waste the window."""
_NO_TIME_NAMED = timedelta(seconds=60)
_OURS_IS_AWAY = timedelta(seconds=10)
_FIRST_WAIT = timedelta(seconds=2)
_LONGEST_WAIT = timedelta(minutes=10)
UNKNOWN_KIND_WAIT = timedelta(minutes=1)
KEY_MISSING_WAIT = timedelta(minutes=1)
"""A key may be missing here and not in the next worker, or be put back at any time."""


def decide(
    error: Exception, *, attempt: int, max_attempts: int, now: datetime, fraction: Fraction = random.random
) -> Outcome:
    """What an error that left a handler means for its job.

    `attempt` counts the failures before this one. An error that is none of ours is a bug: it is tried again a few
    times, and only its type is kept, since its text may hold anything.
    """
    match error:
        case ConnectionStopped():
            return Cancelled(error.reason)
        case Abandoned():
            return Dropped()
        case Unavailable() if not isinstance(error, StatementTimedOut):
            # Our own servers' absence says nothing about the job, so it spends no attempt; a statement that was too
            # much for them may be too much each time.
            return Parked(now + (0.2 + 0.8 * fraction()) * _OURS_IS_AWAY, error.reason)
        case Throttled() | BudgetSpent():
            named = error.until if error.until is not None else now + _NO_TIME_NAMED
            spread = _BOOKED_TIME_SPREAD if isinstance(error, BudgetSpent) else _NAMED_TIME_SPREAD
            return Parked(max(named, now) + fraction() * spread, error.reason, named=True)
        case BadRequest() | NotFound() | SetAside():
            return Failed(error.reason, str(error))
        case AskPerson():
            return Failed(error.reason, error.customer_text)
        case KeyMissing():
            return Parked(now + KEY_MISSING_WAIT, error.reason, message=str(error))
        case NeedsOperator() | VaultError():
            return Dead(error.reason, str(error))
        case CrmSyncError():
            until = error.until if isinstance(error, RunAgainLater) else None
            at = max(until, now) if until is not None else now + backoff(attempt, fraction)
            return _again(error.reason, str(error), attempt, max_attempts, at, named=until is not None)
        case _:
            text = f"A fault of ours: {type(error).__name__}. The log of the worker has its place."
            return _again("internal", text, attempt, max_attempts, now + backoff(attempt, fraction))


def backoff(attempt: int, fraction: Fraction = random.random) -> timedelta:
    """Full jitter: anything up to a ceiling that doubles with each failure, but never under a fifth of a second."""
    ceiling: timedelta = min(_FIRST_WAIT * 2.0 ** min(attempt, 20), _LONGEST_WAIT)
    return max(ceiling * fraction(), timedelta(milliseconds=200))


def _again(
    reason: str, message: str, attempt: int, max_attempts: int, at: datetime, *, named: bool = False
) -> Retry | Dead:
    if attempt + 1 >= max_attempts:
        return Dead(reason, message)
    return Retry(at, reason, message, named)

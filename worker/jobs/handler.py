"""What a module of a kind of job hands over: `HANDLER = Handler(kind, run, …)`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from worker.jobs.context import JobContext
from worker.jobs.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Handler:
    """One kind of job.

    `run` returns an outcome or raises an error of ours. `deadline` is how long one claim may last at most before others
    take the job for lost; it ends no thread, but the run's fences and gates close. `max_attempts` counts failures in a
    row.
    """

    kind: str
    run: Callable[[JobContext], Outcome]
    deadline: timedelta = timedelta(minutes=5)
    max_attempts: int = 10

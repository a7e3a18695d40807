"""What a finished sync job says of itself: its counters, how long it took, how many records a second."""

from typing import Any

from worker.store.jobs_view import Job


def counters_of(job: Job) -> dict[str, Any]:
    """What it saw and saved."""
    return job.outcome or {}


def seconds_of(job: Job) -> float:
    """From the request to the end.

    Raises: RuntimeError for a job that is not finished.
    """
    if job.finished_at is None:
        raise RuntimeError("the job is not finished")
    return round((job.finished_at - job.created_at).total_seconds(), 2)


def rate_of(job: Job) -> int:
    """Records seen a second."""
    seen: int = counters_of(job)["seen"]
    return round(seen / seconds_of(job))

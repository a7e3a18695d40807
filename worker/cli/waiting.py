"""Waiting for jobs, with something to look at meanwhile; and for Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from worker.cli.speech import Speech
from worker.client import Client
from worker.errors import CrmSyncError, Unavailable
from worker.store.jobs_view import Job


class JobFailed(CrmSyncError):
    """A job was done with, and did not do what was asked."""

    reason = "job_failed"

    def __init__(self, job: Job, workspace: str) -> None:
        super().__init__(
            f"Job {job.job_id} ({job.kind}) {job.state}: {job.reason}. {job.message or ''}".strip()
            + f" See `crm-sync dead show {job.job_id} -w {workspace}`."
        )


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, for a loop to end at its next turn; a second one interrupts at once.

    An interrupt in the middle of an exchange makes psycopg wait for its end, which with several statements on their way
    may not come.
    """
    interrupted = threading.Event()

    def on_signal(number: int, frame: object) -> None:  # noqa: ARG001
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for(speech: Speech, crm: Client, job_id: int, timeout_s: float) -> Job:
    """Wait for one job.

    Raises:
        JobFailed: it did not do what was asked.
        Unavailable: it was not finished in time; it goes on by itself.
    """
    job = wait_for_all(speech, crm, [job_id], timeout_s)[0]
    if not job.succeeded:
        raise JobFailed(job, crm.workspace)
    return job


def wait_for_all(speech: Speech, crm: Client, job_ids: list[int], timeout_s: float) -> list[Job]:
    """Wait for all of them, with a line of progress each.

    Raises:
        Unavailable: one was not finished in time.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
    )
    done = []
    quiet = speech.as_json or not speech.err.is_terminal
    with Progress(*columns, console=speech.err, transient=False, disable=quiet) as progress:
        for job_id in job_ids:
            bar = progress.add_task(f"job {job_id}", total=None, note="waits for a worker")

            def show(job: Job, bar: Any = bar) -> None:
                notes = job.progress or job.outcome or {}
                seen, hint = int(notes.get("seen", 0)), notes.get("total_hint")
                progress.update(
                    bar,
                    description=name_of(job),
                    completed=seen,
                    total=max(seen, int(hint)) if hint else (seen if job.finished else None),
                    note=_note(job, notes),
                )

            job = crm.wait(job_id, timedelta(seconds=timeout_s), show)
            if not job.finished:
                raise Unavailable(
                    f"Job {job_id} ({job.kind}) is still {job.state} after {timeout_s:.0f} s"
                    f"{f' ({job.reason}: {job.message})' if job.reason else ''}. It goes on by itself; is a worker "
                    "running? "
                    f"See `crm-sync jobs --workspace {crm.workspace}` and `crm-sync doctor`."
                )
            done.append(job)
    return done


def name_of(job: Job) -> str:
    """What a job is about, in a word or two."""
    return str(job.args.get("stream") or job.kind)


def _note(job: Job, notes: dict[str, Any]) -> str:
    if job.state == "queued" and not notes:
        return "waits for a worker"
    if job.state == "parked":
        return f"waits: {job.reason}"
    return counted(notes) or job.state


def counted(notes: dict[str, Any]) -> str:
    """What a run did with what it saw, in a few words; empty if it did nothing."""
    names = ("saved", "unchanged", "deleted", "swept", "repeated", "skipped", "refused")
    return ", ".join(f"{notes[name]} {name}" for name in names if notes.get(name))

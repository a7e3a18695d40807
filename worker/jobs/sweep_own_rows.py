"""Takes away what of our own rows has served its end, once a day for each workspace, in small batches (P9).

    consents that nobody gave, and their connections ─▶ secrets of finished jobs ─▶ finished jobs ─▶ feed entries
                                                     ─▶ holds that were decided

Each batch is a transaction of its own, so that none holds two kinds of locks. Killed anywhere, it begins again with
what is still there. What a connection's receipt tells of its jobs is carried over; a reader of the feed who comes too
late is told so.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Done, HandBack, Json, Outcome, Yield
from worker.settings import Settings
from worker.store import connections, consents, own_rows
from worker.store.connections import State
from worker.store.database import Connection

BATCH: Final = 500
ANSWERED: Final = timedelta(days=1)
"""What a job answered under seal (where to send a person for consent) is read within minutes."""
GIVEN_UP: Final = timedelta(days=30)
"""Until then a job that was given up can be asked for again with what it carries."""
DECIDED: Final = timedelta(days=90)
"""A decided hold stays this long as a note of who decided what."""

Sweep = Callable[[Connection, str, int], int]
"""Takes away at most so many rows of a workspace, and returns how many."""


def run(context: JobContext) -> Outcome:
    """Go on until nothing is left to take away."""
    sweeps = _sweeps(context.services.settings)
    notes: Json = {**dict.fromkeys(sweeps, 0), **(context.progress or {})}
    for name, sweep in sweeps.items():
        while _batch(context, name, sweep, notes):
            if context.out_of_time():
                return HandBack(notes) if context.stopping() else Yield(notes)
    return Done(notes)


def _sweeps(settings: Settings) -> dict[str, Sweep]:
    finished, given_up = timedelta(days=settings.job_days), timedelta(days=settings.given_up_job_days)
    kept = timedelta(days=settings.feed_days)
    return {
        "connections": _end_consents,
        "secrets": lambda tx, workspace, limit: own_rows.blank_secrets(tx, workspace, ANSWERED, GIVEN_UP, limit),
        "jobs": lambda tx, workspace, limit: own_rows.drop_jobs(tx, workspace, finished, given_up, limit),
        "feed": lambda tx, workspace, limit: own_rows.drop_feed_entries(tx, workspace, kept, limit),
        "holds": lambda tx, workspace, limit: own_rows.drop_decided_holds(tx, workspace, DECIDED, limit),
    }


def _batch(context: JobContext, name: str, sweep: Sweep, notes: Json) -> bool:
    """One batch; whether there may be more."""
    with context.services.database.transaction(context.workspace) as tx:
        gone = sweep(tx, context.workspace, BATCH)
        notes[name] += gone
        context.fence(tx, notes)
    return gone > 0


def _end_consents(tx: Connection, workspace: str, limit: int) -> int:
    del limit  # Few at a time as it is: each ends a connection, under its lock.
    forgotten = list(consents.drop_old(tx, workspace))
    for connection_id in forgotten:
        connections.stop(tx, workspace, connection_id, State.DISCONNECTED, "never_consented")
    return len(forgotten)


HANDLER = Handler("sweep_own_rows", run, deadline=timedelta(minutes=5))

"""Takes away what of our own rows has served its end, once a day for each workspace, in small batches (P9).

    secrets of finished jobs ─▶ holds that were decided ─▶ consents that nobody gave, and their connections

Killed anywhere, it begins again with what is still there. Jobs themselves and the feed have no end yet.
"""

from datetime import timedelta
from typing import Final

from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Done, HandBack, Json, Outcome, Yield
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


def run(context: JobContext) -> Outcome:
    """Go on until nothing is left to take away."""
    notes: Json = {"secrets": 0, "holds": 0, "connections": 0, **(context.progress or {})}
    while _batch(context, notes):
        if context.out_of_time():
            return HandBack(notes) if context.stopping() else Yield(notes)
    return Done(notes)


def _batch(context: JobContext, notes: Json) -> bool:
    """One batch; whether there may be more."""
    workspace = context.workspace
    with context.services.database.transaction(workspace) as tx:
        forgotten = _end_consents(tx, workspace)
        secrets = own_rows.blank_secrets(tx, workspace, ANSWERED, GIVEN_UP, BATCH)
        holds = own_rows.drop_decided_holds(tx, workspace, DECIDED, BATCH)
        notes["secrets"] += secrets
        notes["holds"] += holds
        notes["connections"] += forgotten
        context.fence(tx, notes)
    return bool(forgotten) or BATCH in {secrets, holds}


def _end_consents(tx: Connection, workspace: str) -> int:
    forgotten = list(consents.drop_old(tx, workspace))
    for connection_id in forgotten:
        connections.stop(tx, workspace, connection_id, State.DISCONNECTED, "never_consented")
    return len(forgotten)


HANDLER = Handler("sweep_own_rows", run, deadline=timedelta(minutes=5))

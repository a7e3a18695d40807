"""Deletes the records of a workspace whose time is over, in small batches, and tells the feed of each (P9).

    the connection whose record is due for longest ─▶ lock it ─▶ delete a batch ─▶ feed ─▶ … until nothing is due

They could not be read any more since their time was over; this is what takes them off the disk. A page that is being
committed is waited for: what it shows again lives on. Killed anywhere, it begins again with what is still there.
"""

from datetime import timedelta
from itertools import groupby
from typing import Final

from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Done, HandBack, Json, Outcome, Yield
from worker.store import connections, feed, retention
from worker.store.feed import Entry, Event

BATCH: Final = 1_000


def run(context: JobContext) -> Outcome:
    """Delete until nothing is due."""
    notes: Json = {"records": 0, "days": 0, **(context.progress or {})}
    while _batch(context, notes) or _batch_of_days(context, notes):
        if context.out_of_time():
            return HandBack(notes) if context.stopping() else Yield(notes)
    return Done(notes)


def _batch(context: JobContext, notes: Json) -> bool:
    """One batch of one connection; whether there was anything."""
    workspace = context.workspace
    with context.services.database.transaction(workspace) as tx:
        retention.see_due(tx)
        connection_id = retention.due_connection(tx, workspace)
        if connection_id is None:
            return False
        connections.lock(tx, workspace, connection_id)
        gone = retention.sweep(tx, workspace, connection_id, BATCH)
        for stream, records in groupby(gone, key=lambda record: record.stream):
            entries = [Entry(Event.RECORD_EXPIRED, record.document_key, {"rule": record.rule}) for record in records]
            feed.append(tx, workspace, entries, connection_id=connection_id, stream=stream)
        notes["records"] += len(gone)
        context.fence(tx, notes)
    return True


def _batch_of_days(context: JobContext, notes: Json) -> bool:
    """The same for the numbers of campaign days, which are announced an account at a time."""
    workspace = context.workspace
    with context.services.database.transaction(workspace) as tx:
        retention.see_due(tx)
        connection_id = retention.due_measures(tx, workspace)
        if connection_id is None:
            return False
        connections.lock(tx, workspace, connection_id)
        for gone in retention.sweep_measures(tx, workspace, connection_id, BATCH):
            details = {
                "account": gone.account_id,
                "from": gone.first.isoformat(),
                "to": gone.last.isoformat(),
                "saved": 0,
                "deleted": gone.days,
            }
            entry = Entry(Event.MEASURES_CHANGED, None, details)
            feed.append(tx, workspace, [entry], connection_id=connection_id, stream=gone.stream)
            notes["days"] += gone.days
        context.fence(tx, notes)
    return True


HANDLER = Handler("sweep_expired", run, deadline=timedelta(minutes=5))

"""Deletes what is held of a connection that is being deleted, destroys its keys, and leaves a tombstone and a receipt.

    documents and their lookups, measures, in slices ─▶ notes of passes ─▶ streams, parts, quarantine, holds
    ─▶ records key ─▶ tombstone and receipt

What it has deleted stays deleted if it is killed; it goes on with what is left.
"""

import secrets
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from worker.errors import BadRequest
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Cancelled, Done, HandBack, Outcome, Yield
from worker.store import connections, farewells, feed
from worker.store.connections import State
from worker.store.feed import Entry, Event

SLICE: Final = 2_000
RECEIPT: Final = "deletion"


def run(context: JobContext) -> Outcome:
    """Delete in slices until nothing is left."""
    connection_id = context.connection_id
    if connection_id is None:
        raise BadRequest("A job of kind purge_connection needs args.connection_id.")
    with context.services.database.transaction(context.workspace) as tx:
        was = connections.read(tx, context.workspace, connection_id)
    notes: dict[str, Any] = {"documents": 0, "lookups": 0, "measures": 0, **(context.progress or {})}
    if "outcome" in notes:
        return Done(notes["outcome"])  # It was killed after its last commit.
    if was is None or was.state is not State.DELETING:
        return Cancelled("not_deleting")
    while True:
        with context.services.database.transaction(context.workspace) as tx:
            gone = farewells.purge_documents(tx, context.workspace, connection_id, SLICE)
            measures = farewells.purge_measures(tx, context.workspace, connection_id, SLICE)
            noted = farewells.purge_notes(tx, context.workspace, connection_id, SLICE)
            notes["documents"] += gone.documents
            notes["lookups"] += gone.lookups
            notes["measures"] += measures
            context.fence(tx, notes)
        if not gone.documents and not measures and not noted:
            return _finish(context, connection_id, notes)
        if context.out_of_time():
            return HandBack(notes) if context.stopping() else Yield(notes)


def _finish(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> Done:
    services, workspace = context.services, context.workspace
    with services.database.transaction(workspace) as tx:
        streams = farewells.purge_rest(tx, workspace, connection_id)
        context.fence(tx, notes)
    services.keys.shred_records(workspace, connection_id)
    code = secrets.token_hex(8)
    with services.database.transaction(workspace) as tx:
        was = connections.lock(tx, workspace, connection_id)
        if was is None or was.state is not State.DELETING:
            return Done({"connection_id": str(connection_id), **notes})
        farewells.become_tombstone(tx, workspace, connection_id)
        body = {
            "connection_id": str(connection_id),
            "provider": was.provider,
            "documents": notes["documents"],
            "measures": notes["measures"],
            "streams": streams,
            "keys_destroyed": ["grant", "records", "index"],
            "at": services.clock().isoformat(),
            "confirmation_code": code,
        }
        receipt_id = farewells.add_receipt(tx, workspace, connection_id, RECEIPT, body)
        entry = Entry(Event.CONNECTION_PURGED, None, {"documents": notes["documents"], "measures": notes["measures"]})
        feed.append(tx, workspace, [entry], connection_id=connection_id)
        outcome = {
            "connection_id": str(connection_id),
            "documents": notes["documents"],
            "measures": notes["measures"],
            "receipt_id": str(receipt_id),
            "confirmation_code": code,
        }
        context.fence(tx, {**notes, "outcome": outcome})
    return Done(outcome)


HANDLER = Handler("purge_connection", run, deadline=timedelta(minutes=5), max_attempts=50)

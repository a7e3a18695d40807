"""Looks at all records of a connection again and reckons when the time of each is over.

    wait for pages under the rules of before ─▶ batches, in the order of keys ─▶ the same rules still? ─▶ when again

It is asked for when a rule changes, when a connection is disconnected or comes back, and now and then: what the
provider did not change at a sync is confirmed by it, and lives on. What was due and is not any more is announced as
saved. Killed anywhere, it goes on after its last batch.
"""

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from worker.errors import BadRequest
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Cancelled, Done, HandBack, Outcome, Yield
from worker.privacy.retention import Due, Retention
from worker.records import Kind
from worker.store import connections, feed, retention
from worker.store.connections import State
from worker.store.database import Connection, Row
from worker.store.feed import Entry, Event
from worker.store.retention import PlannedRecord

BATCH: Final = 1_000


def run(context: JobContext) -> Outcome:
    """Go on after the last batch that was committed."""
    try:
        connection_id = UUID(str(context.args["connection"]))
    except (KeyError, ValueError):
        raise BadRequest("A job of kind plan_retention needs args.connection, a connection's id.") from None
    notes: dict[str, Any] = {"records": 0, "changed": 0, **(context.progress or {})}
    while True:
        if "rules" not in notes and not _begin(context, connection_id, notes):
            return Cancelled("connection_gone")
        if _batch(context, connection_id, notes):
            return Done({name: notes[name] for name in ("records", "changed")})
        if context.out_of_time():
            return HandBack(notes) if context.stopping() else Yield(notes)


def _begin(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> bool:
    """Wait for the pages that are being committed: later ones read the rules that this job reads from here on."""
    with context.services.database.transaction(context.workspace) as tx:
        was = connections.lock(tx, context.workspace, connection_id)
        if was is None or was.purged or was.state is State.DELETING:
            return False
        notes.update(rules=_print_of(retention.rules(tx, context.workspace, connection_id)), stream="", last="")
        context.fence(tx, notes)
    return True


def _batch(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> bool:
    """One batch; whether it was the last under rules that still hold."""
    with context.services.database.transaction(context.workspace) as tx:
        retention.see_due(tx)
        rows = retention.rules(tx, context.workspace, connection_id)
        if _print_of(rows) != notes["rules"]:
            del notes["rules"]  # A rule changed meanwhile: from the beginning.
            return False
        rules = Retention.of(rows)
        batch = retention.batch_to_plan(
            tx, context.workspace, connection_id, (notes["stream"], bytes.fromhex(notes["last"])), BATCH
        )
        ends = [(record, due) for record in batch if (due := _new_end(record, rules)) is not None]
        written = retention.plan(tx, context.workspace, connection_id, ends)
        _announce_revived(tx, context.workspace, connection_id, rules, ends, written)
        notes["records"] += len(batch)
        notes["changed"] += len(written)
        if batch:
            notes.update(stream=batch[-1].stream, last=batch[-1].document_key.hex())
        over = len(batch) < BATCH and not _days(tx, context.workspace, connection_id, rules)
        if over:
            retention.planned(tx, context.workspace, connection_id, rules.plan_again_in())
        context.fence(tx, notes)
    return over


def _days(tx: Connection, workspace: str, connection_id: UUID, rules: Retention) -> bool:
    """A batch of campaign days, once the records are done; whether there may be more."""
    kind = Kind.CAMPAIGN_DAY.value
    if not rules.knows(kind):
        return False
    age, by = rules.age_of_days(kind)
    return retention.plan_measures(tx, workspace, connection_id, age, by, rules.end_after(kind), BATCH) == BATCH


def _new_end(record: PlannedRecord, rules: Retention) -> Due | None:
    """The end that the record is to have, if it is another than it has; a kind that lost its rule keeps its end."""
    if not rules.knows(record.kind):
        return None
    due = rules.due(record.kind, record.dated, record.confirmed_at)
    return due if due != Due(record.expires_at, record.rule, record.renewable) else None


def _announce_revived(
    tx: Connection,
    workspace: str,
    connection_id: UUID,
    rules: Retention,
    ends: list[tuple[PlannedRecord, Due]],
    written: set[tuple[str, bytes]],
) -> None:
    """A reader may have dropped its copy of what was due."""
    revived: dict[str, list[Entry]] = {}
    for record, due in ends:
        was_over = record.expires_at is not None and record.expires_at <= rules.now
        lives = due.expires_at is None or due.expires_at > rules.now
        if was_over and lives and (record.stream, record.document_key) in written:
            revived.setdefault(record.stream, []).append(Entry(Event.RECORD_SAVED, record.document_key))
    for stream, entries in revived.items():
        feed.append(tx, workspace, entries, connection_id=connection_id, stream=stream)


def _print_of(rows: list[Row]) -> str:
    """By which one sees whether rules are still the same; `now` is none of them."""
    told = [{name: value for name, value in row.items() if name != "now"} for row in rows]
    return sha256(json.dumps(sorted(told, key=str), default=str, sort_keys=True).encode()).hexdigest()


HANDLER = Handler("plan_retention", run, deadline=timedelta(minutes=5))

"""Carries out what was decided about a mass deletion that waits: approve, reject, or apply after its time (P12).

    lock connection and hold ─▶ a batch: delete, or keep for good ─▶ commit ─▶ … ─▶ close the hold and announce it

Each batch takes its keys out of the hold in the same transaction, so that a job killed between two of them goes on
where it was. `apply` is the planner's word once the hold's seven days are over; before that it is refused. A page that
puts more records into the hold meanwhile puts off what is left of it.
"""

from datetime import timedelta

from worker.errors import BadRequest
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Done, HandBack, Outcome, Yield
from worker.store import connections, documents, feed, measures, parts
from worker.store.database import Connection
from worker.store.documents import StreamPlace
from worker.store.feed import Entry, Event
from worker.store.parts import HoldRow
from worker.sync.slices import changed_days

BATCH = 1_000
STATES = {"approve": "approved", "reject": "rejected", "apply": "applied"}


def run(context: JobContext) -> Outcome:
    """Work through the hold in batches."""
    decision = str(context.args.get("decision"))
    hold_id = context.args.get("hold_id")
    if decision not in STATES or not isinstance(hold_id, int):
        raise BadRequest("decide_deletions needs args.hold_id (a number) and args.decision: approve or reject.")
    dealt_with = int((context.progress or {}).get("records", 0))
    while True:
        more, count = _batch(context, hold_id, decision, dealt_with)
        dealt_with += count
        if not more:
            return Done({"hold_id": hold_id, "decision": decision, "records": dealt_with})
        if context.out_of_time():
            progress = {"records": dealt_with}
            return HandBack(progress) if context.stopping() else Yield(progress)


def _batch(context: JobContext, hold_id: int, decision: str, before: int) -> tuple[bool, int]:
    with context.services.database.transaction(context.workspace) as tx:
        of = parts.connection_of_hold(tx, context.workspace, hold_id)
        if of is not None:
            # No page commits meanwhile: one that found these records unchanged would take them for kept.
            connections.lock(tx, context.workspace, of)
        hold = parts.lock_hold(tx, context.workspace, hold_id)
        _refuse_if_not_open(context, hold, hold_id, decision)
        if hold is None or hold.state != "open":
            return False, 0
        if decision == "apply" and hold.applies_at > context.services.clock():
            if not before:
                raise BadRequest(f"Hold {hold_id} applies by itself at {hold.applies_at.isoformat()}, not before.")
            return False, 0
        place = StreamPlace(context.workspace, hold.connection_id, hold.stream)
        records, entries = _records(tx, place, hold, decision)
        rows, announced = _measures(tx, place, hold, decision)
        entries += announced
        count = records + rows
        last = records < BATCH and rows < BATCH
        if last:
            parts.close_hold(tx, context.workspace, hold_id, STATES[decision], str(context.args.get("by", "crm-sync")))
            details = {"hold_id": hold_id, "decision": decision, "count": before + count}
            entries.append(Entry(Event.DELETIONS_DECIDED, None, details))
        feed.append(tx, context.workspace, entries, connection_id=hold.connection_id, stream=hold.stream)
        context.fence(tx, {"records": before + count})
        return not last, count


def _records(tx: Connection, place: StreamPlace, hold: HoldRow, decision: str) -> tuple[int, list[Entry]]:
    """A batch of the hold's documents; how many, and what to announce."""
    keys = parts.hold_batch(tx, place.workspace, hold.hold_id, BATCH)
    entries: list[Entry] = []
    if decision == "reject":
        parts.keep_documents(tx, place, keys)
    else:
        gone = documents.delete(tx, place, keys, part=hold.part_key)
        entries = [Entry(Event.RECORD_DELETED, key) for key in gone]
        parts.count_swept(tx, place, hold.part_key, len(gone))
    parts.drop_items(tx, place.workspace, hold.hold_id, keys)
    return len(keys), entries


def _measures(tx: Connection, place: StreamPlace, hold: HoldRow, decision: str) -> tuple[int, list[Entry]]:
    """A batch of the hold's campaign days, which carry the hold's number themselves."""
    keys = measures.of_hold(tx, place.workspace, hold.hold_id, BATCH)
    if decision == "reject":
        measures.mark(tx, place, hold.part_key, keys, hold_id=None, kept=True)
        return len(keys), []
    account = measures.account_of(tx, place, hold.part_key)
    measures.delete(tx, place, hold.part_key, keys)
    parts.count_swept(tx, place, hold.part_key, len(keys))
    return len(keys), changed_days(account, [day for _, day in keys], deleted=len(keys))


def _refuse_if_not_open(context: JobContext, hold: HoldRow | None, hold_id: int, decision: str) -> None:
    if hold is None:
        raise BadRequest(
            f"There is no hold {hold_id} in workspace «{context.workspace}». See `crm-sync deletions list`."
        )
    if hold.state not in {"open", STATES[decision]}:
        raise BadRequest(f"Hold {hold_id} was already {hold.state}.")


HANDLER = Handler("decide_deletions", run, deadline=timedelta(minutes=5))

"""Ends a full pass: what the part holds and the pass did not show is gone, within limits (P12).

    unseen ─▶ few enough? ─▶ delete in batches, each its own transaction ─▶ close the pass
      │           └─ too many ─▶ all of it into a hold, in batches ─▶ close the pass
      └─ before all that, where a stream can tell: is it somewhere else by now? (`whereabouts.py`)

A part that is gone at the provider (a calendar unsubscribed) ends the same way: everything in it is unseen, documents
and measures.
"""

from dataclasses import replace

from worker.connectors.contract import Whereabouts
from worker.store import documents, feed, measures, parts
from worker.store.feed import Entry, Event
from worker.store.parts import PartRow
from worker.sync.decisions import deletions_allowed
from worker.sync.pages import hold
from worker.sync.run import Run, RunEnd, RunNotes
from worker.sync.slices import changed_days, hold_measures
from worker.sync.whereabouts import ask_again, ask_where

BATCH = 1_000


def sweep(run: Run, row: PartRow, notes: RunNotes) -> RunEnd:
    """Delete, or hold, what the pass did not show, then close the pass. May end with its time slice; it goes on later.

    A pass whose connector covers nothing (`sweeping` is false) is only closed.
    """
    if row.sweeping and run.stream.whereabouts is not None and not ask_where(run, run.stream.whereabouts, row, notes):
        return RunEnd(finished=False, not_before=None, notes=notes)
    while row.sweeping and (keys := _unseen(run, row, notes)):
        too_many = len(keys) > _left(notes)
        for start in range(0, len(keys), BATCH):
            _sweep_batch(run, row, notes, keys[start : start + BATCH], too_many=too_many)
            if run.lease.out_of_time():
                return RunEnd(finished=False, not_before=None, notes=notes)
    with run.database.transaction(run.place.workspace) as tx:
        parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
        documents.forget_seen(tx, run.place, row.part_key)
        parts.end_pass(tx, run.place, row.part_key, row.pass_id)
        run.lease.fence(tx, notes.as_progress())
    return RunEnd(finished=True, not_before=None, notes=notes)


def _left(notes: RunNotes) -> int:
    return deletions_allowed(notes.part_total) - notes.part_deleted


def _unseen(run: Run, row: PartRow, notes: RunNotes) -> list[bytes]:
    """What the pass did not show. One more than may go tells whether the whole of it may go."""
    with run.database.transaction(run.place.workspace) as tx:
        return documents.unseen(tx, run.place, row.part_key, row.pass_id, max(_left(notes) + 1, BATCH))


def _sweep_batch(run: Run, row: PartRow, notes: RunNotes, keys: list[bytes], *, too_many: bool) -> None:
    with run.database.transaction(run.place.workspace) as tx:
        parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
        if too_many:
            _, entries = hold(run, tx, row, keys, notes.part_total)
            # What is held away is out of reach of the next look; the sweep goes on until nothing is unseen.
            notes.part_deleted = deletions_allowed(notes.part_total)
        else:
            gone = documents.delete(tx, run.place, keys)
            entries = [Entry(Event.RECORD_DELETED, key) for key in gone]
            parts.count_swept(tx, run.place, row.part_key, len(gone))
            notes.swept += len(gone)
            notes.part_deleted += len(gone)
        if row.set_aside:
            documents.leave_quarantine(tx, run.place, keys)
        feed.append(tx, run.place.workspace, entries, connection_id=run.place.connection, stream=run.place.stream)
        run.lease.fence(tx, notes.as_progress())


def sweep_unanswered(run: Run, whereabouts: Whereabouts, row: PartRow, notes: RunNotes) -> None:
    """Delete, or hold, what is gone of those of which nobody would tell in the last sweep."""
    gone = ask_again(run, whereabouts, row, notes)
    if gone:
        _sweep_batch(run, row, notes, gone, too_many=len(gone) > _left(notes))


def remove_gone_part(run: Run, row: PartRow, notes: RunNotes) -> RunEnd:
    """A part that the provider no longer lists: its records go by the rules of a sweep, then the part itself."""
    with run.database.transaction(run.place.workspace) as tx:
        measured, _ = measures.count(tx, run.place, row.part_key)
        notes.turn_to(row.part_key, parts.count_documents(tx, run.place, row.part_key) + measured)
        if not row.sweeping:
            parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
            pass_id = parts.begin_pass(tx, run.place, row, run.stream.normaliser)
            documents.forget_seen(tx, run.place, row.part_key)
            parts.begin_sweep(tx, run.place, row.part_key)
            run.lease.fence(tx, notes.as_progress())
            row = replace(row, pass_id=pass_id, in_full_pass=True, sweeping=True)
    if not (end := sweep(run, row, notes)).finished or not (end := _sweep_measures(run, row, notes)).finished:
        return end
    with run.database.transaction(run.place.workspace) as tx:
        measured, _ = measures.count(tx, run.place, row.part_key)
        if parts.count_documents(tx, run.place, row.part_key) + measured == 0:
            measures.forget_account(tx, run.place, row.part_key)
            parts.remove_part(tx, run.place, row.part_key)
            run.lease.fence(tx, end.notes.as_progress())
    return end


def _sweep_measures(run: Run, row: PartRow, notes: RunNotes) -> RunEnd:
    """Delete, or hold, the measures of a part that is gone, in batches."""
    with run.database.transaction(run.place.workspace) as tx:
        _, left = measures.count(tx, run.place, row.part_key)
    too_many = left > _left(notes)
    while left > 0 and (swept := _sweep_measures_batch(run, row, notes, too_many=too_many)):
        left -= swept
        if left > 0 and run.lease.out_of_time():
            return RunEnd(finished=False, not_before=None, notes=notes)
    return RunEnd(finished=True, not_before=None, notes=notes)


def _sweep_measures_batch(run: Run, row: PartRow, notes: RunNotes, *, too_many: bool) -> int:
    with run.database.transaction(run.place.workspace) as tx:
        parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
        keys = measures.some_free(tx, run.place, row.part_key, BATCH)
        if not keys:
            return 0
        if too_many:
            _, entries = hold_measures(run, tx, row, keys, notes.part_total)
            notes.part_deleted = deletions_allowed(notes.part_total)
        else:
            account = measures.account_of(tx, run.place, row.part_key)
            measures.delete(tx, run.place, row.part_key, keys)
            parts.count_swept(tx, run.place, row.part_key, len(keys))
            entries = changed_days(account, [day for _, day in keys], deleted=len(keys))
            notes.swept += len(keys)
            notes.part_deleted += len(keys)
        feed.append(tx, run.place.workspace, entries, connection_id=run.place.connection, stream=run.place.stream)
        run.lease.fence(tx, notes.as_progress())
    return len(keys)

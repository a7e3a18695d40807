"""Runs one stream of one connection: its parts one after another, each page committed before the next is asked for.

    parts(session) ─▶ for each part that this run has not done:
        an unfinished sweep first ─▶ a full pass if one is due ─▶ pages, read one ahead ─▶ commit ─▶ sweep
    ─▶ parts that are gone ─▶ the stream is planned anew

It retries nothing, sleeps never and knows no provider. A time slice ends between two pages. What a part's failure means
for the others is decided in `setbacks.py`; what concerns the whole connection is raised.
"""

from dataclasses import replace

from worker.errors import CursorExpired, Transient
from worker.records import Part, SomeParts
from worker.store import documents, feed, parts
from worker.store.feed import Entry, Event
from worker.store.parts import PartRow
from worker.sync.ahead import Ahead
from worker.sync.decisions import full_pass_is_due
from worker.sync.pages import commit_page, prepare
from worker.sync.run import Run, RunEnd, RunNotes
from worker.sync.setbacks import OWN_TO_A_PART, Setbacks, require_awake
from worker.sync.sweep import remove_gone_part, sweep, sweep_unanswered


def run_stream(run: Run, notes: RunNotes, *, full: bool = False) -> RunEnd:
    """Work on the stream for a time slice. `full` asks for a full pass of every part; it holds for the whole run.

    Raises:
        CrmSyncError: what concerns the whole connection, or the one part that the stream has. Nothing is half done;
            pages that were committed stay.
    """
    if full and not notes.has_begun:
        with run.database.transaction(run.place.workspace) as tx:
            parts.want_full_pass(tx, run.place)
            run.lease.fence(tx)
    found = run.stream.parts(run.session)
    every = tuple(found)
    listed = [part for part in every if not part.gone]
    rows = _meet(run, listed)
    gone = _gone(run, every, rows, whole=not isinstance(found, SomeParts))
    setbacks = Setbacks(run, alone=len(listed) == 1)
    for part in listed:
        row = rows[_key(run, part)]
        if row.part_key.hex() in notes.parts_done or row.part_key.hex() in notes.parts_failed:
            continue
        try:
            require_awake(row, run.now())
            end = _read_part(run, part, row, notes)
        except OWN_TO_A_PART as error:
            setbacks.meet(row, error, notes)
            continue
        setbacks.none()
        notes = end.notes
        if not end.finished:
            return end
    setbacks.raise_what_waits(notes)
    for row in gone:
        end = remove_gone_part(run, row, notes)
        notes = end.notes
        if not end.finished:
            return end
    _finish(run, notes)
    return RunEnd(finished=True, not_before=None, notes=notes)


def _key(run: Run, part: Part) -> bytes:
    return run.seals.part_key(run.stream.name, part.key)


def _gone(run: Run, every: tuple[Part, ...], rows: dict[bytes, PartRow], *, whole: bool) -> list[PartRow]:
    """The parts that we know and the provider lists no more. Of an incomplete list, only those that it calls gone."""
    if whole:
        known = {_key(run, part) for part in every if not part.gone}
        return [row for key, row in rows.items() if key not in known]
    return [rows[key] for part in every if part.gone and (key := _key(run, part)) in rows]


def _meet(run: Run, listed: list[Part]) -> dict[bytes, PartRow]:
    """The rows of the stream's parts; parts that the provider shows for the first time get one."""
    with run.database.transaction(run.place.workspace) as tx:
        rows = parts.list_parts(tx, run.place)
        new = [part for part in listed if _key(run, part) not in rows]
        if new:
            parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
            for part in new:
                name = f"{part.key}\n{part.label}".encode()
                parts.add_part(tx, run.place, _key(run, part), run.seals.seal("part.key", _key(run, part), name))
            run.lease.fence(tx)
            rows = parts.list_parts(tx, run.place)
    return rows


def _read_part(run: Run, part: Part, row: PartRow, notes: RunNotes) -> RunEnd:
    with run.database.transaction(run.place.workspace) as tx:
        notes.turn_to(row.part_key, parts.count_documents(tx, run.place, row.part_key))
    while True:
        if row.sweeping:
            return _end_part(run, row, notes)
        if full_pass_is_due(row, run.stream, run.now()):
            row = _begin_pass(run, row)
        end, row, expired = _turn_pages(run, part, row, notes)
        notes = end.notes
        if expired is not None:
            if notes.resynced:
                raise Transient("the provider refuses the cursor of a pass that has just begun")
            row = _begin_pass(run, row, because=expired.reason)
            notes.resynced = True
            continue
        if not end.finished:
            return end
        return _end_part(run, row, notes)


def _turn_pages(run: Run, part: Part, row: PartRow, notes: RunNotes) -> tuple[RunEnd, PartRow, CursorExpired | None]:
    """How far it came, and why the cursor is dead if it is; it may die after some pages, which stay committed."""
    cursor = None
    if row.sealed_cursor is not None:
        cursor = run.seals.open("part.cursor", row.part_key, row.sealed_cursor)
    try:
        source = run.stream.pages(run.session, part, cursor)
        # Most of what a full pass shows is unchanged, unless it is the first; most of what a cursor brings is not.
        seal = not row.in_full_pass or notes.part_total == 0
        with Ahead(source, lambda page: prepare(run, row.part_key, page, seal=seal)) as ahead:
            while (prepared := ahead.take()) is not None:
                page = prepared.page
                if page.more and page.cursor == cursor:
                    raise Transient("the provider gives the same page again and again")
                goes_on = page.more and page.not_before is None
                if goes_on and not run.lease.out_of_time():
                    ahead.read_on()
                row, notes = commit_page(run, row, prepared, notes)
                cursor = page.cursor
                if page.not_before is not None:
                    return RunEnd(finished=False, not_before=page.not_before, notes=notes), row, None
                if not page.more:
                    return RunEnd(finished=True, not_before=None, notes=notes), row, None
                if run.lease.out_of_time():
                    return RunEnd(finished=False, not_before=None, notes=notes), row, None
    except CursorExpired as error:
        return RunEnd(finished=False, not_before=None, notes=notes), row, error
    raise Transient("the connector ended without a last page")


def _begin_pass(run: Run, row: PartRow, *, because: str | None = None) -> PartRow:
    with run.database.transaction(run.place.workspace) as tx:
        parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
        pass_id = parts.begin_pass(tx, run.place, row, run.stream.normaliser)
        documents.forget_seen(tx, run.place, row.part_key)
        if because is not None:
            entry = Entry(Event.STREAM_RESYNC, None, {"part": row.part_key.hex(), "reason": because})
            feed.append(tx, run.place.workspace, [entry], connection_id=run.place.connection, stream=run.place.stream)
        run.lease.fence(tx)
    return replace(
        row, pass_id=pass_id, in_full_pass=True, sweeping=False, sealed_cursor=None, normaliser=run.stream.normaliser
    )


def _end_part(run: Run, row: PartRow, notes: RunNotes) -> RunEnd:
    if row.in_full_pass:
        end = sweep(run, row, notes)
        if not end.finished:
            return end
        notes = end.notes
    elif row.set_aside and run.stream.whereabouts is not None:
        sweep_unanswered(run, run.stream.whereabouts, row, notes)
    notes.parts_done.append(row.part_key.hex())
    return RunEnd(finished=True, not_before=None, notes=notes)


def _finish(run: Run, notes: RunNotes) -> None:
    """Plan the stream anew; its first end is announced, since only now what is held is all there is."""
    with run.database.transaction(run.place.workspace) as tx:
        before = parts.read_stream(tx, run.place)
        parts.stream_synced(tx, run.place)
        if before is not None and before.synced_at is None:
            entry = Entry(Event.STREAM_SYNCED, None, {"saved": notes.saved, "parts_failed": len(notes.parts_failed)})
            feed.append(tx, run.place.workspace, [entry], connection_id=run.place.connection, stream=run.place.stream)
        run.lease.fence(tx, notes.as_progress())

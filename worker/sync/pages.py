"""Commits one page of a part, whole or not at all (P1).

    lock the connection in its epoch ─▶ by which rules? ─▶ what do we hold? ─▶ decide ─▶ seal ─▶ documents · lookups ·
    deletions · quarantine ─▶ cursor and counters ─▶ feed ─▶ fence

The transaction's first statement fails after a stop, its last after the lease is lost; between them it touches
nothing that another job of this stream could hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from worker.measures import CampaignDay, Slice
from worker.privacy.retention import Retention
from worker.records import FULL_PASS, Page, Record, date_of, identifiers_of, normal_form
from worker.store import documents, feed, measures, parts, retention
from worker.store.database import Connection
from worker.store.documents import SealedDocument
from worker.store.feed import Entry, Event
from worker.store.parts import PartRow
from worker.sync.decisions import Arrived, PageDecision, Save, decide_page, deletions_allowed
from worker.sync.run import Run, RunNotes
from worker.sync.slices import SliceDecision, decide_slice, sorted_out, write_slice


@dataclass(frozen=True, slots=True)
class PreparedPage:
    """A page whose keys are HMACs and whose normal forms are encoded: made ahead, outside any transaction.

    `sealed` are its records in their order, where they were sealed ahead.
    """

    page: Page
    arrived: tuple[Arrived, ...]
    measured: tuple[CampaignDay, ...]
    sealed: tuple[SealedDocument, ...] | None
    tombstones: tuple[bytes, ...]
    present: tuple[bytes, ...]
    refused: tuple[tuple[bytes, str, str], ...]
    set_aside: frozenset[str]
    cursor: bytes


def prepare(run: Run, part: bytes, page: Page, *, seal: bool = False) -> PreparedPage:
    """Encode and digest a page. Costs processor time only, and runs while the page before it commits.

    `seal` asks to seal its records already, unseen whether they changed: it is for pages whose records mostly did.
    """
    seals, stream = run.seals, run.stream
    measured, refused = sorted_out(page)
    arrived = tuple(_arrived(run, part, number, record) for number, record in enumerate(page.records))
    return PreparedPage(
        page=page,
        arrived=arrived,
        measured=measured,
        sealed=tuple(_seal(run, each, page) for each in arrived) if seal else None,
        tombstones=tuple(seals.document_key(stream.name, key) for key in page.tombstones),
        present=tuple(seals.document_key(stream.name, key) for key in page.present),
        refused=tuple((seals.document_key(stream.name, item.key), item.reason, item.detail[:200]) for item in refused),
        set_aside=frozenset(item.key for item in refused),
        cursor=seals.seal("part.cursor", part, page.cursor),
    )


def commit_page(run: Run, part: PartRow, prepared: PreparedPage, notes: RunNotes) -> tuple[PartRow, RunNotes]:
    """Commit a page; returns the part and the notes as they stand after it. The notes are those given, brought forward.

    Raises:
        ConnectionStopped: the connection was stopped meanwhile; nothing was written.
        LeaseLost: another worker has the job or turned the page; nothing was written.
        Misconfigured: no policy has a rule for a kind of record on the page; nothing was written.
    """
    page, last = prepared.page, not prepared.page.more
    sweeping = last and part.in_full_pass and page.covers == FULL_PASS
    with run.database.transaction(run.place.workspace) as tx:
        rules = Retention.of(retention.begin_page(tx, run.place.workspace, run.place.connection, run.epoch))
        decision = _decide(run, tx, part, prepared, notes, rules)
        with tx.pipeline():
            entries, hold_id = _write(run, tx, part, prepared, decision, notes, rules)
            parts.turn_page(
                tx,
                run.place,
                part.part_key,
                page_number=part.page_number,
                cursor=prepared.cursor,
                counters=decision.counters,
                last=last and not sweeping,
                sweeping=sweeping,
            )
            after = _after(notes, decision)
            if page.total_hint is not None:
                after.total_hint = page.total_hint
            feed.append(tx, run.place.workspace, entries, connection_id=run.place.connection, stream=run.place.stream)
        run.lease.fence(tx, after.as_progress())
    # What this page held back or set aside, a later page of the same run may show again.
    turned = replace(
        part,
        page_number=part.page_number + 1,
        sealed_cursor=prepared.cursor,
        sweeping=sweeping,
        hold_id=hold_id,
        set_aside=part.set_aside or bool(prepared.refused),
    )
    # The same notes, so that an error in a later page does not take this one's numbers along.
    notes.become(after)
    return turned, notes


def _after(notes: RunNotes, decision: PageDecision | SliceDecision) -> RunNotes:
    after = notes.plus(decision.counters)
    if isinstance(decision, SliceDecision):
        # What was gone from a slice is found as a sweep finds it: no page shows it.
        after.swept += len(decision.gone)
        after.part_deleted += len(decision.gone)
        after.part_total += decision.held_before
    return after


def _arrived(run: Run, part: bytes, number: int, record: Record) -> Arrived:
    plain = normal_form(record.body)
    name = run.stream.name
    return Arrived(
        key=run.seals.document_key(name, record.key),
        digest=run.seals.digest(name, run.stream.normaliser, plain),
        kind=record.kind,
        plain=plain,
        index_of=number,
        previous=tuple([run.seals.document_key(name, key) for key in record.previous_keys]),
        part=part if record.part is None else run.seals.part_key(name, record.part),
        dated=date_of(record.body),
    )


def _decide(
    run: Run, tx: Connection, part: PartRow, prepared: PreparedPage, notes: RunNotes, rules: Retention
) -> PageDecision | SliceDecision:
    of = prepared.page.covers
    if isinstance(of, Slice):
        rules.require([run.stream.kind])
        # Days whose time is over are neither taken in again nor taken for gone: the sweep has them.
        oldest = rules.oldest_day(run.stream.kind)
        shown = [measure for measure in prepared.measured if measure.day >= oldest]
        held_days = measures.held(tx, run.place, part.part_key, max(of.first, oldest), of.last)
        return decide_slice(
            of,
            shown,
            prepared.set_aside,
            held_days,
            read_before=notes.part_total,
            deleted_before=notes.part_deleted,
            skipped=prepared.page.skipped + len(prepared.measured) - len(shown),
        )
    rules.require(record.kind for record in prepared.arrived)
    keys = {record.key for record in prepared.arrived}
    keys.update(key for record in prepared.arrived for key in record.previous)
    keys.update(prepared.tombstones)
    keys.update(prepared.present)
    held = documents.held(tx, run.place, sorted(keys))
    return decide_page(
        prepared.arrived,
        prepared.tombstones,
        prepared.present,
        held,
        retention=rules,
        deletions_left=deletions_allowed(notes.part_total) - notes.part_deleted,
        part=part.part_key,
        skipped=prepared.page.skipped,
        refused=len(prepared.refused),
    )


def _write(
    run: Run,
    tx: Connection,
    part: PartRow,
    prepared: PreparedPage,
    decision: PageDecision | SliceDecision,
    notes: RunNotes,
    rules: Retention,
) -> tuple[list[Entry], int | None]:
    """Write what was decided; returns what to announce, and the part's open hold, if there is one."""
    if isinstance(decision, SliceDecision):
        entries, hold_id = write_slice(run, tx, part, decision, notes, rules)
    else:
        entries, hold_id = _write_records(run, tx, part, prepared, decision, notes)
    if prepared.refused:
        documents.quarantine(tx, run.place, part.part_key, prepared.refused)
    return entries, hold_id


def _write_records(
    run: Run, tx: Connection, part: PartRow, prepared: PreparedPage, decision: PageDecision, notes: RunNotes
) -> tuple[list[Entry], int | None]:
    place, key = run.place, part.part_key
    saved = [save.record for save in decision.saves]
    if prepared.sealed is not None:
        sealed = [prepared.sealed[record.index_of] for record in saved]
    else:
        sealed = [_seal(run, record, prepared.page) for record in saved]
    sealed = [msgspec.structs.replace(each, life=save.life) for each, save in zip(sealed, decision.saves, strict=True)]
    stale = _stale_lookups(decision.saves, sealed)
    moved = [old for save in decision.saves for old in save.moved_from]
    documents.unindex(tx, place, stale)
    by_part: dict[bytes, list[SealedDocument]] = {}
    for save, document in zip(decision.saves, sealed, strict=True):
        by_part.setdefault(save.record.part, []).append(document)
    documents.save(tx, place, key, part.pass_id, by_part.pop(key, []))
    if by_part:
        names = {save.record.part: prepared.page.records[save.record.index_of].part for save in decision.saves}
        for other, moved_there in sorted(by_part.items()):
            add_part_for(run, tx, names[other] or "")
            documents.save(tx, place, other, documents.NO_PASS, moved_there)
    documents.renew(tx, place, decision.renewed)
    # What cannot be read is there all the same: the version of it that we hold is kept.
    set_aside = [document_key for document_key, _, _ in prepared.refused]
    if part.in_full_pass:
        documents.note_seen(tx, place, key, part.pass_id, [*decision.unchanged, *set_aside])
    documents.take_back_word(tx, place, part.pass_id, [*decision.kept, *set_aside])
    expired = [document_key for document_key, _ in decision.expired]
    if moved or decision.deletes or expired:
        documents.delete(tx, place, [*moved, *decision.deletes, *expired])
    shown = [*(document.document_key for document in sealed), *decision.unchanged, *expired]
    if part.hold_id is not None:
        parts.release_items(tx, place, part.hold_id, [*shown, *set_aside])
    if part.set_aside:
        # What is gone at the provider is not waited for any longer either.
        documents.leave_quarantine(tx, place, [*shown, *prepared.tombstones])

    entries = [_announce(save) for save in decision.saves]
    entries += [Entry(Event.RECORD_DELETED, document_key) for document_key in decision.deletes]
    entries += [Entry(Event.RECORD_EXPIRED, document_key, {"rule": rule}) for document_key, rule in decision.expired]
    if not decision.held_back:
        return entries, part.hold_id
    hold_id, news = hold(run, tx, part, decision.held_back, notes.part_total)
    return entries + news, hold_id


def add_part_for(run: Run, tx: Connection, part: str) -> bytes:
    """See to it that a part which records moved to has a row, so that they can end with it; returns its key."""
    key = run.seals.part_key(run.stream.name, part)
    parts.add_part(tx, run.place, key, run.seals.seal("part.key", key, f"{part}\n".encode()))
    return key


def hold(run: Run, tx: Connection, part: PartRow, keys: Sequence[bytes], total: int) -> tuple[int, list[Entry]]:
    """Put deletions on hold; returns the hold, and announces only what is new in it."""
    hold_id, added = parts.hold_deletions(tx, run.place, part.part_key, keys, total)
    if not added:
        return hold_id, []
    return hold_id, [Entry(Event.DELETIONS_HELD, None, {"hold_id": hold_id, "count": added, "part_total": total})]


def _seal(run: Run, arrived: Arrived, page: Page) -> SealedDocument:
    body = page.records[arrived.index_of].body
    return SealedDocument(
        document_key=arrived.key,
        kind=arrived.kind.value,
        digest=arrived.digest,
        sealed=run.seals.seal("document.body", arrived.key, arrived.plain),
        blind=b"".join(run.blind(tuple(identifiers_of(body)))),
    )


def _stale_lookups(saves: Sequence[Save], sealed: Sequence[SealedDocument]) -> list[tuple[bytes, bytes]]:
    stale: list[tuple[bytes, bytes]] = []
    for save, document in zip(saves, sealed, strict=True):
        if save.held is not None and save.held.blind != document.blind:
            old = set(documents.blind_values(save.held.blind)) - set(documents.blind_values(document.blind))
            stale += ((value, document.document_key) for value in old)
    return sorted(stale)


def _announce(save: Save) -> Entry:
    if save.moved_from:
        return Entry(Event.RECORD_MOVED, save.record.key, {"previous_key": save.moved_from[0].hex()})
    return Entry(Event.RECORD_SAVED, save.record.key)

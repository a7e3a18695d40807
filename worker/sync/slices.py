"""What a page of measures means for the slice of days that it speaks of, and the writing of it.

    rows ─▶ set aside what no table could keep ─▶ last occurrence of each (campaign, day) ─▶ compare with what we hold
        ─▶ saves · unchanged · gone · held back ─▶ written, and announced as one slice

A slice is replaced whole: what we hold in it and the page did not show is gone. A deletion is unusual when more than
fifty rows, and more than a fifth of what we held in the slices that this run has read, would go; then those of this
page wait for a word (P12). The measure is what was read and not the whole account: of three years of days, a month that
a provider forgets is too little to be noticed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date as Date  # noqa: N812 - as in `worker.measures`

from worker.errors import BadRecord
from worker.measures import CampaignDay, Slice, faults_of, measure_key, slice_fault
from worker.privacy.retention import Retention
from worker.records import Page, Refused
from worker.store import documents, measures, parts
from worker.store.database import Connection
from worker.store.feed import Entry, Event
from worker.store.measures import HeldDay, Key
from worker.store.parts import Counters, PartRow
from worker.sync.decisions import deletions_allowed
from worker.sync.run import Run, RunNotes


@dataclass(frozen=True, slots=True)
class SliceDecision:
    """What to do with a page of measures; each list is sorted by key. `held_before` is what we held of the slice.

    `released` are rows that waited in a hold, or were kept by a person's word, and are shown again as they were.
    `readable` are all rows that the page showed and that could be read.
    """

    of: Slice
    readable: tuple[Key, ...]
    saves: tuple[CampaignDay, ...]
    released: tuple[Key, ...]
    gone: tuple[Key, ...]
    held_back: tuple[Key, ...]
    counters: Counters
    held_before: int


def sorted_out(page: Page) -> tuple[tuple[CampaignDay, ...], tuple[Refused, ...]]:
    """The measures of a page that can be kept, and all that is set aside of it.

    Raises:
        BadRecord: the slice itself cannot be: it has no currency, say. It is its part's own.
    """
    if not isinstance(page.covers, Slice):
        if page.measures:
            raise BadRecord("The connector gave measures without the slice of days that they belong to.")
        return (), page.refused
    if page.records or page.tombstones or page.present:
        raise BadRecord("The connector gave records on a page that speaks of a slice of days.")
    fault = slice_fault(page.covers)
    if fault is not None:
        raise BadRecord(f"The slice of days cannot be kept: {fault}.")
    good: list[CampaignDay] = []
    refused: list[Refused] = list(page.refused)
    for measure in page.measures:
        faults = ", ".join(faults_of(measure, page.covers))
        if faults:
            refused.append(Refused(measure_key(measure.campaign_id, measure.day), BadRecord.reason, faults))
        else:
            good.append(measure)
    return tuple(good), tuple(refused)


def decide_slice(
    of: Slice,
    shown: Sequence[CampaignDay],
    set_aside: Collection[str],
    held: Mapping[Key, HeldDay],
    *,
    read_before: int,
    deleted_before: int,
    skipped: int = 0,
) -> SliceDecision:
    """Compare a slice with what we hold of it. Pure.

    `set_aside` are the keys (`measure_key`) of rows that could not be read: the version of them that we hold is kept.
    `read_before` and `deleted_before` count what this run held in the slices that it has read, and deleted of it.
    """
    latest = {(measure.campaign_id, measure.day): measure for measure in shown}
    account = (of.time_zone, of.currency, of.account_id)
    saves: list[CampaignDay] = []
    released: list[Key] = []
    for key in sorted(latest, key=_by_day):
        before = held.get(key)
        if before is None or before.measure != latest[key] or before.account != account:
            saves.append(latest[key])
        elif before.hold_id is not None or before.kept:
            released.append(key)
    absent = (
        key
        for key, row in held.items()
        if key not in latest and row.hold_id is None and not row.kept and measure_key(*key) not in set_aside
    )
    gone = tuple(sorted(absent, key=_by_day)) if of.whole else ()
    too_many = len(gone) > deletions_allowed(read_before + len(held)) - deleted_before
    return SliceDecision(
        of=of,
        readable=tuple(latest),
        saves=tuple(saves),
        released=tuple(released),
        gone=() if too_many else gone,
        held_back=gone if too_many else (),
        counters=Counters(
            saved=len(saves),
            unchanged=len(latest) - len(saves),
            repeated=len(shown) - len(latest),
            skipped=skipped,
            refused=len(set_aside),
        ),
        held_before=len(held),
    )


def write_slice(
    run: Run, tx: Connection, part: PartRow, decision: SliceDecision, notes: RunNotes, rules: Retention
) -> tuple[list[Entry], int | None]:
    """Write what was decided; returns what to announce, and the part's open hold, if there is one."""
    place, key, of = run.place, part.part_key, decision.of
    measures.save(tx, place, key, of, decision.saves, *rules.age_of_days(run.stream.kind))
    measures.mark(tx, place, key, decision.released, hold_id=None)
    measures.delete(tx, place, key, decision.gone)
    oldest = rules.oldest_day(run.stream.kind)
    if of.whole and of.last >= oldest:
        measures.note_account(tx, place, key, replace(of, first=max(of.first, oldest)))
    if decision.gone:
        parts.count_swept(tx, place, key, len(decision.gone))
    if part.set_aside:
        names = [measure_key(*each) for each in (*decision.readable, *decision.gone)]
        documents.leave_quarantine(tx, place, [run.seals.document_key(place.stream, name) for name in names])
    changed = [*(measure.day for measure in decision.saves), *(day for _, day in decision.gone)]
    entries = changed_days(of.account_id, changed, saved=len(decision.saves), deleted=len(decision.gone))
    if not decision.held_back:
        return entries, part.hold_id
    total = notes.part_total + decision.held_before
    hold_id, news = hold_measures(run, tx, part, decision.held_back, total)
    return entries + news, hold_id


def hold_measures(run: Run, tx: Connection, part: PartRow, keys: Sequence[Key], total: int) -> tuple[int, list[Entry]]:
    """Put rows that are shown no more on hold; returns the hold, and announces what is new in it."""
    hold_id = parts.open_hold(tx, run.place, part.part_key, total)
    measures.mark(tx, run.place, part.part_key, keys, hold_id=hold_id)
    parts.put_off_hold(tx, run.place.workspace, hold_id)
    details = {"hold_id": hold_id, "count": len(keys), "part_total": total}
    return hold_id, [Entry(Event.DELETIONS_HELD, None, details)]


def changed_days(account_id: str, days: Iterable[Date], *, saved: int = 0, deleted: int = 0) -> list[Entry]:
    """The announcement of a slice in which something changed: one entry, whatever the number of rows."""
    changed = sorted(set(days))
    if not changed:
        return []
    details = {
        "account": account_id,
        "from": changed[0].isoformat(),
        "to": changed[-1].isoformat(),
        "saved": saved,
        "deleted": deleted,
    }
    return [Entry(Event.MEASURES_CHANGED, None, details)]


def _by_day(key: Key) -> tuple[Date, str]:
    return key[1], key[0]

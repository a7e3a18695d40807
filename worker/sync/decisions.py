"""What a page means for what we hold: pure functions of (what came, what we hold, the rules, how much may be deleted).

    page ─▶ reduce to the last occurrence of each key ─▶ outlived? ─▶ compare digests ─▶ saves · unchanged · deletes ·
                                                                                       held back · expired

A record that is past its time even as it is shown is not taken in: it is skipped, and goes if we hold it (P9). They
read nothing and write nothing; the engine does what they return.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from worker.connectors.contract import Stream
from worker.privacy.retention import Retention
from worker.records import Kind
from worker.store.documents import KEPT, Held, Life
from worker.store.parts import Counters, PartRow

HOLD_FRACTION = 5
"""More than a fifth of a part …"""
HOLD_FLOOR = 50
"""… and more than fifty records must be about to go before a run's deletions are held."""


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A record of a page, with its keys already turned into HMACs and its normal form encoded."""

    key: bytes
    digest: bytes
    kind: Kind
    plain: bytes
    index_of: int
    previous: tuple[bytes, ...] = ()
    part: bytes = b""
    dated: date | None = None


class Save(msgspec.Struct, frozen=True, gc=False):
    """A record to write. `moved_from` are the keys under which we hold the same thing until now."""

    record: Arrived
    held: Held | None
    moved_from: tuple[bytes, ...]
    life: Life


@dataclass(frozen=True, slots=True)
class PageDecision:
    """What to do with a page. Everything is sorted by key; each key stands in one list only.

    `kept` are those of the unchanged that we hold by a person's word alone, until now. `expired` are records that we
    hold and whose time is over, with the rule that says so; of the unchanged, those in `renewed` live on.
    """

    saves: tuple[Save, ...]
    unchanged: tuple[bytes, ...]
    kept: tuple[bytes, ...]
    deletes: tuple[bytes, ...]
    held_back: tuple[bytes, ...]
    expired: tuple[tuple[bytes, str | None], ...]
    renewed: tuple[tuple[bytes, Life], ...]
    counters: Counters


def deletions_allowed(part_total: int) -> int:
    """How many deletions a run may apply to a part of `part_total` records before the rest is held."""
    return max(HOLD_FLOOR, part_total // HOLD_FRACTION)


def decide_page(
    arrived: Sequence[Arrived],
    tombstones: Sequence[bytes],
    present: Sequence[bytes],
    held: Mapping[bytes, Held],
    *,
    retention: Retention,
    deletions_left: int,
    part: bytes = b"",
    skipped: int = 0,
    refused: int = 0,
) -> PageDecision:
    """Compare a page with what we hold.

    A key that comes twice counts once, by its last occurrence; a key that comes as a record and as a tombstone is a
    record, since the provider showed it. A tombstone of something that we never held is skipped, and so is one of
    something that is in another part than `part` by now: each part buries its own. If the page asks for more deletions
    than are left, all of its deletions are held back.
    """
    latest = {record.key: record for record in arrived}
    gone = set(tombstones) - latest.keys()
    still = set(present) - latest.keys() - gone
    repeated = len(arrived) + len(tombstones) + len(present) - len(latest) - len(gone) - len(still)

    saves: list[Save] = []
    unchanged: list[bytes] = []
    renewed: list[tuple[bytes, Life]] = []
    outlived: dict[bytes, str | None] = {}
    for key in sorted(latest):
        record, before = latest[key], held.get(key)
        moved_from: tuple[bytes, ...] = ()
        if record.previous:
            moved_from = tuple(old for old in record.previous if old in held and old != key and old not in latest)
        life = _life(record.kind, record.dated, retention)
        if _is_over(life.expires_at, retention):
            outlived |= dict.fromkeys((key, *moved_from), life.rule)
        elif before is None or _differs(record, before) or moved_from or _is_over(before.expires_at, retention):
            saves.append(Save(record, before, moved_from, life))
        else:
            unchanged.append(key)
            if _wants_renewal(before, retention):
                renewed.append((key, life))

    known_still = sorted(key for key in still if key in held and not _is_over(held[key].expires_at, retention))
    for key in known_still:
        before = held[key]
        if _wants_renewal(before, retention):
            renewed.append((key, _life(before.kind, before.dated, retention)))
    wanted = tuple(sorted(key for key in gone if key in held and held[key].part == part))
    hold = len(wanted) > deletions_left
    counters = Counters(
        saved=len(saves),
        unchanged=len(unchanged) + len(known_still),
        deleted=0 if hold else len(wanted),
        repeated=repeated,
        skipped=skipped
        + (len(latest) - len(saves) - len(unchanged))
        + (len(gone) - len(wanted))
        + (len(still) - len(known_still)),
        refused=refused + (len(wanted) if hold else 0),
    )
    shown_unchanged = tuple(sorted([*unchanged, *known_still]))
    return PageDecision(
        saves=tuple(saves),
        unchanged=shown_unchanged,
        kept=tuple(key for key in shown_unchanged if held[key].pass_id == KEPT),
        deletes=() if hold else wanted,
        held_back=wanted if hold else (),
        expired=tuple((key, outlived[key]) for key in sorted(outlived) if key in held and key not in wanted),
        renewed=tuple(sorted(renewed, key=lambda each: each[0])),
        counters=counters,
    )


def _differs(record: Arrived, before: Held) -> bool:
    return (before.digest, before.part) != (record.digest, record.part)


def _life(kind: str, dated: date | None, retention: Retention) -> Life:
    day = retention.day(kind, dated)
    due = retention.due(kind, day, retention.now)
    return Life(day, due.expires_at, due.rule, due.renewable)


def _is_over(expires_at: datetime | None, retention: Retention) -> bool:
    return expires_at is not None and expires_at <= retention.now


def _wants_renewal(held: Held, retention: Retention) -> bool:
    if not held.renewable or held.fetched_at is None or not retention.knows(held.kind):
        return False
    return retention.wants_renewal(held.kind, held.fetched_at)


def full_pass_is_due(row: PartRow, stream: Stream, now: datetime) -> bool:
    """Whether a part must be passed in full: it never was, its normal form changed, or the time for it has come."""
    if row.in_full_pass:
        return row.normaliser != stream.normaliser
    if row.sealed_cursor is None or row.normaliser != stream.normaliser or row.reread:
        return True
    every = stream.full_pass_every
    return every is not None and row.full_pass_at is not None and now - row.full_pass_at > every

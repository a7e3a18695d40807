"""What a page means for what we hold: pure functions of (what came, what we hold, how much may be deleted).

    page ─▶ reduce to the last occurrence of each key ─▶ compare digests ─▶ saves · unchanged · deletes · held back

They read nothing and write nothing; the engine does what they return.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from worker.connectors.contract import Stream
from worker.records import Kind
from worker.store.documents import KEPT, Held
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


class Save(msgspec.Struct, frozen=True, gc=False):
    """A record to write. `moved_from` are the keys under which we hold the same thing until now."""

    record: Arrived
    held: Held | None
    moved_from: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PageDecision:
    """What to do with a page. Everything is sorted by key; each key stands in one list only.

    `kept` are those of the unchanged that we hold by a person's word alone, until now.
    """

    saves: tuple[Save, ...]
    unchanged: tuple[bytes, ...]
    kept: tuple[bytes, ...]
    deletes: tuple[bytes, ...]
    held_back: tuple[bytes, ...]
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
    for key in sorted(latest):
        record, before = latest[key], held.get(key)
        moved_from: tuple[bytes, ...] = ()
        if record.previous:
            moved_from = tuple(old for old in record.previous if old in held and old != key and old not in latest)
        if before is not None and (before.digest, before.part) == (record.digest, record.part) and not moved_from:
            unchanged.append(key)
        else:
            saves.append(Save(record, before, moved_from))

    known_still = sorted(key for key in still if key in held)
    wanted = tuple(sorted(key for key in gone if key in held and held[key].part == part))
    hold = len(wanted) > deletions_left
    counters = Counters(
        saved=len(saves),
        unchanged=len(unchanged) + len(known_still),
        deleted=0 if hold else len(wanted),
        repeated=repeated,
        skipped=skipped + (len(gone) - len(wanted)) + (len(still) - len(known_still)),
        refused=refused + (len(wanted) if hold else 0),
    )
    shown_unchanged = tuple(sorted([*unchanged, *known_still]))
    return PageDecision(
        saves=tuple(saves),
        unchanged=shown_unchanged,
        kept=tuple(key for key in shown_unchanged if held[key].pass_id == KEPT),
        deletes=() if hold else wanted,
        held_back=wanted if hold else (),
        counters=counters,
    )


def full_pass_is_due(row: PartRow, stream: Stream, now: datetime) -> bool:
    """Whether a part must be passed in full: it never was, its normal form changed, or the time for it has come."""
    if row.in_full_pass:
        return row.normaliser != stream.normaliser
    if row.sealed_cursor is None or row.normaliser != stream.normaliser:
        return True
    every = stream.full_pass_every
    return every is not None and row.full_pass_at is not None and now - row.full_pass_at > every

"""What one run of a stream is given, what it keeps in mind, and how it ends.

A run is what a `sync_stream` job does from its beginning to the stream's end; it may take many time slices, in many
processes. What it keeps in mind between them is `RunNotes`, in the job's progress: numbers, codes and HMACs only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from worker.connectors.contract import Session, Stream
from worker.records import Identifier
from worker.store.database import Connection, Database
from worker.store.documents import StreamPlace
from worker.store.parts import Counters


class Lease(Protocol):
    """The right to work on the job; jobs fill it."""

    def fence(self, tx: Connection, progress: dict[str, Any] | None = None) -> None:
        """Write the progress if the lease still holds: the last statement of every transaction.

        Raises:
            LeaseLost: another worker holds the job, or it was cancelled.
        """

    def out_of_time(self) -> bool:
        """Whether the time slice is over or the process is stopping."""


class RecordSeals(Protocol):
    """What the engine needs of a connection's records key and index key; the vault fills it."""

    def seal(self, label: str, row: bytes, plaintext: bytes, version: int = 0) -> bytes:
        """Seal for a place."""

    def open(self, label: str, row: bytes, sealed: bytes, version: int = 0) -> bytes:
        """Open what was sealed for that place."""

    def document_key(self, stream: str, provider_id: str) -> bytes:
        """The stable key of a record."""

    def part_key(self, stream: str, part: str) -> bytes:
        """The stable key of a part."""

    def digest(self, stream: str, normaliser: int, normal_form: bytes) -> bytes:
        """By which an unchanged record is recognised."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a time slice of a run works with."""

    database: Database
    place: StreamPlace
    epoch: int
    stream: Stream
    session: Session
    seals: RecordSeals
    blind: Callable[[tuple[Identifier, ...]], list[bytes]]
    lease: Lease
    now: Callable[[], datetime]


@dataclass(slots=True)
class RunNotes:
    """What a run remembers between time slices, and what a person who watches it sees.

    `part`, `part_total`, `part_deleted` and `resynced` speak of the part that is being read (in a stream of measures,
    `part_total` is what was held of the slices that were read of it), `asked_to` of its sweep, which asks the provider
    where unseen records are, and how far it came; `parts_done` and `parts_failed` of the whole run.
    `parts_put_off` counts for each part how often it failed for a moment while others went on.
    `total_hint` is how many records the provider said there are.
    """

    started_at: datetime
    pages: int = 0
    seen: int = 0
    saved: int = 0
    unchanged: int = 0
    deleted: int = 0
    repeated: int = 0
    skipped: int = 0
    refused: int = 0
    swept: int = 0
    total_hint: int | None = None
    part: str | None = None
    part_total: int = 0
    part_deleted: int = 0
    asked_to: str | None = None
    resynced: bool = False
    parts_done: list[str] = field(default_factory=list)
    parts_failed: dict[str, str] = field(default_factory=dict)
    parts_put_off: dict[str, int] = field(default_factory=dict)

    @classmethod
    def resume(cls, progress: dict[str, Any] | None, now: datetime) -> "RunNotes":
        """The notes in a job's progress, or fresh ones."""
        if not progress or "started_at" not in progress:
            return cls(started_at=now)
        known = {name: progress[name] for name in cls.__dataclass_fields__ if name in progress}
        return cls(**{**known, "started_at": datetime.fromisoformat(progress["started_at"])})

    def as_progress(self) -> dict[str, Any]:
        """For the job's row."""
        notes = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**notes, "started_at": self.started_at.isoformat()}

    @property
    def has_begun(self) -> bool:
        """Whether an earlier time slice came to anything, if only to parts that failed."""
        return bool(self.pages or self.parts_done or self.parts_failed or self.parts_put_off)

    def turn_to(self, part: bytes, total: int) -> None:
        """Begin to read a part, unless it is the one that was being read."""
        if self.part != part.hex():
            self.part, self.part_total, self.part_deleted, self.resynced = part.hex(), total, 0, False
            self.asked_to = None

    def become(self, after: "RunNotes") -> None:
        """Take over what `plus` gave, once its page is committed."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(after, name))

    def plus(self, counters: Counters) -> "RunNotes":
        """The notes after a page; the notes themselves change only once the page is committed."""
        sums = {name: getattr(self, name) + number for name, number in counters.as_dict().items()}
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return RunNotes(
            **{
                **values,
                **sums,
                "pages": self.pages + 1,
                "part_deleted": self.part_deleted + counters.deleted,
            }
        )


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a time slice ended: finished, to be continued, or parked until a time that the connector named."""

    finished: bool
    not_before: datetime | None
    notes: RunNotes

"""What the failure of one part of a stream means for the run: the others go on, unless it is not the part that fails.

    Transient          the part is put last, and the job tried again for it; left for the next run after three times.
                       Three such parts in a row: it is the provider, and raised
    PartThrottled      no request for it before its time; the job waits for that once all others are done, if it is
                       short, and otherwise leaves the part for the next run
    PartClosed         noted, and not asked for again before its time, whichever run it is
    NotFound, ProviderRefused, SetAside
                       noted; asked for again by the next run

All other errors concern the connection or us, and are raised. So are those of a part that has no others beside it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from worker.errors import (
    CrmSyncError,
    NotFound,
    PartClosed,
    PartThrottled,
    ProviderRefused,
    RunAgainLater,
    SetAside,
    Transient,
)
from worker.store import feed, parts
from worker.store.feed import Entry, Event
from worker.store.parts import PartRow
from worker.sync.run import Run, RunNotes

OWN_TO_A_PART: Final = (NotFound, PartThrottled, ProviderRefused, SetAside, Transient)
"""Errors that may be one part's own."""
PATIENCE: Final = 3
"""After so many parts in a row that fail for a moment it is the provider that does; and so often each is tried."""
WORTH_WAITING: Final = timedelta(minutes=2)
"""Meanwhile the job is parked, and nobody can have the other parts read once more."""


class Setbacks:
    """What went wrong with the parts of a stream in one time slice; see the top of this file."""

    def __init__(self, run: Run, *, alone: bool) -> None:
        self._run = run
        self._alone = alone
        self._in_a_row = 0
        self._waiting: list[RunAgainLater] = []

    def none(self) -> None:
        """A part was read: the provider is there."""
        self._in_a_row = 0

    def meet(self, row: PartRow, error: CrmSyncError, notes: RunNotes) -> None:
        """Note what a part failed with, in the notes and with the part.

        Raises:
            CrmSyncError: the error, if it is not the part's own affair.
        """
        if isinstance(error, Transient):
            self._in_a_row += 1
            if self._alone or self._in_a_row == PATIENCE:
                raise error
            self._put_off(row, error, notes)
            return
        self._in_a_row = 0
        if isinstance(error, PartThrottled):
            if self._alone:
                raise error
            self._let_rest(row, error, notes)
            return
        if row.rests_for is None:
            note_failure(self._run, row, error)
        if self._alone:
            raise error
        notes.parts_failed[row.part_key.hex()] = error.reason

    def raise_what_waits(self, notes: RunNotes) -> None:
        """End the time slice if a part is to be tried again; the job then finds the parts that are done in its notes.

        Raises:
            RunAgainLater: why it waits, and until when, if that is known.
        """
        if not self._waiting:
            return
        with self._run.database.transaction(self._run.place.workspace) as tx:
            self._run.lease.fence(tx, notes.as_progress())
        raise next_to_be_tried(self._waiting)

    def _let_rest(self, row: PartRow, error: PartThrottled, notes: RunNotes) -> None:
        rest = rest_of(error, self._run.now()) or timedelta(0)
        if rest > WORTH_WAITING:
            if row.rests_for is None:
                note_failure(self._run, row, error)
            notes.parts_failed[row.part_key.hex()] = error.reason
            return
        if row.rests_for is not None:
            self._waiting.append(error)  # It was not asked, so that is no further time.
            return
        with self._run.database.transaction(self._run.place.workspace) as tx:
            parts.part_rests(tx, self._run.place, row.part_key, rest)
            self._run.lease.fence(tx)
        self._put_off(row, error, notes)

    def _put_off(self, row: PartRow, error: RunAgainLater, notes: RunNotes) -> None:
        """Leave a part for later; or, when it was left too often, to the next run."""
        key = row.part_key.hex()
        notes.parts_put_off[key] = notes.parts_put_off.get(key, 0) + 1
        if notes.parts_put_off[key] < PATIENCE:
            self._waiting.append(error)
            return
        note_failure(self._run, row, error)
        notes.parts_failed[key] = error.reason


def require_awake(row: PartRow, now: datetime) -> None:
    """Let a part alone that the provider wants to be left alone.

    Raises:
        PartClosed, PartThrottled: as the provider said when it was asked last. Nothing was asked now.
    """
    if row.rests_for is None:
        return
    until = now + row.rests_for
    if row.error_reason == PartClosed.reason:
        raise PartClosed(f"The provider has closed this account; it is asked again from {until:%Y-%m-%d %H:%M} UTC.",
                         until=until)  # fmt: skip
    raise PartThrottled("The provider asked us to slow down with this part.", until=until)


def rest_of(error: CrmSyncError, now: datetime) -> timedelta | None:
    """For how long a part is to be left alone after an error, if anybody said so. Pure."""
    until = error.until if isinstance(error, PartClosed | PartThrottled) else None
    return None if until is None else max(until - now, timedelta(0))


def next_to_be_tried(waiting: Sequence[RunAgainLater]) -> RunAgainLater:
    """Of what the job waits for, what is to be tried first: that which has no time of its own, or the soonest. Pure."""
    timeless = (error for error in waiting if error.until is None)
    return next(timeless, None) or min(waiting, key=lambda error: error.until.timestamp() if error.until else 0)


def note_failure(run: Run, row: PartRow, error: CrmSyncError) -> None:
    """Write down why a part cannot be read; it is announced when that is news."""
    with run.database.transaction(run.place.workspace) as tx:
        parts.part_failed(tx, run.place, row.part_key, error.reason, rest_of(error, run.now()))
        if row.error_reason != error.reason:
            entry = Entry(Event.PART_FAILED, None, {"part": row.part_key.hex(), "reason": error.reason})
            feed.append(tx, run.place.workspace, [entry], connection_id=run.place.connection, stream=run.place.stream)
        run.lease.fence(tx)

"""Reading records and the feed, opened: each opening is written into the audit log first, with who and why.

all records, page by page ─▶ the feed from the position that they name ─▶ … and all anew, after PositionSwept
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from worker.client.overview import Overview
from worker.errors import BadRecord, BadRequest, KeyShredded, NotFound, SealBroken
from worker.records import Body, Kind, read_normal_form
from worker.store import records_view
from worker.store.database import translated_errors
from worker.store.records_view import Bounds, News, Place, SealedRecord, key_bytes
from worker.vault.keys import RecordKeys


@dataclass(frozen=True, slots=True)
class Record:
    """One record, opened. `key` is its name here and never changes while it lives; not the provider's id."""

    connection_id: UUID
    stream: str
    key: str
    kind: Kind
    body: Body = field(repr=False)
    updated_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the feed. `event` is a code of `worker.store.feed.Event`.

    `record` is the record as it is now, not as it was at this position; None if the entry is about none, if it was
    deleted since, or if it was not asked for. `problem` names why one that is still kept did not open.
    """

    position: int
    at: datetime
    event: str
    connection_id: UUID | None
    stream: str | None
    key: str | None
    details: dict[str, Any]
    record: Record | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """One record that is held. `record` is None if it was not asked for, or did not open: `problem` names why."""

    connection_id: UUID
    stream: str
    key: str
    record: Record | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RecordsPage:
    """A part of all records. `next` asks for the one after it, and is None on the last.

    After the last page, the feed goes on from `position`, which is the same on all pages. What changed while they were
    read comes there (again), so a deletion there of what no page showed is nothing to do.
    """

    items: list[Held]
    position: int
    next: str | None


class Records(Overview):
    """The part of `Client` that follows what changed, and opens records."""

    def feed(self, after: int = 0, limit: int = 500, *, open_records: bool = True) -> list[Change]:
        """The next `limit` changes after a position, in order and without gaps.

        Raises:
            PositionSwept: what came next is not kept any more. Read all `records` anew, drop what you hold and do not
                find there, and go on from the position that they name; measures, connections and streams likewise.
            BadRequest: `limit` is below 1.
        """
        with self._database.transaction(self.workspace) as tx:
            rows = records_view.changes(tx, self.workspace, after, limit, with_records=open_records)
            sealed = [row.record for row in rows if row.record is not None]
            if sealed:
                span = {"after": after, "through": rows[-1].position, "records": len(sealed)}
                self._write_down(tx, "feed.opened", span)
        opened = dict(zip(map(id, sealed), self._open_each(sealed), strict=True))
        changes = []
        for row in rows:
            record, problem = opened[id(row.record)] if row.record is not None else (None, None)
            key = row.document_key.hex() if row.document_key is not None else None
            change = Change(
                row.position, row.at, row.event, row.connection_id, row.stream, key, row.details, record, problem
            )
            changes.append(change)
        return changes

    def feed_head(self) -> int:
        """The last position of the workspace's feed."""
        return self.feed_bounds().head

    def feed_bounds(self) -> Bounds:
        """From where to where the workspace's feed is kept."""
        with self._database.transaction(self.workspace) as tx:
            return records_view.bounds(tx, self.workspace)

    def records(self, after: str | None = None, limit: int = 500, *, open_records: bool = True) -> RecordsPage:
        """Every record that is held, page by page; `after` is `next` of the page before.

        A page may be asked for again, also by another process. Campaign days are `measures`.

        Raises:
            BadRequest: `after` is not from a page, or `limit` is below 1.
        """
        with self._database.transaction(self.workspace) as tx:
            # The head comes before the records: what commits in between is in the feed after it.
            place = Place.of(after) if after is not None else Place(records_view.bounds(tx, self.workspace).head)
            sealed = records_view.after(tx, self.workspace, place, limit)
            if sealed and open_records:
                self._write_down(tx, "records.opened", {"position": place.position, "records": len(sealed)})
        opened = self._open_each(sealed) if open_records else repeat((None, None))
        items = [
            Held(row.connection_id, row.stream, row.document_key.hex(), record, problem)
            for row, (record, problem) in zip(sealed, opened, strict=False)
        ]
        if len(sealed) < limit:
            return RecordsPage(items, place.position, None)
        last = sealed[-1]
        at_last = Place(place.position, last.connection_id, last.stream, last.document_key)
        return RecordsPage(items, place.position, at_last.token())

    def feed_news(self, reader: str) -> list[News]:
        """Every workspace, not just this one, whose feed has gone past what `reader` acknowledged."""
        with self._database.transaction() as tx:
            return records_view.news(tx, reader)

    def read_position(self, reader: str) -> int:
        """How far `reader` has acknowledged the workspace's feed."""
        with self._database.transaction(self.workspace) as tx:
            return records_view.read_position(tx, self.workspace, reader)

    def acknowledge(self, reader: str, position: int, *, connection: psycopg.Connection[Any] | None = None) -> int:
        """Note that `reader` has dealt with everything up to `position`; returns where it stands. It never goes back.

        With `connection`, within your own transaction, so that what you did and how far you got commit together.

        Raises:
            BadRequest: the feed has not come so far.
        """
        if connection is None:
            with self._database.transaction(self.workspace) as tx:
                return records_view.acknowledge(tx, self.workspace, reader, position)
        with translated_errors():
            return records_view.acknowledge(connection, self.workspace, reader, position)

    # Single records.

    def record(self, connection_id: UUID, stream: str, key: str) -> Record:
        """One record.

        Raises:
            NotFound: there is none of that key, or no longer.
            SealBroken: what is kept under the key is not what was put there.
            BadRecord: another release wrote it, in a form that this one does not know.
        """
        with self._database.transaction(self.workspace) as tx:
            sealed = records_view.one(tx, self.workspace, connection_id, stream, key_bytes(key))
            if sealed is None:
                raise NotFound(f"Connection {connection_id} holds no record {key} in stream «{stream}».")
            details = {"connection_id": str(connection_id), "stream": stream, "key": key, "records": 1}
            self._write_down(tx, "record.opened", details)
        return _opened(self._record_keys(connection_id), sealed)

    def search(self, *, email: str | None = None, phone: str | None = None, limit: int = 200) -> list[Record]:
        """The records that name a person, by one address or one number.

        A record that does not open is left out; `records` shows it with its problem.

        Raises:
            BadRequest: neither or both are given, or it is nothing that could be searched by.
        """
        if (email is None) == (phone is None):
            raise BadRequest("Search by an e-mail address or by a phone number: one of the two.")
        if not (email or phone or "").strip():
            raise BadRequest("There is nothing to search by: the address or number is empty.")
        region = self.workspace_facts().default_region
        index = self._key_store().known_blind_index(self.workspace, region)
        if index is None:
            # Nothing was ever synced into this workspace, so nobody can be found in it.
            return []
        values = index.email(email) if email is not None else index.phone(phone or "")
        if not values:
            raise BadRequest("That is no phone number that anything could be found by: it has too few digits.")
        with self._database.transaction(self.workspace) as tx:
            sealed = records_view.found(tx, self.workspace, values, limit)
            by = "email" if email is not None else "phone"
            self._write_down(tx, "records.searched", {"by": by, "records": len(sealed)}, subjects=values)
        return [record for record, _ in self._open_each(sealed) if record is not None]

    def _open_each(self, sealed: Sequence[SealedRecord]) -> list[tuple[Record | None, str | None]]:
        """Each record, or why it did not open; the keys are loaded once for each connection and kept no longer."""
        keys: dict[UUID, RecordKeys] = {}
        result: list[tuple[Record | None, str | None]] = []
        for item in sealed:
            try:
                if item.connection_id not in keys:
                    keys[item.connection_id] = self._record_keys(item.connection_id)
                result.append((_opened(keys[item.connection_id], item), None))
            except (SealBroken, KeyShredded, BadRecord) as error:
                result.append((None, error.reason))
        return result


def _opened(keys: RecordKeys, sealed: SealedRecord) -> Record:
    plain = keys.open("document.body", sealed.document_key, sealed.sealed)
    try:
        kind = Kind(sealed.kind)
        body = read_normal_form(kind, plain)
    except (ValueError, msgspec.ValidationError):
        raise BadRecord(
            "The record was written by another release, and is of a form that this one does not know."
        ) from None
    return Record(
        sealed.connection_id,
        sealed.stream,
        sealed.document_key.hex(),
        kind,
        body,
        sealed.updated_at,
        sealed.expires_at,
    )

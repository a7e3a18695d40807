"""The feed: what we tell the CRM, in order and without gaps, one sequence of positions a workspace.

Entries are written in the transaction of what they announce. They carry codes, ids and numbers, never a person's
data; a reader opens the record itself, if it is still there. It does not read the feed: that is the CRM's side
(`worker.client`).
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("feed")


class Event(StrEnum):
    """The codes of feed entries. They are wire names: add, never rename."""

    RECORD_SAVED = "record.saved"
    """A record is new or has changed; open it by its key."""
    RECORD_MOVED = "record.moved"
    """A record is saved under a new key; `details.previous_key` names the one that is gone."""
    RECORD_DELETED = "record.deleted"
    """A record is gone at the provider, and here."""
    RECORD_EXPIRED = "record.expired"
    """A record's time here was over, by the provider's rule or the workspace's, and it was deleted: drop your copy."""
    MEASURES_CHANGED = "measures.changed"
    """Days of an ad account were restated; read `details.from` to `details.to` of `details.account` anew."""
    CONNECTION_STATE = "connection.state"
    """A connection changed its state: `details.state`, `details.reason`; `admin_consent_url` if it waits for that."""
    CONNECTION_PURGED = "connection.purged"
    """All data of a connection was deleted: `details.documents`, `details.measures`."""
    STREAM_STATE = "stream.state"
    """A stream was switched on, off, or lacks a scope: `details.state` and `details.reason`."""
    STREAM_SYNCED = "stream.synced"
    """A stream's first pass is complete; before this event, what is held is not all there is."""
    STREAM_RESYNC = "stream.resync"
    """The provider forgot our place; a full pass has begun: `details.reason`."""
    PART_FAILED = "part.failed"
    """A part of a stream (a calendar, a folder) cannot be read: `details.reason`. The other parts go on."""
    DELETIONS_HELD = "deletions.held"
    """Records that would be deleted wait for a word, or seven days from now: `details.hold_id`, `details.count`."""
    DELETIONS_DECIDED = "deletions.decided"
    """A hold was approved, rejected or applied after its time: `details.hold_id`, `details.decision`."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing to announce. `details` holds codes, numbers and addresses that anybody may see, nothing else."""

    event: Event
    document_key: bytes | None = None
    details: dict[str, Any] | None = None


def append(
    tx: Connection,
    workspace: str,
    entries: Sequence[Entry],
    *,
    connection_id: UUID | None = None,
    stream: str | None = None,
) -> None:
    """Announce `entries` in their order, all of one connection and stream; none: nothing is locked."""
    if not entries:
        return
    tx.execute(
        QUERIES["append"],
        {
            "workspace": workspace,
            "count": len(entries),
            "connection": connection_id,
            "stream": stream,
            "events": [entry.event.value for entry in entries],
            "keys": [entry.document_key for entry in entries],
            "details": [json.dumps(entry.details) if entry.details is not None else None for entry in entries],
        },
    )

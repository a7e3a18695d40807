"""A provider of our own making for tests of the engine: a world of records in parts, read in pages, with changes since.

It is no stand-in for a real connector; it is the smallest thing that keeps the contract, so that a test can say what
each page shows.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.connectors.contract import Stream
from worker.errors import CursorExpired
from worker.records import FULL_PASS, Contact, EmailAddress, Kind, Page, Part, Purpose, Record, Refused
from worker.store.database import Connection, Database


@dataclass
class World:
    """What the provider holds: for each part, records by key; and a log of changes for incremental reading."""

    parts: dict[str, dict[str, str]] = field(default_factory=lambda: {"": {}})
    log: list[tuple[str, str, str]] = field(default_factory=list)
    oldest: int = 0
    page_size: int = 3
    served: int = 0
    refuse: set[str] = field(default_factory=set)

    def put(self, key: str, name: str, part: str = "") -> None:
        self.parts[part][key] = name
        self.log.append((part, key, "put"))

    def drop(self, key: str, part: str = "") -> None:
        del self.parts[part][key]
        self.log.append((part, key, "drop"))

    def forget_changes(self) -> None:
        """Cursors handed out until now are dead."""
        self.oldest = len(self.log)

    def record(self, part: str, key: str) -> Record:
        name = self.parts[part][key]
        body = Contact(display_name=name, emails=(EmailAddress(value=f"{key}@example.com"),))
        return Record(key=f"{part}/{key}" if part else key, kind=Kind.CONTACT, body=body)

    def stream(self, **facts: Any) -> Stream:
        given: dict[str, Any] = {
            "name": "contacts",
            "purpose": Purpose.CONTACTS,
            "kind": Kind.CONTACT,
            "scopes": (),
            "interval": timedelta(minutes=15),
            "parts": self.list_parts,
            "pages": self.pages,
        }
        return Stream(**{**given, **facts})

    def list_parts(self, _session: object) -> Iterable[Part]:
        return [Part(key=name, label=name) for name in self.parts]

    def pages(self, _session: object, part: Part, cursor: bytes | None) -> Iterator[Page]:
        state = json.loads(cursor) if cursor else {"full_after": "", "since": len(self.log)}
        if "full_after" in state:
            yield from self._full(part, state)
        else:
            yield from self._changes(part, state["since"])

    def _full(self, part: Part, state: dict[str, Any]) -> Iterator[Page]:
        after = state["full_after"]
        while True:
            keys = sorted(key for key in self.parts[part.key] if key > after)[: self.page_size]
            more = bool(keys) and any(key > keys[-1] for key in self.parts[part.key])
            after = keys[-1] if keys else after
            following = {"full_after": after, "since": state["since"]} if more else {"since": state["since"]}
            self.served += 1
            yield self._page(part, keys, [], following, more=more, covers=FULL_PASS)
            if not more:
                return

    def _changes(self, part: Part, since: int) -> Iterator[Page]:
        if since < self.oldest:
            raise CursorExpired("forgotten")
        end = len(self.log)
        changes = [(key, what) for name, key, what in self.log[since:end] if name == part.key]
        chunks = [changes[start : start + self.page_size] for start in range(0, len(changes), self.page_size)] or [[]]
        position = since
        for number, chunk in enumerate(chunks):
            last = number == len(chunks) - 1
            position = end if last else self._position(part, since, (number + 1) * self.page_size)
            shown = [key for key, _ in chunk if key in self.parts[part.key]]
            gone = [f"{part.key}/{key}" if part.key else key for key, _ in chunk if key not in self.parts[part.key]]
            self.served += 1
            yield self._page(part, shown, gone, {"since": position}, more=not last)

    def _position(self, part: Part, since: int, count: int) -> int:
        places = [place for place, (name, _, _) in enumerate(self.log) if place >= since and name == part.key]
        return places[count - 1] + 1

    def _page(
        self,
        part: Part,
        keys: list[str],
        gone: list[str],
        cursor: dict[str, Any],
        *,
        more: bool,
        covers: str | None = None,
    ) -> Page:
        return Page(
            records=tuple(self.record(part.key, key) for key in keys if key not in self.refuse),
            refused=tuple(Refused(key, "bad_record", "names[0]") for key in keys if key in self.refuse),
            tombstones=tuple(gone),
            cursor=json.dumps(cursor).encode(),
            more=more,
            covers=covers,
        )


class QuietSession:
    """A session for a connector that asks nobody."""

    http = None

    @property
    def options(self) -> dict[str, int | str]:
        return {}

    def now(self) -> datetime:
        return datetime.now(UTC)

    def known(self, _part: Part, _keys: Iterable[str]) -> frozenset[str]:
        return frozenset()

    def kept(self, _name: str, make: Callable[[], Any]) -> Any:
        return make()


class RowLease:
    """A lease on a job row that the test itself made; `pages` ends the time slice after so many fences."""

    def __init__(self, workspace: str, job_id: int, lease_epoch: int, *, pages: int | None = None) -> None:
        self.workspace, self.job_id, self.lease_epoch = workspace, job_id, lease_epoch
        self.pages = pages

    def fence(self, tx: Connection, progress: dict[str, Any] | None = None) -> None:
        from worker.errors import LeaseLost

        updated = tx.execute(
            "UPDATE crm_sync.job SET progress = coalesce(%s::jsonb, progress) "
            "WHERE workspace_id = %s AND job_id = %s AND lease_epoch = %s AND state = 'running'",
            [json.dumps(progress) if progress else None, self.workspace, self.job_id, self.lease_epoch],
        )
        if updated.rowcount != 1:
            raise LeaseLost("test")
        if progress is not None and self.pages is not None:
            self.pages -= 1

    def out_of_time(self) -> bool:
        return self.pages is not None and self.pages <= 0


def connection_exists(database: Database, workspace: str, *streams: str) -> uuid.UUID:
    """An active connection with streams, as a finished consent leaves it."""
    connection_id = uuid.uuid4()
    with database.transaction(workspace) as tx:
        tx.execute(
            "INSERT INTO crm_sync.connection "
            "(workspace_id, connection_id, provider, state, purposes, policy_version, agreed_by) "
            "VALUES (%s, %s, 'scripted', 'active', '{contacts}', 'v1', 'user-1')",
            [workspace, connection_id],
        )
        for stream in streams:
            tx.execute(
                "INSERT INTO crm_sync.stream (workspace_id, connection_id, stream, every) "
                "VALUES (%s, %s, %s, '15 min')",
                [workspace, connection_id, stream],
            )
    return connection_id


def job_runs(database: Database, workspace: str, connection_id: uuid.UUID) -> int:
    """A sync job that somebody claimed; returns its id, with lease epoch 1."""
    with database.transaction(workspace) as tx:
        row = tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane, state, connection_id, lease_epoch) "
            "VALUES (%s, 'sync_stream', 'sync', 'running', %s, 1) RETURNING job_id",
            [workspace, connection_id],
        ).fetchone()
    assert row is not None
    return int(row["job_id"])


def world_of(count: int, **facts: Any) -> World:
    world = World(**facts)
    for number in range(count):
        world.put(f"p{number:04d}", f"Person {number}")
    return world

"""The CRM's door: ask for work, see how it goes, read what changed. Importable without any connector, SDK or broker.

    with Client(url, keyring, workspace="acme", actor="user:17", reason="shows the contact list") as crm:
        job = crm.wait(crm.sync(connection_id)[0])
        for change in crm.feed(after=position):
            ...

Whoever follows the feed begins with all records, page by page, and goes on from the position that the pages name; after
`PositionSwept` likewise:

    page = crm.records()
    while page.next:
        page = crm.records(page.next)
    changes = crm.feed(after=page.position)

It uses the CRM's login and the records keyring only, so it can open records and never a token. Everything it opens is
first written into the audit log, with the actor and the reason it was made with: if that fails, nothing is returned. It
runs no job itself; without workers, what it asked for waits. What it raises is in `worker.errors`.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from worker.errors import BadRequest, KeyShredded, Misconfigured, NotFound, SealBroken
from worker.records import Body, Kind, read_normal_form
from worker.store import audit, connections_view, jobs_view, measures_view, records_view, retention_view
from worker.store.connections_view import Connection, Hold, Receipt, Stream, Workspace
from worker.store.database import Connection as Transaction
from worker.store.database import Database, translated_errors
from worker.store.job_news import JobNews
from worker.store.jobs_view import Job
from worker.store.measures_view import MeasuredAccount, MeasuredDay, Spend
from worker.store.queries import load
from worker.store.records_view import Bounds, News, Place, SealedRecord
from worker.vault.intake import seal_for
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore, RecordKeys

QUERIES = load("client")
_POLL_S = 0.25


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


class Client:
    """One workspace, in the name of one actor and for one reason. Threads may share it."""

    def __init__(
        self,
        url: str,
        records_keyring: Keyring | Path | str | None = None,
        *,
        workspace: str,
        actor: str,
        reason: str,
        keys_url: str | None = None,
    ) -> None:
        if not actor.strip() or not reason.strip():
            raise BadRequest("The client needs an actor and a reason; both go into the audit log.")
        self.workspace = workspace
        self.actor = actor
        self.reason = reason
        self._database = Database(url, name="crm-sync-client")
        self._news = JobNews(self._database)
        self._keys_database = Database(keys_url, name="crm-sync-client-keys") if keys_url else self._database
        keyring = (
            records_keyring if isinstance(records_keyring, Keyring | None) else Keyring.load(records_keyring, "records")
        )
        self._keys = KeyStore(self._keys_database, grant=None, records=keyring) if keyring is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to Postgres, also those of clients made by `at`."""
        self._database.close()
        if self._keys_database is not self._database:
            self._keys_database.close()

    def at(self, workspace: str) -> "Client":
        """The same client for another workspace, over the same connections."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.workspace = workspace
        return other

    # Asking for work.

    def register_workspace(self, default_region: str = "US") -> bool:
        """Register the workspace; False if it was there before. `default_region` is for numbers without a country.

        Raises:
            BadRequest: the id or the region is malformed.
        """
        with self._database.transaction(self.workspace) as tx:
            return connections_view.register(tx, self.workspace, default_region)

    def enqueue(
        self,
        kind: str,
        args: dict[str, Any] | None = None,
        *,
        sealed: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        run_at: datetime | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> int:
        """Ask for a job and return its number.

        `args` are plain ids and codes; what is secret or personal goes into `sealed`, which only a worker can open.
        With `connection` (yours, inside your own transaction) the job exists if that transaction commits.

        Raises:
            BadRequest: the kind, the workspace or an argument cannot be.
            Misconfigured: something is to be sealed and no worker has made an intake key yet.
        """
        arguments = {
            "kind": kind,
            "workspace": self.workspace,
            "args": json.dumps(args or {}),
            "idempotency_key": idempotency_key,
            "run_at": run_at,
        }
        if connection is None:
            with self._database.transaction(self.workspace) as tx:
                return self._ask(tx, arguments, sealed)
        with translated_errors():
            return self._ask(connection, arguments, sealed)

    def connect_start(
        self,
        provider: str,
        purposes: Iterable[str],
        *,
        policy_version: str,
        agreed_by: str,
        connection_id: UUID | None = None,
        login_hint: str | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Begin to connect an account. The job's `private["authorize_url"]` is where the person gives consent.

        `agreed_by` is your id of that person, never an address. With `connection_id` an existing connection is
        connected again, or gets further purposes.
        """
        args: dict[str, Any] = {
            "provider": provider,
            "purposes": sorted(set(purposes)),
            "policy_version": policy_version,
            "agreed_by": agreed_by,
        }
        if connection_id is not None:
            args["connection_id"] = str(connection_id)
        sealed = {"login_hint": login_hint} if login_hint else None
        return self.enqueue("start_connect", args, sealed=sealed, idempotency_key=idempotency_key)

    def connect_complete(self, redirect_url: str, *, idempotency_key: str | None = None) -> int:
        """Finish connecting with the address to which the provider sent the person back, code and all.

        Raises:
            BadRequest: the address carries no `state`, or neither a `code` nor an `error`.
        """
        query = parse_qs(urlsplit(redirect_url).query)
        names = ("state", "code", "error", "error_subcode", "error_description")
        answer: dict[str, Any] = {name: query[name][0] for name in names if name in query}
        if "state" not in answer or not {"code", "error"} & set(answer):
            raise BadRequest(
                "The address to which the provider sent the person back has no state with a code or an error. Pass it "
                "whole, from http to its end."
            )
        return self.enqueue("complete_connect", sealed=answer, idempotency_key=idempotency_key)

    def sync(self, connection_id: UUID, stream: str | None = None, *, full: bool = False) -> list[int]:
        """Ask for a sync now, of one stream or of all that are active; a run that is under way is joined.

        Raises:
            NotFound: the workspace has no such connection.
            BadRequest: the connection has no such stream, or none that can run.
        """
        state = self.connection(connection_id).state
        if state != "active":
            raise BadRequest(f"Connection {connection_id} is {state}; nothing is synced until it is connected again.")
        wanted = [stream] if stream else [item.stream for item in self.streams(connection_id) if item.state == "active"]
        if not wanted:
            raise BadRequest(f"Connection {connection_id} has no stream that can run. See `crm-sync connections`.")
        extra = {"full": True} if full else {}
        with self._database.transaction(self.workspace) as tx:
            return [
                self.enqueue(
                    "sync_stream",
                    {"connection_id": str(connection_id), "stream": name, **extra},
                    connection=tx,
                )
                for name in wanted
            ]

    def disconnect(self, connection_id: UUID, *, delete_data: bool = False, idempotency_key: str | None = None) -> int:
        """End a connection: stop, revoke at the provider, destroy the tokens; with `delete_data` the records too."""
        args = {
            "connection_id": str(connection_id),
            "delete_data": delete_data,
            "actor": self.actor,
            "reason": self.reason,
        }
        return self.enqueue("disconnect", args, idempotency_key=idempotency_key)

    def decide_deletions(self, hold_id: int, *, approve: bool) -> int:
        """Answer a hold on an unusual number of deletions: delete them, or keep the records.

        Raises:
            NotFound: the workspace has no such hold.
            BadRequest: it is decided already.
        """
        hold = next((item for item in self.holds(decided_too=True) if item.hold_id == hold_id), None)
        if hold is None:
            raise NotFound(f"Workspace «{self.workspace}» has no hold {hold_id}. See `crm-sync deletions list`.")
        if hold.state != "open":
            raise BadRequest(f"Hold {hold_id} is {hold.state} already. See `crm-sync deletions list --all`.")
        decision = "approve" if approve else "reject"
        return self.enqueue("decide_deletions", {"hold_id": hold_id, "decision": decision, "by": self.actor})

    # How it goes.

    def job(self, job_id: int, *, open_outcome: bool = False) -> Job:
        """A job's state, progress and outcome; with `open_outcome` also what it answered under seal.

        Raises:
            NotFound: the workspace has no such job.
        """
        with self._database.transaction(self.workspace) as tx:
            job = jobs_view.read(tx, self.workspace, job_id)
            if not open_outcome or job.sealed_outcome is None:
                return job
            self._write_down(tx, "job.outcome_opened", {"job_id": job_id, "kind": job.kind})
        owner = job.connection_id or UUID((job.outcome or {})["connection_id"])
        plain = self._record_keys(owner).open("job.outcome", job_id.to_bytes(8, "big"), job.sealed_outcome)
        return replace(job, private=json.loads(plain))

    def jobs(
        self,
        *,
        states: Sequence[str] | None = None,
        kind: str | None = None,
        connection_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """The newest jobs first."""
        with self._database.transaction(self.workspace) as tx:
            return jobs_view.listed(
                tx, self.workspace, states=states, kind=kind, connection_id=connection_id, limit=limit
            )

    def wait(
        self,
        job_id: int,
        timeout: timedelta = timedelta(minutes=1),
        on_progress: Callable[[Job], None] | None = None,
        *,
        open_outcome: bool = False,
    ) -> Job:
        """Wait until a job is finished and return it; after `timeout`, return it as it is then (`finished` tells).

        `on_progress` is called with the job whenever it changed.
        """
        deadline_s = time.monotonic() + timeout.total_seconds()
        seen: Job | None = None
        # A worker tells when an interactive job ends; the poll covers the other lanes and poolers without LISTEN.
        with self._news.follow() as news:
            while True:
                heard = self._news.count
                job = self.job(job_id)
                if on_progress is not None and job != seen:
                    on_progress(job)
                seen = job
                left_s = deadline_s - time.monotonic()
                if job.finished or left_s <= 0:
                    break
                news.wait(heard, min(_POLL_S, left_s))
        return self.job(job_id, open_outcome=True) if open_outcome and job.finished else job

    def workspace_facts(self) -> Workspace:
        """The workspace.

        Raises:
            NotFound: nobody registered it.
        """
        with self._database.transaction(self.workspace) as tx:
            found = connections_view.workspace_of(tx, self.workspace)
        if found is None:
            raise NotFound(
                f"There is no workspace «{self.workspace}». Register it: `crm-sync workspaces add {self.workspace}`."
            )
        return found

    def connections(self) -> list[Connection]:
        """Every connection with its state and consent, ended ones too."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.connections(tx, self.workspace)

    def connection(self, connection_id: UUID) -> Connection:
        """One connection.

        Raises:
            NotFound: the workspace has none of that id.
        """
        with self._database.transaction(self.workspace) as tx:
            found = connections_view.connections(tx, self.workspace, connection_id)
        if not found:
            raise NotFound(
                f"Workspace «{self.workspace}» has no connection {connection_id}. See `crm-sync connections`."
            )
        return found[0]

    def streams(self, connection_id: UUID | None = None) -> list[Stream]:
        """The streams of one connection or of all, with an honest status and what they hold."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.streams(tx, self.workspace, connection_id)

    def holds(self, *, decided_too: bool = False) -> list[Hold]:
        """The deletions that wait for a word."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.holds(tx, self.workspace, decided_too=decided_too)

    def receipts(self, connection_id: UUID | None = None) -> list[Receipt]:
        """The proofs of what was ended, oldest first."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.receipts(tx, self.workspace, connection_id)

    # How long it stays.

    def retention_rules(self) -> list[dict[str, Any]]:
        """What the workspace asks for beyond the providers' rules."""
        with self._database.transaction(self.workspace) as tx:
            return retention_view.own_rules(tx, self.workspace)

    def set_retention(self, connector: str, kind: str, max_age: timedelta, *, counted_from: str | None = None) -> str:
        """Have records of a kind stay for a shorter time; returns from when that counts. What is held follows soon.

        Raises:
            BadRequest: no policy knows that kind, or the time cannot be.
        """
        with self._database.transaction(self.workspace) as tx:
            return retention_view.set_rule(tx, self.workspace, connector, kind, max_age, counted_from, self.actor)

    def unset_retention(self, connector: str, kind: str) -> bool:
        """Take that back; False if there was nothing to take back."""
        with self._database.transaction(self.workspace) as tx:
            return retention_view.unset_rule(tx, self.workspace, connector, kind)

    def retention_report(self) -> list[dict[str, Any]]:
        """What is held, by kind and by the rule that ends it, with the rule's source."""
        with self._database.transaction(self.workspace) as tx:
            return retention_view.report(tx, self.workspace)

    def why(self, key: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Why the record of a key is here; or what the feed said last of it, if it is not. Nothing is opened.

        Raises:
            BadRequest: it is no key.
        """
        document_key = _key_bytes(key)
        with self._database.transaction(self.workspace) as tx:
            found = retention_view.why(tx, self.workspace, document_key)
            return found, None if found else retention_view.last_heard_of(tx, self.workspace, document_key)

    # What changed.

    def feed(self, after: int = 0, limit: int = 500, *, open_records: bool = True) -> list[Change]:
        """The next `limit` changes after a position, in order and without gaps.

        Raises:
            PositionSwept: what came next is not kept any more. Read all `records` anew, drop what you hold and do not
                find there, and go on from the position that they name; measures, connections and streams likewise.
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
            BadRequest: `after` is not from a page.
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

    def record(self, connection_id: UUID, stream: str, key: str) -> Record:
        """One record.

        Raises:
            NotFound: there is none of that key, or no longer.
            SealBroken: what is kept under the key is not what was put there.
        """
        with self._database.transaction(self.workspace) as tx:
            sealed = records_view.one(tx, self.workspace, connection_id, stream, _key_bytes(key))
            if sealed is None:
                raise NotFound(f"Connection {connection_id} holds no record {key} in stream «{stream}».")
            details = {"connection_id": str(connection_id), "stream": stream, "key": key, "records": 1}
            self._write_down(tx, "record.opened", details)
        return _opened(self._record_keys(connection_id), sealed)

    def search(self, *, email: str | None = None, phone: str | None = None, limit: int = 200) -> list[Record]:
        """The records that name a person, by one address or one number.

        A record that does not open is left out; the feed shows it with its problem.

        Raises:
            BadRequest: neither or both are given, or it is no address or number.
        """
        if (email is None) == (phone is None):
            raise BadRequest("Search by an e-mail address or by a phone number: one of the two.")
        region = self.workspace_facts().default_region
        index = self._key_store().known_blind_index(self.workspace, region)
        if index is None:
            # Nothing was ever synced into this workspace, so nobody can be found in it.
            return []
        values = index.email(email) if email is not None else index.phone(phone or "")
        with self._database.transaction(self.workspace) as tx:
            sealed = records_view.found(tx, self.workspace, values, limit)
            by = "email" if email is not None else "phone"
            self._write_down(tx, "records.searched", {"by": by, "records": len(sealed)}, subjects=values)
        return [record for record, _ in self._open_each(sealed) if record is not None]

    # Measures, which are plain.

    def measures(
        self,
        connection_id: UUID | None = None,
        *,
        connector: str | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> list[MeasuredDay]:
        """Campaign days from `first` to `last`, both included, oldest first.

        Without a connection, an account that several connections can see comes once; with one, as that one brought it.
        """
        with self._database.transaction(self.workspace) as tx:
            return measures_view.days(
                tx, self.workspace, connection_id=connection_id, connector=connector, first=first, last=last
            )

    def measured_accounts(self, connection_id: UUID | None = None) -> list[MeasuredAccount]:
        """The ad accounts that are read, with the days that were."""
        with self._database.transaction(self.workspace) as tx:
            return measures_view.accounts(tx, self.workspace, connection_id)

    def spend(self, first: date, last: date) -> list[Spend]:
        """What was spent from `first` to `last`, by currency and day. Currencies are not added up."""
        with self._database.transaction(self.workspace) as tx:
            return measures_view.spend(tx, self.workspace, first, last)

    # How records are opened.

    def _ask(self, tx: Transaction, arguments: dict[str, Any], sealed: dict[str, Any] | None) -> int:
        box = self._seal(tx, arguments["kind"], sealed) if sealed is not None else None
        # A caller's own connection may give tuples where ours gives dictionaries.
        row = tx.cursor(row_factory=dict_row).execute(QUERIES["enqueue"], {**arguments, "sealed": box}).fetchone()
        if row is None:
            raise RuntimeError("crm_sync.enqueue gave no row")
        return int(row["job_id"])

    def _seal(self, tx: Transaction, kind: str, payload: dict[str, Any]) -> bytes:
        row = tx.cursor(row_factory=dict_row).execute(QUERIES["intake_key"]).fetchone()
        if row is None or row["key_id"] is None:
            raise Misconfigured(
                "There is no intake key to seal to: no worker has run against this database yet. "
                "Start one with `crm-sync worker`."
            )
        return seal_for(
            row["public_key"], row["key_id"], json.dumps(payload).encode(), workspace=self.workspace, kind=kind
        )

    def _write_down(
        self, tx: Transaction, action: str, details: dict[str, Any], subjects: Sequence[bytes] = ()
    ) -> None:
        """Note a disclosure in the transaction that reads; nothing is opened before it has committed."""
        audit.append(
            tx,
            self.workspace,
            actor=self.actor,
            action=action,
            reason=self.reason,
            details=details,
            subjects=subjects,
        )

    def _key_store(self) -> KeyStore:
        if self._keys is None:
            raise Misconfigured(
                "Opening records needs the records keyring. Give the client `records_keyring`, or set "
                "CRM_SYNC_RECORDS_KEYRING."
            )
        return self._keys

    def _record_keys(self, connection_id: UUID) -> RecordKeys:
        return self._key_store().records(self.workspace, connection_id)

    def _open_each(self, sealed: Sequence[SealedRecord]) -> list[tuple[Record | None, str | None]]:
        """Each record, or why it did not open; the keys are loaded once for each connection and kept no longer."""
        keys: dict[UUID, RecordKeys] = {}
        result: list[tuple[Record | None, str | None]] = []
        for item in sealed:
            try:
                if item.connection_id not in keys:
                    keys[item.connection_id] = self._record_keys(item.connection_id)
                result.append((_opened(keys[item.connection_id], item), None))
            except (SealBroken, KeyShredded) as error:
                result.append((None, error.reason))
        return result


def _opened(keys: RecordKeys, sealed: SealedRecord) -> Record:
    plain = keys.open("document.body", sealed.document_key, sealed.sealed)
    kind = Kind(sealed.kind)
    return Record(
        sealed.connection_id,
        sealed.stream,
        sealed.document_key.hex(),
        kind,
        read_normal_form(kind, plain),
        sealed.updated_at,
        sealed.expires_at,
    )


def _key_bytes(key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        raise BadRequest(f"«{key}» is no record key; a key is 32 hexadecimal digits, as the feed gives it.") from None

"""One connection under test: its stream is run over a scripted provider, and one looks at what came of it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.sync.scripted import QuietSession, RowLease, World, connection_exists, job_runs
from worker.records import normal_form
from worker.store.database import Database
from worker.store.documents import StreamPlace
from worker.sync.engine import run_stream
from worker.sync.run import Run, RunNotes
from worker.vault.keys import KeyStore


class OneConnection:
    """One connection under test: runs its stream over a scripted provider and looks at what came of it."""

    def __init__(self, worker_db: Database, keys: KeyStore, workspace: str, world: World) -> None:
        self.database, self.keys, self.world, self.workspace = worker_db, keys, world, workspace
        self.stream = world.stream()
        self.connection_id = connection_exists(worker_db, workspace, self.stream.name)
        keys.create_for_connection(workspace, self.connection_id)
        self.place = StreamPlace(workspace, self.connection_id, self.stream.name)
        self.seals = keys.records(workspace, self.connection_id)
        self.blind = keys.blind_index(workspace, "US")
        self.job_id = job_runs(worker_db, workspace, self.connection_id)
        self.lease_epoch = 1

    def move_to(self, database: Database, keys_database: Database) -> None:
        """Go on over other connections to Postgres, as a forked process must."""
        self.database = database
        self.seals = self.keys.over(keys_database).records(self.workspace, self.connection_id)

    def run(self, *, pages: int | None = None, **changes: Any) -> Run:
        run = Run(
            database=self.database,
            place=self.place,
            epoch=1,
            stream=self.stream,
            session=QuietSession(),  # type: ignore[arg-type]
            seals=self.seals,
            blind=self.blind.values,
            lease=RowLease(self.workspace, self.job_id, self.lease_epoch, pages=pages),
            now=lambda: datetime.now(UTC),
        )
        return replace(run, **changes)

    def sync(self, *, pages: int | None = None, full: bool = False, resume: bool = False, **changes: Any) -> RunNotes:
        """Run to the end, in time slices of `pages` pages each; `resume` goes on with the job's own notes."""
        notes = RunNotes.resume(self.progress() if resume else None, datetime.now(UTC))
        for _ in range(500):
            end = run_stream(self.run(pages=pages, **changes), notes, full=full)
            notes = RunNotes.resume(self.progress(), datetime.now(UTC))
            if end.finished:
                return notes
        raise AssertionError("the run never ends")

    def begin_again(self) -> None:
        """The job is asked for anew: its notes are gone, as after `finish`."""
        with self.database.transaction(self.workspace) as tx:
            tx.execute("UPDATE crm_sync.job SET progress = NULL WHERE job_id = %s", [self.job_id])

    def all_rested(self) -> None:
        """Whatever the provider wanted to be left alone has been, for long enough."""
        with self.database.transaction(self.workspace) as tx:
            tx.execute(
                "UPDATE crm_sync.part SET rests_until = now() WHERE connection_id = %s AND rests_until IS NOT NULL",
                [self.connection_id],
            )

    def progress(self) -> dict[str, Any]:
        return self.rows("SELECT progress FROM crm_sync.job WHERE job_id = %s", self.job_id)[0]["progress"]

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        with self.database.transaction(self.workspace) as tx:
            return tx.execute(statement, arguments).fetchall()  # type: ignore[arg-type]

    def names(self) -> dict[bytes, bytes]:
        """What we hold: key and opened body."""
        rows = self.rows(
            "SELECT document_key, sealed FROM crm_sync.document WHERE connection_id = %s", self.connection_id
        )
        return {
            row["document_key"]: self.seals.open("document.body", row["document_key"], row["sealed"]) for row in rows
        }

    def truth(self) -> dict[bytes, bytes]:
        """What the provider holds, in our keys and normal form, but for what cannot be read."""
        shown = [(part, key) for part, keys in self.world.parts.items() for key in keys]
        records = [self.world.record(part, key) for part, key in shown if key not in self.world.refuse]
        return {self.seals.document_key("contacts", record.key): normal_form(record.body) for record in records}

    def events(self) -> list[tuple[str, bytes | None]]:
        rows = self.rows(
            "SELECT position, event, document_key FROM crm_sync.feed_entry WHERE connection_id = %s ORDER BY position",
            self.connection_id,
        )
        return [(row["event"], row["document_key"]) for row in rows]

    def replay(self) -> set[bytes]:
        """The keys that a reader of the feed believes in."""
        believed: set[bytes] = set()
        for event, key in self.events():
            if event == "record.saved" and key is not None:
                believed.add(key)
            elif event in {"record.deleted", "record.expired"} and key is not None:
                believed.remove(key)
        return believed

    def stop(self) -> None:
        with self.database.transaction(self.workspace) as tx:
            tx.execute(
                "UPDATE crm_sync.connection SET epoch = epoch + 1, state = 'disconnected' WHERE connection_id = %s",
                [self.connection_id],
            )

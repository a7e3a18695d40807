"""The CRM's door: ask for work, read every change in order, open records with a note of who and why. P7, P15."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import ROOT, register_workspace
from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World, connection_exists
from worker.client import Client
from worker.errors import BadRecord, BadRequest, CrmSyncError, Misconfigured, NotFound, Unavailable
from worker.records import Contact
from worker.settings import Role
from worker.store import audit, feed, jobs_view
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

PEOPLE = {f"p{number}": f"Person {number}" for number in range(7)}


@pytest.fixture(scope="module")
def keys(worker_db: Database, keyrings: dict[str, Path]) -> KeyStore:
    return KeyStore(
        worker_db,
        grant=Keyring.load(str(keyrings["grant"]), "grant"),
        records=Keyring.load(str(keyrings["records"]), "records"),
    )


@pytest.fixture
def crm(database_urls: dict[Role, str], keyrings: dict[str, Path], workspace: str) -> Iterator[Client]:
    with Client(
        database_urls[Role.CRM], keyrings["records"], workspace=workspace, actor="user:17", reason="a ticket"
    ) as client:
        yield client


@pytest.fixture
def synced(worker_db: Database, keys: KeyStore, workspace: str) -> OneConnection:
    """A connection of the workspace that has seven people."""
    connection = OneConnection(worker_db, keys, workspace, World())
    for key, name in PEOPLE.items():
        connection.world.put(key, name)
    connection.sync()
    return connection


def disclosures(database: Database, workspace: str) -> list[audit.Link]:
    """What is written down, oldest first."""
    with database.transaction(workspace) as tx:
        return audit.last(tx, workspace, 1000)[::-1]


# Importable alone.


def test_the_door_pulls_in_no_connector_sdk_or_broker() -> None:
    code = "import sys, worker.client; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"dramatiq", "redis", "httpx", "googleapiclient", "google", "authlib", "worker.connectors", "worker.jobs"}
    assert loaded & heavy == set()


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("who", " ")])
def test_nobody_comes_in_without_a_name_and_a_reason(database_urls: dict[Role, str], actor: str, reason: str) -> None:
    with pytest.raises(BadRequest):
        Client(database_urls[Role.CRM], workspace="w", actor=actor, reason=reason)


# Asking for work.


def test_a_request_commits_and_rolls_back_with_the_callers_transaction(
    crm: Client, database_urls: dict[Role, str]
) -> None:
    with psycopg.connect(database_urls[Role.CRM]) as mine:
        kept = crm.enqueue("ping", connection=mine)
    mine = psycopg.connect(database_urls[Role.CRM])
    lost = crm.enqueue("ping", connection=mine)
    mine.rollback()
    mine.close()
    assert crm.job(kept).state == "queued"
    with pytest.raises(NotFound):
        crm.job(lost)


def test_more_threads_wait_for_jobs_than_there_are_connections(crm: Client, worker_db: Database) -> None:
    jobs = [crm.enqueue("ping") for _ in range(24)]
    ended: list[str] = []
    waiting = [
        threading.Thread(target=lambda job=job: ended.append(crm.wait(job, timedelta(seconds=60)).state))
        for job in jobs
    ]
    for thread in waiting:
        thread.start()
    time.sleep(12)  # Longer than anybody may wait for a connection.
    assert [thread for thread in waiting if not thread.is_alive()] == []
    with worker_db.transaction(crm.workspace) as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'done' WHERE job_id = ANY(%s)", [jobs])
        tx.execute("SELECT pg_notify('crm_sync_job', '')")
    for thread in waiting:
        thread.join(30)
    assert ended == ["done"] * len(jobs)


def test_an_idempotency_key_gives_the_first_job_also_to_many_at_once(crm: Client) -> None:
    found: list[int] = []
    asking = [
        threading.Thread(target=lambda: found.append(crm.enqueue("ping", idempotency_key="once"))) for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(("kind", "args", "told"), [
    ("nonesuch", {}, "ping"),
    ("purge_connection", {}, "disconnect"),
    ("sync_stream", {}, "connection_id"),
    ("sync_stream", {"connection_id": "xyz", "stream": "contacts"}, "connection id"),
    ("disconnect", {"connection_id": "00000000-0000-0000-0000-000000000000"}, "crm-sync connections"),
    ("complete_connect", {}, "sealed"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(crm: Client, kind: str, args: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        crm.enqueue(kind, args)
    assert crm.jobs() == []


def test_an_unknown_workspace_is_refused(crm: Client) -> None:
    with pytest.raises(BadRequest, match="Register it first"):
        crm.at("nobody").enqueue("ping")
    with pytest.raises(NotFound, match="workspaces add nobody"):
        crm.at("nobody").workspace_facts()


def test_a_secret_argument_is_sealed_before_it_reaches_postgres(
    crm: Client, keys: KeyStore, owner_db: Database, workspace: str
) -> None:
    intake = keys.intake()
    job_id = crm.connect_complete("http://localhost:8765/callback?state=canary-state&code=canary-code&scope=x")
    with owner_db.transaction() as tx:
        row = tx.execute("SELECT j::text AS shown, sealed FROM crm_sync.job j WHERE job_id = %s", [job_id]).fetchone()
    assert row is not None
    assert "canary" not in row["shown"]
    assert b"canary" not in bytes(row["sealed"])
    opened = json.loads(intake.open(bytes(row["sealed"]), workspace=workspace, kind="complete_connect"))
    assert opened == {"state": "canary-state", "code": "canary-code"}


@pytest.mark.parametrize("address", ["http://localhost/callback", "http://localhost/callback?code=x", "nonsense"])
def test_an_address_without_state_or_code_is_refused(crm: Client, address: str) -> None:
    with pytest.raises(BadRequest, match="Pass it whole"):
        crm.connect_complete(address)


def test_a_sync_of_what_is_not_connected_is_refused(crm: Client, synced: OneConnection) -> None:
    with pytest.raises(BadRequest, match="Streams: contacts"):
        crm.sync(synced.connection_id, "dreams")
    synced.stop()
    with pytest.raises(BadRequest, match="disconnected"):
        crm.sync(synced.connection_id)


def test_a_wait_ends_in_time_and_says_that_nothing_has_come(crm: Client) -> None:
    told = []
    job = crm.wait(crm.enqueue("ping"), timedelta(seconds=0.6), told.append)
    assert (job.finished, job.state) == (False, "queued")
    assert [each.state for each in told] == ["queued"], "what has not changed is not told again"


def test_a_given_up_job_is_asked_for_again_or_laid_to_rest(
    crm: Client, worker_db: Database, owner_db: Database, workspace: str
) -> None:
    jobs = [crm.enqueue("ping") for _ in range(2)]
    with pytest.raises(BadRequest, match="queued"), worker_db.transaction(workspace) as tx:
        jobs_view.retry(tx, workspace, jobs[0])
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.job SET state = 'dead', attempt = 3, sealed = 's' WHERE job_id = ANY(%s)", [jobs])
    with worker_db.transaction(workspace) as tx:
        jobs_view.retry(tx, workspace, jobs[0])
        jobs_view.drop(tx, workspace, jobs[1])
    assert [(crm.job(each).state, crm.job(each).attempt) for each in jobs] == [("queued", 0), ("cancelled", 3)]
    with owner_db.transaction() as tx:
        row = tx.execute("SELECT sealed FROM crm_sync.job WHERE job_id = %s", [jobs[1]]).fetchone()
    assert row == {"sealed": None}


# What changed.


def test_the_feed_gives_every_change_with_its_record_in_order(crm: Client, synced: OneConnection) -> None:
    synced.world.put("p1", "Renamed")
    synced.world.drop("p2")
    synced.begin_again()
    synced.sync()
    changes = crm.feed()
    assert [change.position for change in changes] == list(range(1, crm.feed_head() + 1))
    believed: dict[str, str] = {}
    for change in changes:
        if change.event == "record.deleted" and change.key:
            believed.pop(change.key, None)
            assert change.record is None
        if change.record is not None:
            assert isinstance(change.record.body, Contact)
            believed[change.record.key] = change.record.body.display_name
    assert sorted(believed.values()) == sorted({**PEOPLE, "p1": "Renamed"}[key] for key in PEOPLE if key != "p2")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_of_nothing_is_refused_since_it_would_look_like_the_last(
    crm: Client, synced: OneConnection, limit: int
) -> None:
    with pytest.raises(BadRequest, match="limit"):
        crm.feed(limit=limit)
    with pytest.raises(BadRequest, match="limit"):
        crm.records(limit=limit)


def test_the_feed_skips_nothing_while_many_commit_at_once(crm: Client, worker_db: Database, workspace: str) -> None:
    each, writers = 25, 8
    connection = connection_exists(worker_db, workspace, "contacts")
    read: list[int] = []
    ended = threading.Event()

    def write(number: int) -> None:
        for count in range(each):
            with suppress(_ChangedMyMindError), worker_db.transaction(workspace) as tx:
                entries = [feed.Entry(feed.Event.RECORD_SAVED, bytes([number, count, item])) for item in range(3)]
                feed.append(tx, workspace, entries, connection_id=connection, stream="contacts")
                if count % 5 == 4:
                    raise _ChangedMyMindError

    def follow() -> None:
        while True:
            last = ended.is_set()
            changes = crm.feed(read[-1] if read else 0, 40, open_records=False)
            read.extend(change.position for change in changes)
            if last and not changes:
                return

    reader = threading.Thread(target=follow)
    writing = [threading.Thread(target=write, args=[number]) for number in range(writers)]
    reader.start()
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    ended.set()
    reader.join()
    assert read == list(range(1, each * 4 // 5 * writers * 3 + 1))


class _ChangedMyMindError(Exception):
    """Ends a transaction without a commit."""


def test_a_readers_place_moves_forward_only_and_never_past_the_end(crm: Client, synced: OneConnection) -> None:
    head = crm.feed_head()
    reader = f"reader-{uuid4().hex}"
    news = {item.workspace: item for item in crm.feed_news(reader)}[synced.workspace]
    assert (news.read_position, news.head) == (0, head)
    assert crm.acknowledge(reader, head) == head
    assert crm.acknowledge(reader, 2) == head
    assert crm.read_position(reader) == head
    assert synced.workspace not in {item.workspace for item in crm.feed_news(reader)}
    with pytest.raises(BadRequest, match="has not reached"):
        crm.acknowledge(reader, head + 1)


def test_an_acknowledgement_rolls_back_with_what_it_stands_for(
    crm: Client, synced: OneConnection, database_urls: dict[Role, str]
) -> None:
    mine = psycopg.connect(database_urls[Role.CRM])
    assert crm.acknowledge("a reader", 1, connection=mine) == 1
    mine.rollback()
    mine.close()
    assert crm.read_position("a reader") == 0


def test_a_record_that_does_not_open_is_named_and_holds_up_none(
    crm: Client, synced: OneConnection, worker_db: Database, workspace: str
) -> None:
    first, second = crm.feed(0, 2)
    with worker_db.transaction(workspace) as tx:
        tx.execute(
            "UPDATE crm_sync.document d SET sealed = o.sealed FROM crm_sync.document o "
            "WHERE d.document_key = decode(%s, 'hex') AND o.document_key = decode(%s, 'hex')",
            [first.key, second.key],
        )
    again = crm.feed(0, 2)
    assert (again[0].record, again[0].problem) == (None, "seal_broken")
    assert again[1].record == second.record


def test_a_record_of_a_form_that_this_release_does_not_know_is_named_and_holds_up_none(
    crm: Client, synced: OneConnection, worker_db: Database, workspace: str
) -> None:
    first, second = crm.feed(0, 2)
    key = bytes.fromhex(first.key or "")
    with worker_db.transaction(workspace) as tx:
        tx.execute(
            "UPDATE crm_sync.document SET sealed = %s WHERE document_key = %s",
            [synced.seals.seal("document.body", key, b'{"provider_id": {"of": "another release"}}'), key],
        )
    again = crm.feed(0, 2)
    assert (again[0].record, again[0].problem) == (None, "bad_record")
    assert again[1].record == second.record
    with pytest.raises(BadRecord):
        crm.record(synced.connection_id, "contacts", first.key or "")


# Opening records. P15.


def test_p15_each_opening_is_written_down_with_who_why_and_what(
    crm: Client, synced: OneConnection, owner_db: Database
) -> None:
    key = crm.feed(0, 1)[0].key
    assert key is not None
    assert crm.record(synced.connection_id, "contacts", key).key == key
    assert len(crm.search(email="P3@Example.COM")) == 1
    written = disclosures(owner_db, synced.workspace)
    assert [link.action for link in written] == ["feed.opened", "record.opened", "records.searched"]
    assert {(link.actor, link.reason) for link in written} == {("user:17", "a ticket")}
    assert written[1].details["key"] == key
    assert written[2].details["records"] == 1
    assert len(written[2].details["subjects"]) >= 1
    assert "p3@example.com" not in json.dumps([link.details for link in written]).lower()


def test_p15_reading_without_opening_writes_nothing(crm: Client, synced: OneConnection, owner_db: Database) -> None:
    assert all(change.record is None for change in crm.feed(open_records=False))
    assert crm.streams()[0].held == {"contact": len(PEOPLE)}
    assert disclosures(owner_db, synced.workspace) == []


def test_p15_nothing_is_returned_when_it_cannot_be_written_down(
    crm: Client, synced: OneConnection, owner_db: Database
) -> None:
    key = crm.feed(0, 1)[0].key or ""
    with owner_db.transaction() as tx:
        tx.execute("REVOKE INSERT ON crm_sync.audit FROM crm_sync_crm")
    try:
        for attempt in (
            lambda: crm.feed(),
            lambda: crm.record(synced.connection_id, "contacts", key),
            lambda: crm.search(email="p3@example.com"),
        ):
            with pytest.raises(CrmSyncError):
                attempt()
    finally:
        with owner_db.transaction() as tx:
            tx.execute("GRANT INSERT ON crm_sync.audit TO crm_sync_crm")


def test_p15_the_chain_holds_under_many_hands_and_shows_every_change(
    crm: Client, synced: OneConnection, owner_db: Database
) -> None:
    hands = [threading.Thread(target=lambda: [crm.feed(0, 1) for _ in range(5)]) for _ in range(6)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    workspace = synced.workspace
    whole = audit.verify(owner_db, workspace)
    assert (whole.holds, whole.entries) == (True, 30)
    for tampering in (
        "UPDATE crm_sync.audit SET reason = 'another' WHERE workspace_id = %s AND seq = 7",
        "UPDATE crm_sync.audit SET details = details || '{\"records\": 0}' WHERE workspace_id = %s AND seq = 7",
        "UPDATE crm_sync.audit SET at = at + interval '1 second' WHERE workspace_id = %s AND seq = 7",
        "DELETE FROM crm_sync.audit WHERE workspace_id = %s AND seq = 7",
        "DELETE FROM crm_sync.audit WHERE workspace_id = %s AND seq = 30",
    ):
        with suppress(_ChangedMyMindError), owner_db.transaction() as tx:
            tx.execute(tampering, [workspace])  # type: ignore[arg-type]
            verdict = audit.verify(_Within(tx), workspace)  # type: ignore[arg-type]
            assert not verdict.holds, tampering
            assert verdict.broken_at in {7, 30}, tampering
            raise _ChangedMyMindError
    assert audit.verify(owner_db, workspace).holds


def test_p15_no_transaction_is_held_while_a_chain_is_verified_however_long_it_is(
    crm: Client, synced: OneConnection, owner_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        crm.feed(0, 1)
    # In the place where a long chain spends its time, it is looked at who holds what.
    fault_of, held = audit._fault_of, []
    idle = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %%'"

    def watched(*link: Any) -> str:
        with owner_db.transaction() as tx:
            held.extend(tx.execute(idle).fetchall())
        return fault_of(*link)

    monkeypatch.setattr(audit, "_BATCH", 4)
    monkeypatch.setattr(audit, "_fault_of", watched)
    verdict = audit.verify(owner_db, synced.workspace)
    assert (verdict.holds, verdict.entries) == (True, 6)
    assert held == [{"n": 0}] * 6


def test_p15_the_chain_still_holds_once_a_salt_is_gone(crm: Client, synced: OneConnection, owner_db: Database) -> None:
    crm.search(email="p3@example.com")
    with owner_db.transaction() as tx:
        dropped = tx.execute("DELETE FROM crm_sync.audit_salt WHERE workspace_id = %s", [synced.workspace])
        assert dropped.rowcount == 1
    assert audit.verify(owner_db, synced.workspace).holds


def test_p15_an_entry_is_hashed_as_any_language_would_write_it() -> None:
    at = datetime(2026, 11, 23, 7, 5, 9, 1200, tzinfo=UTC)
    entry = audit.canonical("acme", 3, at, "user:17", "record.opened", "«ต้น»", {"b": [1, None], "a": "é\n"})
    assert entry.decode() == (
        '{"action":"record.opened","actor":"user:17","at":"2026-11-23T07:05:09.001200Z",'
        '"details":{"a":"é\\n","b":[1,null]},"reason":"«ต้น»","seq":3,"workspace":"acme"}'
    )
    assert audit.chained(audit.GENESIS, entry).hex() == KNOWN_HASH
    with pytest.raises(TypeError):
        audit.canonical("acme", 1, at, "a", "b", "c", {"ratio": 0.5})  # type: ignore[dict-item]


KNOWN_HASH = "227523da355d104e0d8d323be6f029973d7d0316d5e67277d047189c586469fd"


class _Within:
    """A database whose every transaction is one that is open already."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx

    def transaction(self, _workspace: str) -> "_Within":
        return self

    def __enter__(self) -> Any:
        return self._tx

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("email", "phone"), [(None, None), ("a@example.com", "+66 81 234 5678")])
def test_a_search_is_by_one_thing(crm: Client, email: str | None, phone: str | None) -> None:
    with pytest.raises(BadRequest, match="one of the two"):
        crm.search(email=email, phone=phone)


def test_a_search_finds_nobody_who_is_not_there(crm: Client, synced: OneConnection) -> None:
    assert synced.world.parts
    assert crm.search(email="nobody@example.com") == []


def test_a_record_that_is_gone_is_not_found(crm: Client, synced: OneConnection) -> None:
    with pytest.raises(NotFound):
        crm.record(synced.connection_id, "contacts", "00" * 16)
    with pytest.raises(BadRequest, match="hexadecimal"):
        crm.record(synced.connection_id, "contacts", "no key")


# Walls. P7.


def test_p7_another_tenant_sees_nothing_through_the_door(crm: Client, synced: OneConnection, crm_db: Database) -> None:
    key = crm.feed(0, 1)[0].key or ""
    job_id = crm.enqueue("ping")
    stranger = crm.at(register_workspace(crm_db))
    assert (stranger.connections(), stranger.streams(), stranger.feed(), stranger.jobs()) == ([], [], [], [])
    assert (stranger.receipts(), stranger.holds(), stranger.search(email="p3@example.com")) == ([], [], [])
    for look in (
        lambda: stranger.record(synced.connection_id, "contacts", key),
        lambda: stranger.connection(synced.connection_id),
        lambda: stranger.sync(synced.connection_id),
        lambda: stranger.job(job_id),
    ):
        with pytest.raises(NotFound):
            look()
    with pytest.raises(BadRequest):
        stranger.disconnect(synced.connection_id)


def test_p7_the_crms_keyring_opens_no_token(
    database_urls: dict[Role, str], keyrings: dict[str, Path], synced: OneConnection
) -> None:
    records_only = Keyring.load(str(keyrings["records"]), "records")
    with Database(database_urls[Role.CRM], max_size=2) as database:
        store = KeyStore(database, grant=None, records=records_only)
        with pytest.raises(CrmSyncError):
            store.grant(synced.workspace, synced.connection_id)


# What is missing or wrong.


def test_records_do_not_open_without_a_keyring_and_it_says_which(
    database_urls: dict[Role, str], synced: OneConnection
) -> None:
    with Client(database_urls[Role.CRM], workspace=synced.workspace, actor="a", reason="r") as blind:
        assert blind.feed(open_records=False)
        with pytest.raises(Misconfigured, match="CRM_SYNC_RECORDS_KEYRING"):
            blind.feed()


def test_a_database_that_is_away_is_told_without_its_address() -> None:
    with (
        Client("postgresql://crm:hunter2@127.0.0.1:9/none", workspace="w", actor="a", reason="r") as lost,
        pytest.raises(Unavailable) as raised,
    ):
        lost.connections()
    assert "hunter2" not in str(raised.value)


def test_what_is_held_is_not_shown_by_a_repr(crm: Client, synced: OneConnection) -> None:
    assert synced.world.parts
    change = crm.feed(0, 1)[0]
    assert change.record is not None
    assert "Person" not in repr(change)
    assert "Person" in repr(replace(change.record).body)

"""P7 and matrix 54: no named query crosses the wall between two tenants, and no foreign text becomes SQL."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.conftest import register_workspace
from tests.sync.one_connection import OneConnection
from tests.sync.scripted import world_of
from worker.client import Client
from worker.errors import BadRequest, NotFound
from worker.settings import Role
from worker.store import queries
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

FAMILIES = sorted(
    file.name.removesuffix(".sql")
    for file in files("worker.store").joinpath("queries").iterdir()
    if file.name.endswith(".sql")
)
BY_DESIGN = {
    "client.enqueue": "the CRM asks for whichever workspace it names; that is its one argument of trust",
    "client.feed_news": "which workspaces have news: ids and positions",
    "client.feed_head": "positions",
    "client.acknowledge": "a reader's place, of all workspaces at once",
    "client.reader": "likewise",
    "client.workspaces": "it takes no argument and shows the asking tenant itself; see below",
    "ledger.enter_gate": "it names the workspace that the rest of its transaction is about",
    "siblings.add_sibling": "siblings are counted over all tenants: a digest and two ids",
    "siblings.lock_siblings": "likewise",
    "siblings.mark_revoking": "likewise",
    "siblings.remove_sibling": "likewise",
}
OF_NOBODY = {
    "ledger.open_first_book", "ledger.beat", "ledger.leave", "client.processes", "keys.intake_public_half",
    "keys.publish_intake", "keys.retire_other_intake", "client.intake_key", "farewells.sweep",
    "retention.see_due", "retention.forget_policy", "retention.add_policy", "retention.published",
    "retention.add_policy_rule",
}  # fmt: skip
"""They touch no tenant's rows at all."""


@pytest.fixture(scope="module")
def keys(worker_db: Database, keyrings: dict[str, Path]) -> KeyStore:
    return KeyStore(
        worker_db,
        grant=Keyring.load(str(keyrings["grant"]), "grant"),
        records=Keyring.load(str(keyrings["records"]), "records"),
    )


FILLED = """
UPDATE crm_sync.connection SET account_mac = %(mac)s WHERE connection_id = %(c)s;
INSERT INTO crm_sync.oauth_grant (workspace_id, connection_id, sealed_tokens, lifetime, expires_at)
    VALUES (%(w)s, %(c)s, 'sealed', '1 hour', now() + interval '1 hour');
INSERT INTO crm_sync.consent_request (workspace_id, request_id, connection_id, epoch, state_mac, sealed_verifier,
    purposes, scopes, policy_version, agreed_by, redirect_uri, expires_at)
    VALUES (%(w)s, %(c)s, %(c)s, 1, 'mac', 'sealed', '{}', '{}', 'v', 'u', 'r', now() + interval '1 hour');
INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total)
    VALUES (%(w)s, %(c)s, 'contacts', 'p', 9);
INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total, state, decided_at)
    VALUES (%(w)s, %(c)s, 'contacts', 'q', 9, 'applied', now() - interval '900 days');
INSERT INTO crm_sync.job (workspace_id, kind, lane, args, state, sealed, finished_at, created_at)
    VALUES (%(w)s, 'ping', 'sync', '{}', 'done', 'sealed', now() - interval '900 days', now() - interval '900 days');
INSERT INTO crm_sync.past_requests (workspace_id, connection_id, requests) VALUES (%(w)s, %(c)s, 7);
INSERT INTO crm_sync.retention_rule (workspace_id, connector, kind, max_age, counted_from, set_by)
    VALUES (%(w)s, 'scripted', 'contact', '9 days', 'fetched', 'u');
INSERT INTO crm_sync.deletion_hold_item
    SELECT %(w)s, hold_id, 'k' FROM crm_sync.deletion_hold WHERE workspace_id = %(w)s;
INSERT INTO crm_sync.pass_seen
    SELECT %(w)s, %(c)s, 'contacts', part_key, 1, 'k' FROM crm_sync.part WHERE workspace_id = %(w)s;
INSERT INTO crm_sync.measure (workspace_id, connection_id, stream, part_key, day, campaign_id, connector, account_id,
    campaign_name, time_zone, currency, cost_micros, impressions, clicks, conversions, conversion_value)
    SELECT %(w)s, %(c)s, 'contacts', part_key, '2026-11-01', 'campaign', 'scripted', 'account', 'name', 'UTC', 'THB', 1,
           1, 1, 1, 1
    FROM crm_sync.part WHERE workspace_id = %(w)s;
INSERT INTO crm_sync.measured_account (workspace_id, connection_id, stream, part_key, connector, account_id,
    account_name, time_zone, currency, first_day, last_day)
    SELECT %(w)s, %(c)s, 'contacts', part_key, 'scripted', 'account', 'name', 'UTC', 'THB', '2026-11-01', '2026-11-01'
    FROM crm_sync.part WHERE workspace_id = %(w)s;
INSERT INTO crm_sync.receipt (workspace_id, connection_id, kind, body) VALUES (%(w)s, %(c)s, 'disconnect', '{}');
INSERT INTO crm_sync.audit_head VALUES (%(w)s, 1, 'hash');
INSERT INTO crm_sync.audit VALUES (%(w)s, 1, now(), 'a', 'b', 'c', '{}', 'p', 'h');
INSERT INTO crm_sync.sibling (account_mac, workspace_id, connection_id) VALUES (%(mac)s, %(w)s, %(c)s)
"""


@pytest.fixture(scope="module")
def victim(worker_db: Database, crm_db: Database, owner_db: Database, keys: KeyStore) -> OneConnection:
    """A tenant with rows in every table."""
    workspace = register_workspace(crm_db)
    one = OneConnection(worker_db, keys, workspace, world_of(12))
    one.world.refuse = {"p0003"}
    one.sync()
    place = {"w": workspace, "c": one.connection_id, "mac": b"canary-mac"}
    with owner_db.transaction() as tx:
        for statement in FILLED.split(";"):
            tx.execute(statement, place)  # type: ignore[arg-type]
    return one


def values(victim: OneConnection, owner_db: Database) -> dict[str, Any]:
    """An argument for every parameter that a query has, each of the victim's own."""
    with owner_db.transaction() as tx:
        row = tx.execute(
            "SELECT (SELECT hold_id FROM crm_sync.deletion_hold "
            "WHERE workspace_id = %(w)s AND state = 'open') AS hold, "
            "(SELECT key_id FROM crm_sync.data_key WHERE workspace_id = %(w)s AND purpose = 'records') AS key, "
            "(SELECT document_key FROM crm_sync.document WHERE workspace_id = %(w)s LIMIT 1) AS document, "
            "(SELECT part_key FROM crm_sync.part WHERE workspace_id = %(w)s) AS part, "
            "(SELECT value FROM crm_sync.blind_index WHERE workspace_id = %(w)s LIMIT 1) AS blind",
            {"w": victim.workspace},
        ).fetchone()
    assert row is not None
    numbers = "seen saved unchanged deleted repeated skipped refused swept total"
    return {
        **dict.fromkeys(numbers.split(), 0),
        "workspace": victim.workspace, "connection": victim.connection_id, "connection_id": victim.connection_id,
        "stream": "contacts", "part": row["part"], "document_key": row["document"], "keys": [row["document"]],
        "digests": [b"d"], "blind": [b""],
        "values": [row["blind"]], "value": row["blind"], "hold": row["hold"], "key_id": row["key"],
        "job": victim.job_id, "job_id": victim.job_id, "request": victim.connection_id, "state_mac": b"mac",
        "account_mac": b"canary-mac", "provider": "scripted", "epoch": 1, "version": 1, "lease_epoch": 1,
        "limit": 10, "after": 0, "through": 10, "seq": 1_000_000, "position": 0, "pass": 1, "pass_id": 1, "last": b"",
        "page_number": 9, "normaliser": 1, "cursor": b"c", "sweeping": True, "attempt": uuid4(), "owner": uuid4(),
        "lease": timedelta(seconds=1), "lifetime": timedelta(hours=1), "refresh_lifetime": None, "sealed": b"s",
        "answer": "a", "life": timedelta(hours=1), "process_id": UUID(int=1), "most_deliveries": 5,
        "deadlines_s": Jsonb({}), "announced": ["sync"], "channel": "crm_sync_job", "may_repeat": False, "named": False,
        "run_at": None, "wait": None, "progress": None, "outcome": None, "sealed_outcome": None, "message": None,
        "state": "active", "reason": "r", "actor": "a", "action": "b", "at": datetime.now(UTC),
        "rest": timedelta(days=1),
        "previous": b"p", "hash": b"h", "salt": b"s", "genesis": b"g", "reader": "r", "region": "US", "kind": "ping",
        "idempotency_key": None, "states": ["running", "queued", "done", "active"], "all": True,
        "with_documents": True, "purposes": ["contacts"], "scopes": ["s"], "policy_version": "v", "agreed_by": "u",
        "redirect_uri": "r", "sealed_verifier": b"s", "sealed_key": b"s", "streams": ["contacts"],
        "everys": [timedelta(hours=1)], "reasons": ["r"], "kinds": ["contact"], "farewells": ["disconnect"],
        "restart": True, "by": "u", "body": Jsonb({}), "purpose": "records", "keyring": "records", "kek_id": "k",
        "wrapped": b"w", "public_key": b"k", "count": 1, "pool": "p", "lanes": ["sync"], "threads": 1, "host": "h",
        "pid": 1, "stopping": False, "events": ["record.saved"], "details": Jsonb({}), "args": Jsonb({}),
        "dated": [None], "expires": [None], "rules": [None], "renewable": [False], "parts": [row["part"]],
        "connector": "gmail", "title": "t", "max_age": timedelta(days=1), "counted_from": "fetched",
        "after_disconnect": None, "ends_when": [], "why": "w", "source": "s", "read_on": datetime.now(UTC).date(),
        "sure": "documented", "digest": "d",
        "answered": timedelta(0), "given_up": timedelta(0), "decided": timedelta(0), "finished": timedelta(0),
        "kept": timedelta(0),
        "age": timedelta(days=1), "rule": "policy", "ended": None,
        "fetched": [datetime.now(UTC)], "confirmed": [datetime.now(UTC)], "most_times": 9, "admin_consent_url": None,
        "after_day": None, "after_connector": None, "after_account": None, "after_campaign": None,
        "since": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip


DAY = date(2026, 11, 1)
OTHERWISE: dict[str, dict[str, Any]] = {
    "client.documents_after": {"connection": UUID(int=0)},
    "documents.leave_quarantine": {"reason": None},
    "documents.set_aside_for": {"reason": "bad_record"},
    "documents.unseen": {"after": b""},
    "measures.held": {"first": DAY, "last": DAY},
    "measures_view.days": {"first": DAY, "last": DAY, "connector": None},
    "measures_view.days_of_connection": {"first": DAY, "last": DAY},
    "measures_view.spend": {"first": DAY, "last": DAY},
    "measures.save": {
        "account": "account",
        "time_zone": "UTC",
        "currency": "THB",
        "days": [DAY],
        "campaigns": ["campaign"],
        "names": ["name"],
        "costs": [1],
        "impressions": [1],
        "clicks": [1],
        "conversions": [1],
        "values": [1],
    },
    "measures.delete": {"campaigns": ["campaign"], "days": [DAY]},
    "measures.mark": {"campaigns": ["campaign"], "days": [DAY], "kept": True},
    "measures.note_account": {
        "account": "account",
        "account_name": "name",
        "time_zone": "UTC",
        "currency": "THB",
        "first": DAY,
        "last": DAY,
    },
    "documents.save": {"kinds": ["contact"], "sealed": [b"s"]},
    "documents.quarantine": {"reasons": ["bad_record"], "details": [""]},
    "feed.append": {"details": [Jsonb({})]},
    "keys.keys_of_connection": {"purposes": ["records", "index", "grant"]},
    "keys.keys_of_workspace": {"purposes": ["records", "index"]},
    "keys.shred_keys": {"purposes": ["grant"]},
    "ledger.finish": {"state": "done", "attempt": "stays"},
    "retention.batch_to_plan": {"stream": ""},
    "client.set_rule": {"kind": "contact"},
    "parts.turn_page": {"last": True},
    "client.jobs": {"kind": None},
    "parts.close_hold": {"state": "approved"},
    "connections.put_streams": {"states": ["active"], "purposes": ["contacts"], "reasons": [None]},
    "keys.add_key": {"key_id": uuid4(), "purpose": "asset"},
}
"""Where a parameter's name means something else."""


class _Everything(dict[str, Any]):
    """psycopg asks for each parameter by its name; lists of bytes stand for what is not named above."""

    def __missing__(self, name: str) -> Any:
        raise AssertionError(f"the test knows no argument for {name}")


def effect(url: str, workspace: str, statement: str, arguments: dict[str, Any]) -> tuple[list[Any], int] | str:
    """What a query gives and how many rows it touches, in a transaction that is rolled back."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('crm_sync.workspace', %s, true)", [workspace])
        try:
            cursor = connection.execute(statement, _Everything(arguments))  # type: ignore[arg-type]
            rows = cursor.fetchall() if cursor.description else []
            return rows, 0 if cursor.statusmessage and cursor.statusmessage.startswith("SELECT") else cursor.rowcount
        except psycopg.errors.InsufficientPrivilege:
            return "refused"
        finally:
            connection.rollback()


def every_query() -> Iterator[tuple[str, str, Role]]:
    for family in FAMILIES:
        if family == "scheduler":
            continue  # Its login sees ids, states and times of all tenants; see test_walls.py.
        role = Role.CRM if family in {"client", "audit", "measures_view"} else Role.WORKER
        for name, statement in queries.load(family).items():
            yield f"{family}.{name}", statement, role


QUERIES = {name: (statement, role) for name, statement, role in every_query()}


def tells(rows: list[Any]) -> bool:
    """Whether a row holds anything: a value, a count, or a flag that is set."""
    return any(any(value not in (None, 0, False, "", []) for value in row.values()) for row in rows)


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in BY_DESIGN and name not in OF_NOBODY])
def test_p7_no_query_gives_or_changes_what_another_tenant_holds(
    victim: OneConnection, database_urls: dict[Role, str], owner_db: Database, crm_db: Database, name: str
) -> None:
    statement, role = QUERIES[name]
    arguments = {**values(victim, owner_db), **OTHERWISE.get(name, {})}
    stranger = register_workspace(crm_db)
    found = effect(database_urls[role], stranger, statement, arguments)
    if found != "refused":
        rows, touched = found
        assert not tells(rows), rows
        assert touched == 0
    found = effect(database_urls[role], "", statement, arguments)
    assert found == "refused" or (not tells(found[0]) and found[1] == 0)  # type: ignore[arg-type]


def test_p7_a_tenant_sees_no_other_in_the_list_of_all(
    victim: OneConnection, database_urls: dict[Role, str], crm_db: Database
) -> None:
    stranger = register_workspace(crm_db)
    for role in (Role.CRM, Role.WORKER):
        found = effect(database_urls[role], stranger, QUERIES["client.workspaces"][0], {})
        assert found == "refused" or [row["workspace_id"] for row in found[0]] == [stranger]  # type: ignore[union-attr]
    del victim


def test_the_same_queries_reach_the_tenants_own_rows(
    victim: OneConnection, database_urls: dict[Role, str], owner_db: Database
) -> None:
    """Without it, the test above might pass because its arguments fit nothing."""
    barren = set()
    for name, (statement, role) in QUERIES.items():
        arguments = {**values(victim, owner_db), **OTHERWISE.get(name, {})}
        found = effect(database_urls[role], victim.workspace, statement, arguments)
        if found == "refused" or not (tells(found[0]) or found[1]):  # type: ignore[arg-type]
            barren.add(name)
    assert len(QUERIES) - len(barren) > 0.7 * len(QUERIES), sorted(barren)


# Text that would like to be SQL.

HOSTILE = [
    "'; DROP TABLE crm_sync.document; --",
    "' OR '1'='1",
    "x') UNION SELECT sealed_tokens FROM crm_sync.oauth_grant --",
    "%",
    "_",
    "%%s",
    "{0}",
    "$1",
    "\\",
    "a@b.c' OR workspace_id IS NOT NULL --",
    "\u202e\x1b[2J",
    "$$; SELECT pg_sleep(9) $$",
    "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
]


@pytest.fixture
def crm(database_urls: dict[Role, str], keyrings: dict[str, Path], victim: OneConnection) -> Iterator[Client]:
    with Client(
        database_urls[Role.CRM], keyrings["records"], workspace=victim.workspace, actor="u", reason="a test"
    ) as client:
        yield client


def census(owner_db: Database) -> dict[str, int]:
    """How many rows each table has, but for what reading itself writes."""
    with owner_db.transaction() as tx:
        tables = tx.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'crm_sync'::regnamespace AND relkind = 'r' ORDER BY 1"
        ).fetchall()
        counted = {}
        for row in tables:
            if not row["relname"].startswith(("audit", "workspace")):
                found = tx.execute(f"SELECT count(*) AS n FROM crm_sync.{row['relname']}").fetchone()  # type: ignore[arg-type]
                counted[row["relname"]] = found["n"] if found else 0
    return counted


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_never_sql(crm: Client, victim: OneConnection, owner_db: Database, text: str) -> None:
    before = census(owner_db)
    assert crm.search(email=text) == []
    assert crm.read_position(text) == 0
    for refused in (
        lambda: crm.search(phone=text),
        lambda: crm.enqueue(text),
        lambda: crm.sync(victim.connection_id, text),
        lambda: crm.enqueue("sync_stream", {"connection_id": text, "stream": text}),
        lambda: crm.record(victim.connection_id, "contacts", text),
        lambda: crm.record(victim.connection_id, text, "00"),
        lambda: crm.at(text).enqueue("ping"),
        lambda: crm.at(text).register_workspace(),
        lambda: crm.at(text).workspace_facts(),
    ):
        with pytest.raises((BadRequest, NotFound)):
            refused()
    assert crm.jobs(kind=text) == []
    assert crm.jobs(states=[text]) == []
    assert census(owner_db) == before


@pytest.mark.parametrize("text", HOSTILE)
def test_arguments_and_names_are_kept_as_they_were_written(crm: Client, text: str) -> None:
    job = crm.enqueue("ping", {"text": text}, idempotency_key=text)
    assert crm.job(job).args == {"text": text}
    assert crm.enqueue("ping", idempotency_key=text) == job
    reader = f"reader {text}"
    assert crm.acknowledge(reader, 1) == 1
    assert crm.read_position(reader) == 1
    assert json.loads(json.dumps(crm.job(job).args))["text"] == text

"""P9: from its end on a record is not there, by any login, any named query and any door, swept or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_walls_of_queries import OTHERWISE, QUERIES, effect, values
from tests.faults.test_walls_of_queries import keys as _keys
from tests.faults.test_walls_of_queries import victim as _victim
from tests.sync.one_connection import OneConnection
from worker.client import Client
from worker.errors import NotFound
from worker.settings import Role
from worker.store.database import Database

keys, victim = _keys, _victim

WRITES_OVER = {
    "documents.save": "it runs in a page's transaction, which sees what is due, since it writes over it",
    "documents.index_documents": "lookups go with their record; the worker reads none of them",
    "documents.unindex_documents": "likewise",
}
"""Statements whose effect on a hidden row is not that on an absent one; none of them gives anything of it."""

OF_THE_MOMENT = {
    "client.enqueue", "connections.ask_for_purge", "farewells.add_receipt", "parts.open_hold", "grants.read_grant",
    "consents.add_request",
}  # fmt: skip
"""They give a new number or the present time, another one at each call."""


@pytest.fixture
def end(victim: OneConnection, owner_db: Database) -> Iterator[dict[str, Any]]:
    """The arguments that name one record of a tenant, which is due."""
    arguments = values(victim, owner_db)
    place = [victim.workspace, arguments["document_key"]]
    where = "WHERE workspace_id = %s AND document_key = %s"
    with owner_db.transaction() as tx:
        tx.execute(f"UPDATE crm_sync.document SET expires_at = now() - interval '1 second' {where}", place)  # type: ignore[arg-type]
    yield arguments
    with owner_db.transaction() as tx:
        tx.execute(f"UPDATE crm_sync.document SET expires_at = NULL {where}", place)  # type: ignore[arg-type]


def told(rows: list[Any]) -> str:
    """What an answer says, but for the times at which it was asked."""
    return repr([{name: value for name, value in row.items() if name not in {"now", "at"}} for row in rows])


def test_p9_no_query_tells_a_due_record_from_one_that_is_not_there(
    victim: OneConnection, database_urls: dict[Role, str], owner_db: Database, end: dict[str, Any]
) -> None:
    def effects() -> dict[str, Any]:
        found = {}
        for name, (statement, role) in QUERIES.items():
            if name not in WRITES_OVER:
                result = effect(database_urls[role], victim.workspace, statement, {**end, **OTHERWISE.get(name, {})})
                found[name] = result if isinstance(result, str) else (told(result[0]), result[1])
        return found

    due = effects()
    place = [victim.workspace, end["document_key"]]
    with owner_db.transaction() as tx:
        tx.execute(
            "CREATE TABLE aside AS SELECT * FROM crm_sync.document WHERE workspace_id = %s AND document_key = %s", place
        )
        tx.execute("DELETE FROM crm_sync.document WHERE workspace_id = %s AND document_key = %s", place)
    try:
        gone = effects()
    finally:
        with owner_db.transaction() as tx:
            tx.execute("INSERT INTO crm_sync.document SELECT * FROM aside")
            tx.execute("DROP TABLE aside")
    assert {name for name in due if due[name] != gone[name]} - OF_THE_MOMENT == set()
    with owner_db.transaction() as tx:
        tx.execute(
            "UPDATE crm_sync.document SET expires_at = NULL WHERE workspace_id = %s AND document_key = %s", place
        )
    there = effects()
    assert len([name for name in due if due[name] != there[name]]) > 5, "the arguments do name the record"


def test_p9_no_door_of_the_client_gives_a_due_record(
    victim: OneConnection, database_urls: dict[Role, str], keyrings: dict[str, Path], end: dict[str, Any]
) -> None:
    key = end["document_key"].hex()
    with Client(
        database_urls[Role.CRM], keyrings["records"], workspace=victim.workspace, actor="u", reason="a test"
    ) as crm:
        with pytest.raises(NotFound):
            crm.record(victim.connection_id, "contacts", key)
        for change in crm.feed():
            assert change.key != key or (change.record is None and change.problem is None)
        found = [record.key for number in range(12) for record in crm.search(email=f"p{number:04d}@example.com")]
        assert len(found) == 10, "twelve, but for one that is due and one that could not be read"
        assert key not in found
        held = {item.stream: item.held["contact"] for item in crm.streams()}
    assert held == {"contacts": 10}

"""P7: what one tenant holds is no other's, by any login, in any table."""

import psycopg
import pytest

from tests.conftest import register_workspace
from tests.sync.scripted import connection_exists, job_runs
from worker.settings import Role
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

TENANT_TABLES = """
    SELECT c.relname AS name, c.relrowsecurity AS on_, c.relforcerowsecurity AS forced,
           has_table_privilege(%s, c.oid, 'SELECT') AS readable
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id'
    WHERE c.relnamespace = 'crm_sync'::regnamespace AND c.relkind = 'r'
    ORDER BY 1
"""
LOGINS = {Role.WORKER: "crm_sync_worker", Role.CRM: "crm_sync_crm", Role.SCHEDULER: "crm_sync_scheduler"}
ACROSS = {
    Role.WORKER: {"sibling"},
    Role.CRM: {"feed_reader", "feed_head"},
    Role.SCHEDULER: {"job", "stream", "connection", "oauth_grant", "deletion_hold", "served"},
}
"""What a login may see of all tenants: ids, times and digests only."""


@pytest.fixture
def filled(worker_db: Database, crm_db: Database) -> str:
    """A tenant with a row in the tables that matter."""
    workspace = register_workspace(crm_db)
    connection = connection_exists(worker_db, workspace, "contacts")
    KeyStore(worker_db, grant=Keyring.generate("grant"), records=Keyring.generate("records")).create_for_connection(
        workspace, connection
    )
    job_runs(worker_db, workspace, connection)
    with worker_db.transaction(workspace) as tx:
        tx.execute(
            "INSERT INTO crm_sync.document (workspace_id, connection_id, stream, document_key, part_key, kind, digest, "
            "sealed, blind, pass_id) VALUES (%s, %s, 'contacts', 'k', 'p', 'contact', 'd', 's', '', 0)",
            [workspace, connection],
        )
    return workspace


def test_p7_row_level_security_is_forced_on_every_table_that_names_a_tenant(owner_db: Database) -> None:
    with owner_db.transaction() as tx:
        rows = tx.execute(TENANT_TABLES, ["crm_sync_worker"]).fetchall()
    assert len(rows) > 15
    assert [row["name"] for row in rows if not (row["on_"] and row["forced"])] == []


@pytest.mark.parametrize("role", LOGINS)
def test_p7_no_login_passes_the_walls_by(owner_db: Database, role: Role) -> None:
    with owner_db.transaction() as tx:
        row = tx.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = %s", [LOGINS[role]]
        ).fetchone()
    assert row == {"rolsuper": False, "rolbypassrls": False, "rolcreaterole": False}


@pytest.mark.parametrize("as_whom", ["another tenant", "nobody", "a tenant by half"])
@pytest.mark.parametrize("role", [Role.WORKER, Role.CRM])
def test_p7_another_tenants_rows_are_not_there(
    filled: str, database_urls: dict[Role, str], owner_db: Database, role: Role, as_whom: str, crm_db: Database
) -> None:
    stranger = {"another tenant": register_workspace(crm_db), "nobody": "", "a tenant by half": filled[:-1]}[as_whom]
    with owner_db.transaction() as tx:
        tables = [row["name"] for row in tx.execute(TENANT_TABLES, [LOGINS[role]]).fetchall()]
    seen = {}
    with psycopg.connect(database_urls[role], autocommit=True) as connection:
        for table in sorted(set(tables) - ACROSS[role]):
            with connection.transaction():
                connection.execute("SELECT set_config('crm_sync.workspace', %s, true)", [stranger])
                try:
                    with connection.transaction():
                        row = connection.execute(
                            f"SELECT count(*) FROM crm_sync.{table} WHERE workspace_id = %s",
                            [filled],  # type: ignore[arg-type]
                        ).fetchone()
                except psycopg.errors.InsufficientPrivilege:
                    continue
                if row and row[0]:
                    seen[table] = row[0]
    assert seen == {}


@pytest.mark.parametrize("statement", [
    "UPDATE crm_sync.document SET sealed = 'x' WHERE workspace_id = %s",
    "DELETE FROM crm_sync.document WHERE workspace_id = %s",
    "UPDATE crm_sync.connection SET state = 'active' WHERE workspace_id = %s",
    "DELETE FROM crm_sync.data_key WHERE workspace_id = %s",
    "UPDATE crm_sync.job SET state = 'queued' WHERE workspace_id = %s",
])  # fmt: skip
def test_p7_another_tenants_rows_cannot_be_changed(
    filled: str, worker_db: Database, crm_db: Database, statement: str
) -> None:
    with worker_db.transaction(register_workspace(crm_db)) as tx:
        assert tx.execute(statement, [filled]).rowcount == 0  # type: ignore[arg-type]


def test_p7_a_tenants_setting_does_not_outlive_its_transaction(filled: str, worker_db: Database) -> None:
    with worker_db.transaction(filled) as tx:
        assert tx.execute("SELECT count(*) AS held FROM crm_sync.document").fetchone() == {"held": 1}
    with worker_db.transaction() as tx:
        assert tx.execute("SELECT count(*) AS held FROM crm_sync.document").fetchone() == {"held": 0}


def test_p7_the_scheduler_reads_no_arguments_and_no_tokens(database_urls: dict[Role, str]) -> None:
    with psycopg.connect(database_urls[Role.SCHEDULER], autocommit=True) as connection:
        for column, table in (
            ("args", "job"), ("sealed", "job"), ("outcome", "job"), ("progress", "job"),
            ("sealed_tokens", "oauth_grant"),
            ("account_mac", "connection"), ("agreed_by", "connection"),
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {column} FROM crm_sync.{table}")  # type: ignore[arg-type]


def test_p7_the_crm_reads_no_tokens_and_no_account(database_urls: dict[Role, str]) -> None:
    with psycopg.connect(database_urls[Role.CRM], autocommit=True) as connection:
        for statement in (
            "SELECT sealed_tokens FROM crm_sync.oauth_grant",
            "SELECT account_mac FROM crm_sync.connection",
            "SELECT sealed_cursor FROM crm_sync.part",
            "SELECT sealed FROM crm_sync.job",
            "INSERT INTO crm_sync.job (workspace_id, kind, lane) VALUES ('x', 'ping', 'sync')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[arg-type]


def test_nothing_but_the_listed_function_runs_as_the_owner(owner_db: Database) -> None:
    with owner_db.transaction() as tx:
        rows = tx.execute(
            "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'crm_sync'::regnamespace"
        ).fetchall()
    assert [row["proname"] for row in rows] == ["enqueue"]

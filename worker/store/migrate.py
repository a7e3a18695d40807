"""Brings a database to this release's schema: numbered SQL files, each in a transaction, one runner at a time.

It does not go back: a migration is written so that the previous release still runs on it. Why a page of our own and
no migration library: `docs/decisions/0002-migrations.md`.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from worker.errors import Misconfigured
from worker.settings import Role
from worker.store.database import translated_errors

_LOCK = 0x63726D73
"""Key of the advisory lock that keeps two runners apart: the letters `crms`."""
_FILE = re.compile(r"^(\d{4})_\w+\.sql$")
LOGINS = {Role.WORKER: "crm_sync_worker", Role.SCHEDULER: "crm_sync_scheduler", Role.CRM: "crm_sync_crm"}


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file: an applied migration must never change."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def migrations() -> Iterator[Migration]:
    """Every migration of this release, in order."""
    folder = files("worker.store").joinpath("migrations")
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if match := _FILE.match(entry.name):
            yield Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8"))


def migrate(owner_url: str) -> list[str]:
    """Apply what is missing and return the names of what was applied.

    Raises:
        Misconfigured: a login is missing, an applied file has changed, or the database is newer than this release.
        Unavailable: the server cannot be reached.
    """
    applied: list[str] = []
    with translated_errors(), psycopg.connect(owner_url, autocommit=True, connect_timeout=5) as connection:
        _require_logins(connection)
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        known = _applied(connection)
        release = {migration.number: migration for migration in migrations()}
        _refuse_strangers(known, release)
        for migration in release.values():
            if migration.number in known:
                continue
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '10s'")
                connection.execute("SET LOCAL statement_timeout = '10min'")
                connection.execute(migration.statements)
                connection.execute(
                    "INSERT INTO crm_sync.migration (number, name, checksum) VALUES (%s, %s, %s)",
                    [migration.number, migration.name, migration.checksum],
                )
            applied.append(migration.name)
    return applied


def pending(owner_url: str) -> list[str]:
    """The names of migrations that a database still lacks."""
    with translated_errors(), psycopg.connect(owner_url, autocommit=True, connect_timeout=5) as connection:
        known = _applied(connection)
        return [migration.name for migration in migrations() if migration.number not in known]


def create_logins(admin_url: str) -> dict[Role, str]:
    """Make the three logins that a development or test cluster lacks, and return each one's URL.

    A login that exists gets a new password. Needs CREATEROLE; production's logins are made by its administrators.
    """
    urls: dict[Role, str] = {}
    with translated_errors(), psycopg.connect(admin_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        for role, name in LOGINS.items():
            password = secrets.token_urlsafe(24)
            exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = sql.SQL("ALTER") if exists else sql.SQL("CREATE")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOBYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                    verb, sql.Identifier(name), sql.Literal(password)
                )
            )
            urls[role] = with_login(admin_url, name, password)
    return urls


def with_login(url: str, user: str, password: str) -> str:
    """The same address with another user."""
    parts = urlsplit(url)
    host = parts.hostname or "127.0.0.1"
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}{port}"))


def _require_logins(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(LOGINS.values())]
    ).fetchall()
    missing = sorted(set(LOGINS.values()) - {row[0] for row in rows})
    if missing:
        raise Misconfigured(
            f"Postgres has no role {', '.join(missing)}. Create each with LOGIN and a password of your own "
            "(CREATE ROLE crm_sync_worker LOGIN PASSWORD …), or run `crm-sync migrate --create-logins` with a login "
            "that may create roles; then run `crm-sync migrate` again."
        )


def _applied(connection: psycopg.Connection) -> dict[int, str]:
    connection.execute("CREATE SCHEMA IF NOT EXISTS crm_sync")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS crm_sync.migration (number integer PRIMARY KEY, name text NOT NULL, "
        "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    return {row[0]: row[1] for row in connection.execute("SELECT number, checksum FROM crm_sync.migration").fetchall()}


def _refuse_strangers(known: dict[int, str], release: dict[int, Migration]) -> None:
    for number, checksum in known.items():
        migration = release.get(number)
        if migration is None:
            raise Misconfigured(
                f"The database has migration {number:04d}, which this release does not know: a newer one has run here. "
                "Run that release, or restore a backup from before it."
            )
        if migration.checksum != checksum:
            raise Misconfigured(
                f"Migration {migration.name} was changed after it ran here. Put the file back as it was and write "
                "the change as a new migration."
            )

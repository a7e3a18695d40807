"""What a command works with: settings whose URLs are all filled in, the embedded servers behind them, a client.

With no database URL set (development), the first command starts a real Postgres and Redis in `CRM_SYNC_DATA_DIR`, makes
the logins and the keyrings, and brings the schema up to date; every further command joins. With URLs set, nothing is
started, made or changed. A process started from here is handed everything by environment variables.
"""

import fcntl
import getpass
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from worker import embedded
from worker.client import Client
from worker.errors import Misconfigured, Unavailable
from worker.settings import Mode, Role, Settings, load
from worker.store.database import Database
from worker.store.migrate import LOGINS, create_logins, migrate, pending, with_login
from worker.vault.keyring import open_or_generate

# A command says once what is wrong. Without a handler Python would print each of the pool's attempts before that, even
# into the JSON of an error. Whoever sets logging up, as the worker and the scheduler do, hears of them all the same.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Environment:
    """Settings that are complete, and the servers that were started for them, if any."""

    settings: Settings
    servers: embedded.Servers | None

    def client(self, workspace: str, *, actor: str | None = None, reason: str | None = None) -> Client:
        """The CRM's door, for a command."""
        return Client(
            self.settings.database_url_of(Role.CRM),
            _source(self.settings.records_keyring),
            workspace=workspace,
            actor=actor or f"cli:{getpass.getuser()}",
            reason=reason or "asked on the command line",
            keys_url=self.settings.keys_url.get_secret_value() if self.settings.keys_url else None,
        )

    def database(self, role: Role) -> Database:
        """A small pool for one of the logins."""
        return Database(self.settings.database_url_of(role), max_size=2, name="crm-sync-cli")

    def variables(self) -> dict[str, str]:
        """This process's environment with all settings in it, for a process started from here."""
        return {**os.environ, **self.settings.as_variables()}


@contextmanager
def environment(settings: Settings | None = None) -> Iterator[Environment]:
    """The environment of a command; at its end the use of the embedded servers ends too.

    Raises:
        Misconfigured: settings are missing or wrong.
        EmbeddedError: the embedded servers cannot be started.
    """
    opened = open_environment(settings or load())
    try:
        yield opened
    finally:
        if opened.servers is not None:
            opened.servers.close()


def open_environment(settings: Settings) -> Environment:
    """Complete the settings, in development with embedded servers; see the top of this file."""
    if settings.effective_mode is Mode.PRODUCTION:
        return Environment(settings, None)
    folder = settings.data_dir.absolute()
    has_urls = any((settings.database_url, settings.database_url_owner, settings.database_url_crm))
    servers = None
    if not has_urls or settings.redis_url is None:
        servers = embedded.start(folder / "servers", want_postgres=not has_urls, want_redis=settings.redis_url is None)
    filled: dict[str, Any] = {"mode": Mode.DEVELOPMENT}
    folder.mkdir(parents=True, exist_ok=True)
    # Two commands that start at once must not give the logins two passwords.
    with (folder / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if servers is not None and servers.postgres_url:
            filled |= _logins(servers.postgres_url, folder / "logins.json")
        if settings.redis_url is None and servers is not None:
            filled["redis_url"] = SecretStr(servers.redis_url)
        for name in ("grant", "records"):
            if getattr(settings, f"{name}_keyring") is None:
                path = folder / f"{name}-keyring.json"
                open_or_generate(path, name)
                filled[f"{name}_keyring"] = SecretStr(str(path))
    return Environment(settings.model_copy(update=filled), servers)


def _logins(postgres_url: str, path: Path) -> dict[str, SecretStr]:
    """The URLs of all roles at the embedded Postgres, its schema up to date."""
    passwords = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    urls = {
        role: with_login(postgres_url, name, passwords[role.value])
        for role, name in LOGINS.items()
        if role.value in passwords
    }
    if set(urls) != set(LOGINS) or not _works(urls[Role.WORKER]):
        urls = create_logins(postgres_url)
        _keep(path, {role.value: _password_of(url) for role, url in urls.items()})
    if pending(postgres_url):
        migrate(postgres_url)
    filled = {"database_url_owner": SecretStr(postgres_url)}
    for role, url in urls.items():
        filled["database_url" if role is Role.WORKER else f"database_url_{role.value}"] = SecretStr(url)
    return filled


def _works(url: str) -> bool:
    try:
        with Database(url, max_size=1, timeout_s=5) as database, database.session() as session:
            session.execute("SELECT 1")
    except (Misconfigured, Unavailable):
        return False
    return True


def _keep(path: Path, passwords: dict[str, str]) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(passwords, file)
    temporary.replace(path)


def _password_of(url: str) -> str:
    return unquote(urlsplit(url).password or "")


def _source(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None

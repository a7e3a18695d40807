"""What every test may ask for: a real Postgres and a real Redis of this test run, a migrated database of this module.

Nothing here stands in for a server. Tests that start processes hand them `settings_environment`.
"""

import gc
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

from worker import embedded
from worker.connectors import registry
from worker.connectors.policy import policy_of
from worker.privacy.policies import publish
from worker.records import Kind
from worker.settings import Mode, Role, Settings
from worker.store.database import Database
from worker.store.migrate import create_logins, migrate

ROOT = Path(__file__).resolve().parent.parent
_LOOPBACK = {"127.0.0.1", "::1", "localhost", ""}
_REDIS_DATABASES = 16


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Files with slow tests come first, after all other plugins had their say: at the end nobody waits for one file."""
    yield
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What was collected lives as long as the run: neither the collector nor forked children need look through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _closed_to_the_world() -> Iterator[None]:
    """No test speaks to anything but loopback, and none reads this machine's settings."""
    for name in [name for name in os.environ if name.startswith("CRM_SYNC_")]:
        del os.environ[name]
    original = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in _LOOPBACK:
            raise AssertionError(f"a test tried to reach {address[0]}")
        original(self, address)

    socket.socket.connect = connect  # type: ignore[method-assign]
    yield
    socket.socket.connect = original  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Servers]:
    """Postgres and Redis for this test run; a crash of the machine may cost their data."""
    folder = tmp_path_factory.mktemp("servers")
    running = embedded.start(folder, durable=False)
    yield running
    running.close()
    embedded.remove(folder, force=True)


@pytest.fixture(scope="session")
def _logins(servers: embedded.Servers) -> dict[Role, str]:
    """The URLs of the cluster's logins, made once, for they hold for every database."""
    return create_logins(servers.postgres_url)


@pytest.fixture(scope="session")
def _template(servers: embedded.Servers, _logins: dict[Role, str]) -> str:
    """The name of a migrated, empty database that the modules' databases are copied from."""
    name = f"template_{secrets.token_hex(4)}"
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    migrate(at_database(servers.postgres_url, name))
    with Database(at_database(servers.postgres_url, name), max_size=1) as database, database.transaction() as tx:
        # As the first worker does; and the provider of the engine's tests, which has no rule that ends anything.
        for connector in registry.names():
            publish(tx, policy_of(connector))
        tx.execute("INSERT INTO crm_sync.policy VALUES ('scripted', 'The provider of the tests', 1, '', true)")
        tx.execute(
            "INSERT INTO crm_sync.policy_rule SELECT 'scripted', kind, NULL, 'fetched', NULL, '{}', 'So.', "
            "'https://a.example', '2026-11-23', 'documented' "
            "FROM unnest(%s::text[]) AS kind",
            [[kind.value for kind in Kind]],
        )
        tx.execute("UPDATE crm_sync.policy SET planned = true")
    return name


@pytest.fixture(scope="module")
def database_urls(servers: embedded.Servers, _logins: dict[Role, str], _template: str) -> Iterator[dict[Role, str]]:
    """A migrated database that only this module uses: each role's URL to it. The owner here is a superuser."""
    with _database(servers, _logins, _template) as urls:
        yield urls


@pytest.fixture
def keys_urls(servers: embedded.Servers, _logins: dict[Role, str], _template: str) -> Iterator[dict[Role, str]]:
    """Another migrated database, for the wrapped data keys of one test."""
    with _database(servers, _logins, _template) as urls:
        yield urls


@contextmanager
def _database(servers: embedded.Servers, logins: dict[Role, str], template: str) -> Iterator[dict[Role, str]]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
    urls = {role: at_database(url, name) for role, url in logins.items()}
    urls[Role.OWNER] = at_database(servers.postgres_url, name)
    yield urls
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def at_database(url: str, name: str) -> str:
    """The same server and login, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _database_of(role: Role) -> Callable[[dict[Role, str]], Iterator[Database]]:
    @pytest.fixture(scope="module", name=f"{role.value}_db")
    def database(database_urls: dict[Role, str]) -> Iterator[Database]:
        with Database(database_urls[role], max_size=16, name=f"test-{role.value}") as opened:
            yield opened

    return database  # type: ignore[return-value]


worker_db = _database_of(Role.WORKER)
scheduler_db = _database_of(Role.SCHEDULER)
crm_db = _database_of(Role.CRM)
owner_db = _database_of(Role.OWNER)

_next_redis_database = iter(range(1, 1_000_000))


@pytest.fixture
def redis_url(servers: embedded.Servers) -> Iterator[str]:
    """A Redis database that is empty and, for now, nobody else's."""
    with _empty_redis(servers) as url:
        yield url


@contextmanager
def _empty_redis(servers: embedded.Servers) -> Iterator[str]:
    number = next(_next_redis_database) % _REDIS_DATABASES
    url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{number}"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    yield url
    with redis.Redis.from_url(url) as client, suppress(redis.RedisError):
        client.flushdb()


@pytest.fixture
def workspace(crm_db: Database) -> str:
    """A registered workspace with a name that no other test has."""
    return register_workspace(crm_db)


def register_workspace(crm_db: Database, name: str | None = None) -> str:
    """Register a workspace as the CRM does, and return its id."""
    workspace_id = name or f"w-{secrets.token_hex(6)}"
    with crm_db.transaction(workspace_id) as connection:
        connection.execute("INSERT INTO crm_sync.workspace (workspace_id) VALUES (%s)", [workspace_id])
    return workspace_id


@pytest.fixture(scope="session")
def keyrings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two fresh keyrings in files: `grant` and `records`."""
    from worker.vault.keyring import Keyring

    folder = tmp_path_factory.mktemp("keyrings")
    paths = {name: folder / f"{name}.json" for name in ("grant", "records")}
    for name, path in paths.items():
        Keyring.generate(name).save(path)
    return paths


@pytest.fixture
def settings(database_urls: dict[Role, str], redis_url: str, keyrings: dict[str, Path], tmp_path: Path) -> Settings:
    """Settings of a development process over this module's database and this test's Redis."""
    return make_settings(database_urls, redis_url, keyrings, tmp_path / "data")


@pytest.fixture(scope="module")
def module_settings(
    servers: embedded.Servers,
    database_urls: dict[Role, str],
    keyrings: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Settings]:
    """The same for what a whole module shares, with a Redis database of its own."""
    with _empty_redis(servers) as url:
        yield make_settings(database_urls, url, keyrings, tmp_path_factory.mktemp("data"))


def make_settings(urls: dict[Role, str], redis_url: str, keyrings: dict[str, Path], data_dir: Path) -> Settings:
    """Settings of a development process."""
    return Settings.model_validate(
        {
            "mode": Mode.DEVELOPMENT,
            "database_url": urls[Role.WORKER],
            "database_url_owner": urls[Role.OWNER],
            "database_url_scheduler": urls[Role.SCHEDULER],
            "database_url_crm": urls[Role.CRM],
            "redis_url": redis_url,
            "grant_keyring": str(keyrings["grant"]),
            "records_keyring": str(keyrings["records"]),
            "data_dir": data_dir,
            "lease_s": 5,
            "shutdown_s": 2.0,
        }
    )


@pytest.fixture
def settings_environment(settings: Settings) -> dict[str, str]:
    """The same settings as an environment for a process of its own."""
    return environment_of(settings)


def environment_of(settings: Settings) -> dict[str, str]:
    """What a child process needs in its environment to have these settings."""
    passed_on = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    passed_on["PYTHONPATH"] = str(ROOT)
    return passed_on | settings.as_variables()

"""Connections for the tests of the engine."""

from collections.abc import Callable

import pytest

from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore


@pytest.fixture(scope="module")
def keys(worker_db: Database) -> KeyStore:
    return KeyStore(worker_db, grant=Keyring.generate("grant"), records=Keyring.generate("records"))


@pytest.fixture
def bench(worker_db: Database, keys: KeyStore, workspace: str) -> Callable[[World], OneConnection]:
    return lambda world: OneConnection(worker_db, keys, workspace, world)

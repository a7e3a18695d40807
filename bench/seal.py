"""Sealing and opening through a connection's keys, against bare AES-256-GCM with the same sizes."""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.place import place
from worker.settings import Role
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

SIZES = (200, 1_000, 10_000)
ROUNDS = 20_000


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Microseconds a value, best of three, and the ratio to the bare primitive."""
    del options
    result: dict[str, Any] = {}
    with place(people=1, workers=1) as there, Database(there.opened.settings.database_url_of(Role.WORKER)) as database:
        store = KeyStore(database, grant=Keyring.generate("grant"), records=Keyring.generate("records"))
        there.client("seal").close()
        connection = uuid4()
        store.create_for_connection("seal", connection)
        keys = store.records("seal", connection)
        bare = AESGCM(os.urandom(32))
        row, aad = os.urandom(16), os.urandom(120)
        for size in SIZES:
            plain = os.urandom(size)
            sealed = keys.seal("document.body", row, plain)
            nonce = os.urandom(12)
            encrypted = bare.encrypt(nonce, plain, aad)
            seal = _us(partial(keys.seal, "document.body", row, plain))
            opened = _us(partial(keys.open, "document.body", row, sealed))
            bare_seal = _us(partial(_bare_seal, bare, plain, aad))
            bare_open = _us(partial(bare.decrypt, nonce, encrypted, aad))
            result[f"{size} bytes"] = {
                "seal_us": seal,
                "open_us": opened,
                "bare_seal_us": bare_seal,
                "bare_open_us": bare_open,
                "seal_ratio": round(bare_seal / seal, 2),
                "open_ratio": round(bare_open / opened, 2),
            }
    return result


def _bare_seal(bare: AESGCM, plain: bytes, aad: bytes) -> bytes:
    return bare.encrypt(os.urandom(12), plain, aad)


def _us(act: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        started_s = time.perf_counter()
        for _ in range(ROUNDS):
            act()
        best = min(best, time.perf_counter() - started_s)
    return round(best / ROUNDS * 1e6, 2)

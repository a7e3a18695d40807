"""Sealed values open where they belong and nowhere else (P7); the format is what the reference says, to the byte."""

import hmac
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import SealBroken
from worker.vault import sealing
from worker.vault.mac import Mac
from worker.vault.sealing import (
    OVERHEAD_BYTES,
    Context,
    DataKey,
    aad_of,
    aad_prefix,
    open_sealed,
    seal,
)

KEY = DataKey(bytes(range(16)), bytes(range(32)))
OTHER = DataKey(bytes(range(16, 32)), bytes(range(32, 64)))
PLACE = Context("acme", "c-1", "document.body", b"row", 3)
VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text())


def sealed_there(plaintext: bytes = b"a secret") -> bytes:
    return seal(KEY, plaintext, PLACE)


@given(st.binary(max_size=2000), st.binary(max_size=40), st.integers(0, 2**63))
def test_what_was_sealed_for_a_place_opens_there(plaintext: bytes, row: bytes, version: int) -> None:
    place = replace(PLACE, row=row, version=version)
    sealed = seal(KEY, plaintext, place)
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES
    assert open_sealed({KEY.key_id: KEY}, sealed, place) == plaintext


MOVED = {
    "another workspace": replace(PLACE, workspace="acmf"),
    "another connection": replace(PLACE, connection="c-2"),
    "another label": replace(PLACE, label="part.cursor"),
    "another row": replace(PLACE, row=b"rox"),
    "an older version": replace(PLACE, version=2),
    "a newer version": replace(PLACE, version=4),
    "a field's end moved into the next": replace(PLACE, workspace="acmec", connection="-1"),
}


@pytest.mark.parametrize("place", MOVED.values(), ids=MOVED.keys())
def test_p7_what_was_moved_does_not_open(place: Context) -> None:
    with pytest.raises(SealBroken):
        open_sealed({KEY.key_id: KEY}, sealed_there(), place)


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "version of the format": lambda sealed: b"\x02" + sealed[1:],
    "key id": lambda sealed: sealed[:1] + OTHER.key_id + sealed[17:],
    "nonce": lambda sealed: sealed[:17] + bytes(12) + sealed[29:],
    "ciphertext": lambda sealed: sealed[:29] + bytes([sealed[29] ^ 1]) + sealed[30:],
    "tag": lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 128]),
    "cut by a byte": lambda sealed: sealed[:-1],
    "cut to its head": lambda sealed: sealed[:29],
    "longer by a byte": lambda sealed: sealed + b"\0",
    "empty": lambda _: b"",
    "something else": lambda _: b"\x01" + b"x" * 80,
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_p7_what_was_tampered_with_does_not_open_and_says_one_thing(tamper: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SealBroken) as caught:
        open_sealed({KEY.key_id: KEY, OTHER.key_id: OTHER}, tamper(sealed_there()), PLACE)
    assert str(caught.value) == "A sealed value did not open."


@given(st.integers(0, 8 * (8 + OVERHEAD_BYTES) - 1))
def test_p7_no_bit_may_flip(bit: int) -> None:
    sealed = bytearray(sealed_there())
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        open_sealed({KEY.key_id: KEY, OTHER.key_id: OTHER}, bytes(sealed), PLACE)


def test_a_seal_is_another_each_time() -> None:
    assert sealed_there() != sealed_there()


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_format_is_that_of_the_vectors(vector: dict[str, Any]) -> None:
    key = DataKey(bytes.fromhex(vector["key_id"]), bytes.fromhex(vector["key"]))
    place = Context(
        vector["workspace"], vector["connection"], vector["label"], bytes.fromhex(vector["row"]), vector["version"]
    )
    prefix = aad_prefix(place.workspace, place.connection, place.label)
    assert aad_of(prefix, place.row, key.key_id, place.version).hex() == vector["aad"]
    plaintext = bytes.fromhex(vector["plaintext"])
    sealed = seal(key, plaintext, place, randomness=lambda _: bytes.fromhex(vector["nonce"]))
    assert sealed.hex() == vector["sealed"]
    assert open_sealed({key.key_id: key}, sealed, place) == plaintext


def test_p3_a_key_shows_itself_to_nobody() -> None:
    assert KEY._material.hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


@given(key=st.binary(min_size=1, max_size=200), messages=st.lists(st.binary(max_size=5_000), max_size=5))
def test_a_mac_is_hmac_sha_256_however_often_it_is_used(key, messages):
    mac = Mac(key)
    assert [mac(message) for message in messages] == [hmac.digest(key, message, "sha256") for message in messages]


def test_nonces_of_forked_processes_differ():
    key = DataKey(b"k" * 16, b"m" * 32)
    before = sealing.seal_with_aad(key, b"", b"")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, sealing.seal_with_aad(key, b"", b""))
        os._exit(0)
    os.waitpid(child, 0)
    there, here = os.read(reading, 1_000), sealing.seal_with_aad(key, b"", b"")
    os.close(reading)
    os.close(writing)
    assert len({before, there, here}) == 3

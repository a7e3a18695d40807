"""Seals a value so that it opens only where it belongs, and opens it again. No key is stored or chosen here.

A sealed value, byte by byte:

    0        version of the format, 0x01
    1..16    id of the data key that sealed it
    17..28   nonce, random
    29..     AES-256-GCM ciphertext, as long as the plaintext
    last 16  tag

What is authenticated beside it (AAD) is not stored; whoever opens must name it. Seven fields in this order, each as
its length in four bytes, big-endian, and its bytes:

    b"crm-sync/sealed/1" · workspace · connection · label · row · key id (16 bytes) · version (8 bytes, big-endian)

So a value that is moved to another workspace, connection, kind of column or row does not open, nor does an older one
that is put back where versions count. `docs/reference/sealed-format.md` is the same for other languages.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from worker.errors import SealBroken

FORMAT_VERSION = 1
KEY_BYTES = 32
KEY_ID_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES
_NAME = b"crm-sync/sealed/1"
_VERSION = bytes([FORMAT_VERSION])
_NONCE_AT = 1 + KEY_ID_BYTES
_BODY_AT = _NONCE_AT + NONCE_BYTES

Randomness = Callable[[int], bytes]
"""Gives that many bytes nobody can guess. Only tests pass one of their own."""


class DataKey:
    """A key that seals values, with the id it is stored under. Its bytes are never shown and not pickled."""

    __slots__ = ("_aead", "_material", "key_id")

    def __init__(self, key_id: bytes, material: bytes) -> None:
        if len(key_id) != KEY_ID_BYTES or len(material) != KEY_BYTES:
            raise ValueError("a data key has 32 bytes and an id of 16")
        self.key_id = key_id
        self._material = material
        self._aead = AESGCM(material)

    def derive(self, purpose: str) -> bytes:
        """32 bytes that depend on this key and `purpose` only (HKDF-SHA-256, no salt)."""
        return HKDF(SHA256(), KEY_BYTES, None, b"crm-sync/derive/1 " + purpose.encode()).derive(self._material)

    def encrypt(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext and tag."""
        return self._aead.encrypt(nonce, plaintext, aad)

    def decrypt(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """The inverse; raises `InvalidTag`, which no caller outside this module ever sees."""
        return self._aead.decrypt(nonce, ciphertext, aad)

    def __repr__(self) -> str:
        return f"DataKey({self.key_id.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a DataKey is not pickled")


@dataclass(frozen=True, slots=True)
class Context:
    """Where a sealed value belongs. `label` is a stable name, no column's; `row` names the row, `version` its age.

    `connection` is the canonical text of its id, empty for what belongs to the workspace as a whole.
    """

    workspace: str
    connection: str
    label: str
    row: bytes
    version: int = 0


def field_bytes(value: bytes) -> bytes:
    """A field with its length before it, so that no two lists of fields give the same bytes."""
    return len(value).to_bytes(4, "big") + value


def aad_prefix(workspace: str, connection: str, label: str) -> bytes:
    """The fields that all rows of one label share."""
    fields = (_NAME, workspace.encode(), connection.encode(), label.encode())
    return b"".join(field_bytes(value) for value in fields)


def aad_of(prefix: bytes, row: bytes, key_id: bytes, version: int) -> bytes:
    """All seven fields."""
    return b"".join(
        (
            prefix,
            len(row).to_bytes(4, "big"),
            row,
            b"\x00\x00\x00\x10",
            key_id,
            b"\x00\x00\x00\x08",
            version.to_bytes(8, "big"),
        )
    )


def seal_with_aad(key: DataKey, plaintext: bytes, aad: bytes, *, randomness: Randomness = ssl.RAND_bytes) -> bytes:
    """`seal` for a caller that has built the AAD itself, as thousands of rows of one page do.

    Nonces are OpenSSL's random bytes, which are safe across a fork; `mac.py` says why not the system's own.
    """
    nonce = randomness(NONCE_BYTES)
    return b"".join((_VERSION, key.key_id, nonce, key.encrypt(nonce, plaintext, aad)))


def open_with_aad(key: DataKey, sealed: bytes, aad: bytes) -> bytes:
    """`open_sealed` for a caller that has chosen the key by `key_id_of` and built the AAD itself."""
    try:
        return key.decrypt(sealed[_NONCE_AT:_BODY_AT], sealed[_BODY_AT:], aad)
    except (InvalidTag, ValueError):
        raise broken() from None


def key_id_of(sealed: bytes) -> bytes:
    """The id of the key that a sealed value names.

    Raises:
        SealBroken: it is too short, or of a format that this release does not know.
    """
    if len(sealed) < OVERHEAD_BYTES or sealed[0] != FORMAT_VERSION:
        raise broken()
    return bytes(sealed[1:_NONCE_AT])


def seal(key: DataKey, plaintext: bytes, context: Context, *, randomness: Randomness = ssl.RAND_bytes) -> bytes:
    """Seal `plaintext` for `context`; the layout is drawn at the top of this file."""
    prefix = aad_prefix(context.workspace, context.connection, context.label)
    aad = aad_of(prefix, context.row, key.key_id, context.version)
    return seal_with_aad(key, plaintext, aad, randomness=randomness)


def open_sealed(keys: Mapping[bytes, DataKey], sealed: bytes, context: Context) -> bytes:
    """Open what was sealed for `context`, with the one of `keys` that the value names. No other key is tried.

    Raises:
        SealBroken: for whatever reason; it is always the same text.
    """
    key = keys.get(key_id_of(sealed))
    if key is None:
        raise broken()
    prefix = aad_prefix(context.workspace, context.connection, context.label)
    return open_with_aad(key, sealed, aad_of(prefix, context.row, key.key_id, context.version))


def broken() -> SealBroken:
    """The one failure with its one message: what an attacker asks is why, so nobody is told."""
    return SealBroken("A sealed value did not open.")

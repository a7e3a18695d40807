"""What the CRM seals for us: HPKE (RFC 9180) to a public key, for whoever cannot hold a keyring (SQL, other languages).

A sealed argument, byte by byte:

    0        version of the format, 0x01
    1..16    id of the intake key
    17..     HPKE in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: the encapsulated key (32 bytes),
             then ciphertext and tag; empty `aad`

`info` binds the workspace and the kind of job, so that a code meant for one cannot be used by another; each field has
its length in four bytes before it: b"crm-sync/intake/1" · workspace · kind · key id (16 bytes).
"""

from collections.abc import Mapping
from typing import NoReturn
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from worker.errors import KeyMissing, SealBroken
from worker.vault.sealing import KEY_ID_BYTES, broken, field_bytes

_VERSION = b"\x01"
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_ENVELOPE_BYTES = 1 + KEY_ID_BYTES


def seal_for(public_key: bytes, key_id: UUID, payload: bytes, *, workspace: str, kind: str) -> bytes:
    """Seal `payload` as the argument of a job of `kind` in `workspace`, to what `crm_sync.intake_key()` gives."""
    info = _info(workspace, kind, key_id.bytes)
    body = _SUITE.encrypt(payload, X25519PublicKey.from_public_bytes(public_key), info)
    return _VERSION + key_id.bytes + body


class IntakeKey:
    """The private halves: the one in use, and older ones for what was sealed before.

    `lost` says of others, by their ids, which key-encryption key is missing that they could be had with.
    """

    __slots__ = ("_lost", "_private", "key_id")

    def __init__(self, key_id: UUID, private: Mapping[bytes, bytes], lost: Mapping[bytes, str] | None = None) -> None:
        self.key_id = key_id
        self._lost = dict(lost or {})
        self._private = {
            identifier: X25519PrivateKey.from_private_bytes(material) for identifier, material in private.items()
        }

    @property
    def public_key(self) -> bytes:
        """The public half of the one in use."""
        return public_half(self._private[self.key_id.bytes])

    def open(self, sealed: bytes, *, workspace: str, kind: str) -> bytes:
        """Open what was sealed for a job of `kind` in `workspace`.

        Raises:
            KeyMissing: it was sealed to a key that this process cannot unwrap; the text names what is missing.
            SealBroken: for whatever other reason.
        """
        key_id = bytes(sealed[1:_ENVELOPE_BYTES])
        if sealed[:1] == _VERSION and key_id in self._lost:
            raise KeyMissing(self._lost[key_id])
        key = self._private.get(key_id)
        if sealed[:1] != _VERSION or key is None:
            raise broken()
        try:
            return _SUITE.decrypt(sealed[_ENVELOPE_BYTES:], key, _info(workspace, kind, sealed[1:_ENVELOPE_BYTES]))
        except (InvalidTag, ValueError):
            raise broken() from None

    def __repr__(self) -> str:
        return f"IntakeKey({self.key_id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an IntakeKey is not pickled")


def public_half(private: X25519PrivateKey) -> bytes:
    """The 32 bytes that may be shown to all."""
    return private.public_key().public_bytes_raw()


def _info(workspace: str, kind: str, key_id: bytes) -> bytes:
    fields = (b"crm-sync/intake/1", workspace.encode(), kind.encode(), bytes(key_id))
    return b"".join(field_bytes(value) for value in fields)


__all__ = ["IntakeKey", "SealBroken", "public_half", "seal_for"]

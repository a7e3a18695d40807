"""Opaque tokens for pages and syncs: readable here, meaningless and unforgeable outside.

    token = base64url( mac (6 bytes) · msgpack([kind, fields]) )

They are no secrets of a user; bearer tokens are made elsewhere.
"""

import base64
import binascii
import hashlib
from typing import Any

import msgspec

_MAC_BYTES = 6


class Mint:
    """Makes and reads tokens of one simulated world."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.blake2s(f"opaque {seed}".encode()).digest()

    def make(self, kind: str, **fields: Any) -> str:
        """Return a token that `read` opens under the same kind."""
        body = msgspec.msgpack.encode([kind, fields])
        return base64.urlsafe_b64encode(self._mac(body) + body).decode().rstrip("=")

    def read(self, kind: str, token: str) -> dict[str, Any] | None:
        """Return what the token carries, or None when it is foreign, altered or of another kind."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if mac != self._mac(body):
            return None
        found, fields = msgspec.msgpack.decode(body, type=tuple[str, dict[str, Any]])
        return fields if found == kind else None

    def _mac(self, body: bytes) -> bytes:
        return hashlib.blake2s(body, key=self._key, digest_size=_MAC_BYTES).digest()


def fingerprint(*values: object) -> str:
    """Return a short digest by which two parameter sets can be compared."""
    return hashlib.blake2s(repr(values).encode(), digest_size=8).hexdigest()

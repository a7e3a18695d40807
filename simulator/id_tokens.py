"""ID tokens: claims signed with RS256, and the public keys by which they are checked.

The key is made when it is first needed and lives as long as the process.
"""

import base64
import hashlib

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Signer:
    """Signs claims with a key of its own."""

    def __init__(self) -> None:
        self._key: rsa.RSAPrivateKey | None = None

    def sign(self, claims: dict[str, object]) -> str:
        """Return a compact JWT."""
        key = self._private_key()
        head = {"alg": "RS256", "kid": self._key_id(key), "typ": "JWT"}
        signing_input = _text(msgspec.json.encode(head)) + "." + _text(msgspec.json.encode(claims))
        signature = key.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
        return signing_input + "." + _text(signature)

    def key_set(self) -> dict[str, object]:
        """Return the JWKS document."""
        key = self._private_key()
        numbers = key.public_key().public_numbers()
        return {
            "keys": [
                {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self._key_id(key), "n": _number(numbers.n),
                 "e": _number(numbers.e)}
            ]
        }  # fmt: skip

    def _private_key(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        return self._key

    def _key_id(self, key: rsa.RSAPrivateKey) -> str:
        return hashlib.sha256(_number(key.public_key().public_numbers().n).encode()).hexdigest()[:40]


def half_hash(text: str) -> str:
    """Return the `at_hash` of an access token: the left half of its SHA-256."""
    return _text(hashlib.sha256(text.encode()).digest()[:16])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))

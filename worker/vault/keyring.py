"""Key-encryption keys: a keyring wraps data keys and unwraps them. It never seals a customer's value itself.

A keyring is JSON, in a file that only its owner can read or in the setting itself:

    {"version": 1, "keyring": "grant", "active": "<kek id>",
     "keys": {"<kek id>": {"created_at": "2026-11-23T12:00:00+00:00", "key": "<32 bytes in base64>"}}}

There are two, `grant` (tokens) and `records` (all else), so that a process that reads records need not be able to read
tokens. New data keys are wrapped by the active key; the others still unwrap. A key service takes a keyring's place by
the port `KeyEncryption`.

A wrapped data key, byte by byte: version 0x01 · nonce (12) · AES-256-GCM ciphertext (32) · tag (16). Its AAD is, each
with its length in four bytes before it: b"crm-sync/wrapped/1" · keyring · kek id · workspace · connection · purpose ·
key id (16 bytes). The kek id stands beside it in its row.
"""

import base64
import binascii
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from worker.errors import KeyMissing, Misconfigured
from worker.vault.sealing import KEY_BYTES, NONCE_BYTES, Randomness, broken, field_bytes

NAMES = ("grant", "records")
_VERSION = b"\x01"
_WRAPPED_BYTES = 1 + NONCE_BYTES + KEY_BYTES + 16
_KEK_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class WrapContext:
    """Which data key is wrapped: bound into the wrapping, so that a row's key fits no other row."""

    workspace: str
    connection: str
    purpose: str
    key_id: bytes


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapped data key and the id of the key-encryption key that wrapped it."""

    kek_id: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What may be told of a key-encryption key."""

    kek_id: str
    created_at: datetime
    active: bool


class KeyEncryption(Protocol):
    """What a keyring does, and what a key service would do in its place."""

    @property
    def name(self) -> str:
        """`grant` or `records`."""

    def wrap(self, material: bytes, context: WrapContext) -> Wrapped:
        """Wrap a data key with the active key-encryption key."""

    def unwrap(self, wrapped: Wrapped, context: WrapContext) -> bytes:
        """The data key's bytes.

        Raises:
            KeyMissing: the key-encryption key that is named is not held; the text names it.
            SealBroken: the wrapping was damaged or moved.
        """

    def status(self) -> tuple[KeyStatus, ...]:
        """The key-encryption keys, oldest first."""


@dataclass(frozen=True, slots=True)
class _Kek:
    created_at: datetime
    key: bytes


class Keyring:
    """A keyring whose keys are held in this process. `repr` shows no key, and it is not pickled."""

    __slots__ = ("_active", "_keys", "_name")

    def __init__(self, name: str, active: str, keys: Mapping[str, tuple[datetime, bytes]]) -> None:
        if active not in keys:
            raise ValueError(f"the active key «{active}» is not among the keys")
        self._name = name
        self._active = active
        self._keys = {kek_id: _Kek(created_at, key) for kek_id, (created_at, key) in keys.items()}

    @property
    def name(self) -> str:
        """`grant` or `records`."""
        return self._name

    @classmethod
    def generate(cls, name: str, *, now: datetime | None = None, randomness: Randomness = os.urandom) -> Self:
        """A new keyring with one new key."""
        created_at = now or datetime.now(UTC)
        kek_id = f"{name}-{created_at:%Y%m%d}-{randomness(4).hex()}"
        return cls(name, kek_id, {kek_id: (created_at, randomness(KEY_BYTES))})

    @classmethod
    def load(cls, source: str | Path, name: str) -> Self:
        """Read a keyring from a file's path, or from its JSON itself.

        Raises:
            Misconfigured: there is no such file, others may read it, or it is no keyring of that name. The text never
                quotes what was read.
        """
        text = str(source).strip()
        if text.startswith("{"):
            return cls._parse(text, name, f"the {name} keyring in the setting")
        if len(text) > _LONGEST_PATH or "\n" in text:
            raise Misconfigured(f"The {name} keyring's setting is neither a path nor JSON.")
        return cls._parse(_read_private(Path(text), name), name, f"the {name} keyring {text}")

    @classmethod
    def _parse(cls, text: str, name: str, place: str) -> Self:
        try:
            document: dict[str, Any] = json.loads(text)
            if document["version"] != 1:
                raise Misconfigured(f"The version of {place} is not 1: a newer release wrote it. Run that release.")
            if document["keyring"] != name:
                raise Misconfigured(
                    f"In {place} stands a keyring of another name. Check that CRM_SYNC_GRANT_KEYRING and "
                    "CRM_SYNC_RECORDS_KEYRING were not exchanged."
                )
            keys = {kek_id: _read_key(kek_id, entry) for kek_id, entry in document["keys"].items()}
            return cls(name, document["active"], keys)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            # The foreign text may quote the key it stumbled over.
            raise Misconfigured(
                f"There is no usable keyring in {place}. Its shape is in docs/reference/sealed-format.md; "
                "`crm-sync keys init` writes a new one."
            ) from None

    def save(self, path: Path) -> None:
        """Write the keyring to a new file that only its owner can read, whole or not at all.

        Raises:
            FileExistsError: the file exists; it is left as it is.
        """
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self._json())
                file.flush()
                os.fsync(file.fileno())
            # A link fails where a rename would replace: a keyring is never overwritten.
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _json(self) -> str:
        keys = {
            kek_id: {"created_at": kek.created_at.isoformat(), "key": base64.b64encode(kek.key).decode()}
            for kek_id, kek in self._keys.items()
        }
        document = {"version": 1, "keyring": self._name, "active": self._active, "keys": keys}
        return json.dumps(document, indent=2) + "\n"

    def wrap(self, material: bytes, context: WrapContext, *, randomness: Randomness = os.urandom) -> Wrapped:
        """Wrap a data key with the active key."""
        nonce = randomness(NONCE_BYTES)
        aad = self._aad(self._active, context)
        blob = _VERSION + nonce + AESGCM(self._keys[self._active].key).encrypt(nonce, material, aad)
        return Wrapped(self._active, blob)

    def unwrap(self, wrapped: Wrapped, context: WrapContext) -> bytes:
        """The data key's bytes.

        Raises:
            KeyMissing: the key that is named is not in this keyring.
            SealBroken: the wrapping was damaged or moved.
        """
        kek = self._keys.get(wrapped.kek_id)
        if kek is None:
            raise KeyMissing(
                f"The {self._name} keyring has no key «{wrapped.kek_id}», which wraps a stored data key. Put that key "
                "back into the keyring; `crm-sync keys status` lists what is needed."
            )
        blob = wrapped.blob
        if len(blob) != _WRAPPED_BYTES or blob[:1] != _VERSION:
            raise broken()
        nonce, body = blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :]
        try:
            return AESGCM(kek.key).decrypt(nonce, body, self._aad(wrapped.kek_id, context))
        except InvalidTag:
            raise broken() from None

    def status(self) -> tuple[KeyStatus, ...]:
        """The keys, oldest first."""
        ordered = sorted(self._keys.items(), key=lambda item: (item[1].created_at, item[0]))
        return tuple(KeyStatus(kek_id, kek.created_at, kek_id == self._active) for kek_id, kek in ordered)

    def _aad(self, kek_id: str, context: WrapContext) -> bytes:
        fields = (
            b"crm-sync/wrapped/1",
            self._name.encode(),
            kek_id.encode(),
            context.workspace.encode(),
            context.connection.encode(),
            context.purpose.encode(),
            context.key_id,
        )
        return b"".join(field_bytes(value) for value in fields)

    def __repr__(self) -> str:
        return f"Keyring({self._name}, active={self._active})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring is not pickled")


def open_or_generate(path: Path, name: str) -> tuple[Keyring, bool]:
    """The keyring in `path`, made there if there is none; and whether it was made now. For development.

    Two commands that start at once end up with the same keyring.
    """
    made = False
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            Keyring.generate(name).save(path)
            made = True
        except FileExistsError:
            made = False
    return Keyring.load(path, name), made


def _read_key(kek_id: str, entry: Any) -> tuple[datetime, bytes]:
    created_at = datetime.fromisoformat(entry["created_at"])
    key = base64.b64decode(entry["key"], validate=True)
    if not _KEK_ID.match(kek_id) or len(key) != KEY_BYTES or created_at.tzinfo is None:
        raise ValueError
    return created_at, key


def _read_private(path: Path, name: str) -> str:
    variable = f"CRM_SYNC_{name.upper()}_KEYRING"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise Misconfigured(
            f"The {name} keyring {path} cannot be read ({error.strerror}). Set {variable} to an existing keyring, or "
            "write a new one with `crm-sync keys init`."
        ) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise Misconfigured(f"The {name} keyring {path} is no file. Set {variable} to a keyring's file.")
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        if stat.S_IMODE(mode) & 0o077:
            raise Misconfigured(
                f"The {name} keyring {path} may be read by others (mode {stat.S_IMODE(mode):04o}). "
                f"Run: chmod 600 {path}"
            )
        return file.read()

"""Data keys: made, loaded and destroyed. Each connection has three, each workspace one, the deployment two.

    key       of              keyring   for
    grant     a connection    grant     tokens, PKCE verifiers
    records   a connection    records   documents, cursors, outcomes; digests are derived from it
    index     a connection    records   stable names (HMACs) of its records and parts
    index     a workspace     records   blind indexes
    sibling   the deployment  grant     the name (an HMAC) under which grants of one account are siblings
    intake    the deployment  grant     what the CRM seals for us

A store keeps no key: one job loads its connection's keys once and drops them with itself, so a shredded key lives on
in no process for longer than the job that was under way. A key seals at most 2^31 times and is then replaced; it
goes on opening what it sealed. The rows may live in another database than the rest.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from worker.errors import KeyMissing, KeyShredded, Misconfigured
from worker.store import queries
from worker.store.database import Database, Row
from worker.vault.blind_index import BlindIndex
from worker.vault.intake import IntakeKey, public_half
from worker.vault.keyring import KeyEncryption, WrapContext, Wrapped
from worker.vault.mac import Mac
from worker.vault.sealing import (
    KEY_BYTES,
    DataKey,
    aad_of,
    aad_prefix,
    field_bytes,
    key_id_of,
    open_with_aad,
    seal_with_aad,
)

QUERIES = queries.load("keys")
MOST_SEALS: Final = 2**31
"""A key with random nonces of 96 bits is replaced after so many seals (NIST SP 800-38D allows 2^32)."""
NAME_BYTES: Final = 16
DEPLOYMENT: Final = ""
_FIRST_BLOCK, _LARGEST_BLOCK = 1_024, 65_536
_KEYRING_OF = {"grant": "grant", "records": "records", "index": "records", "sibling": "grant", "intake": "grant"}


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose key: a connection's, a workspace's (no connection) or the deployment's (neither)."""

    workspace: str
    connection: UUID | None = None

    @property
    def connection_text(self) -> str:
        return str(self.connection) if self.connection else ""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The keys of one purpose: the one in use, all that open, and the ids of those that were destroyed."""

    in_use: DataKey | None
    opening: Mapping[bytes, DataKey]
    shredded: frozenset[bytes]


class ConnectionKey:
    """Seals and opens values of one connection under one purpose's data key. Threads may share it."""

    def __init__(self, store: "KeyStore", owner: _Owner, purpose: str, loaded: _Loaded) -> None:
        if loaded.in_use is None:
            raise KeyShredded("The data key was destroyed when the connection ended; what it sealed is gone.")
        self._store, self._owner, self._purpose = store, owner, purpose
        self._in_use, self._opening, self._shredded = loaded.in_use, dict(loaded.opening), loaded.shredded
        self._prefixes: dict[str, bytes] = {}
        self._left = 0
        self._block = _FIRST_BLOCK
        self._counting = threading.Lock()

    def seal(self, label: str, row: bytes, plaintext: bytes, version: int = 0) -> bytes:
        """Seal for a place: `label` is a stable name such as `document.body`, `row` names the row.

        Raises:
            KeyShredded: the key was destroyed in the meantime.
            Unavailable: the seals could not be counted.
        """
        with self._counting:
            if self._left == 0:
                self._reserve()
            self._left -= 1
            key = self._in_use
        return seal_with_aad(key, plaintext, aad_of(self._prefix(label), row, key.key_id, version))

    def open(self, label: str, row: bytes, sealed: bytes, version: int = 0) -> bytes:
        """Open what was sealed for that place.

        Raises:
            KeyShredded: its key was destroyed.
            SealBroken: for any other reason.
        """
        key_id = key_id_of(sealed)
        key = self._opening.get(key_id)
        if key is None:
            if key_id in self._shredded:
                raise KeyShredded("The data key was destroyed; what it sealed is gone.")
            key = self._in_use  # It cannot open it either, and fails with the one message.
        return open_with_aad(key, sealed, aad_of(self._prefix(label), row, key_id, version))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for an HMAC, dependent on the key in use."""
        return self._in_use.derive(purpose)

    def _prefix(self, label: str) -> bytes:
        prefix = self._prefixes.get(label)
        if prefix is None:
            prefix = self._prefixes[label] = aad_prefix(self._owner.workspace, self._owner.connection_text, label)
        return prefix

    def _reserve(self) -> None:
        """Count a block of seals before they are made: small ones first, so that short jobs do not use up the key."""
        if not self._store.reserve(self._owner, self._in_use.key_id, self._block):
            loaded = self._store.replace(self._owner, self._purpose, self._in_use.key_id)
            if loaded.in_use is None:
                raise KeyShredded("The data key was destroyed while it was in use.")
            self._in_use = loaded.in_use
            self._opening.update(loaded.opening)
            self._block = _FIRST_BLOCK
            if not self._store.reserve(self._owner, self._in_use.key_id, self._block):
                raise KeyShredded("The data key was destroyed while it was in use.")
        self._left = self._block
        self._block = min(self._block * 2, _LARGEST_BLOCK)

    def __repr__(self) -> str:
        return f"ConnectionKey({self._purpose})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ConnectionKey is not pickled")


class RecordKeys:
    """What seals a connection's records and gives them stable names. Threads may share it."""

    __slots__ = ("_digest", "_document", "_part", "_sealing", "open", "seal")

    def __init__(self, sealing: ConnectionKey, index: DataKey) -> None:
        self._sealing = sealing
        # As attributes, since a page of a thousand records calls them a thousand times.
        self.seal = sealing.seal
        self.open = sealing.open
        self._digest = Mac(sealing.derive("digest"))
        self._document = Mac(index.derive("document key"))
        self._part = Mac(index.derive("part key"))

    def document_key(self, stream: str, provider_id: str) -> bytes:
        """16 bytes that name a record of a stream, the same for as long as the connection lives."""
        return _name(self._document, stream, provider_id)

    def part_key(self, stream: str, part: str) -> bytes:
        """16 bytes that name a part of a stream, likewise."""
        return _name(self._part, stream, part)

    def digest(self, stream: str, normaliser: int, normal_form: bytes) -> bytes:
        """16 bytes by which an unchanged record is recognised; others after a new key or a new normaliser."""
        head = f"{stream}\0{normaliser}\0".encode()
        return self._digest(head + normal_form)[:NAME_BYTES]

    def __repr__(self) -> str:
        return "RecordKeys()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("RecordKeys are not pickled")


class KeyStore:
    """Every data key that the given keyrings can unwrap. A process without a keyring cannot use that keyring's keys.

    `database` has the wrapped keys. `main` is where the CRM looks for the public half of the intake key; it is named
    only where the wrapped keys live in a database of their own.
    """

    def __init__(
        self,
        database: Database,
        *,
        grant: KeyEncryption | None,
        records: KeyEncryption | None,
        main: Database | None = None,
    ) -> None:
        self._database = database
        self._main = main or database
        self._keyrings = {keyring.name: keyring for keyring in (grant, records) if keyring is not None}

    def over(self, database: Database) -> "KeyStore":
        """The same keyrings over another database, or over the connections of a forked process."""
        return KeyStore(database, grant=self._keyrings.get("grant"), records=self._keyrings.get("records"))

    def create_for_connection(self, workspace: str, connection_id: UUID) -> None:
        """Make a connection's keys, those that are missing; doing it again is harmless.

        Raises:
            Misconfigured: a keyring is missing.
            Unavailable: the database of keys cannot be reached.
        """
        owner = _Owner(workspace, connection_id)
        with self._database.transaction(workspace) as tx:
            for purpose in ("grant", "records", "index"):
                tx.execute(QUERIES["add_key"], self._new_key(owner, purpose, os.urandom(KEY_BYTES)))

    def records(self, workspace: str, connection_id: UUID) -> RecordKeys:
        """What seals and names the connection's records.

        Raises:
            KeyShredded: they were destroyed.
            KeyMissing: the key that wraps them is not in the keyring, or the connection has none.
            Misconfigured: this process has no records keyring.
        """
        owner = _Owner(workspace, connection_id)
        loaded = self._load(owner, "records", "index")
        index = loaded["index"].in_use
        if index is None:
            raise KeyShredded("The data keys were destroyed when the connection's data was deleted.")
        return RecordKeys(ConnectionKey(self, owner, "records", loaded["records"]), index)

    def grant(self, workspace: str, connection_id: UUID) -> ConnectionKey:
        """What seals the connection's tokens. Raises as `records` does."""
        owner = _Owner(workspace, connection_id)
        return ConnectionKey(self, owner, "grant", self._load(owner, "grant")["grant"])

    def blind_index(self, workspace: str, default_region: str) -> BlindIndex:
        """The workspace's blind index. Raises as `records` does; its key is made by whoever needs it first."""
        return BlindIndex(self._workspace_key(_Owner(workspace), "index"), default_region)

    def known_blind_index(self, workspace: str, default_region: str) -> BlindIndex | None:
        """The same, but None while nobody has needed it yet; for the CRM, whose login makes no keys."""
        in_use = self._load(_Owner(workspace), "index")["index"].in_use
        return BlindIndex(in_use, default_region) if in_use is not None else None

    def sibling_mac(self, provider: str, project: str, subject: str) -> bytes:
        """The name under which all grants of one account to one provider project are siblings, in any workspace."""
        fields = (provider.encode(), project.encode(), subject.encode())
        mac = Mac(self._workspace_key(_Owner(DEPLOYMENT), "sibling").derive("sibling"))
        return mac(b"".join(field_bytes(value) for value in fields))

    def intake(self) -> IntakeKey:
        """The private halves of the intake key; the first caller makes one. The public half is shown to the CRM.

        Raises:
            KeyMissing: the one in use cannot be unwrapped. No other takes its place by itself: a single worker with the
                wrong keyring would turn all others away from what the CRM seals.
        """
        owner = _Owner(DEPLOYMENT)
        self._ensure(owner, "intake")
        with self._database.transaction(DEPLOYMENT) as tx:
            rows = tx.execute(
                QUERIES["keys_of_workspace"], {"workspace": DEPLOYMENT, "purposes": ["intake"]}
            ).fetchall()
        in_use = next((row["key_id"] for row in rows if row["in_use"]), None)
        if in_use is None:
            raise KeyMissing("There is no intake key in use.")
        private, lost = {}, {}
        for row in rows:
            if row["wrapped"] is None:
                continue
            try:
                private[row["key_id"].bytes] = self._material(owner, row)
            except KeyMissing as error:
                lost[row["key_id"].bytes] = str(error)
        if in_use.bytes in lost:
            raise KeyMissing(lost[in_use.bytes])
        key = IntakeKey(in_use, private, lost)
        with self._main.transaction(DEPLOYMENT) as tx:
            tx.execute(QUERIES["publish_intake"], {"key_id": key.key_id, "public_key": key.public_key})
            tx.execute(QUERIES["retire_other_intake"], {"key_id": key.key_id})
        return key

    def shred_grant(self, workspace: str, connection_id: UUID) -> int:
        """Destroy the grant key; returns how many keys went. What they sealed is gone for good."""
        return self._shred(workspace, connection_id, ["grant"])

    def shred_records(self, workspace: str, connection_id: UUID) -> int:
        """Destroy the records and index keys; returns how many keys went."""
        return self._shred(workspace, connection_id, ["records", "index"])

    def reserve(self, owner: _Owner, key_id: bytes, count: int) -> bool:
        """Count seals of a key before they are made; False if it may seal no more."""
        asked = {
            "workspace": owner.workspace,
            "key_id": UUID(bytes=key_id),
            "count": count,
            "limit": MOST_SEALS,
        }
        with self._database.transaction(owner.workspace) as tx:
            return tx.execute(QUERIES["reserve_seals"], asked).fetchone() is not None

    def replace(self, owner: _Owner, purpose: str, worn: bytes) -> _Loaded:
        """Retire a worn key, make the next, and load all; whoever comes second adopts the first one's."""
        with self._database.transaction(owner.workspace) as tx:
            retired = tx.execute(
                QUERIES["retire_key"], {"workspace": owner.workspace, "key_id": UUID(bytes=worn)}
            ).rowcount
            if retired:
                tx.execute(QUERIES["add_key"], self._new_key(owner, purpose, os.urandom(KEY_BYTES)))
        return self._load(owner, purpose)[purpose]

    def _keyring(self, purpose: str) -> KeyEncryption:
        name = _KEYRING_OF[purpose]
        keyring = self._keyrings.get(name)
        if keyring is None:
            raise Misconfigured(
                f"This process has no {name} keyring, which it needs here. Set CRM_SYNC_{name.upper()}_KEYRING; "
                "`crm-sync keys init` writes new keyrings."
            )
        return keyring

    def _new_key(self, owner: _Owner, purpose: str, material: bytes) -> dict[str, object]:
        key_id = uuid4()
        wrapped = self._keyring(purpose).wrap(
            material, WrapContext(owner.workspace, owner.connection_text, purpose, key_id.bytes)
        )
        public = public_half(X25519PrivateKey.from_private_bytes(material)) if purpose == "intake" else None
        return {
            "key_id": key_id,
            "workspace": owner.workspace,
            "connection": owner.connection,
            "purpose": purpose,
            "keyring": _KEYRING_OF[purpose],
            "kek_id": wrapped.kek_id,
            "wrapped": wrapped.blob,
            "public_key": public,
        }

    def _load(self, owner: _Owner, *purposes: str) -> dict[str, _Loaded]:
        query = "keys_of_connection" if owner.connection else "keys_of_workspace"
        asked = {"workspace": owner.workspace, "connection": owner.connection, "purposes": list(purposes)}
        with self._database.transaction(owner.workspace) as tx:
            rows = tx.execute(QUERIES[query], asked).fetchall()
        loaded = {purpose: self._unwrap(owner, purpose, rows) for purpose in purposes}
        if owner.connection is not None and not rows:
            raise KeyMissing(f"There are no data keys for connection {owner.connection}. Was it deleted?")
        return loaded

    def _unwrap(self, owner: _Owner, purpose: str, rows: Iterable[Row]) -> _Loaded:
        opening: dict[bytes, DataKey] = {}
        shredded: set[bytes] = set()
        in_use: DataKey | None = None
        for row in rows:
            if row["purpose"] != purpose:
                continue
            key_id = row["key_id"].bytes
            if row["wrapped"] is None:
                shredded.add(key_id)
                continue
            key = opening[key_id] = DataKey(key_id, self._material(owner, row))
            if row["in_use"]:
                in_use = key
        return _Loaded(in_use, opening, frozenset(shredded))

    def _material(self, owner: _Owner, row: Row) -> bytes:
        purpose = row["purpose"]
        context = WrapContext(owner.workspace, owner.connection_text, purpose, row["key_id"].bytes)
        return self._keyring(purpose).unwrap(Wrapped(row["kek_id"], row["wrapped"]), context)

    def _ensure(self, owner: _Owner, purpose: str) -> None:
        with self._database.transaction(owner.workspace) as tx:
            found = tx.execute(
                QUERIES["keys_of_workspace"], {"workspace": owner.workspace, "purposes": [purpose]}
            ).fetchall()
            if not any(row["in_use"] for row in found):
                tx.execute(QUERIES["add_key"], self._new_key(owner, purpose, os.urandom(KEY_BYTES)))

    def _workspace_key(self, owner: _Owner, purpose: str) -> DataKey:
        loaded = self._load(owner, purpose)[purpose]
        if loaded.in_use is None:
            self._ensure(owner, purpose)
            loaded = self._load(owner, purpose)[purpose]
        if loaded.in_use is None:
            raise KeyMissing(f"There is no {purpose} key for «{owner.workspace or 'the deployment'}».")
        return loaded.in_use

    def _shred(self, workspace: str, connection_id: UUID, purposes: list[str]) -> int:
        with self._database.transaction(workspace) as tx:
            return tx.execute(
                QUERIES["shred_keys"], {"workspace": workspace, "connection": connection_id, "purposes": purposes}
            ).rowcount


def _name(mac: Mac, stream: str, provider_id: str) -> bytes:
    return mac(f"{stream}\0{provider_id}".encode("utf-8", "surrogatepass"))[:NAME_BYTES]

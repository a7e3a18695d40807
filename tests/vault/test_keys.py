"""Data keys over a real Postgres: made once, adopted by whoever comes second, worn, shredded; keyrings and intake."""

import json
import threading
import uuid
from pathlib import Path

import pytest

from worker.errors import KeyMissing, KeyShredded, Misconfigured, SealBroken
from worker.records import Identifier, IdentifierKind
from worker.store.database import Database
from worker.vault import keys as keys_module
from worker.vault.intake import seal_for
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

GRANT, RECORDS = Keyring.generate("grant"), Keyring.generate("records")


@pytest.fixture
def store(worker_db: Database) -> KeyStore:
    return KeyStore(worker_db, grant=GRANT, records=RECORDS)


@pytest.fixture
def connection(store: KeyStore, workspace: str) -> uuid.UUID:
    made = uuid.uuid4()
    store.create_for_connection(workspace, made)
    return made


def test_a_value_opens_in_its_own_connection_only(store: KeyStore, workspace: str, connection: uuid.UUID) -> None:
    other = uuid.uuid4()
    store.create_for_connection(workspace, other)
    sealed = store.records(workspace, connection).seal("document.body", b"row", b"text")
    assert store.records(workspace, connection).open("document.body", b"row", sealed) == b"text"
    with pytest.raises(SealBroken):
        store.records(workspace, other).open("document.body", b"row", sealed)


def test_names_are_stable_and_of_one_connection(store: KeyStore, workspace: str, connection: uuid.UUID) -> None:
    other = uuid.uuid4()
    store.create_for_connection(workspace, other)
    one, again, strange = (store.records(workspace, which) for which in (connection, connection, other))
    assert one.document_key("contacts", "people/1") == again.document_key("contacts", "people/1")
    assert one.document_key("contacts", "people/1") != one.document_key("messages", "people/1")
    assert one.document_key("contacts", "people/1") != one.part_key("contacts", "people/1")
    assert one.document_key("contacts", "people/1") != strange.document_key("contacts", "people/1")


def test_keys_made_twice_at_once_are_the_same(store: KeyStore, workspace: str) -> None:
    connection = uuid.uuid4()
    threads = [threading.Thread(target=store.create_for_connection, args=(workspace, connection)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = store.records(workspace, connection).seal("part.cursor", b"p", b"x")
    assert store.records(workspace, connection).open("part.cursor", b"p", sealed) == b"x"


def test_a_shredded_key_opens_nothing_and_says_so(store: KeyStore, workspace: str, connection: uuid.UUID) -> None:
    kept = store.records(workspace, connection)
    sealed = kept.seal("document.body", b"row", b"text")
    assert store.shred_records(workspace, connection) == 2
    with pytest.raises(KeyShredded):
        store.records(workspace, connection)
    store.create_for_connection(workspace, connection)
    with pytest.raises(KeyShredded):
        store.records(workspace, connection).open("document.body", b"row", sealed)


def test_p7_another_tenant_finds_no_keys(store: KeyStore, connection: uuid.UUID, crm_db: Database) -> None:
    from tests.conftest import register_workspace

    with pytest.raises(KeyMissing):
        store.records(register_workspace(crm_db), connection)


def test_p3_a_process_with_the_records_keyring_cannot_open_tokens(
    crm_db: Database, store: KeyStore, workspace: str, connection: uuid.UUID
) -> None:
    crm = KeyStore(crm_db, grant=None, records=RECORDS)
    assert crm.records(workspace, connection)
    with pytest.raises((KeyMissing, Misconfigured)):
        crm.grant(workspace, connection)


def test_a_lost_key_encryption_key_is_reported_by_name(
    worker_db: Database, workspace: str, connection: uuid.UUID
) -> None:
    stranger = KeyStore(worker_db, grant=GRANT, records=Keyring.generate("records"))
    with pytest.raises(KeyMissing, match=RECORDS.status()[0].kek_id):
        stranger.records(workspace, connection)


def test_a_worn_key_is_replaced_and_goes_on_opening(
    store: KeyStore, workspace: str, connection: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.records(workspace, connection)
    sealed = first.seal("document.body", b"row", b"old")
    # 2^31 seals would take a day: the limit is brought near instead.
    monkeypatch.setattr(keys_module, "MOST_SEALS", 3_000)
    second = store.records(workspace, connection)
    later = [second.seal("document.body", b"row", b"new") for _ in range(2_500)]
    assert later[0][1:17] == sealed[1:17]
    assert later[-1][1:17] != sealed[1:17]
    third = store.records(workspace, connection)
    assert third.open("document.body", b"row", sealed) == b"old"
    assert {third.open("document.body", b"row", each) for each in (later[0], later[-1])} == {b"new"}


def test_the_intake_opens_what_was_sealed_for_that_kind_and_tenant(store: KeyStore) -> None:
    key = store.intake()
    assert store.intake().key_id == key.key_id
    sealed = seal_for(key.public_key, key.key_id, b"code", workspace="acme", kind="complete_connect")
    assert key.open(sealed, workspace="acme", kind="complete_connect") == b"code"
    for workspace, kind in (("acmf", "complete_connect"), ("acme", "start_connect")):
        with pytest.raises(SealBroken):
            key.open(sealed, workspace=workspace, kind=kind)
    with pytest.raises(SealBroken):
        key.open(sealed[:-1], workspace="acme", kind="complete_connect")


def test_p14_an_older_intake_key_that_is_lost_is_named_and_keeps_nobody_from_the_newer(
    store: KeyStore, worker_db: Database
) -> None:
    old = store.intake()
    sealed = seal_for(old.public_key, old.key_id, b"code", workspace="acme", kind="complete_connect")
    with worker_db.transaction("") as tx:
        tx.execute("UPDATE crm_sync.data_key SET retired_at = now() WHERE key_id = %s", [old.key_id])
    newer = KeyStore(worker_db, grant=Keyring.generate("grant"), records=RECORDS)
    key = newer.intake()
    assert key.key_id != old.key_id
    fresh = seal_for(key.public_key, key.key_id, b"code", workspace="acme", kind="complete_connect")
    assert key.open(fresh, workspace="acme", kind="complete_connect") == b"code"
    with pytest.raises(KeyMissing, match=GRANT.status()[0].kek_id):
        key.open(sealed, workspace="acme", kind="complete_connect")
    with pytest.raises(KeyMissing):
        store.intake()
    with worker_db.transaction("") as tx:
        tx.execute("DELETE FROM crm_sync.data_key WHERE purpose = 'intake'")


def test_blind_values_join_spellings_and_separate_tenants(store: KeyStore, workspace: str, crm_db: Database) -> None:
    from tests.conftest import register_workspace

    index = store.blind_index(workspace, "TH")
    assert index.email("Ann.Lee@EXAMPLE.com") == index.email("ann.lee@example.com")
    assert index.email("ann@bücher.example") == index.email("ANN@xn--bcher-kva.example")
    contact = index.values([Identifier(IdentifierKind.PHONE, "081 234 5678")])
    assert set(index.phone("+66 81 234 5678")) & set(contact)
    assert set(index.phone("๐๘๑-๒๓๔-๕๖๗๘")) & set(contact)
    other = store.blind_index(register_workspace(crm_db), "TH")
    assert index.email("ann@example.com") != other.email("ann@example.com")


def test_a_keyring_in_a_file_is_read_only_if_it_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "grant.json"
    GRANT.save(path)
    assert Keyring.load(path, "grant").status() == GRANT.status()
    with pytest.raises(Misconfigured, match="another name"):
        Keyring.load(path, "records")
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        Keyring.load(path, "grant")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 2, "keyring": "grant"}', "no/such/file", "a\nb"]
)
def test_what_is_no_keyring_is_told_without_quoting_it(text: str) -> None:
    with pytest.raises(Misconfigured):
        Keyring.load(text, "grant")


def test_p3_a_keyring_shows_no_key(tmp_path: Path) -> None:
    GRANT.save(tmp_path / "k.json")
    document = json.loads((tmp_path / "k.json").read_text())
    secret = next(iter(document["keys"].values()))["key"]
    assert secret not in repr(GRANT)
    assert secret not in str(GRANT.status())

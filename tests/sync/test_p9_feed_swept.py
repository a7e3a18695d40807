"""P9, P12: the feed has an end; a reader who comes too late is told, reads all records anew and misses nothing."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from tests.conftest import register_workspace
from tests.sync.one_connection import OneConnection
from tests.sync.retained import job_of, slices
from tests.sync.scripted import World, world_of
from worker.client import Client
from worker.errors import BadRequest, PositionSwept
from worker.jobs import sweep_own_rows
from worker.records import Contact
from worker.settings import Role
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

Make = Callable[[World], OneConnection]


@pytest.fixture(scope="module")
def keys(worker_db: Database, keyrings: dict[str, Path]) -> KeyStore:
    grant, records = (Keyring.load(str(keyrings[name]), name) for name in ("grant", "records"))
    return KeyStore(worker_db, grant=grant, records=records)


@pytest.fixture
def crm(database_urls: dict[Role, str], keyrings: dict[str, Path], workspace: str) -> Iterator[Client]:
    with Client(
        database_urls[Role.CRM], keyrings["records"], workspace=workspace, actor="user:17", reason="a ticket"
    ) as client:
        yield client


class Reader:
    """A CRM's copy of the records, kept as the documents say: all of them, then what changed, and anew if told."""

    def __init__(self, crm: Client) -> None:
        self.crm = crm
        self.anew = 0
        self.read_all()

    def read_all(self) -> None:
        self.copy: dict[str, str] = {}
        page = self.crm.records(limit=3)
        self.take(page)
        while page.next is not None:
            page = self.crm.records(page.next, limit=3)
            self.take(page)
        self.position = page.position

    def take(self, page) -> None:
        for item in page.items:
            assert item.problem is None
            self.copy[item.key] = item.record.body.display_name

    def go_on(self) -> bool:
        """Whether there was anything new."""
        try:
            changes = self.crm.feed(self.position, 7)
        except PositionSwept:
            self.anew += 1
            self.read_all()
            return True
        for change in changes:
            if change.event == "record.deleted":
                self.copy.pop(change.key or "", None)
            elif change.record is not None:
                assert isinstance(change.record.body, Contact)
                self.copy[change.record.key] = change.record.body.display_name
            self.position = change.position
        return bool(changes)


def truth_key(one: OneConnection, key: str) -> str:
    """The provider's key as ours."""
    return one.seals.document_key("contacts", key).hex()


def truth(*connections: OneConnection) -> dict[str, str]:
    """What the providers hold, in our keys."""
    return {truth_key(one, key): name for one in connections for key, name in one.world.parts[""].items()}


def swept(one: OneConnection, days: int = 0) -> None:
    list(slices(sweep_own_rows.run, job_of(one, feed_days=days)))


def test_p9_a_reader_that_missed_a_deletion_is_told_and_drops_the_record(bench: Make, crm: Client) -> None:
    one = bench(world_of(7))
    one.sync()
    reader = Reader(crm)
    assert reader.copy == truth(one)
    one.world.drop("p0002")
    one.begin_again()
    one.sync()
    swept(one)
    with pytest.raises(PositionSwept, match="records list"):
        crm.feed(reader.position)
    while reader.go_on():
        pass
    assert reader.anew == 1
    assert reader.copy == truth(one)
    assert crm.feed(crm.feed_head()) == [], "whoever has read to the end has missed nothing"


def test_p9_only_the_oldest_entries_go_and_each_place_before_is_told(
    bench: Make, crm: Client, owner_db: Database
) -> None:
    one = bench(world_of(7))
    one.sync()
    head = crm.feed_head()
    with owner_db.transaction() as tx:
        tx.execute(
            "UPDATE crm_sync.feed_entry SET at = now() - interval '31 days' "
            "WHERE workspace_id = %s AND position = ANY (%s)",
            [one.workspace, [1, 2, 3, 5]],
        )
    swept(one, days=30)
    assert (crm.feed_bounds().kept_after, crm.feed_bounds().head) == (3, head), "what came after a younger one stays"
    for position in range(3):
        with pytest.raises(PositionSwept):
            crm.feed(position)
    for position in range(3, head):
        assert [change.position for change in crm.feed(position)] == list(range(position + 1, head + 1))
    news = {item.workspace: item for item in crm.feed_news("nobody")}[one.workspace]
    assert (news.read_position, news.kept_after, news.head) == (0, 3, head)
    swept(one)
    assert crm.feed_bounds().kept_after == head
    with pytest.raises(PositionSwept):
        crm.feed(head - 1)
    one.world.put("p0001", "renamed")
    one.begin_again()
    one.sync()
    assert crm.feed(head)[0].position == head + 1, "positions go on"


def test_p9_a_place_that_the_feed_never_reached_is_told(bench: Make, crm: Client) -> None:
    """As after a backup was put back: nobody may wait there until other entries have gone past."""
    bench(world_of(1)).sync()
    with pytest.raises(PositionSwept, match="backup"):
        crm.feed(crm.feed_head() + 1)


def test_p12_what_changes_between_two_pages_comes_in_the_feed_after_them(bench: Make, crm: Client) -> None:
    one = bench(world_of(7))
    one.sync()
    page = first = crm.records(limit=3)
    one.world.put(next(key for key in one.world.parts[""] if truth_key(one, key) == first.items[0].key), "renamed")
    one.begin_again()
    one.sync()
    while page.next is not None:
        page = crm.records(page.next, limit=3)
        assert page.position == first.position
    (change,) = crm.feed(page.position)
    assert change.record is not None
    assert (change.key, change.record.body.display_name) == (first.items[0].key, "renamed")  # type: ignore[union-attr]


def write(one: OneConnection, seed: int) -> None:
    """Change the provider's world at random, and sync each time."""
    chance = random.Random(seed)
    for number in range(20):
        key = f"p{chance.randrange(12):04}"
        if key in one.world.parts[""] and chance.random() < 0.4:
            one.world.drop(key)
        else:
            one.world.put(key, f"{key} {number}")
        one.begin_again()
        one.sync()


def follow(reader: Reader, ended: threading.Event) -> None:
    """Read until all is written and read."""
    while True:
        last = ended.is_set()
        if not reader.go_on() and last:
            return
        time.sleep(0.03)


def sweep_on(one: OneConnection, ended: threading.Event) -> None:
    while not ended.wait(0.02):
        swept(one)


def test_p9_readers_miss_nothing_while_many_write_and_a_sweep_runs(bench: Make, crm: Client) -> None:
    writers = [bench(world_of(9)) for _ in range(3)]
    for one in writers:
        one.sync()
    readers = [Reader(crm), Reader(crm)]
    ended = threading.Event()
    with ThreadPoolExecutor(6) as threads:
        others = [threads.submit(sweep_on, writers[0], ended)]
        others += [threads.submit(follow, reader, ended) for reader in readers]
        writing = [threads.submit(write, one, seed) for seed, one in enumerate(writers)]
        wait(writing)
        ended.set()
        for each in (*writing, *others):
            each.result()
    for reader in readers:
        assert reader.anew > 0, "the sweep overtook nobody: this tried nothing"
        assert reader.copy == truth(*writers)


def test_p15_all_records_are_opened_only_with_a_note_and_by_their_own_tenant(
    bench: Make, crm: Client, crm_db: Database, owner_db: Database
) -> None:
    one = bench(world_of(4))
    one.sync()
    asked = "SELECT count(*) AS n FROM crm_sync.audit WHERE workspace_id = %s AND action = 'records.opened'"
    page = crm.records(limit=3, open_records=False)
    assert [item.record for item in page.items] == [None] * 3
    assert one.rows(asked, one.workspace) == [{"n": 0}]
    crm.records(page.next, limit=3)
    assert one.rows(asked, one.workspace) == [{"n": 1}]
    stranger = crm.at(register_workspace(crm_db))
    assert (stranger.records().items, stranger.records(page.next).items) == ([], [])
    for nonsense in ("", "1:2", "x:y:z:", f"{page.next}"[:20]):
        with pytest.raises(BadRequest, match="no place"):
            crm.records(nonsense)

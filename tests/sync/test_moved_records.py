"""Records that move between parts: never lost, never doubled, whichever part is read first. Promises P1, P12."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World
from worker.errors import CursorExpired
from worker.records import FULL_PASS, Contact, Kind, Page, Part, Record, Refused
from worker.store import documents
from worker.sync.whereabouts import MOST_TIMES

Make = Callable[[World], OneConnection]


@dataclass
class Folders(World):
    """Records with ids of their own, each in one folder; a folder tells which ids came and went, and asks what they are
    now. `honest` switches off that asking: what went is then simply told to be gone."""

    where: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    silent_about: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    names: tuple[str, ...] = ("a", "b")
    careful: bool = True

    def put_in(self, key: str, folder: str) -> None:
        before = self.where.get(key)
        self.where[key] = folder
        self.told += [(name, key) for name in (before, folder) if name is not None]

    def take_away(self, key: str) -> None:
        self.told.append((self.where.pop(key), key))

    def list_parts(self, _session: object) -> list[Part]:
        return [Part(name) for name in self.names]

    def found(self, key: str) -> Record | None:
        folder = self.where.get(key)
        if folder not in self.names:
            return None
        return Record(key, Kind.CONTACT, Contact(display_name=key), part=folder)

    def pages(self, _session: object, part: Part, cursor: bytes | None) -> Iterator[Page]:
        since = int(cursor) if cursor else None
        now = str(len(self.told)).encode()
        if since is not None and since < self.oldest:
            raise CursorExpired("forgotten")
        if since is None:
            ids = [key for key, folder in self.where.items() if folder == part.key and key not in self.hidden]
            records = [record for key in ids if (record := self.found(key))]
            yield Page(records=tuple(records), cursor=now, covers=FULL_PASS)
            return
        ids = [key for name, key in self.told[since:] if name == part.key]
        seen = {key: self.found(key) for key in ids}
        if not self.careful:
            seen = {key: record if record and record.part == part.key else None for key, record in seen.items()}
        yield Page(
            records=tuple(record for record in seen.values() if record),
            tombstones=tuple(key for key, record in seen.items() if not record),
            cursor=now,
        )

    def whereabouts(self, _session: object, bodies: Sequence[Any]) -> list[str | Refused | None]:
        names = [body.display_name for body in bodies]
        self.asked += names
        found = {name: self.found(name) for name in names}
        where: dict[str, str | Refused | None] = {name: record and record.part for name, record in found.items()}
        return [Refused(name, "transient") if name in self.silent_about else where[name] for name in names]

    def stream(self, **facts: Any) -> Any:
        return super().stream(**{"whereabouts": self.whereabouts, **facts})


def in_parts(one: OneConnection) -> dict[str, str]:
    """Each record that is held, and the part that it belongs to."""
    names = {one.seals.part_key("contacts", name): name for name in ("a", "b", "c", "away")}
    rows = one.rows("SELECT document_key, part_key FROM crm_sync.document WHERE connection_id = %s", one.connection_id)
    keys = {one.seals.document_key("contacts", f"m{number}"): f"m{number}" for number in range(400)}
    return {keys[row["document_key"]]: names[row["part_key"]] for row in rows}


def deleted(one: OneConnection) -> int:
    return len([event for event, _ in one.events() if event == "record.deleted"])


@pytest.fixture
def world() -> Folders:
    world = Folders()
    for number in range(6):
        world.put_in(f"m{number}", "ab"[number % 2])
    return world


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("careful", [True, False])
def test_a_move_deletes_nothing_when_its_new_part_is_read_first_or_its_old_one_asks(bench: Make, world, order, careful):
    world.names, world.careful = order, careful
    one = bench(world)
    one.sync()
    one.begin_again()
    world.put_in("m0", "b")
    one.sync()
    assert in_parts(one) == world.where
    assert deleted(one) == (0 if careful or order == ("b", "a") else 1)
    assert one.replay() == set(one.names())


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_moved_record_survives_the_sweep_of_its_old_part(bench: Make, world, order):
    world.names = order
    one = bench(world)
    one.sync()
    one.begin_again()
    world.put_in("m0", "b")
    world.take_away("m2")
    world.oldest = len(world.told)
    one.sync(pages=1)
    assert in_parts(one) == world.where
    assert deleted(one) == 1
    assert one.replay() == set(one.names())


def test_a_record_that_a_pass_did_not_show_and_that_is_there_all_the_same_stays_where_it_is(bench: Make, world):
    one = bench(world)
    one.sync()
    one.begin_again()
    world.hidden = {"m0"}
    one.sync(full=True)
    assert in_parts(one) == world.where
    assert world.asked == ["m0"]


def test_what_moved_into_a_part_that_was_never_listed_ends_with_it(bench: Make, world):
    one = bench(world)
    one.sync()
    one.begin_again()
    rows = iter([("a", "b"), ("a", "b", "c"), ("a", "b")])

    def parts(_session: object) -> list[Part]:
        names = next(rows)
        world.names = ("a", "b", "c")
        return [Part(name) for name in names]

    one.stream = world.stream(parts=parts)
    world.put_in("m0", "c")
    one.sync()
    assert in_parts(one)["m0"] == "c"
    one.begin_again()
    one.sync()
    assert in_parts(one) == world.where
    one.begin_again()
    world.take_away("m0")
    one.sync()
    assert in_parts(one) == world.where


def test_a_part_that_went_away_takes_along_only_what_did_not_move_out_of_it(bench: Make, world):
    one = bench(world)
    one.sync()
    one.begin_again()
    world.names = ("a",)
    world.put_in("m1", "a")
    one.sync()
    assert in_parts(one) == {key: "a" for key, folder in world.where.items() if folder == "a"}
    assert one.rows("SELECT count(*) AS n FROM crm_sync.part WHERE connection_id = %s", one.connection_id)[0]["n"] == 1


def test_a_part_of_three_hundred_that_moved_as_a_whole_holds_no_deletions(bench: Make):
    world = Folders()
    for number in range(300):
        world.put_in(f"m{number}", "a")
    one = bench(world)
    one.sync()
    one.begin_again()
    for number in range(300):
        world.put_in(f"m{number}", "b")
    world.oldest = len(world.told)
    one.sync(pages=1)
    assert in_parts(one) == world.where
    assert deleted(one) == 0
    assert one.rows("SELECT 1 AS n FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id) == []
    assert len(world.asked) == 300, "each is asked about once, however often the time slice ends"


def test_what_is_gone_is_asked_about_once_and_a_hold_spares_what_moved_on(bench: Make):
    world = Folders()
    for number in range(300):
        world.put_in(f"m{number}", "a")
    one = bench(world)
    one.sync()
    one.begin_again()
    for number in range(200):
        world.take_away(f"m{number}")
    world.oldest = len(world.told)
    one.sync(pages=1)
    assert len(world.asked) == 200
    hold = one.rows("SELECT hold_id, part_key FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id)
    assert len(hold) == 1
    world.put_in("m7", "b")
    one.begin_again()
    one.sync()
    keys = [one.seals.document_key("contacts", name) for name in ("m7", "m8")]
    with one.database.transaction(one.workspace) as tx:
        assert documents.delete(tx, one.place, keys, part=hold[0]["part_key"]) == [keys[1]]


def unanswered(one: OneConnection) -> int:
    query = "SELECT count(*) AS n FROM crm_sync.quarantine WHERE connection_id = %s AND reason = 'unanswered'"
    return int(one.rows(query, one.connection_id)[0]["n"])


def a_pass_learns_nothing_of(world: Folders, names: set[str]) -> None:
    world.silent_about = names
    world.oldest = len(world.told)


def test_p12_a_record_that_the_provider_fails_at_is_kept_and_counted_and_holds_up_no_sweep(bench: Make, world):
    one = bench(world)
    one.sync()
    one.begin_again()
    for name in ("m0", "m2", "m3"):
        world.take_away(name)
    a_pass_learns_nothing_of(world, {"m0"})
    notes = one.sync(pages=1)
    assert in_parts(one) == {**world.where, "m0": "a"}, "what was looked at is gone, in both parts"
    assert (notes.refused, unanswered(one)) == (1, 1)
    counted = (
        "SELECT sum(seen - saved - unchanged - deleted - repeated - skipped - refused) AS n "
        "FROM crm_sync.part WHERE connection_id = %s"
    )
    assert one.rows(counted, one.connection_id)[0]["n"] == 0
    assert one.replay() == set(one.names())
    world.silent_about.clear()
    one.begin_again()
    one.sync()
    assert in_parts(one) == world.where, "asked about again by the next run, with no full pass"
    assert unanswered(one) == 0
    assert one.replay() == set(one.names())


def test_a_record_that_nobody_told_of_and_that_is_there_stays_or_goes_where_it_is(bench: Make, world):
    one = bench(world)
    one.sync()
    one.begin_again()
    world.put_in("m0", "b")
    world.hidden = {"m0", "m2"}
    a_pass_learns_nothing_of(world, {"m0", "m2"})
    one.sync()
    assert unanswered(one) == 2
    world.silent_about.clear()
    one.begin_again()
    one.sync()
    assert in_parts(one) == world.where
    assert (deleted(one), unanswered(one)) == (0, 0)


def test_a_record_that_the_provider_fails_at_for_ever_is_left_alone_after_some_runs(bench: Make, world):
    one = bench(world)
    one.sync()
    world.take_away("m0")
    a_pass_learns_nothing_of(world, {"m0"})
    for _ in range(MOST_TIMES + 3):
        one.begin_again()
        one.sync()
    assert world.asked == ["m0"] * MOST_TIMES
    assert in_parts(one) == {**world.where, "m0": "a"}


def test_a_part_that_went_away_stays_for_what_nobody_would_tell_of(bench: Make, world):
    one = bench(world)
    one.sync()
    world.names = ("a",)
    world.silent_about = {"m1"}
    for left in ({"m1"}, set()):
        one.begin_again()
        one.sync()
        assert {key for key, part in in_parts(one).items() if part == "b"} == left
        world.silent_about.clear()

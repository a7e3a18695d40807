"""P12, fault matrix 30: records are repeated, reordered, changed, added and deleted while they are paged."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World, world_of
from worker.records import Page, Part, Record

Make = Callable[[World], OneConnection]


def edit(world: World, chance: random.Random, number: int) -> None:
    """One thing that a person does to their address book."""
    keys = sorted(world.parts[""])
    match chance.choice(["put", "rename", "drop", "nothing"]):
        case "put":
            world.put(f"p{chance.randrange(10_000):04d}", f"Newcomer {number}")
        case "rename" if keys:
            world.put(chance.choice(keys), f"Renamed {number}")
        case "drop" if keys:
            world.drop(chance.choice(keys))


def restless(world: World, chance: random.Random) -> Callable[..., Iterator[Page]]:
    """Its pages, between which the world moves (it tires), and which show earlier records again and out of order."""
    edits = iter(range(60))

    def pages(session: object, part: Part, cursor: bytes | None) -> Iterator[Page]:
        shown: list[Record] = []
        for page in world.pages(session, part, cursor):
            again = chance.sample(shown, min(len(shown), chance.randrange(3)))
            shown += page.records
            records = [*page.records, *again, *chance.sample(page.records, min(1, len(page.records)))]
            chance.shuffle(records)
            yield replace(page, records=tuple(records))
            for _, strength in zip(range(chance.randrange(4)), edits, strict=False):
                edit(world, chance, strength)

    return pages


def counters(one: OneConnection) -> dict[str, Any]:
    columns = "seen, saved, unchanged, deleted, repeated, skipped, refused"
    return one.rows(f"SELECT {columns} FROM crm_sync.part WHERE connection_id = %s", one.connection_id)[0]


@pytest.mark.parametrize("seed", range(20))
def test_p12_whatever_moves_while_it_is_read_the_end_is_the_truth(bench: Make, seed: int) -> None:
    chance = random.Random(seed)
    one = bench(world_of(25, page_size=chance.choice([1, 3, 10])))
    one.stream = one.world.stream(pages=restless(one.world, chance))
    for round_ in range(3):
        one.sync(pages=chance.choice([None, 1, 2]), full=round_ == 1)
        one.begin_again()
        if chance.random() < 0.5:
            one.world.forget_changes()
    one.stream = one.world.stream()
    one.sync()
    assert one.names() == one.truth()
    assert one.replay() == set(one.truth())
    counted = counters(one)
    assert counted["repeated"] > 0, "something was shown twice"
    assert counted["seen"] == sum(count for name, count in counted.items() if name != "seen")

"""One part of a stream fails: the others go on, and it is asked again when the provider wants to be asked (P12)."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World
from worker.errors import CrmSyncError, PartClosed, PartThrottled, Throttled, Transient
from worker.records import Page, Part
from worker.sync.setbacks import PATIENCE, next_to_be_tried

Make = Callable[[World], OneConnection]


class Moody(World):
    """Three parts of two records; a part with a mood fails with what that gives. `asked`: which parts were asked."""

    def __init__(self) -> None:
        super().__init__(parts={"a": {}, "b": {}, "c": {}})
        for part in self.parts:
            for number in range(2):
                self.put(f"k{number}", f"{part}{number}", part)
        self.moods: dict[str, Callable[[], CrmSyncError]] = {}
        self.asked: list[str] = []

    def pages(self, session: object, part: Part, cursor: bytes | None) -> Iterator[Page]:
        self.asked.append(part.key)
        if part.key in self.moods:
            error = self.moods[part.key]()
            raise error
        yield from super().pages(session, part, cursor)

    def asked_since(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


def throttled_for(**wait: float) -> Callable[[], CrmSyncError]:
    return lambda: PartThrottled("slowly", until=datetime.now(UTC) + timedelta(**wait))


def closed_for(**wait: float) -> Callable[[], CrmSyncError]:
    return lambda: PartClosed("suspended", until=datetime.now(UTC) + timedelta(**wait))


def state_of_b(one: OneConnection) -> Any:
    key = one.seals.part_key("contacts", "b")
    (row,) = one.rows("SELECT error_reason, rests_until > now() AS rests FROM crm_sync.part WHERE part_key = %s", key)
    return row["error_reason"], bool(row["rests"])


def failures_told(one: OneConnection) -> int:
    return [event for event, _ in one.events()].count("part.failed")


def test_a_part_that_is_throttled_waits_alone_and_the_job_waits_for_it_last(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods["b"] = throttled_for(seconds=40)
    with pytest.raises(PartThrottled) as caught:
        one.sync(resume=True)
    assert caught.value.until is not None
    assert timedelta(seconds=30) < caught.value.until - datetime.now(UTC) <= timedelta(seconds=40)
    assert world.asked_since() == ["a", "b", "c"]
    assert len(one.names()) == 4, "the others are read"
    assert state_of_b(one) == (None, True)
    with pytest.raises(PartThrottled):
        one.sync(resume=True)
    assert world.asked_since() == [], "what is done is done, and the throttled one is not asked before its time"
    world.moods.clear()
    one.all_rested()
    notes = one.sync(resume=True)
    assert world.asked_since() == ["b"]
    assert one.names() == one.truth()
    assert (notes.parts_failed, failures_told(one), state_of_b(one)) == ({}, 0, (None, False))


def test_a_part_that_is_throttled_again_and_again_is_left_to_the_next_run(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods["b"] = throttled_for(seconds=40)
    for _ in range(PATIENCE - 1):
        with pytest.raises(PartThrottled):
            one.sync(resume=True)
        one.all_rested()
    notes = one.sync(resume=True)
    assert list(notes.parts_failed.values()) == ["part_throttled"]
    assert state_of_b(one) == ("part_throttled", True)
    assert failures_told(one) == 1


def test_a_long_wait_of_one_part_keeps_no_job_from_its_end(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods["b"] = throttled_for(minutes=30)
    assert list(one.sync().parts_failed.values()) == ["part_throttled"]
    world.asked_since()
    one.begin_again()
    assert list(one.sync().parts_failed.values()) == ["part_throttled"]
    assert world.asked_since() == ["a", "c"], "the next run does not ask before the time either"
    world.moods.clear()
    one.all_rested()
    one.begin_again()
    one.sync()
    assert one.names() == one.truth()


def test_a_part_that_is_closed_says_so_and_is_asked_once_a_day(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods["b"] = closed_for(days=1)
    assert list(one.sync().parts_failed.values()) == ["part_closed"]
    assert state_of_b(one) == ("part_closed", True)
    world.asked_since()
    for _ in range(3):
        one.begin_again()
        assert list(one.sync().parts_failed.values()) == ["part_closed"]
    assert world.asked_since() == ["a", "c"] * 3
    assert failures_told(one) == 1
    one.all_rested()
    world.moods.clear()
    one.begin_again()
    assert one.sync().parts_failed == {}
    assert one.names() == one.truth()
    assert state_of_b(one) == (None, False)


def test_whoever_asks_for_everything_has_closed_parts_asked_too(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods["b"] = closed_for(days=1)
    one.sync()
    world.asked_since()
    world.moods.clear()
    one.begin_again()
    one.sync(full=True)
    assert sorted(world.asked_since()) == ["a", "b", "c"]
    assert one.names() == one.truth()


def test_whoever_asks_for_everything_has_parts_asked_once_that_are_to_be_left_alone(bench: Make) -> None:
    one = bench(world := Moody())
    del world.parts["c"]
    world.moods = {"a": lambda: Transient("a moment"), "b": throttled_for(seconds=40)}
    with pytest.raises(Transient):
        one.sync(resume=True, full=True)
    assert world.asked_since() == ["a", "b"]
    with pytest.raises(Transient):
        one.sync(resume=True, full=True)
    assert world.asked_since() == ["a"], "it goes on with the same run, in which the other one rests"


@pytest.mark.parametrize("mood", [throttled_for(minutes=30), closed_for(days=1)])
def test_a_part_that_has_no_others_beside_it_is_told_as_the_job_s_own_trouble(
    bench: Make, mood: Callable[[], CrmSyncError]
) -> None:
    one = bench(world := Moody())
    world.parts = {"b": world.parts["b"]}
    world.moods["b"] = mood
    for _ in range(2):
        with pytest.raises(type(mood())):
            one.sync()
        one.begin_again()
    asked = world.asked_since()
    assert asked == ["b"] if isinstance(mood(), PartClosed) else ["b", "b"]


def test_what_closes_the_door_for_the_whole_app_is_no_part_s_own(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods["a"] = lambda: Throttled("all of you", until=datetime.now(UTC) + timedelta(seconds=40))
    with pytest.raises(Throttled):
        one.sync()
    assert world.asked_since() == ["a"]


def test_a_throttled_part_is_not_asked_early_because_another_one_is_tried_again(bench: Make) -> None:
    one = bench(world := Moody())
    world.moods = {"a": lambda: Transient("a moment"), "b": throttled_for(seconds=40)}
    with pytest.raises(Transient):
        one.sync(resume=True)
    del world.moods["a"]
    assert world.asked_since() == ["a", "b", "c"]
    with pytest.raises(PartThrottled):
        one.sync(resume=True)
    assert world.asked_since() == ["a"]


def test_of_what_waits_that_without_a_time_comes_first_and_then_the_soonest() -> None:
    now = datetime.now(UTC)
    late, soon = (PartThrottled("", until=now + timedelta(seconds=wait)) for wait in (9, 2))
    assert next_to_be_tried([late, soon]) is soon
    assert next_to_be_tried([late, soon, moment := Transient("")]) is moment

"""What a page means for what we hold: the pure decider, by examples and by properties."""

from datetime import UTC, datetime
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from worker.privacy.retention import Retention, Terms
from worker.records import Kind
from worker.store.documents import Held
from worker.sync import decisions
from worker.sync.decisions import Arrived, deletions_allowed

NO_LIMITS = Retention(datetime(2026, 11, 26, tzinfo=UTC), {"contact": Terms()})
decide_page = partial(decisions.decide_page, retention=NO_LIMITS)


def came(key: str, text: str = "", previous: tuple[str, ...] = ()) -> Arrived:
    return Arrived(
        key=key.encode(),
        digest=f"digest of {text}".encode(),
        kind=Kind.CONTACT,
        plain=text.encode(),
        index_of=0,
        previous=tuple(old.encode() for old in previous),
    )


def we_hold(**texts: str) -> dict[bytes, Held]:
    return {key.encode(): Held(f"digest of {text}".encode(), b"", 1) for key, text in texts.items()}


def test_a_new_record_is_saved():
    decision = decide_page([came("a", "x")], [], [], {}, deletions_left=50)
    assert [save.record.key for save in decision.saves] == [b"a"]
    assert decision.counters.saved == 1


def test_an_unchanged_record_is_neither_rewritten_nor_announced():
    decision = decide_page([came("a", "x")], [], [], we_hold(a="x"), deletions_left=50)
    assert decision.saves == ()
    assert decision.unchanged == (b"a",)


def test_a_key_that_comes_twice_counts_once_by_its_last_occurrence():
    decision = decide_page([came("a", "old"), came("a", "new")], [], [], {}, deletions_left=50)
    assert [save.record.plain for save in decision.saves] == [b"new"]
    assert (decision.counters.saved, decision.counters.repeated) == (1, 1)


def test_a_record_wins_over_its_own_tombstone():
    decision = decide_page([came("a", "x")], [b"a"], [], we_hold(a="old"), deletions_left=50)
    assert decision.deletes == ()
    assert (decision.counters.saved, decision.counters.repeated) == (1, 1)


def test_a_tombstone_of_something_never_held_is_skipped():
    decision = decide_page([], [b"a"], [], {}, deletions_left=50)
    assert decision.deletes == ()
    assert decision.counters.skipped == 1


def test_a_moved_identity_takes_the_place_of_the_old_one():
    decision = decide_page([came("new", "x", previous=("old",))], [], [], we_hold(old="x"), deletions_left=50)
    assert decision.saves[0].moved_from == (b"old",)


def test_an_identity_that_did_not_really_move_keeps_both():
    arrived = [came("new", "x", previous=("old",)), came("old", "y")]
    decision = decide_page(arrived, [], [], we_hold(old="y"), deletions_left=50)
    assert all(save.moved_from == () for save in decision.saves)


def test_deletions_beyond_what_is_left_are_all_held_back():
    held = we_hold(a="x", b="x", c="x")
    decision = decide_page([], [b"a", b"b", b"c"], [], held, deletions_left=2)
    assert decision.deletes == ()
    assert decision.held_back == (b"a", b"b", b"c")
    assert decision.counters.refused == 3


def test_a_fifth_of_a_part_and_fifty_records_may_go_without_asking():
    assert deletions_allowed(0) == 50
    assert deletions_allowed(250) == 50
    assert deletions_allowed(1_000) == 200


keys = st.sampled_from([letter.encode() for letter in "abcdefgh"])


@given(
    arrived=st.lists(st.tuples(keys, st.sampled_from("xyz"), st.lists(keys, max_size=2))),
    tombstones=st.lists(keys),
    present=st.lists(keys),
    held=st.dictionaries(keys, st.sampled_from("xyz")),
    left=st.integers(min_value=-3, max_value=8),
    skipped=st.integers(min_value=0, max_value=3),
    refused=st.integers(min_value=0, max_value=3),
)
def test_p12_counters_add_up_and_every_key_has_one_fate(arrived, tombstones, present, held, left, skipped, refused):
    records = [
        Arrived(key, f"digest of {text}".encode(), Kind.CONTACT, b"", number, tuple(previous))
        for number, (key, text, previous) in enumerate(arrived)
    ]
    known = {key: Held(f"digest of {text}".encode(), b"", 1) for key, text in held.items()}
    decision = decide_page(records, tombstones, present, known, deletions_left=left, skipped=skipped, refused=refused)

    assert decision.counters.seen == len(arrived) + len(tombstones) + len(present) + skipped + refused
    fates = [save.record.key for save in decision.saves]
    fates += [*decision.unchanged, *decision.deletes, *decision.held_back]
    assert len(fates) == len(set(fates))
    assert set(decision.deletes) | set(decision.held_back) <= known.keys()
    assert not {record.key for record in records} & set(decision.deletes)
    assert len(decision.deletes) <= max(left, 0)
    assert [save.record.key for save in decision.saves] == sorted(save.record.key for save in decision.saves)

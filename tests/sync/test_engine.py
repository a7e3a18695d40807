"""The engine over a real Postgres: whole pages, resumption anywhere, sweeps, holds, stops. Promises P1, P2, P5, P12."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.sync.scripted import RowLease, World, world_of
from worker.errors import ConnectionStopped, CursorExpired, LeaseLost, ProviderRefused, Transient
from worker.jobs import decide_deletions
from worker.jobs.outcomes import Done
from worker.jobs.sync_stream import StreamSession
from worker.records import FULL_PASS, Page, Part


def test_p1_a_first_pass_brings_everything(bench):
    one = bench(world_of(10))
    notes = one.sync()
    assert one.names() == one.truth()
    assert (notes.seen, notes.saved) == (10, 10)
    assert one.replay() == set(one.truth())


def test_a_second_run_without_changes_writes_nothing(bench):
    one = bench(world_of(10))
    one.sync()
    before = one.events()
    notes = one.sync()
    assert one.events() == before
    assert notes.saved == 0


def test_changes_arrive_and_nothing_else_does(bench):
    one = bench(world_of(10))
    one.sync()
    seen_before = len(one.events())
    one.world.put("p0003", "Renamed")
    one.world.drop("p0005")
    one.world.put("new", "Newcomer")
    one.sync()
    assert one.names() == one.truth()
    assert sorted(event for event, _ in one.events()[seen_before:]) == [
        "record.deleted",
        "record.saved",
        "record.saved",
    ]


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_p5_a_run_in_time_slices_equals_an_undisturbed_one(bench, pages):
    one = bench(world_of(20))
    notes = one.sync(pages=pages)
    assert one.names() == one.truth()
    assert notes.saved == 20


def test_p12_an_expired_cursor_heals_by_a_full_pass(bench):
    one = bench(world_of(20))
    one.sync()
    one.world.drop("p0001")
    one.world.put("p0002", "Changed while nobody looked")
    one.world.forget_changes()
    one.sync(pages=2)
    assert one.names() == one.truth()
    assert one.replay() == set(one.truth())
    assert [event for event, _ in one.events()].count("stream.resync") == 1
    assert (
        one.rows("SELECT count(*) AS n FROM crm_sync.pass_seen WHERE connection_id = %s", one.connection_id)[0]["n"]
        == 0
    )


@pytest.mark.parametrize("full", [False, True])
def test_p12_a_cursor_that_expires_between_two_pages_heals_in_the_same_run(bench, full):
    one = bench(world_of(20))
    one.sync()
    for number in range(12):
        one.world.put(f"p{number:04d}", f"Renamed {number}")
    served = []
    pages = one.world.pages

    def dies_after_two(session, part, cursor):
        for page in pages(session, part, cursor):
            served.append(page)
            if len(served) == 3:
                raise CursorExpired("the token of the next page is dead")
            yield page

    one.stream = one.world.stream(pages=dies_after_two)
    notes = one.sync(full=full)
    assert one.names() == one.truth()
    assert one.replay() == set(one.truth())
    assert notes.saved == 12, "what was committed before it died is counted"
    assert [event for event, _ in one.events()].count("stream.resync") == 1


def test_p12_a_full_pass_writes_only_what_changed(bench):
    one = bench(world_of(20))
    one.sync()
    notes = one.sync(full=True, pages=3)
    assert (notes.unchanged, notes.saved) == (20, 0)


def test_a_new_normaliser_writes_every_record_anew(bench):
    one = bench(world_of(7))
    one.sync()
    one.stream = one.world.stream(normaliser=2)
    notes = one.sync()
    assert (notes.unchanged, notes.saved) == (0, 7)
    assert one.names() == one.truth()


def test_a_new_normaliser_has_records_read_anew_that_are_read_once_otherwise(bench):
    one = bench(world_of(7))
    read = []

    def reads_what_is_not_held(session, part: Part, _cursor):
        keys = sorted(one.world.parts[""])
        held = session.known(part, keys)
        read.extend(key for key in keys if key not in held)
        records = tuple(one.world.record("", key) for key in keys if key not in held)
        yield Page(records=records, present=tuple(sorted(held)), cursor=b"x", covers=FULL_PASS)

    def sync():
        services = SimpleNamespace(database=one.database, clock=lambda: datetime.now(UTC))
        context = SimpleNamespace(services=services)
        session = StreamSession(http=None, options={}, context=context, place=one.place, seals=one.seals)
        read.clear()
        return one.sync(session=session)

    for normaliser in (1, 2, 4):
        one.stream = one.world.stream(pages=reads_what_is_not_held, normaliser=normaliser, full_pass_every=timedelta(0))
        assert (sync().saved, len(read)) == (7, 7)
        again = sync()
        assert (again.unchanged, again.saved, len(read)) == (7, 0, 0)
    assert one.names() == one.truth()


def test_p12_a_mass_deletion_waits_for_a_word(bench):
    one = bench(world_of(200, page_size=50))
    one.sync()
    for number in range(150):
        one.world.drop(f"p{number:04d}")
    one.world.forget_changes()
    one.sync(pages=1)
    assert len(one.names()) == 200
    hold = one.rows("SELECT * FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id)
    assert [row["state"] for row in hold] == ["open"]
    held = one.rows("SELECT count(*) AS n FROM crm_sync.deletion_hold_item WHERE hold_id = %s", hold[0]["hold_id"])
    assert held[0]["n"] == 150
    assert "deletions.held" in [event for event, _ in one.events()]


def test_p12_a_held_record_that_shows_itself_again_is_released(bench):
    one = bench(world_of(200, page_size=50))
    one.sync()
    names = {f"p{number:04d}": f"Person {number}" for number in range(150)}
    for key in names:
        one.world.drop(key)
    one.world.forget_changes()
    one.sync()
    for key, name in list(names.items())[:30]:
        one.world.put(key, name)
    one.sync()
    held = one.rows("SELECT count(*) AS n FROM crm_sync.deletion_hold_item i JOIN crm_sync.deletion_hold h "
                    "USING (workspace_id, hold_id) WHERE h.connection_id = %s", one.connection_id)  # fmt: skip
    assert held[0]["n"] == 120


def test_p12_what_joins_a_hold_waits_its_own_seven_days(bench):
    one = bench(world_of(400, page_size=200))
    one.sync()
    applies = "SELECT hold_id, applies_at - now() AS waits FROM crm_sync.deletion_hold WHERE connection_id = %s"

    def six_days_pass():
        with one.database.transaction(one.workspace) as tx:
            tx.execute(
                "UPDATE crm_sync.deletion_hold SET applies_at = applies_at - interval '6 days' "
                "WHERE connection_id = %s",
                [one.connection_id],
            )

    def gone(first, last):
        keys = tuple(f"p{number:04d}" for number in range(first, last))
        one.stream = one.world.stream(pages=lambda *_: iter([Page(tombstones=keys, cursor=b"%d" % last)]))
        one.sync()
        return one.rows(applies, one.connection_id)

    first = gone(0, 100)
    six_days_pass()
    assert gone(0, 100)[0]["waits"] < timedelta(days=1), "the same records once more put nothing off"
    second = gone(0, 200)
    assert [hold["hold_id"] for hold in second] == [hold["hold_id"] for hold in first]
    assert second[0]["waits"] > timedelta(days=6)


def test_p12_a_held_record_that_is_deleted_all_the_same_waits_no_more(bench):
    one = bench(world_of(200, page_size=200))
    one.sync()

    def gone(first, last):
        keys = tuple(f"p{number:04d}" for number in range(first, last))
        one.stream = one.world.stream(pages=lambda *_: iter([Page(tombstones=keys, cursor=b"%d" % last)]))
        one.sync()
        held = one.rows("SELECT count(*) AS n FROM crm_sync.deletion_hold_item i JOIN crm_sync.deletion_hold h "
                        "USING (workspace_id, hold_id) WHERE h.connection_id = %s", one.connection_id)  # fmt: skip
        return held[0]["n"]

    assert gone(0, 100) == 100
    assert gone(0, 20) == 80, "so few may go without a word"
    assert len(one.names()) == 180


@pytest.mark.parametrize("shown_by", ["a full pass", "an incremental page", "a list of what is still there"])
def test_p12_a_record_that_a_person_kept_is_like_any_other_once_it_was_shown_again(bench, shown_by):
    one = bench(world_of(200, page_size=200))
    one.sync()
    names = {key: name for key, name in one.world.parts[""].items() if key < "p0100"}
    for key in names:
        one.world.drop(key)
    one.sync(full=True)
    (hold,) = one.rows("SELECT hold_id FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id)
    context = SimpleNamespace(
        services=SimpleNamespace(database=one.database, clock=lambda: datetime.now(UTC)),
        workspace=one.workspace,
        args={"hold_id": hold["hold_id"], "decision": "reject"},
        progress=None,
        fence=lambda _tx, _progress: None,
    )
    assert decide_deletions.run(context) == Done({"hold_id": hold["hold_id"], "decision": "reject", "records": 100})
    one.sync(full=True)
    assert len(one.names()) == 200, "what a person kept outlives a pass that does not show it"

    for key, name in names.items():
        one.world.put(key, name)
    if shown_by == "a list of what is still there":
        one.stream = one.world.stream(pages=lambda *_: iter([Page(present=tuple(names), cursor=b"still")]))
        one.sync()
        one.stream = one.world.stream()
    else:
        one.sync(full=shown_by == "a full pass")
    for key in list(names)[:40]:
        one.world.drop(key)
    one.sync(full=True)
    assert one.names() == one.truth()


def test_p12_a_hold_that_grows_while_it_is_applied_keeps_the_rest(bench):
    one = bench(world_of(1_400, page_size=1_400))
    one.sync()

    def hold(first, last):
        keys = tuple(f"p{number:04d}" for number in range(first, last))
        one.stream = one.world.stream(pages=lambda *_: iter([Page(tombstones=keys, cursor=b"%d" % last)]))
        one.sync()

    hold(0, 1_200)
    (row,) = one.rows(
        "UPDATE crm_sync.deletion_hold SET applies_at = now() - interval '1 hour' WHERE connection_id = %s "
        "RETURNING hold_id",
        one.connection_id,
    )
    fenced: list[int] = []
    context = SimpleNamespace(
        services=SimpleNamespace(database=one.database, clock=lambda: datetime.now(UTC)),
        workspace=one.workspace,
        args={"hold_id": row["hold_id"], "decision": "apply"},
        progress=None,
        fence=lambda _tx, progress: fenced.append(progress["records"]),
        out_of_time=lambda: hold(100, 1_300),
        stopping=lambda: False,
    )
    outcome = decide_deletions.run(context)
    assert outcome == Done({"hold_id": row["hold_id"], "decision": "apply", "records": 1_000})
    assert len(one.names()) == 400
    (left,) = one.rows("SELECT state FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id)
    assert left["state"] == "open"


def test_p12_tombstones_beyond_the_limit_are_held_and_counted_as_refused(bench):
    one = bench(world_of(200, page_size=40))
    one.sync()
    for number in range(120):
        one.world.drop(f"p{number:04d}")
    notes = one.sync(pages=1)
    assert notes.deleted == 40
    assert notes.refused == 80
    assert len(one.names()) == 160


def test_a_few_deletions_need_no_word(bench):
    one = bench(world_of(60, page_size=10))
    one.sync()
    for number in range(49):
        one.world.drop(f"p{number:04d}")
    one.world.forget_changes()
    one.sync()
    assert one.names() == one.truth()


def test_p2_a_page_on_its_way_when_the_connection_stops_is_thrown_away(bench):
    one = bench(world_of(9))
    pages = one.world.pages

    def stops_after_the_first(session, part, cursor):
        for number, page in enumerate(pages(session, part, cursor)):
            if number == 1:
                one.stop()
            yield page

    one.stream = one.world.stream(pages=stops_after_the_first)
    with pytest.raises(ConnectionStopped):
        one.sync()
    assert len(one.names()) in {0, 3}
    assert one.replay() == set(one.names())


def test_p5_a_worker_that_lost_its_lease_writes_nothing(bench):
    one = bench(world_of(9))
    with one.database.transaction(one.workspace) as tx:
        tx.execute("UPDATE crm_sync.job SET lease_epoch = 2 WHERE job_id = %s", [one.job_id])
    with pytest.raises(LeaseLost):
        one.sync()
    assert one.names() == {}
    assert one.events() == []


def test_p12_a_record_that_cannot_be_parsed_is_set_aside_and_leaves_when_it_can(bench):
    one = bench(world_of(5))
    one.world.refuse = {"p0002"}
    notes = one.sync()
    assert (notes.saved, notes.refused) == (4, 1)
    assert one.rows("SELECT reason FROM crm_sync.quarantine WHERE connection_id = %s", one.connection_id) == [
        {"reason": "bad_record"}
    ]
    one.world.refuse = set()
    one.sync(full=True)
    assert one.names() == one.truth()
    assert one.rows("SELECT reason FROM crm_sync.quarantine WHERE connection_id = %s", one.connection_id) == []


@pytest.mark.parametrize("full", [False, True])
def test_p12_a_record_that_can_be_parsed_no_more_is_kept_as_it_was(bench, full):
    one = bench(world_of(9))
    one.sync()
    held, events = one.names(), one.events()
    one.world.put("p0002", "Renamed, and broken with it")
    one.world.refuse = {"p0002"}
    notes = one.sync(full=full)
    assert notes.refused == 1
    assert one.names() == held
    assert one.events() == events
    one.world.refuse = set()
    one.sync(full=True)
    assert one.names() == one.truth()


def test_p12_a_held_record_that_shows_itself_broken_is_released(bench):
    one = bench(world_of(200, page_size=50))
    one.sync()
    for number in range(150):
        one.world.drop(f"p{number:04d}")
    one.world.forget_changes()
    one.sync()
    one.world.put("p0007", "Back, and broken")
    one.world.refuse = {"p0007"}
    one.sync()
    held = one.rows("SELECT count(*) AS n FROM crm_sync.deletion_hold_item i JOIN crm_sync.deletion_hold h "
                    "USING (workspace_id, hold_id) WHERE h.connection_id = %s", one.connection_id)  # fmt: skip
    assert held[0]["n"] == 149


def test_p12_a_held_record_that_a_later_page_of_the_same_run_shows_is_released(bench):
    one = bench(world_of(200, page_size=100))
    one.sync()
    keys = [f"p{number:04d}" for number in range(100)]

    def gone_and_back(_session, _part, _cursor):
        yield Page(tombstones=tuple(keys), cursor=b"gone", more=True)
        yield Page(records=tuple(one.world.record("", key) for key in keys[:30]), cursor=b"back")

    one.stream = one.world.stream(pages=gone_and_back)
    one.sync()
    held = one.rows("SELECT count(*) AS n FROM crm_sync.deletion_hold_item i JOIN crm_sync.deletion_hold h "
                    "USING (workspace_id, hold_id) WHERE h.connection_id = %s", one.connection_id)  # fmt: skip
    assert held[0]["n"] == 70


def test_a_large_sweep_deletes_in_batches(bench):
    one = bench(world_of(6_500, page_size=2_000))
    one.sync()
    for number in range(1_250):
        one.world.drop(f"p{number:04d}")
    one.world.forget_changes()
    one.sync(pages=5)
    assert set(one.names()) == set(one.truth())
    batches = one.rows("SELECT count(*) AS n FROM crm_sync.feed_entry WHERE connection_id = %s "
                       "AND event = 'record.deleted' GROUP BY at ORDER BY n", one.connection_id)  # fmt: skip
    assert [batch["n"] for batch in batches] == [250, 1_000]


def test_p12_a_decision_on_a_hold_waits_for_the_page_that_shows_its_records(bench):
    one = bench(world_of(200, page_size=200))
    one.sync()
    keys = [f"p{number:04d}" for number in range(100)]
    one.stream = one.world.stream(pages=lambda *_: iter([Page(tombstones=tuple(keys), cursor=b"gone")]))
    one.sync()
    hold = one.rows("SELECT hold_id FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id)[0]
    context = SimpleNamespace(
        services=SimpleNamespace(database=one.database),
        workspace=one.workspace,
        args={"hold_id": hold["hold_id"], "decision": "approve"},
        progress=None,
        fence=lambda _tx, _progress: None,
    )
    outcomes: list[Done] = []
    approval = threading.Thread(target=lambda: outcomes.append(decide_deletions.run(context)))

    class ApprovedMeanwhile(RowLease):
        def fence(self, tx, progress=None):
            # The page has looked at what we hold and written, and has not committed.
            if approval.ident is None:
                approval.start()
                approval.join(0.5)
            super().fence(tx, progress)

    one.world.put("new", "Newcomer")
    shown = tuple(one.world.record("", key) for key in [*keys, "new"])
    one.stream = one.world.stream(pages=lambda *_: iter([Page(records=shown, cursor=b"back")]))
    one.sync(lease=ApprovedMeanwhile(one.workspace, one.job_id, one.lease_epoch))
    approval.join(20)
    assert [outcome.outcome["records"] for outcome in outcomes] == [0]
    assert one.names() == one.truth()
    assert one.replay() == set(one.truth())


def test_p12_what_was_set_aside_and_is_gone_is_set_aside_no_more(bench):
    world = World(parts={"a": {}, "b": {}})
    for part in "ab":
        for number in range(4):
            world.put(f"{part}{number}", f"Person {number}", part)
    one = bench(world)
    world.refuse = {"a0", "b0"}
    count = "SELECT count(*) AS n FROM crm_sync.quarantine WHERE connection_id = %s"
    one.sync()
    assert one.rows(count, one.connection_id)[0]["n"] == 2
    pages = world.pages

    def a0_is_gone(session, part: Part, cursor):
        if part.key == "a":
            yield Page(tombstones=("a0",), cursor=b"gone")
        else:
            yield from pages(session, part, cursor)

    one.stream = world.stream(pages=a0_is_gone)
    one.sync()
    assert one.rows(count, one.connection_id)[0]["n"] == 1
    del world.parts["b"]
    one.sync()
    assert one.rows(count, one.connection_id)[0]["n"] == 0


def test_p12_a_run_counts_the_pages_of_a_part_that_failed_after_them(bench):
    world = World(parts={"a": {}, "b": {}})
    for part in "ab":
        for number in range(9):
            world.put(f"k{number}", f"{part}{number}", part)
    one = bench(world)
    pages = world.pages

    def a_breaks_at_its_third_page(session, part: Part, cursor):
        for number, page in enumerate(pages(session, part, cursor)):
            if part.key == "a" and number == 2:
                raise ProviderRefused("this calendar is odd")
            yield page

    one.stream = world.stream(pages=a_breaks_at_its_third_page)
    notes = one.sync()
    sums = one.rows("SELECT sum(seen)::int AS n FROM crm_sync.part WHERE connection_id = %s", one.connection_id)
    assert (notes.pages, notes.seen, notes.saved) == (5, 15, 15)
    assert sums[0]["n"] == 15
    assert len(notes.parts_failed) == 1


def test_parts_have_cursors_of_their_own_and_one_that_fails_holds_up_none(bench):
    world = World(parts={"a": {}, "b": {}, "c": {}})
    for part in "abc":
        for number in range(5):
            world.put(f"k{number}", f"{part}{number}", part)
    one = bench(world)
    pages = world.pages

    def b_is_broken(session, part: Part, cursor):
        if part.key == "b":
            raise ProviderRefused("this calendar is odd")
        return pages(session, part, cursor)

    one.stream = world.stream(pages=b_is_broken)
    notes = one.sync(pages=1)
    assert len(one.names()) == 10
    assert list(notes.parts_failed.values()) == ["provider_refused"]
    assert [event for event, _ in one.events()].count("part.failed") == 1
    one.stream = world.stream()
    one.sync()
    assert one.names() == one.truth()


def test_a_part_that_is_gone_takes_its_records_with_it(bench):
    world = World(parts={"a": {}, "b": {}})
    for part in "ab":
        for number in range(5):
            world.put(f"k{number}", f"{part}{number}", part)
    one = bench(world)
    one.sync()
    del world.parts["b"]
    one.sync(pages=1)
    assert one.names() == one.truth()
    assert one.replay() == set(one.truth())
    assert len(one.rows("SELECT 1 FROM crm_sync.part WHERE connection_id = %s", one.connection_id)) == 1


def test_a_provider_that_gives_the_same_page_for_ever_is_left_alone(bench):
    one = bench(world_of(3))

    def same_page(_session, _part, _cursor):
        while True:
            yield Page(cursor=b"same", more=True)

    one.stream = one.world.stream(pages=same_page)
    with pytest.raises(Transient):
        one.sync()


def test_p7_a_sealed_record_of_another_connection_does_not_open(bench, worker_db, keys, workspace):
    from worker.errors import VaultError

    one = bench(world_of(1))
    one.sync()
    other = uuid.uuid4()
    keys.create_for_connection(workspace, other)
    row = one.rows("SELECT document_key, sealed FROM crm_sync.document WHERE connection_id = %s", one.connection_id)[0]
    with pytest.raises(VaultError):
        keys.records(workspace, other).open("document.body", row["document_key"], row["sealed"])

"""Measures over a real Postgres: a slice of days is replaced whole, told once, and asks before it loses much. P12."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sync.measured import TODAY, AdWorld, Reader, announced, held, in_slices_of, restated
from tests.sync.one_connection import OneConnection
from worker.errors import BadRecord, ConnectionStopped, ProviderRefused
from worker.jobs import decide_deletions
from worker.measures import CampaignDay, Slice
from worker.records import Kind, Page, Part, Profile, Record
from worker.store.database import Database

Make = Callable[[AdWorld], OneConnection]


def counters(one: OneConnection) -> dict[str, Any]:
    columns = "seen, saved, unchanged, deleted, repeated, skipped, refused, swept"
    return one.rows(f"SELECT {columns} FROM crm_sync.part WHERE connection_id = %s", one.connection_id)[0]


def decide(one: OneConnection, decision: str) -> None:
    """Answer the open hold, as the job does."""
    hold = one.rows("SELECT hold_id FROM crm_sync.deletion_hold WHERE connection_id = %s", one.connection_id)[0]
    context = SimpleNamespace(
        services=SimpleNamespace(database=one.database),
        workspace=one.workspace,
        args={"hold_id": hold["hold_id"], "decision": decision},
        progress=None,
        fence=lambda _tx, _progress: None,
        out_of_time=lambda: False,
    )
    decide_deletions.run(context)  # type: ignore[arg-type]


def waiting(one: OneConnection) -> int:
    sql = "SELECT count(*) AS n FROM crm_sync.measure WHERE connection_id = %s AND hold_id IS NOT NULL"
    return int(one.rows(sql, one.connection_id)[0]["n"])


def test_a_first_run_brings_every_day_and_announces_a_slice_a_page(bench: Make) -> None:
    one = bench(AdWorld().fill(3))
    notes = one.sync()
    assert held(one) == one.world.truth()
    assert (notes.seen, notes.saved, notes.pages) == (36, 36, 3)
    assert [(entry["from"], entry["to"], entry["saved"]) for entry in announced(one)] == [
        ("2026-11-18", "2026-11-22", 15), ("2026-11-13", "2026-11-17", 15), ("2026-11-11", "2026-11-12", 6),
    ]  # fmt: skip


def test_p12_a_second_run_without_changes_writes_nothing_and_announces_nothing(bench: Make) -> None:
    one = bench(AdWorld().fill(3))
    one.sync()
    times = "SELECT xmin::text, updated_at FROM crm_sync.measure WHERE connection_id = %s ORDER BY day, campaign_id"
    before, told = one.rows(times, one.connection_id), announced(one)
    notes = one.sync()
    assert (notes.saved, notes.unchanged) == (0, 72 - 36)
    assert one.rows(times, one.connection_id) == before
    assert announced(one) == told


def test_a_restatement_updates_what_changed_and_tells_it_as_one_slice(bench: Make) -> None:
    one = bench(AdWorld().fill(3))
    one.sync()
    rows = one.world.accounts["111"]
    told = len(announced(one))
    for campaign, back in (("c0", 1), ("c1", 2), ("c2", 4)):
        key = (campaign, TODAY - timedelta(days=back))
        rows[key] = restated(rows[key], conversions=rows[key].conversions + Decimal("0.25"))
    one.begin_again()
    notes = one.sync()
    assert held(one) == one.world.truth()
    assert (notes.saved, notes.unchanged) == (3, 33)
    assert announced(one)[told:] == [
        {"account": "111", "from": "2026-11-18", "to": "2026-11-21", "saved": 3, "deleted": 0}
    ]


def test_p12_a_day_that_became_zero_is_shown_no_more_and_is_gone(bench: Make) -> None:
    one = bench(AdWorld().fill(3))
    one.sync()
    del one.world.accounts["111"]["c1", TODAY]
    one.begin_again()
    notes = one.sync()
    assert held(one) == one.world.truth()
    assert (notes.swept, notes.saved, notes.deleted) == (1, 0, 0)
    assert announced(one)[-1] == {
        "account": "111", "from": "2026-11-22", "to": "2026-11-22", "saved": 0, "deleted": 1,
    }  # fmt: skip
    assert counters(one)["swept"] == 1


def test_days_outside_of_the_slice_are_left_alone(bench: Make) -> None:
    one = bench(AdWorld(days=12).fill(2))
    one.sync()
    one.world.days = 5
    old = held(one)
    one.world.accounts["111"] = {key: row for key, row in one.world.accounts["111"].items() if key[1] > TODAY}
    one.begin_again()
    one.sync()
    assert held(one) == {key: row for key, row in old.items() if key[2] <= TODAY - timedelta(days=5)}


def test_a_slice_that_is_not_whole_deletes_nothing(bench: Make) -> None:
    one = bench(AdWorld().fill(2))
    one.sync()
    before = held(one)
    one.world.whole = False
    del one.world.accounts["111"]["c1", TODAY]
    one.world.spend("c9", TODAY, 5)
    one.sync()
    assert held(one) == {**before, ("111", "c9", TODAY): one.world.accounts["111"]["c9", TODAY]}


def test_p12_a_row_that_is_shown_twice_counts_once_and_the_last_one_holds(bench: Make) -> None:
    one = bench(AdWorld())
    first = CampaignDay(campaign_id="c", day=TODAY, cost_micros=1)
    of = Slice("111", "EUR", "Europe/Berlin", TODAY, TODAY)
    again = restated(first, cost_micros=2)
    one.stream = one.world.stream(pages=lambda *_: iter([Page(measures=(first, again), cursor=b"1", covers=of)]))
    notes = one.sync()
    assert (notes.seen, notes.saved, notes.repeated) == (2, 1, 1)
    assert [row.cost_micros for row in held(one).values()] == [2]


LIES = {
    "money over 64 bits": {"cost_micros": 2**63},
    "fewer than no clicks": {"clicks": -1},
    "impressions over 64 bits": {"impressions": 2**64},
    "infinite conversions": {"conversions": Decimal("Infinity")},
    "no number": {"conversion_value": Decimal("NaN")},
    "absurd conversions": {"conversions": Decimal("1e300")},
    "another day": {"day": TODAY + timedelta(days=1)},
    "no campaign": {"campaign_id": ""},
}


@pytest.mark.parametrize("lie", LIES)
def test_p12_a_row_that_no_table_could_keep_is_set_aside_and_the_others_are_kept(bench: Make, lie: str) -> None:
    one = bench(AdWorld())
    good = CampaignDay(campaign_id="good", day=TODAY, cost_micros=-7)
    bad = restated(CampaignDay(campaign_id="bad", day=TODAY), **LIES[lie])
    of = Slice("111", "EUR", "Europe/Berlin", TODAY, TODAY)
    one.stream = one.world.stream(pages=lambda *_: iter([Page(measures=(bad, good), cursor=b"1", covers=of)]))
    notes = one.sync()
    assert (notes.saved, notes.refused) == (1, 1)
    assert list(held(one).values()) == [good]
    quarantined = one.rows("SELECT reason, detail FROM crm_sync.quarantine WHERE connection_id = %s", one.connection_id)
    assert quarantined == [{"reason": "bad_record", "detail": next(iter(LIES[lie]))}]


@pytest.mark.parametrize("facts", [{"currency": "euro"}, {"currency": ""}, {"time_zone": "Mars/Olympus"}])
def test_an_account_without_a_currency_or_a_zone_fails_alone(bench: Make, facts: dict[str, str]) -> None:
    world = AdWorld(accounts={"111": {}, "222": {}}).fill(1)
    one = bench(world)
    wrong = Slice("111", **{"currency": "EUR", "time_zone": "UTC", **facts}, first=TODAY, last=TODAY)

    def pages(session: Any, part: Part, cursor: bytes | None) -> Any:
        if part.key == "111":
            return iter([Page(cursor=b"1", covers=wrong)])
        return world.pages(session, part, cursor)

    one.stream = world.stream(pages=pages)
    notes = one.sync()
    assert list(notes.parts_failed.values()) == ["bad_record"]
    assert {key[0] for key in held(one)} == {"222"}


def test_measures_without_a_slice_and_records_within_one_are_mistakes_of_the_connector(bench: Make) -> None:
    of = Slice("111", "EUR", "UTC", TODAY, TODAY)
    mistakes = (
        Page(measures=(CampaignDay(campaign_id="c", day=TODAY),), cursor=b"1"),
        Page(records=(Record("me", Kind.PROFILE, Profile()),), cursor=b"1", covers=of),
    )
    for mistake in mistakes:
        one = bench(AdWorld())
        one.stream = one.world.stream(pages=lambda *_, page=mistake: iter([page]))
        with pytest.raises(BadRecord):
            one.sync()
        assert held(one) == {}


def test_p12_what_cannot_be_read_any_more_is_kept_as_it_was_and_leaves_the_quarantine_when_it_can(bench: Make) -> None:
    one = bench(AdWorld().fill(2))
    one.sync()
    before = held(one)
    key = ("c1", TODAY)
    one.world.accounts["111"][key] = restated(one.world.accounts["111"][key], cost_micros=1)
    one.world.broken = {key}
    one.begin_again()
    assert one.sync().refused == 1
    assert held(one) == before
    one.world.broken = set()
    one.begin_again()
    one.sync()
    assert held(one) == one.world.truth()
    assert one.rows("SELECT 1 FROM crm_sync.quarantine WHERE connection_id = %s", one.connection_id) == []


def test_p12_a_provider_that_forgets_a_month_is_not_believed_at_once(bench: Make) -> None:
    one = bench(AdWorld(days=90, days_a_page=30).fill(3))
    one.sync()
    before = held(one)
    world = one.world.accounts["111"]
    kept = {key: row for key, row in world.items() if key[1] <= TODAY - timedelta(days=30)}
    one.world.accounts["111"] = kept
    one.begin_again()
    notes = one.sync()
    assert held(one) == before, "ninety rows of 270 were forgotten; they wait"
    assert waiting(one) == 90
    assert notes.swept == 0
    assert [event for event, _ in one.events()].count("deletions.held") == 1
    one.begin_again()
    one.sync()
    assert [event for event, _ in one.events()].count("deletions.held") == 1, "nothing new waits"
    decide(one, "approve")
    assert held(one) == one.world.truth()
    assert announced(one)[-1] == {
        "account": "111", "from": "2026-10-24", "to": "2026-11-22", "saved": 0, "deleted": 90,
    }  # fmt: skip


def test_p12_what_went_slice_by_slice_is_added_up(bench: Make) -> None:
    one = bench(AdWorld(days=90, days_a_page=1).fill(40))
    one.sync()
    one.world.accounts["111"] = {}
    one.begin_again()
    one.sync()
    assert len(held(one)) == 40 * 90 * 4 // 5, "a fifth of what was read may go, the rest waits"
    assert waiting(one) == len(held(one))


def test_p12_held_days_that_are_shown_again_are_released_and_nobody_is_told(bench: Make) -> None:
    one = bench(AdWorld(days=60, days_a_page=60).fill(2))
    one.sync()
    rows = dict(one.world.accounts["111"])
    one.world.accounts["111"] = {}
    one.begin_again()
    one.sync()
    assert waiting(one) == 120
    told = len(announced(one))
    one.world.accounts["111"] = rows
    one.begin_again()
    one.sync()
    assert waiting(one) == 0
    assert len(announced(one)) == told
    decide(one, "approve")
    assert held(one) == one.world.truth()


def test_p12_days_that_were_kept_by_a_persons_word_stay_through_later_runs(bench: Make) -> None:
    one = bench(AdWorld(days=60, days_a_page=60).fill(2))
    one.sync()
    before = held(one)
    one.world.accounts["111"] = {}
    one.begin_again()
    one.sync()
    decide(one, "reject")
    one.begin_again()
    one.sync()
    assert held(one) == before
    assert waiting(one) == 0
    held_again = [event for event, _ in one.events()].count("deletions.held")
    assert held_again == 1


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_p5_a_run_in_time_slices_equals_an_undisturbed_one(bench: Make, pages: int) -> None:
    one = bench(AdWorld(days_a_page=2).fill(3))
    notes = one.sync(pages=pages)
    assert held(one) == one.world.truth()
    assert (notes.saved, notes.pages) == (36, 6)


def test_p2_a_slice_on_its_way_when_the_connection_stops_is_thrown_away(bench: Make) -> None:
    one = bench(AdWorld().fill(3))
    pages = one.world.pages

    def stops_after_the_first(session: Any, part: Part, cursor: bytes | None) -> Any:
        for number, page in enumerate(pages(session, part, cursor)):
            if number == 1:
                one.stop()
            yield page

    one.stream = one.world.stream(pages=stops_after_the_first)
    with pytest.raises(ConnectionStopped):
        one.sync()
    assert len(held(one)) in {0, 15}
    assert Reader(one).read() == held(one)


def test_accounts_have_cursors_of_their_own_and_one_that_fails_holds_up_none(bench: Make) -> None:
    world = AdWorld(accounts={"111": {}, "222": {}, "333": {}}).fill(2)
    one = bench(world)
    pages = world.pages

    def one_is_broken(session: Any, part: Part, cursor: bytes | None) -> Any:
        if part.key == "222":
            raise ProviderRefused("this account is odd")
        return pages(session, part, cursor)

    one.stream = world.stream(pages=one_is_broken)
    notes = one.sync(pages=1)
    assert {key[0] for key in held(one)} == {"111", "333"}
    assert list(notes.parts_failed.values()) == ["provider_refused"]
    one.stream = world.stream()
    one.begin_again()
    one.sync()
    assert held(one) == world.truth()


@pytest.mark.parametrize(("campaigns", "waits"), [(2, False), (6, True)])
def test_p12_an_account_that_is_gone_takes_its_days_with_it_or_asks_first(
    bench: Make, campaigns: int, waits: bool
) -> None:
    world = AdWorld(accounts={"111": {}, "222": {}}).fill(campaigns)
    one = bench(world)
    one.sync()
    whole = held(one)
    gone = world.accounts.pop("222")
    one.begin_again()
    one.sync(pages=1)
    if waits:
        assert held(one) == whole
        assert waiting(one) == len(gone)
        decide(one, "approve")
        one.begin_again()
        one.sync()
    assert held(one) == world.truth()
    accounts = one.rows("SELECT account_id FROM crm_sync.measured_account WHERE connection_id = %s", one.connection_id)
    assert accounts == [{"account_id": "111"}]
    assert len(one.rows("SELECT 1 FROM crm_sync.part WHERE connection_id = %s", one.connection_id)) == 1


def test_the_days_that_were_read_are_noted_also_where_nothing_happened(bench: Make) -> None:
    one = bench(AdWorld(days=12, time_zone="Asia/Bangkok", currency="THB"))
    one.sync()
    columns = "account_id, currency, time_zone, first_day, last_day"
    sql = f"SELECT {columns} FROM crm_sync.measured_account WHERE connection_id = %s"
    assert one.rows(sql, one.connection_id) == [
        {
            "account_id": "111",
            "currency": "THB",
            "time_zone": "Asia/Bangkok",
            "first_day": date(2026, 11, 11),
            "last_day": TODAY,
        }
    ]


def test_an_account_whose_zone_or_currency_moves_is_written_anew(bench: Make) -> None:
    one = bench(AdWorld().fill(2))
    one.sync()
    one.world.time_zone, one.world.currency = "Asia/Tokyo", "JPY"
    one.begin_again()
    assert one.sync().saved == 24
    rows = one.rows(
        "SELECT DISTINCT time_zone, currency FROM crm_sync.measure WHERE connection_id = %s", one.connection_id
    )
    assert rows == [{"time_zone": "Asia/Tokyo", "currency": "JPY"}]


def test_numbers_are_kept_to_the_last_digit(bench: Make) -> None:
    one = bench(AdWorld())
    exact = CampaignDay(
        campaign_id="c", day=TODAY, cost_micros=2**63 - 1, impressions=2**63 - 1, clicks=3,
        conversions=Decimal("0.30000000000000004"), conversion_value=Decimal("123456789012345.678901234567"),
    )  # fmt: skip
    one.world.accounts["111"]["c", TODAY] = exact
    one.sync()
    row = held(one)["111", "c", TODAY]
    assert row == exact
    assert str(row.conversion_value) == "123456789012345.678901234567"


def test_p9_a_measure_that_is_due_is_read_by_no_login_but_the_owners(
    bench: Make, worker_db: Database, crm_db: Database, owner_db: Database
) -> None:
    one = bench(AdWorld().fill(1))
    one.sync()
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.measure SET expires_at = now() - interval '1 second' WHERE workspace_id = %s",
                   [one.workspace])  # fmt: skip
    for database, table in ((worker_db, "measure"), (crm_db, "measure"), (crm_db, "campaign_day")):
        with database.transaction(one.workspace) as tx:
            assert tx.execute(f"SELECT count(*) AS n FROM crm_sync.{table}").fetchone() == {"n": 0}  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_p12_whatever_is_restated_between_runs_the_end_is_the_truth_and_a_reader_of_the_feed_has_it(
    bench: Make, seed: int
) -> None:
    import random

    chance = random.Random(seed)
    one = bench(in_slices_of(AdWorld(accounts={"111": {}, "222": {}}).fill(4, seed), chance.choice([1, 3, 12])))
    reader = Reader(one)
    for _ in range(4):
        one.begin_again()
        one.sync(pages=chance.choice([None, 1, 2]))
        assert held(one) == one.world.truth()
        assert reader.read() == one.world.truth()
        for _ in range(chance.randrange(12)):
            account = chance.choice(["111", "222"])
            rows = one.world.accounts[account]
            match chance.choice(["restate", "zero", "new"]):
                case "restate" if rows:
                    key = chance.choice(sorted(rows))
                    rows[key] = restated(rows[key], cost_micros=chance.randrange(10**12))
                case "zero" if rows:
                    del rows[chance.choice(sorted(rows))]
                case _:
                    one.world.spend(f"c{chance.randrange(9)}", TODAY - timedelta(days=chance.randrange(12)), 3, account)
    sums = counters(one)
    assert sums["seen"] == sum(
        sums[name] for name in ("saved", "unchanged", "deleted", "repeated", "skipped", "refused")
    )


def test_the_details_of_an_announcement_are_codes_and_numbers(bench: Make) -> None:
    one = bench(AdWorld().fill(1))
    one.sync()
    assert "Campaign c0" not in json.dumps(announced(one))

"""Measures through the CRM's door: rows, accounts, spend; the SQL of the documents as it is printed; purge; walls."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len

from tests.conftest import ROOT, register_workspace
from tests.sync.measured import TODAY, AdWorld
from tests.sync.one_connection import OneConnection
from worker.cli.spend import BARS, height, picture
from worker.client import Client
from worker.settings import Role
from worker.store import farewells
from worker.store.database import Database
from worker.store.measures_view import MeasuredDay, Spend
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

Make = Callable[[AdWorld], OneConnection]
PAGE = (ROOT / "docs" / "reference" / "measures.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def keys(worker_db: Database) -> KeyStore:
    return KeyStore(worker_db, grant=Keyring.generate("grant"), records=Keyring.generate("records"))


@pytest.fixture
def bench(worker_db: Database, keys: KeyStore, workspace: str) -> Make:
    return lambda world: OneConnection(worker_db, keys, workspace, world)  # type: ignore[arg-type]


@pytest.fixture
def crm(database_urls: dict[Role, str], workspace: str) -> Any:
    with Client(database_urls[Role.CRM], workspace=workspace, actor="user:1", reason="a report") as client:
        yield client


def sql_of(heading: str, workspace: str) -> str:
    """The statement under a heading of the page, for another tenant than the page's."""
    found = re.search(rf"## {re.escape(heading)}\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, heading
    return found[1].replace("'acme'", f"'{workspace}'")


def rows_of(crm_db: Database, workspace: str, statement: str) -> list[dict[str, Any]]:
    with crm_db.transaction(workspace) as tx:
        return tx.execute(statement).fetchall()  # type: ignore[arg-type]


def test_the_columns_of_the_page_are_those_of_the_view(owner_db: Database) -> None:
    with owner_db.transaction() as tx:
        columns = tx.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'crm_sync.campaign_day'::regclass AND attnum > 0 "
            "ORDER BY attnum"
        ).fetchall()
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [row["attname"] for row in columns]
    assert {*MeasuredDay.__dataclass_fields__, "workspace_id"} == {row["attname"] for row in columns}


def test_spend_by_campaign_and_month_across_currencies_is_exact(bench: Make, crm_db: Database, workspace: str) -> None:
    worlds = []
    for currency, zone, number in (("THB", "Asia/Bangkok", 1), ("JPY", "Asia/Tokyo", 2), ("BHD", "Asia/Bahrain", 3)):
        world = AdWorld({f"{number}": {}}, days=90, days_a_page=30, currency=currency, time_zone=zone).fill(4, number)
        # A hundred times a tenth of a cent must be ten cents, and the largest amounts must not lose their last micro.
        world.spend("tiny", TODAY, 1, f"{number}")
        world.spend("huge", TODAY, 2**62, f"{number}")
        worlds.append(world)
        bench(world).sync()
    wanted: dict[tuple[str, str, date, str], int] = {}
    for world in worlds:
        for (account, campaign, day), row in world.truth().items():
            key = (account, campaign, day.replace(day=1), world.currency)
            wanted[key] = wanted.get(key, 0) + row.cost_micros
    statement = sql_of("Spend by campaign and month, across providers", workspace)
    found = {
        (row["account_id"], row["campaign_id"], row["month"], row["currency"]): row["spend"]
        for row in rows_of(crm_db, workspace, statement)
    }
    assert found == {key: Decimal(micros).scaleb(-6) for key, micros in wanted.items()}
    assert len(found) > 40


def test_what_a_conversion_cost_is_exact(bench: Make, crm_db: Database, workspace: str) -> None:
    world = AdWorld(days=14)
    world.spend("c", TODAY, 10_000_000, conversions=Decimal("0.25"))
    world.spend("c", TODAY - timedelta(days=7), 10_000_000)
    bench(world).sync()
    found = rows_of(crm_db, workspace, sql_of("What a conversion cost, by account and week", workspace))
    assert [(row["spend"], row["cost_of_a_conversion"]) for row in found] == [(10, None), (10, 40)]


def test_days_without_anything_are_zero_where_they_were_read(bench: Make, crm_db: Database, workspace: str) -> None:
    world = AdWorld(days=5)
    world.spend("c", TODAY - timedelta(days=2), 1_500_000)
    bench(world).sync()
    bench(world).sync()
    found = rows_of(crm_db, workspace, sql_of("Every day, also those on which nothing was spent", workspace))
    assert [row["spend"] for row in found] == [0, 0, Decimal("1.5"), 0, 0]


def test_an_account_that_two_connections_see_is_counted_once(bench: Make, crm: Client) -> None:
    world = AdWorld().fill(3)
    first = bench(world)
    first.sync()
    second = bench(world)
    second.stream = world.stream()
    second.sync()
    total = sum(row.cost_micros for row in world.truth().values())
    assert sum(each.cost_micros for each in crm.spend(date(2026, 1, 1), TODAY)) == total
    assert len(list(crm.measures())) == 36
    for connection in (first.connection_id, second.connection_id):
        assert len(list(crm.measures(connection))) == 36
    assert len(crm.measured_accounts()) == 2


def test_the_client_gives_typed_rows_by_day_and_connector(bench: Make, crm: Client) -> None:
    world = AdWorld(time_zone="Asia/Bahrain", currency="BHD").fill(1)
    one = bench(world)
    one.sync()
    days = list(crm.measures(first=TODAY - timedelta(days=1), last=TODAY, connector="scripted"))
    assert [(each.day, each.cost_micros) for each in days] == [
        (day, world.accounts["111"]["c0", day].cost_micros) for day in (TODAY - timedelta(days=1), TODAY)
    ]
    assert days[0].cost == Decimal(days[0].cost_micros) / 1_000_000
    assert (days[0].currency, days[0].time_zone, days[0].account_name) == ("BHD", "Asia/Bahrain", "111")
    assert list(crm.measures(connector="another")) == []
    (account,) = crm.measured_accounts(one.connection_id)
    assert (account.first_day, account.last_day) == (TODAY - timedelta(days=11), TODAY)
    (status,) = crm.streams(one.connection_id)
    assert status.held == {"campaign_day": 12}


@pytest.mark.parametrize("at_once", [1, 5, 36, 1_000])
def test_days_come_page_by_page_each_once_and_in_order(bench: Make, crm: Client, at_once: int) -> None:
    one = bench(AdWorld({"222": {}, "111": {}}).fill(3, 7))
    one.sync()
    whole = list(crm.measures())
    assert len({(day.day, day.account_id, day.campaign_id) for day in whole}) == len(whole) > 36
    assert whole == sorted(whole, key=lambda day: (day.day, day.connector, day.account_id, day.campaign_id))
    assert list(crm.measures(at_once=at_once)) == list(crm.measures(one.connection_id, at_once=at_once)) == whole
    some = list(crm.measures(first=whole[9].day, last=whole[-9].day, at_once=at_once))
    assert some == [day for day in whole if whole[9].day <= day.day <= whole[-9].day]


def test_days_are_read_while_one_goes_through_them(bench: Make, crm: Client, worker_db: Database) -> None:
    one = bench(AdWorld().fill(3))
    one.sync()
    days = crm.measures(at_once=2)
    assert next(days)
    with worker_db.transaction(one.workspace) as tx:
        assert farewells.purge_measures(tx, one.workspace, one.connection_id, 1_000) == 36
    assert len(list(days)) == 1


def test_a_hold_on_days_says_how_many_wait(bench: Make, crm: Client) -> None:
    one = bench(AdWorld(days=60, days_a_page=60).fill(1))
    one.sync()
    one.world.accounts["111"] = {}  # type: ignore[attr-defined]
    one.begin_again()
    one.sync()
    assert [hold.waiting for hold in crm.holds()] == [60]


def test_p7_another_tenant_sees_none_of_it(bench: Make, crm: Client, crm_db: Database) -> None:
    bench(AdWorld().fill(1)).sync()
    stranger = crm.at(register_workspace(crm_db))
    assert list(stranger.measures()) == []
    assert (stranger.measured_accounts(), stranger.spend(date(2026, 1, 1), TODAY)) == ([], [])


def test_a_purge_takes_the_days_in_slices_and_counts_them(bench: Make, worker_db: Database, workspace: str) -> None:
    one = bench(AdWorld().fill(2))
    one.sync()
    gone = []
    while not gone or gone[-1]:
        with worker_db.transaction(workspace) as tx:
            gone.append(farewells.purge_measures(tx, workspace, one.connection_id, 10))
    assert gone == [10, 10, 4, 0]
    with worker_db.transaction(workspace) as tx:
        farewells.purge_rest(tx, workspace, one.connection_id)
    for table in ("measure", "measured_account"):
        assert one.rows(f"SELECT 1 FROM crm_sync.{table} WHERE connection_id = %s", one.connection_id) == []


def spent(day: date, micros: int, currency: str = "EUR") -> Spend:
    return Spend(day, currency, micros, 0, 0, Decimal(0))


def test_the_picture_has_a_bar_for_each_day_and_a_line_for_each_currency() -> None:
    days = [TODAY - timedelta(days=back) for back in (2, 1, 0)]
    found = [spent(days[0], 1), spent(days[2], 8_000_000), spent(days[1], 2**62, "JPY")]
    head, euros, yen = picture(found, days)
    assert "2026-11-20 to 2026-11-22" in head
    assert euros.startswith("EUR │▁ █│ 8.000001 in all")
    assert yen.startswith("JPY │ █ │ 4,611,686,018,427.387904 in all")
    assert all(cell_len(bar) == 1 for bar in BARS)


@pytest.mark.parametrize(("cost", "bar"), [(0, 0), (-5, 0), (1, 1), (50, 4), (99, 8), (100, 8)])
def test_a_bar_is_as_high_as_what_was_spent(cost: int, bar: int) -> None:
    assert height(Decimal(cost), Decimal(100)) == bar
    assert height(Decimal(cost), Decimal(0)) == 0

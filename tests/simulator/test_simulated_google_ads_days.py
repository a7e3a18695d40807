"""Campaign days of the simulated Google Ads: numbers true to the micro, idle days, restatements, zones and edits."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.client import ControlRefused, Simulator
from simulator.google_ads.customers import Customer
from simulator.world.ad_campaigns import CURRENCIES, make_campaign, make_campaigns
from simulator.world.ad_days import MINUTES
from tests.simulator.ads_calls import DAILY, AdsCaller
from tests.simulator.calls import AUTH, EPOCH
from tests.simulator.google_ads_messages import check_failure, check_search

LEAVES = ("bangkok", "tokyo", "new-york", "berlin", "bahrain")
MICRO = Decimal(1_000_000)
COUNTS = {
    "impressions": "impressions", "clicks": "clicks", "interactions": "interactions", "costMicros": "cost_micros",
}  # fmt: skip
SHARES = {
    "conversions": "conversions", "conversionsValue": "conversions_value", "allConversions": "all_conversions",
    "allConversionsValue": "all_conversions_value",
}  # fmt: skip


@pytest.fixture
def ads(simulator: Simulator, account: str) -> AdsCaller:
    return AdsCaller(simulator, account)


def daily(ads: AdsCaller, key: str, days: int) -> str:
    """The daily query over the last so many days of an account."""
    today = date.fromisoformat(ads.today(key))
    return DAILY.format(today - timedelta(days), today)


def back(ads: AdsCaller, key: str, days: int) -> str:
    """The account's date so many days ago."""
    return (date.fromisoformat(ads.today(key)) - timedelta(days)).isoformat()


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row's metrics without rounding, in the words of the truth."""
    metrics = row["metrics"]
    exact = {name: Decimal(str(metrics.get(field, 0))) * MICRO for field, name in SHARES.items()}
    return {name: int(metrics.get(field, "0")) for field, name in COUNTS.items()} | exact


def rows_by_day(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["campaign"]["id"], row["segments"]["date"]): numbers(row) for row in rows}


def truth_by_day(ads: AdsCaller, key: str, **query: Any) -> dict[tuple[str, str], dict[str, Any]]:
    wanted = [*COUNTS.values(), *SHARES.values()]
    found = {(item["campaign"], item["day"]): {name: item[name] for name in wanted}
             for item in ads.truth(key, **query)}  # fmt: skip
    return {place: figures for place, figures in found.items() if any(figures.values())}


def later(ads: AdsCaller, days: float) -> None:
    """Move the clock, and come back with a fresh token."""
    ads.simulator.advance(days * 86_400)
    ads.token = str(ads.simulator.grant(ads.account, [AUTH + "adwords"])["access_token"])


def at_hour(ads: AdsCaller, hour: int) -> None:
    """Move the clock to an hour (UTC) of the day after next, whatever the hour is now."""
    now = ads.simulator.control("clock")["now"]
    later(ads, 2 + hour / 24 - now % 86_400 / 86_400)


@pytest.mark.parametrize("key", LEAVES)
def test_every_day_is_the_truth_to_the_micro_in_every_currency_and_across_clock_changes(
    ads: AdsCaller, key: str
) -> None:
    query = daily(ads, key, 400)
    rows = ads.rows(key, query)
    assert rows_by_day(rows) == truth_by_day(ads, key, **{"from": back(ads, key, 400)})
    assert len(rows) > 1_000
    assert {row["customer"]["currencyCode"] for row in rows} == {
        {"bangkok": "THB", "tokyo": "JPY", "new-york": "USD", "berlin": "EUR", "bahrain": "BHD"}[key]
    }


def test_there_are_37_months_of_days(ads: AdsCaller) -> None:
    today = date.fromisoformat(ads.today("tokyo"))
    oldest = (today - timedelta(1_120)).isoformat()
    status, reply = ads.search("tokyo", DAILY.format(today - timedelta(1_140), today))
    assert (status, check_failure(reply)["errorCode"]) == (
        400, {"dateRangeError": "REQUESTED_DATE_GRANULARITY_NOT_SUPPORTED"},
    )  # fmt: skip
    ads.switch(old_days="left_out")
    days = {row["segments"]["date"] for row in ads.rows("tokyo", DAILY.format(today - timedelta(1_140), today))}
    assert len([day for day in days if day < oldest]) > 0
    assert len(days) > 1_100


def test_an_idle_day_has_no_row_and_is_zero_only_where_no_segment_is_selected(ads: AdsCaller) -> None:
    campaign = ads.edit(do="add_campaign", customer="berlin", fields={"name": "Sleeper", "idle": True})["id"]
    query = daily(ads, "berlin", 30) + f" AND campaign.id = {campaign}"
    assert ads.rows("berlin", query) == []
    whole = query.replace("segments.date, ", "")
    (row,) = ads.rows("berlin", whole)
    assert (row["metrics"], row["campaign"]["name"]) == ({}, "Sleeper")
    busy = ads.rows("berlin", daily(ads, "berlin", 30))
    campaigns, days = {row["campaign"]["id"] for row in busy}, {row["segments"]["date"] for row in busy}
    assert len(busy) < len(campaigns) * len(days)


def test_only_selected_metrics_decide_whether_a_day_has_a_row(ads: AdsCaller) -> None:
    day = (date.fromisoformat(ads.today("berlin")) - timedelta(5)).isoformat()
    campaign = ads.truth("berlin", kind="campaigns")[0]["id"]
    ads.edit(do="restate_days", customer="berlin", campaign=campaign, days={day: {"all_conversions": 1_500_000}})
    where = f"FROM campaign WHERE segments.date = '{day}' AND campaign.id = {campaign}"
    assert ads.rows("berlin", f"SELECT segments.date, metrics.clicks {where}") == []
    (row,) = ads.rows("berlin", f"SELECT segments.date, metrics.clicks, metrics.all_conversions {where}")
    assert row["metrics"] == {"allConversions": 1.5}


def test_coarser_periods_and_whole_accounts_add_up_to_the_same(ads: AdsCaller) -> None:
    today = date.fromisoformat(ads.today("tokyo"))
    first = (today.replace(day=1) - timedelta(40)).replace(day=1)
    where = f"WHERE segments.date BETWEEN '{first}' AND '{today}'"
    true = sum(item["cost_micros"] for item in ads.truth("tokyo", **{"from": first.isoformat()}))
    for segment in ("date", "week", "month", "quarter", "year", "day_of_week"):
        for resource in ("campaign", "customer", "campaign_budget"):
            rows = ads.rows("tokyo", f"SELECT segments.{segment}, metrics.cost_micros FROM {resource} {where}")
            assert sum(int(row["metrics"]["costMicros"]) for row in rows) == true > 0
    months = ads.rows("tokyo", f"SELECT segments.month, metrics.cost_micros FROM customer {where}")
    assert {row["segments"]["month"][-2:] for row in months} == {"01"}


def test_the_truth_is_told_in_days_or_in_sums_and_only_of_days_that_there_are(ads: AdsCaller) -> None:
    start = back(ads, "bahrain", 90)
    days = ads.truth("bahrain", **{"from": start})
    sums = ads.truth("bahrain", kind="sums", **{"from": start})
    assert sum(item["days"] for item in sums) == len(days)
    for name in (*COUNTS.values(), *SHARES.values()):
        assert sum(item[name] for item in sums) == sum(item[name] for item in days)
    with pytest.raises(ControlRefused, match="is no day"):
        ads.truth("bahrain", to="yesterday")
    with pytest.raises(ControlRefused, match="no truth about"):
        ads.truth("bahrain", kind="dreams")
    with pytest.raises(ControlRefused, match="atlantis"):
        ads.truth("atlantis")


def test_amounts_beyond_what_a_double_holds_keep_every_micro(ads: AdsCaller) -> None:
    day = ads.today("bahrain")
    campaign = ads.truth("bahrain", kind="campaigns")[0]["id"]
    huge = 9_007_199_254_740_993
    ads.edit(do="restate_days", customer="bahrain", campaign=campaign, days={day: {"cost_micros": huge, "clicks": 1}})
    query = f"SELECT segments.date, metrics.cost_micros FROM campaign WHERE segments.date = '{day}'"
    (page,) = ads.pages("bahrain", query + f" AND campaign.id = {campaign}")
    assert page["results"][0]["metrics"]["costMicros"] == str(huge)
    assert check_search("v26", page).results[0].metrics.cost_micros == huge


def test_video_costs_are_odd_micros_and_yen_are_whole(ads: AdsCaller) -> None:
    rows = ads.rows("tokyo", daily(ads, "tokyo", 200))
    plain = [row for row in rows if row["campaign"]["advertisingChannelType"] != "VIDEO"]
    assert all(int(row["metrics"].get("costMicros", 0)) % 1_000_000 == 0 for row in plain)
    assert any(numbers(row)["cost_micros"] % 10 for row in rows if row not in plain)


def test_a_day_later_the_last_days_are_restated_and_conversions_further_back(ads: AdsCaller) -> None:
    at_hour(ads, 18)
    query, start, end = daily(ads, "new-york", 150), back(ads, "new-york", 150), ads.today("new-york")
    before = rows_by_day(ads.rows("new-york", query))
    assert rows_by_day(ads.rows("new-york", query)) == before
    today = date.fromisoformat(ads.today("new-york"))
    later(ads, 1)
    after = rows_by_day(ads.rows("new-york", query))

    def ages(changed: set[tuple[str, str]]) -> set[int]:
        return {(today - date.fromisoformat(day)).days for _, day in changed}

    gone = set(before) - set(after)
    spend = {p for p in set(before) & set(after) if before[p]["cost_micros"] != after[p]["cost_micros"]}
    conversions = {p for p in set(before) & set(after) if before[p]["conversions"] != after[p]["conversions"]}
    assert {0, 1, 2} <= ages(spend)
    assert max(ages(spend | gone)) <= 2
    assert 30 < max(ages(conversions)) < 90
    assert all(after[p]["conversions"] >= before[p]["conversions"] for p in conversions if p not in spend)
    assert after == truth_by_day(ads, "new-york", to=end, **{"from": start})


def test_rows_vanish_in_restatements(ads: AdsCaller) -> None:
    query = daily(ads, "new-york", 3)
    gone: set[tuple[str, str]] = set()
    for _ in range(30):
        before = rows_by_day(ads.rows("new-york", query))
        later(ads, 1)
        gone |= set(before) - set(rows_by_day(ads.rows("new-york", query)))
        query = daily(ads, "new-york", 3)
        if gone:
            break
    assert gone


def test_today_is_the_account_s_own_and_grows(ads: AdsCaller) -> None:
    at_hour(ads, 16)
    utc_day = datetime.fromtimestamp(ads.simulator.control("clock")["now"], UTC).date()
    zones = {one["key"]: one["zone"] for one in ads.overview()}
    for key in ("tokyo", "new-york"):
        at = datetime.fromtimestamp(ads.simulator.control("clock")["now"], ZoneInfo(zones[key]))
        assert ads.today(key) == at.date().isoformat()
    assert (ads.today("tokyo"), ads.today("new-york")) == ((utc_day + timedelta(1)).isoformat(), utc_day.isoformat())
    query = "SELECT segments.date, metrics.impressions FROM customer WHERE segments.date DURING TODAY"
    (early,) = ads.rows("tokyo", query)
    assert early["segments"]["date"] == ads.today("tokyo")
    later(ads, 0.25)
    (late,) = ads.rows("tokyo", query)
    assert int(late["metrics"]["impressions"]) > int(early["metrics"]["impressions"]) > 0


def test_nothing_is_known_of_days_to_come(ads: AdsCaller) -> None:
    at_hour(ads, 12)
    today = date.fromisoformat(ads.today("tokyo"))
    rows = ads.rows("tokyo", DAILY.format(today - timedelta(2), today + timedelta(30)))
    assert max(row["segments"]["date"] for row in rows) == today.isoformat()


def test_statistics_stand_still_until_the_clock_is_moved_by_hours(ads: AdsCaller) -> None:
    first = ads.simulator.control("google_ads")["known_at"]
    ads.simulator.advance(3_000)
    assert ads.simulator.control("google_ads")["known_at"] == first
    ads.simulator.advance(9_000)
    assert ads.simulator.control("google_ads")["known_at"] >= first + 12_000


def test_campaigns_are_of_three_scripts_and_all_statuses_and_keep_their_past(ads: AdsCaller) -> None:
    rows = ads.rows("berlin", "SELECT campaign.id, campaign.name, campaign.status FROM campaign")
    names, statuses = {}, {}
    for row in rows:
        names[row["campaign"]["id"]] = row["campaign"]["name"]
        statuses[row["campaign"]["id"]] = row["campaign"]["status"]
    assert set(statuses.values()) == {"ENABLED", "PAUSED", "REMOVED"}
    everything = "".join(name for key in LEAVES for name in (r["name"] for r in ads.truth(key, kind="campaigns")))
    assert all(any(low <= sign <= high for sign in everything) for low, high in (("ก", "๙"), ("ء", "ي"), ("a", "z")))
    removed = next(number for number, status in statuses.items() if status == "REMOVED")
    past = ads.rows("berlin", daily(ads, "berlin", 1_100) + f" AND campaign.id = {removed}")
    assert past
    assert {row["campaign"]["status"] for row in past} == {"REMOVED"}


def test_filters_orders_and_limits_choose_rows(ads: AdsCaller) -> None:
    query = daily(ads, "tokyo", 60)
    rows = ads.rows(
        "tokyo", query + " AND metrics.clicks > 10 ORDER BY metrics.cost_micros DESC, segments.date LIMIT 7"
    )
    costs = [int(row["metrics"]["costMicros"]) for row in rows]
    everything = [row for row in ads.rows("tokyo", query) if numbers(row)["clicks"] > 10]
    assert costs == sorted((numbers(row)["cost_micros"] for row in everything), reverse=True)[:7]
    name = rows[0]["campaign"]["name"]
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    named = "SELECT campaign.name FROM campaign WHERE campaign.name {} '{}'"
    assert [row["campaign"]["name"] for row in ads.rows("tokyo", named.format("=", quoted))] == [name]
    assert all(name not in row["campaign"]["name"] for row in ads.rows("tokyo", named.format("NOT LIKE", quoted)))
    among = ads.rows("tokyo", "SELECT campaign.id FROM campaign WHERE campaign.status IN (PAUSED, REMOVED)")
    others = ads.rows("tokyo", "SELECT campaign.id FROM campaign WHERE campaign.status = 'ENABLED'")
    assert len(among) + len(others) == len(ads.truth("tokyo", kind="campaigns"))


def test_edits_of_campaigns_show_at_once(ads: AdsCaller) -> None:
    number = ads.edit(do="add_campaign", customer="solo", fields={"name": "ใหม่", "channel": "HOTEL"})["id"]
    solo = AdsCaller(ads.simulator, ads.simulator.facts["accounts"][2], None)
    query = (
        "SELECT campaign.name, campaign.status, campaign.advertising_channel_type FROM campaign "
        f"WHERE campaign.id = {number}"
    )
    (row,) = solo.rows("solo", query)
    assert (row["campaign"]["name"], row["campaign"]["advertisingChannelType"]) == ("ใหม่", "HOTEL")
    ads.edit(do="change_campaign", customer="solo", campaign=number, fields={"name": "Renamed", "status": "REMOVED"})
    (row,) = solo.rows("solo", query)
    assert (row["campaign"]["name"], row["campaign"]["status"]) == ("Renamed", "REMOVED")


def test_edits_of_accounts_show_at_once(ads: AdsCaller) -> None:
    number = ads.edit(do="add_customer", key="fresh", under="gulf", fields={"currency": "BHD", "zone": "Asia/Bahrain"})
    assert ads.rows("fresh", "SELECT customer.id FROM customer")[0]["customer"]["id"] == number["id"]
    ads.edit(do="change_customer", customer="fresh", fields={"status": "CANCELED"})
    status, reply = ads.search("fresh", "SELECT customer.id FROM customer")
    assert (status, check_failure(reply)["errorCode"]) == (403, {"authorizationError": "CUSTOMER_NOT_ENABLED"})
    ads.edit(do="change_customer", customer="fresh", fields={"status": "ENABLED", "name": "اسم"})
    ads.edit(do="close", account=ads.account, customer="fresh")
    assert ads.search("fresh", "SELECT customer.id FROM customer")[0] == 403
    ads.edit(do="open", account=ads.account, customer="fresh")
    ads.edit(do="link", manager="agency", customer="fresh", hidden=True)
    rows = ads.rows("agency", "SELECT customer_client.hidden, customer_client.level FROM customer_client")
    (hidden,) = [row["customerClient"] for row in rows if "hidden" in row["customerClient"]]
    assert hidden["level"] == "1"
    assert hidden["resourceName"].endswith(f"customerClients/{number['id']}")
    for edit in ({"do": "link", "manager": "gulf", "customer": "agency"}, {"do": "fly"},
                 {"do": "link", "manager": "berlin", "customer": "fresh"},
                 {"do": "add_campaign", "customer": "agency"}, {"do": "unlink", "manager": "gulf", "customer": "tokyo"},
                 {"do": "change_customer", "customer": "fresh", "fields": {"colour": "red"}}):  # fmt: skip
        with pytest.raises(ControlRefused):
            ads.edit(**edit)


def test_the_same_seed_and_epoch_give_the_same_past() -> None:
    with Simulator.start(seed=11, accounts=1, epoch=EPOCH, ad_campaigns=3) as one:
        past = one.control("google_ads/truth", customer="berlin", to="2026-08-01")["items"]
    assert len(past) > 100
    with Simulator.start(seed=11, accounts=1, epoch=EPOCH, ad_campaigns=3) as other:
        assert other.control("google_ads/truth", customer="berlin", to="2026-08-01")["items"] == past


def test_a_world_of_many_accounts_and_campaigns_starts_at_once_and_is_there_when_asked_for() -> None:
    with Simulator.start(accounts=1, ad_accounts=300, ad_campaigns=40, quota_scale=10) as simulator:
        ads = AdsCaller(simulator, simulator.facts["accounts"][0])
        clients = ads.rows("agency", "SELECT customer_client.id FROM customer_client WHERE customer_client.level = 2")
        assert len(clients) >= 300
        rows = ads.rows("bulk-300", daily(ads, "bulk-300", 1_000))
        assert rows_by_day(rows) == truth_by_day(ads, "bulk-300", **{"from": back(ads, "bulk-300", 1_000)})
        assert len(rows) > 10_000


@given(st.integers(0, 40), st.sampled_from(sorted(CURRENCIES)), st.integers(735_000, 740_000), st.integers(0, 200))
def test_figures_never_contradict_themselves(at: int, currency: str, today: int, back: int) -> None:
    campaign = make_campaign(3, 1_234_567_890, at, currency, today)
    found = campaign.on(today - back, today)
    if found is None:
        return
    assert min(found) >= 0
    assert any(found)
    assert found.clicks <= found.interactions
    assert found.conversions <= found.all_conversions
    assert found.cost_micros % campaign.pace.unit_micros == 0
    assert campaign.on(today - back, today) == found
    assert campaign.on(today - back, today - back - 1) is None


@given(st.integers(0, 40), st.integers(735_000, 740_000), st.integers(0, 1_000), st.integers(90, 400))
def test_a_day_is_final_after_the_longest_look_back(at: int, day: int, lifetime: int, age: int) -> None:
    campaign = make_campaign(5, 987_654_321, at, "EUR", day + lifetime)
    assert campaign.on(day, day + age) == campaign.on(day, day + 90)


def test_a_campaign_s_number_is_its_own() -> None:
    campaigns = make_campaigns(7, 1_000_000_001, 500, "USD", 739_000)
    assert len({campaign.number for campaign in campaigns}) == 500


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("America/New_York", "2026-03-08", 23), ("America/New_York", "2026-11-01", 25),
     ("Europe/Berlin", "2026-10-25", 25), ("Asia/Bangkok", "2026-10-25", 24)],
)  # fmt: skip
def test_a_day_of_23_or_25_hours_is_over_at_its_own_midnight(zone: str, day: str, hours: int) -> None:
    customer = Customer(
        "k", 1, "n", "USD", zone, manager=False, status="ENABLED", test=False, seed=1, size=0, made_on=1
    )
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(zone)).timestamp()
    ordinal = date.fromisoformat(day).toordinal()
    assert (customer.today(midnight - 1), customer.today(midnight)) == (ordinal - 1, ordinal)
    assert (customer.minutes(midnight), customer.minutes(midnight + hours * 1_800)) == (0, MINUTES // 2)
    assert customer.minutes(midnight + hours * 3_600 - 1) == MINUTES - 1
    assert customer.today(midnight + hours * 3_600) == ordinal + 1

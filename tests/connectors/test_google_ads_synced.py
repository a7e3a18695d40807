"""Google Ads against its simulator, through the real engine: accounts, campaigns and days are what Google knows."""

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from simulator.client import Simulator
from tests.connectors.advertising import Advertiser, MakeAdvertiser
from worker.connectors import google_ads_days
from worker.errors import (
    ConsentGone,
    Misconfigured,
    NotFound,
    PartThrottled,
    ProviderRefused,
    RunAgainLater,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.records import AdAccount, Campaign, Kind
from worker.store.database import Database
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

EPOCH = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
OF_AGENCY = ("bangkok", "tokyo", "new-york", "berlin", "bahrain", "shared", "second-shop", "shop")
"""The accounts of the first person that answer; `shared` is under two managers, `bahrain` under three levels."""
SHORT = {"history_days": 20, "restatement_days": 10}


@pytest.fixture(scope="module")
def _simulator() -> Iterator[Simulator]:
    with Simulator.start(seed=11, people=5, messages=5, events=5, accounts=3, quota_scale=1000, epoch=EPOCH) as running:
        yield running


@pytest.fixture
def simulator(_simulator: Simulator) -> Iterator[Simulator]:
    yield _simulator
    _simulator.control("reset", {})


@pytest.fixture(scope="module")
def keys(worker_db: Database) -> KeyStore:
    return KeyStore(worker_db, grant=Keyring.generate("grant"), records=Keyring.generate("records"))


@pytest.fixture
def advertiser(simulator: Simulator, worker_db: Database, keys: KeyStore, workspace: str) -> Iterator[MakeAdvertiser]:
    made: list[Advertiser] = []

    def make(number: int = 0, **options: Any) -> Advertiser:
        account = str(simulator.facts["accounts"][number])
        made.append(Advertiser(simulator, worker_db, keys, workspace, account, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def agency(advertiser: MakeAdvertiser) -> Advertiser:
    return advertiser(**SHORT)


def accounts_of(person: Advertiser) -> dict[str, AdAccount]:
    bodies = person.bodies("accounts", Kind.AD_ACCOUNT)
    return {body.account_id: body for body in bodies if isinstance(body, AdAccount)}


# Accounts.


def test_every_account_is_listed_once_however_it_is_reached(agency: Advertiser) -> None:
    agency.sync("accounts")
    held = accounts_of(agency)
    keys = {*OF_AGENCY, "agency", "europe", "gulf", "second", "suspended", "cancelled", "closed-gulf", "no-access"}
    assert set(held) == {agency.ads.id(key) for key in keys}
    through = {key: held[agency.ads.id(key)].reached_through for key in ("bahrain", "shop", "second-shop", "shared")}
    assert through == {
        "bahrain": agency.ads.id("agency"),
        "shop": agency.ads.id("shop"),
        "second-shop": agency.ads.id("second"),
        "shared": agency.ads.id("agency"),
    }
    bahrain = held[agency.ads.id("bahrain")]
    assert (bahrain.currency, bahrain.time_zone, bahrain.manager) == ("BHD", "Asia/Bahrain", False)
    assert held[agency.ads.id("europe")].manager
    assert held[agency.ads.id("closed-gulf")].status == "CLOSED"


def test_p12_an_account_above_others_that_refuses_hides_them_and_takes_nothing_away(agency: Advertiser) -> None:
    agency.sync("accounts")
    agency.sync("campaigns")
    before, campaigns = accounts_of(agency), agency.of("campaigns").names()
    agency.ads.edit(do="change_customer", customer="second", fields={"status": "CANCELED"})
    agency.sync("accounts")
    agency.sync("campaigns")
    assert set(accounts_of(agency)) == set(before)
    assert agency.of("campaigns").names() == campaigns
    assert "deletions.held" not in [event for event, _ in agency.of("campaigns").events()]


def test_an_account_that_was_unlinked_is_gone_where_all_above_answer(advertiser: MakeAdvertiser) -> None:
    person = advertiser(1, **SHORT)
    person.sync("accounts")
    person.ads.edit(do="unlink", manager="second", customer="second-shop")
    person.sync("accounts")
    assert {person.ads.id("second"), person.ads.id("shared")} == set(accounts_of(person))


def test_a_person_without_google_ads_is_told_so(agency: Advertiser) -> None:
    agency.ads.scripted("NOT_ADS_USER")
    with pytest.raises(NotFound):
        agency.sync("accounts")


# Campaigns.


@pytest.mark.parametrize("page_size", [10_000, 7])
def test_the_campaigns_of_every_account_are_there_removed_ones_too(agency: Advertiser, page_size: int) -> None:
    agency.ads.switch(page_size=page_size)
    notes = agency.sync("campaigns", pages=3)
    held = {
        (body.account_id, body.campaign_id): body
        for body in agency.bodies("campaigns", Kind.CAMPAIGN)
        if isinstance(body, Campaign)
    }
    truth = {
        (item["customer"], item["id"]): item for key in OF_AGENCY for item in agency.ads.truth(key, kind="campaigns")
    }
    assert set(held) == set(truth)
    for key, item in truth.items():
        assert (held[key].name, held[key].status, held[key].channel) == (item["name"], item["status"], item["channel"])
        assert held[key].daily_budget_micros == item["budget_micros"]
        starts = held[key].starts_at
        assert starts is not None
        assert starts.date().isoformat() == item["first_day"] or starts.utcoffset() != timedelta(0)
    assert "REMOVED" in {body.status for body in held.values()}
    assert sorted(notes.parts_failed.values()) == ["not_found", "part_closed"], "no longer ours, and suspended"


def test_a_forgotten_page_of_campaigns_begins_the_pass_anew(agency: Advertiser) -> None:
    agency.ads.switch(page_size=7)
    agency.ads.scripted("EXPIRED_PAGE_TOKEN", customer="tokyo")
    agency.sync("campaigns")
    assert "stream.resync" in [event for event, _ in agency.of("campaigns").events()]
    assert len([body for body in agency.bodies("campaigns", Kind.CAMPAIGN) if isinstance(body, Campaign)]) == sum(
        len(agency.ads.truth(key, kind="campaigns")) for key in OF_AGENCY
    )


# Days.


def test_the_days_of_every_account_are_the_truth_to_the_micro(agency: Advertiser) -> None:
    notes = agency.sync()
    for key in OF_AGENCY:
        agency.assert_true(key, since=agency.today(key) - timedelta(days=20))
    rows = agency.held_days().values()
    assert {row["currency"] for row in rows} >= {"THB", "JPY", "BHD", "EUR", "USD"}
    assert {row["time_zone"] for row in rows} >= {"Asia/Bangkok", "Asia/Tokyo", "Asia/Bahrain", "America/New_York"}
    assert sorted(notes.parts_failed.values()) == ["not_found", "part_closed"]
    assert notes.seen == notes.saved


def test_the_numbers_are_the_truth_after_every_day_of_restatements(agency: Advertiser) -> None:
    agency.sync()
    for _ in range(4):
        agency.simulator.advance(20 * 3600)
        agency.session = agency.new_session()
        agency.sync()
        for key in ("tokyo", "bangkok", "bahrain", "berlin", "new-york"):
            last = min(row["day"] for row in agency.held_days(key).values())
            assert last <= agency.today(key) - timedelta(days=15)
            agency.assert_true(key, since=agency.today(key) - timedelta(days=10))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_night_on_which_the_clocks_change_loses_and_doubles_nothing(advertiser: MakeAdvertiser, zone: str) -> None:
    person = advertiser(**SHORT)
    key = {"Europe/Berlin": "berlin", "America/New_York": "new-york"}[zone]
    autumn = (
        datetime(2027, 3, 12, 21, tzinfo=UTC) if zone.startswith("America") else datetime(2027, 3, 27, 21, tzinfo=UTC)
    )
    person.simulator.advance(autumn.timestamp() - person.session.now().timestamp())
    for _ in range(8):
        person.session = person.new_session()
        person.sync()
        person.assert_true(key, since=person.today(key) - timedelta(days=10))
        person.simulator.advance(5 * 3600)


def test_the_first_load_reaches_as_far_back_as_google_does(advertiser: MakeAdvertiser) -> None:
    person = advertiser(2, restatement_days=90)
    person.sync()
    person.assert_true("solo", since=person.today("solo") - timedelta(days=1_110))
    first = person.of("campaign_days").rows("SELECT first_day FROM crm_sync.measured_account WHERE account_id = %s",
                                            person.ads.id("solo"))  # fmt: skip
    assert first == [{"first_day": person.today("solo") - timedelta(days=1_110)}]


@pytest.mark.parametrize("old_days", ["refused", "left_out"])
def test_days_that_google_keeps_no_longer_end_the_first_load_and_do_not_fail_it(
    advertiser: MakeAdvertiser, old_days: str
) -> None:
    person = advertiser(2, history_days=1_400)
    person.ads.switch(old_days=old_days)
    person.sync()
    held = person.held_days("solo")
    assert min(day for _, _, day in held) <= person.today("solo") - timedelta(days=1_080)
    person.assert_true("solo", since=min(day for _, _, day in held))


def test_a_day_without_anything_has_no_row_and_one_that_becomes_empty_loses_it(agency: Advertiser) -> None:
    agency.sync()
    (account, campaign, day), _ = max(agency.held_days("tokyo").items(), key=lambda item: item[0][2])
    agency.ads.edit(do="restate_days", customer="tokyo", campaign=campaign, days={day.isoformat(): None})
    agency.simulator.advance(2_400)
    agency.sync()
    assert (account, campaign, day) not in agency.held_days("tokyo")
    told = agency.of("campaign_days").rows(
        "SELECT details FROM crm_sync.feed_entry WHERE connection_id = %s AND event = 'measures.changed' "
        "AND details->>'account' = %s ORDER BY position DESC LIMIT 1",
        agency.of("campaign_days").connection_id, account,
    )  # fmt: skip
    assert told[0]["details"]["deleted"] == 1
    assert told[0]["details"]["from"] <= day.isoformat() <= told[0]["details"]["to"]


def test_an_enormous_cost_is_kept_to_the_micro(agency: Advertiser) -> None:
    campaign = agency.ads.truth("bahrain", kind="campaigns")[0]["id"]
    day = agency.today("bahrain") - timedelta(days=1)
    figures = {"impressions": 2**53 + 1, "clicks": 1, "cost_micros": 2**53 + 1}
    agency.ads.edit(do="restate_days", customer="bahrain", campaign=campaign, days={day.isoformat(): figures})
    agency.sync()
    row = agency.held_days("bahrain")[agency.ads.id("bahrain"), campaign, day]
    assert (row["cost_micros"], row["impressions"]) == (2**53 + 1, 2**53 + 1)


@pytest.mark.parametrize("page_size", [5, 60])
@pytest.mark.parametrize("pages", [None, 1])
def test_p5_days_come_whole_whatever_googles_pages_and_our_slices_are(
    agency: Advertiser, monkeypatch: pytest.MonkeyPatch, page_size: int, pages: int | None
) -> None:
    monkeypatch.setattr(google_ads_days, "ROWS_A_PAGE", 17)
    agency.ads.switch(page_size=page_size)
    agency.ads.scripted("EXPIRED_PAGE_TOKEN", customer="berlin")
    agency.sync(pages=pages)
    for key in OF_AGENCY:
        agency.assert_true(key, since=agency.today(key) - timedelta(days=20))


def test_the_zeros_that_google_may_write_change_nothing(agency: Advertiser) -> None:
    agency.ads.switch(zeros=True)
    agency.sync()
    agency.assert_true("tokyo", since=agency.today("tokyo") - timedelta(days=20))


def test_a_zone_that_moves_reads_the_account_anew(agency: Advertiser) -> None:
    agency.sync()
    agency.ads.edit(do="change_customer", customer="shop", fields={"zone": "Asia/Tokyo"})
    agency.sync()
    rows = agency.held_days("shop").values()
    # For some hours each day it is tomorrow there already, and a first load begins a day later.
    oldest = agency.today("shop") - timedelta(days=int(agency.options["history_days"]))
    assert {row["time_zone"] for row in rows if row["day"] >= oldest} == {"Asia/Tokyo"}
    agency.assert_true("shop", since=agency.today("shop") - timedelta(days=20))


def test_a_second_run_reads_the_newest_days_only_and_so_does_a_third_at_once(agency: Advertiser) -> None:
    agency.sync()
    spent = dict(agency.session.ports.units)
    agency.simulator.advance(2_400)
    agency.sync()
    again = agency.session.ports.units["google_ads.operations"] - spent["google_ads.operations"]
    # The list, five accounts with direct access of which one refuses, eight accounts and one that we lost.
    assert again <= 5 + 1 + len(OF_AGENCY) + 1
    before = agency.session.ports.units["google_ads.operations"]
    agency.sync()
    assert agency.session.ports.units["google_ads.operations"] - before <= 5 + 1 + len(OF_AGENCY) + 1
    assert agency.session.ports.units["google_ads.operations"] > before


def test_who_asks_again_at_once_sees_what_google_has_counted_since(agency: Advertiser) -> None:
    agency.sync()
    agency.ads.switch(page_size=9)
    campaign = agency.ads.truth("tokyo", kind="campaigns")[0]["id"]
    for cost in (3_000_000, 4_000_001):
        day = agency.today("tokyo").isoformat()
        figures = {"impressions": 9, "clicks": 2, "cost_micros": cost}
        agency.ads.edit(do="restate_days", customer="tokyo", campaign=campaign, days={day: figures})
        agency.ads.scripted("EXPIRED_PAGE_TOKEN", customer="tokyo")
        agency.sync(pages=1)
        agency.assert_true("tokyo", since=agency.today("tokyo") - timedelta(days=20))


def test_pages_after_the_first_cost_no_operation(agency: Advertiser) -> None:
    agency.sync()
    few = agency.session.ports.units["google_ads.operations"]
    other = Advertiser(agency.simulator, *agency._make, agency.ads.account, **SHORT)
    try:
        agency.ads.switch(page_size=5)
        other.sync()
        assert other.session.ports.units["google_ads.operations"] == few
        assert other.session.ports.units["google_ads.user"] > few
    finally:
        other.close()


# Refusals.


def test_an_account_that_fails_holds_up_none(agency: Advertiser) -> None:
    agency.ads.scripted("USER_PERMISSION_DENIED", customer="tokyo", times=9)
    notes = agency.sync()
    assert len(notes.parts_failed) == 3
    for key in OF_AGENCY:
        if key != "tokyo":
            agency.assert_true(key, since=agency.today(key) - timedelta(days=20))
    assert agency.held_days("tokyo") == {}


def test_an_account_that_fails_for_a_moment_is_put_last(agency: Advertiser) -> None:
    agency.ads.scripted("TRANSIENT_ERROR", customer="bangkok", times=3)
    with pytest.raises(Transient):
        agency.sync()
    agency.assert_true("tokyo", since=agency.today("tokyo") - timedelta(days=20))
    assert agency.held_days("bangkok") == {}
    agency.of("campaign_days").sync(resume=True, session=agency.session, now=agency.session.now)
    agency.assert_true("bangkok", since=agency.today("bangkok") - timedelta(days=20))


def test_an_account_that_fails_again_and_again_is_noted_and_the_run_ends(agency: Advertiser) -> None:
    agency.ads.scripted("INTERNAL_ERROR", customer="bangkok", times=99)
    for _ in range(2):
        with pytest.raises(Transient):
            agency.of("campaign_days").sync(resume=True, session=agency.session, now=agency.session.now)
    notes = agency.of("campaign_days").sync(resume=True, session=agency.session, now=agency.session.now)
    assert "transient" in notes.parts_failed.values()


@pytest.mark.parametrize("named", [45.0, None])
def test_a_refusal_for_a_while_names_its_time(agency: Advertiser, named: float | None) -> None:
    agency.ads.switch(rate_retry_delay_s=named)
    agency.ads.scripted("RESOURCE_TEMPORARILY_EXHAUSTED", customer="tokyo", times=9)
    with pytest.raises(Throttled) as caught:
        agency.sync()
    wait = caught.value.until - agency.session.now() if caught.value.until else timedelta(0)
    assert timedelta(0) < wait <= timedelta(seconds=named or 30)


def test_an_account_whose_own_limit_is_spent_waits_alone(agency: Advertiser) -> None:
    """Google counts requests by the account, too: a manager with many accounts may meet that in one of them."""
    agency.simulator.control("quota", {"scale": 1, "limits": {"google_ads.customer_rate": 9}})
    while agency.ads.search("tokyo", "SELECT campaign.id FROM campaign")[0] == 200:
        pass
    with pytest.raises(PartThrottled) as caught:
        agency.of("campaign_days").sync(resume=True, session=agency.session, now=agency.session.now)
    assert caught.value.until is not None
    assert caught.value.until - agency.session.now() <= timedelta(seconds=30)
    for key in OF_AGENCY:
        if key != "tokyo":
            agency.assert_true(key, since=agency.today(key) - timedelta(days=20))
    assert agency.held_days("tokyo") == {}
    agency.simulator.advance(61)
    agency.of("campaign_days").all_rested()
    agency.of("campaign_days").sync(resume=True, session=agency.session, now=agency.session.now)
    agency.assert_true("tokyo", since=agency.today("tokyo") - timedelta(days=20))


def test_a_suspended_account_says_so_and_is_asked_once_a_day(agency: Advertiser) -> None:
    def asked() -> int:
        return len(agency.simulator.requests(path=f"/customers/{agency.ads.id('suspended')}/"))

    agency.sync()
    once = asked()
    assert once == 1
    for _ in range(3):
        agency.simulator.advance(2_400)
        agency.session = agency.new_session()
        assert "part_closed" in agency.sync().parts_failed.values()
    assert asked() == once
    reasons = agency.of("campaign_days").rows(
        "SELECT error_reason FROM crm_sync.part WHERE connection_id = %s AND rests_until > now() + interval '23 hours'",
        agency.of("campaign_days").connection_id,
    )
    assert reasons == [{"error_reason": "part_closed"}]
    agency.of("campaign_days").all_rested()
    agency.ads.edit(do="change_customer", customer="suspended", fields={"status": "ENABLED"})
    agency.sync()
    agency.assert_true("suspended", since=agency.today("suspended") - timedelta(days=20))


def test_a_day_whose_operations_are_spent_is_waited_for(agency: Advertiser) -> None:
    agency.ads.scripted("RESOURCE_EXHAUSTED", times=9)
    with pytest.raises(Throttled) as caught:
        agency.sync()
    assert caught.value.until is not None
    assert caught.value.until > agency.session.now() + timedelta(minutes=50)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION", Misconfigured),
        ("PROJECT_DISABLED", Misconfigured),
        ("MISSING_TOS", Misconfigured),
        ("OAUTH_TOKEN_EXPIRED", TokenExpired),
        ("OAUTH_TOKEN_REVOKED", ConsentGone),
        ("GOOGLE_ACCOUNT_DELETED", ConsentGone),
    ],
)
def test_what_concerns_everybody_is_raised(agency: Advertiser, code: str, error: type[Exception]) -> None:
    agency.ads.scripted(code, times=9)
    with pytest.raises(error):
        agency.sync()


def test_a_revoked_token_that_was_replaced_meanwhile_ends_nothing(agency: Advertiser) -> None:
    agency.ads.scripted("OAUTH_TOKEN_REVOKED", times=1)
    agency.sync("accounts")
    assert accounts_of(agency)


@pytest.mark.parametrize("status", [400, 404])
def test_a_version_that_is_gone_is_for_us_to_mend(agency: Advertiser, status: int) -> None:
    agency.ads.switch(sunset=["v26"], unsupported_status=status)
    with pytest.raises(Misconfigured, match="API_VERSION"):
        agency.sync()


def test_a_developer_token_is_sent_where_one_is_set_and_nowhere_else(advertiser: MakeAdvertiser) -> None:
    person = advertiser(**SHORT)
    person.ads.switch(old_header="refused")
    person.sync("accounts")
    holder = advertiser(**SHORT, developer_token="a-token-of-old")
    with pytest.raises((Misconfigured, ProviderRefused)):
        holder.sync("accounts")


def test_a_closed_account_keeps_its_days_and_goes_on_when_it_opens(agency: Advertiser) -> None:
    agency.sync()
    before = agency.held_days("tokyo")
    agency.ads.edit(do="change_customer", customer="tokyo", fields={"status": "CANCELED"})
    agency.simulator.advance(26 * 3600)
    agency.session = agency.new_session()
    agency.sync()
    assert agency.held_days("tokyo") == before
    agency.ads.edit(do="change_customer", customer="tokyo", fields={"status": "ENABLED"})
    agency.sync()
    agency.assert_true("tokyo", since=agency.today("tokyo") - timedelta(days=10))


def test_p5_a_first_load_that_is_stopped_by_quota_goes_on_where_it_was(
    advertiser: MakeAdvertiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_ads_days, "ROWS_A_PAGE", 200)
    person = advertiser(2)
    truth_since = person.today("solo") - timedelta(days=1_110)
    budget = itertools.count()
    taken = person.session.ports.take

    def scarce(permits: Any) -> None:
        if next(budget) % 9 == 8:
            raise RunAgainLater("a permit is not free")
        taken(permits)

    monkeypatch.setattr(person.session.ports, "take", scarce)
    one = person.of("campaign_days")
    newest: list[date] = []
    for _ in range(200):
        try:
            one.sync(resume=True, session=person.session, now=person.session.now)
        except RunAgainLater:
            held = person.held_days("solo")
            newest += [max(day for _, _, day in held)] if held else []
        else:
            break
    person.assert_true("solo", since=truth_since)
    assert newest, "it was stopped"
    assert set(newest) == {max(newest)}, "the newest days came first"

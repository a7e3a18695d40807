"""What the kit learns of the simulated Google Ads: acts show in what ought to be held, requests are told apart."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from simulator.client import Simulator
from tests.simulator.ads_calls import DAILY, AdsCaller
from tests.simulator.calls import AUTH
from tests.simulator.google_ads_messages import check_failure

STREAMS = ("accounts", "campaigns", "campaign_days")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator.start(accounts=4, page_limit=4, quota_scale=100) as running:
        yield running


@pytest.fixture
def ads(simulator: Simulator) -> Iterator[AdsCaller]:
    yield AdsCaller(simulator, simulator.facts["accounts"][0])
    simulator.control("reset", {})


def rehearse(ads: AdsCaller, stream: str, do: str, **more: Any) -> Any:
    asked = {"connector": "google_ads", "stream": stream, "do": do, "account": ads.account, **more}
    return ads.simulator.control("rehearse", asked)


def held(ads: AdsCaller, stream: str) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in rehearse(ads, stream, "held")["items"])


@pytest.mark.parametrize("stream", STREAMS)
def test_every_act_of_a_stream_shows_in_what_ought_to_be_held(ads: AdsCaller, stream: str) -> None:
    before = held(ads, stream)
    assert len(before) > 8
    rehearse(ads, stream, "add", count=3)
    added = held(ads, stream)
    assert len(added) == len(before) + 3
    rehearse(ads, stream, "change", count=2)
    changed = held(ads, stream)
    assert (len(changed), changed == added) == (len(added), False)
    if stream == "campaigns":
        assert "delete" not in ads.simulator.control("rehearsals")["google_ads"]["streams"][stream]["acts"]
        return
    rehearse(ads, stream, "delete", count=2)
    assert len(held(ads, stream)) == len(changed) - 2


def test_every_google_account_is_offered_and_pages_are_small(ads: AdsCaller) -> None:
    shown = ads.simulator.control("rehearsals")["google_ads"]
    assert shown["accounts"] == ads.simulator.facts["accounts"]
    assert set(shown["streams"]) == set(STREAMS)
    pages = ads.pages("agency", "SELECT customer_client.id FROM customer_client")
    assert len(pages) > 3
    assert {len(page["results"]) for page in pages[:-1]} == {4}


def test_what_is_done_to_one_account_shows_in_no_other(ads: AdsCaller) -> None:
    others = [AdsCaller(ads.simulator, account) for account in ads.simulator.facts["accounts"][1:]]
    before = [[held(other, stream) for stream in STREAMS] for other in others]
    assert all(len(items) > 8 for one in before for items in one)
    for acting in (ads, others[0]):
        for stream in STREAMS:
            for do in ("add", "change", *(["delete"] if stream != "campaigns" else [])):
                rehearse(acting, stream, do, count=2)
    after = [[held(other, stream) for stream in STREAMS] for other in others]
    assert after[1:] == before[1:]
    assert all(one != two for one, two in zip(after[0], before[0], strict=True))


def test_days_that_ought_to_be_held_are_those_that_a_search_for_measures_returns(ads: AdsCaller) -> None:
    second = AdsCaller(ads.simulator, ads.simulator.facts["accounts"][1], login="agency-2")
    today = date.fromisoformat(second.today("berlin-2"))
    campaign = second.edit(do="add_campaign", customer="berlin-2", fields={"name": "Calls", "idle": True})["id"]
    only_a_call = {"all_conversions": 1_000_000, "all_conversions_value": 36_204_000}
    days = {str(today - timedelta(2)): only_a_call, str(today - timedelta(1)): {"conversions": 250_000}}
    second.edit(do="restate_days", customer="berlin-2", campaign=campaign, days=days)
    asked = DAILY.replace(", metrics.all_conversions, metrics.all_conversions_value", "")
    rows = [
        row
        for key in ("tokyo-2", "new-york-2", "berlin-2")
        for row in second.rows(key, asked.format(today - timedelta(40), today + timedelta(1)))
    ]
    found = [
        {"campaign_id": row["campaign"]["id"], "day": row["segments"]["date"],
         "cost_micros": int(row["metrics"].get("costMicros", "0"))}
        for row in rows
    ]  # fmt: skip
    assert sorted(json.dumps(item, sort_keys=True) for item in found) == held(second, "campaign_days")
    assert [item["day"] for item in found if item["campaign_id"] == campaign] == [str(today - timedelta(1))]


def test_consent_is_given_and_ended_in_the_person_s_place(ads: AdsCaller) -> None:
    asked = {
        "client_id": ads.simulator.facts["client_id"], "redirect_uri": ads.simulator.facts["redirect_uris"][0],
        "response_type": "code", "scope": AUTH + "adwords", "access_type": "offline", "prompt": "consent",
    }  # fmt: skip
    address = "https://accounts.google.com/o/oauth2/v2/auth?" + urlencode(asked)
    ended = rehearse(ads, "accounts", "consent", authorize_url=address, scopes=None)["redirect_url"]
    assert "code=" in ended
    rehearse(ads, "accounts", "revoke")
    status, reply = ads.accessible()
    assert (status, check_failure(reply)["errorCode"]) == (401, {"authenticationError": "OAUTH_TOKEN_REVOKED"})


@pytest.mark.parametrize("stream", STREAMS)
def test_the_requests_of_a_stream_are_told_apart_from_the_others(ads: AdsCaller, stream: str) -> None:
    today = ads.today("tokyo")
    queries = {
        "accounts": ("agency", "SELECT customer_client.id\nFROM customer_client"),
        "campaigns": ("tokyo", "SELECT campaign.id\nFROM campaign"),
        "campaign_days": ("tokyo", DAILY.format(today, today).replace(" FROM ", "\nFROM ")),
    }
    match = ads.simulator.control("rehearsals")["google_ads"]["streams"][stream]["pages"]
    ads.simulator.fault({"status": 503}, **match, times=0)
    assert {name: ads.search(*query)[0] for name, query in queries.items()} == {
        name: 503 if name == stream else 200 for name in STREAMS
    }


@pytest.mark.parametrize("stream", STREAMS)
def test_an_item_is_spoilt_and_a_refusal_is_worded_by_the_provider(ads: AdsCaller, stream: str) -> None:
    today = date.fromisoformat(ads.today("tokyo"))
    key, query = {
        "accounts": ("agency", "SELECT customer_client.id FROM customer_client"),
        "campaigns": ("tokyo", "SELECT campaign.id FROM campaign"),
        "campaign_days": ("tokyo", DAILY.format(today - timedelta(6), today)),
    }[stream]
    spoil = rehearse(ads, stream, "spoil")
    ads.simulator.control("faults", spoil)
    good, bad = ads.search(key, query)[1], ads.search(key, query)[1]
    assert 7 in good["results"][0].values()
    assert 7 not in bad["results"][0].values()
    refusals = ads.simulator.control("rehearsals")["google_ads"]["streams"][stream]["refusals"]
    ads.simulator.fault(refusals["scope_missing"], path="search$")
    status, reply = ads.search(key, query)
    assert (status, reply["error"]["details"][0]["reason"]) == (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    ads.simulator.fault(refusals["throttled"], path="search$")
    status, reply = ads.search(key, query)
    assert (status, check_failure(reply)["errorCode"]) == (429, {"quotaError": "RESOURCE_TEMPORARILY_EXHAUSTED"})

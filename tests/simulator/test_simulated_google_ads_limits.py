"""Limits and faults of the simulated Google Ads: operations of a day, rates, errors in store, every common fault."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.client import ControlRefused, Simulator
from simulator.google_ads.access import DAILY as OPERATIONS_OF_A_DAY
from simulator.google_ads.failures import CATALOGUE
from tests.simulator.ads_calls import DAILY, HOST, AdsCaller
from tests.simulator.calls import AUTH
from tests.simulator.google_ads_messages import check_failure, check_search

IDS = "SELECT campaign.id FROM campaign"
DAY_S = 86_400


@pytest.fixture
def ads(simulator: Simulator, account: str) -> AdsCaller:
    return AdsCaller(simulator, account)


def code(answer: tuple[int, Any], version: str = "v26") -> tuple[int, str]:
    """Status and error code of a failed call."""
    ((_, found),) = check_failure(answer[1], version)["errorCode"].items()
    return answer[0], found


def renewed(ads: AdsCaller) -> None:
    ads.token = str(ads.simulator.grant(ads.account, [AUTH + "adwords"])["access_token"])


def test_a_project_has_the_operations_of_its_level() -> None:
    assert OPERATIONS_OF_A_DAY == {"test": 15_000, "explorer": 2_880, "basic": 15_000, "standard": 1_000_000_000}
    with Simulator.start(accounts=1, quota_scale=1, ad_campaigns=2) as simulator:
        ads = AdsCaller(simulator, simulator.facts["accounts"][0])
        for level in ("explorer", "basic"):
            ads.switch(access_level=level)
            quota = simulator.control("quota")["quotas"]["google_ads.operations"]
            assert (quota["limit"], quota["window_s"]) == (OPERATIONS_OF_A_DAY[level], DAY_S)


def test_a_search_with_all_its_pages_is_one_operation_and_a_refused_call_is_none(ads: AdsCaller) -> None:
    def spent() -> int:
        keys = ads.simulator.control("quota")["quotas"]["google_ads.operations"]["keys"]
        return int(sum(key["spent"] for key in keys.values()))

    ads.switch(page_size=4)
    assert len(ads.pages("tokyo", IDS)) == 3
    assert spent() == 1
    assert ads.simulator.requests(host="googleads.googleapis.com")[-1]["quota_units"] == {
        "google_ads.customer_rate": 1, "google_ads.project_rate": 1,
    }  # fmt: skip
    ads.stream("tokyo", IDS)
    ads.accessible()
    assert spent() == 3
    ads.search("cancelled", IDS)
    assert spent() == 3


def test_used_up_operations_come_back_one_by_one_after_a_day(ads: AdsCaller) -> None:
    ads.simulator.control("quota", {"scale": 1, "limits": {"google_ads.operations": 3}})
    assert [ads.search("tokyo", IDS)[0] for _ in range(2)] == [200, 200]
    ads.simulator.advance(DAY_S // 2)
    renewed(ads)
    assert ads.accessible()[0] == 200
    status, reply = ads.search("tokyo", IDS)
    details = check_failure(reply)["details"]["quotaErrorDetails"]
    assert (status, reply["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert details == {"rateScope": "DEVELOPER", "rateName": "Number of operations for basic access"}
    assert code(ads.stream("tokyo", IDS)) == (429, "RESOURCE_EXHAUSTED")
    assert code(ads.accessible()) == (429, "RESOURCE_EXHAUSTED")
    ads.switch(daily_retry_delay_s=3_600)
    _, reply = ads.search("tokyo", IDS)
    assert check_failure(reply)["details"]["quotaErrorDetails"]["retryDelay"] == "3600s"
    ads.simulator.advance(DAY_S // 2 + 60)
    renewed(ads)
    assert [ads.search("tokyo", IDS)[0] for _ in range(3)] == [200, 200, 429]


def test_rates_are_for_each_account_and_for_the_project_and_name_a_delay_or_none(ads: AdsCaller) -> None:
    ads.simulator.control("quota", {"scale": 1, "limits": {"google_ads.customer_rate": 2}})
    assert [ads.search("tokyo", IDS)[0] for _ in range(3)] == [200, 200, 429]
    _, reply = ads.search("tokyo", IDS)
    assert check_failure(reply)["errorCode"] == {"quotaError": "RESOURCE_TEMPORARILY_EXHAUSTED"}
    assert check_failure(reply)["details"]["quotaErrorDetails"] == {
        "rateScope": "ACCOUNT", "rateName": "Requests per account", "retryDelay": "30s",
    }  # fmt: skip
    assert ads.search("berlin", IDS)[0] == 200
    ads.switch(rate_retry_delay_s=None)
    _, reply = ads.search("tokyo", IDS)
    assert "retryDelay" not in check_failure(reply)["details"]["quotaErrorDetails"]
    ads.simulator.advance(61)
    assert ads.search("tokyo", IDS)[0] == 200
    ads.simulator.control("quota", {"limits": {"google_ads.project_rate": 1}})
    _, reply = ads.search("berlin", IDS)
    assert check_failure(reply)["details"]["quotaErrorDetails"]["rateScope"] == "DEVELOPER"


def test_a_project_for_tests_reaches_test_accounts_only(simulator: Simulator) -> None:
    ads = AdsCaller(simulator, simulator.facts["accounts"][2], "lab")
    ads.switch(access_level="test")
    assert ads.search("lab-1", IDS)[0] == 200
    assert ads.accessible()[0] == 200
    ads.login = None
    assert code(ads.search("solo", IDS)) == (403, "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION")
    ads.version = "v24"
    assert code(ads.search("solo", IDS), "v24") == (403, "ACTION_NOT_PERMITTED")
    ads.version = "v26"
    ads.switch(access_level="explorer")
    ads.simulator.control("quota", {"scale": 1, "limits": {"google_ads.operations": 1}})
    assert [ads.search("solo", IDS)[0] for _ in range(2)] == [200, 429]
    ads.login = "lab"
    assert ads.search("lab-1", IDS)[0] == 200


@pytest.mark.parametrize("error", sorted(CATALOGUE))
def test_every_error_of_the_catalogue_can_be_had_in_google_s_words(ads: AdsCaller, error: str) -> None:
    status = CATALOGUE[error][1]
    ads.scripted(error, customer="tokyo", times=2)
    assert code(ads.search("tokyo", IDS)) == (status, error)
    answer = ads.stream("tokyo", IDS)
    assert isinstance(answer[1], list)
    assert code(answer) == (status, error)
    assert ads.search("tokyo", IDS)[0] == 200
    ads.simulator.fault({"status": status, "reason": error}, path="googleAds:search$")
    assert code(ads.search("tokyo", IDS)) == (status, error)


def test_one_account_fails_while_the_others_go_on(ads: AdsCaller) -> None:
    ads.scripted("USER_PERMISSION_DENIED", customer="berlin", times=0)
    ads.scripted("TRANSIENT_ERROR", customer=ads.id("tokyo"), method="search", times=1)
    assert [code(ads.search("berlin", IDS)) for _ in range(2)] == [(403, "USER_PERMISSION_DENIED")] * 2
    assert ads.stream("tokyo", IDS)[0] == 200
    assert [ads.search("tokyo", IDS)[0] for _ in range(2)] == [500, 200]
    assert ads.search("bangkok", IDS)[0] == 200
    ads.simulator.control("google_ads/errors", method="DELETE")
    assert ads.search("berlin", IDS)[0] == 200
    with pytest.raises(ControlRefused, match="There is no error"):
        ads.scripted("ODD")


def test_a_stream_can_begin_and_then_fail_inside_its_array(ads: AdsCaller) -> None:
    ads.switch(page_size=5)
    whole = ads.rows("tokyo", IDS)
    ads.scripted("INTERNAL_ERROR", method="searchStream", after_chunks=1)
    status, chunks = ads.stream("tokyo", IDS)
    assert status == 200
    assert chunks[0]["results"] == whole[:5]
    assert code((chunks[1]["error"]["code"], chunks)) == (500, "INTERNAL_ERROR")
    assert len(chunks) == 2


def test_a_fault_script_names_a_delay_behind_its_reason(ads: AdsCaller) -> None:
    ads.simulator.fault({"status": 429, "reason": "RESOURCE_TEMPORARILY_EXHAUSTED retryDelay=7.5s"}, path="search$")
    ads.simulator.fault({"status": 429, "reason": "RESOURCE_TEMPORARILY_EXHAUSTED"}, path="search$")
    _, reply = ads.search("tokyo", IDS)
    assert check_failure(reply)["details"]["quotaErrorDetails"]["retryDelay"] == "7.500s"
    _, reply = ads.search("tokyo", IDS)
    assert "details" not in check_failure(reply)
    ads.simulator.fault({"status": 503}, path="search$")
    status, reply = ads.search("tokyo", IDS)
    assert (status, reply["error"]["status"], "details" in reply["error"]) == (503, "UNAVAILABLE", False)
    ads.simulator.fault({"status": 503}, path="searchStream$")
    assert isinstance(ads.stream("tokyo", IDS)[1], list)


def test_a_fault_can_be_for_one_account_one_query_or_one_caller(ads: AdsCaller) -> None:
    ads.simulator.fault({"status": 500}, path=f"customers/{ads.id('tokyo')}/", times=0)
    ads.simulator.fault({"status": 502}, body="FROM customer_client", times=0)
    ads.simulator.fault({"status": 503}, account=ads.simulator.facts["accounts"][1], times=0)
    assert (ads.search("tokyo", IDS)[0], ads.search("berlin", IDS)[0]) == (500, 200)
    assert ads.search("agency", "SELECT customer_client.id FROM customer_client")[0] == 502
    assert AdsCaller(ads.simulator, ads.simulator.facts["accounts"][1], "second").search("second-shop", IDS)[0] == 503


def test_pages_are_bent_as_the_script_says(ads: AdsCaller) -> None:
    query = IDS + " ORDER BY campaign.id"
    ads.switch(page_size=5)
    first, second, third = ads.pages("tokyo", query)
    place = {"pageToken": first["nextPageToken"]}

    def bent(action: dict[str, Any], **body: Any) -> dict[str, Any]:
        ads.simulator.fault(action, path="googleAds:search$")
        return dict(ads.search("tokyo", query, **body)[1])

    assert bent({"repeat_page_token": True}, **place)["nextPageToken"] == first["nextPageToken"]
    assert bent({"reorder": True})["results"] == first["results"][::-1]
    assert bent({"duplicate_items": 2})["results"] == first["results"] + first["results"][:2]
    odd = bent({"unknown_fields": True})
    assert {"xSimulatorUnknown"} <= set(odd)
    assert "xSimulatorOdd" in odd["results"][0]
    spoilt = bent({"spoil_item": {"campaign.id": "12x"}})
    assert spoilt["results"][0]["campaign"]["id"] == "12x"
    assert spoilt["results"][1:] == first["results"][1:]
    empty = bent({"empty_page_with_token": True}, **place)
    assert set(empty) == {"nextPageToken"}
    _, again = ads.search("tokyo", query, pageToken=empty["nextPageToken"])
    assert again["results"] == second["results"]
    beginning = bent({"empty_page_with_token": True})
    assert ads.search("tokyo", query, pageToken=beginning["nextPageToken"])[1]["results"] == first["results"]
    check_search("v26", third)
    ads.simulator.fault({"duplicate_items": 1, "spoil_item": {"campaign.id": None}}, path="searchStream$")
    _, chunks = ads.stream("tokyo", query)
    assert [len(chunk["results"]) for chunk in chunks] == [6, 6, 3]
    assert chunks[0]["results"][0]["campaign"]["id"] is None


def test_a_number_in_text_is_replaced_where_a_field_is_named(ads: AdsCaller) -> None:
    ads.simulator.fault({"body": {"kind": "huge_float"}, "field": "id"}, path="search$")
    status, raw = ads.simulator.request(
        "POST", f"{HOST}/v26/customers/{ads.id('tokyo')}/googleAds:search", b'{"query": "' + IDS.encode() + b'"}',
        {"authorization": f"Bearer {ads.token}", "login-customer-id": ads.id("agency")},
    )  # fmt: skip
    assert status == 200
    assert raw.count(b'"id":1e400') == 1


@pytest.fixture
def line(simulator: Simulator) -> Iterator[http.client.HTTPConnection]:
    place = urlsplit(simulator.url)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("action", "ends", "carried_out"),
    [({"drop": True}, (http.client.RemoteDisconnected, ConnectionResetError), False),
     ({"reset": "before"}, (http.client.RemoteDisconnected, ConnectionResetError), False),
     ({"lost_reply": True}, (http.client.RemoteDisconnected, ConnectionResetError), True),
     ({"half_body": True}, (http.client.IncompleteRead,), True),
     ({"reset": "during"}, (http.client.IncompleteRead, ConnectionResetError), True)],
)  # fmt: skip
def test_connections_break_as_the_script_says(
    ads: AdsCaller, line: http.client.HTTPConnection, action: dict[str, Any], ends: Any, carried_out: bool
) -> None:
    ads.simulator.fault(action, path="googleAds:")
    today = date.fromisoformat(ads.today("tokyo"))
    query = DAILY.format(today - timedelta(100), today)
    headers = {"authorization": f"Bearer {ads.token}", "login-customer-id": ads.id("agency")}
    path = f"{HOST}/v26/customers/{ads.id('tokyo')}/googleAds:searchStream"
    with pytest.raises(ends):  # noqa: PT012  Which of the two fails depends on the fault.
        line.request("POST", path, b'{"query": "' + query.encode() + b'"}', headers)
        line.getresponse().read()
    assert ads.simulator.requests(path="googleAds:")[-1]["carried_out"] is carried_out

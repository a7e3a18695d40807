"""Google Ads over REST as the sheet tells it: versions, callers, accounts, pages; and Google's own messages."""

from datetime import date, timedelta
from typing import Any

import pytest

from simulator.client import Simulator
from tests.simulator.ads_calls import DAILY, AdsCaller
from tests.simulator.calls import AUTH, reason
from tests.simulator.google_ads_messages import (
    VERSIONS,
    check_accessible,
    check_failure,
    check_search,
    check_stream,
)

CLIENTS = (
    "SELECT customer_client.client_customer, customer_client.id, customer_client.level, customer_client.manager, "
    "customer_client.descriptive_name, customer_client.currency_code, customer_client.time_zone, "
    "customer_client.status, customer_client.hidden, customer_client.test_account FROM customer_client"
)
IDS = "SELECT campaign.id FROM campaign"
ACTIONS = "SELECT conversion_action.id, conversion_action.type FROM conversion_action"


@pytest.fixture
def ads(simulator: Simulator, account: str) -> AdsCaller:
    return AdsCaller(simulator, account)


def code(answer: tuple[int, Any], version: str = "v26") -> tuple[int, str]:
    """Status and error code of a failed call."""
    ((_, found),) = check_failure(answer[1], version)["errorCode"].items()
    return answer[0], found


def some_days(ads: AdsCaller, key: str, days: int = 20) -> str:
    today = date.fromisoformat(ads.today(key))
    return DAILY.format(today - timedelta(days), today)


@pytest.mark.parametrize("version", VERSIONS)
def test_google_s_own_messages_parse_every_reply_of_every_live_version(ads: AdsCaller, version: str) -> None:
    ads.version = version
    status, reply = ads.accessible()
    assert status == 200
    assert f"customers/{ads.id('agency')}" in check_accessible(version, reply)
    queries = {"agency": CLIENTS, "tokyo": some_days(ads, "tokyo"), "berlin": IDS, "bangkok": ACTIONS}
    for key, query in queries.items():
        (page,) = ads.pages(key, query, searchSettings={"returnTotalResultsCount": True})
        parsed = check_search(version, page)
        assert parsed.total_results_count == len(parsed.results) > 0
        status, chunks = ads.stream(key, query)
        assert status == 200
        assert [row for chunk in check_stream(version, chunks) for row in chunk.results] == list(parsed.results)


def test_int64_are_text_doubles_are_numbers_names_are_camel_case_and_zeros_are_left_out(ads: AdsCaller) -> None:
    row = ads.rows("tokyo", some_days(ads, "tokyo", 400))[0]
    assert set(row) == {"customer", "campaign", "campaignBudget", "metrics", "segments"}
    assert row["customer"]["id"] == ads.id("tokyo")
    assert row["campaign"]["resourceName"] == f"customers/{ads.id('tokyo')}/campaigns/{row['campaign']['id']}"
    assert isinstance(row["campaignBudget"]["amountMicros"], str)
    clients = ads.rows("agency", CLIENTS)
    top = next(row["customerClient"] for row in clients if row["customerClient"]["id"] == ads.id("agency"))
    assert top["manager"] is True
    assert {"level", "hidden", "testAccount"} & set(top) == set()
    ads.switch(zeros=True)
    top = ads.rows("agency", CLIENTS)[0]["customerClient"]
    assert (top["level"], top["hidden"], top["testAccount"]) == ("0", False, False)


@pytest.mark.parametrize("version", ["v1", "v19", "v22"])
def test_a_version_that_is_gone_is_refused_by_its_name(ads: AdsCaller, version: str) -> None:
    ads.version = version
    assert code(ads.accessible()) == (400, "UNSUPPORTED_VERSION")
    assert code(ads.search("tokyo", IDS)) == (400, "UNSUPPORTED_VERSION")
    ads.switch(unsupported_status=404)
    assert ads.accessible()[0] == 404


def test_a_live_version_can_be_sunset_and_one_that_never_was_is_not_found(ads: AdsCaller) -> None:
    ads.switch(sunset=["v23"])
    ads.version = "v23"
    assert code(ads.accessible(), "v23") == (400, "UNSUPPORTED_VERSION")
    for ads.version in ("v27", "v0", "26", "v26beta"):
        assert ads.accessible()[0] == 404
    ads.version = "v26"
    assert ads.accessible()[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v26/customers:listAccessibleCustomers"), ("GET", "/v26/customers/1/googleAds:search"),
     ("POST", "/v26/customers/1/googleAds:mutate"), ("POST", "/v26/customers/1/campaigns:search"), ("GET", "/v26")],
)  # fmt: skip
def test_what_is_no_method_is_not_found(ads: AdsCaller, method: str, path: str) -> None:
    status, reply = ads.send(method, path)
    assert (status, reply["error"]["status"]) == (404, "NOT_FOUND")


def test_a_bearer_is_named_invalid_expired_revoked_or_of_a_deleted_account(ads: AdsCaller) -> None:
    good, simulator = ads.token, ads.simulator
    ads.token = ""
    assert code(ads.accessible()) == (401, "OAUTH_TOKEN_HEADER_INVALID")
    ads.token = "ya29.nobody"
    assert code(ads.accessible()) == (401, "OAUTH_TOKEN_INVALID")
    ads.token = good
    simulator.control("oauth", {"expire_access_tokens": ads.account})
    assert code(ads.search("tokyo", IDS)) == (401, "OAUTH_TOKEN_EXPIRED")
    simulator.control("oauth", {"revoke_account": ads.account})
    assert code(ads.stream("tokyo", IDS)) == (401, "OAUTH_TOKEN_REVOKED")
    simulator.control("oauth", {"drop_account": ads.account})
    assert code(ads.accessible()) == (401, "GOOGLE_ACCOUNT_DELETED")
    ads.switch(plain_401=True)
    status, reply = ads.accessible()
    assert (status, reply["error"]["status"], "details" in reply["error"]) == (401, "UNAUTHENTICATED", False)


def test_an_access_token_ends_after_its_hour(ads: AdsCaller) -> None:
    ads.simulator.advance(3_700)
    assert code(ads.accessible()) == (401, "OAUTH_TOKEN_EXPIRED")


def test_a_token_without_the_scope_is_told_so(ads: AdsCaller) -> None:
    ads.token = str(ads.simulator.grant(ads.account, [AUTH + "contacts.readonly"])["access_token"])
    for status, reply in (ads.accessible(), ads.search("tokyo", IDS)):
        assert (status, reason(reply)) == (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    status, reply = ads.stream("tokyo", IDS)
    assert (status, reason(reply[0])) == (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")


def test_a_developer_token_is_ignored_unless_the_strict_mode_refuses_it(ads: AdsCaller) -> None:
    path = "/v26/customers:listAccessibleCustomers"
    assert ads.send("GET", path, developer_token="whatever")[0] == 200
    ads.switch(old_header="refused")
    assert ads.send("GET", path, developer_token="whatever")[0] == 400
    assert ads.send("GET", path)[0] == 200


def test_direct_accounts_are_listed_and_nothing_below_them(simulator: Simulator) -> None:
    listed = []
    for account in simulator.facts["accounts"]:
        ads = AdsCaller(simulator, account, None)
        listed.append({name.removeprefix("customers/") for name in ads.accessible()[1]["resourceNames"]})
    assert listed[0] == {ads.id(key) for key in ("agency", "second", "shop", "cancelled-root")}
    assert listed[1:] == [{ads.id("second")}, {ads.id("solo"), ads.id("lab")}]


def test_a_google_account_without_advertising_is_no_ads_user(ads: AdsCaller) -> None:
    for key in ("agency", "second", "shop", "cancelled-root"):
        ads.edit(do="withdraw", account=ads.account, customer=key)
    assert code(ads.accessible()) == (401, "NOT_ADS_USER")
    assert code(ads.search("tokyo", IDS)) == (401, "NOT_ADS_USER")


def test_the_tree_below_a_manager_has_levels_and_each_account_once(ads: AdsCaller) -> None:
    clients = [row["customerClient"] for row in ads.rows("agency", CLIENTS)]
    keys = {one["id"]: one["key"] for one in ads.overview()}
    levels = {keys[one["id"]]: int(one.get("level", 0)) for one in clients}
    assert len(levels) == len(clients)
    assert (levels["agency"], levels["tokyo"], levels["berlin"], levels["bahrain"]) == (0, 1, 2, 3)
    assert "second" not in levels
    near = ads.rows("agency", CLIENTS + " WHERE customer_client.level <= 1")
    assert {int(row["customerClient"].get("level", 0)) for row in near} == {0, 1}
    below_second = AdsCaller(ads.simulator, ads.account, "second").rows("second", CLIENTS)
    assert "shared" in {keys[row["customerClient"]["id"]] for row in below_second} & set(levels)
    (alone,) = AdsCaller(ads.simulator, ads.account, None).rows("shop", CLIENTS)
    assert "manager" not in alone["customerClient"]


@pytest.mark.parametrize(
    ("login", "customer", "expected"),
    [
        ("agency", "second-shop", (403, "INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION")),
        ("europe", "berlin", (403, "USER_PERMISSION_DENIED")),
        ("solo", "solo", (403, "USER_PERMISSION_DENIED")),
        (None, "berlin", (403, "USER_PERMISSION_DENIED")),
        ("agency", "no-access", (403, "USER_PERMISSION_DENIED")),
        ("agency", "cancelled", (403, "CUSTOMER_NOT_ENABLED")),
        ("agency", "closed-gulf", (403, "CUSTOMER_NOT_ENABLED")),
        (None, "cancelled-root", (403, "CUSTOMER_NOT_ENABLED")),
        ("agency", "suspended", (403, "ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT")),
        ("agency", "9999999999", (401, "CUSTOMER_NOT_FOUND")),
        ("agency", "123-456-7890", (400, "INVALID_CUSTOMER_ID")),
        ("agency", "9" * 5_000, (400, "INVALID_CUSTOMER_ID")),
        ("123-456-7890", "tokyo", (400, "INVALID_LOGIN_CUSTOMER_ID")),
    ],
)
def test_each_way_of_not_reaching_an_account_has_its_error(
    ads: AdsCaller, login: str | None, customer: str, expected: tuple[int, str]
) -> None:
    ads.login = login
    assert code(ads.search(customer, IDS)) == expected
    assert code(ads.stream(customer, IDS)) == expected


def test_an_account_of_two_managers_is_reached_through_either(ads: AdsCaller) -> None:
    through = {}
    for ads.login in ("agency", "second"):
        through[ads.login] = ads.rows("shared", some_days(ads, "shared"))
    assert through["agency"] == through["second"] != []
    ads.edit(do="unlink", manager="europe", customer="shared")
    assert ads.search("shared", IDS)[0] == 200
    ads.login = "agency"
    assert code(ads.search("shared", IDS)) == (403, "INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION")


def test_a_manager_has_no_metrics(ads: AdsCaller) -> None:
    assert code(ads.search("europe", some_days(ads, "europe"))) == (400, "REQUESTED_METRICS_FOR_MANAGER")
    assert code(ads.stream("agency", some_days(ads, "agency"))) == (400, "REQUESTED_METRICS_FOR_MANAGER")
    assert ads.rows("agency", IDS) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": IDS, "pageSize": 100}, "PAGE_SIZE_NOT_SUPPORTED"),
        ({"query": IDS, "page_size": 100}, "PAGE_SIZE_NOT_SUPPORTED"),
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"query": IDS, "pageToken": "nonsense"}, "INVALID_PAGE_TOKEN"),
        ({"query": IDS, "validateOnly": True, "pageToken": "any"}, "VALIDATE_ONLY_REQUEST_HAS_PAGE_TOKEN"),
        ({"query": IDS, "searchSettings": {"returnSummaryRow": True}},
         "CANNOT_RETURN_SUMMARY_ROW_FOR_REQUEST_WITHOUT_METRICS"),
    ],
)  # fmt: skip
def test_a_body_that_asks_for_what_there_is_not_is_refused(ads: AdsCaller, body: Any, expected: str) -> None:
    answer = ads.send("POST", f"/v26/customers/{ads.id('tokyo')}/googleAds:search", body)
    assert code(answer) == (400, expected)


@pytest.mark.parametrize(
    "body", [{"query": IDS, "limit": 5}, {"query": 5}, {"query": IDS, "searchSettings": {"odd": True}}, [], b"{", b"5"]
)
def test_a_body_that_is_no_such_message_is_refused_without_a_code(ads: AdsCaller, body: Any) -> None:
    status, reply = ads.send("POST", f"/v26/customers/{ads.id('tokyo')}/googleAds:search", body)
    assert (status, "details" in reply["error"]) == (400, False)
    form = ads.send("POST", f"/v26/customers/{ads.id('tokyo')}/googleAds:search", body, content_type="text/plain")
    assert form[0] == 400
    assert ads.send("GET", "/v26/customers:listAccessibleCustomers?pageSize=5")[0] == 400


def test_pages_are_of_a_fixed_size_and_tokens_belong_to_their_query(ads: AdsCaller) -> None:
    query = some_days(ads, "tokyo", 60) + " ORDER BY segments.date"
    whole = ads.rows("tokyo", query)
    ads.switch(page_size=50)
    pages = ads.pages("tokyo", query, searchSettings={"returnTotalResultsCount": True})
    assert [row for page in pages for row in page["results"]] == whole
    assert {len(page["results"]) for page in pages[:-1]} == {50}
    assert {int(page["totalResultsCount"]) for page in pages} == {len(whole)}
    token = pages[0]["nextPageToken"]
    assert code(ads.search("tokyo", query + " ", pageToken=token)) == (400, "INVALID_PAGE_TOKEN")
    assert code(ads.search("berlin", query, pageToken=token)) == (400, "INVALID_PAGE_TOKEN")
    assert code(ads.search("tokyo", query, pageToken=token[:-2])) == (400, "INVALID_PAGE_TOKEN")
    inconsistent = ads.search("tokyo", query, pageToken=token, searchSettings={"returnSummaryRow": True})
    assert code(inconsistent) == (400, "INCONSISTENT_RETURN_SUMMARY_ROW_VALUE")
    _, chunks = ads.stream("tokyo", query)
    assert [row for chunk in chunks for row in chunk["results"]] == whole
    assert len(chunks) == len(pages)


def test_pages_fit_together_though_the_world_changes_between_them(ads: AdsCaller) -> None:
    query = some_days(ads, "tokyo", 60) + " ORDER BY segments.date, campaign.id"
    whole = ads.rows("tokyo", query)
    ads.switch(page_size=50)
    _, first = ads.search("tokyo", query)
    day, campaign = whole[0]["segments"]["date"], whole[0]["campaign"]["id"]
    ads.edit(do="restate_days", customer="tokyo", campaign=campaign, days={day: None})
    _, second = ads.search("tokyo", query, pageToken=first["nextPageToken"])
    assert first["results"] + second["results"] == whole[:100]
    ads.simulator.advance(3 * 3_600 - 100)
    ads.token = str(ads.simulator.grant(ads.account, [AUTH + "adwords"])["access_token"])
    assert code(ads.search("tokyo", query, pageToken=first["nextPageToken"])) == (400, "EXPIRED_PAGE_TOKEN")


def test_a_summary_row_adds_up_and_results_can_be_left_out(ads: AdsCaller) -> None:
    query = some_days(ads, "tokyo")
    whole = ads.rows("tokyo", query)
    (page,) = ads.pages("tokyo", query, searchSettings={"omitResults": True, "returnSummaryRow": True})
    assert "results" not in page
    cost = sum(int(row["metrics"].get("costMicros", 0)) for row in whole)
    assert int(check_search("v26", page).summary_row.metrics.cost_micros) == cost > 0
    _, chunks = ads.stream("tokyo", query, summaryRowSetting="SUMMARY_ROW_ONLY")
    (only,) = check_stream("v26", chunks)
    assert int(only.summary_row.metrics.cost_micros) == cost
    _, chunks = ads.stream("tokyo", query, summaryRowSetting="SUMMARY_ROW_WITH_RESULTS")
    assert [bool(chunk.results) for chunk in check_stream("v26", chunks)] == [True, False]


def test_a_query_can_be_checked_without_being_carried_out(ads: AdsCaller) -> None:
    status, reply = ads.search("tokyo", IDS, validateOnly=True)
    assert (status, reply) == (200, {"fieldMask": "campaign.id"})
    assert code(ads.search("tokyo", "SELECT campaign.nam FROM campaign", validateOnly=True)) == (
        400, "UNRECOGNIZED_FIELD",
    )  # fmt: skip


def test_an_empty_result_has_no_results_key(ads: AdsCaller) -> None:
    query = IDS + " WHERE campaign.id = 1"
    (page,) = ads.pages("tokyo", query)
    assert "results" not in page
    assert ads.stream("tokyo", query)[1][0]["fieldMask"] == "campaign.id"


def test_the_log_shows_account_and_query_and_no_bearer(ads: AdsCaller) -> None:
    ads.search("tokyo", IDS)
    seen = ads.simulator.requests(host="googleads.googleapis.com")[-1]
    assert seen["form"] == {"customer": ads.id("tokyo"), "login_customer_id": ads.id("agency"), "query": IDS}
    assert (seen["account"], seen["status"]) == (ads.account, 200)
    assert ads.token not in str(seen)

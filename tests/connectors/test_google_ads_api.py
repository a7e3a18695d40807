"""Google's codes, each to exactly one error of ours; figures exact or refused; waits named and bounded."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.advertising import DEFAULTS
from tests.connectors.sessions import ConnectorSession, scripted
from worker import errors
from worker.connectors import google_ads_api, google_ads_days
from worker.connectors.google_ads import FACTS
from worker.connectors.google_ads_api import CODES, ENUMERATIONS, classify
from worker.connectors.google_ads_numbers import whole_number
from worker.errors import (
    BadRecord,
    Misconfigured,
    NotFound,
    PartClosed,
    PartThrottled,
    ProviderRefused,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.measures import Slice
from worker.records import Page, Part
from worker.transport.replies import Reply

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def refusal(enumeration: str, code: str, status: int = 400, **details: Any) -> Reply:
    error = {"errorCode": {enumeration: code}, "message": "an e-mail: ann@example.com", **details}
    failure = {"@type": "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure", "errors": [error]}
    return Reply(status, {}, json.dumps({"error": {"code": status, "details": [failure]}}).encode())


SHEET = """
OAUTH_TOKEN_EXPIRED OAUTH_TOKEN_INVALID OAUTH_TOKEN_HEADER_INVALID OAUTH_TOKEN_REVOKED OAUTH_TOKEN_DISABLED
GOOGLE_ACCOUNT_DELETED NOT_ADS_USER TWO_STEP_VERIFICATION_NOT_ENROLLED ADVANCED_PROTECTION_NOT_ENROLLED
CUSTOMER_NOT_FOUND CLIENT_CUSTOMER_ID_INVALID USER_PERMISSION_DENIED CUSTOMER_NOT_ENABLED
ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION
INVALID_LOGIN_CUSTOMER_ID CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION PROJECT_DISABLED MISSING_TOS
ORGANIZATION_NOT_RECOGNIZED ORGANIZATION_NOT_APPROVED CLOUD_PROJECT_NOT_UNDER_ORGANIZATION RESOURCE_EXHAUSTED
RESOURCE_TEMPORARILY_EXHAUSTED INTERNAL_ERROR TRANSIENT_ERROR DEADLINE_EXCEEDED UNSUPPORTED_VERSION
ACTION_NOT_PERMITTED EXPIRED_PAGE_TOKEN INVALID_PAGE_TOKEN REQUESTED_DATE_GRANULARITY_NOT_SUPPORTED
EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION
""".split()  # noqa: SIM905 - a list of forty short lines says no more


def test_every_code_of_the_sheet_is_one_error_of_ours() -> None:
    assert [code for code in SHEET if code not in CODES] == []


@pytest.mark.parametrize("code", CODES)
def test_a_code_becomes_its_error_and_nothing_that_google_wrote_is_passed_on(code: str) -> None:
    error = classify(refusal("authenticationError", code), NOW)
    assert type(error) is CODES[code]
    assert code in str(error)
    assert "ann@" not in str(error)


@pytest.mark.slow
def test_the_codes_are_google_s_own() -> None:
    from google.ads.googleads.v26.errors.types import (
        authentication_error,
        authorization_error,
        date_range_error,
        header_error,
        internal_error,
        query_error,
        quota_error,
        request_error,
    )

    modules = (authentication_error, authorization_error, date_range_error, header_error, internal_error, query_error,
               quota_error, request_error)  # fmt: skip
    known: set[str] = set()
    for module in modules:
        for name in module.__all__ if hasattr(module, "__all__") else module.__protobuf__.manifest:
            enum = getattr(getattr(module, f"{name}Enum", None) or getattr(module, name), name.removesuffix("Enum"))
            known |= {member.name for member in enum}
    assert len(known) > 100
    assert set(CODES) - known == set()


@pytest.mark.parametrize("enumeration", [*ENUMERATIONS, "campaignError"])
def test_a_code_that_is_on_no_list_is_judged_by_its_enumeration(enumeration: str) -> None:
    error = classify(refusal(enumeration, "SOMETHING_NEW"), NOW)
    assert type(error) is ENUMERATIONS.get(enumeration, ProviderRefused)


def quota(code: str, delay: Any) -> Reply:
    details = {"quotaErrorDetails": {"rateScope": "DEVELOPER", "retryDelay": delay}}
    return refusal("quotaError", code, 429, details=details)


@pytest.mark.parametrize(
    ("code", "delay", "wait_s"),
    [
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "45s", 45),
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "1.500s", 1.5),
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "", 30),
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "soon", 30),
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "0s", 30),
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "-5s", 30),
        ("RESOURCE_TEMPORARILY_EXHAUSTED", "999999999s", 3_600),
        ("RESOURCE_EXHAUSTED", "", 3_600),
        ("RESOURCE_EXHAUSTED", "120s", 120),
        ("EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION", "", 30),
    ],
)
def test_a_quota_error_waits_as_long_as_google_says_and_no_longer_than_an_hour(
    code: str, delay: str, wait_s: float
) -> None:
    error = classify(quota(code, delay), NOW)
    assert isinstance(error, Throttled)
    assert error.until == NOW + timedelta(seconds=wait_s)


@pytest.mark.parametrize(("scope", "error"), [("ACCOUNT", PartThrottled), ("DEVELOPER", Throttled), ("", Throttled)])
def test_a_quota_of_one_account_is_that_account_s_own_and_any_other_everybody_s(
    scope: str, error: type[Exception]
) -> None:
    details = {"quotaErrorDetails": {"rateScope": scope, "retryDelay": "45s"}}
    found = classify(refusal("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", 429, details=details), NOW)
    assert type(found) is error
    assert isinstance(found, Throttled)
    assert found.until == NOW + timedelta(seconds=45)


@pytest.mark.parametrize("code", ["CUSTOMER_NOT_ENABLED", "ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT"])
def test_a_suspended_account_is_left_alone_for_a_day(code: str) -> None:
    error = classify(refusal("authorizationError", code, 403), NOW)
    assert isinstance(error, PartClosed)
    assert error.until == NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"<html>no such page</html>", Misconfigured),
        (401, b'{"error": {"code": 401, "status": "UNAUTHENTICATED"}}', TokenExpired),
        (403, b'{"error": {"details": [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}}', errors.ScopeMissing),
        (403, b'{"error": {"details": [{"reason": "SERVICE_DISABLED"}]}}', Misconfigured),
        (503, b'{"error": {"status": "UNAVAILABLE"}}', Transient),
        (500, b"", type(None)),
    ],
)
def test_what_is_no_failure_of_google_ads_is_judged_as_for_all_of_google(
    status: int, body: bytes, error: type[Exception]
) -> None:
    assert type(classify(Reply(status, {}, body), NOW)) is error


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_of_64_bits_is_read_to_the_last_digit(number: int) -> None:
    assert whole_number(str(number), "x") == number
    assert whole_number(number, "x") == number


@pytest.mark.parametrize("text", ["", "1.5", "1e3", "0x10", " 1", "--1", str(2**63), "9" * 20, "NaN", 2**63])
def test_what_is_no_integer_of_64_bits_is_refused(text: Any) -> None:
    with pytest.raises(BadRecord):
        whole_number(text, "x")


# Days, as a provider that is not the simulator might give them.


def a_part(**carries: str) -> Part:
    known = {"login": "9", "currency": "JPY", "time_zone": "Asia/Tokyo", "open": "yes", **carries}
    return Part(key="111", label="Paper Crane", carries=known)


def a_row(campaign: str, day: str, **metrics: Any) -> dict[str, Any]:
    return {
        "customer": {"id": "111", "currencyCode": "JPY", "timeZone": "Asia/Tokyo"},
        "campaign": {"id": campaign, "name": f"Campaign {campaign}"},
        "metrics": metrics,
        "segments": {"date": day},
    }


class Answers:
    """What Google answers to one query after the other; each is a list of pages of rows."""

    def __init__(self, *pages: dict[str, Any] | tuple[int, dict[str, Any]]) -> None:
        self._pages = list(pages)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content))
        self.headers.append(request.headers)
        page = self._pages.pop(0) if self._pages else {}
        status, body = page if isinstance(page, tuple) else (200, page)
        return httpx.Response(status, content=json.dumps(body).encode())


def days_of(answers: Answers, part: Part | None = None, cursor: bytes | None = None, **options: Any) -> list[Page]:
    transport = scripted(answers)
    session = ConnectorSession(transport, FACTS.hosts, FACTS.budgets, **{**DEFAULTS, "history_days": 2, **options})
    try:
        return list(google_ads_days.pages(session, part or a_part(), cursor))  # type: ignore[arg-type]
    finally:
        transport.close()


def test_a_row_is_read_to_the_last_digit() -> None:
    metrics = {"costMicros": "9223372036854775807", "clicks": "3", "conversions": 0.30000000000000004}
    page, *_ = days_of(Answers({"results": [a_row("7", "2026-11-23", **metrics)]}))
    (row,) = page.measures
    assert (row.cost_micros, row.clicks, row.impressions) == (2**63 - 1, 3, 0)
    assert str(row.conversions) == "0.30000000000000004"
    assert row.conversion_value == Decimal(0)
    assert isinstance(page.covers, Slice)
    assert (page.covers.first.isoformat(), page.covers.last.isoformat()) == ("2026-11-21", "2026-11-23")


def test_the_account_s_own_date_counts() -> None:
    # 12:00 in UTC is 02:00 of the next day on Kiritimati.
    answers = Answers({}, {})
    page, *_ = days_of(answers, a_part(time_zone="Pacific/Kiritimati", currency="AUD"))
    assert isinstance(page.covers, Slice)
    assert page.covers.last.isoformat() == "2026-11-24"
    assert "'2026-11-24'" in answers.asked[0]["query"]


def test_the_manager_that_is_acted_for_and_no_developer_token_are_in_the_headers() -> None:
    answers = Answers({})
    days_of(answers)
    assert answers.headers[0]["login-customer-id"] == "9"
    assert "developer-token" not in answers.headers[0]
    with_token = Answers({})
    days_of(with_token, developer_token="old")
    assert with_token.headers[0]["developer-token"] == "old"


@pytest.mark.parametrize(
    ("metrics", "where"),
    [
        ({"costMicros": 1.5}, "metrics"),
        ({"costMicros": "1.5"}, "metrics.costMicros"),
        ({"clicks": "many"}, "metrics.clicks"),
        ({"conversions": "NaN"}, "metrics.conversions"),
        ({"conversions": None}, "metrics"),
        ({"impressions": str(2**63)}, "metrics.impressions"),
    ],
)
def test_a_row_with_a_figure_that_is_none_is_set_aside_under_its_name(metrics: dict[str, Any], where: str) -> None:
    rows = [a_row("7", "2026-11-23", **metrics), a_row("8", "2026-11-23", clicks="1")]
    page, *_ = days_of(Answers({"results": rows}))
    assert [row.campaign_id for row in page.measures] == ["8"]
    assert [item.key for item in page.refused] == ["7/2026-11-23"]
    assert page.refused[0].detail.startswith(("$." + where, where))
    assert isinstance(page.covers, Slice)
    assert page.covers.whole


@pytest.mark.parametrize("broken", [{"campaign": {"id": "7"}}, {"segments": {"date": "2026-11-23"}}, {}, [], "x"])
def test_a_row_that_nobody_can_name_is_no_proof_that_what_is_not_shown_is_gone(broken: Any) -> None:
    page, *_ = days_of(Answers({"results": [broken, a_row("8", "2026-11-23", clicks="1")]}))
    assert [row.campaign_id for row in page.measures] == ["8"]
    assert len(page.refused) == 1
    assert isinstance(page.covers, Slice)
    assert not page.covers.whole


@pytest.mark.parametrize(
    "change", [{"customer": {"id": "222"}}, {"customer": {"currencyCode": "EUR"}}, {"customer": {"timeZone": "UTC"}}]
)
def test_a_row_of_another_account_zone_or_currency_is_set_aside(change: dict[str, Any]) -> None:
    page, *_ = days_of(Answers({"results": [{**a_row("7", "2026-11-23", clicks="1"), **change}]}))
    assert page.measures == ()
    assert len(page.refused) == 1


def test_days_out_of_their_order_are_not_believed() -> None:
    older, newer = ([a_row("7", f"2026-11-{day}", clicks="1")] for day in (22, 23))
    with pytest.raises(ProviderRefused):
        days_of(Answers({"results": older, "nextPageToken": "t"}, {"results": newer}))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_within_a_page_rows_may_stand_in_any_order(monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]) -> None:
    monkeypatch.setattr(google_ads_days, "ROWS_A_PAGE", 1)
    rows: list[Any] = [*(a_row("7", f"2026-11-{day}", clicks=f"{day}") for day in (23, 22, 21)), {"campaign": {}}]
    pages = days_of(Answers({"results": [rows[number] for number in order]}))[:3]
    found = [(page.measures[0].day.day, page.measures[0].clicks) for page in pages if page.measures]
    assert found == [(23, 23), (22, 22), (21, 21)]
    slices = [page.covers for page in pages if isinstance(page.covers, Slice)]
    assert [(each.first.day, each.last.day, each.whole) for each in slices] == [
        (23, 23, False), (22, 22, False), (21, 21, False),
    ]  # fmt: skip
    assert [len(page.refused) for page in pages] == [1, 0, 0]


def test_a_page_token_that_comes_twice_ends_the_query() -> None:
    page = {"results": [a_row("7", "2026-11-23", clicks="1")], "nextPageToken": "again"}
    with pytest.raises(Transient):
        days_of(Answers(page, page, page, page))


def test_a_page_token_that_is_forgotten_for_ever_is_a_fault_of_google_s() -> None:
    page = {"results": [a_row("7", "2026-11-23", clicks="1")], "nextPageToken": "one"}
    gone = (400, json.loads(refusal("requestError", "EXPIRED_PAGE_TOKEN").body))
    answers = Answers(page, gone, page, gone, page, gone)
    with pytest.raises(Transient):
        days_of(answers)
    assert [("pageToken" in asked) for asked in answers.asked] == [False, True] * 3


def test_an_account_with_a_zone_that_nobody_knows_is_its_own_fault() -> None:
    with pytest.raises(BadRecord):
        days_of(Answers(), a_part(time_zone="Mars/Olympus"))


def test_a_closed_account_is_not_asked() -> None:
    answers = Answers()
    page, *_ = days_of(answers, a_part(open=""))
    assert (page.measures, page.covers, page.more) == ((), None, False)
    assert answers.asked == []


def test_an_id_that_is_no_number_goes_into_no_address() -> None:
    with pytest.raises(NotFound):
        days_of(Answers(), Part(key="1/../2", carries=a_part().carries))


def test_every_budget_of_the_connector_has_a_source() -> None:
    assert all(budget.source for budget in google_ads_api.BUDGETS)
    assert set(FACTS.budget_options) == {budget.name for budget in FACTS.budgets}

"""What the streams of Google Ads share: how a query is asked, Google's table of error codes, and what may be spent.

Queries go to `googleAds:search` and not to `searchStream`. Both cost one operation of the day, however long the answer;
but a search comes in pages of at most 10,000 rows, each a whole JSON document within our cap on bodies, and a page that
is cut off is asked for again. A stream is one body without an end, whose cut cannot be told from its last piece until
the closing bracket is missing, and which then starts from its first row.

A customer id names an account of Google Ads; `login` is the manager account, or the account itself, through which the
person reaches it. No developer token is needed since September 2026: it is sent only where one is set.

Source: providers/google.md §8 (read 2026-11); https://developers.google.com/google-ads/api/docs/
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from worker.connectors import google_api
from worker.connectors.contract import Session
from worker.errors import (
    AdminBlocked,
    ConsentGone,
    CrmSyncError,
    CursorExpired,
    Misconfigured,
    NotFound,
    PartClosed,
    PartThrottled,
    ProviderRefused,
    RunAgainLater,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.transport.json_reply import read_json
from worker.transport.ports import Budget, BudgetScope, Cost
from worker.transport.replies import Reply

HOST: Final = "googleads.googleapis.com"
_ACCESS_LEVELS: Final = "https://developers.google.com/google-ads/api/docs/api-policy/access-levels"

# A day's operations belong to the Cloud project, whoever of our customers they are spent for; 15,000 is level Basic.
OPERATIONS: Final = Budget("google_ads.operations", BudgetScope.APP, 15_000, timedelta(days=1), _ACCESS_LEVELS)
REQUESTS: Final = Budget(
    "google_ads.user",
    BudgetScope.USER,
    600,
    timedelta(minutes=1),
    "not published; a limit of our own, so that one customer's refusal closes no other's door",
)
BUDGETS: Final = (OPERATIONS, REQUESTS)
BUDGET_OPTIONS: Final = {
    OPERATIONS.name: "google_ads_operations_per_day",
    REQUESTS.name: "google_ads_requests_per_minute",
}

_FIRST_PAGE: Final = (Cost(OPERATIONS.name), Cost(REQUESTS.name))
_LATER_PAGE: Final = (Cost(REQUESTS.name),)
_UNNAMED_WAIT: Final = timedelta(seconds=30)
"""What Google's guide waits where `RESOURCE_TEMPORARILY_EXHAUSTED` comes without a `retryDelay`."""
_DAY_IS_SPENT: Final = timedelta(hours=1)
"""The day's operations are used up by somebody who is not in our books. They come back one by one over 24 hours, and
Google names no time: so one job asks hourly, and is told in a request that costs no operation."""
_CLOSED_FOR: Final = timedelta(days=1)
"""How long a suspended account is left alone."""
_LONGEST_WAIT: Final = timedelta(hours=1)
_DURATION: Final = re.compile(r"(\d{1,9})(?:\.\d{1,9})?s")
_CUSTOMER_ID: Final = re.compile(r"[0-9]{1,19}")


class OutOfReach(ProviderRefused):
    """Google keeps no figures by the day for days so far back."""


# Each code of google.md §8.6, and those of §8.2 to §8.4, to exactly one error of ours. A code alone is enough: Google
# uses none in two enumerations with two meanings. What is not here is looked up by its enumeration.
CODES: Final[dict[str, type[CrmSyncError]]] = {
    "OAUTH_TOKEN_EXPIRED": TokenExpired,
    "OAUTH_TOKEN_INVALID": TokenExpired,
    "OAUTH_TOKEN_HEADER_INVALID": TokenExpired,
    "GOOGLE_ACCOUNT_COOKIE_INVALID": TokenExpired,
    # Google's word that the person must consent again. The token may have been replaced since: see `judge`.
    "OAUTH_TOKEN_REVOKED": ConsentGone,
    "OAUTH_TOKEN_DISABLED": ConsentGone,
    "GOOGLE_ACCOUNT_DELETED": ConsentGone,
    # The owner of the advertising account demands it of the person, as an administrator does.
    "TWO_STEP_VERIFICATION_NOT_ENROLLED": AdminBlocked,
    "ADVANCED_PROTECTION_NOT_ENROLLED": AdminBlocked,
    "NOT_ADS_USER": NotFound,
    "CUSTOMER_NOT_FOUND": NotFound,
    "CLIENT_CUSTOMER_ID_INVALID": NotFound,
    "INVALID_CUSTOMER_ID": NotFound,
    "USER_PERMISSION_DENIED": NotFound,
    "CUSTOMER_NOT_ENABLED": PartClosed,
    "ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT": PartClosed,
    "INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION": NotFound,
    "INVALID_LOGIN_CUSTOMER_ID": NotFound,
    # Before v25 so is called what is CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION now; it may be one account's own, too.
    "ACTION_NOT_PERMITTED": ProviderRefused,
    "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION": Misconfigured,
    "CLOUD_PROJECT_NOT_FOUND": Misconfigured,
    "PROJECT_DISABLED": Misconfigured,
    "MISSING_TOS": Misconfigured,
    "ORGANIZATION_NOT_RECOGNIZED": Misconfigured,
    "ORGANIZATION_NOT_APPROVED": Misconfigured,
    "ORGANIZATION_NOT_ASSOCIATED_WITH_DEVELOPER_TOKEN": Misconfigured,
    "CLOUD_PROJECT_NOT_UNDER_ORGANIZATION": Misconfigured,
    "DEVELOPER_TOKEN_NOT_ON_ALLOWLIST": Misconfigured,
    "DEVELOPER_TOKEN_PROHIBITED": Misconfigured,
    "DEVELOPER_TOKEN_NOT_APPROVED": Misconfigured,
    "DEVELOPER_TOKEN_INVALID": Misconfigured,
    "UNSUPPORTED_VERSION": Misconfigured,
    "RESOURCE_EXHAUSTED": Throttled,
    "RESOURCE_TEMPORARILY_EXHAUSTED": Throttled,
    "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION": Throttled,
    "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION": Throttled,
    "ACCESS_PROHIBITED": Misconfigured,
    "INTERNAL_ERROR": Transient,
    "TRANSIENT_ERROR": Transient,
    "DEADLINE_EXCEEDED": Transient,
    "EXPIRED_PAGE_TOKEN": CursorExpired,
    "INVALID_PAGE_TOKEN": CursorExpired,
    "REQUESTED_DATE_GRANULARITY_NOT_SUPPORTED": OutOfReach,
}
ENUMERATIONS: Final[dict[str, type[CrmSyncError]]] = {
    "authenticationError": ProviderRefused,
    "authorizationError": NotFound,
    "dateRangeError": ProviderRefused,
    "headerError": ProviderRefused,
    "internalError": Transient,
    "queryError": ProviderRefused,
    "quotaError": Throttled,
    "requestError": ProviderRefused,
}
_TEXTS: Final[dict[type[CrmSyncError], str]] = {
    TokenExpired: "Google refused the access token",
    ConsentGone: "Google says that the person took the access away",
    AdminBlocked: "Google asks for a second factor before it lets this person's apps see the advertising accounts",
    NotFound: "Google does not let us see this advertising account",
    PartClosed: "Google has suspended this advertising account, or it was never opened",
    ProviderRefused: "Google Ads refused the request",
    OutOfReach: "Google keeps no figures by the day for these days",
    Misconfigured: "Google Ads does not serve our Cloud project, or no longer this version of the API "
    "(CRM_SYNC_GOOGLE_ADS_API_VERSION); see https://developers.google.com/google-ads/api/docs/sunset-dates",
    Throttled: "Google Ads asks us to slow down",
    PartThrottled: "Google Ads asks us to slow down with this advertising account",
    Transient: "Google Ads failed",
    CursorExpired: "Google Ads no longer knows the page that was to come next",
}


class _QuotaDetails(msgspec.Struct, rename="camel"):
    rate_scope: str = ""
    retry_delay: str = ""


class _ErrorDetails(msgspec.Struct, rename="camel"):
    quota_error_details: _QuotaDetails | None = None


class _AdsError(msgspec.Struct, rename="camel"):
    error_code: dict[str, str] = {}
    details: _ErrorDetails | None = None


class _Failure(msgspec.Struct):
    errors: list[_AdsError] = []


class _Error(msgspec.Struct):
    details: list[_Failure] = []


class _Envelope(msgspec.Struct):
    error: _Error


class SearchPage(msgspec.Struct, rename="camel"):
    """One page of a search. Rows are read one by one, so that a malformed one spoils no other."""

    results: list[msgspec.Raw] = []
    next_page_token: str = ""


class _Accessible(msgspec.Struct, rename="camel"):
    resource_names: list[str] = []


def search(session: Session, customer_id: str, login: str, query: str, page_token: str = "") -> SearchPage:
    """One page of a query's answer. The first costs an operation of the day, those after it nothing more.

    Raises:
        CursorExpired: Google forgot the page token.
        NotFound: this account is not for us to see, at present or at all.
        CrmSyncError: as the table of codes says.
    """
    if _CUSTOMER_ID.fullmatch(customer_id) is None or _CUSTOMER_ID.fullmatch(login) is None:
        raise NotFound("The id of an advertising account is a number.")
    asked = {"query": query, "pageToken": page_token} if page_token else {"query": query}
    reply = session.http.send(
        "POST",
        _address(session, f"customers/{customer_id}/googleAds:search"),
        headers=(*_headers(session), ("login-customer-id", login), ("content-type", "application/json")),
        body=msgspec.json.encode(asked),
        costs=_LATER_PAGE if page_token else _FIRST_PAGE,
        classify=judge(session),
        repeatable=True,
    )
    return read_json(reply, SearchPage)


def search_all(session: Session, customer_id: str, login: str, query: str) -> Iterator[msgspec.Raw]:
    """Every row of a query's answer: for short ones."""
    tokens = google_api.PageTokens()
    token = ""
    while True:
        page = search(session, customer_id, login, query, token)
        yield from page.results
        token = tokens.next(page.next_page_token)
        if not token:
            return


def accessible_customers(session: Session) -> tuple[str, ...]:
    """The ids of the accounts to which the person has direct access, managers and others, in order."""
    reply = session.http.send(
        "GET",
        _address(session, "customers:listAccessibleCustomers"),
        headers=_headers(session),
        costs=_FIRST_PAGE,
        classify=judge(session),
    )
    names = read_json(reply, _Accessible).resource_names
    return tuple(sorted({name.removeprefix("customers/") for name in names}, key=int))


def judge(session: Session) -> Callable[[Reply], CrmSyncError | None]:
    """The table of codes for one request.

    The access token that Google calls revoked may be an older one than the grant has by now, since a person who takes
    access away may give it again at once. So the first such answer asks for a newer token, and the second is believed.
    """
    refused_before = False

    def judged(reply: Reply) -> CrmSyncError | None:
        nonlocal refused_before
        error = classify(reply, session.now())
        if isinstance(error, ConsentGone) and not refused_before:
            refused_before = True
            return TokenExpired(str(error))
        return error

    return judged


def classify(reply: Reply, now: datetime) -> CrmSyncError | None:
    """What a refusal means; None if neither its codes nor what all Google APIs say tell. Pure."""
    for error in _errors_of(reply.body):
        for enumeration, code in error.error_code.items():
            kind = CODES.get(code) or ENUMERATIONS.get(enumeration, ProviderRefused)
            if kind is Throttled and _is_one_accounts(error):
                kind = PartThrottled
            text = f"{_TEXTS[kind]} ({reply.status} {_name(enumeration)}.{_name(code)})."
            if issubclass(kind, PartClosed):
                return kind(text, until=now + _CLOSED_FOR)
            if issubclass(kind, RunAgainLater):
                return kind(text, until=_until(error, code, now))
            return kind(text)
    if reply.status == 404:
        # Google Ads says with a code what it does not find; a bare 404 means that there is no such version any more.
        return Misconfigured(f"{_TEXTS[Misconfigured]} (404).")
    return google_api.classify(reply)


def _is_one_accounts(error: _AdsError) -> bool:
    """Whether Google refuses for the sake of one advertising account, and not of the whole Cloud project."""
    quota = error.details.quota_error_details if error.details else None
    return quota is not None and quota.rate_scope == "ACCOUNT"


def _until(error: _AdsError, code: str, now: datetime) -> datetime | None:
    if CODES.get(code, Throttled) is not Throttled:
        return None
    quota = error.details.quota_error_details if error.details else None
    named = _DURATION.fullmatch(quota.retry_delay) if quota else None
    if named is not None and (delay := timedelta(seconds=float(quota.retry_delay[:-1]) if quota else 0)):
        return now + min(delay, _LONGEST_WAIT)
    return now + (_DAY_IS_SPENT if code == "RESOURCE_EXHAUSTED" else _UNNAMED_WAIT)


def _errors_of(body: bytes) -> list[_AdsError]:
    try:
        failures = read_json(body, _Envelope).error.details
    except CrmSyncError:
        return []  # No failure of Google Ads: a general one, or a web page of some proxy.
    return [error for failure in failures for error in failure.errors]


def _address(session: Session, path: str) -> str:
    return f"https://{HOST}/{session.options['api_version']}/{path}"


def _headers(session: Session) -> tuple[tuple[str, str], ...]:
    token = str(session.options.get("developer_token") or "")
    return (("developer-token", token),) if token else ()


def _name(text: str) -> str:
    """A code as it may stand in a message: Google's are letters and underscores, and nothing else is passed on."""
    return text if re.fullmatch(r"[A-Za-z_]{1,80}", text) else "?"

"""What all Google connectors share: OAuth facts, limits, the table of Google's error codes, the official client.

The client (google-api-python-client) only builds requests, from discovery documents that it carries in its package;
they leave through the session, and replies come back as bytes, decoded here into types that name what we read.

Source: providers/google.md §1 to §6 (read 2026-11), with Google's own pages named there.
"""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from worker.errors import (
    AdminBlocked,
    CrmSyncError,
    CursorExpired,
    Misconfigured,
    NotFound,
    ProviderRefused,
    ScopeMissing,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.transport.json_reply import read_json
from worker.transport.ports import Budget, BudgetScope, OAuthFacts, Rotation
from worker.transport.replies import Reply

T = TypeVar("T")
_MINUTE: Final = timedelta(minutes=1)
_DAILY_WAIT: Final = timedelta(hours=1)
"""A day's quota frees at an hour that Google does not name in its answer; asked for hourly, it is found soon enough."""

# https://accounts.google.com/.well-known/openid-configuration; google.md §1.1 to §1.6.
GOOGLE_OAUTH: Final = OAuthFacts(
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
    revoke_url="https://oauth2.googleapis.com/revoke",
    userinfo_url="https://openidconnect.googleapis.com/v1/userinfo",
    issuer="https://accounts.google.com",
    jwks_url="https://www.googleapis.com/oauth2/v3/certs",
    identity_scopes=("openid", "email", "profile"),
    # Without `prompt=consent` a person who consented before gets no refresh token.
    authorize_params=(("access_type", "offline"), ("prompt", "consent")),
    adding_params=(("include_granted_scopes", "true"),),
    rotation=Rotation.NONE,
    revoke_ends_siblings=True,
    default_lifetime=timedelta(seconds=3599),
    consent_gone_codes=frozenset({"invalid_grant", "access_denied"}),
    admin_blocked_codes=frozenset({"admin_policy_enforced", "org_internal"}),
    misconfigured_codes=frozenset(
        {
            "invalid_client",
            "deleted_client",
            "disabled_client",
            "unauthorized_client",
            "invalid_request",
            "invalid_scope",
            "redirect_uri_mismatch",
            "unsupported_grant_type",
        }
    ),
)

GMAIL_USER: Final = Budget(
    "gmail.user", BudgetScope.USER, 6_000, _MINUTE, "https://developers.google.com/workspace/gmail/api/reference/quota"
)
GMAIL_PROJECT: Final = Budget("gmail.project", BudgetScope.APP, 1_200_000, _MINUTE, GMAIL_USER.source)
PEOPLE_USER: Final = Budget(
    "people.user", BudgetScope.USER, 90, _MINUTE, "not published; seen in Cloud consoles (google.md §5.4)"
)
CALENDAR_USER: Final = Budget(
    "calendar.user",
    BudgetScope.USER,
    600,
    _MINUTE,
    "https://developers.google.com/workspace/calendar/api/guides/quota",
)
CALENDAR_PROJECT: Final = Budget("calendar.project", BudgetScope.APP, 10_000, _MINUTE, CALENDAR_USER.source)

# Every reason of google.md §1.8, §3, §4.4, §5.2, §5.4, §6.2 and §6.4, to exactly one error of ours. `details[].reason`
# is asked first, then `errors[].reason`, then `status`; texts are no contract and are not read.
REASONS: Final[dict[str, type[CrmSyncError]]] = {
    "EXPIRED_SYNC_TOKEN": CursorExpired,
    "fullSyncRequired": CursorExpired,
    "updatedMinTooLongAgo": CursorExpired,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": ScopeMissing,
    "insufficientPermissions": ScopeMissing,
    "authError": TokenExpired,
    "UNAUTHENTICATED": TokenExpired,
    "domainPolicy": AdminBlocked,
    "SERVICE_DISABLED": Misconfigured,
    "accessNotConfigured": Misconfigured,
    "RATE_LIMIT_EXCEEDED": Throttled,
    "rateLimitExceeded": Throttled,
    "userRateLimitExceeded": Throttled,
    "quotaExceeded": Throttled,
    "dailyLimitExceeded": Throttled,
    "RESOURCE_EXHAUSTED": Throttled,
    "backendError": Transient,
    "internalError": Transient,
    "INTERNAL": Transient,
    "UNAVAILABLE": Transient,
    "DEADLINE_EXCEEDED": Transient,
    "ABORTED": Transient,
    # Gmail says so for a mailbox that is switched off, and now and then for one that is not.
    "failedPrecondition": Transient,
    "FAILED_PRECONDITION": Transient,
    "notFound": NotFound,
    "NOT_FOUND": NotFound,
    "deleted": NotFound,
    "forbidden": NotFound,
    "forbiddenForNonOrganizer": NotFound,
    "invalidArgument": ProviderRefused,
    "INVALID_ARGUMENT": ProviderRefused,
    "badRequest": ProviderRefused,
    "invalid": ProviderRefused,
    "required": ProviderRefused,
}
_TEXTS: Final = {
    CursorExpired: "Google no longer knows our place in the list",
    ScopeMissing: "The grant lacks a scope",
    TokenExpired: "Google refused the access token",
    AdminBlocked: "An administrator does not allow the app",
    Misconfigured: "The API is not enabled in the Cloud project: enable it in the console, or the project is another",
    Throttled: "Google asks us to slow down",
    NotFound: "Google does not have it, or does not show it to us",
    ProviderRefused: "Google refused the request's arguments",
    Transient: "Google failed",
}


class _Detail(msgspec.Struct):
    reason: str = ""


class _LegacyError(msgspec.Struct):
    reason: str = ""


class _Error(msgspec.Struct):
    status: str = ""
    details: list[_Detail] = []
    errors: list[_LegacyError] = []


class _Envelope(msgspec.Struct):
    error: _Error


def classify(reply: Reply) -> CrmSyncError | None:
    """What a refusal of any Google API means; None if neither its reasons nor its status tell. Pure."""
    for reason in reasons_of(reply.body):
        error = REASONS.get(reason)
        if reason == "dailyLimitExceeded":
            return Throttled(
                f"The day's quota is used up ({reply.status} {reason}).", until=datetime.now(UTC) + _DAILY_WAIT
            )
        if error is not None:
            return error(f"{_TEXTS[error]} ({reply.status} {reason}).")
    if reply.status == 410:
        return CursorExpired(f"{_TEXTS[CursorExpired]} (410).")
    return None


def reasons_of(body: bytes) -> Iterator[str]:
    """The machine codes in an error's body, the most telling first."""
    try:
        error = read_json(body, _Envelope).error
    except CrmSyncError:
        return  # A web page of some proxy, say; the status has to do.
    yield from (detail.reason for detail in error.details if detail.reason)
    yield from (legacy.reason for legacy in error.errors if legacy.reason)
    if error.status:
        yield error.status


class Services:
    """The official client's services, each built once a process when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: dict[tuple[str, ...], Any] = {}

    def of(self, name: str, version: str, *collections: str) -> Any:
        """The service, such as `("people", "v1")`, or a collection within it, such as `… "people", "connections")`.

        The client makes a collection anew, with all its methods and their documentation, each time that it is asked
        for one; so it is asked once. Requests are executed with an HTTP object of the session.
        """
        with self._lock:
            return self._of((name, version, *collections))

    def _of(self, path: tuple[str, ...]) -> Any:
        if path not in self._built:
            if len(path) > 2:
                self._built[path] = getattr(self._of(path[:-1]), path[-1])()
            else:
                # Imported here, since they cost 30 MiB and a third of a second that other workers need not carry.
                from googleapiclient.discovery import build  # noqa: PLC0415

                from worker.transport.google_http import RawModel  # noqa: PLC0415

                self._built[path] = build(
                    *path, http=_NoLine(), model=RawModel(), static_discovery=True, cache_discovery=False
                )
        return self._built[path]


class _NoLine:
    """Stands where the client wants an HTTP object while it is built; nothing is sent then."""


SERVICES: Final = Services()


class PageTokens:
    """Notices a list that never ends: a provider that gives a token twice in one run goes round in circles."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def next(self, token: str) -> str:
        """The token, if it is new.

        Raises:
            Transient: it was given before.
        """
        if token:
            if token in self._seen:
                raise Transient("Google gave the same page token twice; the list would never end.")
            self._seen.add(token)
        return token


SETUP: Final = (
    (
        "In the Google Cloud console, make a project for this deployment alone: its users' grants are counted, limited "
        "and revoked by project."
    ),
    (
        "Fill in the consent screen: name, logo, home page, privacy policy, a contact. Publish it: as long as it says "
        "Testing, a consent ends after 7 days and at most 100 people may give one."
    ),
    (
        "Make an OAuth client of the type «Web application» and register the redirect address exactly as "
        "`CRM_SYNC_REDIRECT_URI` has it: https, the same case, the same slash at the end. Only `http://localhost` "
        "needs none."
    ),
    "Put the client's id and secret into `CRM_SYNC_GOOGLE_CLIENT_ID` and `CRM_SYNC_GOOGLE_CLIENT_SECRET`.",
)
"""The part that all of Google's APIs share. Source: providers/google.md §1.2, §1.6, §9 (read 2026-11)."""

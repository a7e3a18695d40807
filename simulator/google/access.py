"""Who calls an API and whether they may: the bearer token against scopes and quotas.

Tokens are taken from the Authorization header only; one in the address is answered like none.
"""

from collections.abc import Iterable

from simulator.exchange import Request
from simulator.google.errors import GoogleError, quota_exceeded, scope_missing, unauthenticated
from simulator.google.grants import Grants
from simulator.google.tokens import AccessToken
from simulator.quota import Limit, Quotas

GMAIL_USER, GMAIL_PROJECT = "gmail.user", "gmail.project"
CALENDAR_USER, CALENDAR_PROJECT = "calendar.user", "calendar.project"
PEOPLE_READS, PEOPLE_GROUPS, PEOPLE_FIRST_PAGE = (
    "people.critical_reads",
    "people.group_reads",
    "people.full_sync_first_page",
)

# Sheet sections 4.4, 5.4 and 6.4. Google publishes no figures for People: critical and group reads are what issue
# threads report, the first page of a full sync is a guess of its order of size.
LIMITS = (
    Limit(GMAIL_USER, 6_000),
    Limit(GMAIL_PROJECT, 1_200_000),
    Limit(CALENDAR_USER, 600),
    Limit(CALENDAR_PROJECT, 10_000),
    Limit(PEOPLE_READS, 90),
    Limit(PEOPLE_GROUPS, 90),
    Limit(PEOPLE_FIRST_PAGE, 30),
)
_WORDS = {
    GMAIL_USER: (403, "Queries", "Queries per minute per user", "gmail.googleapis.com", "rateLimitExceeded"),
    GMAIL_PROJECT: (429, "Queries", "Queries per minute", "gmail.googleapis.com", "rateLimitExceeded"),
    CALENDAR_USER: (
        403, "Queries", "Queries per minute per user", "calendar-json.googleapis.com", "userRateLimitExceeded",
    ),
    CALENDAR_PROJECT: (403, "Queries", "Queries per minute", "calendar-json.googleapis.com", "rateLimitExceeded"),
    PEOPLE_READS: (
        429, "Critical read requests (Contact and Profile Reads)",
        "Critical read requests (Contact and Profile Reads) per minute per user", "people.googleapis.com",
        "rateLimitExceeded",
    ),
    PEOPLE_GROUPS: (
        429, "Read requests (Contact Group Reads)", "Read requests (Contact Group Reads) per minute per user",
        "people.googleapis.com", "rateLimitExceeded",
    ),
    PEOPLE_FIRST_PAGE: (
        429, "Full sync requests", "Full sync requests per minute per user", "people.googleapis.com",
        "rateLimitExceeded",
    ),
}  # fmt: skip


class Access:
    """The gate before every API method."""

    def __init__(self, grants: Grants, quotas: Quotas, project_number: int) -> None:
        self._grants = grants
        self._quotas = quotas
        self._project = project_number

    def bearer(self, request: Request) -> AccessToken:
        """Return the live token of the request.

        Raises: GoogleError 401.
        """
        token = self._grants.access(bearer_text(request) or "")
        if token is None:
            raise unauthenticated()
        return token

    def require(self, token: AccessToken, scopes: Iterable[str], service: str) -> None:
        """Demand one of the scopes.

        Raises: GoogleError 403 with the reason that the scope is missing.
        """
        if token.scopes.isdisjoint(scopes):
            raise scope_missing(service)

    def spend(
        self,
        request: Request,
        token: AccessToken,
        *,
        user: str,
        units: int,
        project: str | None = None,
        also: str | None = None,
    ) -> None:
        """Take quota units of the caller, and of the whole project where it has a limit of its own, from all or none.

        `also` names a second limit of the caller.

        Raises: GoogleError as the service words it when a window is full.
        """
        claims = [(user, token.account.email, units)]
        if also is not None:
            claims.append((also, token.account.email, units))
        if project is not None:
            claims.append((project, str(self._project), units))
        refused = self._quotas.spend(claims)
        if refused is not None:
            status, metric, limit, service, reason = _WORDS[refused]
            raise quota_exceeded(status, metric, limit, service, self._project, reason)
        for name, _, spent in claims:
            request.notes.quota_units[name] = request.notes.quota_units.get(name, 0) + spent


def bearer_text(request: Request) -> str | None:
    """Return what stands after `Bearer` in the header."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


__all__ = ["LIMITS", "Access", "GoogleError", "bearer_text"]

"""The two questions that the transport asks upward, and the facts about a provider that it needs.

A `Gate` answers «may this request start?», a `TokenSource` answers «with which token?». Jobs fill both; tests
fill them with small objects of their own. The transport knows nothing of connections, leases or the vault.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self


class Secret:
    """Text that must not be shown: `repr`, `str` and pickling refuse to give it away. `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: call it at the last moment, and never keep what it returns."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        raise TypeError("a Secret is not pickled")


class Gate(Protocol):
    """Answers whether a request may start, at the very last step before it is sent (P2)."""

    def open(self) -> None:
        """Return if the request may start now.

        Raises:
            ConnectionStopped: the connection's epoch moved on.
            LeaseLost: another worker holds the job.
            Unavailable: the answer could not be had, which means no.
        """


class TokenSource(Protocol):
    """Gives the access token of one grant."""

    def token(self) -> Secret:
        """The token to send, refreshed if it is due.

        Raises:
            ConsentGone: the provider said that this person must consent again.
            AdminBlocked: an administrator does not allow the app.
            Misconfigured: the provider does not know our client or its secret.
            RunAgainLater: the token endpoint or the vault cannot be reached.
        """

    def refused(self, token: Secret, claims: str = "") -> None:
        """Tell that the provider answered 401 to `token`, so that the next `token()` is a newer one.

        `claims` is what the provider wants to see in it, if it said so: JSON, to be passed on as it is.
        """


class BudgetScope(StrEnum):
    """Whose share a budget is."""

    APP = "app"
    USER = "user"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit that a provider publishes: at most `limit` units in any `window`. `setting` may override the limit.

    `limit` is in the provider's own units (quota units, requests). `source` is where the figure is from. With `at_once`
    it is how many may be under way at the same time, and `window` is the longest that one can be: after that a place is
    free again whatever became of who held it.
    """

    name: str
    scope: BudgetScope
    limit: int
    window: timedelta
    source: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request takes from one budget, in that budget's units."""

    budget: str
    units: int = 1


class Rotation(StrEnum):
    """What a provider does with refresh tokens, which decides what a lost reply means (P6)."""

    NONE = "none"
    """The old refresh token goes on working; a lost reply is repaired by asking again."""
    GRACE = "grace"
    """The old one works for a while after a rotation; one quick repetition repairs a lost reply."""
    STRICT = "strict"
    """The old one dies at once; a lost reply ends as `reconnect_needed`."""


class TokenLibrary(StrEnum):
    """Which library prepares the requests for tokens. Each of them speaks through the transport."""

    AUTHLIB = "authlib"
    MSAL = "msal"


@dataclass(frozen=True, slots=True)
class OAuthFacts:
    """How a provider's OAuth works. URLs always name the real hosts; the transport routes them.

    `{tenant}` in a URL stands for the directory that our registration serves. Codes are what an error names itself by:
    its `error`, the field that refines it, and Microsoft's numbers as `AADSTS90094`; the most special one that any set
    knows decides. `awaits_admin_codes` are those that an administrator's consent cures, for which `admin_consent_url`
    asks: in the directory that `admin_tenants` names in place of ours, if there is one, and for scopes that begin with
    `admin_scope_prefix`. `adding_params` go to the consent page when a purpose is added to a living grant.
    `subject_claim` names the steady id in what `userinfo_url` answers. `consent_pages` is where people take our access
    away themselves.
    """

    authorize_url: str
    token_url: str
    revoke_url: str | None
    userinfo_url: str | None
    issuer: str | None
    jwks_url: str | None
    identity_scopes: tuple[str, ...]
    authorize_params: tuple[tuple[str, str], ...]
    rotation: Rotation
    revoke_ends_siblings: bool
    default_lifetime: timedelta
    consent_gone_codes: frozenset[str]
    admin_blocked_codes: frozenset[str]
    misconfigured_codes: frozenset[str]
    throttled_codes: frozenset[str] = frozenset()
    transient_codes: frozenset[str] = frozenset()
    awaits_admin_codes: frozenset[str] = frozenset()
    adding_params: tuple[tuple[str, str], ...] = ()
    subject_claim: str = "sub"
    consent_pages: tuple[str, ...] = ()
    library: TokenLibrary = TokenLibrary.AUTHLIB
    admin_consent_url: str | None = None
    admin_tenants: tuple[tuple[str, str | None], ...] = ()
    admin_scope_prefix: str = ""

    def at_tenant(self, tenant: str) -> Self:
        """The same for one directory of the provider's."""
        admins = dict(self.admin_tenants).get(tenant, tenant)
        asks_admins = self.admin_consent_url is not None and admins is not None
        return replace(
            self,
            admin_consent_url=(self.admin_consent_url or "").replace("{tenant}", admins or "") if asks_admins else None,
            authorize_url=self.authorize_url.replace("{tenant}", tenant),
            token_url=self.token_url.replace("{tenant}", tenant),
        )


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Our registration at a provider. `project` names what siblings are counted over, `tenant` whom it serves."""

    client_id: str
    client_secret: Secret
    project: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class RetryHint:
    """What a refusal said of time: `until` where the provider named a moment."""

    until: datetime | None

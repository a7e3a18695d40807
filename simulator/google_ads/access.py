"""Who calls and whether they may: bearer, scope, login customer, account, access level, operations and rates.

    bearer ─▶ scope ─▶ login-customer-id ─▶ is the account below it? ─▶ is it enabled? ─▶ is the project approved for
    it? ─▶ operations of the day (sliding 24 h) and rates of the minute

One search with all its pages is one operation. Rates are not published: those here are settings (`/_control/quota`).
Source: the provider sheet, sections 8.2, 8.3 and 8.6.
"""

from simulator.exchange import Request
from simulator.google.access import bearer_text
from simulator.google.errors import scope_missing
from simulator.google.grants import Grants
from simulator.google.scopes import AUTH
from simulator.google.tokens import AccessToken
from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.customers import Customer
from simulator.google_ads.failures import AdsFailure, bad_request, failure
from simulator.google_ads.switches import Level, Switches
from simulator.quota import Limit, Quotas

SCOPE = AUTH + "adwords"
HOST = "googleads.googleapis.com"
OPERATIONS, TEST_OPERATIONS = "google_ads.operations", "google_ads.test_operations"
CUSTOMER_RATE, PROJECT_RATE = "google_ads.customer_rate", "google_ads.project_rate"
_DAY_S = 86_400.0
LIMITS = (
    Limit(OPERATIONS, 15_000, _DAY_S),
    Limit(TEST_OPERATIONS, 15_000, _DAY_S),
    Limit(CUSTOMER_RATE, 600),
    Limit(PROJECT_RATE, 3_000),
)
DAILY: dict[Level, int] = {"test": 15_000, "explorer": 2_880, "basic": 15_000, "standard": 1_000_000_000}
_APPROVAL_CODE_SINCE = 25
_MOST_DIGITS = 19


class AdsAccess:
    """The gate before every call."""

    def __init__(self, grants: Grants, quotas: Quotas, world: AdsWorld, project: int) -> None:
        self._grants = grants
        self._quotas = quotas
        self._world = world
        self._project = str(project)
        self.switches = Switches()

    def caller(self, request: Request) -> AccessToken:
        """Return the live token of the request.

        Raises: AdsFailure 401 with the reason why it is not, GoogleError 403 for a token without the scope.
        """
        text = bearer_text(request)
        token = self._grants.access(text or "")
        if token is None:
            code = "OAUTH_TOKEN_HEADER_INVALID" if not text else self._why_dead(text)
            if self.switches.plain_401:
                raise AdsFailure(401)
            raise failure(code, "The access token is missing, malformed, expired or revoked.")
        if SCOPE not in token.scopes:
            raise scope_missing(HOST)
        if request.headers.get("developer-token") and self.switches.old_header == "refused":
            raise bad_request("The header developer-token is no longer accepted.")
        return token

    def accessible(self, token: AccessToken) -> list[Customer]:
        """Return the accounts that the caller reaches directly.

        Raises: AdsFailure 401 for a Google account that reaches none.
        """
        found = self._world.customers.direct(token.account)
        if not found:
            raise failure("NOT_ADS_USER", "The Google account is not associated with any Google Ads account.")
        return found

    def customer(self, request: Request, token: AccessToken, text: str, version: int) -> Customer:
        """Return the account that a call is about.

        Raises: AdsFailure, for the first of all reasons why the caller may not.
        """
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise failure("INVALID_CUSTOMER_ID", "Invalid customer ID; it has digits only.", trigger=text)
        direct = self.accessible(token)
        login = self._login(request, direct)
        customer = self._world.customers.find(int(text))
        if customer is None:
            raise failure("CUSTOMER_NOT_FOUND", "No customer found for the provided customer id.")
        if login is None and customer not in direct:
            raise failure(
                "USER_PERMISSION_DENIED",
                "The caller does not reach the account directly; to go through a manager, set login-customer-id.",
            )
        if login is not None and all(one is not customer for one, _, _ in self._world.customers.below(login)):
            raise failure(
                "INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION",
                "The login customer has no access to the account.",
            )
        if token.account.sub in customer.closed_to:
            raise failure("USER_PERMISSION_DENIED", "The caller has no permission to access the account.")
        self._check_state(customer, version)
        return customer

    def spend(self, request: Request, customer: Customer | None, *, operation: bool = True) -> None:
        """Take one request of the rates, and one operation of the day unless it goes on with a search.

        Raises: AdsFailure 429.
        """
        claims = [(PROJECT_RATE, self._project, 1)]
        if customer is not None:
            claims.append((CUSTOMER_RATE, str(customer.number), 1))
        if operation:
            test = customer.test if customer is not None else self.switches.access_level == "test"
            apart = test and self.switches.access_level in ("test", "explorer")
            claims.append((TEST_OPERATIONS if apart else OPERATIONS, self._project, 1))
        refused = self._quotas.spend(claims)
        if refused is not None:
            raise self._exhausted(refused)
        for name, _, units in claims:
            request.notes.quota_units[name] = units

    def change_level(self, level: Level) -> None:
        """Give the project another access level, with the operations that belong to it."""
        self.switches.access_level = level
        self._quotas.change(OPERATIONS, DAILY[level])

    def _exhausted(self, limit: str) -> AdsFailure:
        if limit in (OPERATIONS, TEST_OPERATIONS):
            return failure(
                "RESOURCE_EXHAUSTED",
                "Too many requests.",
                rate=("DEVELOPER", f"Number of operations for {self.switches.access_level} access"),
                retry_delay_s=self.switches.daily_retry_delay_s,
            )
        scope = ("ACCOUNT", "Requests per account") if limit == CUSTOMER_RATE else None
        return failure(
            "RESOURCE_TEMPORARILY_EXHAUSTED",
            "Too many requests.",
            rate=scope or ("DEVELOPER", "Requests per service per method"),
            retry_delay_s=self.switches.rate_retry_delay_s,
        )

    def _why_dead(self, text: str) -> str:
        """Return what happened to a token; one that ended while its grant lives is taken for expired."""
        known = self._grants.known(text)
        if known is None:
            return "OAUTH_TOKEN_INVALID"
        if known.account.dropped:
            return "GOOGLE_ACCOUNT_DELETED"
        lives = any(one["grant"] == known.grant for one in self._grants.live(known.account))
        expired = lives or self._grants.now() >= known.expires_at
        return "OAUTH_TOKEN_EXPIRED" if expired else "OAUTH_TOKEN_REVOKED"

    def _login(self, request: Request, direct: list[Customer]) -> Customer | None:
        text = request.headers.get("login-customer-id", "").strip()
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) == 10):
            raise failure("INVALID_LOGIN_CUSTOMER_ID", "login-customer-id has ten digits and nothing else.")
        for one in direct:
            if one.number == int(text):
                return one
        raise failure("USER_PERMISSION_DENIED", "The caller has no direct access to the login customer.")

    def _check_state(self, customer: Customer, version: int) -> None:
        if customer.status in ("CANCELED", "CLOSED"):
            raise failure("CUSTOMER_NOT_ENABLED", "The account is not yet enabled or has been deactivated.")
        if customer.status == "SUSPENDED" and self.switches.suspended == "refused":
            raise failure("ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT", "The account is suspended.")
        if self.switches.access_level == "test" and not customer.test:
            modern = version >= _APPROVAL_CODE_SINCE
            code = "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION" if modern else "ACTION_NOT_PERMITTED"
            raise failure(code, "The Cloud project may only be used with test accounts.")

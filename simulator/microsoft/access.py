"""Who calls Graph and whether they may: the bearer token against permissions, the mailbox's limits and its whereabouts.

A refused call still counts.
Source: the provider sheet, sections 1.8 and 3.8.
"""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime

from simulator.exchange import Request
from simulator.microsoft.errors import GraphError, access_denied, unauthenticated
from simulator.microsoft.grants import Grants
from simulator.microsoft.switches import GraphSwitches
from simulator.microsoft.tokens import AccessToken
from simulator.quota import Limit, Quotas

MAILBOX, UNDER_WAY = "graph.mailbox", "graph.under_way"
LIMITS = (Limit(MAILBOX, 10_000, 600.0), Limit(UNDER_WAY, 4, 0.0))
_REFUSED_S = 10.0


class Access:
    """The gate before every call."""

    def __init__(self, grants: Grants, quotas: Quotas) -> None:
        self.switches = GraphSwitches()
        self._grants = grants
        self._quotas = quotas
        self._entered: dict[int, str] = {}

    def bearer(self, request: Request) -> AccessToken:
        """Return the live token of the request.

        Raises: GraphError 401; with the claims that a client has to ask for when the token was ended early.
        """
        text = bearer_text(request)
        if not text:
            raise unauthenticated("Access token is empty.")
        token = self._grants.access(text)
        if token is None:
            known = self._grants.known(text) is not None
            raise unauthenticated(
                "Lifetime validation failed, the token is expired." if known else "JWT is not well formed."
            )
        claims = self._grants.challenge(token)
        if claims is not None:
            packed = base64.b64encode(claims.encode()).decode()
            raise unauthenticated(
                "Continuous access evaluation resulted in challenge.", 'error="insufficient_claims"',
                f'claims="{packed}"',
            )  # fmt: skip
        return token

    def require(self, token: AccessToken, scopes: Iterable[str]) -> None:
        """Demand one of the permissions.

        Raises: GraphError 403.
        """
        if token.scopes.isdisjoint(scopes):
            raise access_denied()

    def spend(self, request: Request, token: AccessToken) -> None:
        """Count a call to a mailbox.

        Raises: GraphError 404 where the account has no mailbox here, 429 when the window is full.
        """
        if token.account.email in self.switches.without_mailbox:
            raise GraphError(
                404, "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
                "MailboxNotEnabledForRESTAPI",
            )  # fmt: skip
        key = mailbox_key(token)
        if self._quotas.spend([(MAILBOX, key, 1)], count_refused=True) is not None:
            raise self.throttled("MailboxRequests", self._quotas.wait_s(MAILBOX, key))
        request.notes.quota_units[MAILBOX] = request.notes.quota_units.get(MAILBOX, 0) + 1

    def enter(self, request: Request) -> GraphError | None:
        """Count a call to a mailbox as under way; return the error when there are too many."""
        token = self._grants.access(bearer_text(request) or "")
        if token is None:
            return None
        if self._quotas.enter(UNDER_WAY, mailbox_key(token)):
            self._entered[id(request)] = mailbox_key(token)
            return None
        self._quotas.spend([(MAILBOX, mailbox_key(token), 1)], count_refused=True)
        return self.throttled("MailboxConcurrency", _REFUSED_S)

    def leave(self, request: Request) -> None:
        """Count a call that entered as ended; one that did not enter changes nothing."""
        key = self._entered.pop(id(request), None)
        if key is not None:
            self._quotas.leave(UNDER_WAY, key)

    def throttled(self, limit: str, wait_s: float) -> GraphError:
        """Return a 429 that says when to come back as the switch has it."""
        message = f"Application is over its {limit} limit."
        headers: tuple[tuple[str, str], ...] = ()
        if self.switches.retry_after == "seconds":
            headers = (("retry-after", str(max(1, int(wait_s + 0.999)))),)
        elif self.switches.retry_after == "fraction":
            headers = (("retry-after", f"{max(wait_s, 0.001):.3f}"),)
        elif self.switches.retry_after == "date":
            at = datetime.fromtimestamp(self._grants.now() + wait_s + 1, UTC)
            headers = (("retry-after", at.strftime("%a, %d %b %Y %H:%M:%S GMT")),)
        return GraphError(429, message, self.switches.throttle_code, *headers)


def mailbox_key(token: AccessToken) -> str:
    """Return the name under which an application's use of a mailbox is counted."""
    return f"{token.client_id} {token.account.email}"


def bearer_text(request: Request) -> str | None:
    """Return what stands after `Bearer` in the header."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None

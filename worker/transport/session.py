"""The door to one provider for one connection: each request asks for permits, token and gate, in this order.

    permits ▶ token ▶ gate (last step before sending) ▶ exchange ▶ reply ▶ class of error, by the connector's table
       ▲                                                             │
       └──────────── repeated from the start, if that is safe ◀──────┘

A repetition goes the whole way again. What is repeated: requests without effect, at most three times in about five
seconds; a refusal for a moment (429); and once, with a newer token, what was answered 401. Longer waits are raised,
for jobs park and never sleep. The session decides nothing about connections; its errors say what happened.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from worker.errors import (
    BadRequest,
    CrmSyncError,
    Misconfigured,
    NotFound,
    PartThrottled,
    ProviderRefused,
    RunAgainLater,
    Throttled,
    TokenExpired,
    Transient,
    Unavailable,
)
from worker.transport.budgets import FIRST_UNNAMED_WAIT, PERMIT_LIFE_S, Budgets, Permit, Place
from worker.transport.challenges import claims_of
from worker.transport.client import MAX_BODY_BYTES, TIMEOUT_S, Pairs, Transport
from worker.transport.ports import Budget, BudgetScope, Cost, Gate, Secret, TokenSource
from worker.transport.replies import Reply
from worker.transport.retry_after import retry_hint

if TYPE_CHECKING:
    from worker.transport.google_http import GoogleHTTP

Classify = Callable[[Reply], CrmSyncError | None]

TRIES: Final = 3
_TRYING_S: Final = 5.0
_SLEEPABLE = timedelta(seconds=1)
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 3
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ProviderSession:
    """A provider's API as one connection may use it, for the length of one run; one thread at a time.

    `owners` names for each scope of a budget whose bucket it is (ids or HMACs, never names); `sharer` the workspace.
    `budgets` carry the limits that hold for this deployment. `classify` is the connector's table of its provider's
    codes: it sees each reply from 400 on and names the error, or None for what it does not know.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        hosts: Collection[str],
        tokens: TokenSource,
        gate: Gate,
        books: Budgets,
        budgets: Sequence[Budget] = (),
        owners: Mapping[BudgetScope, str] | None = None,
        sharer: str = "",
        classify: Classify | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._transport = transport
        self._hosts = frozenset(hosts)
        self._tokens = tokens
        self._gate = gate
        self._books = books
        self._budgets = {budget.name: budget for budget in budgets}
        self._owners = dict(owners or {})
        self._sharer = sharer
        self._classify = classify
        self._sleep = sleep
        self._now = now

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Pairs = (),
        headers: Pairs = (),
        body: bytes = b"",
        costs: Sequence[Cost] = (),
        classify: Classify | None = None,
        repeatable: bool | None = None,
        max_body: int = MAX_BODY_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """The provider's reply to one request, its status one of success (2xx, or a 304).

        `repeatable` says that the request has no effect at the provider, so that it may be sent again; a GET is
        taken to be so. `timeout_s` bounds each try in all; the waiting for a permit is outside of it.

        Raises:
            BudgetSpent, Throttled: not before `until`.
            Transient, ReplyLost, Unavailable: a fault that is expected to pass.
            TokenExpired: the provider refused a token that was just renewed, too.
            ConnectionStopped, LeaseLost: the gate is shut; nothing was sent.
            TooMuchData: the reply is over `max_body`.
            NotFound, ProviderRefused: as the status says, where the connector's table knows no better.
            CrmSyncError: whatever `classify` names.
        """
        permits = self._permits(costs)
        table = classify or self._classify
        safe = method.upper() in _SAFE_METHODS if repeatable is None else repeatable

        def attempt() -> Reply:
            return self._with_fresh_token(
                lambda token: self._follow(method, url, params, headers, body, token, permits, max_body, timeout_s),
                permits,
                table,
            )

        retrying = Retrying(
            retry=retry_if_exception(lambda error: self._may_repeat(error, safe=safe)),
            stop=stop_after_attempt(TRIES) | stop_before_delay(_TRYING_S),
            wait=self._pause,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(attempt)

    def google_http(
        self,
        *,
        costs: Sequence[Cost] = (),
        classify: Classify | None = None,
        repeatable: bool | None = None,
        max_body: int = MAX_BODY_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> "GoogleHTTP":
        """An HTTP object for google-api-python-client whose every request goes through `send`, at these costs.

        A batch is a POST: say `repeatable=True` if all in it are reads.
        """
        # Imported here, since the Google client's modules cost 30 MiB that other connectors need not carry.
        from worker.transport.google_http import GoogleHTTP  # noqa: PLC0415

        return GoogleHTTP(
            self, costs=costs, classify=classify, repeatable=repeatable, max_body=max_body, timeout_s=timeout_s
        )

    def refused(self, costs: Sequence[Cost], until: datetime) -> None:
        """The provider refused a part of a request (an entry of a batch) until a moment: nobody asks before it."""
        # Without Redis there is nothing to correct.
        with suppress(Unavailable):
            self._books.learned(self._permits(costs), until - self._now())

    def _permits(self, costs: Sequence[Cost]) -> tuple[Permit, ...]:
        units: dict[str, int] = {}
        for cost in costs:
            units[cost.budget] = units.get(cost.budget, 0) + cost.units
        permits = []
        for name, amount in units.items():
            budget = self._budgets.get(name)
            owner = self._owners.get(budget.scope) if budget else None
            if budget is None or owner is None:
                raise Misconfigured(f"The budget «{name}» is not among the connector's facts, or has no owner here.")
            sharer = self._sharer if budget.scope is BudgetScope.APP else ""
            permits.append(Permit(budget, owner, amount, sharer))
        return tuple(permits)

    def _with_fresh_token(
        self, send: Callable[[Secret], Reply], permits: Sequence[Permit], table: Classify | None
    ) -> Reply:
        for last in (False, True):
            token, places = self._token_with_permits(permits)
            try:
                reply = send(token)
            finally:
                self._give_back(places)
            error = self._judge(reply, permits, table)
            if error is None:
                return reply
            if last or not isinstance(error, TokenExpired):
                raise error
            claims = claims_of(reply)
            if claims:
                self._tokens.refused(token, claims)
            else:
                self._tokens.refused(token)
        raise AssertionError("unreachable")

    def _token_with_permits(self, permits: Sequence[Permit]) -> tuple[Secret, Sequence[Place]]:
        """Permits first, then the token. A refresh takes its time, and permits age: then new ones are due."""
        for _ in range(3):
            places = self._books.take(permits)
            taken_at = time.monotonic()
            fresh = False
            try:
                token = self._tokens.token()
                fresh = time.monotonic() - taken_at <= PERMIT_LIFE_S
            finally:
                if not fresh:
                    self._give_back(places)
            if fresh:
                return token, places
        raise Transient("The access token came too slowly, three times in a row.")

    def _give_back(self, places: Sequence[Place]) -> None:
        if places:
            self._books.give_back(places)

    def _follow(
        self,
        method: str,
        url: str,
        params: Pairs,
        headers: Pairs,
        body: bytes,
        token: Secret,
        permits: Sequence[Permit],
        max_body: int,
        timeout_s: float,
    ) -> Reply:
        ends_at = time.monotonic() + timeout_s
        sent_headers = dict(headers) | {"authorization": f"Bearer {token.reveal()}"}
        for redirects in range(_MOST_REDIRECTS + 1):
            if redirects:
                counted = [permit for permit in permits if not permit.budget.at_once]
                self._books.take(counted)  # The provider counts where it sends us as a request of its own.
            if token.reveal() in url or any(token.reveal() in text for _, text in params):
                raise BadRequest("An address held the access token; it was not used.")
            self._gate.open()
            reply = self._transport.exchange(
                method,
                url,
                hosts=self._hosts,
                params=params,
                headers=sent_headers,
                body=body,
                max_body=max_body,
                timeout_s=max(0.001, ends_at - time.monotonic()),
            )
            if reply.status not in _REDIRECTS or not reply.header("location"):
                return reply
            url, params = _redirected(method, url, reply), ()
        raise ProviderRefused(f"{urlsplit(url).hostname}: it redirects without end.")

    def _judge(self, reply: Reply, permits: Sequence[Permit], table: Classify | None) -> CrmSyncError | None:
        if reply.status < 300 or reply.status == 304:
            return None
        error = (table(reply) if table else None) or by_status(reply)
        if isinstance(error, RunAgainLater) and error.until is None:
            error.until = retry_hint(reply.header("retry-after"), self._now()).until
        if isinstance(error, Throttled):
            now, named = self._now(), error.until
            error.until = named or now + FIRST_UNNAMED_WAIT
            if isinstance(error, PartThrottled):
                return error  # The books know no parts: what else this person may ask for goes on.
            # Without Redis there is nothing to correct, and the provider's word is worth more than that news.
            with suppress(Unavailable):
                if named is None:
                    error.until = now + self._books.refused(permits, self._owners.get(BudgetScope.USER, self._sharer))
                else:
                    self._books.learned(permits, named - now)
        return error

    def _may_repeat(self, error: BaseException, *, safe: bool) -> bool:
        if not isinstance(error, RunAgainLater) or isinstance(error, Unavailable):
            return False
        if error.until is not None and error.until - self._now() >= _SLEEPABLE:
            return False
        if isinstance(error, Throttled):
            return True  # Refused, so nothing happened yet.
        return safe and isinstance(error, Transient)

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        pause = wait_random_exponential(multiplier=0.2, max=1.5)(state)
        if isinstance(error, RunAgainLater) and error.until is not None:
            pause += max(0.0, (error.until - self._now()).total_seconds())
        return pause


def by_status(reply: Reply) -> CrmSyncError:
    """The error that a status alone tells, for replies that no table explains."""
    status = reply.status
    if status == 401:
        return TokenExpired("The provider refused the access token (401).")
    if status == 429:
        return Throttled("The provider asked us to slow down (429).")
    if status in {404, 410}:
        return NotFound(f"The provider does not have it ({status}).")
    if status in {408, 425}:
        return Transient(f"The provider gave up waiting ({status}).")
    if status >= 500:
        return Transient(f"The provider failed ({status}).")
    return ProviderRefused(f"The provider answered {status}, which no table of ours explains.")


def _redirected(method: str, url: str, reply: Reply) -> str:
    target = urljoin(url, reply.header("location"))
    old, new = urlsplit(url), urlsplit(target)
    if method.upper() not in _SAFE_METHODS or new.scheme != "https" or new.netloc.lower() != old.netloc.lower():
        raise ProviderRefused(
            f"{old.hostname}: it redirected ({reply.status}) to another host or changed a request with effect; "
            "this is not followed."
        )
    return target

"""The books of what providers let us spend: permits for one request, taken from several buckets at once or from none.

    permits ▶ one script in Redis, on Redis' clock ▶ taken
                                                   └ wait: under a second is slept here, longer is BudgetSpent(until)

A window is cut into `SLOTS` slots, and `COUNTED` of them are added up: the window, one for the part of a slot that
it may begin in, and two for the time between a permit and its request's arrival at the provider. So no window of the
provider's length holds more than its limit, and 60/63 of the limit can be used at a steady rate.

A budget of what may be under way at once is kept as leases, taken by the same script and given back after the reply. A
worker that is killed gives nothing back: its places are free again when their time is over. Who has to wait for places
stands in a line, and is passed by no longer than a quarter of a second: a batch, which needs several, would else wait
for ever. For the same reason who needs several may wait for them for five seconds, and not for one.

Without Redis there are no permits. A Redis that lost its data is told by the missing book, and every bucket then
counts as full for the length of its own window. Only who can prove that nothing was ever spent (`first_book`) opens
the book with empty buckets. It decides nothing about requests, and keeps no state of its own.
"""

import math
import random
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Final, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from worker.errors import BudgetSpent, Misconfigured, Unavailable
from worker.transport.ports import Budget, BudgetScope

SLOTS: Final = 60
COUNTED: Final = 63
PERMIT_LIFE_S: Final = 2.0
"""How long a permit is good for: two of the counted slots of a minute. An older one is spent, and a new one is due."""

FIRST_UNNAMED_WAIT: Final = timedelta(seconds=5)
LONGEST_UNNAMED_WAIT: Final = timedelta(seconds=60)
"""How long a bucket stays closed after a 429 that names no moment. Source: providers/google.md §5.4, "start at 5 s"."""
_UNCOUNTED: Final = Budget("uncounted", BudgetScope.USER, 1, LONGEST_UNNAMED_WAIT, "none: no window is known")
_SLEEPABLE_S = 1.0
_SLEEPABLE_FOR_SEVERAL_S = 5.0
"""Who needs several places gets them when those before are through, which takes as long as the provider takes to
answer. One who came back later would stand behind all that came meanwhile, and so for ever."""
_NEXT_S = 0.01
_BUSY_S = 0.05
_BUSY_AGAIN_S = 0.5
"""How long one waits for a place before asking again: the first in the line, the others, and a parked job."""
_REDIS_TIMEOUT_S = 2.0
_FIRST_ONE_S = 0.3
"""How long one who is not the first waits for the first one's book, before all is taken for spent."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What one request takes from one bucket: `units` of `budget`, which belongs to `owner`.

    `owner` is an id or an HMAC, never an address or a name, for it stands in Redis. `sharer` names the workspace
    among which a budget of the whole app is shared out.
    """

    budget: Budget
    owner: str
    units: int
    sharer: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What one request holds of what may be under way at once, until it is given back."""

    key: str
    lease: str
    units: int


class Budgets:
    """The books, in one Redis that all processes share. Safe for threads; a forked child makes its own.

    `scale` multiplies every limit (development only). `first_book` is asked when Redis holds no book: True, once in
    a deployment's life, if nothing was ever spent before. `now_ms` and `sleep` are for tests.
    """

    def __init__(
        self,
        redis_url: str,
        scale: float = 1.0,
        *,
        first_book: Callable[[], bool] = lambda: False,
        prefix: str = "crm-sync:budget",
        now_ms: Callable[[], int] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # One repetition heals an idle connection that the server closed. If a reply was lost it spends twice, which
        # errs on the safe side.
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=_REDIS_TIMEOUT_S,
            socket_connect_timeout=_REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
        )
        scripts = files("worker.transport")
        self._take = self._redis.register_script(scripts.joinpath("budgets.lua").read_text(encoding="utf-8"))
        self._close = self._redis.register_script(scripts.joinpath("close_budget.lua").read_text(encoding="utf-8"))
        self._scale = scale
        self._first_book = first_book
        self._prefix = prefix
        self._now_ms = now_ms
        self._sleep = sleep

    def limit(self, budget: Budget) -> int:
        """The units of a window after scaling. How many may be under way at once is no rate, and is not scaled."""
        if budget.at_once:
            return budget.limit
        return max(1, int(budget.limit * self._scale))

    def take(self, permits: Sequence[Permit]) -> tuple[Place, ...]:
        """Take all permits, or none; what it returns is to be given back. Sleeps a second, for several places five.

        Raises:
            BudgetSpent: they are not free in that time, but may be at `until`.
            Misconfigured: one request costs more than a whole window allows.
            Unavailable: Redis does not answer, so there are no permits.
        """
        asked = [permit for permit in permits if permit.units > 0]
        if not asked:
            return ()
        for permit in asked:
            if permit.units > self.limit(permit.budget):
                raise Misconfigured(
                    f"One request costs {permit.units} of the budget {permit.budget.name}, which allows "
                    f"{self.limit(permit.budget)} in {permit.budget.window}. Raise CRM_SYNC_QUOTA_SCALE or the budget."
                )
        several = any(permit.budget.at_once and permit.units > 1 for permit in asked)
        may_sleep_s = _SLEEPABLE_FOR_SEVERAL_S if several else _SLEEPABLE_S
        lease = uuid.uuid4().hex
        while wait_s := self._ask(asked, lease):
            if wait_s > min(may_sleep_s, _SLEEPABLE_S):
                self._leave_line(asked, lease)
                wait_s = max(wait_s, _BUSY_AGAIN_S)
                until = datetime.now(UTC) + timedelta(seconds=wait_s)
                names = ", ".join(sorted({permit.budget.name for permit in asked}))
                raise BudgetSpent(f"The budget is spent ({names}); free in {wait_s:.1f} s or so.", until=until)
            self._sleep(wait_s)
            may_sleep_s -= wait_s
        return tuple(Place(self._key(each), lease, each.units) for each in asked if each.budget.at_once)

    def give_back(self, places: Sequence[Place]) -> None:
        """The request is over. Without Redis the places come back by themselves, in their time."""
        for place in places:
            members = [f"{place.lease}:{number}" for number in range(1, place.units + 1)]
            with suppress(RedisError):
                self._redis.zrem(place.key, *members)

    def _leave_line(self, permits: Sequence[Permit], lease: str) -> None:
        for permit in permits:
            if permit.budget.at_once:
                # Without Redis one's standing ends by itself, in half a second.
                with suppress(RedisError):
                    line, standing = self._waiting(permit)
                    self._redis.zrem(line, f"{lease}:{permit.units}")
                    self._redis.zrem(standing, f"{lease}:{permit.units}")

    def learned(self, permits: Sequence[Permit], wait: timedelta) -> None:
        """The provider refused though we had permits: close the narrowest of the buckets for `wait`.

        The narrowest, since one user's limit says nothing of the others'. If it was the app's that is spent, each
        user's bucket closes at its own first refusal.

        Raises:
            Unavailable: Redis does not answer.
        """
        if _windows(permits) and wait > timedelta(0):
            self._shut(_windows(permits), wait)

    def refused(self, permits: Sequence[Permit], owner: str = "") -> timedelta:
        """The provider refused and named no time: close the narrowest bucket; returns for how long.

        From five seconds up to a minute: twice as long with each time in a row. What takes from no window has a bucket
        of its `owner` for this alone: nothing is ever taken from it, and it remembers how often it was refused.

        Raises:
            Unavailable: Redis does not answer.
        """
        return self._shut(_windows(permits) or [Permit(_UNCOUNTED, owner, 0)], None)

    def _shut(self, permits: Sequence[Permit], wait: timedelta | None) -> timedelta:
        permit = min(permits, key=lambda each: _NARROWNESS[each.budget.scope])
        window_ms = _milliseconds(permit.budget.window)
        asked = [
            self._clock(),
            "" if wait is None else _milliseconds(wait),
            window_ms * COUNTED // SLOTS,
            _milliseconds(FIRST_UNNAMED_WAIT),
            _milliseconds(LONGEST_UNNAMED_WAIT),
        ]
        try:
            return timedelta(milliseconds=cast("int", self._close(keys=[self._key(permit)], args=asked)))
        except RedisError as error:
            raise _away(error) from None

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()

    def _ask(self, permits: Sequence[Permit], lease: str) -> float:
        """Seconds to wait; 0 when the permits were taken."""
        answer = self._run(permits, "", lease)
        if answer[0] == "no book":
            answer = self._open_book(permits, lease)
        if answer[0] == "busy":
            return (_NEXT_S if answer[1] == "0" else _BUSY_S) * random.uniform(0.5, 1.5)  # noqa: S311 - it spreads, and hides nothing.
        return int(answer[1]) / 1000 if answer[0] == "wait" else 0.0

    def _open_book(self, permits: Sequence[Permit], lease: str) -> list[str]:
        if self._first_book():
            return self._run(permits, "first", lease)
        # Whoever was told that it is the first may be about to open it: a deployment begins with many threads at once.
        self._sleep(_FIRST_ONE_S)
        answer = self._run(permits, "", lease)
        return self._run(permits, "lost", lease) if answer[0] == "no book" else answer

    def _run(self, permits: Sequence[Permit], opening: str, lease: str) -> list[str]:
        keys = [f"{self._prefix}:book"]
        arguments: list[str | int] = [self._clock(), opening, SLOTS, COUNTED]
        for permit in permits:
            keys += [self._key(permit), *self._waiting(permit)]
            arguments += [self.limit(permit.budget), _milliseconds(permit.budget.window), permit.units, permit.sharer]
            arguments.append(lease if permit.budget.at_once else "")
        try:
            return cast("list[str]", self._take(keys=keys, args=arguments))
        except RedisError as error:
            raise _away(error) from None

    def _waiting(self, permit: Permit) -> tuple[str, str]:
        key = self._key(permit)
        return f"{key}:waiting", f"{key}:standing" if permit.budget.at_once else f"{key}:of:{permit.sharer}"

    def _key(self, permit: Permit) -> str:
        return f"{self._prefix}:{permit.budget.name}:{permit.owner}"

    def _clock(self) -> str | int:
        return "" if self._now_ms is None else self._now_ms()


_NARROWNESS = {BudgetScope.USER: 0, BudgetScope.ACCOUNT: 1, BudgetScope.APP: 2}


def _windows(permits: Sequence[Permit]) -> list[Permit]:
    return [permit for permit in permits if not permit.budget.at_once]


def _milliseconds(window: timedelta) -> int:
    return math.ceil(window / timedelta(milliseconds=1))


def _away(error: RedisError) -> Unavailable:
    return Unavailable(
        f"Redis gives no permits ({type(error).__name__}). Check CRM_SYNC_REDIS_URL and the server; "
        "work goes on by itself when it answers."
    )

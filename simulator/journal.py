"""The log of every request, so that a test can prove what was called and what was not.

No bearer, code, secret or verifier is ever written down: a parameter that carries one shows only that it was there,
a page or sync token shows a digest, by which two can be compared.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.clock import Clock
from simulator.exchange import Request

_SECRET = frozenset(
    {"access_token", "oauth_token", "client_secret", "code", "code_verifier", "id_token", "refresh_token", "token",
     "key", "state", "code_challenge"}
)  # fmt: skip
_KEPT = 100_000
_CURSORS = frozenset({"pageToken", "syncToken", "$skiptoken", "$deltatoken"})


@dataclass(slots=True)
class Entry:
    """A request as it is shown to tests; `status` is None until a reply exists and 0 when none was given."""

    number: int
    simulated_at: float
    real_at: float
    request: Request
    status: int | None = None
    body_bytes: int = 0
    carried_out: bool = False

    def shown(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        request, notes = self.request, self.request.notes
        return {
            "number": self.number,
            "simulated_at": self.simulated_at,
            "real_at": self.real_at,
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "query": shown_query(request),
            "form": notes.form,
            "account": notes.account,
            "grant": notes.grant,
            "status": self.status,
            "carried_out": self.carried_out,
            "quota_units": notes.quota_units,
            "bytes": self.body_bytes,
            "fault": notes.fault,
            "inner": notes.inner,
        }


def shown_query(request: Request) -> dict[str, list[str]]:
    """Return the query's names and values, without what must not be written down."""
    shown: dict[str, list[str]] = {}
    for key, value in request.query:
        shown.setdefault(key, []).append(shown_value(key, value))
    return shown


def shown_value(key: str, value: str) -> str:
    """Return a parameter's value as the log may hold it."""
    if key in _SECRET:
        return "[hidden]"
    if key in _CURSORS:
        return "digest:" + hashlib.sha256(value.encode()).hexdigest()[:12]
    return value


class Journal:
    """The newest hundred thousand requests since the last clearing; a clearing leaves the running totals alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._next = 1
        self.requests = 0
        self.throttled = 0
        self.by_host: dict[str, int] = {}
        self.by_status: dict[str, int] = {}

    def open(self, request: Request) -> Entry:
        """Write down that a request came."""
        entry = Entry(self._next, self._clock.now(), time.time(), request)
        self._next += 1
        self._entries.append(entry)
        self.requests += 1
        self.by_host[request.host] = self.by_host.get(request.host, 0) + 1
        return entry

    def close(self, entry: Entry, status: int, body_bytes: int) -> None:
        """Write down how it ended; status 0 means without a reply."""
        entry.status = status
        entry.body_bytes = body_bytes
        self.by_status[str(status)] = self.by_status.get(str(status), 0) + 1
        self.throttled += status == 429

    def since(
        self,
        number: int = 0,
        host: str | None = None,
        path: str | None = None,
        account: str | None = None,
        *,
        fits: Callable[[Request], bool] = lambda _request: True,
    ) -> list[dict[str, Any]]:
        """Return entries after a number, whose host is `host`, whose path contains `path`, that are `account`'s."""
        return [
            entry.shown()
            for entry in self._entries
            if entry.number > number
            and (host is None or entry.request.host == host)
            and (path is None or path in entry.request.path)
            and (account is None or account == entry.request.notes.account)
            and fits(entry.request)
        ]

    @property
    def last_number(self) -> int:
        """The number of the newest request, 0 before the first."""
        return self._next - 1

    def clear(self) -> None:
        """Forget the entries; numbers go on."""
        self._entries.clear()

"""A connector's session over the real transport and the real door, with the network replaced by a function."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import httpx

from worker.connectors.contract import Stream
from worker.records import FULL_PASS, Body, Page, Part
from worker.transport.client import Transport
from worker.transport.ports import Budget, BudgetScope, Secret
from worker.transport.session import ProviderSession

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Ports:
    """Gate, token source and books that never refuse; `units` is what was spent of each budget."""

    def __init__(self, token: str = "token") -> None:
        self._token = token
        self.units: dict[str, int] = {}

    def open(self) -> None: ...

    def token(self) -> Secret:
        return Secret(self._token)

    def refused(self, token: Secret) -> None: ...

    def take(self, permits: Iterable[Any]) -> None:
        for permit in permits:
            self.units[permit.budget.name] = self.units.get(permit.budget.name, 0) + permit.units

    def learned(self, permits: Any, wait: Any) -> None: ...


class ConnectorSession:
    """What a connector is handed; `held` are the keys that we hold."""

    def __init__(
        self,
        transport: Transport,
        hosts: Iterable[str],
        budgets: Iterable[Budget],
        *,
        token: str = "token",
        **options: Any,
    ) -> None:
        self.ports = Ports(token)
        self.options: dict[str, int | str] = options
        self.held: set[str] = set()
        self.keeping: dict[str, Any] = {}
        self.http = ProviderSession(
            transport, hosts=set(hosts), tokens=self.ports, gate=self.ports, books=self.ports,  # type: ignore[arg-type]
            budgets=tuple(budgets), owners={BudgetScope.USER: "u", BudgetScope.APP: "a"}, sharer="w",
            sleep=lambda _: None, now=self.now,
        )  # fmt: skip

    def now(self) -> datetime:
        return NOW

    def known(self, part: Part, keys: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 -- the contract names it
        return frozenset(keys) & self.held

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.keeping:
            self.keeping[name] = make()
        return self.keeping[name]


def scripted(handler: Callable[[httpx.Request], httpx.Response]) -> Transport:
    def streamed(request: httpx.Request) -> httpx.Response:
        made = handler(request)
        headers = {"content-type": made.headers.get("content-type", "")}
        return httpx.Response(made.status_code, headers=headers, stream=httpx.ByteStream(made.content))

    return Transport(network=httpx.MockTransport(streamed))


class Held:
    """What we hold of a part: the engine's rules in a few lines, to judge a connector by what its pages lead to."""

    def __init__(self) -> None:
        self.records: dict[str, Body] = {}
        self.refused: dict[str, str] = {}
        self.cursor: bytes | None = None
        self.pages: list[Page] = []
        self._seen: set[str] = set()
        self._whole = False

    def take(self, page: Page) -> None:
        self.pages.append(page)
        for record in page.records:
            for old in record.previous_keys:
                self.records.pop(old, None)
            self.records[record.key] = record.body
            self.refused.pop(record.key, None)
        for key in set(page.tombstones) - {record.key for record in page.records}:
            self.records.pop(key, None)
        self.refused |= {item.key: item.reason for item in page.refused}
        self._seen |= {record.key for record in page.records} | set(page.present) | {item.key for item in page.refused}
        if not page.more and page.covers == FULL_PASS:
            self.records = {key: body for key, body in self.records.items() if key in self._seen}
        if not page.more:
            self._seen.clear()
        self.cursor = page.cursor

    def run(self, stream: Any, session: Any, part: Part | None = None, *, most_pages: int | None = None) -> None:
        """Turn pages to the end, or only so many and then stop, as a killed worker does."""
        source = stream.pages(session, part or Part(), self.cursor)
        for number, page in enumerate(source, start=1):
            self.take(page)
            if hasattr(session, "held"):
                session.held = set(self.records)
            if not page.more or page.not_before is not None or number == most_pages:
                return

    def forget_place(self) -> None:
        """The cursor died: a full pass begins."""
        self.cursor = None
        self._seen.clear()


__all__ = ["NOW", "ConnectorSession", "Held", "Ports", "Stream", "scripted"]

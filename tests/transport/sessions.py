"""A session over a real transport and real books, its ports filled with small objects that write down the order."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from worker.errors import CrmSyncError
from worker.transport.budgets import Budgets
from worker.transport.client import Transport
from worker.transport.ports import Budget, BudgetScope, Cost, Secret
from worker.transport.session import ProviderSession

HOST = "people.example.com"
URL = f"https://{HOST}/v1/things"
READS = Budget("reads", BudgetScope.USER, 1000, timedelta(minutes=1), "made up for tests")
COSTS = (Cost("reads"),)


class Ports:
    """Gate and token source in one; `steps` is the order of what was asked."""

    def __init__(self, *, shut: CrmSyncError | None = None) -> None:
        self.steps: list[str] = []
        self.number = 1
        self.shut = shut

    def open(self) -> None:
        self.steps.append("gate")
        if self.shut is not None:
            raise self.shut

    def token(self) -> Secret:
        self.steps.append("token")
        return Secret(f"CANARY-token-{self.number}")

    def refused(self, token: Secret) -> None:  # noqa: ARG002 -- the port names it
        self.steps.append("refused")
        self.number += 1


class NotedBudgets(Budgets):
    """The real books, which also write down that they were asked."""

    steps: Sequence[str] = ()

    def take(self, permits: Any) -> None:
        if isinstance(self.steps, list):
            self.steps.append("permits")
        super().take(permits)


def session(
    transport: Transport, redis_url: str, ports: Ports, sleep: Callable[[float], None] = lambda _: None, **more: Any
) -> ProviderSession:
    books = NotedBudgets(redis_url, first_book=lambda: True)
    books.steps = ports.steps
    return ProviderSession(
        transport, hosts={HOST}, tokens=ports, gate=ports, books=books, budgets=[READS],
        owners={BudgetScope.USER: "u1"}, sharer="w1", sleep=sleep, **more,
    )  # fmt: skip

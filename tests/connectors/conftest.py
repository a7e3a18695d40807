"""The simulated Google for tests of connectors that speak to it over the real transport."""

from collections.abc import Callable, Iterator

import pytest

from simulator.client import Simulator
from tests.connectors.sessions import ConnectorSession
from worker.connectors import gmail
from worker.transport.client import Transport

SCOPES = [*gmail.FACTS.scope_reasons]


@pytest.fixture(scope="module")
def _simulator() -> Iterator[Simulator]:
    with Simulator.start(seed=11, people=2_300, messages=260, events=80, accounts=2, quota_scale=1000) as running:
        yield running


@pytest.fixture
def simulator(_simulator: Simulator) -> Iterator[Simulator]:
    yield _simulator
    _simulator.control("reset", {})


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["accounts"][0])


@pytest.fixture
def session_of(simulator: Simulator) -> Iterator[Callable[..., ConnectorSession]]:
    transport = Transport(route=simulator.url)

    def make(account: str, scopes: list[str] = SCOPES, **options: int) -> ConnectorSession:
        token = str(simulator.grant(account, scopes)["access_token"])
        return ConnectorSession(transport, gmail.FACTS.hosts, gmail.FACTS.budgets, token=token, **options)

    yield make
    transport.close()

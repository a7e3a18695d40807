"""The simulated Google and Microsoft for tests of connectors that speak to them over the real transport."""

from collections.abc import Callable, Iterator

import pytest

from simulator.client import Simulator
from tests.connectors.microsoft import access_token, session_over
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


@pytest.fixture(scope="module")
def _microsoft() -> Iterator[Simulator]:
    with Simulator.start(seed=12, people=120, messages=150, events=60, accounts=2, quota_scale=1000) as running:
        yield running


@pytest.fixture
def microsoft(_microsoft: Simulator) -> Iterator[Simulator]:
    yield _microsoft
    _microsoft.control("reset", {})


@pytest.fixture
def person(microsoft: Simulator) -> str:
    return str(microsoft.facts["microsoft"]["accounts"][0])


@pytest.fixture
def graph(microsoft: Simulator, person: str) -> Iterator[Callable[..., ConnectorSession]]:
    """Sessions of a person's own, for what they consent to."""
    transport = Transport(route=microsoft.url)

    def make(*scopes: str, **options: int) -> ConnectorSession:
        token = access_token(microsoft, person, list(scopes)) if scopes else access_token(microsoft, person)
        return session_over(transport, token, **options)

    yield make
    transport.close()

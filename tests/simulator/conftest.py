"""Simulators as processes of their own. The shared one is put back to its beginning after each test."""

from collections.abc import Iterator

import pytest

from simulator.client import Simulator
from tests.simulator.calls import EPOCH


@pytest.fixture(scope="session")
def _shared_simulator() -> Iterator[Simulator]:
    with Simulator.start(seed=7, people=120, accounts=3, epoch=EPOCH, quota_scale=100) as running:
        yield running


@pytest.fixture
def simulator(_shared_simulator: Simulator) -> Iterator[Simulator]:
    yield _shared_simulator
    _shared_simulator.control("reset", {})


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["accounts"][0])


@pytest.fixture
def token(simulator: Simulator, account: str) -> str:
    """An access token of the account for contacts and other contacts."""
    scopes = [f"https://www.googleapis.com/auth/contacts{end}" for end in (".readonly", ".other.readonly")]
    return str(simulator.grant(account, scopes)["access_token"])

"""Contacts the whole way: consent, vault, ledger, scheduler, doorbell, connector, Postgres, feed, disconnect."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment
from worker.settings import Settings


@pytest.fixture
def deployment(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with Deployment.start(settings, tmp_path) as running:
        yield running


def names(items: list[Any]) -> list[str]:
    return sorted(item.display_name for item in items)


def test_first_light_contacts_arrive_as_the_provider_holds_them(deployment: Deployment) -> None:
    connection = deployment.connect()
    deployment.sync(connection)
    truth = deployment.simulator.truth(deployment.accounts[0], "contacts")
    assert names(deployment.held(connection, "contacts")) == sorted(item["display_name"] for item in truth)

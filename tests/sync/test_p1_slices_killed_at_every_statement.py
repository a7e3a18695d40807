"""P1 for measures: a slice of days is replaced whole or not at all, whenever its worker is killed or stopped."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.postgres_proxy import PostgresProxy
from tests.sync.measured import TODAY, AdWorld, Reader, held, restated
from tests.sync.one_connection import OneConnection
from tests.sync.test_p1_killed_at_every_statement import (
    adds_up,
    another_worker_takes_over,
    counters,
    run_killed_at,
    statements_of,
)
from worker.errors import ConnectionStopped
from worker.settings import Role
from worker.store.database import Database

Make = Callable[[AdWorld], OneConnection]


def a_world() -> AdWorld:
    """Three slices of two campaigns, one row that cannot be read."""
    world = AdWorld(days=6, days_a_page=2, reading=1).fill(2)
    world.broken = {("c1", TODAY - timedelta(days=3))}
    return world


def after_restatements(world: AdWorld) -> None:
    """A row that changed, one that became zero, a new one, and one that can be read again."""
    rows = world.accounts["111"]
    rows["c0", TODAY] = restated(rows["c0", TODAY], cost_micros=1)
    del rows["c1", TODAY]
    world.spend("c7", TODAY - timedelta(days=5), 7)
    world.broken = set()
    world.reading = 2


@pytest.fixture
def worker_url(database_urls: dict[Role, str]) -> str:
    return database_urls[Role.WORKER]


def told(one: OneConnection) -> list[Any]:
    return sorted((event for event, _ in one.events()), key=str)


@pytest.mark.slow
@pytest.mark.parametrize("runs", ["first", "second"])
def test_p1_a_worker_killed_at_any_statement_leaves_what_an_undisturbed_run_leaves(
    bench: Make, worker_url: str, runs: str
) -> None:
    def prepared() -> tuple[OneConnection, Reader]:
        one = bench(a_world())
        reader = Reader(one)
        if runs == "second":
            one.sync()
            reader.read()
            one.begin_again()
            after_restatements(one.world)
        return one, reader

    quiet, _ = prepared()
    total = statements_of(quiet, worker_url)
    expected, expected_events = counters(quiet), told(quiet)
    truth = held(quiet)
    assert total > 20
    for number in range(total):
        one, reader = prepared()
        killed = run_killed_at(one, worker_url, number, after=bool(number % 2))
        assert reader.read() == held(one), f"feed and rows differ after a kill at statement {number}"
        another_worker_takes_over(one)
        assert held(one) == truth, f"statement {number}, killed: {killed}"
        assert reader.read() == truth
        assert counters(one) == expected, f"statement {number}, killed: {killed}"
        assert told(one) == expected_events
        assert all(adds_up(row) for row in counters(one))


@pytest.mark.slow
def test_p1_a_stop_at_any_statement_lets_no_later_slice_through(bench: Make, worker_url: str) -> None:
    total = statements_of(bench(a_world()), worker_url)
    raced = 0
    for number in range(total):
        one = bench(a_world())
        held_at_stop: list[int] = []
        stopping = stop_and_count(one, held_at_stop)

        def at_statement(count: int, _text: str, number: int = number, stopping: Any = stopping) -> None:
            if count == number:
                stopping.start()
                stopping.join(0.05)

        with (
            PostgresProxy(worker_url, at_statement) as proxy,
            Database(proxy.url, name="raced") as database,
            suppress(ConnectionStopped),
        ):
            one.sync(database=database)
        if stopping.ident is None:
            continue
        stopping.join(10)
        raced += 1
        assert len(held(one)) == held_at_stop[0], f"a slice came after the stop at statement {number}"
        assert Reader(one).read() == held(one)
    assert raced > 0.9 * total


def stop_and_count(one: OneConnection, counted: list[int]) -> Any:
    """A thread that stops the connection, and counts in the same transaction what is held then."""
    import threading
    import time

    def stop() -> None:
        with one.database.transaction(one.workspace) as tx:
            tx.execute(
                "UPDATE crm_sync.connection SET epoch = epoch + 1, state = 'disconnected' WHERE connection_id = %s",
                [one.connection_id],
            )
            time.sleep(0.01)
            row = tx.execute(
                "SELECT count(*) AS held FROM crm_sync.measure WHERE connection_id = %s", [one.connection_id]
            ).fetchone()
        assert row is not None
        counted.append(row["held"])

    return threading.Thread(target=stop)

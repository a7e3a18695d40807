"""P1: a worker killed at any statement of its pages leaves nothing half done, and a stop lets no page through."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.postgres_proxy import Cut, PostgresProxy
from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World, world_of
from worker.errors import ConnectionStopped
from worker.settings import Role
from worker.store.database import Database

Make = Callable[[World], OneConnection]


def a_world() -> World:
    """Three pages, one record that cannot be read, one key that stands on two pages."""
    world = world_of(8)
    world.refuse = {"p0004"}
    return world


def after_changes(world: World) -> None:
    """A full pass that changes, moves, deletes and sweeps."""
    world.put("p0001", "Changed")
    world.drop("p0002")
    world.put("p0009", "New")
    world.refuse = set()
    world.forget_changes()


def counters(one: OneConnection) -> list[dict[str, Any]]:
    columns = "seen, saved, unchanged, deleted, repeated, skipped, refused, swept, in_full_pass, pass_id"
    return one.rows(f"SELECT {columns} FROM crm_sync.part WHERE connection_id = %s", one.connection_id)


def adds_up(row: dict[str, Any]) -> bool:
    ends = ("saved", "unchanged", "deleted", "repeated", "skipped", "refused")
    return row["seen"] == sum(row[name] for name in ends)


def runs_in_a_child(one: OneConnection, url: str, keys_url: str) -> int:
    """The run in a forked process with connections of its own, the engine's over `url`; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with Database(url, name="victim") as database, Database(keys_url, name="victim-keys") as keys_database:
            one.move_to(database, keys_database)
            one.sync()
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happens.
        os._exit(1)
    os._exit(0)


def run_killed_where(one: OneConnection, url: str, is_here: Callable[[int, str], bool]) -> bool:
    """Run in a child that is killed before it sends the statement of that number and text; False if it ended first."""
    victim: list[int] = []
    started = threading.Event()
    killed = threading.Event()

    def at_statement(count: int, text: str) -> None:
        if is_here(count, text):
            started.wait(10)
            os.kill(victim[0], signal.SIGKILL)
            killed.set()
            raise Cut

    with PostgresProxy(url, at_statement) as proxy:
        victim.append(runs_in_a_child(one, proxy.url, url))
        started.set()
        os.waitpid(victim[0], 0)
    return killed.is_set()


def run_killed_at(one: OneConnection, url: str, number: int, *, after: bool) -> bool:
    """Run in a child that is killed before (or right after) its statement `number` is sent; False if it ended first."""
    return run_killed_where(one, url, lambda count, _text: count == number + after)


def another_worker_takes_over(one: OneConnection) -> None:
    """The reconciler gave the job to somebody else, who runs it to the end."""
    with one.database.transaction(one.workspace) as tx:
        row = tx.execute(
            "UPDATE crm_sync.job SET lease_epoch = lease_epoch + 1 WHERE job_id = %s RETURNING lease_epoch",
            [one.job_id],
        ).fetchone()
    assert row is not None
    one.lease_epoch = row["lease_epoch"]
    one.sync(resume=True)


@pytest.fixture
def worker_url(database_urls: dict[Role, str]) -> str:
    return database_urls[Role.WORKER]


def statements_of(one: OneConnection, url: str) -> int:
    """How many statements an undisturbed run sends."""
    with PostgresProxy(url, lambda _number, _text: None) as proxy:
        pid = runs_in_a_child(one, proxy.url, url)
        _, status = os.waitpid(pid, 0)
        assert status == 0, "the undisturbed run failed"
        return proxy.statements


@pytest.mark.slow
@pytest.mark.parametrize("passes", ["first", "second"])
def test_p1_a_worker_killed_at_any_statement_leaves_what_an_undisturbed_run_leaves(
    bench: Make, worker_url: str, passes: str
) -> None:
    def prepared() -> OneConnection:
        one = bench(a_world())
        if passes == "second":
            one.sync()
            one.begin_again()
            after_changes(one.world)
        return one

    quiet = prepared()
    total = statements_of(quiet, worker_url)
    expected, expected_events = counters(quiet), sorted(event for event, _ in quiet.events())
    assert total > 30
    for number in range(total):
        one = prepared()
        killed = run_killed_at(one, worker_url, number, after=bool(number % 2))
        held_now = one.names()
        assert one.replay() == set(held_now), f"feed and records differ after a kill at statement {number}"
        another_worker_takes_over(one)
        assert one.names() == one.truth(), f"statement {number}, killed: {killed}"
        assert one.replay() == set(one.truth())
        assert counters(one) == expected, f"statement {number}, killed: {killed}"
        assert sorted(event for event, _ in one.events()) == expected_events
        assert all(adds_up(row) for row in counters(one))


@pytest.mark.slow
def test_p1_a_stop_at_any_statement_lets_no_later_page_through(bench: Make, worker_url: str) -> None:
    total = statements_of(bench(a_world()), worker_url)
    raced = 0
    for number in range(total):
        one = bench(a_world())
        held_at_stop: list[int] = []
        stopping = threading.Thread(target=stop_and_count, args=(one, held_at_stop))

        def at_statement(count: int, _text: str, number: int = number, stopping: threading.Thread = stopping) -> None:
            if count == number:
                stopping.start()
                stopping.join(0.05)  # Either it is through by now, or it waits for the page's transaction.

        with (
            PostgresProxy(worker_url, at_statement) as proxy,
            Database(proxy.url, name="raced") as database,
            suppress(ConnectionStopped),
        ):
            one.sync(database=database)
        if stopping.ident is None:
            continue  # Setting up the connection takes a statement more or less from run to run.
        stopping.join(10)
        raced += 1
        assert len(one.names()) == held_at_stop[0], f"a page came after the stop at statement {number}"
        assert one.replay() == set(one.names())
    assert raced > 0.9 * total


def stop_and_count(one: OneConnection, held: list[int]) -> None:
    """Stop the connection, and count in the same transaction what is held then."""
    with one.database.transaction(one.workspace) as tx:
        tx.execute(
            "UPDATE crm_sync.connection SET epoch = epoch + 1, state = 'disconnected' WHERE connection_id = %s",
            [one.connection_id],
        )
        time.sleep(0.01)
        row = tx.execute(
            "SELECT count(*) AS held FROM crm_sync.document WHERE connection_id = %s", [one.connection_id]
        ).fetchone()
    assert row is not None
    held.append(row["held"])

"""P10: what may be under way at once, as leases in a real Redis, over threads, processes and their deaths."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from tests.conftest import ROOT
from tests.transport.raw_server import raw_server, reply
from tests.transport.sessions import HOST, URL, Ports
from worker.errors import BudgetSpent, Transient
from worker.transport.budgets import Budgets, Permit
from worker.transport.client import Transport
from worker.transport.ports import Budget, BudgetScope, Cost
from worker.transport.session import ProviderSession

FOUR = Budget("four", BudgetScope.USER, 4, timedelta(seconds=90), "made up for tests", at_once=True)
RATE = Budget("rate", BudgetScope.USER, 6, timedelta(minutes=1), "made up for tests")


def books(url: str, **more) -> Budgets:
    return Budgets(url, first_book=lambda: True, sleep=lambda _: None, **more)


class Waits(Exception): ...


def has_to_wait(url: str, units: int, **more) -> bool:
    """Whether one who comes now would wait; who does so is killed while waiting."""

    def killed(_: float) -> None:
        raise Waits

    book = Budgets(url, first_book=lambda: True, sleep=killed, **more)
    try:
        book.give_back(book.take([Permit(FOUR, "u", units)]))
    except Waits:
        return True
    return False


def test_no_more_than_four_are_under_way_and_a_place_given_back_is_free(redis_url) -> None:
    book = books(redis_url)
    held = [book.take([Permit(FOUR, "u", 1)]) for _ in range(4)]
    with pytest.raises(BudgetSpent):
        book.take([Permit(FOUR, "u", 1)])
    assert book.take([Permit(FOUR, "another", 1)])
    book.give_back(held[0])
    book.give_back(held[0])
    assert book.take([Permit(FOUR, "u", 1)])
    with pytest.raises(BudgetSpent):
        book.take([Permit(FOUR, "u", 1)])


def test_a_batch_takes_all_its_places_or_none_and_spends_nothing_while_it_waits(redis_url) -> None:
    book = books(redis_url)
    one = book.take([Permit(FOUR, "u", 1)])
    with pytest.raises(BudgetSpent):
        book.take([Permit(RATE, "u", 6), Permit(FOUR, "u", 4)])
    book.give_back(one)
    assert book.take([Permit(RATE, "u", 6), Permit(FOUR, "u", 4)])
    with pytest.raises(BudgetSpent):
        book.take([Permit(RATE, "u", 1)])


def test_no_place_is_held_while_a_window_is_spent(redis_url) -> None:
    book = books(redis_url)
    book.take([Permit(RATE, "u", 6)])
    with pytest.raises(BudgetSpent):
        book.take([Permit(RATE, "u", 1), Permit(FOUR, "u", 4)])
    assert book.take([Permit(FOUR, "u", 4)])


def test_a_batch_that_waits_is_passed_by_for_a_moment_and_no_longer(redis_url) -> None:
    now = [1_800_000_000_000]
    book = books(redis_url, now_ms=lambda: now[0])
    held = [book.take([Permit(FOUR, "u", 1)])]
    waited = []

    def meanwhile(_: float) -> None:
        now[0] += 125
        if held:
            waited.append(has_to_wait(redis_url, 1, now_ms=lambda: now[0]))
        if len(waited) == 3:
            book.give_back(held.pop())

    batch = Budgets(redis_url, first_book=lambda: True, sleep=meanwhile, now_ms=lambda: now[0])
    places = batch.take([Permit(FOUR, "u", 4)])
    assert waited == [False, True, True], "three places were free all the time"
    batch.give_back(places)
    assert not has_to_wait(redis_url, 1, now_ms=lambda: now[0])


def test_a_batch_gets_its_turn_among_requests_that_take_seconds(redis_url) -> None:
    now = [1_800_000_000_000]
    book = books(redis_url, now_ms=lambda: now[0])
    ends_ms = now[0] + 2_500
    held = [book.take([Permit(FOUR, "u", 1)])]

    def meanwhile(waited_s: float) -> None:
        now[0] += round(waited_s * 1000) + 1
        if now[0] >= ends_ms and held:
            book.give_back(held.pop())

    batch = Budgets(redis_url, first_book=lambda: True, sleep=meanwhile, now_ms=lambda: now[0])
    assert batch.take([Permit(FOUR, "u", 4)])


def test_a_window_that_is_spent_is_slept_for_no_longer_by_who_needs_several_places(redis_url) -> None:
    now = [1_800_000_000_000]
    book = books(redis_url, now_ms=lambda: now[0])
    book.learned([Permit(RATE, "u", 1)], timedelta(seconds=2))
    slept: list[float] = []
    batch = Budgets(redis_url, first_book=lambda: True, sleep=slept.append, now_ms=lambda: now[0])
    with pytest.raises(BudgetSpent):
        batch.take([Permit(RATE, "u", 1), Permit(FOUR, "u", 4)])
    assert not slept


def test_who_fits_beside_those_before_does_not_wait_for_them(redis_url) -> None:
    book = books(redis_url)
    held = [book.take([Permit(FOUR, "u", 3)])]
    passed = []

    def meanwhile(_: float) -> None:
        if held:
            book.give_back(held.pop())
            book.take([Permit(FOUR, "u", 1)])
            passed.append(1)

    waiting = Budgets(redis_url, first_book=lambda: True, sleep=meanwhile)
    assert waiting.take([Permit(FOUR, "u", 2)])
    assert passed


def test_who_gave_up_stands_in_no_line(redis_url) -> None:
    book = books(redis_url)
    held = book.take([Permit(FOUR, "u", 1)])
    with pytest.raises(BudgetSpent):
        book.take([Permit(FOUR, "u", 4)])
    assert book.take([Permit(FOUR, "u", 1)])
    book.give_back(held)


def test_p5_one_who_is_killed_while_waiting_holds_nobody_up(redis_url) -> None:
    now = [1_800_000_000_000]
    books(redis_url, now_ms=lambda: now[0]).take([Permit(FOUR, "u", 1)])
    assert has_to_wait(redis_url, 4, now_ms=lambda: now[0])
    now[0] += 499
    assert has_to_wait(redis_url, 1, now_ms=lambda: now[0])
    now[0] += 2
    assert not has_to_wait(redis_url, 1, now_ms=lambda: now[0])


def test_places_of_the_dead_are_free_when_their_time_is_over(redis_url) -> None:
    now = [1_800_000_000_000]
    book = books(redis_url, now_ms=lambda: now[0])
    book.take([Permit(FOUR, "u", 4)])
    now[0] += 89_000
    with pytest.raises(BudgetSpent):
        book.take([Permit(FOUR, "u", 1)])
    now[0] += 1_001
    assert book.take([Permit(FOUR, "u", 4)])


def test_places_of_the_dead_are_free_in_their_time_also_when_the_clock_is_set_back(redis_url) -> None:
    now = [1_800_000_000_000]
    book = books(redis_url, now_ms=lambda: now[0])
    book.take([Permit(FOUR, "u", 4)])
    now[0] -= 3_600_000
    with pytest.raises(BudgetSpent):
        book.take([Permit(FOUR, "u", 1)])
    now[0] += 90_001
    assert book.take([Permit(FOUR, "u", 4)])


def test_places_that_were_taken_by_an_ask_whose_reply_was_lost_are_the_askers(redis_url, monkeypatch) -> None:
    book = books(redis_url)
    take = book._take
    monkeypatch.setattr(book, "_take", lambda **asked: (take(**asked), take(**asked))[1])
    held = book.take([Permit(FOUR, "u", 4)])
    assert sum(place.units for place in held) == 4
    book.give_back(held)
    assert not has_to_wait(redis_url, 4)


def test_a_refusal_closes_the_window_and_not_the_places(redis_url) -> None:
    book = books(redis_url)
    book.learned([Permit(FOUR, "u", 1), Permit(RATE, "u", 1)], timedelta(seconds=30))
    assert book.take([Permit(FOUR, "u", 1)])
    with pytest.raises(BudgetSpent):
        book.take([Permit(RATE, "u", 1)])
    assert book.refused([Permit(FOUR, "u", 1)]) > timedelta(0)


def test_how_many_at_once_is_not_scaled(redis_url) -> None:
    assert Budgets(redis_url, 1000.0).limit(FOUR) == 4


@pytest.mark.parametrize("answer", [reply(), reply(500), b""])
def test_a_session_gives_its_place_back_after_the_reply_whatever_it_was(redis_url, answer) -> None:
    with raw_server(answer) as server:
        transport = Transport(route=server.route)
        session = ProviderSession(
            transport, hosts={HOST}, tokens=Ports(), gate=Ports(), books=books(redis_url), budgets=[FOUR],
            owners={BudgetScope.USER: "u"}, sleep=lambda _: None,
        )  # fmt: skip
        for _ in range(3):
            try:
                session.send("GET", URL, costs=[Cost("four", 4)])
            except Transient:
                continue
        transport.close()
    assert books(redis_url).take([Permit(FOUR, "u", 4)])


def test_threads_share_four_places_and_all_get_their_turn(redis_url) -> None:
    book = Budgets(redis_url, first_book=lambda: True)
    under_way, most, lock, done = 0, 0, threading.Lock(), []

    def run() -> None:
        nonlocal under_way, most
        for _ in range(5):
            while True:
                try:
                    places = book.take([Permit(FOUR, "u", 1)])
                    break
                except BudgetSpent:
                    continue
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.005)
            with lock:
                under_way -= 1
            book.give_back(places)
            done.append(1)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), most <= 4) == (40, True)


HOLDER = """
import sys, time
from tests.transport.test_places import *
books(sys.argv[1]).take([Permit(FOUR, "u", 4)])
print("held", flush=True)
time.sleep(60)
"""


def test_p5_a_process_that_is_killed_keeps_its_places_no_longer_than_a_request_can_take(redis_url) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, redis_url], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    book = books(redis_url)
    with pytest.raises(BudgetSpent):
        book.take([Permit(FOUR, "u", 1)])
    later = int(time.time() * 1000) + 91_000
    assert books(redis_url, now_ms=lambda: later).take([Permit(FOUR, "u", 4)])

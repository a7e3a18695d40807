"""P10: the books against a real Redis, with a stepped clock where time matters."""

import itertools
import threading
from datetime import timedelta

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.errors import BudgetSpent, Misconfigured, Unavailable
from worker.transport.budgets import Budgets, Permit
from worker.transport.ports import Budget, BudgetScope

MINUTE_MS = 60_000
USER = Budget("user", BudgetScope.USER, 60, timedelta(minutes=1), "made up for tests")
APP = Budget("app", BudgetScope.APP, 100, timedelta(minutes=1), "made up for tests")
_prefixes = itertools.count()


class Clock:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


def books(url: str, clock: Clock, *, first: bool = True, prefix: str | None = None, scale: float = 1.0) -> Budgets:
    def sleep(seconds: float) -> None:
        clock.ms += round(seconds * 1000)

    return Budgets(
        url, scale, first_book=lambda: first, prefix=prefix or f"t{next(_prefixes)}", now_ms=clock, sleep=sleep
    )


def took(book: Budgets, *permits: Permit) -> bool:
    try:
        book.take(permits)
    except BudgetSpent:
        return False
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 25)), min_size=5, max_size=60))
def test_p10_no_window_holds_more_than_its_limit(redis_url, asks) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    spent: list[tuple[int, int]] = []
    for pause, units in asks:
        clock.ms += pause
        if took(book, Permit(USER, "u", units)):
            spent.append((clock.ms, units))
    book.close()
    for start, _ in spent:
        # Each request may reach the provider up to two seconds after its permit; so the window is longer by these.
        assert sum(units for at, units in spent if start <= at <= start + MINUTE_MS + 2000 - 1) <= 60


def test_p10_nine_tenths_of_the_rate_can_be_used(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    count = 0
    start = clock.ms
    while clock.ms < start + 10 * MINUTE_MS:
        count += took(book, Permit(USER, "u", 1))
        clock.ms += 250
    assert count >= 0.9 * 60 * 10


def test_permits_are_taken_from_all_buckets_or_from_none(redis_url) -> None:
    book = books(redis_url, Clock())
    assert took(book, Permit(USER, "u", 60))
    for _ in range(5):
        assert not took(book, Permit(USER, "u", 10), Permit(APP, "app", 50))
    assert took(book, Permit(APP, "app", 100))


def test_spent_budget_names_the_moment_when_it_is_free(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    assert took(book, Permit(USER, "u", 60))
    with pytest.raises(BudgetSpent, match=r"free in 6[0-3]\."):
        book.take([Permit(USER, "u", 1)])
    clock.ms += 63_001
    assert took(book, Permit(USER, "u", 60))


def test_wait_under_a_second_is_slept(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    assert took(book, Permit(USER, "u", 60))
    clock.ms += 62_500
    assert took(book, Permit(USER, "u", 1))


def test_p4_flushed_redis_hands_out_no_second_window(redis_url) -> None:
    clock = Clock()
    prefix = "flushed"
    assert took(books(redis_url, clock, prefix=prefix), Permit(USER, "u", 60))
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    later = books(redis_url, clock, first=False, prefix=prefix)
    assert not took(later, Permit(USER, "u", 1))
    assert not took(later, Permit(USER, "new", 1))
    clock.ms += 63_000
    assert took(later, Permit(USER, "u", 60))


def test_first_book_of_a_deployment_opens_with_empty_buckets(redis_url) -> None:
    assert took(books(redis_url, Clock(), first=True), Permit(USER, "u", 60))


def test_a_second_one_who_comes_before_the_first_has_opened_the_book_waits_for_it(redis_url) -> None:
    clock, prefix = Clock(), f"t{next(_prefixes)}"
    first = books(redis_url, clock, prefix=prefix)

    def meanwhile(_seconds: float) -> None:
        assert took(first, Permit(USER, "u", 10))

    second = Budgets(redis_url, first_book=lambda: False, prefix=prefix, now_ms=clock, sleep=meanwhile)
    assert took(second, Permit(USER, "v", 10)), "all was taken for spent, though the book was just being opened"
    first.close()
    second.close()


def test_clock_that_is_set_back_frees_nothing(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    assert took(book, Permit(USER, "u", 60))
    clock.ms -= 10 * MINUTE_MS
    assert not took(book, Permit(USER, "u", 1))
    clock.ms += 64_000
    assert took(book, Permit(USER, "u", 1))


def test_p11_workspace_gets_its_part_while_others_wait(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    greedy, modest = Permit(APP, "app", 1, "greedy"), Permit(APP, "app", 1, "modest")
    while took(book, greedy):
        pass
    assert not took(book, modest)
    served = {"greedy": 0, "modest": 0}
    for _ in range(1200):
        clock.ms += 250
        for permit in (greedy, modest):
            served[permit.sharer] += took(book, permit)
    assert served["modest"] >= 0.4 * (served["modest"] + served["greedy"])


def test_p10_a_refusal_that_names_no_time_is_waited_for_longer_each_time_in_a_row(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    permits = [Permit(USER, "u", 1)]
    waited = []
    for _ in range(6):
        wait = book.refused(permits)
        assert book.refused(permits) == wait, "requests that were under way count as one"
        assert not took(book, *permits)
        waited.append(wait.total_seconds())
        clock.ms += round(wait.total_seconds() * 1000) + 1
        assert took(book, *permits)
    assert waited == [5, 10, 20, 40, 60, 60]
    clock.ms += 2 * MINUTE_MS
    assert book.refused(permits) == timedelta(seconds=5), "after a while in peace it begins anew"
    assert book.refused([Permit(USER, "other", 1)]) == timedelta(seconds=5)


def test_p10_a_refusal_of_what_takes_from_no_window_is_waited_for_longer_each_time_too(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    waited = []
    for _ in range(6):
        wait = book.refused([], "u")
        waited.append(wait.total_seconds())
        clock.ms += round(wait.total_seconds() * 1000) + 1
    assert waited == [5, 10, 20, 40, 60, 60]
    assert book.refused([], "other") == timedelta(seconds=5)
    assert took(book, Permit(USER, "u", 1)), "what is counted goes on"


def test_learned_refusal_closes_the_narrowest_bucket_only(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    book.take([Permit(USER, "other", 1)])
    book.learned([Permit(APP, "app", 1), Permit(USER, "u", 1)], timedelta(seconds=30))
    assert not took(book, Permit(USER, "u", 1))
    assert took(book, Permit(USER, "other", 1))
    assert took(book, Permit(APP, "app", 1))
    clock.ms += 30_001
    assert took(book, Permit(USER, "u", 1))


def test_p10_threads_together_stay_within_the_limit(redis_url) -> None:
    clock = Clock()
    book = books(redis_url, clock)
    taken = []

    def run() -> None:
        taken.extend(1 for _ in range(20) if took(book, Permit(USER, "u", 1)))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 60


def test_limit_is_scaled_and_a_request_over_a_whole_window_is_told(redis_url) -> None:
    assert took(books(redis_url, Clock(), scale=10), Permit(USER, "u", 600))
    with pytest.raises(Misconfigured):
        books(redis_url, Clock()).take([Permit(USER, "u", 61)])


def test_there_are_no_permits_without_redis() -> None:
    with pytest.raises(Unavailable) as caught:
        Budgets("redis://:CANARY@127.0.0.1:1/0").take([Permit(USER, "u", 1)])
    assert "CANARY" not in str(caught.value)

"""Which days of an account are read next: nothing is left out, nothing is forgotten, the newest come first."""

import itertools
from datetime import UTC, date, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.connectors.google_ads_plan import (
    NEWEST_DAYS,
    WINDOW_DAYS,
    Limits,
    Place,
    after,
    next_step,
    out_of_reach,
)

LIMITS = Limits(history_days=400, restatement_days=30)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def start() -> Place:
    return Place("UTC", "EUR")


def stored(place: Place) -> Place:
    """As it comes back from where it is kept."""
    return msgspec.json.decode(msgspec.json.encode(place), type=Place)


def run_to_the_end(place: Place, now: datetime, limits: Limits = LIMITS) -> tuple[Place, list[tuple[date, date]]]:
    asked = []
    while (step := next_step(place, now, now.date(), limits)) is not None:
        asked.append((step.first, step.last))
        place = stored(after(step, step.first))
        assert len(asked) < 100, "it never ends"
    return place, asked


def test_a_first_load_goes_from_today_to_the_oldest_day_without_a_gap() -> None:
    _, asked = run_to_the_end(start(), NOON)
    assert asked[0] == (NOON.date() - 2 * DAY, NOON.date())
    for (first, _), (_, last) in itertools.pairwise(asked):
        assert last == first - DAY
    assert asked[-1][0] == NOON.date() - 400 * DAY
    assert max(last - first for first, last in asked) < WINDOW_DAYS * DAY


def test_a_later_run_of_the_same_day_reads_the_newest_days_only() -> None:
    place, _ = run_to_the_end(start(), NOON)
    _, asked = run_to_the_end(place, NOON + timedelta(hours=4))
    assert asked == [(NOON.date() - 2 * DAY, NOON.date())]


def test_once_a_day_all_that_may_have_been_corrected_is_read_again() -> None:
    place, _ = run_to_the_end(start(), NOON)
    _, asked = run_to_the_end(place, NOON + DAY)
    assert min(first for first, _ in asked) == NOON.date() - 30 * DAY
    assert sum((last - first).days + 1 for first, last in asked) < 40


def test_after_a_month_without_runs_the_month_before_it_is_read_again_as_well() -> None:
    place, _ = run_to_the_end(start(), NOON)
    _, asked = run_to_the_end(place, NOON + 30 * DAY)
    assert min(first for first, _ in asked) == NOON.date() - 30 * DAY
    assert asked[0][0] <= NOON.date(), "the newest days join what was read before"


def test_days_beyond_googles_reach_are_given_up_a_month_at_a_time() -> None:
    place, oldest = start(), NOON.date() - 350 * DAY
    read: list[tuple[date, date]] = []
    while (step := next_step(place, NOON, NOON.date(), LIMITS)) is not None:
        if step.first < oldest:
            place = out_of_reach(step)
        else:
            read.append((step.first, step.last))
            place = after(step, step.first)
    assert oldest <= read[-1][0] < oldest + 31 * DAY
    assert place.deep_day == NOON.date()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_is_cut_short_what_was_read_is_one_stretch_and_corrections_are_never_missed(
    data: st.DataObject,
) -> None:
    limits = Limits(data.draw(st.integers(1, 200)), data.draw(st.integers(1, 60)))
    place, now = start(), NOON
    read_on: dict[date, datetime] = {}
    for _ in range(data.draw(st.integers(1, 6))):
        now += timedelta(hours=data.draw(st.integers(0, 400)))
        finished = False
        for _ in range(data.draw(st.integers(0, 8))):
            step = next_step(place, now, now.date(), limits)
            if step is None:
                finished = True
                break
            assert step.first <= step.last <= now.date()
            # A slice may end at any day of the step, and its worker may die after it.
            first = data.draw(st.dates(step.first, step.last)) if data.draw(st.booleans()) else step.first
            read_on |= {first + number * DAY: now for number in range((step.last - first).days + 1)}
            place = stored(after(step, first))
        if not read_on:
            continue
        if finished:
            assert now - read_on[now.date()] < timedelta(minutes=30)
            days = (max(read_on) - min(read_on)).days + 1
            assert days == len(read_on), "there is no gap"
            assert min(read_on) <= now.date() - min(limits.history_days, NEWEST_DAYS - 1) * DAY
            for day, at in read_on.items():
                settled = at.date() > day + timedelta(days=limits.restatement_days)
                fresh = at.date() == now.date()
                assert settled or fresh, f"{day} may have been corrected since {at}"

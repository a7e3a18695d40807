"""How a series of Outlook repeats: each pattern as a rule, and the rule corrected by the days that are shown."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.connectors.outlook_series import (
    Beginning,
    Recurrence,
    Span,
    has_days,
    having_any,
    lines_of,
    marks_of,
    rule_of,
)
from worker.connectors.windows_zones import WINDOWS_ZONES, zone_called
from worker.errors import BadRecord
from worker.records import Event, When

BERLIN = ZoneInfo("Europe/Berlin")
SPAN = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
NO_END = {"type": "noEnd", "startDate": "2026-03-02", "endDate": "0001-01-01"}


def series(pattern: dict[str, Any], range_: dict[str, Any] = NO_END) -> Recurrence:
    return msgspec.convert({"pattern": pattern, "range": range_}, Recurrence, strict=False)


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ({"type": "daily", "interval": 2}, "FREQ=DAILY;INTERVAL=2"),
        ({"type": "weekly", "daysOfWeek": ["tuesday", "Thursday"], "firstDayOfWeek": "monday"},
         "FREQ=WEEKLY;BYDAY=TU,TH;WKST=MO"),
        ({"type": "absoluteMonthly", "dayOfMonth": 31}, "FREQ=MONTHLY;BYMONTHDAY=31"),
        ({"type": "relativeMonthly", "daysOfWeek": ["friday"], "index": "last"}, "FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-1"),
        ({"type": "absoluteYearly", "month": 2, "dayOfMonth": 29}, "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"),
        ({"type": "relativeYearly", "month": 11, "daysOfWeek": ["saturday", "sunday"], "index": "first"},
         "FREQ=YEARLY;BYMONTH=11;BYDAY=SA,SU;BYSETPOS=1"),
    ],
)  # fmt: skip
def test_every_pattern_becomes_a_rule(pattern, rule):
    assert rule_of(series(pattern).pattern) == rule


@pytest.mark.parametrize(
    "pattern",
    [
        {"type": "lunar"},
        {"type": "weekly", "daysOfWeek": []},
        {"type": "weekly", "daysOfWeek": ["someday"]},
        {"type": "daily", "interval": 0},
        {"type": "absoluteMonthly", "dayOfMonth": 0},
        {"type": "absoluteYearly", "month": 13, "dayOfMonth": 1},
        {"type": "relativeMonthly", "daysOfWeek": ["monday"], "index": "fifth"},
    ],
)
def test_a_rule_that_cannot_be_is_refused(pattern):
    with pytest.raises(BadRecord):
        rule_of(series(pattern).pattern)


def clock(*of: int) -> datetime:
    """A moment on a series' own clock."""
    return datetime(*of)  # type: ignore[arg-type]  # noqa: DTZ001 - it has no zone


def in_berlin(*moments: datetime) -> list[datetime]:
    return [moment.replace(tzinfo=BERLIN).astimezone(UTC) for moment in moments]


def test_a_series_over_a_change_of_clocks_needs_no_correction():
    """Ten in Berlin is nine in UTC in March and eight in April."""
    first = clock(2026, 3, 23, 10)
    shown = in_berlin(*(first + timedelta(days=number) for number in range(14)))
    assert {moment.hour for moment in shown} == {8, 9}
    daily = series({"type": "daily"}, {"type": "numbered", "numberOfOccurrences": 14})
    assert lines_of(daily, Beginning(first, BERLIN, all_day=False), shown, SPAN) == ("RRULE:FREQ=DAILY;COUNT=14",)


def test_days_that_are_not_shown_are_excluded_and_others_added_each_as_a_moment():
    first = clock(2026, 3, 27, 10)
    shown = in_berlin(first, first + timedelta(days=1), clock(2026, 4, 1, 11))
    daily = series({"type": "daily"}, {"type": "numbered", "numberOfOccurrences": 3})
    lines = lines_of(daily, Beginning(first, BERLIN, all_day=False), shown, SPAN)
    assert lines == ("RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260329T080000Z", "RDATE:20260401T090000Z")


def test_whole_days_are_days_in_no_zone():
    first = clock(2026, 3, 2)
    shown = [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 16)]
    # An exception's own day may be told as the midnight of its zone.
    shown.append(datetime(2026, 3, 22, 23, tzinfo=UTC))
    weekly = series({"type": "weekly", "daysOfWeek": ["monday"]}, {"type": "endDate", "endDate": "2026-03-23"})
    lines = lines_of(weekly, Beginning(first, BERLIN, all_day=True), shown, SPAN)
    assert lines == ("RRULE:FREQ=WEEKLY;BYDAY=MO;WKST=SU;UNTIL=20260323", "EXDATE;VALUE=DATE:20260309")


def test_the_last_day_ends_in_the_zone_of_the_series():
    daily = series({"type": "daily"}, {"type": "endDate", "endDate": "2026-03-24"})
    first = clock(2026, 3, 23, 23, 30)
    lines = lines_of(daily, Beginning(first, BERLIN, all_day=False), in_berlin(first, first + timedelta(days=1)), SPAN)
    assert lines == ("RRULE:FREQ=DAILY;UNTIL=20260324T225959Z",)


def test_only_the_window_is_corrected():
    first = clock(2020, 1, 1, 10)
    daily = series({"type": "daily"})
    span = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    shown = in_berlin(clock(2026, 3, 1, 10), clock(2026, 2, 20, 9))
    lines = lines_of(daily, Beginning(first, BERLIN, all_day=False), shown, span)
    assert lines == ("RRULE:FREQ=DAILY", "EXDATE:20260302T090000Z")


def test_an_hour_that_the_clocks_leave_out_takes_no_day_out_and_adds_none():
    daily = series({"type": "daily"}, {"type": "numbered", "numberOfOccurrences": 3})
    shown = [datetime(2026, 3, day, hour, 30, tzinfo=UTC) for day, hour in ((28, 1), (29, 1), (30, 0))]
    lines = lines_of(daily, Beginning(clock(2026, 3, 28, 2, 30), BERLIN, all_day=False), shown, SPAN)
    assert lines == ("RRULE:FREQ=DAILY;COUNT=3",)


def test_of_an_hour_that_comes_twice_that_which_is_shown_counts():
    daily = series({"type": "daily"}, {"type": "numbered", "numberOfOccurrences": 2})
    shown = [datetime(2026, 10, 24, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)]
    lines = lines_of(daily, Beginning(clock(2026, 10, 24, 2, 30), BERLIN, all_day=False), shown, SPAN)
    assert lines == ("RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20261025T003000Z", "RDATE:20261025T013000Z")


def test_a_day_that_is_taken_out_at_an_hour_that_comes_twice_is_no_day_of_its_series():
    begins = Beginning(clock(2026, 10, 25, 2, 30), BERLIN, all_day=False)
    range_ = {"type": "numbered", "numberOfOccurrences": 1}
    lines = lines_of(series({"type": "daily"}, range_), begins, [], SPAN)
    starts = When(at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC), time_zone="Europe/Berlin")
    assert not has_days(Event(provider_id="s", calendar_id="c", starts=starts, recurrence=lines), SPAN)


@pytest.mark.parametrize("all_day", [False, True])
def test_what_begins_when_the_window_ends_is_beyond_it(all_day):
    span = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))
    shown = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
    begins = Beginning(clock(2026, 3, 1), UTC, all_day)
    assert lines_of(series({"type": "daily"}), begins, shown, span) == ("RRULE:FREQ=DAILY",)
    later = When(date=span.last.date()) if all_day else When(at=span.last)
    event = Event(provider_id="s", calendar_id="c", starts=later, recurrence=("RRULE:FREQ=DAILY",))
    assert not has_days(event, span)
    assert has_days(event, Span(span.first, span.last + timedelta(days=1)))


def test_a_series_older_than_anybody_counts_is_not_corrected():
    daily = series({"type": "daily"})
    begins = Beginning(clock(1601, 1, 1, 10), BERLIN, all_day=False)
    assert lines_of(daily, begins, [], SPAN) == ("RRULE:FREQ=DAILY",)


@given(st.sets(st.integers(0, 200), max_size=60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_days_are_shown_the_lines_give_just_these(days, all_day):
    first = clock(2026, 2, 1) if all_day else clock(2026, 2, 1, 10)
    moments = [first + timedelta(days=number) for number in sorted(days)]
    shown = [moment.replace(tzinfo=UTC) for moment in moments] if all_day else in_berlin(*moments)
    weekly = series({"type": "weekly", "daysOfWeek": ["sunday", "monday"]})
    span = Span(datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 9, 15, tzinfo=UTC))
    lines = lines_of(weekly, Beginning(first, BERLIN, all_day=all_day), shown, span)
    start = first if all_day else first.replace(tzinfo=BERLIN)
    bounds = [bound.replace(tzinfo=None) if all_day else bound for bound in (span.first, span.last)]
    given_ = rrulestr("\n".join(lines).replace("RDATE;VALUE=DATE", "RDATE"), dtstart=start, forceset=True).between(
        *bounds, inc=True
    )
    assert [moment.replace(tzinfo=UTC) if all_day else moment.astimezone(UTC) for moment in given_] == shown


def test_a_series_is_found_by_the_marks_of_its_days():
    marks = {"s": marks_of(["s1", "s2", "s3"]), "t": marks_of(["t1"]), "none": b""}
    assert having_any(["t1", "s3", "x"], marks) == ["s", "t"]
    assert having_any(["x"], marks) == having_any([], marks) == []


def test_every_zone_of_windows_is_one_of_iana_s():
    assert all(zone_called(name) is not None for name in WINDOWS_ZONES)
    assert zone_called("Europe/Berlin") == zone_called("W. Europe Standard Time") == BERLIN
    assert zone_called("tzone://Microsoft/Custom") is None
    assert zone_called("") is None

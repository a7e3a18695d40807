"""P9, the pure part: when a record's time is over, by which rule; and what is published of the policies."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.connectors.policy import read_policy
from worker.privacy import policies
from worker.privacy.retention import Due, Retention
from worker.records import Event, Message, When, date_of
from worker.store.database import Database

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def rules(age=None, counted="fetched", own=None, own_counted="fetched", gone=None, state="active") -> Retention:
    row = {
        "now": NOW, "state": state, "state_since": NOW - 5 * DAY, "kind": "message",
        "max_age": age, "counted_from": counted, "after_disconnect": gone,
        "own_max_age": own, "own_counted_from": own_counted if own else None,
    }  # fmt: skip
    return Retention.of([row])


@pytest.mark.parametrize(("given_rules", "dated", "due"), [
    (rules(), None, Due()),
    (rules(10 * DAY), None, Due(NOW + 10 * DAY, "policy", True)),
    (rules(10 * DAY, own=3 * DAY), None, Due(NOW + 3 * DAY, "workspace", True)),
    (rules(None, own=3 * DAY), None, Due(NOW + 3 * DAY, "workspace", True)),
    (rules(10 * DAY, "record_date"), date(2026, 11, 20), Due(datetime(2026, 11, 30, tzinfo=UTC), "policy", False)),
    (rules(10 * DAY, "record_date"), None, Due(NOW + 10 * DAY, "policy", True)),
    (rules(10 * DAY, own=3 * DAY, own_counted="record_date"), date(2026, 11, 20),
     Due(datetime(2026, 11, 23, tzinfo=UTC), "workspace", False)),
    (rules(10 * DAY, own=30 * DAY, own_counted="record_date"), date(2026, 11, 20), Due(NOW + 10 * DAY, "policy", True)),
    (rules(10 * DAY, gone=DAY), None, Due(NOW + 10 * DAY, "policy", True)),
    (rules(10 * DAY, gone=DAY, state="disconnected"), None, Due(NOW - 4 * DAY, "disconnect", True)),
    (rules(10 * DAY, state="disconnected"), None, Due(NOW + 10 * DAY, "policy", True)),
])  # fmt: skip
def test_p9_the_rule_that_is_met_first_ends_a_record(given_rules: Retention, dated: date | None, due: Due) -> None:
    assert given_rules.due("message", dated, NOW) == due


@given(
    st.timedeltas(min_value=timedelta(hours=1), max_value=timedelta(days=36_500)),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40_000)),
    st.integers(min_value=0, max_value=500),
)
def test_p9_a_window_is_cut_to_what_a_rule_leaves_and_to_no_less(age: timedelta, ago: timedelta, days: int) -> None:
    own = rules(400 * DAY, own=age, own_counted="record_date")
    received = NOW - ago
    window = own.window_days("message", days)
    assert 0 < window <= (days or window)
    end = own.due("message", received.date(), NOW).expires_at
    lives, wanted = end is None or end > NOW, not days or received >= NOW - days * DAY
    assert received >= NOW - window * DAY or not lives or not wanted
    assert received < NOW - (window + 1) * DAY or ago <= age + 2 * DAY


def test_p9_a_rule_that_counts_from_the_last_showing_leaves_a_window_as_it_is() -> None:
    assert rules(400 * DAY, own=3 * DAY).window_days("message", 365) == 365
    assert rules(400 * DAY, own=3 * DAY).window_days("contact", 365) == 365


ages = st.one_of(st.none(), st.timedeltas(min_value=timedelta(hours=1), max_value=timedelta(days=90_000)))
ways = st.sampled_from(["fetched", "record_date"])


@given(ages, ways, ages, ways, st.one_of(st.none(), st.dates()), st.timedeltas(timedelta(0), timedelta(days=900)))
def test_p9_no_rule_of_a_workspace_lets_anything_live_longer(age, counted, own, own_counted, dated, ago) -> None:
    without = rules(age, counted).due("message", dated, NOW - ago)
    with_own = rules(age, counted, own, own_counted).due("message", dated, NOW - ago)
    if without.expires_at is not None:
        assert with_own.expires_at is not None
        assert with_own.expires_at <= without.expires_at
    elif own is not None:
        assert with_own.expires_at is not None
    later = rules(age, counted, own, own_counted).due("message", dated, NOW)
    if with_own.expires_at is not None and not with_own.renewable:
        assert later == with_own, "what counts by its own day gains nothing from being shown"


@pytest.mark.parametrize(("body", "day"), [
    (Message(), None),
    (Message(received_at=datetime(2026, 1, 2, 3, tzinfo=UTC), sent_at=NOW), date(2026, 1, 2)),
    (Message(sent_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))), date(1, 1, 1)),
    (Event(starts=When(date=date(2026, 1, 2)), ends=When(date=date(2026, 1, 3))), date(2026, 1, 3)),
    (Event(starts=When(at=datetime(2026, 1, 2, 23, tzinfo=UTC))), date(2026, 1, 2)),
    (Event(starts=When(at=datetime(2020, 1, 2, tzinfo=UTC)), recurrence=("RRULE:FREQ=DAILY",)), None),
    (Event(), None),
])  # fmt: skip
def test_the_day_of_a_record(body, day) -> None:
    assert date_of(body) == day


# What is published.

FILE = """
connector = "acme"
title = "Acme"
version = {version}
[keep.contact]
what = "A contact."
at_most = "{age} days"
counted_from = "fetched"
after_disconnect = "no limit"
ends_when = []
why = "So."
source = "https://acme.example/terms"
read_on = 2026-11-23
sure = "documented"
"""


def published(worker_db: Database, folder: Path, version: int, age: int) -> tuple[str, timedelta]:
    path = folder / "acme.toml"
    path.write_text(FILE.format(version=version, age=age))
    with worker_db.transaction() as tx:
        told = policies.publish(tx, read_policy(path))
        row = tx.execute("SELECT max_age FROM crm_sync.policy_rule WHERE connector = 'acme'").fetchone()
    assert row is not None
    return told, row["max_age"]


def test_p9_a_higher_version_takes_the_place_of_a_lower_one_and_never_the_other_way_round(
    worker_db: Database, tmp_path: Path, scheduler_db: Database
) -> None:
    assert published(worker_db, tmp_path, 2, 20) == ("published", 20 * DAY)
    assert published(worker_db, tmp_path, 2, 20) == ("known", 20 * DAY)
    assert published(worker_db, tmp_path, 1, 10) == ("known", 20 * DAY), "an older release that still runs"
    assert published(worker_db, tmp_path, 2, 30) == ("differs", 20 * DAY), "somebody forgot to raise the version"
    with scheduler_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.policy SET planned = true WHERE connector = 'acme'")
    assert published(worker_db, tmp_path, 3, 30) == ("published", 30 * DAY)
    with scheduler_db.transaction() as tx:
        row = tx.execute("SELECT planned FROM crm_sync.policy WHERE connector = 'acme'").fetchone()
    assert row == {"planned": False}


def test_a_file_that_cannot_be_read_takes_nothing_from_the_others(worker_db: Database, tmp_path: Path) -> None:
    (tmp_path / "gmail.toml").write_text("connector = ")
    policies.publish_all(worker_db, tmp_path)
    with worker_db.transaction() as tx:
        row = tx.execute("SELECT count(*) AS n FROM crm_sync.policy_rule WHERE connector = 'gmail'").fetchone()
    assert row == {"n": 4}

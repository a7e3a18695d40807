"""P9 for the numbers of campaign days: they end by their day, are swept a slice at a time, and stay gone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.sync.measured import TODAY, AdWorld, Reader, announced, held
from tests.sync.one_connection import OneConnection
from tests.sync.retained import DAY, has_rule, is_planned, is_swept, workspace_wants
from worker.jobs.outcomes import Done
from worker.store.database import Database

Make = Callable[[AdWorld], OneConnection]
KIND = "campaign_day"


def days_ago(count: int) -> timedelta:
    """An age under which the newest `count` of the world's twelve days live still."""
    return datetime.now(UTC) - datetime.combine(TODAY - timedelta(days=count), datetime.min.time(), UTC)


def test_p9_a_day_past_its_age_is_not_taken_in_at_any_run(bench: Make, owner_db: Database) -> None:
    one = bench(AdWorld().fill(2))
    has_rule(one, owner_db, days_ago(5), "record_date", kind=KIND)
    one.sync()
    kept = {key: row for key, row in one.world.truth().items() if key[2] > TODAY - timedelta(days=5)}
    assert held(one) == kept
    before = announced(one)
    for _ in range(2):
        one.begin_again()
        notes = one.sync(full=True)
        assert (notes.saved, notes.unchanged, notes.skipped, notes.swept) == (0, 10, 14, 0)
    assert announced(one) == before


@pytest.mark.parametrize("slice_s", [60, 0])
def test_p9_days_that_a_shorter_rule_ends_are_unreadable_swept_and_announced_as_a_slice(
    bench: Make, owner_db: Database, crm_db: Database, slice_s: float
) -> None:
    one = bench(AdWorld().fill(2))
    provider = has_rule(one, owner_db, 4000 * DAY, "record_date", kind=KIND)
    one.sync()
    reader = Reader(one)
    assert reader.read() == one.world.truth()
    workspace_wants(one, crm_db, provider, days_ago(5), "record_date", kind=KIND)
    is_planned(one, slice_s=slice_s)
    assert len(held(one)) == 10
    assert is_swept(one, slice_s=slice_s)[-1] == Done({"records": 0, "days": 14})
    with owner_db.transaction() as tx:
        left = tx.execute(
            "SELECT count(*) AS n FROM crm_sync.measure WHERE connection_id = %s", [one.connection_id]
        ).fetchone()
    assert left == {"n": 10}
    assert reader.read() == held(one)
    first = one.rows("SELECT first_day FROM crm_sync.measured_account WHERE connection_id = %s", one.connection_id)
    assert first == [{"first_day": TODAY - timedelta(days=4)}], "of the days before, nobody knows any more"
    one.begin_again()
    one.sync(full=True)
    assert len(held(one)) == 10


def test_p9_after_a_disconnect_days_end_too(bench: Make, owner_db: Database) -> None:
    one = bench(AdWorld().fill(1))
    has_rule(one, owner_db, None, "record_date", after_disconnect=timedelta(0), kind=KIND)
    one.sync()
    with owner_db.transaction() as tx:
        tx.execute(
            "UPDATE crm_sync.connection SET state = 'disconnected', state_since = now() WHERE connection_id = %s",
            [one.connection_id],
        )
    is_planned(one)
    assert held(one) == {}
    assert is_swept(one)[-1] == Done({"records": 0, "days": 12})

"""P9: every record has an end by its rule, cannot be read from then on, is swept, and does not come back by itself."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sync.one_connection import OneConnection
from tests.sync.retained import (
    DAY,
    has_rule,
    is_planned,
    is_swept,
    job_of,
    lives,
    mails,
    time_passes,
    workspace_wants,
)
from tests.sync.scripted import World, world_of
from worker.errors import BadRequest, LeaseLost, Misconfigured
from worker.jobs import plan_retention, sweep_expired
from worker.jobs.outcomes import Cancelled, Done, Yield
from worker.settings import Role
from worker.store import retention
from worker.store.database import Database

Make = Callable[[World], OneConnection]


def again(one: OneConnection, *, full: bool = True) -> Any:
    one.begin_again()
    return one.sync(full=full)


# The end of a record is written with it.


def test_p9_a_record_gets_its_end_from_its_rule_as_it_is_written(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(4))
    has_rule(one, owner_db, 400 * DAY)
    one.sync()
    assert [(row["life"], row["rule"], row["renewable"]) for row in lives(one, owner_db)] == 4 * [
        (400 * DAY, "policy", True)
    ]


@pytest.mark.parametrize(("wanted", "wins"), [(30 * DAY, "workspace"), (500 * DAY, "policy")])
def test_p9_the_shorter_of_the_providers_rule_and_the_workspaces_wins(
    bench: Make, owner_db: Database, crm_db: Database, wanted: timedelta, wins: str
) -> None:
    one = bench(world_of(2))
    provider = has_rule(one, owner_db, 400 * DAY)
    workspace_wants(one, crm_db, provider, wanted)
    one.sync()
    assert [(row["life"], row["rule"]) for row in lives(one, owner_db)] == 2 * [(min(wanted, 400 * DAY), wins)]


def test_p9_a_kind_without_a_rule_is_not_stored(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(2))
    has_rule(one, owner_db, DAY, kind="event")
    with pytest.raises(Misconfigured, match=r"keep\.contact"):
        one.sync()
    assert lives(one, owner_db) == []
    assert one.events() == []


def test_p9_another_tenants_rule_shortens_nothing_here(
    bench: Make, owner_db: Database, crm_db: Database, keys: Any, worker_db: Database
) -> None:
    from tests.conftest import register_workspace

    one, other = bench(world_of(2)), OneConnection(worker_db, keys, register_workspace(crm_db), world_of(2))
    provider = has_rule(one, owner_db, 400 * DAY)
    with owner_db.transaction() as tx:
        tx.execute(
            "UPDATE crm_sync.connection SET provider = %s WHERE connection_id = %s", [provider, other.connection_id]
        )
    workspace_wants(other, crm_db, provider, DAY)
    one.sync()
    other.sync()
    assert {row["life"] for row in lives(one, owner_db)} == {400 * DAY}
    assert {row["life"] for row in lives(other, owner_db)} == {DAY}


def test_a_rule_for_a_kind_of_which_no_policy_knows_is_refused(
    bench: Make, crm_db: Database, owner_db: Database
) -> None:
    one = bench(world_of(1))
    provider = has_rule(one, owner_db, DAY)
    with pytest.raises(BadRequest, match="«spaceship»"):
        workspace_wants(one, crm_db, provider, DAY, kind="spaceship")


# What is shown again lives on, and what is not, does not.


def test_p9_what_is_shown_unchanged_lives_on_without_being_announced(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(4))
    has_rule(one, owner_db, 80 * DAY)
    one.sync()
    before = one.events()
    time_passes(one, owner_db, 20 * DAY)
    notes = again(one)
    assert (notes.unchanged, notes.saved) == (4, 0)
    assert one.events() == before
    with owner_db.transaction() as tx:
        row = tx.execute(
            "SELECT min(expires_at) > now() + interval '79 days' AS renewed FROM crm_sync.document "
            "WHERE connection_id = %s",
            [one.connection_id],
        ).fetchone()
    assert row == {"renewed": True}


def test_what_was_shown_a_short_while_ago_is_not_written_again(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(4))
    has_rule(one, owner_db, 80 * DAY)
    one.sync()
    time_passes(one, owner_db, 9 * DAY)
    before = lives(one, owner_db)
    again(one)
    assert lives(one, owner_db) == before


def test_p9_a_due_record_that_the_provider_still_shows_is_fetched_anew_and_announced(
    bench: Make, owner_db: Database
) -> None:
    one = bench(world_of(3))
    has_rule(one, owner_db, DAY)
    one.sync()
    time_passes(one, owner_db, 2 * DAY)
    assert one.names() == {}
    one.world.put("p0001", "Changed meanwhile")
    notes = again(one)
    assert (notes.saved, notes.unchanged) == (3, 0)
    assert one.names() == one.truth()
    assert [event for event, _ in one.events()].count("record.saved") == 6


def test_p9_a_deletion_of_a_due_record_is_carried_out_and_announced(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(3))
    has_rule(one, owner_db, DAY)
    one.sync()
    time_passes(one, owner_db, 2 * DAY)
    one.world.drop("p0001")
    again(one, full=False)
    assert len(lives(one, owner_db)) == 2
    assert [event for event, _ in one.events()].count("record.deleted") == 1


def test_p9_a_record_past_its_own_date_is_not_taken_in_at_any_pass(bench: Make, owner_db: Database) -> None:
    one = bench(mails(new=1, old=40, older=400))
    has_rule(one, owner_db, 30 * DAY, "record_date", kind="message")
    one.sync()
    before = one.events()
    assert len(one.names()) == 1
    for _ in range(2):
        notes = again(one)
        assert (notes.unchanged, notes.skipped, notes.saved) == (1, 2, 0)
    assert one.events() == before
    assert [(row["rule"], row["renewable"]) for row in lives(one, owner_db)] == [("policy", False)]


def test_p9_a_mail_from_the_future_does_not_live_longer_than_one_of_today(bench: Make, owner_db: Database) -> None:
    one = bench(mails(future=-3000))
    has_rule(one, owner_db, 30 * DAY, "record_date", kind="message")
    one.sync()
    assert [row["dated"] for row in lives(one, owner_db)] == [datetime.now(UTC).date()]


def test_p9_what_a_shorter_rule_has_ended_goes_when_it_is_shown(
    bench: Make, owner_db: Database, crm_db: Database
) -> None:
    one = bench(mails(new=1, old=40))
    provider = has_rule(one, owner_db, 90 * DAY, "record_date", kind="message")
    one.sync()
    workspace_wants(one, crm_db, provider, 30 * DAY, "record_date", kind="message")
    again(one)
    assert len(lives(one, owner_db)) == 1
    assert [event for event, _ in one.events()].count("record.expired") == 1
    assert one.replay() == set(one.names())


# A rule that changes reaches what is held.


def plan_is_due(one: OneConnection, owner_db: Database) -> bool:
    with owner_db.transaction() as tx:
        row = tx.execute(
            "SELECT plan_due_at <= now() AS due FROM crm_sync.connection WHERE connection_id = %s", [one.connection_id]
        ).fetchone()
    return bool(row and row["due"])


@pytest.mark.parametrize("slice_s", [60, 0])
def test_p9_a_workspaces_rule_reaches_what_is_held_a_batch_at_a_time(
    bench: Make, owner_db: Database, crm_db: Database, monkeypatch: pytest.MonkeyPatch, slice_s: float
) -> None:
    monkeypatch.setattr(plan_retention, "BATCH", 4)
    one = bench(world_of(11))
    provider = has_rule(one, owner_db, 400 * DAY)
    one.sync()
    assert not plan_is_due(one, owner_db)
    workspace_wants(one, crm_db, provider, 30 * DAY)
    assert plan_is_due(one, owner_db)
    outcomes = is_planned(one, slice_s=slice_s)
    assert isinstance(outcomes[-1], Done)
    assert outcomes[-1].outcome == {"records": 11, "changed": 11}
    assert len(outcomes) == (3 if slice_s == 0 else 1)
    assert {row["rule"] for row in lives(one, owner_db)} == {"workspace"}
    assert not plan_is_due(one, owner_db)
    assert is_planned(one)[-1] == Done({"records": 11, "changed": 0})
    with crm_db.transaction(one.workspace) as tx:
        tx.execute("DELETE FROM crm_sync.retention_rule WHERE workspace_id = %s", [one.workspace])
    assert plan_is_due(one, owner_db)
    is_planned(one)
    assert {row["rule"] for row in lives(one, owner_db)} == {"policy"}


def test_p9_a_rule_that_changes_while_records_are_looked_at_reaches_them_all(
    bench: Make, owner_db: Database, crm_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_retention, "BATCH", 4)
    one = bench(world_of(11))
    provider = has_rule(one, owner_db, 400 * DAY)
    one.sync()
    workspace_wants(one, crm_db, provider, 30 * DAY)
    context = job_of(one, slice_s=0, connection=str(one.connection_id))
    first = plan_retention.run(context)
    assert isinstance(first, Yield)
    with crm_db.transaction(one.workspace) as tx:
        tx.execute("UPDATE crm_sync.retention_rule SET max_age = '20 days' WHERE workspace_id = %s", [one.workspace])
    from dataclasses import replace

    plan_retention.run(replace(context, progress=first.progress))
    is_planned(one)
    assert {row["life"] for row in lives(one, owner_db)} == {20 * DAY}


def test_p9_a_page_that_is_being_committed_is_waited_for_by_who_changes_a_rule(
    bench: Make, owner_db: Database, crm_db: Database
) -> None:
    one = bench(world_of(2))
    provider = has_rule(one, owner_db, 400 * DAY)
    one.sync()
    done = threading.Event()

    def ask() -> None:
        workspace_wants(one, crm_db, provider, 30 * DAY)
        done.set()

    with one.database.transaction(one.workspace) as tx:
        retention.begin_page(tx, one.workspace, one.connection_id, 1)
        asking = threading.Thread(target=ask)
        asking.start()
        assert not done.wait(0.3)
    asking.join(20)
    assert done.is_set()


def test_p9_what_a_sync_left_unchanged_is_confirmed_by_it(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(6))
    has_rule(one, owner_db, 400 * DAY)
    one.sync()
    time_passes(one, owner_db, 390 * DAY)
    again(one, full=False)
    is_planned(one)
    assert all(row["expires_at"] > datetime.now(UTC) + 399 * DAY for row in lives(one, owner_db))


def test_p9_what_waits_to_be_deleted_or_is_kept_by_a_word_is_not_confirmed(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(3))
    has_rule(one, owner_db, 400 * DAY)
    one.sync()
    time_passes(one, owner_db, 100 * DAY, confirmed=True)
    keys = sorted(one.names())
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.document SET pass_id = -1 WHERE document_key = %s", [keys[0]])
        tx.execute(
            "WITH h AS (INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total) "
            "SELECT workspace_id, connection_id, stream, part_key, 3 FROM crm_sync.part WHERE connection_id = %s "
            "RETURNING workspace_id, hold_id) "
            "INSERT INTO crm_sync.deletion_hold_item (workspace_id, hold_id, document_key) "
            "SELECT workspace_id, hold_id, %s FROM h",
            [one.connection_id, keys[1]],
        )
    is_planned(one)
    soon = datetime.now(UTC) + 301 * DAY
    assert [row["expires_at"] < soon for row in lives(one, owner_db)] == [True, True, False]


def test_p9_after_a_disconnect_the_rule_for_that_counts_and_a_return_lifts_it(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(3))
    has_rule(one, owner_db, 400 * DAY, after_disconnect=timedelta(0))
    one.sync()
    state = "UPDATE crm_sync.connection SET state = %s, state_since = now() WHERE connection_id = %s"
    with owner_db.transaction() as tx:
        tx.execute(state, ["disconnected", one.connection_id])
    is_planned(one)
    assert {row["rule"] for row in lives(one, owner_db)} == {"disconnect"}
    assert one.names() == {}
    saved = [event for event, _ in one.events()].count("record.saved")
    with owner_db.transaction() as tx:
        tx.execute(state, ["active", one.connection_id])
    is_planned(one)
    assert one.names() == one.truth()
    assert [event for event, _ in one.events()].count("record.saved") == saved + 3, "a reader dropped its copies"


def test_a_connection_that_is_gone_has_nothing_to_plan(bench: Make) -> None:
    one = bench(world_of(1))
    one.connection_id = type(one.connection_id)(int=7)
    assert is_planned(one) == [Cancelled("connection_gone")]


# The sweep.


@pytest.fixture
def due(bench: Make, owner_db: Database) -> OneConnection:
    """A connection with nine records, of which all are due; one waits in a hold, one could not be read again."""
    one = bench(world_of(9))
    has_rule(one, owner_db, DAY)
    one.sync()
    keys = sorted(one.names())
    with owner_db.transaction() as tx:
        tx.execute(
            "WITH h AS (INSERT INTO crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key, part_total) "
            "SELECT workspace_id, connection_id, stream, part_key, 9 FROM crm_sync.part WHERE connection_id = %s "
            "RETURNING workspace_id, hold_id) "
            "INSERT INTO crm_sync.deletion_hold_item (workspace_id, hold_id, document_key) "
            "SELECT workspace_id, hold_id, %s FROM h",
            [one.connection_id, keys[0]],
        )
        tx.execute(
            "INSERT INTO crm_sync.quarantine (workspace_id, connection_id, stream, part_key, document_key, reason) "
            "SELECT workspace_id, connection_id, stream, part_key, %s, 'bad_record' FROM crm_sync.part "
            "WHERE connection_id = %s",
            [keys[1], one.connection_id],
        )
    time_passes(one, owner_db, 2 * DAY)
    return one


def left_of(one: OneConnection, owner_db: Database) -> dict[str, int]:
    counted = {}
    with owner_db.transaction() as tx:
        for table in ("document", "blind_index", "quarantine", "deletion_hold_item"):
            row = tx.execute(
                f"SELECT count(*) AS n FROM crm_sync.{table} WHERE workspace_id = %s",  # type: ignore[arg-type]
                [one.workspace],
            ).fetchone()
            counted[table] = row["n"] if row else 0
    return counted


@pytest.mark.parametrize("slice_s", [60, 0])
def test_p9_a_sweep_takes_everything_of_what_is_due_and_tells_of_each(
    due: OneConnection, owner_db: Database, monkeypatch: pytest.MonkeyPatch, slice_s: float
) -> None:
    monkeypatch.setattr(sweep_expired, "BATCH", 2)
    assert left_of(due, owner_db) == {"document": 9, "blind_index": 9, "quarantine": 1, "deletion_hold_item": 1}
    assert is_swept(due, slice_s=slice_s)[-1] == Done({"records": 9, "days": 0})
    assert set(left_of(due, owner_db).values()) == {0}
    assert [event for event, _ in due.events()].count("record.expired") == 9
    assert due.replay() == set()
    assert is_swept(due) == [Done({"records": 0, "days": 0})]


def test_p9_a_sweep_that_lost_its_job_half_way_leaves_what_it_did_and_nothing_half_done(
    due: OneConnection, owner_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_expired, "BATCH", 2)
    context = job_of(due, slice_s=0)
    sweep_expired.run(context)
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.job SET lease_epoch = 2 WHERE job_id = %s", [context.job_id])
    with pytest.raises(LeaseLost):
        sweep_expired.run(context)
    left = left_of(due, owner_db)
    assert (left["document"], left["blind_index"]) == (7, 7)
    assert [event for event, _ in due.events()].count("record.expired") == 2
    assert is_swept(due)[-1] == Done({"records": 7, "days": 0})


def test_p9_what_is_not_due_stays(bench: Make, owner_db: Database) -> None:
    one = bench(world_of(5))
    has_rule(one, owner_db, 10 * DAY)
    one.sync()
    time_passes(one, owner_db, 9 * DAY)
    assert is_swept(one) == [Done({"records": 0, "days": 0})]
    assert one.names() == one.truth()


def test_p9_what_the_provider_still_shows_comes_back_by_a_full_pass_after_the_sweep(
    due: OneConnection, owner_db: Database
) -> None:
    is_swept(due)
    again(due, full=False)
    assert due.names() == due.truth()
    assert due.replay() == set(due.truth())
    served = due.world.served
    again(due, full=False)
    assert due.world.served == served + 1, "one full pass was enough"


def test_p9_what_was_swept_by_its_own_date_is_not_read_again(bench: Make, owner_db: Database, crm_db: Database) -> None:
    one = bench(mails(new=1, old=40))
    provider = has_rule(one, owner_db, 90 * DAY, "record_date", kind="message")
    one.sync()
    workspace_wants(one, crm_db, provider, 30 * DAY, "record_date", kind="message")
    is_planned(one)
    assert is_swept(one)[-1] == Done({"records": 1, "days": 0})
    notes = again(one, full=False)
    assert notes.seen == 0, "an incremental run, not a full one"
    assert one.replay() == set(one.names())


def test_p9_a_sweep_waits_for_the_page_that_shows_its_records_again(due: OneConnection, owner_db: Database) -> None:
    sweeping = threading.Thread(target=is_swept, args=(due,))
    with due.database.transaction(due.workspace) as tx:
        retention.begin_page(tx, due.workspace, due.connection_id, 1)
        sweeping.start()
        sweeping.join(0.3)
        assert sweeping.is_alive()
        tx.execute(
            "UPDATE crm_sync.document SET fetched_at = now(), expires_at = now() + interval '1 day' "
            "WHERE connection_id = %s",
            [due.connection_id],
        )
    sweeping.join(20)
    assert left_of(due, owner_db)["document"] == 9


# From its end on, nobody reads it.


@pytest.mark.parametrize("role", [Role.WORKER, Role.CRM])
def test_p9_a_transaction_that_began_before_cannot_read_it_either(
    bench: Make, owner_db: Database, database_urls: dict[Role, str], role: Role
) -> None:
    one = bench(world_of(1))
    has_rule(one, owner_db, DAY)
    one.sync()
    with psycopg.connect(database_urls[role]) as connection:
        connection.execute("SELECT set_config('crm_sync.workspace', %s, true)", [one.workspace])
        count = "SELECT count(*) FROM crm_sync.document"
        assert connection.execute(count).fetchone() == (1,)
        with owner_db.transaction() as tx:
            tx.execute(
                "UPDATE crm_sync.document SET expires_at = clock_timestamp() WHERE connection_id = %s",
                [one.connection_id],
            )
        assert connection.execute(count).fetchone() == (0,)


def test_p9_the_crm_cannot_have_itself_shown_what_is_due(due: OneConnection, database_urls: dict[Role, str]) -> None:
    with psycopg.connect(database_urls[Role.CRM]) as connection:
        connection.execute("SELECT set_config('crm_sync.workspace', %s, true)", [due.workspace])
        connection.execute("SELECT set_config('crm_sync.sweeping', 'on', true)")
        for table in ("document", "blind_index"):
            count = f"SELECT count(*) FROM crm_sync.{table}"
            assert connection.execute(count).fetchone() == (0,)  # type: ignore[arg-type]


def test_p9_the_scheduler_sees_whose_and_when_and_nothing_else(
    due: OneConnection, database_urls: dict[Role, str]
) -> None:
    with psycopg.connect(database_urls[Role.SCHEDULER], autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(*) FROM crm_sync.document WHERE workspace_id = %s", [due.workspace]
        ).fetchone()
        assert found == (9,)
        for column in ("sealed", "document_key", "digest", "dated", "connection_id"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {column} FROM crm_sync.document")  # type: ignore[arg-type]

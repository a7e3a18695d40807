"""P9: the scheduler asks for sweeps of what is due, and for a new look at records whose rules have changed."""

from collections.abc import Callable

import pytest

from scheduler.planner import Planner
from tests.sync.conftest import bench as _bench
from tests.sync.conftest import keys as _keys
from tests.sync.one_connection import OneConnection
from tests.sync.retained import DAY, has_rule, is_planned, time_passes, workspace_wants
from tests.sync.scripted import World, world_of
from worker.store.database import Database

bench, keys = _bench, _keys
Make = Callable[[World], OneConnection]


def planned(one: OneConnection, kind: str) -> int:
    rows = one.rows(
        "SELECT count(*) AS n FROM crm_sync.job WHERE workspace_id = %s AND kind = %s AND state = 'queued'",
        one.workspace,
        kind,
    )
    return int(rows[0]["n"])


@pytest.fixture
def planner(scheduler_db: Database) -> Planner:
    return Planner(scheduler_db)


def test_p9_what_is_due_is_swept_by_one_job_a_workspace(bench: Make, owner_db: Database, planner: Planner) -> None:
    one, other = bench(world_of(5)), bench(world_of(1))
    has_rule(one, owner_db, DAY)
    one.sync()
    other.sync()
    planner.tick()
    assert planned(one, "sweep_expired") == 0
    time_passes(one, owner_db, 2 * DAY)
    planner.tick()
    planner.tick()
    assert planned(one, "sweep_expired") == 1


def test_p9_a_new_version_of_a_policy_has_every_connection_to_it_looked_at_once(
    bench: Make, owner_db: Database, planner: Planner
) -> None:
    one = bench(world_of(1))
    provider = has_rule(one, owner_db, DAY)
    planner.tick()
    assert planned(one, "plan_retention") == 0
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.policy SET planned = false WHERE connector = %s", [provider])
    planner.tick()
    assert planned(one, "plan_retention") == 1
    with owner_db.transaction() as tx:
        assert tx.execute("SELECT 1 FROM crm_sync.policy WHERE NOT planned").fetchone() is None


def test_p9_a_workspaces_new_rule_has_its_connections_looked_at(
    bench: Make, owner_db: Database, crm_db: Database, planner: Planner
) -> None:
    one = bench(world_of(1))
    provider = has_rule(one, owner_db, 10 * DAY)
    one.sync()
    workspace_wants(one, crm_db, provider, DAY)
    planner.tick()
    planner.tick()
    assert planned(one, "plan_retention") == 1
    is_planned(one)
    due = one.rows(
        "SELECT plan_due_at > now() + interval '2 hours' AS later FROM crm_sync.connection WHERE connection_id = %s",
        one.connection_id,
    )
    assert due == [{"later": True}], "an eighth of a day later, what a sync confirmed is noted"

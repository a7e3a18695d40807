"""Plans recurring work: streams that are due, grants that would die unused, holds whose time is over, retention.

It reads intervals and lanes from rows and knows no connector. A job that lives already is enough, so planning twice
does no harm. What somebody is just asking for, in a transaction that is not committed, is put off and not waited for.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from scheduler.dispatcher import LOCK_CLASS, QUERIES
from worker.jobs.lanes import Lane
from worker.store.database import Connection, Database, unless_locked

_LOCK_NUMBER: Final = 100
_SPREAD: Final = 0.25
_PLANNED_AT_ONCE: Final = 500
_GRANTS_EVERY_S: Final = 600.0
"""Grants idle for months; those of connections that wait to be reconnected are looked through each time."""
_LOOKED_AT_ONCE: Final = 2_000
_PUT_OFF: Final = timedelta(minutes=1)
_PLAN_AGAIN: Final = timedelta(hours=1)
"""A look at all records of a connection that has not come to its end by then is asked for once more."""
GRANT_IDLE: Final = timedelta(days=60)
"""Microsoft drops refresh tokens that were not used for 90 days, Google after six months.

Source: providers/microsoft-linkedin.md §1.5, providers/google.md §1.4."""


def next_wait(every: timedelta, fraction: float) -> timedelta:
    """When to run again: a quarter around the interval, so that connections made together do not run together. Pure."""
    return every * (1 - _SPREAD + 2 * _SPREAD * fraction)


class Planner:
    """Makes jobs of what is due."""

    def __init__(self, database: Database, fraction: Callable[[], float] = random.random) -> None:
        self._database = database
        self._fraction = fraction
        self._grants_due_s = 0.0

    def tick(self) -> int:
        """Plan what is due; returns how many streams, grants, holds and connections were.

        Raises:
            Unavailable: Postgres cannot be reached.
        """
        with self._database.transaction() as tx:
            lock = tx.execute(QUERIES["lock_lane"], {"class": LOCK_CLASS, "number": _LOCK_NUMBER}).fetchone()
            if lock is None or not lock["ours"]:
                return 0
            return self._streams(tx) + self._grants(tx) + self._holds(tx) + self._retention(tx)

    def _streams(self, tx: Connection) -> int:
        due = tx.execute(QUERIES["due_streams"], {"limit": _PLANNED_AT_ONCE}).fetchall()
        for row in due:
            workspace, connection, stream = row["workspace_id"], row["connection_id"], row["stream"]
            wait = None
            if row["may_run"]:
                args = {"connection_id": str(connection), "stream": stream}
                planned = _plan(tx, workspace, "sync_stream", row["lane"], connection, args, f"{connection}:{stream}")
                wait = next_wait(row["every"], self._fraction()) if planned else _PUT_OFF
            tx.execute(
                QUERIES["plan_stream"],
                {"workspace": workspace, "connection": connection, "stream": stream, "wait": wait},
            )
        return len(due)

    def _grants(self, tx: Connection) -> int:
        now_s = time.monotonic()
        if now_s < self._grants_due_s:
            return 0
        self._grants_due_s = now_s + _GRANTS_EVERY_S
        idle = tx.execute(QUERIES["idle_grants"], {"idle": GRANT_IDLE, "limit": _PLANNED_AT_ONCE}).fetchall()
        for row in idle:
            connection = row["connection_id"]
            args = {"connection_id": str(connection)}
            _plan(tx, row["workspace_id"], "refresh_grant", Lane.UPKEEP, connection, args, str(connection))
        return len(idle)

    def _holds(self, tx: Connection) -> int:
        overdue = tx.execute(QUERIES["overdue_holds"], {"limit": _PLANNED_AT_ONCE}).fetchall()
        for row in overdue:
            args = {"hold_id": row["hold_id"], "decision": "apply"}
            _plan(tx, row["workspace_id"], "decide_deletions", Lane.UPKEEP, row["connection_id"], args, row["hold_id"])
        return len(overdue)

    def _retention(self, tx: Connection) -> int:
        for row in tx.execute(QUERIES["policies_to_plan"]).fetchall():
            if unless_locked(tx, QUERIES["plan_connections_of"], row):
                tx.execute(QUERIES["policy_planned"], row)
        due = tx.execute(QUERIES["due_plans"], {"limit": _PLANNED_AT_ONCE}).fetchall()
        for row in due:
            workspace, connection = row["workspace_id"], row["connection_id"]
            args = {"connection": str(connection)}
            planned = _plan(tx, workspace, "plan_retention", Lane.UPKEEP, None, args, connection)
            wait = _PLAN_AGAIN if planned else _PUT_OFF
            tx.execute(QUERIES["put_off_plan"], {"workspace": workspace, "connection": connection, "wait": wait})
        return len(due) + self._sweeps(tx) + self._upkeep(tx)

    def _upkeep(self, tx: Connection) -> int:
        due = tx.execute(QUERIES["due_upkeep"], {"limit": _PLANNED_AT_ONCE}).fetchall()
        for row in due:
            _plan(tx, row["workspace_id"], "sweep_own_rows", Lane.UPKEEP, None, {}, "all")
        return len(due)

    def _sweeps(self, tx: Connection) -> int:
        """Sweeps of what is due. A round looks at the oldest of it only, so that no round is long."""
        due = tx.execute(QUERIES["workspaces_with_due_records"], {"limit": _LOOKED_AT_ONCE}).fetchall()
        for row in due:
            _plan(tx, row["workspace_id"], "sweep_expired", Lane.UPKEEP, None, {}, "records")
        return len(due)


def _plan(
    tx: Connection, workspace: str, kind: str, lane: str, connection: UUID | None, args: dict[str, Any], what: object
) -> bool:
    """Make the job unless one lives; False if somebody is just making one, and nobody knows yet whether it will."""
    asked = {
        "workspace": workspace,
        "kind": kind,
        "lane": str(lane),
        "connection": connection,
        "args": Jsonb(args),
        "unique_key": f"{kind}:{what}",
    }
    return unless_locked(tx, QUERIES["plan_job"], asked)

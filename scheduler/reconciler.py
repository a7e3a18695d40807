"""Picks up after the dead: jobs of processes that beat no more, jobs past their deadline, rings that were lost.

It compares the ledger with what lives; nothing is remembered between two rounds, so a replica may die at any point.
"""

from datetime import timedelta
from typing import Final

import structlog

from scheduler.dispatcher import QUERIES, Dispatcher
from worker.errors import Unavailable
from worker.jobs.bell import Bell
from worker.store.database import Database

_log = structlog.get_logger(__name__)
_PATIENCE: Final = timedelta(seconds=2)
"""How long an admitted job may wait for a thread before its ring is taken for lost."""
_RUNG_AT_ONCE: Final = 1_000
_LEASES_UNTIL_BURIED: Final = 20


class Reconciler:
    """Brings the ledger and the living together."""

    def __init__(self, database: Database, bell: Bell, dispatcher: Dispatcher, lease: timedelta) -> None:
        self._database = database
        self._bell = bell
        self._dispatcher = dispatcher
        self._lease = lease

    def threads(self) -> dict[str, int]:
        """How many threads serve each lane now.

        Raises:
            Unavailable: Postgres cannot be reached.
        """
        with self._database.session() as session:
            rows = session.execute(QUERIES["threads"], {"lease": self._lease}).fetchall()
        return {row["lane"]: int(row["threads"]) for row in rows}

    def tick(self) -> int:
        """Take jobs from the dead, ring again what was lost, bury; returns how many jobs were taken.

        Raises:
            Unavailable: Postgres cannot be reached.
        """
        with self._database.session() as session:
            taken = session.execute(QUERIES["take_from_dead"], {"lease": self._lease}).fetchall()
            session.execute(QUERIES["bury"], {"long_dead": _LEASES_UNTIL_BURIED * self._lease})
        for row in taken:
            _log.warning(
                "job.taken_from_the_dead",
                workspace=row["workspace_id"],
                job_id=row["job_id"],
                deliveries=row["deliveries"],
            )
        self._ring_what_was_lost()
        return len(taken)

    def _ring_what_was_lost(self) -> None:
        waiting = {lane: count for lane, (_, count) in self._dispatcher.look().items() if count}
        if not waiting:
            return
        try:
            unanswered = self._bell.unanswered(waiting)
        except Unavailable:
            return  # It cannot be rung either; the next round tries again.
        for lane, count in waiting.items():
            # Rings that still lie there wait for a free thread; ringing on would only pile them up.
            if unanswered[lane] >= count:
                continue
            asked = {"lane": lane.value, "patience": _PATIENCE, "limit": _RUNG_AT_ONCE}
            with self._database.session() as session:
                rows = session.execute(QUERIES["ring_again"], asked).fetchall()
            self._dispatcher.ring({lane: [(row["workspace_id"], row["job_id"]) for row in rows]})

"""Admits what is due: late, fairly, and no more than the lane's threads will soon take.

    parked, its time has come ─▶ queued ─▶ admitted, within the lane's window ─▶ a ring at the doorbell

Priority and fairness are decided as late as possible, so the window is short: whoever was served longest ago comes
next, whatever stood in line before. A ring that Redis does not take is no loss; the reconciler rings again.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from worker.errors import DatabaseFault, Unavailable
from worker.jobs.bell import Bell, Ring
from worker.jobs.lanes import Lane
from worker.store import queries
from worker.store.database import Database

_log = structlog.get_logger(__name__)
QUERIES = queries.load("scheduler")
LOCK_CLASS: Final = 0x6372_6D73
"""First half of the advisory locks' keys («crms»); the second is the lane's number."""
LOCK_NUMBERS: Final = {lane: number for number, lane in enumerate(Lane)}
SMALLEST_WINDOW: Final = 32
JOBS_A_THREAD: Final = 4
_WOKEN_AT_ONCE: Final = 1_000
_LANES: Final = [lane.value for lane in Lane]


def room(threads: int, waiting: int) -> int:
    """How many more jobs a lane may hold admitted, when `threads` serve it and `waiting` are not claimed yet. Pure."""
    return max(0, max(SMALLEST_WINDOW, JOBS_A_THREAD * threads) - waiting)


class Dispatcher:
    """Admits jobs for all lanes."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell
        self._bell_works = True
        self.admitted = 0

    def tick(self, threads: Mapping[str, int]) -> bool:
        """Wake and admit what is due; whether there was anything.

        Raises:
            Unavailable: Postgres cannot be reached.
            DatabaseFault: Postgres refused what admits for a lane; the other lanes were served.
        """
        rings, fault = {}, None
        for lane, (due, waiting) in self.look().items():
            serving = threads.get(lane.value, 0)
            if due and room(serving, waiting):
                try:
                    rings[lane] = self._admit(lane, serving)
                except DatabaseFault as error:
                    fault = error
        self.ring(rings)
        if fault is not None:
            raise fault
        return any(rings.values())

    def look(self) -> dict[Lane, tuple[bool, int]]:
        """For each lane, whether anything is due and how many admitted jobs wait; what was parked until now is due.

        Raises:
            Unavailable: Postgres cannot be reached.
        """
        asked = {"lanes": _LANES, "limit": _WOKEN_AT_ONCE}
        rows = self._database.glance(QUERIES["look"], asked).fetchall()
        return {Lane(row["lane"]): (row["due"], int(row["waiting"])) for row in rows}

    def ring(self, rings: Mapping[Lane, Iterable[Ring]]) -> None:
        """Ring, and say once when Redis goes away and once when it is back."""
        if not any(rings.values()):
            return
        try:
            self._bell.ring(rings)
        except Unavailable as error:
            if self._bell_works:
                _log.warning("bell.away", reason=str(error))
            self._bell_works = False
            return
        if not self._bell_works:
            _log.info("bell.back")
        self._bell_works = True

    def _admit(self, lane: Lane, threads: int) -> list[Ring]:
        with self._database.transaction() as tx:
            lock = {"class": LOCK_CLASS, "number": LOCK_NUMBERS[lane]}
            with tx.pipeline():
                locked = tx.execute(QUERIES["lock_lane"], lock)
                # Counted under the lock: what another replica has just admitted takes room as well.
                counted = tx.execute(QUERIES["waiting"], {"lane": lane.value})
            ours, waiting = locked.fetchone(), counted.fetchone()
            if ours is None or not ours["ours"] or waiting is None:
                return []
            free = room(threads, int(waiting["waiting"]))
            rows = tx.execute(QUERIES["admit"], {"lane": lane.value, "room": free}).fetchall()
        self.admitted += len(rows)
        return [(row["workspace_id"], row["job_id"]) for row in rows]

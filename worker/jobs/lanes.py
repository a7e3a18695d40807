"""The wire names of jobs: lanes, pools, the actor, the doorbell's keys, the channel of announcements.

They are in rows, in Redis and on command lines, so a release may add one but never rename one; a snapshot test holds
them. This module decides nothing.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from worker.errors import BadRequest


class Lane(StrEnum):
    """A class of urgency. The order is the order in which a process that serves several answers their bells."""

    INTERACTIVE = "interactive"
    PRIVACY = "privacy"
    SYNC = "sync"
    BACKFILL = "backfill"
    UPKEEP = "upkeep"


POOLS: Final = MappingProxyType(
    {
        "all": tuple(Lane),
        "interactive": (Lane.INTERACTIVE, Lane.PRIVACY),
        "sync": (Lane.SYNC, Lane.BACKFILL),
        "upkeep": (Lane.UPKEEP,),
    }
)
ACTOR: Final = "run_job"
BELL_PREFIX: Final = "crm-sync:bell:"
ANNOUNCEMENTS: Final = "crm_sync_job"
ANNOUNCED: Final = (Lane.INTERACTIVE, Lane.PRIVACY)
"""Lanes somebody waits in: only their endings are announced, for NOTIFY takes a lock of the whole cluster."""


def lanes_of(pool: str) -> tuple[Lane, ...]:
    """The lanes that a pool serves.

    Raises:
        BadRequest: there is no such pool.
    """
    try:
        return POOLS[pool]
    except KeyError:
        raise BadRequest(f"There is no pool «{pool}». Pools: {', '.join(POOLS)}.") from None


def bell_of(lane: Lane) -> str:
    """The Redis list that is a lane's doorbell."""
    return BELL_PREFIX + lane.value

"""The doorbell: one Redis list a lane, holding the ids of jobs that were admitted. Nothing else passes through Redis.

    crm-sync:bell:<lane>   ["<workspace> <job id>", …]   rung at the right end, answered at the left

A ring may be lost or doubled at any time: the ledger knows what was admitted, and rings again. What is found in a list
was possibly written by anybody, so it is read with suspicion and never logged.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

import redis

from worker.errors import Unavailable
from worker.jobs.lanes import Lane, bell_of

Ring = tuple[str, int]
_RING: Final = re.compile(rb"([A-Za-z0-9][A-Za-z0-9._-]{0,62}) ([1-9][0-9]{0,17})")
_TIMEOUT_S = 5.0


def encode(ring: Ring) -> bytes:
    """`<workspace> <job id>`: about twenty bytes."""
    workspace, job_id = ring
    return f"{workspace} {job_id}".encode()


def decode(found: bytes) -> Ring | None:
    """The inverse; None for anything that `encode` did not write."""
    match = _RING.fullmatch(found)
    return (match[1].decode(), int(match[2])) if match else None


def open_redis(url: str) -> redis.Redis:
    """A client that never repeats a command by itself and gives up after a few seconds."""
    return redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=None, health_check_interval=0
    )


class Bell:
    """The ringing side, for the scheduler. It connects when it first rings."""

    def __init__(self, url: str) -> None:
        self._redis = open_redis(url)

    def ring(self, rings: Mapping[Lane, Iterable[Ring]]) -> None:
        """Ring for every job, in one exchange.

        Raises:
            Unavailable: Redis cannot be reached or refuses; some may have been rung.
        """
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for lane, some in rings.items():
                    messages = [encode(ring) for ring in some]
                    if messages:
                        pipeline.rpush(bell_of(lane), *messages)
                pipeline.execute()
        except redis.RedisError as error:
            raise Unavailable(f"Redis cannot be rung ({type(error).__name__})") from None

    def unanswered(self, lanes: Iterable[Lane]) -> dict[Lane, int]:
        """How many rings wait in each lane.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        asked = tuple(lanes)
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for lane in asked:
                    pipeline.llen(bell_of(lane))
                return dict(zip(asked, cast("list[int]", pipeline.execute()), strict=True))
        except redis.RedisError as error:
            raise Unavailable(f"Redis cannot be asked ({type(error).__name__})") from None

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

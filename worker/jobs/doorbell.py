"""A dramatiq broker whose queues are the doorbell's lists, and the one ear of a process that listens to them.

    Redis lists ──BLPOP──▶ Ear (one a process) ──▶ dramatiq's work queue ──▶ a free thread

dramatiq starts a consumer thread for each queue. One of them becomes the process's ear and pops from all its lanes at
once, the most urgent first, and only while a thread is free, so no ring waits in a busy process while another is idle.
Acknowledging does nothing: a job's row says how far it is, and an unanswered admission is rung again. There are no
delays, retries or dead letters here. While Redis is away the ear tries again by itself, and says so once.
"""

import itertools
import threading
import time
from collections.abc import Iterable
from typing import Any, cast

import dramatiq
import redis
import structlog
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import QueueNotFound

from worker.jobs.bell import Ring, decode, encode, open_redis
from worker.jobs.lanes import ACTOR, Lane, bell_of

_log = structlog.get_logger(__name__)
_POP_TIMEOUT_S = 1.0
_RECONNECT_S = (0.1, 0.2, 0.4, 0.8)
_numbers = itertools.count(1)


class DoorbellBroker(dramatiq.Broker):
    """Declares the lanes as queues. `connect` gives the address, in the process that will listen, after any fork."""

    def __init__(self, middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(middleware=middleware)
        self.queues: set[str] = set()
        self._ear: Ear | None = None
        for lane in Lane:
            self.declare_queue(lane.value)

    def connect(self, url: str, threads: int) -> None:
        """Name the Redis to listen to, and how many threads there are to answer."""
        self._ear = Ear(url, threads)

    def hush(self) -> None:
        """Take no further ring: the process is stopping."""
        if self._ear is not None:
            self._ear.hush()

    def close(self) -> None:
        """Close the connection."""
        if self._ear is not None:
            self._ear.close()

    def declare_queue(self, queue_name: str) -> None:
        """Lanes are all the queues that there are."""
        if queue_name in self.queues:
            return
        Lane(queue_name)
        self.emit_before("declare_queue", queue_name)
        self.queues.add(queue_name)
        self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The lanes."""
        return set(self.queues)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 1000) -> Consumer:  # noqa: ARG002
        """A consumer for one lane; the ear decides when it hears something."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)  # type: ignore[no-untyped-call]  # dramatiq has no types here.
        if self._ear is None:
            raise RuntimeError("the broker was not connected before its worker started")
        return LaneConsumer(self._ear, Lane(queue_name))

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Ring for a job that was admitted. This is for tests and by hand; the scheduler rings by `Bell`."""
        if message.actor_name != ACTOR or message.kwargs or delay is not None:
            raise ValueError(f"the doorbell carries {ACTOR}(workspace, job id) and nothing else, and delays nothing")
        if self._ear is None:
            raise RuntimeError("the broker is not connected")
        workspace, job_id = message.args
        self._ear.ring(Lane(message.queue_name), (str(workspace), int(job_id)))
        return message


class LaneConsumer(Consumer):
    """What dramatiq iterates over for a lane. Whichever of a process's consumers listens hears all its lanes."""

    def __init__(self, ear: "Ear", lane: Lane) -> None:
        self._ear = ear
        self._lane = lane
        ear.join(self._lane)

    def __next__(self) -> MessageProxy | None:
        if not self._ear.is_listener(self._lane, _POP_TIMEOUT_S):
            return None
        heard = self._ear.listen()
        if heard is None:
            return None
        lane, ring = heard
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=lane.value, actor_name=ACTOR, args=ring, kwargs={}, options={}, message_id=str(next(_numbers))
        )
        return MessageProxy(message)

    def ack(self, message: MessageProxy) -> None:  # noqa: ARG002
        """A thread is free again."""
        self._ear.thread_is_free()

    def nack(self, message: MessageProxy) -> None:  # noqa: ARG002
        """Likewise: nothing in Redis remembers the job."""
        self._ear.thread_is_free()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Drop them: the scheduler rings again for what nobody claimed."""

    def close(self) -> None:
        """Let another lane's consumer listen."""
        self._ear.leave(self._lane)


class Ear:
    """Pops rings of several lanes over one connection, while a thread is free. One thread listens at a time."""

    def __init__(self, url: str, threads: int) -> None:
        self._redis = open_redis(url)
        self._free = threading.Semaphore(threads)
        self._guard = threading.Condition()
        self._lanes: set[Lane] = set()
        self._listener: Lane | None = None
        self._hushed = threading.Event()
        self._failures = 0

    def join(self, lane: Lane) -> None:
        """Listen to this lane too."""
        with self._guard:
            self._lanes.add(lane)

    def leave(self, lane: Lane) -> None:
        """Listen to it no more."""
        with self._guard:
            self._lanes.discard(lane)
            if self._listener is lane:
                self._listener = None
                self._guard.notify()

    def is_listener(self, lane: Lane, timeout_s: float) -> bool:
        """Whether this lane's consumer is the one that listens; waits a while for the place to become free."""
        with self._guard:
            if self._listener is None or (
                self._listener is not lane and self._guard.wait(timeout_s) and self._listener is None
            ):
                self._listener = lane
            return self._listener is lane

    def listen(self) -> tuple[Lane, Ring] | None:
        """The next ring, for which a thread is then taken; None when there was none for about a second."""
        if self._hushed.is_set():
            time.sleep(0.05)
            return None
        if not self._free.acquire(timeout=_POP_TIMEOUT_S):
            return None
        heard = None
        try:
            heard = self._pop()
        finally:
            if heard is None:
                self._free.release()
        return heard

    def thread_is_free(self) -> None:
        """A thread ended what a ring gave it."""
        self._free.release()

    def ring(self, lane: Lane, ring: Ring) -> None:
        """Ring over this connection."""
        self._redis.rpush(bell_of(lane), encode(ring))

    def hush(self) -> None:
        """Pop nothing more."""
        self._hushed.set()

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _pop(self) -> tuple[Lane, Ring] | None:
        with self._guard:
            lanes = {bell_of(lane): lane for lane in Lane if lane in self._lanes}
        try:
            found = cast(
                "tuple[bytes, bytes] | None", self._redis.blpop(list(lanes), timeout=cast("int", _POP_TIMEOUT_S))
            )
        except redis.ResponseError:
            self._clear_strangers(list(lanes))
            return None
        except redis.RedisError as error:
            self._wait_for_redis(error)
            return None
        if self._failures:
            self._failures = 0
            _log.info("doorbell.back")
        if found is None:
            return None
        key, text = found
        ring = decode(text)
        if ring is None:
            _log.warning("doorbell.poison", lane=lanes[key.decode()].value, size_bytes=len(text))
            return None
        return lanes[key.decode()], ring

    def _wait_for_redis(self, error: redis.RedisError) -> None:
        if not self._failures:
            _log.warning("doorbell.away", error=type(error).__name__)
        self._redis.close()
        self._hushed.wait(_RECONNECT_S[min(self._failures, len(_RECONNECT_S) - 1)])
        self._failures += 1

    def _clear_strangers(self, keys: list[str]) -> None:
        """Somebody put a value of another type where a bell belongs; it can hold nothing that we need."""
        try:
            strangers = [key for key in keys if self._redis.type(key) not in (b"list", b"none")]
            if strangers:
                self._redis.delete(*strangers)
        except redis.RedisError:
            strangers = []
        _log.warning("doorbell.refused", cleared=len(strangers))
        self._hushed.wait(_RECONNECT_S[0])

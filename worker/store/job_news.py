"""Tells threads that wait for jobs when one may have ended: one of them listens to Postgres for all.

    a worker ──NOTIFY──▶ the waiting thread that came first, over one connection ──▶ every waiting thread

So any number of threads wait over one connection in all. When the one that listens has what it waited for, another
takes its place; what is said in between is not heard, so nobody may rely on the news alone.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from worker.store.database import Connection, Database

CHANNEL = "crm_sync_job"


class JobNews:
    """The news of one client; its threads share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listening = threading.Lock()
        self._heard = threading.Condition()
        self._count = 0

    @contextmanager
    def follow(self) -> Iterator["Follower"]:
        """For a thread that waits, as long as it waits."""
        with ExitStack() as kept:
            yield Follower(self, kept)

    @property
    def count(self) -> int:
        """How much was heard until now."""
        return self._count

    def tell(self) -> None:
        """Wake every thread that waits."""
        with self._heard:
            self._count += 1
            self._heard.notify_all()

    def wait_until_told(self, count: int, timeout_s: float) -> None:
        """Return when more than `count` was heard, or after a time."""
        with self._heard:
            self._heard.wait_for(lambda: self._count != count, timeout_s)

    def begin_to_listen(self, kept: ExitStack) -> Connection | None:
        """A connection that listens until `kept` is closed; None if another thread listens already."""
        if not self._listening.acquire(blocking=False):
            return None
        kept.callback(self._listening.release)
        session = kept.enter_context(self._database.session())
        session.execute(f"LISTEN {CHANNEL}")
        kept.callback(session.execute, "UNLISTEN *")
        return session


class Follower:
    """One waiting thread."""

    def __init__(self, news: JobNews, kept: ExitStack) -> None:
        self._news = news
        self._kept = kept
        self._session: Connection | None = None

    def wait(self, count: int, timeout_s: float) -> None:
        """Return when more than `count` was heard, or after `timeout_s`.

        Raises:
            Unavailable: Postgres went away while this thread listened.
        """
        if self._session is None:
            self._session = self._news.begin_to_listen(self._kept)
        if self._session is None:
            self._news.wait_until_told(count, timeout_s)
            return
        for _ in self._session.notifies(timeout=timeout_s, stop_after=1):
            self._news.tell()

"""Reads an iterator one item ahead, on a thread of its own: a page is fetched while the last one commits.

It knows nothing of pages. An item that is read ahead and then not wanted is dropped; nothing depends on it.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class Ahead(Generic[Item, Made]):
    """Yields `make(item)` for each item of `source`; both run on the reading thread, in order."""

    def __init__(self, source: Iterator[Item], make: Callable[[Item], Made]) -> None:
        self._source = source
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
        self._next: Future[Made | None] | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        # The reading thread may hang in a request until its deadline; nobody waits for it. It closes the source
        # itself, since a running generator cannot be closed from another thread.
        self._pool.submit(self._close_source)
        self._pool.shutdown(wait=False)

    def take(self) -> Made | None:
        """The next item, or None at the end; whatever the source raises is raised here."""
        future = self._next or self._pool.submit(self._read)
        self._next = None
        return future.result()

    def read_on(self) -> None:
        """Begin to read the item after the one just taken."""
        if self._next is None:
            self._next = self._pool.submit(self._read)

    def _read(self) -> Made | None:
        if self._closed.is_set():
            return None
        item = next(self._source, None)
        return None if item is None else self._make(item)

    def _close_source(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

"""HMAC-SHA-256 under one key, for pages of thousands of values.

`hmac.digest` and `os.urandom` let go of the interpreter's lock at every call, and while a page is read ahead another
thread takes it, for five milliseconds each time: a value that takes a microsecond took a thousand times as long. An
HMAC object that was begun with the key and is copied for each value keeps the lock; so does `ssl.RAND_bytes`.
It keeps no state between values.
"""

import hmac
from typing import NoReturn


class Mac:
    """A key's HMAC. Threads may share it."""

    __slots__ = ("_begun",)

    def __init__(self, key: bytes) -> None:
        self._begun = hmac.new(key, digestmod="sha256")

    def __call__(self, message: bytes) -> bytes:
        """The 32 bytes."""
        mac = self._begun.copy()
        mac.update(message)
        return mac.digest()

    def __repr__(self) -> str:
        return "Mac()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Mac is not pickled: it holds a key")

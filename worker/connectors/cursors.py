"""Places that connectors wrote down earlier, read back: as they were, or not at all.

A cursor is a struct in JSON, and only its connector reads it. One of another release's form, or bound to parameters
that are no longer ours, is no place to resume: `CursorExpired` says so, and a full pass heals it.
"""

from typing import Protocol, TypeVar

import msgspec

from worker.errors import CursorExpired

T = TypeVar("T")


class Bound(Protocol):
    """A place that holds only for a request with the parameters that its fingerprint names."""

    fingerprint: str


BoundT = TypeVar("BoundT", bound=Bound)


def read_cursor(cursor: bytes, type_: type[T]) -> T:
    """The place that a cursor holds. Pure.

    Raises:
        CursorExpired: it is of a form that this release does not know.
    """
    try:
        return msgspec.json.decode(cursor, type=type_)
    except msgspec.MsgspecError:
        raise CursorExpired("The cursor is of a form that this release does not know.") from None


def read_bound_cursor(cursor: bytes, type_: type[BoundT], fingerprint: str) -> BoundT:
    """The same for a place that is bound to parameters. Pure.

    Raises:
        CursorExpired: it is of a form that this release does not know, or bound to others.
    """
    place = read_cursor(cursor, type_)
    if place.fingerprint != fingerprint:
        raise CursorExpired("The cursor belongs to other parameters.")
    return place

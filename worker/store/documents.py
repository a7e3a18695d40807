"""Documents: sealed records, the lookups by which they are found, the notes of a full pass, the quarantine.

Plain reads and writes over a transaction that the caller has opened for a workspace; it decides nothing and seals
nothing. Keys, digests and lookup values are HMACs by the time they come here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import msgspec

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("documents")
BLIND_VALUE_BYTES = 16
NO_PASS = 0
"""The pass of a record that its own part has not shown yet; real ones begin with 1."""
KEPT = -1
"""The `pass_id` of a document that the provider no longer showed and a person kept: sweeps leave it alone."""


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """Names a stream of a connection of a workspace: what every statement here repeats."""

    workspace: str
    connection: UUID
    stream: str

    def arguments(self) -> dict[str, object]:
        """The three as parameters."""
        return {"workspace": self.workspace, "connection": self.connection, "stream": self.stream}


class Held(msgspec.Struct, frozen=True, gc=False):
    """What we hold under a key: enough to see whether it changed, and when it ends. `blind` is its lookup values."""

    digest: bytes
    blind: bytes
    pass_id: int
    part: bytes = b""
    kind: str = ""
    dated: date | None = None
    fetched_at: datetime | None = None
    expires_at: datetime | None = None
    renewable: bool = False


class Life(msgspec.Struct, frozen=True, gc=False):
    """The record's own day, and when its time here is over by which rule; it lives on if shown again (`renewable`)."""

    dated: date | None = None
    expires_at: datetime | None = None
    rule: str | None = None
    renewable: bool = False


class SealedDocument(msgspec.Struct, frozen=True, gc=False):
    """A document ready to be written."""

    document_key: bytes
    kind: str
    digest: bytes
    sealed: bytes
    blind: bytes
    life: Life = Life()


def blind_values(packed: bytes) -> list[bytes]:
    """The lookup values in a packed column."""
    return [packed[start : start + BLIND_VALUE_BYTES] for start in range(0, len(packed), BLIND_VALUE_BYTES)]


def held(tx: Connection, place: StreamPlace, keys: Sequence[bytes]) -> dict[bytes, Held]:
    """What we hold of `keys`."""
    if not keys:
        return {}
    rows = tx.execute(QUERIES["held"], {**place.arguments(), "keys": list(keys)}, binary=True).fetchall()
    return {row.pop("document_key"): Held(**row) for row in rows}


def known(tx: Connection, place: StreamPlace, part: bytes, keys: Sequence[bytes]) -> set[bytes]:
    """Those of `keys` that we hold in the part, in the form that its present normaliser gives."""
    rows = tx.execute(QUERIES["known"], {**place.arguments(), "part": part, "keys": list(keys)}).fetchall()
    return {row["document_key"] for row in rows}


def save(tx: Connection, place: StreamPlace, part: bytes, pass_id: int, documents: Sequence[SealedDocument]) -> None:
    """Write new and changed documents and add their lookup rows. `documents` must be sorted by key, each key once."""
    if not documents:
        return
    tx.execute(
        QUERIES["save"],
        {
            **place.arguments(),
            "part": part,
            "pass": pass_id,
            "keys": [document.document_key for document in documents],
            "kinds": [document.kind for document in documents],
            "digests": [document.digest for document in documents],
            "sealed": [document.sealed for document in documents],
            "blind": [document.blind for document in documents],
            **_lives([document.life for document in documents]),
        },
    )
    pairs = sorted((value, document.document_key) for document in documents for value in blind_values(document.blind))
    if pairs:
        _index(tx, "index_documents", place, pairs)


def renew(tx: Connection, place: StreamPlace, lives: Sequence[tuple[bytes, Life]]) -> None:
    """Note that records were shown unchanged, and when their time is over now."""
    if lives:
        arguments = {"keys": [key for key, _ in lives], **_lives([life for _, life in lives])}
        tx.execute(QUERIES["renew"], {**place.arguments(), **arguments})


def unindex(tx: Connection, place: StreamPlace, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Take away lookup rows: (value, document key), which a changed document no longer has."""
    if pairs:
        _index(tx, "unindex_documents", place, pairs)


def delete(tx: Connection, place: StreamPlace, keys: Iterable[bytes], *, part: bytes | None = None) -> list[bytes]:
    """Delete documents with their lookup rows and places in open holds; returns the keys that were there, in order.

    With `part`, what has moved to another part meanwhile stays.
    """
    wanted = sorted(keys)
    if not wanted:
        return []
    rows = tx.execute(QUERIES["delete"], {**place.arguments(), "keys": wanted, "part": part}).fetchall()
    return [row["document_key"] for row in rows]


def note_seen(tx: Connection, place: StreamPlace, part: bytes, pass_id: int, keys: Sequence[bytes]) -> None:
    """Note what a full pass saw and did not write."""
    if keys:
        tx.execute(QUERIES["note_seen"], {**place.arguments(), "part": part, "pass": pass_id, "keys": list(keys)})


def take_back_word(tx: Connection, place: StreamPlace, pass_id: int, keys: Sequence[bytes]) -> None:
    """Those of `keys` that a person kept were shown again: from now on the provider's word counts for them."""
    if keys:
        tx.execute(QUERIES["take_back_word"], {**place.arguments(), "pass": pass_id, "keys": list(keys)})


def unseen(
    tx: Connection, place: StreamPlace, part: bytes, pass_id: int, limit: int, *, after: bytes = b""
) -> list[bytes]:
    """At most `limit` keys of the part that the pass did not show and that no hold keeps, in order behind `after`."""
    arguments = {**place.arguments(), "part": part, "pass": pass_id, "limit": limit, "after": after}
    return [row["document_key"] for row in tx.execute(QUERIES["unseen"], arguments).fetchall()]


def bodies(tx: Connection, place: StreamPlace, keys: Sequence[bytes]) -> list[tuple[bytes, str, bytes]]:
    """Key, kind and sealed body of those of `keys` that we hold, in order."""
    rows = tx.execute(QUERIES["bodies"], {**place.arguments(), "keys": list(keys)}).fetchall()
    return [(row["document_key"], row["kind"], row["sealed"]) for row in rows]


def move(tx: Connection, place: StreamPlace, part: bytes, keys: Sequence[bytes]) -> None:
    """Let documents belong to another part, which has yet to show them."""
    if keys:
        tx.execute(QUERIES["move"], {**place.arguments(), "part": part, "keys": list(keys)})


def forget_seen(tx: Connection, place: StreamPlace, part: bytes) -> None:
    """Drop the notes of the part's passes."""
    tx.execute(QUERIES["forget_seen"], {**place.arguments(), "part": part})


def quarantine(tx: Connection, place: StreamPlace, part: bytes, refused: Sequence[tuple[bytes, str, str]]) -> None:
    """Set records aside: (document key, reason, where in the record)."""
    if refused:
        last = {key: (key, reason, detail) for key, reason, detail in refused}
        rows = [last[key] for key in sorted(last)]
        tx.execute(
            QUERIES["quarantine"],
            {
                **place.arguments(),
                "part": part,
                "keys": [row[0] for row in rows],
                "reasons": [row[1] for row in rows],
                "details": [row[2] for row in rows],
            },
        )


def leave_quarantine(tx: Connection, place: StreamPlace, keys: Sequence[bytes], *, reason: str | None = None) -> None:
    """Records that could be taken, or are gone at the provider, leave the quarantine; those in it for `reason` only."""
    if keys:
        tx.execute(QUERIES["leave_quarantine"], {**place.arguments(), "keys": list(keys), "reason": reason})


def set_aside_for(
    tx: Connection, place: StreamPlace, part: bytes, reason: str, most_times: int, limit: int
) -> list[bytes]:
    """Records that we hold and that were set aside for `reason`, fewer than `most_times` times."""
    arguments = {**place.arguments(), "part": part, "reason": reason, "most_times": most_times, "limit": limit}
    return [row["document_key"] for row in tx.execute(QUERIES["set_aside_for"], arguments).fetchall()]


def _lives(lives: Sequence[Life]) -> dict[str, object]:
    return {
        "dated": [life.dated for life in lives],
        "expires": [life.expires_at for life in lives],
        "rules": [life.rule for life in lives],
        "renewable": [life.renewable for life in lives],
    }


def _index(tx: Connection, query: str, place: StreamPlace, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    arguments = {"values": [value for value, _ in pairs], "keys": [key for _, key in pairs]}
    tx.execute(QUERIES[query], {**place.arguments(), **arguments})

"""The log of disclosures: who read, exported, corrected or erased what, when and why, chained by hashes (P15).

    entry n  = {"action","actor","at","details","reason","seq","workspace"} as canonical JSON
    hash n   = SHA-256(hash n-1 | entry n)          hash 0 = 32 zero bytes
    head     = (n, hash n), one row a workspace, locked while an entry is added

Canonical JSON: UTF-8, keys sorted by code point, no white space, nothing escaped that need not be, `at` in UTC with
six digits of a second and a `Z`; text, whole numbers, truth values, null, lists and objects only. People stand in
`details` only as a commitment, SHA-256(salt | lookup value): the salt lies in a row of its own, and once an erasure has
dropped it the entry names nobody, while the chain still verifies.

It shows that nothing was changed, taken out or put between. It does not show that an owner of the database cut the end
off and set the head back: keep the head that `verify` returns outside, and compare.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker.store.database import Connection, Database
from worker.store.queries import load

QUERIES = load("audit")
GENESIS = bytes(32)
_BATCH = 5_000

Plain = str | int | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of a workspace's chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    reason: str
    details: dict[str, Any]
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: how many entries hold, the hash that they end in, and where it broke, if it did."""

    entries: int
    head: bytes
    broken_at: int | None = None
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Whether every entry is as it was written and none is missing."""
        return self.broken_at is None


def append(
    tx: Connection,
    workspace: str,
    *,
    actor: str,
    action: str,
    reason: str,
    details: Mapping[str, Plain],
    subjects: Sequence[bytes] = (),
) -> int:
    """Add an entry within the transaction that discloses, and return its number.

    Call it late: the head stays locked until the transaction ends. `subjects` are lookup values (HMACs) of the people
    whom the entry is about; they go in as commitments.
    """
    head = tx.execute(QUERIES["lock_head"], {"workspace": workspace, "genesis": GENESIS}).fetchone()
    if head is None:
        raise RuntimeError("an upsert with RETURNING gave no row")
    salt = secrets.token_bytes(16) if subjects else None
    told: dict[str, Plain] = dict(details)
    if salt is not None:
        told["subjects"] = sorted(commitment(salt, subject) for subject in subjects)
    seq = int(head["seq"]) + 1
    entry = canonical(workspace, seq, head["at"], actor, action, reason, told)
    tx.execute(
        QUERIES["append"],
        {
            "workspace": workspace,
            "seq": seq,
            "at": head["at"],
            "actor": actor,
            "action": action,
            "reason": reason,
            "details": json.dumps(told, ensure_ascii=False),
            "previous": head["hash"],
            "hash": chained(head["hash"], entry),
            "salt": salt,
        },
    )
    return seq


def last(tx: Connection, workspace: str, limit: int) -> list[Link]:
    """The newest entries, newest first."""
    rows = tx.execute(QUERIES["last_links"], {"workspace": workspace, "limit": limit}).fetchall()
    return [Link(**row) for row in rows]


def verify(database: Database, workspace: str) -> Verdict:
    """Walk the whole chain of a workspace and hold it against its head.

    Each batch is read in a transaction of its own, since a chain may be longer than any transaction may last.
    """
    # The head is read first: what is added from now on lies behind it and is not looked at.
    with database.transaction(workspace) as tx:
        head = tx.execute(QUERIES["head"], {"workspace": workspace}).fetchone() or {"seq": 0, "hash": GENESIS}
    seq, previous = 0, GENESIS
    while links := _links(database, workspace, after=seq, through=head["seq"]):
        for link in links:
            if problem := _fault_of(link, workspace, seq + 1, previous):
                return Verdict(seq, previous, seq + 1, problem)
            seq, previous = link.seq, link.hash
    if (seq, previous) != (head["seq"], head["hash"]):
        return Verdict(seq, previous, seq + 1, "the head names another last entry")
    return Verdict(seq, previous)


def commitment(salt: bytes, subject: bytes) -> str:
    """What stands in an entry for a person."""
    return hashlib.sha256(salt + subject).hexdigest()


def canonical(
    workspace: str, seq: int, at: datetime, actor: str, action: str, reason: str, details: Mapping[str, Plain]
) -> bytes:
    """An entry as the bytes that are hashed.

    Raises:
        TypeError: `details` holds something that two languages would write differently (a fraction, say).
    """
    entry = {
        "action": action,
        "actor": actor,
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "details": _plain(details),
        "reason": reason,
        "seq": seq,
        "workspace": workspace,
    }
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def chained(previous: bytes, entry: bytes) -> bytes:
    """The hash of an entry behind the one with the hash `previous`."""
    return hashlib.sha256(previous + entry).digest()


def _plain(value: Plain) -> Plain:
    match value:
        case None | bool() | int() | str():
            return value
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            raise TypeError(f"an audit entry holds ids, codes and whole numbers, no {type(value).__name__}")


def _links(database: Database, workspace: str, *, after: int, through: int) -> list[Link]:
    asked = {"workspace": workspace, "after": after, "through": through, "limit": _BATCH}
    with database.transaction(workspace) as tx:
        return [Link(**row) for row in tx.execute(QUERIES["links"], asked).fetchall()]


def _fault_of(link: Link, workspace: str, expected: int, previous: bytes) -> str:
    if link.seq != expected:
        return f"entry {expected} is missing"
    if link.previous_hash != previous:
        return "it does not follow the entry before it"
    try:
        entry = canonical(workspace, link.seq, link.at, link.actor, link.action, link.reason, link.details)
    except TypeError:
        return "it was changed after it was written"
    return "" if chained(previous, entry) == link.hash else "it was changed after it was written"

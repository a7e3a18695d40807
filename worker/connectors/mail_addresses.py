"""Reads the address lists of mail headers: `"Diaz, Ana" <ana@example.com>, team: bo@example.com, cy@example.com;`.

One pass over the characters with a depth counter, so that brackets nested a thousand deep cost nothing special. It is
lenient: it takes what it can, judges no address, and leaves encoded words as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address with the name before it, or else the comment behind it."""

    address: str
    name: str


@dataclass(slots=True)
class _Entry:
    """What was read of one entry so far."""

    words: list[str] = field(default_factory=list)
    angle: list[str] | None = None
    comment: list[str] = field(default_factory=list)

    def mailbox(self) -> Mailbox | None:
        words, comment = "".join(self.words).strip(), "".join(self.comment).strip()
        if self.angle is None:
            return Mailbox("".join(words.split()), comment) if "@" in words else None
        address = "".join("".join(self.angle).split())
        # An old route, `@one,@two:ana@example.com`, is not part of the address.
        address = address.rpartition(":")[2] if address.startswith("@") else address
        return Mailbox(address, words or comment) if address else None


def read_addresses(value: str) -> list[Mailbox]:
    """The mailboxes in a header's value, in order; names of groups and entries without an address are left out."""
    found: list[Mailbox] = []
    entry = _Entry()
    in_angle = False
    for sort, character in _sorted(value):
        if sort is _Sort.COMMENT:
            entry.comment.append(character)
        elif sort is _Sort.TEXT or (in_angle and (character == ":" or (character == "," and _is_route(entry)))):
            target = entry.angle if in_angle and entry.angle is not None else entry.words
            target.append(character)
        elif character == "<":
            in_angle, entry.angle = True, []
        elif character == ">":
            in_angle = False
        elif character == ":":  # What came was the name of a group.
            entry = _Entry()
        else:
            _close(entry, found)
            entry, in_angle = _Entry(), False
    _close(entry, found)
    return found


class _Sort(Enum):
    """What a character is once quotes, brackets and backslashes are undone."""

    TEXT = auto()
    COMMENT = auto()
    MARK = auto()


def _sorted(value: str) -> Iterator[tuple[_Sort, str]]:
    depth = 0
    quoted = escaped = False
    for character in value:
        inside = _Sort.COMMENT if depth else _Sort.TEXT
        if escaped:
            escaped = False
            yield inside, character
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif character in "()" and not quoted:
            depth = max(0, depth + (1 if character == "(" else -1))
        elif character in "<>:,;" and not quoted and not depth:
            yield _Sort.MARK, character
        else:
            yield inside, character


def _is_route(entry: _Entry) -> bool:
    return bool(entry.angle) and entry.angle is not None and entry.angle[0] == "@"


def _close(entry: _Entry, found: list[Mailbox]) -> None:
    mailbox = entry.mailbox()
    if mailbox is not None:
        found.append(mailbox)

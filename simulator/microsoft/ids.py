"""Ids as Outlook gives them: long, case-sensitive, ending with padding, and of two families.

    id = base64url( family (3) · digest (30) · length (1) · msgpack([kind, account, number, turn, stamp]) · padding )

The usual id of a thing changes with every move (with its turn); the immutable one does not. Either is understood
everywhere. Folders have one constant id.
"""

import base64
import binascii
import hashlib
from typing import Literal, NamedTuple

import msgspec

from simulator.world.office import OfficeAccount
from simulator.world.office_calendars import OfficeCalendar

Kind = Literal["message", "contact", "event", "mail folder", "contact folder", "calendar", "attachment"]
_USUAL, _IMMUTABLE, _FOLDER = "AAMk", "AAkA", "AQMk"
_FAMILIES = {text: base64.b64decode(text) for text in (_USUAL, _IMMUTABLE, _FOLDER)}
_DIGEST = 30
_LASTING = 1 << 31
_EVENTS = 1 << 24  # The number of an event in an id counts its calendar, too.


class Meant(NamedTuple):
    """What an id stands for; `turn` is None in an immutable one."""

    number: int
    turn: int | None
    stamp: str


class MeantEvent(NamedTuple):
    """What the id of an event stands for; `stamp` is empty unless it is that of one of a series."""

    calendar: OfficeCalendar
    number: int
    stamp: str


class Ids:
    """Makes and reads the ids of one simulated world."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.blake2b(f"office ids {seed}".encode()).digest()
        self._of_folders: dict[tuple[str, int, int], str] = {}

    def of_item(self, kind: Kind, account: OfficeAccount, number: int, turn: int, *, immutable: bool) -> str:
        """Return the id of a message or contact."""
        family = _IMMUTABLE if immutable else _USUAL
        return self._made(family, kind, account, number, _LASTING if immutable else turn, "")

    def of_event(
        self, account: OfficeAccount, calendar: OfficeCalendar, number: int, stamp: str, *, immutable: bool
    ) -> str:
        """Return the id of an event, or of one of a series, which `stamp` tells."""
        family, turn = (_IMMUTABLE, _LASTING) if immutable else (_USUAL, 0)
        return self._made(family, "event", account, calendar.number * _EVENTS + number, turn, stamp)

    def of_folder(self, kind: Kind, account: OfficeAccount, number: int) -> str:
        """Return the id of a folder."""
        key = (kind, account.number, number)
        if key not in self._of_folders:
            self._of_folders[key] = self._made(_FOLDER, kind, account, number, 0, "")
        return self._of_folders[key]

    def of_calendar(self, account: OfficeAccount, calendar: OfficeCalendar) -> str:
        """Return the id of a calendar."""
        return self.of_folder("calendar", account, calendar.number)

    def of_part(self, account: OfficeAccount, number: int, turn: int, place: int, *, immutable: bool) -> str:
        """Return the id of an attachment of a message."""
        family = _IMMUTABLE if immutable else _USUAL
        return self._made(family, "attachment", account, number, _LASTING if immutable else turn, str(place))

    def read_event(self, account: OfficeAccount, text: str) -> MeantEvent | None:
        """Return which event, or which of a series, an id stands for; None for one that is foreign or altered."""
        meant = self.read("event", account, text)
        if meant is None:
            return None
        calendar, number = divmod(meant.number, _EVENTS)
        return MeantEvent(account.calendars.at(calendar), number, meant.stamp)

    def read(self, kind: Kind, account: OfficeAccount, text: str) -> Meant | None:
        """Return what an id stands for; None for one that is foreign, altered or of another kind."""
        try:
            raw = base64.urlsafe_b64decode(text)
        except (binascii.Error, ValueError):
            return None
        if len(raw) < 3 + _DIGEST + 1 or raw[:3] not in _FAMILIES.values() or text != _written(raw):
            return None
        digest, size = raw[3 : 3 + _DIGEST], raw[3 + _DIGEST]
        packed = raw[4 + _DIGEST : 4 + _DIGEST + size]
        if digest != self._digest(raw[:3], packed):
            return None
        found, owner, number, turn, stamp = msgspec.msgpack.decode(packed, type=tuple[str, int, int, int, str])
        if (found, owner) != (kind, account.number):
            return None
        return Meant(number, None if turn == _LASTING else turn, stamp)

    def _made(self, family: str, kind: Kind, account: OfficeAccount, number: int, turn: int, stamp: str) -> str:
        packed = msgspec.msgpack.encode([kind, account.number, number, turn, stamp])
        head = _FAMILIES[family]
        raw = head + self._digest(head, packed) + bytes([len(packed)]) + packed
        return _written(raw + b"\0" * ((2 - len(raw)) % 3))

    def _digest(self, head: bytes, packed: bytes) -> bytes:
        return hashlib.blake2b(head + packed, key=self._key, digest_size=_DIGEST).digest()


def _written(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()

"""One message of the Gmail API in normal form: its JSON tree to `mail.MailPart`s, and they to a record. Pure.

Google has split the mail into parts and undone their transfer encoding; what is in them is as strangers wrote it and is
read by `mail.py` under its caps. Google's attachment ids change with every request, so a part is known by `partId`.

Source: providers/google.md §4.1 (read 2026-11)
"""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from worker.connectors import mail
from worker.errors import BadRecord
from worker.records import Message
from worker.transport.json_reply import read_json

FIELDS: Final = "id,threadId,labelIds,snippet,internalDate,payload"
_AWAY: Final = frozenset({"TRASH", "SPAM"})
_NOISE: Final = frozenset({"UNREAD", "STARRED", "IMPORTANT"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Header(msgspec.Struct):
    name: str = ""
    value: str = ""


class _Body(msgspec.Struct, rename="camel"):
    attachment_id: str = ""
    size: int = 0
    data: str = ""


class _Piece(msgspec.Struct, rename="camel"):
    part_id: str = ""
    mime_type: str = ""
    filename: str = ""
    headers: list[_Header] = []
    body: _Body = msgspec.field(default_factory=_Body)
    parts: list["_Piece"] = []


class _Message(msgspec.Struct, rename="camel"):
    id: str
    thread_id: str = ""
    label_ids: list[str] = []
    snippet: str = ""
    internal_date: str = ""
    payload: _Piece = msgspec.field(default_factory=_Piece)


def only_noise(labels: Iterable[str]) -> bool:
    """Whether all of these labels change with mere reading and sorting, so that we do not keep them."""
    return all(label in _NOISE or label.startswith("CATEGORY_") for label in labels)


def read(key: str, body: bytes) -> Message | None:
    """The message asked for as `key`; None if it lies in Spam or Trash.

    Raises:
        BadRecord: it cannot be read, or is another message.
        Transient: the body is no whole JSON document.
    """
    found = read_json(body, _Message)
    if found.id != key:
        raise BadRecord("Google gave another message than the one asked for.")
    return None if _AWAY & set(found.label_ids) else message_of(found)


def message_of(found: _Message) -> Message:
    """The normal form of a message."""
    flags: set[mail.Flag] = set()
    pieces = mail.walk(found.payload, _below, flags)
    content = mail.read_content([_part(piece, flags) for piece in pieces], flags)
    envelope = mail.read_headers(((header.name, header.value) for header in found.payload.headers), flags)
    return Message(
        thread_id=found.thread_id,
        rfc_message_id=envelope.rfc_message_id,
        in_reply_to=envelope.in_reply_to,
        subject=envelope.subject,
        sender=envelope.sender,
        reply_to=envelope.reply_to,
        to=envelope.to,
        cc=envelope.cc,
        bcc=envelope.bcc,
        sent_at=envelope.sent_at,
        received_at=_received_at(found.internal_date),
        # In order, since Google gives a set in any order.
        labels=tuple(sorted({label for label in found.label_ids if not only_noise([label])})),
        snippet=found.snippet,
        text=content.text,
        html=content.html,
        headers=envelope.headers,
        attachments=content.attachments,
        flags=tuple(sorted(flag.value for flag in flags)),
    )


def _below(piece: _Piece) -> list[_Piece]:
    """A mail within the mail is an attachment; its text is not this mail's."""
    return [] if piece.mime_type.lower().startswith("message/") else piece.parts


def _part(piece: _Piece, flags: set[mail.Flag]) -> mail.MailPart:
    data: bytes | None = None
    if not piece.body.attachment_id:
        data = _bytes_of(piece.body.data)
        if data is None:
            flags.add(mail.Flag.BODY_UNREADABLE)
    return mail.MailPart(
        part_id=piece.part_id,
        mime_type=piece.mime_type,
        filename=piece.filename,
        headers=tuple((header.name, header.value) for header in piece.headers),
        data=data,
        size_bytes=piece.body.size,
    )


def _bytes_of(data: str) -> bytes | None:
    """Base64 in the alphabet for addresses, usually without its padding; None if it is none."""
    try:
        bare = data.rstrip("=")
        return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (Base64Error, ValueError):
        return None


def _received_at(milliseconds: str) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=int(milliseconds[:20]))
    except (ValueError, OverflowError):
        return None

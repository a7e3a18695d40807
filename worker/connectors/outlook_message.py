"""One message of Graph in normal form. Pure.

Graph has taken the mail apart and made its text one form, HTML or plain; what is in it is as strangers wrote it, and is
read by `mail.py` under its caps. An address may be a path in an old directory instead, which nobody can write to: then
the name alone is kept.

Source: providers/microsoft-linkedin.md §3.5 (read 2026-11)
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from worker.connectors import mail
from worker.errors import BadRecord
from worker.records import Attachment, EmailAddress, Message
from worker.transport.json_reply import read_json

SELECT: Final = (
    "id,parentFolderId,conversationId,internetMessageId,subject,bodyPreview,body,sender,from,toRecipients,ccRecipients,"
    "bccRecipients,replyTo,sentDateTime,receivedDateTime,categories,hasAttachments,isDraft,internetMessageHeaders"
)
ATTACHMENT_SELECT: Final = "id,name,contentType,size,isInline"


class _Address(msgspec.Struct):
    name: str | None = None
    address: str | None = None


class _Person(msgspec.Struct, rename="camel"):
    email_address: _Address | None = None


class _Body(msgspec.Struct, rename="camel"):
    content_type: str = "text"
    content: str | None = None


class _Header(msgspec.Struct):
    name: str = ""
    value: str = ""


class Told(msgspec.Struct, rename="camel"):
    """A message as Graph tells it."""

    id: str
    parent_folder_id: str = ""
    conversation_id: str | None = None
    internet_message_id: str | None = None
    subject: str | None = None
    body_preview: str | None = None
    body: _Body | None = None
    sender: _Person | None = None
    from_: _Person | None = msgspec.field(default=None, name="from")
    to_recipients: list[_Person] | None = None
    cc_recipients: list[_Person] | None = None
    bcc_recipients: list[_Person] | None = None
    reply_to: list[_Person] | None = None
    sent_date_time: datetime | None = None
    received_date_time: datetime | None = None
    categories: list[str] | None = None
    has_attachments: bool = False
    is_draft: bool = False
    internet_message_headers: list[_Header] | None = None


class _File(msgspec.Struct, rename="camel"):
    id: str
    name: str | None = None
    content_type: str | None = None
    size: int | None = None


class _Files(msgspec.Struct):
    value: list[msgspec.Raw] = []


def read(body: bytes) -> Told:
    """What Graph told of a message.

    Raises:
        BadRecord: it cannot be read.
    """
    return read_json(body, Told)


def files_of(body: bytes) -> tuple[Attachment, ...]:
    """What is attached, without its bytes; of a malformed entry nothing."""
    found: list[Attachment] = []
    for raw in read_json(body, _Files).value[: mail.MOST_PARTS]:
        try:
            file = msgspec.json.decode(raw, type=_File)
        except (msgspec.MsgspecError, RecursionError):
            continue
        found.append(
            Attachment(
                part_id=file.id,
                filename=mail.decode_header((file.name or "")[: mail.MOST_HEADER_CHARACTERS])[:255],
                mime_type=(file.content_type or "")[:255].lower(),
                size_bytes=max(0, file.size or 0),
            )
        )
    return tuple(found)


def message_of(found: Told, folder: str, files: Sequence[Attachment] = ()) -> Message:
    """The normal form of a message that lies in `folder`.

    Raises:
        BadRecord: a moment in it is out of the calendar's range.
    """
    flags: set[mail.Flag] = set()
    headers = [(header.name, header.value) for header in found.internet_message_headers or ()]
    envelope = mail.read_headers(headers, flags)
    content = mail.read_content([_text(found.body)] if found.body and found.body.content else [], flags)
    categories = (f"category:{name}" for name in found.categories or ())
    return Message(
        provider_id=found.id,
        thread_id=found.conversation_id or "",
        rfc_message_id=(found.internet_message_id or "").strip(),
        in_reply_to=envelope.in_reply_to,
        subject=" ".join((found.subject or "").split())[: mail.MOST_HEADER_CHARACTERS],
        sender=next(iter(_people([each for each in (found.from_, found.sender) if each], flags)), None),
        reply_to=_people(found.reply_to, flags),
        to=_people(found.to_recipients, flags),
        cc=_people(found.cc_recipients, flags),
        bcc=_people(found.bcc_recipients, flags),
        sent_at=_in_utc(found.sent_date_time),
        received_at=_in_utc(found.received_date_time),
        # In order, since Microsoft gives a set in any order.
        labels=(f"folder:{folder}", *sorted(set(categories))),
        snippet=found.body_preview or "",
        text=content.text,
        html=content.html,
        headers=envelope.headers,
        attachments=tuple(files),
        flags=tuple(sorted(flag.value for flag in flags)),
    )


def _text(body: _Body) -> mail.MailPart:
    kind = "text/html" if body.content_type.lower() == "html" else "text/plain"
    data = (body.content or "").encode("utf-8", "replace")
    return mail.MailPart("body", kind, headers=(("content-type", f"{kind}; charset=utf-8"),), data=data)


def _people(people: Iterable[_Person] | None, flags: set[mail.Flag]) -> tuple[EmailAddress, ...]:
    found = []
    for person in people or ():
        address = person.email_address
        if address is None or not (address.address or address.name):
            continue
        value = address.address or ""
        found.append(EmailAddress(value=value if "@" in value else "", name=" ".join((address.name or "").split())))
    if len(found) > mail.MOST_ADDRESSES:
        flags.add(mail.Flag.ADDRESSES_CUT)
    return tuple(found[: mail.MOST_ADDRESSES])


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise BadRecord("a moment out of range") from None

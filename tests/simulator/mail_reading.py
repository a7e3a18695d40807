"""A small reader of Gmail's replies, for tests that compare what a client would store with what the world holds.

It reads as a patient client would: encoded words, addresses, the first text of each kind, files by their names.
"""

import base64
import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import getaddresses
from typing import Any

PEOPLE = {"sender": "From", "to": "To", "cc": "Cc", "bcc": "Bcc", "reply_to": "Reply-To"}
_COMMENT = re.compile(r" \([^()]*\)$")
IDS = {"message_id": "Message-ID", "in_reply_to": "In-Reply-To"}


def opened(data: str) -> bytes:
    """The bytes of a base64url text, padded or not."""
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))


def header(part: dict[str, Any], name: str) -> str:
    """The first header of that name."""
    return next((one["value"] for one in part.get("headers", []) if one["name"].lower() == name.lower()), "")


def understood(value: str) -> str:
    """A header value with its encoded words read."""
    try:
        pieces = decode_header(value)
    except HeaderParseError:
        return value
    return "".join(piece if isinstance(piece, str) else _letters(piece, charset) for piece, charset in pieces)


def leaves(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a message that hold something, without those of mails attached to it."""
    if part["mimeType"] == "message/rfc822" or "parts" not in part:
        yield part
        return
    for child in part["parts"]:
        yield from leaves(child)


def reading(message: dict[str, Any], charsets: bool = False) -> dict[str, Any]:
    """What a message says, under the names of the truth; texts by their charsets only when asked."""
    payload = message["payload"]
    read: dict[str, Any] = {"subject": understood(header(payload, "Subject")), "date": header(payload, "Date")}
    for name, title in PEOPLE.items():
        read[name] = _people(header(payload, title))
    for name, title in IDS.items():
        read[name] = header(payload, title).strip("<>")
    read["references"] = [one.strip("<>") for one in header(payload, "References").split()]
    read["text"], read["html"] = (_first(payload, kind, charsets) for kind in ("text/plain", "text/html"))
    read["files"] = [
        {
            "filename": part["filename"],
            "mime_type": part["mimeType"],
            "size": part["body"]["size"],
            "content_id": header(part, "Content-ID").strip("<>"),
        }
        for part in leaves(payload)
        if part["filename"]
    ]
    return read


def differences(read: dict[str, Any], truth: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where a reading differs from the truth; what has no right answer never does."""
    return {name: (read[name], truth[name]) for name in read if truth[name] is not None and read[name] != truth[name]}


def _people(value: str) -> list[dict[str, str]]:
    """The people of a header; Python puts comments behind names, where they are taken away again."""
    try:
        pairs = getaddresses([value]) if value else []
    except RecursionError:
        return []
    return [{"name": _COMMENT.sub("", understood(shown)), "address": address} for shown, address in pairs if address]


def _first(payload: dict[str, Any], kind: str, charsets: bool) -> str:
    for part in leaves(payload):
        if part["mimeType"] == kind and not part["filename"] and "data" in part["body"]:
            said = (
                header(part, "Content-Type").partition("charset=")[2].split(";")[0].strip('"') if charsets else "utf-8"
            )
            return _letters(opened(part["body"]["data"]), said or "us-ascii").replace("\r\n", "\n")
    return ""


def _letters(raw: bytes, charset: str | None) -> str:
    """Bytes as text: by the charset, else as UTF-8."""
    for one in ({"windows-874": "cp874"}.get(charset or "", charset or "utf-8"), "utf-8"):
        try:
            return raw.decode(one)
        except (LookupError, ValueError):
            continue
    return raw.decode("utf-8", "replace")


def _charset(part: dict[str, Any]) -> str:
    return header(part, "Content-Type").partition("charset=")[2].split(";")[0].strip('"')

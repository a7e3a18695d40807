"""Mail as strangers write it, read under caps: headers, addresses, charsets, HTML. Knows no provider and no network.

    parts (already split by the provider) ─▶ walk, capped ─▶ body texts by charset ─▶ sanitised HTML
    headers ─▶ capped ─▶ encoded words ─▶ addresses, date                          └▶ attachments, without their bytes

One mail to a customer must not kill a worker, so nothing here recurses over what came, and nothing costs more than in
proportion to a capped length. What had to be cut or repaired is told by `Flag`, and the mail is kept. Python's
`email.policy.default` and `getaddresses` are not used: the first took 2.7 GB for a subject of 270 KiB, the second
recurses with the nesting of brackets (FAULTS §3.2).
"""

import codecs
import re
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import a2b_qp
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, TypeVar

from worker.connectors.mail_addresses import read_addresses
from worker.connectors.mail_html import safe_html
from worker.records import Attachment, EmailAddress
from worker.transport.json_reply import scrub

T = TypeVar("T")

MOST_PARTS: Final = 200
MOST_DEPTH: Final = 20
MOST_HEADER_CHARACTERS: Final = 8 * 1024
MOST_HEADERS_CHARACTERS: Final = 64 * 1024
MOST_BODY_CHARACTERS: Final = 1024 * 1024
"""Of the text and of the HTML, each."""
MOST_ADDRESSES: Final = 1_000
"""Of one header: a mail to more people than that is a list's."""

KEPT_HEADERS: Final = frozenset(
    {"auto-submitted", "delivered-to", "list-id", "list-unsubscribe", "precedence", "references", "return-path",
     "x-auto-response-suppress"}
)  # fmt: skip
"""Headers kept as they are: what tells a person's mail from a machine's, and what it answers. The others are either
fields of the record, or marks of the mail's way that nobody asks a CRM for."""


class Flag(StrEnum):
    """What had to be cut or repaired in a mail."""

    ADDRESSES_CUT = "addresses_cut"
    BODY_CUT = "body_cut"
    BODY_UNREADABLE = "body_unreadable"
    CHARSET_UNKNOWN = "charset_unknown"
    DATE_UNREADABLE = "date_unreadable"
    HEADERS_CUT = "headers_cut"
    HTML_FLATTENED = "html_flattened"
    TEXT_NOT_SENT = "text_not_sent"
    TEXT_REPAIRED = "text_repaired"
    TOO_DEEP = "too_deep"
    TOO_MANY_PARTS = "too_many_parts"


@dataclass(frozen=True, slots=True)
class MailPart:
    """One piece of a mail. `data` is its content with the transfer encoding undone; None if it was not sent along."""

    part_id: str
    mime_type: str
    filename: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    data: bytes | None = None
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail holds besides its headers."""

    text: str
    html: str
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a mail's headers say."""

    rfc_message_id: str
    in_reply_to: str
    subject: str
    sender: EmailAddress | None
    reply_to: tuple[EmailAddress, ...]
    to: tuple[EmailAddress, ...]
    cc: tuple[EmailAddress, ...]
    bcc: tuple[EmailAddress, ...]
    sent_at: datetime | None
    headers: tuple[tuple[str, str], ...]


def walk(root: T, pieces: Callable[[T], Sequence[T]], flags: set[Flag]) -> list[T]:
    """The tree beneath `root`, parents first and in order, at most `MOST_PARTS` of at most `MOST_DEPTH` levels."""
    found: list[T] = []
    waiting = [(root, 0)]
    while waiting:
        part, depth = waiting.pop()
        if len(found) == MOST_PARTS:
            flags.add(Flag.TOO_MANY_PARTS)
            break
        found.append(part)
        below = pieces(part)
        if below and depth + 1 >= MOST_DEPTH:
            flags.add(Flag.TOO_DEEP)
            continue
        waiting.extend((piece, depth + 1) for piece in reversed(below[: MOST_PARTS + 1]))
    return found


def read_content(parts: Iterable[MailPart], flags: set[Flag]) -> Content:
    """Texts that are shown, joined in order, and everything else as attachments. A mail in a mail is an attachment."""
    texts: list[str] = []
    pages: list[str] = []
    attachments: list[Attachment] = []
    for part in parts:
        kind = part.mime_type.lower()
        if kind.startswith("multipart/"):
            continue
        shown = {"text/plain": texts, "text/html": pages}.get(kind)
        if shown is None or part.filename or part.data is None or _is_attached(part.headers):
            if shown is not None and part.data is None and not part.filename and not _is_attached(part.headers):
                flags.add(Flag.TEXT_NOT_SENT)
            if part.size_bytes or part.filename or shown is None:
                attachments.append(_attachment(part))
            continue
        shown.append(_text_of(part, flags))
    html, flattened = safe_html(_capped("\n".join(pages), flags)) if pages else ("", False)
    if flattened:
        flags.add(Flag.HTML_FLATTENED)
    if len(html) > 2 * MOST_BODY_CHARACTERS:  # Many small tags grow eightfold as they are written out.
        flags.add(Flag.BODY_CUT)
        html = ""
    return Content(text=_capped("\n".join(texts), flags), html=html, attachments=tuple(attachments))


def read_headers(headers: Iterable[tuple[str, str]], flags: set[Flag]) -> Envelope:
    """The headers of a mail; of a header that may come once only, the first counts."""
    first: dict[str, str] = {}
    kept: list[tuple[str, str]] = []
    left = MOST_HEADERS_CHARACTERS
    for name, value in headers:
        if len(value) > MOST_HEADER_CHARACTERS or len(name) + len(value) > left or len(name) > 100:
            flags.add(Flag.HEADERS_CUT)
        cut = value[: min(MOST_HEADER_CHARACTERS, left)]
        left -= len(name) + len(cut)
        lower = name[:100].lower()
        first.setdefault(lower, cut)
        if lower in KEPT_HEADERS:
            kept.append((lower, decode_header(cut)))
        if left <= 0:
            break
    senders = _addresses(first.get("from", ""), flags) or _addresses(first.get("sender", ""), flags)
    return Envelope(
        rfc_message_id=_one_line(first.get("message-id", "")),
        in_reply_to=_one_line(first.get("in-reply-to", "")),
        subject=decode_header(first.get("subject", "")),
        sender=senders[0] if senders else None,
        reply_to=_addresses(first.get("reply-to", ""), flags),
        to=_addresses(first.get("to", ""), flags),
        cc=_addresses(first.get("cc", ""), flags),
        bcc=_addresses(first.get("bcc", ""), flags),
        sent_at=_date(first.get("date", ""), flags),
        headers=tuple(kept),
    )


# An encoded word of RFC 2047. Each class excludes what ends it, so that no text takes more than one look.
_ENCODED_WORD: Final = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{1,20})?\?([bBqQ])\?([^?\s]*)\?=")


def decode_header(value: str) -> str:
    """A header's text in one line, its encoded words decoded.

    Neighbours of one charset are joined as bytes first: many programs split a character over two words, though they
    must not.
    """
    if "=?" not in value:
        return _one_line(value)
    pieces: list[str] = []
    raw: list[bytes] = []
    charset = ""
    end = 0

    def flush() -> None:
        if raw:
            pieces.append(decode(b"".join(raw), charset)[0])
            raw.clear()

    for match in _ENCODED_WORD.finditer(value):
        between = value[end : match.start()]
        if between.strip() or not raw:
            flush()
            pieces.append(between)
        elif match[1].lower() != charset:
            flush()
        charset = match[1].lower()
        raw.append(_word(match[2], match[3]))
        end = match.end()
    flush()
    pieces.append(value[end:])
    return _one_line("".join(pieces))


def _word(encoding: str, text: str) -> bytes:
    plain = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return a2b_qp(plain, header=True)
    try:
        return b64decode(plain + b"=" * (-len(plain) % 4))
    except Base64Error:
        return plain


# What programs call a charset, and Python does not; `_WIDER` are names under which more is sent than they hold.
_CALLED: Final = {
    "windows-874": "cp874", "x-sjis": "cp932", "iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8",
    "utf8mb4": "utf-8", "x-gbk": "gb18030", "cp-850": "cp850", "x-mac-cyrillic": "mac-cyrillic",
}  # fmt: skip
_WIDER: Final = {
    "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "ascii": "utf-8",
    "tis-620": "cp874", "iso8859-11": "cp874", "iso8859-9": "cp1254",
}  # fmt: skip
# Codecs that no mail is written in, and that can be made to work for minutes or to raise what no codec should.
_REFUSED: Final = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})


def decode(raw: bytes, charset: str) -> tuple[str, Flag | None]:
    """The text of `raw`, and what was wrong with it. Never fails; what cannot be read becomes U+FFFD."""
    name = charset.strip(" \"'").lower()
    unknown = False
    codec = "utf-8"
    if name:
        try:
            codec = codecs.lookup(_CALLED.get(name, name)).name
        except (LookupError, ValueError):
            unknown = True
    codec = _WIDER.get(codec, codec)
    if codec.replace("_", "-") in _REFUSED:
        unknown, codec = True, "utf-8"
    try:
        return raw.decode(codec), Flag.CHARSET_UNKNOWN if unknown else None
    except LookupError:  # A codec, but none of text: `hex`, say.
        return raw.decode("utf-8", "replace"), Flag.CHARSET_UNKNOWN
    except (UnicodeError, ValueError):
        repaired = raw.decode(codec, "replace")
        return repaired, Flag.CHARSET_UNKNOWN if unknown else Flag.TEXT_REPAIRED


def _text_of(part: MailPart, flags: set[Flag]) -> str:
    # No charset gives more characters than bytes, so a cut here is one that would be made anyway.
    raw = (part.data or b"")[: MOST_BODY_CHARACTERS * 4]
    cut = len(part.data or b"") > len(raw)
    if cut:
        flags.add(Flag.BODY_CUT)
    text, flag = decode_text(raw, _charset(part.headers), cut=cut)
    if flag is not None:
        flags.add(flag)
    return scrub(text.replace("\r\n", "\n"))


def decode_text(raw: bytes, charset: str, *, cut: bool = False) -> tuple[str, Flag | None]:
    """The text of a part, and what was wrong with it. What is UTF-8 is read as that, whatever the header says.

    Gmail hands texts over as UTF-8 and leaves a header that names what they were before (seen by users of its API, not
    documented); and much mail names the wrong charset by itself. Text in another charset is hardly ever UTF-8 by
    chance, but for those that write everything in ASCII's characters, which are read as the header says.
    """
    if not raw.isascii():
        with suppress(UnicodeDecodeError):
            return codecs.utf_8_decode(raw, "strict", not cut)[0], None
    return decode(raw, charset)


def _capped(text: str, flags: set[Flag]) -> str:
    if len(text) <= MOST_BODY_CHARACTERS:
        return text
    flags.add(Flag.BODY_CUT)
    return text[:MOST_BODY_CHARACTERS]


_CHARSET: Final = re.compile(r";\s{0,9}charset\s{0,9}=\s{0,9}(?:\"([^\"]{0,60})\"|([^\s;\"]{1,60}))", re.IGNORECASE)


def _charset(headers: Sequence[tuple[str, str]]) -> str:
    match = _CHARSET.search(_header(headers, "content-type"))
    return (match[1] or match[2] or "") if match else ""


def _is_attached(headers: Sequence[tuple[str, str]]) -> bool:
    return _header(headers, "content-disposition").lstrip()[:10].lower() == "attachment"


def _header(headers: Sequence[tuple[str, str]], wanted: str) -> str:
    return next((value[:MOST_HEADER_CHARACTERS] for name, value in headers if name.lower() == wanted), "")


def _attachment(part: MailPart) -> Attachment:
    return Attachment(
        part_id=part.part_id,
        filename=decode_header(part.filename[:MOST_HEADER_CHARACTERS])[:255],
        mime_type=_one_line(part.mime_type)[:255].lower(),
        size_bytes=max(0, part.size_bytes),
        content_id=_one_line(_header(part.headers, "content-id")).strip("<>")[:255],
    )


def _addresses(value: str, flags: set[Flag]) -> tuple[EmailAddress, ...]:
    found = read_addresses(value)
    if len(found) > MOST_ADDRESSES:
        flags.add(Flag.ADDRESSES_CUT)
    return tuple(EmailAddress(value=item.address, name=decode_header(item.name)) for item in found[:MOST_ADDRESSES])


def _date(value: str, flags: set[Flag]) -> datetime | None:
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value[:200])
        # A mail that names no zone (`-0000`) speaks of UTC: RFC 5322 section 3.3.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        flags.add(Flag.DATE_UNREADABLE)
        return None


def _one_line(text: str) -> str:
    return " ".join(scrub(text).split())

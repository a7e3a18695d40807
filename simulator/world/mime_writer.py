"""Facts of a mail written as RFC 5322 text, the way a well-behaved mail program writes it.

    multipart/mixed ─▶ multipart/related ─▶ multipart/alternative ─▶ text/plain, text/html
                                   └─▶ pictures        each level only where there is something to put in it
    └─▶ files

Hard cases are not written here; they take from here what they do not spoil.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from simulator.world.mail_facts import MailFacts, MailFile, Party

HeaderLines = Sequence[tuple[str, str | bytes]]
_WORD_BYTES = 42
_LINE = 76
_HIGH_BYTES = bytes(range(128, 256))
_BARE_LINE_END = re.compile(rb"(?<!\r)\n")
_SPECIAL = set('()<>[]:;@\\,."')


def written(facts: MailFacts) -> bytes:
    """Return a mail as bytes, lines ended by CRLF."""
    content_headers, body = content(facts)
    return head([*header_lines(facts), ("MIME-Version", "1.0"), *content_headers]) + b"\r\n" + body


def header_lines(facts: MailFacts) -> list[tuple[str, str]]:
    """Return the headers that facts ask for, those about the content left out."""
    lines = list(facts.headers)
    for name, people in (
        ("From", (facts.sender,) if facts.sender else ()),
        ("To", facts.to),
        ("Cc", facts.cc),
        ("Bcc", facts.bcc),
        ("Reply-To", facts.reply_to),
    ):
        if people:
            lines.append((name, address_list(people)))
    if facts.subject:
        lines.append(("Subject", encoded(facts.subject)))
    if facts.date:
        lines.append(("Date", facts.date))
    for name, ids in (
        ("Message-ID", (facts.message_id,)),
        ("In-Reply-To", (facts.in_reply_to,)),
        ("References", facts.references),
    ):
        if any(ids):
            lines.append((name, "\r\n ".join(f"<{one}>" for one in ids)))
    return lines


def head(lines: HeaderLines) -> bytes:
    """Return a block of headers; bytes go in as they are."""
    return b"".join(
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
        for name, value in lines
    )


def content(facts: MailFacts) -> tuple[HeaderLines, bytes]:
    """Return the content headers and the body."""
    stem = facts.message_id or facts.subject
    texts = [text_part("plain", facts.text)] if facts.text or not (facts.html or facts.files) else []
    if facts.html:
        texts.append(text_part("html", facts.html))
    pictures = [one for one in facts.files if one.content_id]
    files = [one for one in facts.files if not one.content_id]
    part = multipart("alternative", texts, stem) if len(texts) > 1 else texts[0] if texts else None
    if pictures:
        part = multipart("related", [*([part] if part else []), *map(file_part, pictures)], stem)
    if files:
        part = multipart("mixed", [*([part] if part else []), *map(file_part, files)], stem)
    return part if part is not None else text_part("plain", "")


def text_part(subtype: str, text: str, charset: str = "utf-8") -> tuple[HeaderLines, bytes]:
    """Return a text as a part: bare where it is short-lined ASCII, else in base64 or quoted-printable."""
    raw = text.replace("\n", "\r\n").encode(charset)
    kind = f"text/{subtype}; charset={charset}"
    if raw.isascii() and max(map(len, raw.split(b"\r\n"))) < 900 and b"\x00" not in raw:
        return [("Content-Type", kind), ("Content-Transfer-Encoding", "7bit")], raw
    if len(raw.translate(None, _HIGH_BYTES)) * 10 > len(raw) * 8:
        packed = quoted_printable(raw)
        return [("Content-Type", kind), ("Content-Transfer-Encoding", "quoted-printable")], packed
    return [("Content-Type", kind), ("Content-Transfer-Encoding", "base64")], wrapped_base64(raw)


def file_part(one: MailFile) -> tuple[HeaderLines, bytes]:
    """Return a file as a part."""
    name = one.filename
    if name.isascii():
        kind, shown = f'; name="{name}"', f'; filename="{name}"'
    else:
        kind, shown = f'; name="{encoded(name)}"', f"; filename*=UTF-8''{quote(name)}"
    lines = [
        ("Content-Type", one.mime_type + kind),
        ("Content-Disposition", ("inline" if one.content_id else "attachment") + shown),
        ("Content-Transfer-Encoding", "base64"),
    ]
    if one.content_id:
        lines.append(("Content-ID", f"<{one.content_id}>"))
    return lines, wrapped_base64(one.content)


def multipart(
    subtype: str, parts: Iterable[tuple[HeaderLines, bytes]], stem: str, *, more: str = ""
) -> tuple[HeaderLines, bytes]:
    """Return parts joined; the boundary depends on `stem`, `more` are further parameters of the content type."""
    mark = f"=_{subtype}_{binascii.crc32(stem.encode()):08x}"
    boundary = mark.encode()
    joined = b"".join(b"--" + boundary + b"\r\n" + head(lines) + b"\r\n" + body + b"\r\n" for lines, body in parts)
    return [("Content-Type", f'multipart/{subtype}; boundary="{mark}"{more}')], joined + b"--" + boundary + b"--\r\n"


def address_list(people: Iterable[Party]) -> str:
    """Return addresses as a header has them, one a line."""
    return ",\r\n ".join(address(one) for one in people)


def address(one: Party) -> str:
    """Return one address with its name."""
    if not one.name:
        return one.address
    name = encoded(one.name)
    if name == one.name and _SPECIAL & set(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{one.address}>"


def encoded(text: str) -> str:
    """Return a text as encoded words of whole characters where it needs them, folded."""
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text
    pieces: list[bytes] = [b""]
    for character in text:
        raw = character.encode("utf-8", "surrogatepass")
        if len(pieces[-1]) + len(raw) > _WORD_BYTES:
            pieces.append(b"")
        pieces[-1] += raw
    return "\r\n ".join(f"=?UTF-8?B?{base64.b64encode(piece).decode()}?=" for piece in pieces)


def quoted_printable(raw: bytes) -> bytes:
    """Return bytes in quoted-printable, line ends kept."""
    return _BARE_LINE_END.sub(b"\r\n", binascii.b2a_qp(raw, istext=True))


def wrapped_base64(raw: bytes) -> bytes:
    """Return bytes in base64, in lines of 76."""
    packed = base64.b64encode(raw)
    return b"\r\n".join(packed[at : at + _LINE] for at in range(0, len(packed), _LINE))

"""What Outlook makes of a mail: its people, its body, its headers, and what is attached.

Facts are taken as they are. Of bytes it shows what is known to be true of them; where nothing is, what can be read.
"""

import hashlib
import html
import re
from dataclasses import dataclass
from typing import Literal

from simulator.world.mail_facts import Letter, MailFacts, Party
from simulator.world.mailbox import Own
from simulator.world.mime_reader import Part, decoded_words, read, text_of
from simulator.world.mime_writer import written

_TAG = re.compile(r"<(script|style|title)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^>]*>", re.IGNORECASE)
_UNSAFE = re.compile(
    r"<(script|iframe|object|svg|math|form)\b.*?</\1\s*>|<(?:script|iframe|object|embed|meta|base|link)\b[^>]*>"
    r"|\son[a-z]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)",
    re.IGNORECASE | re.DOTALL,
)
_ADDRESS = re.compile(r'(?:"?([^"<]*)"?\s*)?<([^<>]*)>')


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment: a file, or a mail within the mail."""

    kind: Literal["file", "item"]
    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """A mail as Outlook holds it; an empty text is one that the mail does not have."""

    subject: str
    sender: Party | None
    to: tuple[Party, ...]
    cc: tuple[Party, ...]
    bcc: tuple[Party, ...]
    reply_to: tuple[Party, ...]
    message_id: str
    text: str
    html: str
    attached: tuple[Attached, ...]
    is_invitation: bool = False

    @property
    def plain(self) -> str:
        """The body as plain text."""
        return self.text or stripped(self.html)


def content_of(own: Own) -> Content:
    """Read a mail."""
    if isinstance(own, MailFacts):
        files = tuple(
            Attached("file", one.filename, one.mime_type, one.content, one.content_id, bool(one.content_id))
            for one in own.files
        )
        return Content(
            subject=own.subject, sender=own.sender, to=own.to, cc=own.cc, bcc=own.bcc, reply_to=own.reply_to,
            message_id=own.message_id, text=own.text, html=own.html, attached=files,
        )  # fmt: skip
    return _of_letter(own)


def headers_of(own: Own) -> list[tuple[str, str]]:
    """Return the headers in order, encoded words read."""
    raw = own.raw if isinstance(own, Letter) else written(own)
    return [(name, decoded_words(value.decode("utf-8", "replace"))) for name, value in read(raw).headers]


def stripped(markup: str) -> str:
    """Return the text of HTML, roughly."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", markup))).strip()


def sanitised(markup: str) -> str:
    """Return HTML without what runs or loads by itself."""
    return _UNSAFE.sub("", markup)


def _of_letter(letter: Letter) -> Content:
    truth, tree = letter.truth, read(letter.raw)
    parts = list(_leaves(tree))
    text = truth.text if truth.text is not None else _first(parts, "text/plain")
    markup = truth.html if truth.html is not None else _first(parts, "text/html")
    people = {
        name: known if known is not None else _people(tree, header)
        for name, known, header in (
            ("to", truth.to, "To"), ("cc", truth.cc, "Cc"), ("bcc", truth.bcc, "Bcc"),
            ("reply_to", truth.reply_to, "Reply-To"),
        )
    }  # fmt: skip
    sender = truth.sender if truth.sender is not None else _people(tree, "From")
    return Content(
        subject=truth.subject if truth.subject is not None else _header(tree, "Subject"),
        sender=sender[0] if sender else None,
        message_id=truth.message_id if truth.message_id is not None else _header(tree, "Message-ID").strip("<>"),
        text=text,
        html=markup,
        attached=tuple(_attached(parts)),
        is_invitation=any(part.mime_type == "text/calendar" for part in parts),
        **people,
    )


def _leaves(part: Part) -> list[Part]:
    """Return the parts that hold something; a mail in the mail is one of them."""
    if not part.children or part.mime_type == "message/rfc822":
        return [part]
    return [leaf for child in part.children for leaf in _leaves(child)]


def _attached(parts: list[Part]) -> list[Attached]:
    found: list[Attached] = []
    for part in parts:
        content_id = part.header("Content-ID").decode("latin-1").strip("<> ")
        is_mail = part.mime_type == "message/rfc822"
        if not (is_mail or part.filename or part.disposition == "attachment" or content_id):
            continue
        name = part.filename or (_header(part.children[0], "Subject") if is_mail and part.children else "")
        kind: Literal["file", "item"] = "item" if is_mail else "file"
        inline = bool(content_id) and part.disposition != "attachment"
        found.append(Attached(kind, name or f"ATT{len(found):05}", part.mime_type, part.body, content_id, inline))
    return found


def _first(parts: list[Part], mime_type: str) -> str:
    for part in parts:
        if part.mime_type == mime_type and part.disposition != "attachment":
            return text_of(part) or part.body.decode("latin-1")
    return ""


def _header(part: Part, name: str) -> str:
    return decoded_words(part.header(name).decode("utf-8", "replace"))


def _people(tree: Part, header: str) -> tuple[Party, ...]:
    value = _header(tree, header)
    named = tuple(Party((name or "").strip(), address.strip()) for name, address in _ADDRESS.findall(value))
    return named or ((Party("", value.strip()),) if value.strip() else ())


def conversation_id(owner: str, root: int) -> str:
    """Return the id of a thread, which begins with the mail of a number."""
    return "AAQk" + thread_digits(owner, root)


def thread_digits(owner: str, root: int) -> str:
    """Return what the ids of a thread are made from."""
    return hashlib.blake2b(f"{owner} {root}".encode(), digest_size=24).hexdigest()

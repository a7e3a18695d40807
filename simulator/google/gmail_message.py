"""A message in the Gmail API's words, from a mail's bytes.

    labels and history id, which change ─┐
    everything else, which never does ───┴─▶ one JSON object; the second half can be kept ready

Attachment ids are made anew at every rendering, as Google's are; only what is kept ready keeps them.
Source: the provider sheet, section 4.1, and the Gmail discovery document, revision 20261005.
"""

import base64
import html
import itertools
import re
from typing import Any, Literal

import msgspec

from simulator.google.gmail_rules import GmailSwitches
from simulator.opaque import Mint
from simulator.world.mailbox import Mail, Mailbox
from simulator.world.mime_reader import Part, decoded_words, read, text_of

Format = Literal["full", "metadata", "minimal", "raw"]
FORMATS: tuple[Format, ...] = ("full", "metadata", "minimal", "raw")
_ATTACHMENT = "ANGj"
_SNIPPET_LENGTH = 180
_INSIDE = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def hex_id(mailbox: Mailbox, number: int) -> str:
    """Return the id of a message, or of the thread that it began."""
    return f"{mailbox.key(number):x}"


def stub(mailbox: Mailbox, mail: Mail) -> dict[str, Any]:
    """Return a message as lists show it."""
    return {"id": hex_id(mailbox, mail.number), "threadId": hex_id(mailbox, mail.root)}


class Messages:
    """Renders the messages of all accounts."""

    def __init__(self, mint: Mint) -> None:
        self.switches = GmailSwitches()
        self._mint = mint
        self._counter = itertools.count(1)
        self._encoder = msgspec.json.Encoder()
        self._ready: dict[tuple[int, Format], dict[int, bytes]] = {}

    def encoded(self, mailbox: Mailbox, mail: Mail, form: Format, headers: frozenset[str] = frozenset()) -> bytes:
        """Return a message as JSON."""
        known = self._ready.get((mailbox.owner.number, form))
        lasting = known.get(mail.number) if known is not None and not headers else None
        if lasting is None:
            lasting = self._lasting(mailbox, mail, form, headers)
        passing: dict[str, Any] = {"labelIds": sorted(mail.labels)} if mail.labels else {}
        passing["historyId"] = str(mail.history)
        return self._encoder.encode(passing)[:-1] + b"," + lasting[1:]

    def make_ready(self, mailbox: Mailbox, form: Format, limit: int | None) -> int:
        """Render the newest messages beforehand, so that a benchmark measures its client and not this."""
        kept = self._ready.setdefault((mailbox.owner.number, form), {})
        for mail in itertools.islice(mailbox.newest_first(), limit):
            kept[mail.number] = self._lasting(mailbox, mail, form, frozenset())
        return len(kept)

    def forget_ready(self) -> None:
        """Drop what was rendered beforehand, because a switch says that it looks different now."""
        self._ready.clear()

    def snippet(self, mailbox: Mailbox, mail: Mail) -> str:
        """Return the beginning of a message's text, escaped as HTML."""
        return _snippet(read(mailbox.raw(mail)))

    def attachment(self, mailbox: Mailbox, mail: Mail, attachment_id: str) -> dict[str, Any] | None:
        """Return a file by its id, or None when the id is no id of this message."""
        token = self._mint.read("gmail.attachment", attachment_id.removeprefix(_ATTACHMENT))
        wanted = (mailbox.owner.number, mail.number)
        if not attachment_id.startswith(_ATTACHMENT) or token is None or (token["a"], token["m"]) != wanted:
            return None
        part = read(mailbox.raw(mail))
        for at in token["p"]:
            part = part.children[at]
        data = self._data(part)
        return {"size": len(data), "data": self._base64(data)}

    def _lasting(self, mailbox: Mailbox, mail: Mail, form: Format, headers: frozenset[str]) -> bytes:
        raw = mailbox.raw(mail)
        part = read(raw)
        value: dict[str, Any] = {
            **stub(mailbox, mail),
            "snippet": _snippet(part),
            "sizeEstimate": len(raw),
            "internalDate": str(int(mail.at * 1000)),
        }
        if form == "full":
            value["payload"] = self._payload((mailbox.owner.number, mail.number), part, ())
        elif form == "metadata":
            value["payload"] = {"partId": "", "mimeType": part.mime_type, "headers": self._headers(part, headers)}
        elif form == "raw":
            value["raw"] = self._base64(raw)
        return self._encoder.encode(value)

    def _payload(self, whose: tuple[int, int], part: Part, path: tuple[int, ...]) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "partId": ".".join(map(str, path)),
            "mimeType": part.mime_type,
            "filename": part.filename,
            "headers": self._headers(part, frozenset()),
            "body": self._body(whose, part, path),
        }
        is_mail = part.mime_type == "message/rfc822"
        if part.children and not (is_mail and self.switches.nested_mails == "file"):
            shown["parts"] = [self._payload(whose, child, (*path, at)) for at, child in enumerate(part.children)]
        return shown

    def _body(self, whose: tuple[int, int], part: Part, path: tuple[int, ...]) -> dict[str, Any]:
        is_mail = part.mime_type == "message/rfc822"
        if part.children and (not is_mail or self.switches.nested_mails == "parts"):
            return {"size": 0}
        data = self._data(part)
        limit = self.switches.external_above_bytes
        is_text = part.mime_type.startswith("text/") and not part.filename
        inline = is_text or (not data and not part.filename) or part.mime_type.startswith("multipart/")
        if inline and (limit is None or len(data) <= limit):
            return {"size": len(data), "data": self._base64(data)} if data else {"size": 0}
        token = self._mint.make("gmail.attachment", a=whose[0], m=whose[1], p=path, n=next(self._counter))
        return {"attachmentId": _ATTACHMENT + token, "size": len(data)}

    def _data(self, part: Part) -> bytes:
        """Return a part's body; a text that is no file, in UTF-8 unless the switch says otherwise."""
        if self.switches.text_bodies == "as_sent" or part.filename or not part.mime_type.startswith("text/"):
            return part.body
        text = text_of(part)
        return part.body if text is None else text.encode("utf-8", "replace")

    def _headers(self, part: Part, only: frozenset[str]) -> list[dict[str, str]]:
        shown = []
        for name, raw in part.headers:
            if only and name.lower() not in only:
                continue
            value = raw.decode("utf-8", "replace")
            if self.switches.header_words == "decoded":
                value = decoded_words(value)
            shown.append({"name": name, "value": value})
        return shown

    def _base64(self, raw: bytes) -> str:
        text = base64.urlsafe_b64encode(raw).decode()
        return text if self.switches.padded_base64 else text.rstrip("=")


def _snippet(part: Part) -> str:
    plain, rich = _first_text(part, "text/plain"), _first_text(part, "text/html")
    chosen = plain or rich
    text = (chosen and text_of(chosen, _beginning(chosen.body))) or ""
    if chosen is rich:
        text = html.unescape(_TAG.sub(" ", _INSIDE.sub(" ", text)))
    return html.escape(" ".join(text.split())[:_SNIPPET_LENGTH].strip()).replace("&#x27;", "&#39;")


def _beginning(body: bytes) -> bytes:
    """Return as much of a body as a snippet needs; a long one is cut at a line, so that no character is."""
    if len(body) < 8_000:
        return body
    cut = body.rfind(b"\n", 0, 8_000)
    return body[:cut] if cut > 0 else body[:8_000]


def _first_text(part: Part, kind: str) -> Part | None:
    if part.mime_type == kind and not part.filename:
        return part
    if part.mime_type == "message/rfc822":
        return None
    return next((found for child in part.children if (found := _first_text(child, kind)) is not None), None)

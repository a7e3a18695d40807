"""The search box's language, as much of it as syncing clients use: `q=` read into a test of a message.

    after: before: newer: older: (a day, or epoch seconds)   newer_than: older_than: (2d, 3m, 1y)
    in: is: label: category: has:attachment from: to: cc: subject: rfc822msgid: filename:
    words and "phrases", -without, OR, ( ) and { }

Days begin at midnight UTC. An operator that nobody knows is searched for as a word, as Gmail does.
Source: https://support.google.com/mail/answer/7190, read 2026-11-23; the discovery document names the parameter only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from simulator.clock import DAY_S
from simulator.google.errors import invalid_argument
from simulator.world.mail_facts import MailTruth, Party
from simulator.world.mailbox import Mail, Mailbox

Test = Callable[[Mail], bool]

_TOKEN = re.compile(r'\s*(-?(?:[A-Za-z0-9_]+:)?"[^"]*"|[(){}]|-(?=[({])|[^\s(){}]+)')
_SPAN_S = {"d": DAY_S, "m": 30 * DAY_S, "y": 365 * DAY_S, "h": 3600.0}
_PLACES = {
    "inbox": "INBOX", "sent": "SENT", "spam": "SPAM", "trash": "TRASH", "draft": "DRAFT", "drafts": "DRAFT",
    "starred": "STARRED", "important": "IMPORTANT", "unread": "UNREAD", "chats": "CHAT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Search:
    """A query read: whether a message fits, and whether it asks for spam and trash by itself."""

    fits: Test
    anywhere: bool


def search(text: str, mailbox: Mailbox, now: float) -> Search:
    """Read a query.

    Raises: GoogleError 400 for a date or a span that is none.
    """
    reader = _Reader(_TOKEN.findall(text), mailbox, now)
    return Search(reader.whole(), reader.anywhere)


class _Reader:
    def __init__(self, tokens: list[str], mailbox: Mailbox, now: float) -> None:
        self._tokens = tokens
        self._mailbox = mailbox
        self._now = now
        self._at = 0
        self.anywhere = False

    def whole(self) -> Test:
        test = self._all(frozenset())
        while self._at < len(self._tokens):
            self._at += 1  # A bracket that closes nothing.
            test = _both(test, self._all(frozenset()))
        return test

    def _all(self, until: frozenset[str], *, any_of: bool = False) -> Test:
        """Read terms up to a closing bracket, all of which hold, or any."""
        terms: list[Test] = []
        joined = False
        while self._at < len(self._tokens) and self._tokens[self._at] not in until | {")", "}"}:
            if self._tokens[self._at] == "OR" and terms:
                self._at += 1
                joined = True
                continue
            term = self._term()
            if joined:
                term = _either(terms.pop(), term)
            terms.append(term)
            joined = False
        if any_of:
            return lambda mail: any(term(mail) for term in terms)
        return lambda mail: all(term(mail) for term in terms)

    def _term(self) -> Test:
        term = self._tokens[self._at]
        self._at += 1
        if term == "-" and self._at < len(self._tokens):
            inner = self._term()
            return lambda mail: not inner(mail)
        if term in ("(", "{"):
            group = self._all(frozenset(), any_of=term == "{")
            self._at += 1
            return group
        if term.startswith("-") and len(term) > 1:
            plain = self._plain(term[1:], denied=True)
            return lambda mail: not plain(mail)
        return self._plain(term)

    def _plain(self, token: str, *, denied: bool = False) -> Test:
        name, colon, value = token.partition(":")
        value = value.strip('"')
        name = name.lower()
        if not colon or not value:
            return self._word(token.strip('"'))
        if name in ("after", "newer", "before", "older"):
            moment = _moment(value)
            return (lambda mail: mail.at >= moment) if name in ("after", "newer") else (lambda mail: mail.at < moment)
        if name in ("newer_than", "older_than"):
            edge = self._now - _span(value)
            return (lambda mail: mail.at >= edge) if name == "newer_than" else (lambda mail: mail.at < edge)
        if name in ("in", "is", "label", "category"):
            return self._place(name, value.lower(), denied=denied)
        return self._said(name, value.lower()) or self._word(token)

    def _place(self, name: str, value: str, *, denied: bool) -> Test:
        if name == "category":
            label = "CATEGORY_" + {"primary": "PERSONAL"}.get(value, value.upper())
            return lambda mail: label in mail.labels
        if value == "anywhere":
            self.anywhere = True
            return lambda _mail: True
        if name == "is" and value == "read":
            return lambda mail: "UNREAD" not in mail.labels
        label = _PLACES.get(value) or self._label(value)
        if label in ("SPAM", "TRASH") and not denied:
            self.anywhere = True
        return lambda mail: label in mail.labels

    def _label(self, value: str) -> str:
        """Return the id of a label whose name is written as the search box writes it; an unknown one fits nothing."""
        for label_id, name in self._mailbox.label_names.items():
            if value in (label_id.lower(), re.sub(r"[\s/&]", "-", name.lower()), name.lower()):
                return label_id
        return value.upper()

    def _said(self, name: str, value: str) -> Test | None:
        truth = self._mailbox.truth
        match name, value:
            case "has", "attachment":
                return lambda mail: bool(truth(mail).files)
            case "rfc822msgid", _:
                wanted = value.strip("<>")
                return lambda mail: (truth(mail).message_id or "").lower() == wanted
            case "subject", _:
                return lambda mail: value in (truth(mail).subject or "").lower()
            case "filename", _:
                return lambda mail: any(value in file[0].lower() for file in truth(mail).files or ())
            case "from", _:
                return lambda mail: _names(truth(mail).sender, value)
            case "to", _:
                return lambda mail: _names(truth(mail).to, value)
            case "cc", _:
                return lambda mail: _names(truth(mail).cc, value)
            case _:
                return None

    def _word(self, word: str) -> Test:
        wanted = word.lower()
        return lambda mail: wanted in _everything(self._mailbox.truth(mail))


def _both(first: Test, second: Test) -> Test:
    return lambda mail: first(mail) and second(mail)


def _either(first: Test, second: Test) -> Test:
    return lambda mail: first(mail) or second(mail)


def _names(people: tuple[Party, ...] | None, wanted: str) -> bool:
    return any(wanted in f"{one.name} <{one.address}>".lower() for one in people or ())


def _everything(truth: MailTruth) -> str:
    people = (*(truth.sender or ()), *(truth.to or ()))
    said = [truth.subject or "", truth.text or "", truth.html or "", *(f"{one.name} {one.address}" for one in people)]
    return "\n".join(said).lower()


def _moment(value: str) -> float:
    if value.isascii() and value.isdigit() and len(value) >= 8:
        return float(value)
    try:
        return datetime.strptime(value.replace("-", "/"), "%Y/%m/%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise invalid_argument(f"Invalid date in query: {value}", "q") from None


def _span(value: str) -> float:
    shape = re.fullmatch(r"(\d{1,5})([dmyh])", value.lower())
    if shape is None:
        raise invalid_argument(f"Invalid time span in query: {value}", "q")
    return int(shape[1]) * _SPAN_S[shape[2]]

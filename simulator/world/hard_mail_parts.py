"""Hard cases of structure: parts within parts, parts without end, files with names nobody should trust."""

from typing import Any
from urllib.parse import quote

from simulator.world.hard_letter import HardMail, Setting, encoded, letter, lines_of, proper
from simulator.world.mail_facts import Letter, MailFile
from simulator.world.mime_writer import HeaderLines, file_part, multipart, text_part, wrapped_base64

_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
_PAPER = b"%PDF-1.4\n" + b"stream of a simulated paper\n" * 200 + b"%%EOF\n"
_THAI_NAME = "ใบเสนอราคาสำหรับเดือนหน้าและเงื่อนไขการชำระเงินฉบับสมบูรณ์.pdf"
_DEPTH = 40
_INVITATION = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Tin Roof Studio//Planner//EN
METHOD:REQUEST
BEGIN:VEVENT
UID:offer-talk@tinroof.example
DTSTAMP:20260901T080000Z
DTSTART;TZID=Asia/Bangkok:20261001T090000
DTEND;TZID=Asia/Bangkok:20261001T100000
SUMMARY:ประชุมทีมขาย
ORGANIZER;CN=Ada Quill:mailto:ada.quill@tinroof.example
ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:guest@tinroof.example
END:VEVENT
END:VCALENDAR
"""

_Piece = tuple[HeaderLines, bytes]


def _built(setting: Setting, piece: _Piece, **truth: Any) -> Letter:
    """Write a mail whose content is one part or a multipart."""
    lines, body = piece
    return letter(setting, body, lines=lines, kind=None, **truth)


def _named_file(kind: str, disposition: str, content: bytes = _PAPER) -> _Piece:
    lines = [("Content-Type", kind), ("Content-Disposition", disposition), ("Content-Transfer-Encoding", "base64")]
    return lines, wrapped_base64(content)


def _nested(setting: Setting) -> Letter:
    piece: _Piece = text_part("plain", "At the bottom.")
    for depth in range(_DEPTH):
        piece = multipart("mixed", [piece], f"depth {depth}")
    return _built(setting, piece, text="At the bottom.")


def _attached_mail(setting: Setting) -> Letter:
    inner = proper(setting, subject="The attached mail", message_id="inner@mail.example", text="I am inside.",
                   files=(MailFile("inner.pdf", "application/pdf", _PAPER),)).raw  # fmt: skip
    attached: _Piece = ([("Content-Type", "message/rfc822"), ("Content-Disposition", "attachment")], inner)
    piece = multipart("mixed", [text_part("plain", "See the mail below."), attached], "forwarded")
    return _built(setting, piece, text="See the mail below.", files=None)


def _bounce(setting: Setting) -> Letter:
    status = (
        b"Reporting-MTA: dns; mail.example\r\n\r\nFinal-Recipient: rfc822; gone@tinroof.example\r\nAction: failed\r\n"
    )
    lost = proper(setting, subject="Lost", message_id="lost@mail.example", text="Hello?").raw.partition(b"\r\n\r\n")[0]
    pieces: list[_Piece] = [
        text_part("plain", "Nobody lives there."),
        ([("Content-Type", "message/delivery-status")], status),
        ([("Content-Type", "text/rfc822-headers")], lost),
    ]
    piece = multipart("report", pieces, "bounce", more="; report-type=delivery-status")
    return _built(setting, piece, text="Nobody lives there.", files=None)


def _many_parts(setting: Setting) -> Letter:
    files = tuple(MailFile(f"part-{at:03}.txt", "text/plain", b"part %d" % at) for at in range(300))
    return proper(setting, text="Three hundred parts.", files=files)


def _names_by_rfc_2231(setting: Setting) -> Letter:
    escaped = quote(_THAI_NAME)
    cut = [escaped[at : at + 60] for at in range(0, len(escaped), 60)]
    shown = "".join(
        f";\r\n filename*{at}*={chr(39).join(('UTF-8', '', one)) if not at else one}" for at, one in enumerate(cut)
    )
    latin = "attachment; filename*=iso-8859-1'en'na%EFve%20caf%E9.pdf"
    pieces = [
        text_part("plain", "Names in pieces."),
        _named_file("application/pdf", "attachment" + shown),
        _named_file("application/pdf", latin),
        _named_file("application/pdf", 'attachment; filename*0="plain-"; filename*1="pieces.pdf"'),
        _named_file(f'application/pdf; name="{encoded("ใบแจ้งหนี้.pdf")}"', "attachment"),
    ]
    names = (_THAI_NAME, "naïve café.pdf", "plain-pieces.pdf", "ใบแจ้งหนี้.pdf")
    files = tuple((name, "application/pdf", len(_PAPER), "") for name in names)
    return _built(setting, multipart("mixed", pieces, "2231"), text="Names in pieces.", files=files)


def _with_names(name: str, *filenames: str) -> HardMail:
    """Build a case of files under names as they are, in UTF-8 by RFC 2231."""

    def write(setting: Setting) -> Letter:
        pieces = [text_part("plain", "Mind the names.")]
        pieces += [_named_file("application/octet-stream", f"attachment; filename*=UTF-8''{quote(one, safe='')}")
                   for one in filenames]  # fmt: skip
        files = tuple((one, "application/octet-stream", len(_PAPER), "") for one in filenames)
        return _built(setting, multipart("mixed", pieces, name), text="Mind the names.", files=files)

    return HardMail(name, write)


def _picture_inside(setting: Setting) -> Letter:
    html = '<p>Look: <img src="cid:picture-1@mail.example" alt="picture"></p>'
    picture = MailFile("picture.png", "image/png", _PICTURE, "picture-1@mail.example")
    return proper(setting, text="Look.", html=html, files=(picture,))


def _invited(setting: Setting) -> Letter:
    raw = lines_of(_INVITATION)
    calendar: _Piece = (
        [("Content-Type", 'text/calendar; charset="UTF-8"; method=REQUEST'), ("Content-Transfer-Encoding", "base64")],
        wrapped_base64(raw),
    )
    texts = [text_part("plain", "You are invited."), text_part("html", "<p>You are <b>invited</b>.</p>"), calendar]
    file = _named_file('application/ics; name="invite.ics"', 'attachment; filename="invite.ics"', raw)
    piece = multipart("mixed", [multipart("alternative", texts, "texts"), file], "invited")
    return _built(setting, piece, text="You are invited.", html="<p>You are <b>invited</b>.</p>",
                  files=(("invite.ics", "application/ics", len(raw), ""),))  # fmt: skip


def _only_a_file(setting: Setting) -> Letter:
    piece = _named_file('application/pdf; name="only.pdf"', 'attachment; filename="only.pdf"')
    return _built(setting, piece, files=(("only.pdf", "application/pdf", len(_PAPER), ""),))


def _signed(setting: Setting) -> Letter:
    file = MailFile("smime.p7s", "application/pkcs7-signature", b"\x30\x80" + bytes(900))
    piece = multipart("signed", [text_part("plain", "Signed."), file_part(file)], "signed",
                      more='; protocol="application/pkcs7-signature"; micalg=sha-256')  # fmt: skip
    return _built(setting, piece, text="Signed.", files=(("smime.p7s", "application/pkcs7-signature", 902, ""),))


def _encrypted(setting: Setting) -> Letter:
    piece = _named_file('application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
                        'attachment; filename="smime.p7m"')  # fmt: skip
    return _built(setting, piece, files=(("smime.p7m", "application/pkcs7-mime", len(_PAPER), ""),))


def _text_as_file(setting: Setting) -> Letter:
    attached = _named_file("text/plain; charset=utf-8", 'attachment; filename="notes.txt"', b"I am a file.")
    piece = multipart("mixed", [text_part("plain", "I am the text."), attached], "notes")
    return _built(setting, piece, text="I am the text.", files=(("notes.txt", "text/plain", 12, ""),))


def _several_texts(setting: Setting) -> Letter:
    pieces = [text_part("plain", "First."), text_part("html", "<p>Second.</p>"), text_part("plain", "Third.")]
    return _built(setting, multipart("mixed", pieces, "several"), text=None, html=None)


def _cut_off(setting: Setting) -> Letter:
    lines, body = multipart(
        "mixed", [text_part("plain", "Before the cut."), _named_file("application/pdf", "attachment")], "c"
    )
    return letter(setting, body[: len(body) // 2], lines=lines, kind=None, text="Before the cut.", files=None)


def _boundary(name: str, kind: str, body: bytes) -> HardMail:
    return HardMail(name, lambda setting: letter(setting, body, kind=kind, text=None, html=None, files=None))


def _nameless(setting: Setting) -> Letter:
    pieces = [text_part("plain", "Files without names."), _named_file("application/octet-stream", "attachment"),
              _named_file("image/png", "inline", _PICTURE)]  # fmt: skip
    return _built(setting, multipart("mixed", pieces, "nameless"), text="Files without names.", files=None)


def _large_file(setting: Setting) -> Letter:
    content = bytes(range(256)) * 1_000
    return proper(setting, text="A large file.", files=(MailFile("large.bin", "application/octet-stream", content),))


PARTS: tuple[HardMail, ...] = (
    HardMail("multiparts nested 40 deep", _nested),
    HardMail("a mail attached", _attached_mail),
    HardMail("delivery failure", _bounce),
    HardMail("300 parts", _many_parts),
    HardMail("file names by rfc 2231", _names_by_rfc_2231),
    _with_names("file names like paths", "../../etc/passwd", "C:\\Windows\\calc.exe", "/absolute.txt", "..", "con"),
    _with_names("file name with a right-to-left override", "invoice\u202efdp.exe"),
    _with_names("file names with control characters", "line\nbreak.pdf", "nul\x00byte.pdf", 'semi;colon".pdf'),
    _with_names("one file name twice", "same.pdf", "same.pdf"),
    _with_names("a very long file name", "n" * 3_000 + ".pdf"),
    HardMail("files without names", _nameless),
    HardMail("picture inside", _picture_inside),
    HardMail("invitation", _invited),
    HardMail("only a file", _only_a_file),
    HardMail("text as a file", _text_as_file),
    HardMail("several texts in a row", _several_texts),
    HardMail("signed", _signed),
    HardMail("encrypted", _encrypted),
    HardMail("a large file", _large_file),
    HardMail("cut off in the middle", _cut_off),
    _boundary("multipart without a boundary", "multipart/mixed", b"--?\r\n\r\nwhere am I\r\n--?--\r\n"),
    _boundary("boundary that never comes", 'multipart/alternative; boundary="never"', b"just text\r\n"),
    _boundary("empty multipart", 'multipart/mixed; boundary="e"', b"--e--\r\n"),
    _boundary("content type that is none", "text", b"just text"),
    _boundary("content type doubled", 'text/html; charset="utf-8"; charset=tis-620; text/plain', b"<p>which?</p>"),
)  # fmt: skip

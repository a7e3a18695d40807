"""Mail as strangers write it: what is read of it, and that nothing of it costs more than its length."""

import time
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.connectors import google_message, mail
from worker.connectors.mail_addresses import read_addresses
from worker.connectors.mail_html import safe_html
from worker.errors import SetAside
from worker.records import Message, normal_form

MILLION = 1_000_000


def leaf(text: bytes, kind: str = "text/plain", charset: str = "utf-8", **more: Any) -> dict[str, Any]:
    headers = [{"name": "Content-Type", "value": f'{kind}; format=flowed; charset="{charset}"'}]
    data = urlsafe_b64encode(text).decode().rstrip("=")
    return {"mimeType": kind, "headers": headers, "body": {"size": len(text), "data": data}, **more}


def message(payload: dict[str, Any], **headers: str) -> Message:
    listed = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    whole = {**payload, "headers": listed + payload.get("headers", [])}
    found = google_message.read("m1", msgspec.json.encode({"id": "m1", "payload": whole}))
    assert found is not None
    return found


def test_message_keeps_what_a_person_reads():
    found = message(
        {"mimeType": "multipart/mixed", "parts": [
            {"mimeType": "multipart/alternative", "parts": [
                leaf("สวัสดี".encode("cp874"), charset="windows-874", partId="0.0"),
                leaf(b"<p>hi<script>1</script></p>", "text/html", partId="0.1")]},
            {"partId": "1", "mimeType": "application/pdf", "filename": "=?utf-8?q?caf=C3=A9?=.pdf",
             "body": {"attachmentId": "x", "size": 9}}]},
        From="=?utf-8?b?" + b64encode("مريم".encode()).decode() + "?= <maryam@example.com>",
        To="a@example.com, b@example.com",
        Date="Mon, 23 Nov 2026 10:00:00 +0700", Message_ID="<x@example.com>", List_Id="news",
    )  # fmt: skip
    assert (found.text, found.html) == ("สวัสดี", "<p>hi</p>")
    assert found.sender is not None
    assert (found.sender.name, found.sender.value) == ("مريم", "maryam@example.com")
    assert [person.value for person in found.to] == ["a@example.com", "b@example.com"]
    assert found.sent_at == datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert [(item.part_id, item.filename) for item in found.attachments] == [("1", "café.pdf")]
    assert found.headers == (("list-id", "news"),)
    assert found.flags == ()


def test_mail_within_a_mail_is_an_attachment_and_not_its_text():
    inner = {
        "mimeType": "message/rfc822",
        "partId": "1",
        "filename": "fw.eml",
        "body": {"size": 5},
        "parts": [leaf(b"no")],
    }
    found = message({"mimeType": "multipart/mixed", "parts": [leaf(b"yes"), inner]})
    assert found.text == "yes"
    assert [item.mime_type for item in found.attachments] == ["message/rfc822"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"Diaz, Ana" <ana@example.com>', [("ana@example.com", "Diaz, Ana")]),
        ("team: bo@example.com, Cy <cy@example.com>;, di@example.com",
         [("bo@example.com", ""), ("cy@example.com", "Cy"), ("di@example.com", "")]),
        ("ed@example.com (Ed (the one))", [("ed@example.com", "Ed the one")]),
        ("<@a.example,@b.example:fy@example.com>", [("fy@example.com", "")]),
        ('"a\\"b" <q@example.com>', [("q@example.com", 'a"b')]),
        ("undisclosed-recipients:;", []), ("", []), ("nobody", []), ("<>", []),
    ],
)  # fmt: skip
def test_addresses_are_read(value, expected):
    assert [(item.address, item.name) for item in read_addresses(value)] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=?utf-8?B?4LiB?=", "ก"), ("=?utf-8?B?4Lg=?= =?utf-8?B?gQ==?=", "ก"), ("=?iso-8859-1?q?a=E9_b?= c", "aé b c"),
        ("=?x-none?q?a=41?=", "aA"), ("=?utf-8*en?q?hi?=", "hi"), ("a=?b", "a=?b"), ("=?utf-8?b?%%%?=", "%%%"),
        ("folded\r\n line", "folded line"), ("nul\x00", "nul"),
    ],
)  # fmt: skip
def test_encoded_words_are_read(value, expected):
    assert mail.decode_header(value) in {expected, ""} if "%" in value else mail.decode_header(value) == expected


@pytest.mark.parametrize(
    "charset", ["hex", "punycode", "idna", "unicode_escape", "undefined", "rot13", "no\x00", "x" * 500]
)
def test_charset_that_is_none_leaves_the_text_readable(charset):
    assert mail.decode(b"plain", charset) == ("plain", mail.Flag.CHARSET_UNKNOWN)


@pytest.mark.parametrize(
    "value",
    ["(" * 8000, "<" * 8000, '"' * 8000, "a:" * 4000, "=?utf-8?q?a?= " * 600, "=?" * 4000, "\\" * 8000, "@," * 4000],
)
def test_hostile_header_costs_little(value):
    begun = time.process_time()
    message(leaf(b"x"), Subject=value, To=value, From=value, Date=value)
    assert time.process_time() - begun < 1


def test_headers_over_the_caps_are_cut_and_flagged():
    found = message(leaf(b"x"), Subject="a" * 10_000_000, To="x@example.com")
    assert len(found.subject) == mail.MOST_HEADER_CHARACTERS
    assert "headers_cut" in found.flags


def test_many_and_deep_parts_are_cut_and_flagged():
    assert "too_many_parts" in message({"mimeType": "multipart/mixed", "parts": [leaf(b"x")] * 5000}).flags
    deep = leaf(b"x")
    for _ in range(100):
        deep = {"mimeType": "multipart/mixed", "parts": [deep]}
    found = message(deep)
    assert "too_deep" in found.flags
    assert found.text == ""


def test_nesting_beyond_the_parser_is_set_aside():
    nested = b'{"id":"m1","payload":' + b'{"parts":[' * 50_000 + b"]}" * 50_000 + b"}"
    with pytest.raises(SetAside):
        google_message.read("m1", nested)


def test_body_over_the_cap_is_cut_and_flagged():
    found = message(leaf(b"a" * (mail.MOST_BODY_CHARACTERS + 5)))
    assert (len(found.text), found.flags) == (mail.MOST_BODY_CHARACTERS, ("body_cut",))


def test_body_that_is_no_base64_is_flagged():
    assert "body_unreadable" in message({"mimeType": "text/plain", "body": {"size": 3, "data": "a"}}).flags


@pytest.mark.parametrize(
    "hostile",
    ["<div>", "<b>", "<div><!-- </div> -->", '<div a="</div>">', '<a "', "<a '\"", "<b id=1><table><td></b></table>",
     "<table><td>", "<svg><li>", "<ul><li>", "<", "<!--", "<style>", "<script></script", "&amp;", "<a href=x>"],
)  # fmt: skip
def test_hostile_html_costs_no_more_than_its_length(hostile):
    begun = time.process_time()
    safe_html((hostile * (MILLION // len(hostile) + 1))[:MILLION])
    assert time.process_time() - begun < 15


def test_tag_with_very_many_attributes_costs_little():
    begun = time.process_time()
    safe_html("<img " + " ".join(f"a{number}=1" for number in range(100_000)) + ">")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<p onclick=1>x<p>y<img src="http://t.example/x.gif" alt="a > b">', '<p>x</p><p>y<img alt="a &gt; b"></p>'),
        ("<img src=cid:a>", '<img src="cid:a">'), ("<IMG SRC=' HTTP://t.example'>", "<img>"),
        ("<img src=data:image/png;base64,AA>", "<img>"), ('<td background="http://t.example">', ""),
        ('<a href="javascript:alert(1)">k</a>', '<a rel="noopener noreferrer">k</a>'),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("<div><div>x</div></div>", "<div><div>x</div></div>"), ("a < b & c <3", "a &lt; b &amp; c &lt;3"),
        ("<o:p>w</o:p><font color=red>v</font>", "wv"), ("<scr<script>ipt>alert(1)</script>", None),
        ("<style>@import 'http://t.example'</style><title>t</title>z", "z"), ("<!-- --><b>x", "<b>x</b>"),
    ],
)  # fmt: skip
def test_html_is_made_safe(html, expected):
    cleaned, _ = safe_html(html)
    if expected is None:
        assert "<script" not in cleaned
    else:
        assert cleaned == expected


PIECES = [
    "<p>", "</p>", "<b", ">", "<img src=", "'", '"', "http://t.example/x", "javascript:", "<script>", "</script>",
    "<!--", "-->", " onload=", "a", "&lt;", "<table>", "<td>", "</table>", "<style>", "<svg/onload=1>", "<a href=",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_html_keeps_a_script_or_a_remote_picture_however_often_it_is_read(pieces):
    # What is read again may nest otherwise, since browsers move what stands wrongly in tables; it has to stay safe.
    cleaned, _ = safe_html("".join(pieces))
    for html in (cleaned, safe_html(cleaned)[0]):
        tags = [piece.split(">")[0] for piece in html.split("<")[1:]]
        assert not any(tag.startswith(("script", "style", "svg", "iframe")) for tag in tags)
        assert not any(tag.startswith("img") and "src=" in tag and 'src="cid:' not in tag for tag in tags)


NAMES = st.sampled_from(["mimeType", "parts", "headers", "body", "data", "name", "value", "partId"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@given(JSON, st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_payload_is_read_or_set_aside(payload, text):
    whole = {"id": "m1", "payload": payload, "snippet": text, "internalDate": text}
    try:
        found = google_message.read("m1", msgspec.json.encode(whole))
    except SetAside:
        return
    assert found is not None
    assert b"\\u0000" not in normal_form(found)


@given(st.text(max_size=300), st.binary(max_size=300), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_header_and_body_is_read(header, body, charset):
    found = message(leaf(body, charset=charset), Subject=header, From=header, To=header, Date=header)
    assert "\x00" not in found.subject + found.text


def test_header_reading_is_the_same_twice():
    assert normal_form(message(leaf(b"x"), To="b@x, a@x")) == normal_form(message(leaf(b"x"), To="b@x, a@x"))


THAI, JAPANESE = "สวัสดีครับ ใบเสนอราคา", "見積書をお送りします"


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (THAI.encode(), "windows-874", THAI),  # As Gmail hands it over.
        (THAI.encode("cp874"), "windows-874", THAI),  # As it was sent.
        (JAPANESE.encode(), "iso-2022-jp", JAPANESE),
        (JAPANESE.encode("iso-2022-jp"), "iso-2022-jp", JAPANESE),
        ("déjà vu".encode(), "iso-8859-1", "déjà vu"),
        ("déjà vu".encode("latin-1"), "iso-8859-1", "déjà vu"),
        (THAI.encode("utf-16"), "utf-16", THAI),
        (b"plain", "nonesuch", "plain"),
    ],
)
def test_text_is_read_whether_or_not_the_provider_has_turned_it_into_utf_8(raw, charset, text):
    assert mail.decode_text(raw, charset)[0] == text


def test_text_cut_within_a_character_is_still_read_as_utf_8():
    assert mail.decode_text(THAI.encode()[:-1], "windows-874", cut=True) == (THAI[:-1], None)

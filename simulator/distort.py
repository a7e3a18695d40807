"""Replies bent out of shape: bodies that no parser likes, pages that do not page, items twice over.

Pure functions from a reply to a reply. A page that is bent keeps its items unless the fault is about losing them.
"""

import base64
import binascii
import gzip as gzip_format
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec

from simulator.exchange import JSON_TYPE, Reply, Request, json_reply
from simulator.faults import Action, Paging

AGAIN = "again~"
_MEGABYTE = 1 << 20
_TEXT_FIELDS = ("displayName", "snippet", "summary", "familyName", "value", "name")


def substitute(action: Action, request: Request, default: Reply) -> Reply:
    """Return what is sent instead of carrying out the request; `default` is the provider's own error reply."""
    extra = tuple(action.headers.items())
    if action.retry_after is not None:
        extra = (*extra, ("retry-after", str(action.retry_after)))
    if action.redirect is not None:
        return Reply(action.status or 302, b"", headers=(*extra, ("location", action.redirect)))
    if action.gzip_bomb is not None:
        return Reply(200, bomb(action.gzip_bomb), headers=(*extra, ("content-encoding", "gzip")))
    if action.empty_page_with_token:
        paging = action.paging or Paging()
        page: dict[str, Any] = {} if paging.items is None else {paging.items: []}
        token = again(sent_page_token(request, paging.parameter))
        return json_reply(page | {paging.token: _next(request, paging, token)}, headers=extra)
    reply = default if action.body is None else _literal(action.body, default)
    return Reply(action.status or 200, reply.body, reply.content_type, (*reply.headers, *extra))


def bend(action: Action, request: Request, reply: Reply) -> Reply:
    """Return the reply to a request that was carried out, as the action deforms it."""
    if action.bends_page:
        reply = _bend_page(action, request, reply)
    if action.body is not None:
        reply = _literal(action.body, reply, field=action.field)
    if action.gzip:
        packed = gzip_format.compress(reply.body, 1)
        reply = Reply(reply.status, packed, reply.content_type, (*reply.headers, ("content-encoding", "gzip")))
    extra = tuple(action.headers.items())
    return Reply(reply.status, reply.body, reply.content_type, (*reply.headers, *extra)) if extra else reply


def again(page_token: str | None) -> str:
    """Return a page token that leads to the page which was asked for just now."""
    return AGAIN + base64.urlsafe_b64encode((page_token or "").encode()).decode()


def original(page_token: str) -> str:
    """Return the token that one made by `again` stands for, empty for the first page; any other stays as it is."""
    if not page_token.startswith(AGAIN):
        return page_token
    return base64.urlsafe_b64decode(page_token.removeprefix(AGAIN)).decode()


def sent_page_token(request: Request, parameter: str = "pageToken") -> str | None:
    """Return the page token of a request, from its query or from its JSON body."""
    token = request.first(parameter)
    if token is not None or not request.body.lstrip().startswith(b"{"):
        return token
    try:
        sent = msgspec.json.decode(request.body).get(parameter)
    except msgspec.DecodeError:
        return None
    return sent if isinstance(sent, str) and sent else None


def _next(request: Request, paging: Paging, token: str) -> str:
    """Return what a page says of the next one: its token, or its address."""
    if not paging.link:
        return token
    query = [(name, value) for name, value in request.query if name != paging.parameter]
    return f"https://{request.host}{request.path}?{urlencode([*query, (paging.parameter, token)])}"


def unwrap(query: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Turn a token made by `again` back into the one it stands for."""
    result = []
    for key, value in query:
        if value.startswith(AGAIN):
            if original(value):
                result.append((key, original(value)))
        else:
            result.append((key, value))
    return tuple(result)


def bomb(megabytes: int) -> bytes:
    """Return a gzip file of about a thousandth of its content's size: a JSON string of blanks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    blanks = b" " * _MEGABYTE
    block = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    opening = b'{"x":"'
    head = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = head.compress(opening) + head.flush(zlib.Z_FULL_FLUSH)
    tail = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = tail.compress(b'"}') + tail.flush()
    checksum = zlib.crc32(opening)
    for _ in range(megabytes):
        checksum = zlib.crc32(blanks, checksum)
    checksum = zlib.crc32(b'"}', checksum)
    size = len(opening) + megabytes * _MEGABYTE + 2
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return header + start + block * megabytes + end + struct.pack("<II", checksum, size & 0xFFFFFFFF)


def items_of(page: dict[str, Any]) -> str | None:
    """Return the name of the page's list of items."""
    return next((key for key, value in page.items() if isinstance(value, list) and key != "defaultReminders"), None)


def _bend_page(action: Action, request: Request, reply: Reply) -> Reply:
    try:
        page = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return reply
    pages = [one for one in page if isinstance(one, dict)] if isinstance(page, list) else [page]
    if not isinstance(page, dict | list) or reply.status != 200:
        return reply
    for one in pages:
        _bend_items(action, one)
    paging = action.paging or Paging()
    sent = sent_page_token(request, paging.parameter)
    if action.repeat_page_token and sent is not None and isinstance(page, dict):
        for ending in paging.ends:
            page.pop(ending, None)
        page[paging.token] = _next(request, paging, sent)
    return Reply(reply.status, msgspec.json.encode(page), reply.content_type, reply.headers)


def _bend_items(action: Action, page: dict[str, Any]) -> None:
    name = (action.paging or Paging()).items or items_of(page)
    if name is not None and isinstance(page.get(name), list):
        items = page[name]
        if action.spoil_item and items:
            items[0] = _spoilt(items[0], action.spoil_item)
        if action.reorder:
            items = items[::-1]
        if action.duplicate_items:
            items = items + items[: action.duplicate_items]
        if action.unknown_fields:
            items = [{**item, "xSimulatorOdd": {"deep": [1, None, {"er": "…"}]}} if isinstance(item, dict) else item
                     for item in items]  # fmt: skip
        page[name] = items
    if action.unknown_fields:
        page["xSimulatorUnknown"] = [1.5, None, "text", {"kind": "unknown"}]


def _spoilt(item: Any, values: dict[str, Any]) -> Any:
    """Return an item with other values at some paths (`metrics.clicks`); the empty path is the item itself."""
    for path, value in values.items():
        if not path:
            return value
        *outer, last = path.split(".")
        place = item
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return item


def _literal(body: Any, reply: Reply, field: str | None = None) -> Reply:
    """Return the reply with a body as the script words it: a kind by name, or a text, bytes or JSON given in full."""
    if isinstance(body, dict) and set(body) == {"kind"}:
        body = str(body["kind"])
    if isinstance(body, str):
        if body in _KINDS:
            return _KINDS[body](reply, field)
        return Reply(reply.status, body.encode("utf-8", "surrogatepass"), JSON_TYPE, reply.headers)
    if isinstance(body, dict) and set(body) == {"text"}:
        return Reply(reply.status, str(body["text"]).encode(), "text/plain; charset=utf-8", reply.headers)
    if isinstance(body, dict) and set(body) == {"base64"}:
        try:
            return Reply(reply.status, base64.b64decode(body["base64"]), JSON_TYPE, reply.headers)
        except binascii.Error:
            return Reply(reply.status, b"", JSON_TYPE, reply.headers)
    return Reply(reply.status, msgspec.json.encode(body), JSON_TYPE, reply.headers)


def _with_key(reply: Reply, pair: bytes) -> Reply:
    """Put a pair before the others of a JSON object; a body that is none becomes one."""
    rest = reply.body.lstrip()[1:] if reply.body.lstrip().startswith(b"{") else b"}"
    return _with_body(reply, b"{" + pair + (b"" if rest.lstrip().startswith(b"}") else b",") + rest)


def _with_body(reply: Reply, body: bytes) -> Reply:
    return Reply(reply.status, body, reply.content_type, reply.headers)


def _in_text(reply: Reply, field: str | None, inserted: bytes) -> Reply:
    """Put bytes at the beginning of the first text value, so that the rest of the page stays good."""
    for name in (field,) if field else _TEXT_FIELDS:
        mark = b'"' + name.encode() + b'":"'
        if mark in reply.body:
            return _with_body(reply, reply.body.replace(mark, mark + inserted, 1))
    return _with_key(reply, b'"unexpected":"' + inserted + b'"')


def _as_number(reply: Reply, field: str | None, number: bytes) -> Reply:
    """Put bytes in place of the first number, or beside the first key where no number stands."""
    name = rb'"[^"]+"' if field is None else b'"' + re.escape(field.encode()) + b'"'
    quote = (
        b"" if field is None else b'"?'
    )  # A field that is named may hold its number as text, as protobuf's int64 do.
    found = rb"(" + name + rb":)" + quote + rb"-?[0-9][0-9.eE+-]*" + quote
    body, hits = re.subn(found, rb"\g<1>" + number, reply.body, count=1)
    if not hits:
        return _with_key(reply, b'"unexpected":' + number)
    return _with_body(reply, body)


_KINDS: dict[str, Callable[[Reply, str | None], Reply]] = {
    "malformed_json": lambda reply, _: _with_body(reply, reply.body[:-1] + b",,]"),
    "truncated": lambda reply, _: _with_body(reply, reply.body[: len(reply.body) // 2]),
    "empty": lambda reply, _: _with_body(reply, b""),
    "null": lambda reply, _: _with_body(reply, b"null"),
    "list": lambda reply, _: _with_body(reply, b"[" + reply.body + b"]"),
    "html": lambda reply, _: Reply(
        reply.status, b"<!DOCTYPE html><html><body>Sorry, one moment please</body></html>", "text/html", reply.headers
    ),
    "nan": lambda reply, field: _as_number(reply, field, b"NaN"),
    "infinity": lambda reply, field: _as_number(reply, field, b"-Infinity"),
    "huge_number": lambda reply, field: _as_number(reply, field, b"9" * 5000),
    "huge_float": lambda reply, field: _as_number(reply, field, b"1e400"),
    "non_utf8": lambda reply, field: _in_text(reply, field, b"\xff\xfe\xc3("),
    "lone_surrogate": lambda reply, field: _in_text(reply, field, b"\\ud800"),
    "nul": lambda reply, field: _in_text(reply, field, b"\\u0000"),
    "bom": lambda reply, _: _with_body(reply, b"\xef\xbb\xbf" + reply.body),
    "duplicate_keys": lambda reply, _: _with_key(reply, b'"nextPageToken":"first"'),
    "deep_nesting": lambda reply, _: _with_key(reply, b'"unexpected":' + b"[" * 20_000 + b"]" * 20_000),
}
KINDS = frozenset(_KINDS)

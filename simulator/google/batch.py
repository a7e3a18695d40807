"""Several calls in one request: multipart/mixed whose parts are HTTP requests of their own.

    outer POST ─▶ parts ─▶ each served as the request it stands for (quota, faults, errors) ─▶ a part of the reply

The outer Authorization speaks for a part without one. Whatever the parts end with, the outer reply is a 200, unless the
outer request itself cannot be read. Parts are served one after another, and their replies carry `response-` before
their ids.
Source: the provider sheet, section 3, and https://developers.google.com/workspace/calendar/api/guides/batch,
read 2026-11-23.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from simulator.app import Simulator
from simulator.exchange import Reply, Request
from simulator.google.errors import GoogleError, Style, not_found

_KNOWN_STATUSES = frozenset(one.value for one in HTTPStatus)


@dataclass(frozen=True, slots=True)
class Part:
    """One call of a batch; header names are in lower case."""

    content_id: str | None
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def serve_batch(
    simulator: Simulator,
    outer: Request,
    *,
    most: int,
    within: str,
    style: Style = "legacy",
    instead: Callable[[int], GoogleError | None] = lambda _at: None,
    backwards: bool = False,
) -> Reply:
    """Serve a batch of at most so many calls, all to paths that begin with `within`.

    `instead` may give an error for a call, by its place in the batch, that is then not carried out; `backwards` serves
    the calls and sends their replies in the other order.

    Raises: GoogleError 400 for an outer request that cannot be read or has too many parts.
    """
    if outer.method != "POST":
        raise not_found("Not Found")
    parts = read_parts(outer)
    if len(parts) > most:
        raise GoogleError(
            400, f"The batch request contains too many calls: {len(parts)}, at most {most}.", "badRequest"
        )
    boundary = "batch_" + hashlib.blake2s(outer.body, digest_size=12).hexdigest()
    pieces = []
    numbered = list(enumerate(parts))
    for at, part in reversed(numbered) if backwards else numbered:
        headers = {"authorization": outer.headers.get("authorization", ""), **part.headers}
        error = instead(at) if part.target.startswith(within) else not_found("Not Found")
        if error is None:
            reply = simulator.serve_inner(outer, part.method, part.target, headers, part.body)
        else:
            reply = error.reply(style)
        pieces.append(_written(boundary, part, reply))
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return Reply(200, body, f"multipart/mixed; boundary={boundary}")


def read_parts(outer: Request) -> list[Part]:
    """Read the calls of a batch.

    Raises: GoogleError 400.
    """
    kind, _, rest = outer.headers.get("content-type", "").partition(";")
    boundary = next((one.split("=", 1)[1].strip().strip('"') for one in rest.split(";") if "boundary=" in one), "")
    if kind.strip().lower() != "multipart/mixed" or not boundary:
        raise _unreadable("the request is not multipart/mixed with a boundary")
    mark = b"--" + boundary.encode()
    first, *chunks = (b"\n" + outer.body.replace(b"\r\n", b"\n")).split(b"\n" + mark)
    if first.strip() or not chunks or not chunks[-1].startswith(b"--"):
        raise _unreadable("the parts do not begin and end with the boundary")
    parts = [_read_part(chunk.removeprefix(b"\n")) for chunk in chunks[:-1]]
    if not parts:
        raise _unreadable("there are no parts")
    return parts


def _read_part(chunk: bytes) -> Part:
    head, _, inner = chunk.partition(b"\n\n")
    outer_headers = _headers(head.decode("latin-1").split("\n"))
    if outer_headers.get("content-type", "").partition(";")[0].strip().lower() != "application/http":
        raise _unreadable("a part is not application/http")
    head, _, body = inner.lstrip(b"\n").partition(b"\n\n")
    line, *lines = head.decode("latin-1").strip().split("\n")
    words = line.split()
    if len(words) not in (2, 3) or not words[1].startswith("/"):
        raise _unreadable("a part does not begin with a request line with a path")
    return Part(outer_headers.get("content-id"), words[0].upper(), words[1], _headers(lines), body)


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _written(boundary: str, part: Part, reply: Reply) -> bytes:
    head = [f"--{boundary}", "Content-Type: application/http"]
    if part.content_id is not None:
        inner_id = part.content_id.removeprefix("<").removesuffix(">")
        head.append(f"Content-ID: <response-{inner_id}>")
    phrase = HTTPStatus(reply.status).phrase if reply.status in _KNOWN_STATUSES else "Simulated"
    head += ["", f"HTTP/1.1 {reply.status} {phrase}", f"Content-Type: {reply.content_type}"]
    head += [f"{name}: {value}" for name, value in reply.headers]
    head += [f"Content-Length: {len(reply.body)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + reply.body + b"\r\n"


def _unreadable(why: str) -> GoogleError:
    return GoogleError(400, f"Failed to parse batch request, error: {why}.", "badRequest")

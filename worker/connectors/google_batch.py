"""Many reads of one Google API in one request: `multipart/mixed`, each part an HTTP message of its own.

The official client has a batch too, but it raises errors of its own for inner replies and answers an inner 401 with
credentials that it does not hold here. So the few lines are ours, and each inner reply is a `Reply` that the table of
`google_api.classify` judges. An inner reply that is missing or cannot be read is None: nobody knows, ask again.

Source: providers/google.md §3 (read 2026-11); https://developers.google.com/workspace/gmail/api/guides/batch
"""

import re
import secrets
from collections.abc import Sequence
from typing import Final

from worker.connectors import google_api
from worker.errors import Transient
from worker.transport.ports import Cost
from worker.transport.replies import Reply
from worker.transport.session import ProviderSession

_BOUNDARY: Final = re.compile(r"boundary\s{0,9}=\s{0,9}(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE)
_NUMBER: Final = re.compile(rb"<?response-item(\d{1,6})>?$")
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?: |\r?$)", re.MULTILINE)


def read_many(
    http: ProviderSession, url: str, paths: Sequence[str], *, costs: Sequence[Cost], max_body: int, timeout_s: float
) -> list[Reply | None]:
    """The replies to a GET of each of `paths`, in their order.

    Raises:
        Transient: the reply is no multipart message.
        TooMuchData: all replies together are over `max_body`.
        CrmSyncError: what the session raises for the outer request.
    """
    boundary = f"batch_{secrets.token_hex(12)}"
    reply = http.send(
        "POST",
        url,
        headers=[("content-type", f'multipart/mixed; boundary="{boundary}"')],
        body=write_batch(paths, boundary),
        costs=costs,
        classify=google_api.classify,
        repeatable=True,
        max_body=max_body,
        timeout_s=timeout_s,
    )
    return read_batch(reply, len(paths))


def write_batch(paths: Sequence[str], boundary: str) -> bytes:
    """The body of a batch: paths only, no hosts; the outer request's token holds for each. Pure."""
    parts = [
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <item{number}>\r\n\r\n"
        f"GET {path} HTTP/1.1\r\n\r\n"
        for number, path in enumerate(paths)
    ]
    return ("".join(parts) + f"--{boundary}--\r\n").encode("ascii")


def read_batch(reply: Reply, count: int) -> list[Reply | None]:
    """The inner replies, matched by their ids, since they come in any order. Pure.

    Raises:
        Transient: the reply is no multipart message.
    """
    match = _BOUNDARY.search(reply.header("content-type"))
    if match is None:
        raise Transient("Google answered a batch with something that is no batch.")
    mark = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
    found: list[Reply | None] = [None] * count
    # A boundary stands at the beginning of a line; the same characters within a line are content.
    for piece in (b"\n" + reply.body).split(b"\n" + mark)[1:]:
        outer, _, inner = piece.partition(b"\r\n\r\n" if b"\r\n\r\n" in piece else b"\n\n")
        number = _number(outer)
        head, gap, body = inner.lstrip(b"\r\n").partition(b"\r\n\r\n" if b"\r\n\r\n" in inner else b"\n\n")
        status = _STATUS.match(head)
        if number is not None and number < count and status is not None and gap:
            found[number] = Reply(int(status[1]), _headers(head), body.rstrip(b"\r\n"))
    return found


def _number(head: bytes) -> int | None:
    for line in head.splitlines():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-id":
            match = _NUMBER.search(value.strip())
            return int(match[1]) if match else None
    return None


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.decode("latin-1").partition(":") for line in head.splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}

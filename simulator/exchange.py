"""One HTTP request and its reply, as the provider families see them.

Nothing here knows of sockets, faults or any provider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

JSON_TYPE = "application/json; charset=UTF-8"


@dataclass(slots=True)
class Notes:
    """What a family learns about a request while it serves it; the journal writes it down.

    `account` and `grant` are ids, never a token.
    """

    account: str | None = None
    grant: str | None = None
    quota_units: dict[str, int] = field(default_factory=dict)
    inner: list[dict[str, Any]] = field(default_factory=list)
    form: dict[str, str] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request to one provider host; `headers` has lower-case names, `query` keeps order and repeats."""

    method: str
    host: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = b""
    notes: Notes = field(default_factory=Notes)
    inner: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, percent-decoded one by one, so that an encoded slash stays inside its part."""
        return tuple(unquote(part) for part in self.path.split("/")[1:])

    def first(self, name: str) -> str | None:
        """Return the first value of a query parameter."""
        return next((value for key, value in self.query if key == name), None)

    def form(self) -> list[tuple[str, str]]:
        """Return the body as form fields; bytes that are no form give what can be read of them."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply; `content-length` is added when it is sent."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


def json_reply(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Encode a value as a JSON reply."""
    return Reply(status, msgspec.json.encode(value), headers=headers)


def html_reply(html: str, status: int = 200) -> Reply:
    """Wrap a page of HTML."""
    return Reply(status, html.encode(), content_type="text/html; charset=utf-8")


def split_target(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Split a request target into its path and its query pairs."""
    path, _, query = target.partition("?")
    return path, tuple(parse_qsl(query, keep_blank_values=True))

"""One call to Graph, read: whose it is, which resource, which query options, which preferences.

    /v1.0/me/mailFolders('AQMk…')/messages/delta()?$select=id  ─▶  ("mailfolders", "AQMk…", "messages", "delta")

Names of resources are read in any case, ids as they stand.
Source: the provider sheet, sections 3.1 to 3.3 and 3.12.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

from simulator.exchange import Request
from simulator.microsoft.errors import bad_request
from simulator.microsoft.scopes import GRAPH
from simulator.microsoft.tokens import AccessToken
from simulator.world.office import OfficeAccount

GRAPH_HOST = "graph.microsoft.com"
VERSION = "v1.0"
_NAMES = frozenset(
    {"attachments", "calendar", "calendars", "calendarview", "childfolders", "contactfolders", "contacts", "delta",
     "events", "instances", "mailfolders", "me", "messages", "users", "$batch", "$value"}
)  # fmt: skip
_KEYED = re.compile(r"([^()]+)\((?:'((?:[^']|'')*)')?\)")
_PREFERENCE = re.compile(r'\s*([^=,;\s]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^,;]*))?\s*(?:,|;|$)')
_SIZE = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the Prefer header asks for; `bodies` is what the permission leaves of a message."""

    page_size: int | None = None
    immutable_ids: bool = False
    text_bodies: bool = False
    unsafe_html: bool = False
    time_zone: str = "UTC"
    bodies: bool = True
    applied: tuple[str, ...] = ()


@dataclass(slots=True)
class Call:
    """A call with a live token; `path` comes after /me."""

    request: Request
    token: AccessToken
    path: tuple[str, ...]
    preferences: Preferences
    query: dict[str, str]
    applied: list[str] = field(default_factory=list)

    @property
    def account(self) -> OfficeAccount:
        """Whose mailbox it is."""
        return self.token.account

    def only(self, *names: str) -> None:
        """Refuse every query option but these.

        Raises: GraphError 400.
        """
        for name in self.query:
            if name not in names:
                raise bad_request(f"The query parameter '{name}' is not supported.", "ErrorInvalidUrlQuery")

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number from 0 (or 1, for `$top`) up to the most.

        Raises: GraphError 400.
        """
        text = self.query.get(name)
        if text is None:
            return default
        least = 0 if name == "$skip" else 1
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise bad_request(f"Invalid value '{text}' for '{name}' query option found.")
        return int(text)

    def select(self, known: Iterable[str], kind: str) -> frozenset[str] | None:
        """Return the properties that the caller wants, None for the usual ones.

        Raises: GraphError 400 for one that the type does not have.
        """
        text = self.query.get("$select")
        if not text:
            return None
        by_name = {name.lower(): name for name in known}
        chosen = set()
        for one in text.split(","):
            name = by_name.get(one.strip().lower())
            if name is None:
                raise bad_request(f"Could not find a property named '{one.strip()}' on type 'microsoft.graph.{kind}'.")
            chosen.add(name)
        return frozenset(chosen)


Handle = Callable[[Call], object]


def read_query(request: Request) -> dict[str, str]:
    """Return the query options.

    Raises: GraphError 400 for one that is given twice.
    """
    query: dict[str, str] = {}
    for name, value in request.query:
        if name in query:
            raise bad_request(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        query[name] = value
    return query


def resource_path(request: Request) -> tuple[str, ...]:
    """Return the path's parts, keys in brackets as parts of their own."""
    parts: list[str] = []
    for segment in request.segments:
        keyed = _KEYED.fullmatch(segment)
        named, key = (keyed[1], keyed[2]) if keyed else (segment, None)
        name = named.lower().removeprefix("microsoft.graph.")
        parts.append(name if name in _NAMES else named)
        if key is not None:
            parts.append(key.replace("''", "'"))
    return tuple(parts)


@lru_cache(maxsize=100)
def read_preferences(header: str) -> Preferences:
    """Read a Prefer header; what is unknown or cannot be read is passed over, as HTTP asks."""
    found: dict[str, str] = {}
    for match in _PREFERENCE.finditer(header):
        found.setdefault(match[1].lower(), (match[2] or "").strip().strip('"'))
    size = found.get("odata.maxpagesize", "")
    immutable = found.get("idtype", "").lower() == "immutableid"
    text_bodies = found.get("outlook.body-content-type", "").lower() == "text"
    zone = found.get("outlook.timezone")
    applied = []
    if _SIZE.fullmatch(size):
        applied.append(f"odata.maxpagesize={size}")
    if immutable:
        applied.append('IdType="ImmutableId"')
    if text_bodies:
        applied.append('outlook.body-content-type="text"')
    if zone:
        applied.append(f'outlook.timezone="{zone}"')
    return Preferences(
        page_size=int(size) if _SIZE.fullmatch(size) else None,
        immutable_ids=immutable,
        text_bodies=text_bodies,
        unsafe_html="outlook.allow-unsafe-html" in found,
        time_zone=zone or "UTC",
        applied=tuple(applied),
    )


def link(path: Iterable[str], **query: str) -> str:
    """Return an address of Graph: pairs of a collection and a key are written with the key in brackets."""
    written = f"{GRAPH}{VERSION}/me"
    for part in path:
        written += f"/{part}" if not part.startswith("'") else f"({quote(part, safe=chr(39))})"
    return written + "?" + "&".join(f"${name}={quote(value, safe='')}" for name, value in query.items())

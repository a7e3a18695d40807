"""Partial responses: what `fields=` leaves of a reply.

    fields = path *( "," path )        path = name [ "/" path | "(" fields ")" ]        name "*" means everything

Source: https://developers.google.com/people/api/rest (common parameter `fields`), read 2026-11-23.
"""

from typing import Any

import msgspec

from simulator.exchange import Reply
from simulator.google.errors import invalid_argument

Selection = dict[str, "Selection"]


def select(reply: Reply, fields: str | None) -> Reply:
    """Return the reply with only what was asked for.

    Raises: GoogleError for a selection that cannot be read.
    """
    if not fields or reply.status != 200 or fields == "*":
        return reply
    selection, end = _parse(fields, 0)
    if end != len(fields):
        raise invalid_argument(f"Invalid field selection {fields}", "fields")
    value = msgspec.json.decode(reply.body)
    return Reply(reply.status, msgspec.json.encode(_keep(value, selection)), reply.content_type, reply.headers)


def _parse(text: str, at: int) -> tuple[Selection, int]:
    result: Selection = {}
    while True:
        start = at
        while at < len(text) and text[at] not in ",/()":
            at += 1
        name = text[start:at].strip()
        if not name:
            raise invalid_argument(f"Invalid field selection {text}", "fields")
        inner: Selection = {}
        if at < len(text) and text[at] == "/":
            inner, at = _parse_path(text, at + 1)
        elif at < len(text) and text[at] == "(":
            inner, at = _parse(text, at + 1)
            if at >= len(text) or text[at] != ")":
                raise invalid_argument(f"Invalid field selection {text}", "fields")
            at += 1
        result[name] = {**result.get(name, {}), **inner}
        if at < len(text) and text[at] == ",":
            at += 1
            continue
        return result, at


def _parse_path(text: str, at: int) -> tuple[Selection, int]:
    """Read one path after a slash; the comma that ends it belongs to the list around it."""
    depth, end = 0, at
    while end < len(text) and not (depth == 0 and text[end] in ",)"):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    selection, _ = _parse(text[at:end], 0)
    return selection, end


def _keep(value: Any, selection: Selection) -> Any:
    if not selection or "*" in selection:
        return value
    if isinstance(value, list):
        return [_keep(one, selection) for one in value]
    if isinstance(value, dict):
        return {key: _keep(one, selection[key]) for key, one in value.items() if key in selection}
    return value

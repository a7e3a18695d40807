"""Plain lists: `$top`, `$skip`, `$select`, `$orderby` where a resource has one, and next links that skip.

    {"@odata.context", "value": […], "@odata.nextLink": "…?$top=10&$skip=10"}

Source: the provider sheet, sections 3.1, 3.2 and 3.5.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec

from simulator.exchange import Reply, json_reply
from simulator.microsoft.calls import Call, link

MOST, USUAL = 1000, 10
_METADATA = "https://graph.microsoft.com/v1.0/$metadata#users('{}')/{}"


def listed(call: Call, entries: Iterable[bytes], path: Sequence[str], plain: dict[str, str] | None = None) -> Reply:
    """Return one page of a list whose entries are made only as far as they are wanted.

    `plain` are options without a dollar sign, which the next link repeats.
    """
    size = call.number("$top", min(call.preferences.page_size or USUAL, MOST), MOST)
    skipped = call.number("$skip", 0, 1 << 31)
    page = list(islice(entries, skipped, skipped + size + 1))
    head: dict[str, Any] = {"@odata.context": context(call, path)}
    if len(page) > size:
        kept = {name.removeprefix("$"): value for name, value in call.query.items() if name != "$skip"}
        address = link(
            path, **{name: value for name, value in kept.items() if name not in (plain or {})}, skip=str(skipped + size)
        )
        head["@odata.nextLink"] = address + "".join(
            f"&{name}={quote(value, safe='')}" for name, value in (plain or {}).items()
        )
    body = msgspec.json.encode(head)[:-1] + b',"value":[' + b",".join(page[:size]) + b"]}"
    return Reply(200, body)


def single(call: Call, entry: dict[str, Any], path: Sequence[str]) -> Reply:
    """Return one thing."""
    return json_reply({"@odata.context": context(call, path) + "/$entity", **entry})


def kept(entry: dict[str, Any], chosen: frozenset[str] | None) -> dict[str, Any]:
    """Return what a call chose of an entry, all if it did not choose; the id and annotations stay."""
    if chosen is None:
        return entry
    return {name: value for name, value in entry.items() if name in chosen or name == "id" or "@" in name}


def context(call: Call, path: Sequence[str]) -> str:
    """Return the address that says what a reply holds."""
    return _METADATA.format(quote(call.account.email), "/".join(one for one in path if not one.startswith("'")))

"""Several calls in one: JSON whose entries are calls of their own, each counted, throttled and answered by itself.

    POST /v1.0/$batch {"requests": [{"id", "method", "url", "headers", "body", "dependsOn"}]}
    200 {"responses": [{"id", "status", "headers", "body"}]}, in any order

What goes wrong with an entry is that entry's own; the outer reply is a 200 unless the outer call itself cannot be read.
Source: the provider sheet, section 3.7.
"""

import base64
from typing import Any

import msgspec

from simulator.app import Simulator
from simulator.exchange import Reply, Request, json_reply
from simulator.microsoft.access import Access
from simulator.microsoft.errors import GraphError, bad_request

MOST = 20
_FAILED_DEPENDENCY = 424


class _Entry(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    id: str
    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    depends_on: list[str] = []


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[_Entry]


def serve_batch(simulator: Simulator, access: Access, outer: Request) -> Reply:
    """Serve a batch.

    Raises: GraphError 400 for an outer call that cannot be read, with too many entries, or with an id twice.
    """
    entries = _read(outer)
    switches, now = access.switches, simulator.clock.now()
    statuses: dict[str, int] = {}
    responses: list[dict[str, Any]] = []
    for at, entry in enumerate(entries):
        if any(statuses.get(one, 500) >= 400 for one in entry.depends_on):
            reply = GraphError(_FAILED_DEPENDENCY, "A call that this one depends on failed.", "FailedDependency").reply(
                outer, now
            )
        elif switches.batch_429_above and at >= switches.batch_429_above:
            reply = access.throttled("MailboxConcurrency", 1.0).reply(outer, now)
        else:
            reply = _serve(simulator, outer, entry)
        statuses[entry.id] = reply.status
        responses.append(_shown(entry, reply))
    return json_reply({"responses": responses[::-1] if switches.batch_backwards else responses})


def _read(outer: Request) -> list[_Entry]:
    try:
        entries = msgspec.json.decode(outer.body, type=_Batch).requests
    except msgspec.DecodeError as error:
        raise bad_request(f"Invalid batch payload format: {error}") from None
    if not entries or len(entries) > MOST:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {MOST}.")
    ids = [entry.id for entry in entries]
    if len(set(ids)) != len(ids):
        raise bad_request("Request id has to be unique in a batch.")
    for at, entry in enumerate(entries):
        if not set(entry.depends_on) <= set(ids[:at]):
            raise bad_request("An entry may depend only on entries before it.")
        if not entry.url.startswith("/"):
            raise bad_request(f"Invalid url '{entry.url}': it must be relative.")
        if entry.body is not None and not any(name.lower() == "content-type" for name in entry.headers):
            raise bad_request("Content-Type header is missing for the body of an entry.")
    return entries


def _serve(simulator: Simulator, outer: Request, entry: _Entry) -> Reply:
    own = {name.lower(): value for name, value in entry.headers.items()}
    headers = {"authorization": outer.headers.get("authorization", ""), **own}
    body = b"" if entry.body is None else msgspec.json.encode(entry.body)
    return simulator.serve_inner(outer, entry.method.upper(), f"/v1.0{entry.url}", headers, body)


def _shown(entry: _Entry, reply: Reply) -> dict[str, Any]:
    """Return one reply; a body that is no JSON is written in base64, as a text."""
    names = {"retry-after": "Retry-After", "preference-applied": "Preference-Applied", "location": "Location"}
    headers = {"Content-Type": reply.content_type} | {
        names[name]: value for name, value in reply.headers if name in names
    }
    shown: dict[str, Any] = {"id": entry.id, "status": reply.status, "headers": headers}
    if reply.body and "json" in reply.content_type:
        try:
            shown["body"] = msgspec.Raw(reply.body) if msgspec.json.decode(reply.body) is not None else None
        except msgspec.DecodeError:
            shown["body"] = reply.body.decode("utf-8", "replace")
    elif reply.body:
        shown["body"] = base64.b64encode(reply.body).decode()
    return shown

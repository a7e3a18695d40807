"""Delta rounds: the whole of a collection in pages, then, from a delta link on, what changed.

    first     no token       ▶ pages over all there is ▶ a delta link on the last page
    later     $deltatoken    ▶ pages over the log, removals included ▶ a newer delta link
    inside    $skiptoken     ▶ the next page of either

A token carries everything but the Prefer header: whose collection, generation of its log, where the round began and
ends, the place to go on from, properties and filters of the first call, and when it was made. What changes while a
client pages is told by its next round. What a collection holds is told by its own module, as `Collection`.
Source: the provider sheet, sections 3.2 to 3.4.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import msgspec

from simulator.exchange import Reply
from simulator.microsoft.calls import Call, link
from simulator.microsoft.errors import GraphError, bad_request
from simulator.microsoft.switches import GraphSwitches
from simulator.opaque import Mint

TRACKED = "odata.track-changes"
MOST, USUAL = 500, 10
_CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#Collection({})"
_NOT_YET = -1
_TOKENS = ("$skiptoken", "$deltatoken")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round, as its token carries it.

    `since` is None in the first one, `until` not yet known before a later one has begun, `after` None at the beginning.
    """

    of: str
    generation: int
    since: int | None
    until: int
    after: tuple[int, int] | None = None
    select: tuple[str, ...] | None = None
    received_since: float | None = None
    newest_first: bool = False
    expand: bool = False
    change_type: str | None = None
    window: tuple[int, int] | None = None
    left: int | None = None
    empties: int = 0
    at: float = 0.0


Told = tuple[tuple[int, int], bytes]
"""The place after which one goes on, and an entry as JSON."""


class Collection(Protocol):
    """What can be synced by rounds."""

    @property
    def name(self) -> str:
        """What it is called in tokens: whose and which it is."""

    @property
    def type_name(self) -> str:
        """The type of its entries."""

    @property
    def path(self) -> Sequence[str]:
        """Where it stands, after /me."""

    @property
    def log(self) -> Any:
        """The log of its changes, with `last` and `generation`."""

    def whole(self, call: Call, one: Round) -> Iterator[Told]:
        """Go through all there is, after a place."""

    def changed(self, call: Call, one: Round) -> Iterator[Told]:
        """Go through what changed between the beginning and the end of a round, after a place."""

    def removed(self, call: Call) -> Iterator[bytes]:
        """Go through what was removed at any time."""


class Rounds:
    """Serves every collection's delta."""

    def __init__(self, mint: Mint, switches: GraphSwitches, now: Any) -> None:
        self._mint = mint
        self._switches = switches
        self._now = now

    def continued(self, call: Call, name: str) -> Round | None:
        """Return the round that a call goes on with; None for a first call.

        Raises: GraphError for a token that is not understood, belongs elsewhere or has expired.
        """
        kind = next((one for one in _TOKENS if one in call.query), None)
        if kind is None:
            return None
        fields = self._mint.read(f"graph {kind}", call.query[kind])
        if fields is None:
            raise bad_request("Badly formed token.", "ErrorInvalidUrlQuery")
        one = msgspec.convert(fields, Round, strict=False)
        if one.of != name:
            raise bad_request("Parameter 'DeltaToken' not supported for this request.")
        call.only(kind)
        return one

    def fitting(self, call: Call, *allowed: str) -> dict[str, str]:
        """Return the query options of a first call that its resource supports.

        Raises: GraphError 400 for others, unless the switch has them passed over.
        """
        known = {"$select", "$top", "$filter", "$orderby", "$expand", "$search", "$count", "$skip", "changeType"}
        call.only(*known, *allowed)
        for name in call.query:
            if name not in allowed and self._switches.unsupported_query == "refuse":
                raise bad_request(
                    f"The query parameter '{name}' is not supported with change tracking over this resource.",
                    "ErrorInvalidUrlQuery",
                )
        return {name: value for name, value in call.query.items() if name in allowed}

    def page(self, call: Call, collection: Collection, one: Round) -> Reply:
        """Return one page.

        Raises: GraphError 410 when the log was lost meanwhile, or the link is too old.
        """
        switches = self._switches
        life_s = switches.link_life_s
        if one.generation != collection.log.generation or (life_s and one.at and self._now() - one.at > life_s):
            raise self._expired(collection)
        if one.until == _NOT_YET:
            one = msgspec.structs.replace(one, until=collection.log.last)
        call.applied.append(TRACKED)
        if one.after is None and one.empties < switches.empty_pages:
            return self._written(collection, [], msgspec.structs.replace(one, empties=one.empties + 1), ended=False)
        size = min(call.preferences.page_size or USUAL, MOST, switches.short_pages or MOST)
        if one.left is not None:
            size = min(size, one.left)
        source = collection.whole(call, one) if one.since is None else collection.changed(call, one)
        told = list(islice(source, size + 1))
        page, more = told[:size], len(told) > size
        entries = [entry for _, entry in page]
        if one.after is None:
            entries = [*self._extra(call, collection, one), *entries]
        left = None if one.left is None else one.left - len(page)
        if not more or left == 0:
            return self._written(collection, entries, one, ended=True)
        again = min(switches.repeated_items, size - 1)
        following = msgspec.structs.replace(one, after=page[-1 - again][0], left=left)
        return self._written(collection, entries, following, ended=False)

    def _extra(self, call: Call, collection: Collection, one: Round) -> Iterator[bytes]:
        """Go through what a service may tell besides: old removals at first, unchanged things later."""
        if one.since is None:
            yield from islice(collection.removed(call), self._switches.removed_first)
        elif self._switches.replayed_items:
            whole = collection.whole(call, msgspec.structs.replace(one, since=None))
            yield from (entry for _, entry in islice(whole, self._switches.replayed_items))

    def _written(self, collection: Collection, entries: list[bytes], one: Round, *, ended: bool) -> Reply:
        at = self._now()
        if ended:
            following = msgspec.structs.replace(
                one, since=one.until, until=_NOT_YET, after=None, left=None, empties=0, at=at
            )
            name, field = "deltatoken", "deltaLink"
        else:
            following = msgspec.structs.replace(one, at=at)
            name, field = "skiptoken", "nextLink"
        token = self._mint.make(f"graph ${name}", **msgspec.to_builtins(following))
        address = link((*collection.path, "delta"), **{name: token})
        head = {"@odata.context": _CONTEXT.format(collection.type_name), f"@odata.{field}": address}
        return Reply(200, msgspec.json.encode(head)[:-1] + b',"value":[' + b",".join(entries) + b"]}")

    def _expired(self, collection: Collection) -> GraphError:
        switches, last = self._switches, collection.log.last
        location = ("location", link((*collection.path, "delta"), deltatoken=""))
        return GraphError(
            switches.expired_status,
            f"The sync state generation is not found; generation={last};[highest={last + 8}][{last + 8}][{last + 6}].",
            switches.expired_code,
            *([location] if switches.expired_location else []),
        )


def first_round(call: Call, collection: Collection, properties: Sequence[str]) -> Round:
    """Return the first round over a collection, with the properties that the call chooses.

    Raises: GraphError 400 for one that the type does not have.
    """
    chosen = call.select(properties, collection.type_name)
    select = None if chosen is None else tuple(sorted(chosen))
    log = collection.log
    return Round(of=collection.name, generation=log.generation, since=None, until=log.last, select=select)


def removal(item_id: str, kind: str | None = None) -> bytes:
    """Return what is told of something that is gone."""
    entry: dict[str, Any] = {} if kind is None else {"@odata.type": f"#microsoft.graph.{kind}"}
    return msgspec.json.encode({**entry, "id": item_id, "@removed": {"reason": "deleted"}})

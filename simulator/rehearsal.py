"""The contract of a rehearsal: what a simulated provider tells those who try a connector against it.

A family (`simulator.app.Family`) that also has `rehearsals()` lets a connector be graded. For each connector it says
which accounts there are, how consent is given and ended, and for each stream which requests list it, what a connector
ought to hold of it, and what its owner may do. The control door hands this on as JSON:

    GET  /_control/rehearsals                                            which there are, and what each one can do
    POST /_control/rehearse {"connector": …, "do": "consent", "authorize_url": …, "account": …, "scopes": null}
    POST /_control/rehearse {"connector": …, "do": "revoke", "account": …}
    POST /_control/rehearse {"connector": …, "stream": …, "do": "held" | "add" | "change" | …, "account": …, "count": 2}
    POST /_control/rehearse {"connector": …, "stream": …, "do": "spoil", "account": …}

Third parties bring families through the entry-point group `crm_sync.simulators`: each entry names a function from a
`simulator.app.Simulator` to a family. `--page-limit` asks all families for small pages, so that small worlds have many.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec

from simulator.faults import Paging

Held = Callable[[str], list[dict[str, Any]]]
"""From an account to what a connector ought to hold of it: for each record some fields of its normal form."""
Act = Callable[[str, int], Any]
"""Something that happens at the provider so many times: `add`, `change`, `delete`, `expire` (every cursor dies)."""
Fault = tuple[dict[str, Any], dict[str, Any]]
"""A match and an action of the fault script."""


@dataclass(frozen=True, slots=True)
class StreamRehearsal:
    """How one stream may be tried.

    `pages` matches the requests that list it, as in a fault script. `spoil` names values that make the first item of a
    page unreadable (`{"names": 7}`), or gives for an account the fault that makes one record so and leaves the others
    whole. `refusals` words the provider's errors where a status is not enough: `scope_missing`, `throttled`.
    """

    pages: Mapping[str, Any]
    held: Held
    acts: Mapping[str, Act] = field(default_factory=dict)
    paging: Paging = field(default_factory=Paging)
    spoil: Mapping[str, Any] | Callable[[str], Fault] | None = None
    refusals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How one connector may be tried.

    `settings` are those of the worker (names without their prefix) with which it meets this provider. `consent` is the
    person at the consent page: from the address, the account and the ticked scopes (all, if None) to where the browser
    ends. `revoke` is the person who ends all that they granted.
    """

    connector: str
    accounts: Callable[[], list[str]]
    settings: Mapping[str, str]
    consent: Callable[[str, str, list[str] | None], str]
    revoke: Callable[[str], Any]
    streams: Mapping[str, StreamRehearsal]


@runtime_checkable
class Rehearsed(Protocol):
    """A family that lets connectors be tried."""

    def rehearsals(self) -> Iterable[Rehearsal]:
        """Return one for each connector."""


class RehearsalDoor:
    """The two controls, over all families that have rehearsals."""

    def __init__(self, families: Callable[[], Iterable[object]]) -> None:
        self._families = families

    def shown(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        """Return every rehearsal as plain data."""
        return {
            each.connector: {
                "accounts": each.accounts(),
                "settings": dict(each.settings),
                "streams": {name: _shown_stream(stream) for name, stream in each.streams.items()},
            }
            for each in self._all()
        }

    def act(self, _method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        """Do one thing.

        Raises: KeyError for a connector, stream or act that there is not.
        """
        rehearsal = next((each for each in self._all() if each.connector == given["connector"]), None)
        if rehearsal is None:
            raise KeyError(given["connector"])
        what, account = str(given["do"]), str(given["account"])
        if what == "consent":
            return {"redirect_url": rehearsal.consent(str(given["authorize_url"]), account, given.get("scopes"))}
        if what == "revoke":
            return {"revoked": rehearsal.revoke(account)}
        stream = rehearsal.streams[given["stream"]]
        if what == "held":
            return {"items": stream.held(account)}
        if what == "spoil":
            match, action = _spoiling(stream, account)
            return {"match": match, "action": action}
        return {"done": stream.acts[what](account, int(given.get("count", 1)))}

    def _all(self) -> Iterable[Rehearsal]:
        for family in self._families():
            if isinstance(family, Rehearsed):
                yield from family.rehearsals()


def _spoiling(stream: StreamRehearsal, account: str) -> Fault:
    if callable(stream.spoil):
        return stream.spoil(account)
    if stream.spoil is None:
        raise KeyError("spoil")
    return dict(stream.pages), {"spoil_item": dict(stream.spoil), "paging": stream.paging}


def _shown_stream(stream: StreamRehearsal) -> dict[str, Any]:
    return {
        "pages": dict(stream.pages),
        "acts": sorted({*stream.acts, *(["spoil"] if stream.spoil is not None else [])}),
        "paging": msgspec.to_builtins(stream.paging),
        "refusals": {name: dict(action) for name, action in stream.refusals.items()},
    }

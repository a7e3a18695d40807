"""What a simulator consists of, and the way of one request through it, apart from sockets.

    request ─▶ who is it? ─▶ fault script ─▶ the provider family of its host ─▶ reply, bent if the script says so
                                   └────────────────▶ a reply of the script's own

Provider families plug in through `Family`; this module knows none of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from simulator import distort
from simulator.clock import Clock
from simulator.exchange import Reply, Request, json_reply, split_target
from simulator.faults import Action, Faults, Paging
from simulator.journal import Entry, Journal, shown_query
from simulator.opaque import Mint
from simulator.options import Options
from simulator.quota import Quotas
from simulator.world import World

ControlHandler = Callable[[str, dict[str, str], dict[str, Any]], Any]


class Family(Protocol):
    """The hosts of one provider."""

    hosts: frozenset[str]

    def identify(self, request: Request) -> None:
        """Note whose request it is, as far as its bearer tells."""

    def handle(self, request: Request) -> Reply:
        """Serve a request to one of the hosts."""

    def error(self, request: Request, status: int, reason: str | None) -> Reply:
        """Return an error in this provider's own words, for a fault script that names only a status."""

    def counters(self) -> Mapping[str, int]:
        """Return the family's own running totals."""

    def controls(self) -> Mapping[str, ControlHandler]:
        """Return what the family adds to the control door, by name."""


@runtime_checkable
class Sharing(Protocol):
    """A family that has controls of the same names as others."""

    def concerns(self, query: dict[str, str], given: dict[str, Any]) -> bool:
        """Say whether such a control is asked for something of this family's own."""


@runtime_checkable
class Paged(Protocol):
    """A family whose lists are not paged as Google's are."""

    paging: Paging


@runtime_checkable
class Limiting(Protocol):
    """A family that counts what is under way."""

    def begin(self, request: Request) -> Reply | float:
        """Return the seconds that a request takes, or the reply that refuses it at once."""

    def end(self, request: Request) -> None:
        """Take note that a request is over, whether it began or was refused."""


class Simulator:
    """The parts of one simulated world, wired together."""

    def __init__(self, options: Options, families: Callable[["Simulator"], list[Family]]) -> None:
        self.options = options
        self.address = ""
        self._families = families
        self.build()

    def build(self) -> None:
        """Make everything new, as at the start."""
        self.clock = Clock()
        self.mint = Mint(self.options.seed)
        self.world = World(self.options, self.clock)
        self.quotas = Quotas(self.clock, self.options.quota_scale)
        self.faults = Faults()
        self.journal = Journal(self.clock)
        self.families = self._families(self)
        self._by_host = {host: family for family in self.families for host in family.hosts}
        by_host: dict[str, object] = dict(
            self._by_host
        )  # What families are besides is asked once, not at every request.
        self._limits = {host: family for host, family in by_host.items() if isinstance(family, Limiting)}
        self._paging = {host: family.paging for host, family in by_host.items() if isinstance(family, Paged)}

    def family_of(self, host: str) -> Family | None:
        """Return the family that serves a host."""
        return self._by_host.get(host)

    def limits_of(self, host: str) -> Limiting | None:
        """Return the family that serves a host if it counts what is under way."""
        return self._limits.get(host)

    def begin(self, request: Request) -> tuple[Entry, Action]:
        """Write a request down and ask the fault script about it."""
        family = self.family_of(request.host)
        if family is not None:
            family.identify(request)
        entry = self.journal.open(request)
        return entry, self._action(request)

    def serve(self, request: Request, entry: Entry, action: Action) -> Reply:
        """Carry a request out, or not, and return its reply as the action wants it."""
        family = self.family_of(request.host)
        if action.prevents:
            return distort.substitute(action, request, self._own_error(request, action))
        if family is None:
            return unknown_host(request.host)
        entry.carried_out = True
        return distort.bend(action, request, family.handle(request))

    def serve_inner(self, outer: Request, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Serve one call of a batch as the request it stands for; it is written down inside the outer one."""
        path, query = split_target(target)
        request = Request(method, outer.host, path, distort.unwrap(query), headers, body, inner=True)
        family = self._by_host[outer.host]
        family.identify(request)
        action = self._action(request)
        if action.prevents:
            reply = distort.substitute(action, request, self._own_error(request, action))
        else:
            reply = distort.bend(action, request, family.handle(request))
        outer.notes.inner.append(
            {"method": method, "path": path, "query": shown_query(request), "status": reply.status,
             "quota_units": request.notes.quota_units, "account": request.notes.account, "fault": request.notes.fault}
        )  # fmt: skip
        return reply

    def _action(self, request: Request) -> Action:
        """Return what the script wants to happen to a request, lists paged as its family pages them."""
        rule = self.faults.pick(request)
        action = rule.action if rule else Action()
        paging = self._paging.get(request.host)
        if action.paging is None and paging is not None and rule is not None:
            return msgspec.structs.replace(action, paging=paging)
        return action

    def _own_error(self, request: Request, action: Action) -> Reply:
        family = self.family_of(request.host)
        status = action.status or 500
        if family is None or status < 400:
            return Reply(status)
        return family.error(request, status, action.reason)


def unknown_host(host: str) -> Reply:
    """Return the reply for a host that nobody here plays."""
    return json_reply(
        {"error": "unknown_host", "host": host, "message": f"No simulated provider serves {host!r}."}, 502
    )

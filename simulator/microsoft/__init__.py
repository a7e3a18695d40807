"""Microsoft, as the provider sheet describes it: the identity platform and Graph on one set of accounts.

`Microsoft` finds the host for an address and adds Microsoft's controls to the door.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from simulator.app import ControlHandler, Simulator
from simulator.exchange import Reply, Request
from simulator.faults import Paging
from simulator.microsoft.access import LIMITS, Access, bearer_text
from simulator.microsoft.calls import GRAPH_HOST
from simulator.microsoft.consent import ConsentPage
from simulator.microsoft.controls import MicrosoftControls
from simulator.microsoft.errors import scripted
from simulator.microsoft.grants import Grants
from simulator.microsoft.graph import Graph
from simulator.microsoft.oauth import LOGIN_HOST, OAuth
from simulator.microsoft.oauth_errors import plain_error
from simulator.microsoft.rehearsal import MicrosoftRehearsal
from simulator.rehearsal import Rehearsal


class Microsoft:
    """All hosts of Microsoft."""

    hosts = frozenset({LOGIN_HOST, GRAPH_HOST})
    paging = Paging(
        token="@odata.nextLink",  # noqa: S106  The name of a field.
        parameter="$skiptoken",
        ends=("@odata.deltaLink",),
        items="value",
        link=True,
    )

    def __init__(self, simulator: Simulator) -> None:
        options = simulator.options
        simulator.quotas.declare(*LIMITS)
        self._clock = simulator.clock
        self._world = simulator.world
        self._grants = Grants(simulator.clock)
        self._access = Access(self._grants, simulator.quotas)
        self._access.switches.short_pages = options.page_limit
        page = ConsentPage(options, simulator.world, self._grants, simulator.clock)
        self._oauth = OAuth(options, simulator.world, self._grants, page)
        self._graph = Graph(simulator, self._access)
        self._controls = MicrosoftControls(simulator, self._grants, page, self._access, self._graph.services)
        self._rehearsal = MicrosoftRehearsal(options, simulator.world, self._controls.table)

    def identify(self, request: Request) -> None:
        """Note whose bearer or refresh token it is, dead or alive."""
        token = self._grants.known(bearer_text(request) or "")
        if token is not None:
            request.notes.account, request.notes.grant = token.account.email, token.grant
        elif request.method == "POST" and request.host == LOGIN_HOST:
            self._oauth.identify(request)

    def handle(self, request: Request) -> Reply:
        """Serve a request to one of Microsoft's hosts."""
        return self._oauth.handle(request) if request.host == LOGIN_HOST else self._graph.handle(request)

    def begin(self, request: Request) -> Reply | float:
        """Count a call to a mailbox as under way; too many of them are refused."""
        if request.host != GRAPH_HOST or not self._graph.concerns_mailbox(request):
            return 0.0
        refused = self._access.enter(request)
        return self._access.switches.latency_s if refused is None else refused.reply(request, self._clock.now())

    def end(self, request: Request) -> None:
        """Count a call to a mailbox as over."""
        self._access.leave(request)

    def error(self, request: Request, status: int, reason: str | None) -> Reply:
        """Return an error as the host words it."""
        if request.host == LOGIN_HOST:
            return plain_error(request, status, reason, self._clock.now())
        return scripted(status, reason).reply(request, self._clock.now())

    def counters(self) -> Mapping[str, int]:
        """Return how often tokens were asked for, and how often a refresh token was used."""
        return {"microsoft_token_requests": self._oauth.token_requests, "microsoft_refreshes": self._grants.refreshes}

    def controls(self) -> Mapping[str, ControlHandler]:
        """Return Microsoft's controls."""
        return self._controls.table

    def rehearsals(self) -> list[Rehearsal]:
        """Return how the connector may be tried."""
        return [self._rehearsal.rehearsal()]

    def concerns(self, query: dict[str, str], given: dict[str, Any]) -> bool:
        """Say whether a control that other families have, too, is about this one."""
        if "authorize_url" in given:
            address = urlsplit(str(given["authorize_url"]))
            return LOGIN_HOST in (address.hostname, address.path.split("/")[1])
        if query.get("provider", given.get("provider")) == "microsoft":
            return True
        named = query.get("account") or given.get("account")
        named = named or next((edit.get("account") for edit in given.get("edits", [])), None)
        return any(named in (account.email, account.oid) for account in self._world.office)

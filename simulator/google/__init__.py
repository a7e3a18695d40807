"""Google, as the provider sheet describes it: the identity platform and the APIs on one set of accounts.

`Google` finds the API for an address, turns its errors into envelopes and adds Google's controls to the door.
"""

from collections.abc import Mapping
from typing import Any

from simulator.app import ControlHandler, Simulator
from simulator.exchange import Reply, Request
from simulator.google.access import LIMITS, Access, bearer_text
from simulator.google.consent import ConsentPage
from simulator.google.controls import GoogleControls
from simulator.google.errors import GoogleError, Style, not_found, scripted
from simulator.google.grants import Grants
from simulator.google.oauth import OAuth, plain_error
from simulator.google.partial import select
from simulator.google.rehearsal import GoogleRehearsal
from simulator.google.service import Parts
from simulator.google.services import SERVICES
from simulator.rehearsal import Rehearsal

_IDENTITY_HOSTS = frozenset(
    {"accounts.google.com", "oauth2.googleapis.com", "openidconnect.googleapis.com", "www.googleapis.com"}
)


class Google:
    """All hosts of Google; its `grants` are what other families of Google accounts go by."""

    def __init__(self, simulator: Simulator) -> None:
        options = simulator.options
        simulator.quotas.declare(*LIMITS)
        clients = dict.fromkeys((options.client_id, second_client(options.client_id)), options.client_secret)
        self.grants = Grants(simulator.clock)
        access = Access(self.grants, simulator.quotas, options.project_number)
        page = ConsentPage(options, simulator.world, self.grants, simulator.clock, clients)
        self._oauth = OAuth(self.grants, page, clients)
        self._services = [build(Parts(simulator, access, self.grants)) for build in SERVICES]
        self._controls = GoogleControls(simulator.world, self.grants, page, self._services)
        self._rehearsal = GoogleRehearsal(
            options, self._controls, lambda: [account.email for account in simulator.world.accounts]
        )
        if options.page_limit:
            for service in self._services:
                if service.switches is not None:
                    service.switches({"short_pages": options.page_limit})
        self.hosts = _IDENTITY_HOSTS | {host for service in self._services for host, _ in service.prefixes}

    def identify(self, request: Request) -> None:
        """Note whose bearer or refresh token it is, dead or alive."""
        token = self.grants.known(bearer_text(request) or "")
        if token is not None:
            request.notes.account, request.notes.grant = token.account.email, token.grant
        elif request.method == "POST" and request.host in _IDENTITY_HOSTS:
            self._oauth.identify(request)

    def handle(self, request: Request) -> Reply:
        """Serve a request to one of Google's hosts."""
        if request.host in _IDENTITY_HOSTS:
            reply = self._oauth.handle(request)
            if reply is not None:
                return reply
        for service in self._services:
            if any(request.host == host and request.path.startswith(start) for host, start in service.prefixes):
                try:
                    return select(service.handle(request), request.first("fields"))
                except GoogleError as error:
                    return error.reply(service.style)
        return not_found(f"The requested URL {request.path} was not found on this server.").reply("both")

    def error(self, request: Request, status: int, reason: str | None) -> Reply:
        """Return an error as the host words it."""
        host = request.host
        if host in _IDENTITY_HOSTS - {"www.googleapis.com"}:
            return plain_error(status, reason)
        return scripted(status, reason).reply(self._style(host))

    def counters(self) -> Mapping[str, int]:
        """Return how often tokens were asked for, and how often a refresh token was used."""
        return {"token_requests": self._oauth.token_requests, "refreshes": self.grants.refreshes}

    def controls(self) -> Mapping[str, ControlHandler]:
        """Return Google's controls."""
        return self._controls.table

    def rehearsals(self) -> list[Rehearsal]:
        """Return how the connector may be tried."""
        return [self._rehearsal.rehearsal()]

    def concerns(self, query: dict[str, str], given: dict[str, Any]) -> bool:
        """Say whether a control that other families have, too, is about this one."""
        return self._controls.concerns(query, given)

    def _style(self, host: str) -> Style:
        styles: list[Style] = [
            service.style for service in self._services if any(host == own for own, _ in service.prefixes)
        ]
        return styles[0] if styles else "both"


def second_client(client_id: str) -> str:
    """Return the id of the project's other client, which has the same secret."""
    name, dot, rest = client_id.partition(".")
    return f"{name}-2{dot}{rest}"

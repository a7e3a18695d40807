"""The Google Ads API over REST, as the provider sheet describes it; its callers are Google accounts of the same world.

    GET  /vN/customers:listAccessibleCustomers
    POST /vN/customers/{id}/googleAds:search
    POST /vN/customers/{id}/googleAds:searchStream

`GoogleAds` finds the method for an address and puts its failures into envelopes; OAuth is the Google family's.
Source: the provider sheet, sections 1, 3 and 8.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

from simulator.app import ControlHandler, Simulator
from simulator.distort import original
from simulator.exchange import Reply, Request, json_reply
from simulator.google import Google
from simulator.google.access import bearer_text
from simulator.google.errors import GoogleError, scope_missing
from simulator.google.partial import select
from simulator.google_ads.access import HOST, LIMITS, AdsAccess
from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.attributes import customer_name
from simulator.google_ads.bodies import check_parameters, read_search, read_stream
from simulator.google_ads.controls import AdsControls
from simulator.google_ads.edits import AdsEdits
from simulator.google_ads.failures import AdsFailure, failure, scripted
from simulator.google_ads.rehearsal import AdsRehearsal
from simulator.google_ads.scripted import ScriptedError, ScriptedErrors
from simulator.google_ads.searches import Searches
from simulator.rehearsal import Rehearsal

LIVE = ("v23", "v24", "v25", "v26")
_VERSION = re.compile(r"v([1-9][0-9]?)")


class GoogleAds:
    """The one host of Google Ads."""

    hosts = frozenset({HOST})

    def __init__(self, simulator: Simulator, google: Google) -> None:
        simulator.quotas.declare(*LIMITS)
        self._grants = google.grants
        self._world = AdsWorld(simulator.options, simulator.world, simulator.clock)
        self._access = AdsAccess(self._grants, simulator.quotas, self._world, simulator.options.project_number)
        if simulator.options.page_limit:
            self._access.switches.page_size = simulator.options.page_limit
        self._searches = Searches(self._world, simulator.mint, self._access.switches)
        self._errors = ScriptedErrors()
        edits = AdsEdits(simulator.world, self._world)
        self._controls = AdsControls(simulator.world, self._world, self._access, self._errors, edits)
        self._rehearsal = AdsRehearsal(simulator.options, simulator.world, self._world, edits, google.controls())
        self._calls = 0

    def identify(self, request: Request) -> None:
        """Note whose bearer it is, dead or alive."""
        token = self._grants.known(bearer_text(request) or "")
        if token is not None:
            request.notes.account, request.notes.grant = token.account.email, token.grant

    def handle(self, request: Request) -> Reply:
        """Serve a request."""
        self._calls += 1
        request_id = f"simulated-{self._calls}"
        try:
            reply = self._serve(request, request_id)
            reply = select(reply, request.first("fields"))
        except AdsFailure as error:
            return error.reply(_spoken(request), request_id, stream=_streams(request))
        except GoogleError as error:
            return _plain(error, request)
        return Reply(reply.status, reply.body, reply.content_type, (*reply.headers, ("request-id", request_id)))

    def error(self, request: Request, status: int, reason: str | None) -> Reply:
        """Return a failure for a fault script."""
        if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
            return _plain(scope_missing(HOST), request)
        return scripted(status, reason).reply(_spoken(request), "scripted", stream=_streams(request))

    def counters(self) -> Mapping[str, int]:
        """Return how often the API was called."""
        return {"google_ads_calls": self._calls}

    def controls(self) -> Mapping[str, ControlHandler]:
        """Return the controls of the advertising world."""
        return self._controls.table

    def rehearsals(self) -> Iterable[Rehearsal]:
        """Return how the connector for Google Ads may be tried."""
        return [self._rehearsal.rehearsal()]

    def _serve(self, request: Request, request_id: str) -> Reply:
        version = self._version(request)
        match request.method, request.segments[1:]:
            case "GET", ("customers:listAccessibleCustomers",):
                check_parameters(request)
                return self._list(request)
            case "POST", ("customers", customer, "googleAds:search"):
                check_parameters(request)
                return self._search(request, customer, version)
            case "POST", ("customers", customer, "googleAds:searchStream"):
                check_parameters(request)
                return self._stream(request, customer, version, request_id)
            case _:
                raise AdsFailure(404, message=f"The requested URL {request.path} was not found on this server.")

    def _version(self, request: Request) -> int:
        """Return the version called.

        Raises: AdsFailure for one that is gone, or that never was.
        """
        name = request.segments[0]
        found = _VERSION.fullmatch(name)
        switches = self._access.switches
        if found is None or int(found[1]) > int(LIVE[-1][1:]):
            raise AdsFailure(404, message=f"The requested URL {request.path} was not found on this server.")
        if name not in LIVE or name in switches.sunset:
            if switches.unsupported_status == 404:
                raise AdsFailure(404, message=f"The requested URL {request.path} was not found on this server.")
            raise failure("UNSUPPORTED_VERSION", f"Version {name} is deprecated. Requests to it will be blocked.")
        return int(found[1])

    def _list(self, request: Request) -> Reply:
        token = self._access.caller(request)
        self._scripted("listAccessibleCustomers", None)
        accessible = self._access.accessible(token)
        self._access.spend(request, None)
        return json_reply({"resourceNames": [customer_name(one) for one in accessible]})

    def _search(self, request: Request, text: str, version: int) -> Reply:
        body = read_search(request)
        body.page_token = original(body.page_token)
        _note(request, text, body.query)
        token = self._access.caller(request)
        self._scripted("search", text)
        customer = self._access.customer(request, token, text, version)
        self._access.spend(request, customer, operation=not body.page_token)
        return self._searches.search(customer, body)

    def _stream(self, request: Request, text: str, version: int, request_id: str) -> Reply:
        body = read_stream(request)
        _note(request, text, body.query)
        token = self._access.caller(request)
        waiting = self._scripted("searchStream", text)
        customer = self._access.customer(request, token, text, version)
        self._access.spend(request, customer)
        broken = None
        if waiting is not None:
            broken = msgspec.json.encode(waiting.failure().envelope(_spoken(request), request_id))
        return self._searches.stream(customer, body, request_id, broken, waiting.after_chunks if waiting else 0)

    def _scripted(self, method: str, text: str | None) -> ScriptedError | None:
        """Raise what is in store for a call, or return it when a stream is to begin before it fails."""
        key = next((one.key for one in self._world.customers if str(one.number) == text), None)
        error = self._errors.take(method, text, key)
        if error is None or (error.after_chunks and method == "searchStream"):
            return error
        raise error.failure()


def _note(request: Request, customer: str, query: str) -> None:
    """Show account and query in the log of requests; neither is a secret."""
    login = request.headers.get("login-customer-id", "")
    request.notes.form = {"customer": customer, "login_customer_id": login, "query": query}


def _plain(error: GoogleError, request: Request) -> Reply:
    """Return an error of Google's front end, which knows no GoogleAdsFailure; a stream has it in an array too."""
    reply = error.reply("modern")
    if not _streams(request):
        return reply
    return Reply(reply.status, b"[" + reply.body + b"]", reply.content_type, reply.headers)


def _spoken(request: Request) -> str:
    """Return the version whose messages a failure speaks in: the one called where it lives, else the newest."""
    name = request.segments[0]
    return name if name in LIVE else LIVE[-1]


def _streams(request: Request) -> bool:
    return request.path.endswith("googleAds:searchStream")

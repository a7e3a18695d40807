"""The Calendar API v3: who calls, whether they may, and which method it is.

Every call costs one unit of the caller and of the project. Only reading is played; push channels are not.
Source: the provider sheet, section 6.
"""

from simulator.exchange import Reply, Request
from simulator.google import scopes
from simulator.google.access import CALENDAR_PROJECT, CALENDAR_USER, Access
from simulator.google.calendar_events import CalendarEvents
from simulator.google.calendar_list import CalendarLists
from simulator.google.calendar_requests import EVENTS, INSTANCES, LIST, ONE
from simulator.google.calendar_switches import CalendarSwitches
from simulator.google.errors import GoogleError, not_found, scope_missing
from simulator.google.parameters import Parameters
from simulator.google.tokens import AccessToken
from simulator.opaque import Mint
from simulator.world import World
from simulator.world.calendar_lists import Entry

HOST = "www.googleapis.com"
PATH = "/calendar/v3/"
SERVICE = "calendar-json.googleapis.com"


class Calendar:
    """Serves www.googleapis.com/calendar/v3."""

    def __init__(self, world: World, mint: Mint, access: Access) -> None:
        self.switches = CalendarSwitches()
        self.events = CalendarEvents(world, mint, self.switches)
        self._access = access
        self._lists = CalendarLists(world, mint, self.switches)

    def handle(self, request: Request) -> Reply:
        """Serve a request.

        Raises: GoogleError.
        """
        if request.method != "GET":
            raise not_found("Not Found")
        match request.segments[2:]:
            case ("users", "me", "calendarList"):
                account = self._admit(request, scopes.CALENDAR_LIST).account
                return self._lists.listed(account, Parameters(request, LIST))
            case ("users", "me", "calendarList", name):
                account = self._admit(request, scopes.CALENDAR_LIST).account
                Parameters(request, {})
                return self._lists.got(account, name)
            case ("calendars", name):
                account = self._admit(request, scopes.CALENDARS).account
                Parameters(request, {})
                return self._lists.calendar(account, name)
            case ("calendars", name, "events"):
                token, entry = self._events_of(request, name)
                return self.events.listed(token.account, entry, Parameters(request, EVENTS))
            case ("calendars", name, "events", event_id):
                _, entry = self._events_of(request, name)
                return self.events.got(entry, event_id, Parameters(request, ONE))
            case ("calendars", name, "events", event_id, "instances"):
                token, entry = self._events_of(request, name)
                return self.events.instances(token.account, entry, event_id, Parameters(request, INSTANCES))
            case _:
                raise not_found("Not Found")

    def _admit(self, request: Request, allowed: frozenset[str]) -> AccessToken:
        token = self._access.bearer(request)
        self._access.require(token, allowed, SERVICE)
        try:
            self._access.spend(request, token, user=CALENDAR_USER, units=1, project=CALENDAR_PROJECT)
        except GoogleError as refused:
            refused.status = self.switches.quota_status
            raise
        return token

    def _events_of(self, request: Request, name: str) -> tuple[AccessToken, Entry]:
        """Find the calendar whose events are wanted; some scopes reach only calendars that the account owns.

        Raises: GoogleError.
        """
        token = self._admit(request, scopes.EVENTS)
        entry = self._lists.entry(token.account, name)
        if entry.role != "owner" and token.scopes.isdisjoint(scopes.EVENTS - scopes.EVENTS_OWNED):
            raise scope_missing(SERVICE)
        if entry.role == "freeBusyReader" and self.switches.busy_times == "forbidden":
            raise GoogleError(403, "Forbidden", "forbidden")
        return token, entry

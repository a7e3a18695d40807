"""The list of an account's calendars, with a sync token of its own, and calendars by themselves.

A list hides what is hidden unless it is asked; a sync tells what was hidden or removed since, always. A change of the
role alone is not told.
Source: the provider sheet, section 6.1, and the Calendar discovery document, revision 20261030.
"""

from typing import Any

from simulator.exchange import Reply, json_reply
from simulator.google.calendar_events import REMINDERS, full_sync_required
from simulator.google.calendar_names import calendar_id, find_entry
from simulator.google.calendar_requests import LIST_DEFAULT, LIST_PAGE, page_size, refuse_with_token
from simulator.google.calendar_switches import CalendarSwitches
from simulator.google.errors import GoogleError, not_found
from simulator.google.parameters import Parameters
from simulator.opaque import Mint, fingerprint
from simulator.world import Account, World
from simulator.world.calendar_lists import Entry

_ROLES = ("freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner")
_COLORS = {"1": "#ac725e", "3": "#f83a22", "5": "#ff7537", "7": "#42d692", "8": "#16a765", "9": "#7bd148",
           "14": "#9fe1e7"}  # fmt: skip


class CalendarLists:
    """Serves the lists of calendars."""

    def __init__(self, world: World, mint: Mint, switches: CalendarSwitches) -> None:
        self._world = world
        self._mint = mint
        self._switches = switches

    def listed(self, account: Account, given: Parameters) -> Reply:
        """Serve calendarList.list.

        Raises: GoogleError.
        """
        sync_token, page_token = given.text("syncToken"), given.text("pageToken")
        if sync_token:
            refuse_with_token(given, ("minAccessRole", "showOwnOrganizationOnly"), ("showDeleted", "showHidden"))
        size = page_size(given, LIST_PAGE, LIST_DEFAULT, self._switches.oversized_page)
        least = given.one_of("minAccessRole", _ROLES, _ROLES[0])
        bound = fingerprint("calendars", account.sub, size if self._switches.token_binds_page_size else None)
        since = self._since(account, sync_token, bound) if sync_token else None
        calendars = account.calendars
        if since is not None:
            entries = [calendars.keyed(key) for _, key in calendars.log.between(since["seq"], calendars.log.last)]
        else:
            shown = calendars.every() if given.flag("showDeleted") else calendars.there()
            hidden = given.flag("showHidden")
            entries = [one for one in shown if hidden or not one.hidden]
        entries = [one for one in entries if _ROLES.index(one.role) >= _ROLES.index(least)]
        shape = fingerprint(bound, size, least, given.flag("showDeleted"), given.flag("showHidden"), since)
        place = self._place(page_token, shape) if page_token else {"start": 0, "until": calendars.log.last}
        start = place["start"]
        page: dict[str, Any] = {
            "kind": "calendar#calendarList",
            "etag": f'"p32{calendars.log.last:013d}"',
            "items": [entry_resource(one) for one in entries[start : start + size]],
        }
        if start + size < len(entries):
            after = {"shape": shape, "start": start + size, "until": place["until"]}
            page["nextPageToken"] = self._mint.make("calendars.page", **after)
        elif not self._switches.omit_sync_token:
            page["nextSyncToken"] = self._mint.make(
                "calendars.sync", sub=account.sub, bound=bound, seq=place["until"],
                generation=calendars.log.generation, at=self._world.clock.now(),
            )  # fmt: skip
        return json_reply(page)

    def got(self, account: Account, name: str) -> Reply:
        """Serve calendarList.get.

        Raises: GoogleError 404.
        """
        return json_reply(entry_resource(self.entry(account, name)))

    def calendar(self, account: Account, name: str) -> Reply:
        """Serve calendars.get.

        Raises: GoogleError 404.
        """
        calendar = self.entry(account, name).calendar
        words = {
            "kind": "calendar#calendar",
            "etag": f'"cal{calendar.log.last:013d}"',
            "id": calendar_id(calendar),
            "summary": calendar.title,
            "timeZone": calendar.zone,
            "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
        }
        if calendar.description:
            words["description"] = calendar.description
        if calendar.nature == "group":
            words["dataOwner"] = calendar.owner.email
        return json_reply(words)

    def entry(self, account: Account, name: str) -> Entry:
        """Find a calendar that the account sees.

        Raises: GoogleError 404 for one that it does not see, or no more.
        """
        entry = find_entry(account.calendars, name)
        if entry is None:
            raise not_found("Not Found")
        return entry

    def _since(self, account: Account, token: str, bound: str) -> dict[str, Any]:
        found = self._mint.read("calendars.sync", token)
        switches = self._switches
        if found is None or found["sub"] != account.sub:
            raise _refused(switches.bad_token_status)
        if found["bound"] != bound:
            raise _refused(switches.mismatch_status)
        expired = switches.token_life_s and self._world.clock.now() - found["at"] > switches.token_life_s
        if expired or found["generation"] != account.calendars.log.generation:
            raise full_sync_required(switches.gone_reason)
        return found

    def _place(self, token: str, shape: str) -> dict[str, Any]:
        found = self._mint.read("calendars.page", token)
        if found is None or found["shape"] != shape:
            raise GoogleError(400, "Invalid page token value.", "invalid", location=("parameter", "pageToken"))
        return found


def entry_resource(entry: Entry) -> dict[str, Any]:
    """Return a line of the list; of one that was removed, what is left to say."""
    calendar = entry.calendar
    line: dict[str, Any] = {
        "kind": "calendar#calendarListEntry",
        "etag": f'"ent{entry.version:013d}"',
        "id": calendar_id(calendar),
    }
    if entry.deleted:
        return line | {"deleted": True}
    line |= {
        "summary": calendar.title,
        "timeZone": calendar.zone,
        "colorId": entry.color,
        "backgroundColor": _COLORS[entry.color],
        "foregroundColor": "#000000",
        "accessRole": entry.role,
        "defaultReminders": REMINDERS if entry.role == "owner" else [],
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    if calendar.description:
        line["description"] = calendar.description
    if entry.listed_as:
        line["summaryOverride"] = entry.listed_as
    if calendar.nature == "group":
        line["dataOwner"] = calendar.owner.email
    flags = (
        ("primary", calendar.nature == "primary" and entry.role == "owner"),
        ("selected", entry.selected),
        ("hidden", entry.hidden),
    )
    return line | {name: True for name, holds in flags if holds}


def _refused(status: int) -> GoogleError:
    if status == 410:
        return full_sync_required()
    return GoogleError(400, "Invalid sync token value.", "invalid", location=("parameter", "syncToken"))

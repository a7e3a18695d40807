"""The Calendar API's events: list with sync tokens, get, and the instances of a series.

    full      no syncToken ▶ pages over the calendar ▶ nextSyncToken on the last page
    sync      syncToken    ▶ pages over the change log, tombstones included ▶ a newer nextSyncToken
    token     (account, calendar, role, generation, fingerprint of the constant parameters, number in the log)

A token speaks for the time when its pass began, so what changes while a client pages is told by its next sync. It dies
when the account's role changes. Lists in an order, searches and `updatedMin` end without a token.
Source: the provider sheet, section 6.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from simulator.clock import DAY_S, utc_millis_text
from simulator.exchange import Reply
from simulator.google.calendar_requests import (
    EVENTS_DEFAULT,
    EVENTS_PAGE,
    Query,
    guests_at_most,
    page_size,
    read_events,
    time_zone,
)  # fmt: skip
from simulator.google.calendar_rows import EventRows, Place, Row, Wish
from simulator.google.calendar_switches import CalendarSwitches
from simulator.google.errors import GoogleError, invalid_argument, not_found
from simulator.google.event_resource import View, instance_resource, sight_of
from simulator.google.parameters import Parameters
from simulator.opaque import Mint
from simulator.world import Account, World
from simulator.world.calendar_lists import Entry
from simulator.world.calendars import Event
from simulator.world.moments import moment

REMINDERS = [{"method": "popup", "minutes": 10}]


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page of a list begins; what every page token carries."""

    sub: str
    calendar: str
    print: str
    since: int | None
    until: int
    after: Place
    blank: int = 0
    again: tuple[Place, ...] = ()


class CalendarEvents:
    """Serves the events of calendars."""

    def __init__(self, world: World, mint: Mint, switches: CalendarSwitches) -> None:
        self._world = world
        self._mint = mint
        self._switches = switches
        self._encoder = msgspec.json.Encoder()
        self._rows = EventRows(switches)

    def listed(self, account: Account, entry: Entry, given: Parameters) -> Reply:
        """Serve events.list.

        Raises: GoogleError.
        """
        switches = self._switches
        query = read_events(given, switches.oversized_page, size_is_bound=switches.token_binds_page_size)
        self._refuse_too_long_ago(query)
        since = self._read_sync_token(account, entry, query) if query.sync_token else None
        window = (query.begins_before, query.ends_after)
        if since is not None:
            window = tuple(since["window"]) if switches.token_keeps_window else (None, None)
        wish = Wish(self._view(entry, query.zone, query.guests_at_most), query, since is not None, window)
        page = self._page(account, entry, query, since)
        if page.blank < switches.empty_pages:
            return self._reply(entry, [], {"nextPageToken": self._token(page, page.after, page.blank + 1, ())})
        size = min(query.size, switches.short_pages or query.size)
        rows = list(islice(self._from(wish, page, page.after), size + 1))
        sent = [raw for place in page.again for _, raw in islice(self._from(wish, page, place), 1)]
        sent += [raw for _, raw in rows[:size]]
        if len(rows) > size:
            again = tuple(place for place, _ in rows[max(0, size - switches.repeated_items) : size])
            ending = {"nextPageToken": self._token(page, rows[size][0], page.blank, again)}
        elif query.ends_in_token and not switches.omit_sync_token:
            ending = {"nextSyncToken": self._sync_token(account, entry, query, page.until, since)}
        else:
            ending = {}
        return self._reply(entry, sent, ending)

    def got(self, entry: Entry, event_id: str, given: Parameters) -> Reply:
        """Serve events.get.

        Raises: GoogleError.
        """
        view = self._view(entry, time_zone(given), guests_at_most(given))
        item = entry.calendar.by_id(event_id)
        if item is not None and not item.deleted:
            return Reply(200, self._rows.one(view, item))
        instance = entry.calendar.instance(event_id)
        if instance is not None:
            return Reply(200, self._encoder.encode(instance_resource(view, *instance)))
        if item is None:
            raise not_found("Not Found")
        if self._switches.get_deleted == "gone":
            raise GoogleError(410, "Resource has been deleted", "deleted")
        return Reply(200, self._rows.one(view, item))

    def instances(self, account: Account, entry: Entry, event_id: str, given: Parameters) -> Reply:
        """Serve events.instances.

        Raises: GoogleError.
        """
        size = page_size(given, EVENTS_PAGE, EVENTS_DEFAULT, self._switches.oversized_page)
        series = entry.calendar.by_id(event_id)
        if series is None:
            raise not_found("Not Found")
        if series.deleted:
            raise GoogleError(410, "Resource has been deleted", "deleted")
        query = read_events(given, self._switches.oversized_page, size_is_bound=True)
        window = (query.begins_before, query.ends_after)
        wish = Wish(self._view(entry, query.zone, query.guests_at_most), query, sync=False, window=window)
        if given.text("originalStart"):
            return self._reply(entry, self._at(wish, series, str(given.text("originalStart"))), {})
        carried = {"sub": account.sub, "series": event_id, "print": query.print}
        start = 0
        if query.page_token:
            place = self._mint.read("calendar.instances", query.page_token)
            if place is None or {**place, "start": 0} != {**carried, "start": 0}:
                raise invalid_argument("Invalid page token value.", "pageToken")
            start = place["start"]
        found = list(islice(self._rows.series(wish, series), start, start + size + 1))
        more = {"nextPageToken": self._mint.make("calendar.instances", **carried, start=start + size)}
        return self._reply(entry, found[:size], more if len(found) > size else {})

    def _at(self, wish: Wish, series: Event, original: str) -> list[bytes]:
        """Return the one of a series that stands at a moment, or nothing."""
        calendar = wish.calendar
        try:
            stamp = moment(original, calendar.zone).stamp
        except ValueError:
            raise invalid_argument("Bad Request", "originalStart") from None
        event_id = f"{calendar.identity(series)}_{stamp}"
        exception, instance = calendar.by_id(event_id), calendar.instance(event_id)
        if exception is not None and not exception.deleted:
            return [self._rows.one(wish.view, exception)] if wish.query.deleted or not exception.cancelled else []
        return [self._encoder.encode(instance_resource(wish.view, *instance))] if instance else []

    def warm(self, entry: Entry) -> int:
        """Encode every event of a calendar beforehand, so that a benchmark measures its client and not this."""
        view = self._view(entry, None, None)
        there = (item for item in entry.calendar.from_number(0) if not item.deleted)
        return sum(1 for item in there if self._rows.one(view, item))

    def _view(self, entry: Entry, zone: str | None, guests: int | None) -> View:
        calendar = entry.calendar
        return View(calendar, sight_of(entry.role), zone or calendar.zone, guests, self._switches.tombstones)

    def _from(self, wish: Wish, page: _Page, place: Place) -> Iterator[Row]:
        if wish.sync:
            return self._rows.changed(wish, place, page.until)
        return self._rows.full(wish, place) if wish.query.order == "none" else self._rows.ordered(wish, place)

    def _page(self, account: Account, entry: Entry, query: Query, since: dict[str, Any] | None) -> _Page:
        """Return the page that the page token leads to, or the first.

        Raises: GoogleError 400.
        """
        start = since["seq"] if since else None
        log = entry.calendar.log
        first = _Page(
            account.sub, entry.calendar.key, query.print, start, log.last, ((start or 0) + 1 if since else 0, 0)
        )
        if query.page_token is None:
            return first
        carried = self._mint.read("calendar.page", query.page_token)
        page = msgspec.convert(carried, _Page) if carried is not None else None
        if page is None or (page.sub, page.calendar, page.print, page.since) != (
            first.sub, first.calendar, first.print, first.since,
        ):  # fmt: skip
            raise GoogleError(400, "Invalid page token value.", "invalid", location=("parameter", "pageToken"))
        return page

    def _token(self, page: _Page, after: Place, blank: int, again: tuple[Place, ...]) -> str:
        return self._mint.make(
            "calendar.page", sub=page.sub, calendar=page.calendar, print=page.print, since=page.since,
            until=page.until, after=after, blank=blank, again=again,
        )  # fmt: skip

    def _sync_token(
        self, account: Account, entry: Entry, query: Query, until: int, since: dict[str, Any] | None
    ) -> str:
        window = since["window"] if since else (query.begins_before, query.ends_after)
        return self._mint.make(
            "calendar.sync", sub=account.sub, calendar=entry.calendar.key, role=entry.role, seq=until,
            generation=entry.calendar.log.generation, print=query.constants, at=self._world.clock.now(), window=window,
        )  # fmt: skip

    def _read_sync_token(self, account: Account, entry: Entry, query: Query) -> dict[str, Any]:
        """Return what a sync token carries.

        Raises: GoogleError 400 for what is no token of this account and calendar or was made under other parameters,
        410 when it has expired; switches change either.
        """
        token = self._mint.read("calendar.sync", query.sync_token or "")
        if token is None or (token["sub"], token["calendar"]) != (account.sub, entry.calendar.key):
            raise self._refused(self._switches.bad_token_status, "Invalid sync token value.")
        if token["print"] != query.constants:
            raise self._refused(
                self._switches.mismatch_status,
                "Sync token cannot be used with parameters other than those it was made with.",
            )
        life_s = self._switches.token_life_s
        expired = life_s and self._world.clock.now() - token["at"] > life_s
        if expired or (token["generation"], token["role"]) != (entry.calendar.log.generation, entry.role):
            raise self._refused(410, "")
        return token

    def _refused(self, status: int, message: str) -> GoogleError:
        if status == 410:
            return full_sync_required(self._switches.gone_reason)
        return GoogleError(400, message, "invalid", location=("parameter", "syncToken"))

    def _refuse_too_long_ago(self, query: Query) -> None:
        if query.changed_since is None:
            return
        if self._world.clock.now() - query.changed_since > self._switches.updated_min_days * DAY_S:
            raise GoogleError(
                410, "The requested minimum modification time lies too far in the past.", "updatedMinTooLongAgo",
                "calendar", ("parameter", "updatedMin"),
            )  # fmt: skip

    def _reply(self, entry: Entry, items: list[bytes], ending: dict[str, str]) -> Reply:
        calendar = entry.calendar
        head: dict[str, Any] = {
            "kind": "calendar#events",
            "etag": f'"p33{calendar.log.last:013d}"',
            "summary": calendar.title,
            "description": calendar.description,
            "updated": utc_millis_text(calendar.updated_at),
            "timeZone": calendar.zone,
            "accessRole": entry.role,
            "defaultReminders": REMINDERS if entry.role == "owner" else [],
            **ending,
        }
        return Reply(200, self._encoder.encode(head)[:-1] + b',"items":[' + b",".join(items) + b"]}")


def full_sync_required(reason: str = "fullSyncRequired") -> GoogleError:
    """Return the error for a sync token that is no longer good."""
    return GoogleError(
        410, "Sync token is no longer valid, a full sync is required.", reason, "calendar",
        ("parameter", "syncToken"),
    )  # fmt: skip

"""The stream `events` of a Google account: each calendar of its list a part, by the Calendar API.

scopes      calendar.calendarlist.readonly (which calendars there are) and calendar.events.readonly (what is in them)
parts       calendars that the account may read in detail and has not hidden; one that is no longer listed is gone
cursor      for each calendar a page token of a list, or the sync token after one, with the fingerprint of the request's
            parameters, since Google binds tokens to them
dies        410 fullSyncRequired, or when our parameters change: that calendar is passed in full, the others go on
deletions   a cancelled event is a tombstone, but for a cancelled exception of a series: that one is a record, since it
            says that on this day the meeting does not take place. It goes with its series; one whose series ended in
            another page goes at the next full pass, once in 30 days
identity    `calendarId/eventId`: one id stands in the calendars of all who take part
limits      600 requests a minute and user, 10,000 a minute and project; 2,500 events a page, 250 calendars
known gaps  series are stored as series and not unrolled; event types `default` and `fromGmail` only (no birthdays, no
            working places); the description is as its author wrote it, HTML and all, and is not sanitised

Source: providers/google.md §6 and §10 (read 2026-11); https://developers.google.com/workspace/calendar/api/guides/sync
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import date as Date  # noqa: N812 - a field is named `date`
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from worker.connectors import google_api
from worker.connectors.contract import Session
from worker.connectors.cursors import read_bound_cursor
from worker.errors import BadRecord, CrmSyncError, CursorExpired, ProviderRefused, Transient
from worker.records import FULL_PASS, Attendee, Event, Kind, Page, Part, Record, Refused, When
from worker.transport.json_reply import read_items, read_json
from worker.transport.ports import Cost
from worker.transport.replies import Reply

SCOPE_REASONS: Final = {
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly": "to know which calendars there are",
    "https://www.googleapis.com/auth/calendar.events.readonly": "to read their events; nothing can be changed with it",
}
SCOPES: Final = tuple(SCOPE_REASONS)
HOSTS: Final = frozenset({"www.googleapis.com"})
BUDGETS: Final = (google_api.CALENDAR_USER, google_api.CALENDAR_PROJECT)
COSTS: Final = tuple(Cost(budget.name) for budget in BUDGETS)

CALENDARS_PAGE_SIZE: Final = 250
PAGE_SIZE: Final = 2_500
EVENT_TYPES: Final = ("default", "fromGmail")
FULL_PASS_EVERY: Final = timedelta(days=30)
FINGERPRINT: Final = f"1|single=false|{PAGE_SIZE}|{','.join(EVENT_TYPES)}"


class _Calendar(msgspec.Struct, rename="camel"):
    id: str
    summary: str = ""
    summary_override: str = ""


class _OnlyId(msgspec.Struct):
    id: str


class _Calendars(msgspec.Struct, rename="camel"):
    items: list[msgspec.Raw] = []
    next_page_token: str = ""


class _Moment(msgspec.Struct, rename="camel"):
    date_time: datetime | None = None
    date: Date | None = None
    time_zone: str = ""


class _Person(msgspec.Struct, rename="camel"):
    email: str = ""
    display_name: str = ""
    response_status: str = ""
    optional: bool = False
    organizer: bool = False
    self_: bool = msgspec.field(default=False, name="self")
    resource: bool = False


class _EntryPoint(msgspec.Struct, rename="camel"):
    entry_point_type: str = ""
    uri: str = ""


class _Conference(msgspec.Struct, rename="camel"):
    entry_points: list[_EntryPoint] = []


class _Event(msgspec.Struct, rename="camel"):
    id: str
    status: str = ""
    i_cal_uid: str = msgspec.field(default="", name="iCalUID")
    recurring_event_id: str = ""
    original_start_time: _Moment | None = None
    summary: str = ""
    description: str = ""
    location: str = ""
    start: _Moment | None = None
    end: _Moment | None = None
    recurrence: list[str] = []
    organizer: _Person | None = None
    attendees: list[_Person] = []
    attendees_omitted: bool = False
    event_type: str = ""
    visibility: str = ""
    hangout_link: str = ""
    conference_data: _Conference | None = None
    updated: datetime | None = None


class _Events(msgspec.Struct, rename="camel"):
    items: list[msgspec.Raw] = []
    next_page_token: str = ""
    next_sync_token: str = ""


class _Cursor(msgspec.Struct, omit_defaults=True):
    """Where a calendar resumes: `sync` is empty in a full pass, `page` is empty at the beginning of a list.

    `unsure` says that the pass met an item without a readable id: it may be one that we hold, so what the pass did not
    show is no proof that it is gone.
    """

    fingerprint: str
    page: str = ""
    sync: str = ""
    issued_at: datetime | None = None
    unsure: bool = False
    version: int = 1


def parts(session: Session) -> Iterator[Part]:
    """The calendars that the account may read.

    Raises:
        Transient: Google listed none, though each account has one; to believe it would delete all events.
        BadRecord: one of the list has no id. To leave it out would delete its events.
    """
    calendars = google_api.SERVICES.of("calendar", "v3", "calendarList")
    tokens = google_api.PageTokens()
    token = ""
    count = 0
    while True:
        arguments = {"pageToken": token} if token else {}
        request = calendars.list(maxResults=CALENDARS_PAGE_SIZE, minAccessRole="reader", **arguments)
        body: bytes = request.execute(http=session.http.google_http(costs=COSTS, classify=google_api.classify))
        listed = read_json(body, _Calendars)
        for raw in listed.items:
            count += 1
            yield _part(raw)
        token = tokens.next(listed.next_page_token)
        if not token:
            break
    if not count:
        raise Transient("Google listed no calendar at all.")


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """The whole calendar, or what has changed in it since the cursor.

    Raises:
        CursorExpired: the token is dead, or belongs to other parameters.
        NotFound: the calendar is gone, or no longer shown to us.
    """
    place = read_bound_cursor(cursor, _Cursor, FINGERPRINT) if cursor is not None else _Cursor(FINGERPRINT)
    tokens = google_api.PageTokens()
    ended: set[str] = set()
    while True:
        page, place = _page(session, part, place, tokens, ended)
        yield page
        if not page.more:
            return


def event_of(calendar_id: str, found: _Event) -> Event:
    """An event in normal form. Pure.

    Raises:
        BadRecord: a moment in it is out of the calendar's range.
    """
    return Event(
        calendar_id=calendar_id,
        ical_uid=found.i_cal_uid,
        series_id=found.recurring_event_id,
        original_start=when_of(found.original_start_time),
        status=found.status,
        summary=found.summary,
        description=found.description,
        location=found.location,
        starts=when_of(found.start),
        ends=when_of(found.end),
        recurrence=tuple(found.recurrence),
        organizer=_attendee(found.organizer) if found.organizer else None,
        attendees=tuple(_attendee(person) for person in found.attendees),
        attendees_omitted=found.attendees_omitted,
        event_type=found.event_type,
        visibility=found.visibility,
        meeting_url=_meeting_url(found),
        updated_at=_in_utc(found.updated, "") if found.updated else None,
    )


def when_of(moment: _Moment | None) -> When | None:
    """A day stays a day; a moment is kept in UTC, since Google writes the same one in whatever zone is set just now."""
    if moment is None or (moment.date is None and moment.date_time is None):
        return None
    if moment.date_time is None:
        return When(date=moment.date, time_zone=moment.time_zone)
    return When(at=_in_utc(moment.date_time, moment.time_zone), time_zone=moment.time_zone)


def _in_utc(moment: datetime, zone: str) -> datetime:
    try:
        if moment.tzinfo is None:
            # Google leaves the offset out where a series names its zone.
            moment = moment.replace(tzinfo=_zone(zone))
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadRecord("a moment out of range") from None


def _zone(name: str) -> Any:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # Unknown, no name of a zone, or the name of a folder.
        return UTC


def _attendee(person: _Person) -> Attendee:
    return Attendee(
        email=person.email,
        name=person.display_name,
        response=person.response_status,
        optional=person.optional,
        organizer=person.organizer,
        self_=person.self_,
        resource=person.resource,
    )


def _meeting_url(found: _Event) -> str:
    points = found.conference_data.entry_points if found.conference_data else []
    return found.hangout_link or next((point.uri for point in points if point.entry_point_type == "video"), "")


def _part(raw: msgspec.Raw) -> Part:
    try:
        calendar = msgspec.json.decode(raw, type=_Calendar)
    except (msgspec.MsgspecError, RecursionError):
        try:
            return Part(key=msgspec.json.decode(raw, type=_OnlyId).id)
        except (msgspec.MsgspecError, RecursionError):
            raise BadRecord("A calendar of Google's list has no id.") from None
    return Part(key=calendar.id, label=calendar.summary_override or calendar.summary)


def _page(
    session: Session, part: Part, place: _Cursor, tokens: google_api.PageTokens, ended: set[str]
) -> tuple[Page, _Cursor]:
    listed = read_json(_ask(session, part.key, place), _Events)
    found = sort_events(part.key, listed.items, ended)
    more = bool(listed.next_page_token)
    unsure = place.unsure or any(item.key.startswith(_key(part.key, _NAMELESS)) for item in found.refused)
    if more:
        following = msgspec.structs.replace(place, page=tokens.next(listed.next_page_token), unsure=unsure)
    elif listed.next_sync_token:
        following = _Cursor(FINGERPRINT, sync=listed.next_sync_token, issued_at=session.now())
    else:
        raise Transient("Google ended the list without a sync token.")
    covers = None if place.sync or unsure else FULL_PASS
    return replace(found, cursor=msgspec.json.encode(following), more=more, covers=covers), following


def sort_events(calendar_id: str, items: list[msgspec.Raw], ended: set[str]) -> Page:
    """What each event of a page is: a record, a tombstone or refused. `ended` gathers the series that ended. Pure."""
    records: list[Record] = []
    gone: list[str] = []
    refused: list[Refused] = []
    cancelled: list[tuple[str, _Event]] = []
    for number, found in read_items(items, _Event):
        if isinstance(found, BadRecord):
            refused.append(Refused(_key(calendar_id, _id_of(items[number], number)), found.reason, str(found)))
            continue
        key = _key(calendar_id, found.id)
        if found.status == "cancelled" and not found.recurring_event_id:
            ended.add(found.id)
            gone.append(key)
        elif found.status == "cancelled":
            cancelled.append((key, found))
        else:
            ended.discard(found.id)
            _take(calendar_id, key, found, records, refused)
    for key, found in cancelled:
        if found.recurring_event_id in ended:
            gone.append(key)
        else:
            _take(calendar_id, key, found, records, refused)
    return Page(records=tuple(records), tombstones=tuple(gone), refused=tuple(refused))


def _take(calendar_id: str, key: str, found: _Event, records: list[Record], refused: list[Refused]) -> None:
    try:
        records.append(Record(key, Kind.EVENT, event_of(calendar_id, found)))
    except BadRecord as error:
        refused.append(Refused(key, error.reason, str(error)))


def _key(calendar_id: str, event_id: str) -> str:
    return f"{calendar_id}/{event_id}"


_NAMELESS: Final = "item "
"""No event's id holds a space."""


def _id_of(raw: msgspec.Raw, number: int) -> str:
    try:
        return msgspec.json.decode(raw, type=_OnlyId).id
    except (msgspec.MsgspecError, RecursionError):
        return f"{_NAMELESS}{number}"


def _ask(session: Session, calendar_id: str, place: _Cursor) -> bytes:
    names = (("pageToken", place.page), ("syncToken", place.sync))
    arguments = {name: token for name, token in names if token}
    request = google_api.SERVICES.of("calendar", "v3", "events").list(
        calendarId=calendar_id,
        maxResults=PAGE_SIZE,
        singleEvents=False,
        eventTypes=list(EVENT_TYPES),
        **arguments,
    )

    def judge(reply: Reply) -> CrmSyncError | None:
        error = google_api.classify(reply)
        if arguments and reply.status == 400 and (error is None or isinstance(error, ProviderRefused)):
            return CursorExpired("Google refused a request that differs from the first one by its token only.")
        return error

    body: bytes = request.execute(http=session.http.google_http(costs=COSTS, classify=judge))
    return body

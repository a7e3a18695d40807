"""One event of Graph in normal form. Pure.

Moments come in UTC, since that is asked for, and are kept so, with the zone in which the event was made. A whole day
comes as the midnights around it, in no zone: it is kept as a day. Answers and the like are said in the words that other
calendars use. What was written into the event comes as plain text.

Source: providers/microsoft-linkedin.md §3.5 (read 2026-11); https://learn.microsoft.com/graph/api/resources/event
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from worker.connectors.outlook_series import Recurrence, day_of
from worker.connectors.windows_zones import zone_called
from worker.errors import BadRecord
from worker.records import Attendee, Event, When

ALWAYS_TOLD: Final = (
    "id", "type", "subject", "start", "end", "isAllDay", "isCancelled", "organizer", "attendees", "body", "iCalUId",
)  # fmt: skip
"""A single event that lacks one of these came with what changed only."""
SELECT: Final = ",".join(
    (*ALWAYS_TOLD, "seriesMasterId", "originalStart", "originalStartTimeZone", "recurrence", "location", "showAs",
     "sensitivity", "onlineMeeting", "onlineMeetingUrl", "lastModifiedDateTime")
)  # fmt: skip
_ANSWERS: Final = {
    "none": "needsAction",
    "notresponded": "needsAction",
    "organizer": "accepted",
    "tentativelyaccepted": "tentative",
}
"""The other answers are `accepted` and `declined` everywhere."""
_SENSITIVITY: Final = {"normal": "", "personal": "private"}
MOST_TEXT: Final = 256 * 1024
MOST_GUESTS: Final = 2_000


class Moment(msgspec.Struct, rename="camel"):
    """A moment in a zone; `date_time` itself names none."""

    date_time: datetime
    time_zone: str = "UTC"


class _Address(msgspec.Struct):
    name: str | None = None
    address: str | None = None


class _Status(msgspec.Struct):
    response: str | None = None


class _Person(msgspec.Struct, rename="camel"):
    email_address: _Address | None = None
    type: str | None = None
    status: _Status | None = None


class _Body(msgspec.Struct):
    content: str | None = None


class _Location(msgspec.Struct, rename="camel"):
    display_name: str | None = None


class _Meeting(msgspec.Struct, rename="camel"):
    join_url: str | None = None


class Told(msgspec.Struct, rename="camel"):
    """An event as Graph tells it."""

    id: str
    type: str = ""
    series_master_id: str | None = None
    i_cal_uid: str | None = msgspec.field(default=None, name="iCalUId")
    subject: str | None = None
    body: _Body | None = None
    location: _Location | None = None
    start: Moment | None = None
    end: Moment | None = None
    is_all_day: bool = False
    is_cancelled: bool = False
    original_start: datetime | None = None
    original_start_time_zone: str | None = None
    recurrence: Recurrence | None = None
    organizer: _Person | None = None
    attendees: list[_Person] | None = None
    show_as: str | None = None
    sensitivity: str | None = None
    online_meeting: _Meeting | None = None
    online_meeting_url: str | None = None
    last_modified_date_time: datetime | None = None

    @property
    def zone(self) -> str:
        """The zone in which it was made, as Microsoft calls it; a series repeats in it."""
        repeats_in = self.recurrence.range.recurrence_time_zone if self.recurrence else None
        return repeats_in or self.original_start_time_zone or ""


def event_of(calendar_id: str, found: Told, recurrence: tuple[str, ...] = ()) -> Event:
    """The normal form of an event; `recurrence` is what its series comes to.

    Raises:
        BadRecord: a moment in it is out of the calendar's range.
    """
    zone = zone_called(found.zone)
    name = zone.key if zone and not found.is_all_day else ""
    sensitivity = (found.sensitivity or "normal").lower()
    return Event(
        provider_id=found.id,
        calendar_id=calendar_id,
        ical_uid=found.i_cal_uid or "",
        series_id=found.series_master_id or "",
        original_start=_original(found, name),
        status=_status(found),
        summary=found.subject or "",
        description=_text(found.body),
        location=(found.location.display_name if found.location else None) or "",
        starts=when_of(found.start, name, all_day=found.is_all_day),
        ends=when_of(found.end, name, all_day=found.is_all_day),
        recurrence=recurrence,
        organizer=next(_people([found.organizer], organizer=True), None) if found.organizer else None,
        attendees=tuple(_people((found.attendees or ())[:MOST_GUESTS])),
        attendees_omitted=len(found.attendees or ()) > MOST_GUESTS,
        visibility=_SENSITIVITY.get(sensitivity, sensitivity),
        meeting_url=(found.online_meeting and found.online_meeting.join_url) or found.online_meeting_url or "",
        updated_at=in_utc(found.last_modified_date_time) if found.last_modified_date_time else None,
    )


def when_of(moment: Moment | None, zone: str, *, all_day: bool) -> When | None:
    """A day stays a day; a moment is kept in UTC, with the zone in which it was meant."""
    if moment is None:
        return None
    if all_day:
        return When(date=moment.date_time.date())
    return When(at=in_utc(moment.date_time, moment.time_zone), time_zone=zone)


def in_utc(moment: datetime, zone: str = "UTC") -> datetime:
    """A moment that says no zone itself is in `zone`.

    Raises:
        BadRecord: it is out of the calendar's range, or in a zone that nobody knows.
    """
    try:
        if moment.tzinfo is None:
            known = zone_called(zone)
            if known is None:
                raise BadRecord("a moment in a time zone that nobody knows")
            moment = moment.replace(tzinfo=known)
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadRecord("a moment out of range") from None


def _original(found: Told, zone: str) -> When | None:
    if found.original_start is None:
        return None
    moment = in_utc(found.original_start)
    if found.is_all_day:
        return When(date=day_of(moment, zone_called(found.zone) or UTC))
    return When(at=moment, time_zone=zone)


def _status(found: Told) -> str:
    if found.is_cancelled:
        return "cancelled"
    return "tentative" if (found.show_as or "").lower() == "tentative" else "confirmed"


def _text(body: _Body | None) -> str:
    return ((body.content if body else None) or "").replace("\r\n", "\n").strip()[:MOST_TEXT]


def _people(people: Iterable[_Person], *, organizer: bool = False) -> Iterator[Attendee]:
    for person in people:
        address = person.email_address
        if address is None or not (address.address or address.name):
            continue
        kind = (person.type or "").lower()
        answer = ((person.status.response if person.status else None) or "").lower()
        yield Attendee(
            # An address may be a path in an old directory, which nobody can write to.
            email=address.address if address.address and "@" in address.address else "",
            name=" ".join((address.name or "").split()),
            response=_ANSWERS.get(answer, answer),
            optional=kind == "optional",
            organizer=organizer,
            resource=kind == "resource",
        )

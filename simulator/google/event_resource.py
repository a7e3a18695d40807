"""An event in Google Calendar's words, from the facts of the world, and how much of it a role may see.

    owner, writer              everything
    reader, writer without …   of private events only when they are
    freeBusyReader             of every event only when it is

Pure: facts in, a resource out. Times are worded in the zone of the calendar, or in the one that the caller asks for;
`timeZone` beside them is the event's own. Of a calendar that is not somebody's primary one, the calendar itself is the
organizer.
Source: the provider sheet, section 6.1, and the Calendar discovery document, revision 20261030.
"""

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from simulator.clock import utc_millis_text
from simulator.google.calendar_names import calendar_id
from simulator.world.calendar_lists import Role
from simulator.world.calendars import Calendar, Event
from simulator.world.event_facts import EventFacts, Guest, shifted
from simulator.world.moments import At, wall_of

Sight = Literal["all", "details_of_public", "times"]
Tombstones = Literal["usual", "full", "least"]
_SIGHTS: dict[Role, Sight] = {
    "owner": "all", "writer": "all", "writerWithoutPrivateAccess": "details_of_public", "reader": "details_of_public",
    "freeBusyReader": "times",
}  # fmt: skip
_HIDDEN = frozenset({"private", "confidential"})


@dataclass(frozen=True, slots=True)
class View:
    """How a caller sees the events of a calendar."""

    calendar: Calendar
    sight: Sight
    zone: str
    guests_at_most: int | None = None
    tombstones: Tombstones = "usual"

    @property
    def plain(self) -> bool:
        """Whether many callers see the same, so that it is worth keeping."""
        return self.zone == self.calendar.zone and self.guests_at_most is None


def sight_of(role: Role) -> Sight:
    """Return how much a role sees."""
    return _SIGHTS[role]


def event_etag(item: Event) -> str:
    """Return an event's etag."""
    return f'"{int(item.updated_at * 1_000) * 2 + item.version * 1_000_003:016d}"'


def ical_uid(calendar: Calendar, item: Event, facts: EventFacts) -> str:
    """Return what names the same meeting in every calendar; all of a series share it."""
    if facts.uid:
        return facts.uid
    series = item if item.series is None else calendar.at(item.series)
    return f"{calendar.identity(series)}@google.com"


def event_resource(view: View, item: Event) -> dict[str, Any]:
    """Return an event, a series, an exception or, of what is gone or cancelled, what is left to say."""
    calendar = view.calendar
    if item.deleted or item.cancelled:
        return _gone(view, item)
    facts = calendar.facts(item)
    event = _worded(view, item, facts, calendar.identity(item))
    if item.series is not None:
        series = calendar.at(item.series)
        original = At(calendar.original(item).seconds, calendar.facts(series).start.zone, calendar.original(item).day)
        event |= {"recurringEventId": calendar.identity(series), "originalStartTime": _moment(view, original)}
    return event


def instance_resource(view: View, series: Event, original: At) -> dict[str, Any]:
    """Return one of a series that is as the rules say."""
    facts = shifted(view.calendar.facts(series), original)
    event = _worded(view, series, facts, view.calendar.instance_id(series, original))
    return event | {
        "recurringEventId": view.calendar.identity(series),
        "originalStartTime": _moment(view, original),
    }


def instance_gone(view: View, series: Event, original: At) -> dict[str, Any]:
    """Return what is said of one of a series that happens no more, where a client wants single events."""
    event_id = view.calendar.instance_id(series, original)
    least: dict[str, Any] = {"id": event_id, "status": "cancelled"}
    return least if view.tombstones == "least" else {"kind": "calendar#event", "etag": event_etag(series), **least}


def _gone(view: View, item: Event) -> dict[str, Any]:
    """Return a tombstone; only its id is promised, and the place in the series of one that is cancelled there."""
    calendar = view.calendar
    event: dict[str, Any] = {"id": calendar.identity(item), "status": "cancelled"}
    if item.cancelled and not item.deleted and item.series is not None:
        series = calendar.at(item.series)
        event["recurringEventId"] = calendar.identity(series)
        event["originalStartTime"] = _moment(view, calendar.original(item))
    if view.tombstones == "least":
        return event
    if view.tombstones == "full":
        return _worded(view, item, calendar.facts(item), event["id"]) | event
    return {"kind": "calendar#event", "etag": event_etag(item), **event}


def _worded(view: View, item: Event, facts: EventFacts, event_id: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "kind": "calendar#event",
        "etag": event_etag(item),
        "id": event_id,
        "status": facts.status,
        "htmlLink": _link(view.calendar, event_id),
        "created": utc_millis_text(item.created_at),
        "updated": utc_millis_text(item.updated_at),
        "start": _moment(view, facts.start),
        "end": _moment(view, facts.end),
        "iCalUID": ical_uid(view.calendar, item, facts),
        "eventType": facts.kind,
    }
    if facts.recurrence:
        event["recurrence"] = list(facts.recurrence)
    if not facts.busy:
        event["transparency"] = "transparent"
    if view.sight == "times" or (view.sight == "details_of_public" and facts.visibility in _HIDDEN):
        return event | {"visibility": "private"}
    _add_words(event, facts)
    _add_people(event, view, facts)
    _add_conference(event, facts)
    _add_rare(event, facts)
    _add_kind(event, facts)
    return event | {"sequence": item.version - 1}


def _add_words(event: dict[str, Any], facts: EventFacts) -> None:
    words = {"summary": facts.title, "description": facts.description, "location": facts.location}
    event |= {name: value for name, value in (words | {"colorId": facts.color}).items() if value}
    if facts.visibility != "default":
        event["visibility"] = facts.visibility
    if facts.end_unspecified:
        event["endTimeUnspecified"] = True
    event["reminders"] = {"useDefault": facts.reminders is None}
    if facts.reminders:
        event["reminders"]["overrides"] = [{"method": how, "minutes": at} for how, at in facts.reminders]


def _add_people(event: dict[str, Any], view: View, facts: EventFacts) -> None:
    calendar = view.calendar
    owner = calendar.owner
    own: dict[str, Any] = {"email": owner.email, "displayName": owner.name, "self": True}
    if facts.organizer is not None:
        event["organizer"] = {"email": facts.organizer.email, "displayName": facts.organizer.name}
        event["creator"] = {"email": facts.organizer.email}
    elif calendar.nature == "primary":
        event["organizer"] = event["creator"] = own
    else:
        event["organizer"] = {"email": calendar_id(calendar), "displayName": calendar.title, "self": True}
        event["creator"] = {"email": owner.email, "displayName": owner.name}
    guests = facts.guests
    too_many = view.guests_at_most is not None and len(guests) > view.guests_at_most
    if facts.guests_omitted or too_many:
        event["attendeesOmitted"] = True
        guests = tuple(one for one in guests if one.email == owner.email)
    if guests:
        event["attendees"] = [_guest(one, own=one.email == owner.email) for one in guests]


def _guest(guest: Guest, *, own: bool) -> dict[str, Any]:
    words: dict[str, Any] = {"email": guest.email, "responseStatus": guest.answer}
    named = (("displayName", guest.name), ("comment", guest.comment), ("additionalGuests", guest.with_others))
    words |= {name: value for name, value in named if value}
    flags = (
        ("self", own), ("organizer", guest.organizer), ("optional", guest.optional), ("resource", guest.resource)
    )  # fmt: skip
    return words | {name: True for name, holds in flags if holds}


def _add_conference(event: dict[str, Any], facts: EventFacts) -> None:
    code = event["id"][-10:].replace("_", "a").lower()
    if facts.conference == "meet":
        code = f"{code[:3]}-{code[3:7]}-{code[7:]}"
        room = f"meet.google.com/{code}"
        event["hangoutLink"] = f"https://{room}"
        event["conferenceData"] = {
            "entryPoints": [
                {"entryPointType": "video", "uri": f"https://{room}", "label": room},
                {"entryPointType": "phone", "uri": "tel:+1-415-555-0100", "label": "+1 415-555-0100", "pin": "123456"},
            ],
            "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet"},
            "conferenceId": code,
        }  # fmt: skip
    elif facts.conference:
        event["conferenceData"] = {
            "entryPoints": [{"entryPointType": "video", "uri": f"https://video.example/j/{code}?pwd=simulated"}],
            "conferenceSolution": {"key": {"type": "addOn"}, "name": "Video Example"},
            "conferenceId": code,
            "notes": "Passcode: <b>000000</b>",
        }


def _add_rare(event: dict[str, Any], facts: EventFacts) -> None:
    if facts.attachments:
        event["attachments"] = [
            {"fileUrl": url, "title": title, "mimeType": "application/pdf"} for title, url in facts.attachments
        ]
    if facts.source is not None:
        event["source"] = {"title": facts.source[0], "url": facts.source[1]}
    properties = {"private": dict(facts.own_properties), "shared": dict(facts.shared_properties)}
    if any(properties.values()):
        event["extendedProperties"] = {name: values for name, values in properties.items() if values}


def _add_kind(event: dict[str, Any], facts: EventFacts) -> None:
    if facts.kind == "outOfOffice":
        event["outOfOfficeProperties"] = {"autoDeclineMode": "declineOnlyNewConflictingInvitations"}
    elif facts.kind == "focusTime":
        event["focusTimeProperties"] = {"autoDeclineMode": "declineNone", "chatStatus": "doNotDisturb"}
    elif facts.kind == "birthday":
        event["birthdayProperties"] = {"type": "birthday"} | ({"contact": facts.person} if facts.person else {})
    elif facts.kind == "workingLocation":
        place: dict[str, Any] = {"label": "Head office"} if facts.working_place == "officeLocation" else {}
        event["workingLocationProperties"] = {"type": facts.working_place, facts.working_place: place}


def _moment(view: View, at: At) -> dict[str, Any]:
    if at.day is not None:
        return {"date": at.day}
    seconds = at.seconds or 0
    wall = wall_of(seconds, view.zone)
    if (wall.utcoffset() or timedelta()).seconds % 60:
        wall = wall_of(seconds, "UTC")  # Zones of long ago had offsets that RFC 3339 cannot word.
    return {"dateTime": wall.isoformat().replace("+00:00", "Z"), "timeZone": at.zone}


def _link(calendar: Calendar, event_id: str) -> str:
    named = base64.urlsafe_b64encode(f"{event_id} {calendar_id(calendar)}".encode()).decode().rstrip("=")
    return f"https://www.google.com/calendar/event?eid={named}"

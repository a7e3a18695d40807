"""An event as Graph shows it: single ones, masters of series, occurrences by the rules, and exceptions.

Times have seven digits after the second and no offset; beside them stands the zone that the caller prefers.
Source: the provider sheet, section 3.5.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from simulator.microsoft.calls import Preferences
from simulator.microsoft.errors import bad_request
from simulator.microsoft.message_content import sanitised, stripped
from simulator.microsoft.recurrence_pattern import patterned
from simulator.microsoft.times import etag, utc
from simulator.world.calendars import Event
from simulator.world.event_facts import EventFacts, Guest
from simulator.world.moments import At, wall_of
from simulator.world.office import OfficeAccount

Type = Literal["singleInstance", "seriesMaster", "occurrence", "exception"]
PROPERTIES = (
    "allowNewTimeProposals", "attendees", "body", "bodyPreview", "categories", "changeKey", "createdDateTime", "end",
    "hasAttachments", "hideAttendees", "iCalUId", "id", "importance", "isAllDay", "isCancelled", "isDraft",
    "isOnlineMeeting", "isOrganizer", "isReminderOn", "lastModifiedDateTime", "location", "locations", "onlineMeeting",
    "onlineMeetingProvider", "onlineMeetingUrl", "organizer", "originalEndTimeZone", "originalStart",
    "originalStartTimeZone", "recurrence", "reminderMinutesBeforeStart", "responseRequested", "responseStatus",
    "sensitivity", "seriesMasterId", "showAs", "start", "subject", "transactionId", "type", "webLink",
)  # fmt: skip
WINDOWS_ZONES = {
    "UTC": "UTC", "Asia/Bangkok": "SE Asia Standard Time", "Europe/London": "GMT Standard Time",
    "America/New_York": "Eastern Standard Time", "Asia/Amman": "Jordan Standard Time",
    "Europe/Berlin": "W. Europe Standard Time", "Australia/Lord_Howe": "Lord Howe Standard Time",
}  # fmt: skip
_IANA_ZONES = {windows: iana for iana, windows in WINDOWS_ZONES.items()}
_ANSWERS = {"needsAction": "notResponded", "accepted": "accepted", "declined": "declined",
            "tentative": "tentativelyAccepted"}  # fmt: skip
_SHOWN_AS = {"outOfOffice": "oof", "workingLocation": "workingElsewhere"}
_NEVER = "0001-01-01T00:00:00Z"


def event(
    account: OfficeAccount, item: Event, facts: EventFacts, preferences: Preferences, *,
    event_id: str, uid: str, master_id: str | None, kind: Type, original_at: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return everything that there is to say about an event."""
    key = etag(item.number, item.version)
    own = next((one for one in facts.guests if one.email == account.email), None)
    organizes = facts.organizer is None
    entry: dict[str, Any] = {
        "@odata.etag": key,
        "id": event_id,
        "createdDateTime": _precise(item.created_at),
        "lastModifiedDateTime": _precise(item.updated_at),
        "changeKey": key[3:-1],
        "categories": [],
        "transactionId": None,
        "originalStartTimeZone": WINDOWS_ZONES.get(facts.start.zone, facts.start.zone),
        "originalEndTimeZone": WINDOWS_ZONES.get(facts.end.zone, facts.end.zone),
        "iCalUId": uid,
        "reminderMinutesBeforeStart": facts.reminders[0][1] if facts.reminders else 15,
        "isReminderOn": facts.reminders != (),
        "hasAttachments": bool(facts.attachments),
        "subject": facts.title,
        "bodyPreview": " ".join(stripped(facts.description).split())[:255],
        "importance": "normal",
        "sensitivity": facts.visibility if facts.visibility in ("private", "confidential") else "normal",
        "isAllDay": facts.start.day is not None,
        "isCancelled": False,
        "isOrganizer": organizes,
        "responseRequested": True,
        "seriesMasterId": master_id,
        "showAs": _shown_as(facts),
        "type": kind,
        "webLink": f"https://outlook.office365.com/owa/?itemid={event_id}&exvsurl=1&path=/calendar/item",
        "onlineMeetingUrl": None,
        "isOnlineMeeting": bool(facts.conference),
        "onlineMeetingProvider": "teamsForBusiness" if facts.conference else "unknown",
        "allowNewTimeProposals": True,
        "isDraft": False,
        "hideAttendees": facts.guests_omitted,
        "recurrence": patterned(facts) if kind == "seriesMaster" else None,
        "responseStatus": {"response": "organizer", "time": _NEVER} if organizes else _answered(own),
        "body": _body(facts, preferences),
        **times(facts, preferences),
        "location": _location(facts),
        "locations": [_location(facts)] if facts.location else [],
        "attendees": [_attendee(one) for one in facts.guests if not one.organizer],
        "organizer": _organizer(account, facts),
        "onlineMeeting": {"joinUrl": f"https://teams.example/l/{item.number}"} if facts.conference else None,
    }
    if original_at is not None:
        entry["originalStart"] = utc(original_at)
    return entry


def occurrence(
    item: Event, facts: EventFacts, preferences: Preferences, *, event_id: str, master_id: str
) -> dict[str, Any]:
    """Return as little of one of a series as a round may tell: when it is, and which series it belongs to."""
    return {
        "@odata.etag": etag(item.number, item.version),
        "id": event_id,
        "seriesMasterId": master_id,
        "type": "occurrence",
        **times(facts, preferences),
    }


def times(facts: EventFacts, preferences: Preferences) -> dict[str, Any]:
    """Return when an event begins and ends, in the preferred zone."""
    zone = preferences.time_zone
    return {"start": _moment(facts.start, zone), "end": _moment(facts.end, zone)}


def check_zone(name: str) -> str:
    """Return the zone by the name that Python knows.

    Raises: GraphError 400.
    """
    zone = _IANA_ZONES.get(name, name)
    try:
        wall_of(0, zone)
    except ValueError:
        raise bad_request(f"The time zone '{name}' is not supported.", "TimeZoneNotSupportedException") from None
    return zone


def _moment(at: At, zone: str) -> dict[str, str]:
    if at.day is not None:
        return {"dateTime": f"{at.day}T00:00:00.0000000", "timeZone": zone}
    wall = wall_of(at.seconds or 0, check_zone(zone))
    return {"dateTime": wall.strftime("%Y-%m-%dT%H:%M:%S.0000000"), "timeZone": zone}


def _precise(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _shown_as(facts: EventFacts) -> str:
    if not facts.busy:
        return "free"
    return _SHOWN_AS.get(facts.kind, "tentative" if facts.status == "tentative" else "busy")


def _body(facts: EventFacts, preferences: Preferences) -> dict[str, str]:
    if preferences.text_bodies:
        return {"contentType": "text", "content": stripped(facts.description)}
    markup = facts.description if preferences.unsafe_html else sanitised(facts.description)
    return {"contentType": "html", "content": f"<html><body>{markup}</body></html>" if markup else ""}


def _location(facts: EventFacts) -> dict[str, Any]:
    if not facts.location:
        return {"displayName": "", "locationType": "default", "uniqueIdType": "unknown", "address": {},
                "coordinates": {}}  # fmt: skip
    return {
        "displayName": facts.location, "locationType": "default", "uniqueId": facts.location,
        "uniqueIdType": "private",
    }  # fmt: skip


def _attendee(guest: Guest) -> dict[str, Any]:
    return {
        "type": "resource" if guest.resource else "optional" if guest.optional else "required",
        "status": _answered(guest),
        "emailAddress": {"name": guest.name or guest.email, "address": guest.email},
    }


def _answered(guest: Guest | None) -> dict[str, str]:
    return {"response": _ANSWERS[guest.answer] if guest else "none", "time": _NEVER}


def _organizer(account: OfficeAccount, facts: EventFacts) -> dict[str, Any]:
    name, address = account.display_name, account.email
    if facts.organizer is not None:
        name, address = facts.organizer.name or facts.organizer.email, facts.organizer.email
    return {"emailAddress": {"name": name, "address": address}}

"""What a calendar says about one event, and how tests write it down. Facts only; nothing is made up here."""

from typing import Literal

import msgspec

from simulator.world.moments import At, moment

Kind = Literal["default", "fromGmail", "birthday", "outOfOffice", "focusTime", "workingLocation"]
Answer = Literal["needsAction", "declined", "tentative", "accepted"]


class Guest(msgspec.Struct, frozen=True, gc=False):
    """Someone who is invited; `resource` is a room or a thing."""

    email: str
    name: str = ""
    answer: Answer = "needsAction"
    optional: bool = False
    organizer: bool = False
    resource: bool = False
    comment: str = ""
    with_others: int = 0


class Organizer(msgspec.Struct, frozen=True, gc=False):
    """Whose event it is, where that is not the calendar's owner."""

    email: str
    name: str = ""


class EventFacts(msgspec.Struct, frozen=True, gc=False):
    """One event, or one series of events when `recurrence` has rules; `end` is exclusive.

    `uid` names the same meeting in several calendars and is empty where the event's own id does so.
    """

    start: At
    end: At
    title: str = ""
    description: str = ""
    location: str = ""
    recurrence: tuple[str, ...] = ()
    kind: Kind = "default"
    status: Literal["confirmed", "tentative"] = "confirmed"
    visibility: Literal["default", "public", "private", "confidential"] = "default"
    busy: bool = True
    guests: tuple[Guest, ...] = ()
    guests_omitted: bool = False
    organizer: Organizer | None = None
    conference: str = ""
    uid: str = ""
    color: str = ""
    reminders: tuple[tuple[str, int], ...] | None = None
    end_unspecified: bool = False
    hidden_invitation: bool = False
    working_place: str = ""
    person: str = ""
    attachments: tuple[tuple[str, str], ...] = ()
    source: tuple[str, str] | None = None
    own_properties: tuple[tuple[str, str], ...] = ()
    shared_properties: tuple[tuple[str, str], ...] = ()


def shifted(facts: EventFacts, start: At) -> EventFacts:
    """Return the event as it is when it begins at another moment: one of a series, with no rules of its own."""
    end = start.moved(facts.start.until(facts.end))
    zoned = At(end.seconds, facts.end.zone, end.day)
    return msgspec.structs.replace(facts, start=start, end=zoned, recurrence=())


_SHAPES = {
    "recurrence": tuple[str, ...],
    "reminders": tuple[tuple[str, int], ...] | None,
    "attachments": tuple[tuple[str, str], ...],
    "source": tuple[str, str] | None,
    "own_properties": tuple[tuple[str, str], ...],
    "shared_properties": tuple[tuple[str, str], ...],
    "organizer": Organizer | None,
}


def facts_from(fields: dict[str, object], zone: str, start: EventFacts) -> EventFacts:
    """Build facts from control input: moments as `moments.moment` reads them, guests as addresses or in full.

    An event whose start is given without an end keeps its length, or lasts a day when it becomes a whole day.

    Raises: ValueError for an unknown field, msgspec.ValidationError for a wrong type.
    """
    unknown = set(fields) - set(EventFacts.__struct_fields__)
    if unknown:
        raise ValueError(f"An event has no field {sorted(unknown)}; it has {list(EventFacts.__struct_fields__)}.")
    values = dict(fields)
    if "start" in values:
        begins = moment(values["start"], zone)
        length = start.start.until(start.end)
        if "end" not in values:
            values["end"] = begins.moved(86_400 if begins.day and not start.start.day else length)
        values["start"] = begins
    if "end" in values and not isinstance(values["end"], At):
        values["end"] = moment(values["end"], zone)
    if isinstance(values.get("guests"), list | tuple):
        values["guests"] = tuple(
            Guest(one) if isinstance(one, str) else msgspec.convert(one, Guest)
            for one in values["guests"]  # type: ignore[attr-defined]
        )
    for name, shape in _SHAPES.items():
        if name in values:
            values[name] = msgspec.convert(values[name], shape)
    made = msgspec.structs.replace(start, **values)
    if (made.start.day is None) != (made.end.day is None) or made.start.until(made.end) < 0:
        raise ValueError("An event ends as it begins, with a day or with a time, and never before its start.")
    return msgspec.convert(msgspec.to_builtins(made), EventFacts)

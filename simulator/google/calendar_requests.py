"""What a call of the Calendar API may ask for: parameters, sizes, windows, and what a sync token does not go with.

It answers nothing.
Source: the provider sheet, sections 6.1 and 6.2, and the Calendar discovery document, revision 20261030.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from simulator.google.errors import GoogleError, invalid_argument
from simulator.google.parameters import Kind, Parameters
from simulator.opaque import fingerprint
from simulator.world.event_facts import Kind as EventKind
from simulator.world.moments import zone_info

EVENTS: dict[str, Kind] = {
    "alwaysIncludeEmail": "flag", "eventTypes": "many", "iCalUID": "text", "maxAttendees": "integer",
    "maxResults": "integer", "orderBy": "text", "pageToken": "text", "privateExtendedProperty": "many", "q": "text",
    "sharedExtendedProperty": "many", "showDeleted": "flag", "showHiddenInvitations": "flag", "singleEvents": "flag",
    "syncToken": "text", "timeMax": "text", "timeMin": "text", "timeZone": "text", "updatedMin": "text",
}  # fmt: skip
INSTANCES: dict[str, Kind] = {
    "alwaysIncludeEmail": "flag", "maxAttendees": "integer", "maxResults": "integer", "originalStart": "text",
    "pageToken": "text", "showDeleted": "flag", "timeMax": "text", "timeMin": "text", "timeZone": "text",
}  # fmt: skip
ONE: dict[str, Kind] = {"alwaysIncludeEmail": "flag", "maxAttendees": "integer", "timeZone": "text"}
LIST: dict[str, Kind] = {
    "maxResults": "integer", "minAccessRole": "text", "pageToken": "text", "showDeleted": "flag", "showHidden": "flag",
    "showOwnOrganizationOnly": "flag", "syncToken": "text",
}  # fmt: skip
_KINDS = get_args(EventKind)
_NOT_WITH_TOKEN = ("iCalUID", "orderBy", "privateExtendedProperty", "sharedExtendedProperty", "q", "timeMin", "timeMax",
                   "updatedMin")  # fmt: skip
_WITHOUT_TOKEN = frozenset(_NOT_WITH_TOKEN) - {"timeMin", "timeMax"}
EVENTS_PAGE, EVENTS_DEFAULT, LIST_PAGE, LIST_DEFAULT = 2_500, 250, 250, 100


@dataclass(frozen=True, slots=True)
class Query:
    """One call of events.list; instants are seconds since 1970.

    `constants` are what a sync token is bound to, `print` is what a page token is bound to. `ends_in_token` is false
    for lists that cannot be synced from.
    """

    size: int
    single: bool
    deleted: bool
    hidden_invitations: bool
    kinds: frozenset[str]
    begins_before: int | None
    ends_after: int | None
    changed_since: float | None
    words: tuple[str, ...]
    uid: str | None
    order: str
    zone: str | None
    guests_at_most: int | None
    own_properties: tuple[tuple[str, str], ...]
    shared_properties: tuple[tuple[str, str], ...]
    sync_token: str | None
    page_token: str | None
    constants: str = ""
    print: str = ""
    ends_in_token: bool = field(default=True)

    @property
    def takes_all(self) -> bool:
        """Whether every event is listed as it is, but for invitations that are hidden."""
        searches = (self.kinds, self.words, self.uid, self.own_properties, self.shared_properties)
        return not self.single and not any(searches)


def read_events(given: Parameters, oversized: Literal["clamp", "reject"], *, size_is_bound: bool) -> Query:
    """Read the parameters of events.list.

    Raises: GoogleError 400.
    """
    if given.text("syncToken"):
        refuse_with_token(given, _NOT_WITH_TOKEN, ("showDeleted",))
    single = given.flag("singleEvents")
    order = given.one_of("orderBy", ("startTime", "updated"), "updated") if given.given("orderBy") else "none"
    if order == "startTime" and not single:
        raise invalid_argument("The requested ordering is not available for the particular query.", "orderBy")
    before, after = instant(given, "timeMax"), instant(given, "timeMin")
    if before is not None and after is not None and before <= after:
        raise GoogleError(400, "The specified time range is empty.", "timeRangeEmpty", "calendar",
                          ("parameter", "timeMax"))  # fmt: skip
    kinds = frozenset(given.many("eventTypes"))
    if not kinds <= set(_KINDS):
        raise invalid_argument(f"Invalid value: {min(kinds - set(_KINDS))}", "eventTypes")
    size = page_size(given, EVENTS_PAGE, EVENTS_DEFAULT, oversized)
    hidden, zone, guests = given.flag("showHiddenInvitations"), time_zone(given), guests_at_most(given)
    bound = (single, sorted(kinds), hidden, zone, guests, size if size_is_bound else None)
    since = instant(given, "updatedMin")
    properties = [
        tuple(_pair(one, name) for one in given.many(name))
        for name in ("privateExtendedProperty", "sharedExtendedProperty")
    ]
    narrowing = [given.many(name) for name in _NOT_WITH_TOKEN]
    return Query(
        size=size,
        single=single,
        deleted=given.flag("showDeleted"),
        hidden_invitations=hidden,
        kinds=kinds,
        begins_before=before,
        ends_after=after,
        changed_since=since,
        words=tuple((given.text("q") or "").casefold().split()),
        uid=given.text("iCalUID"),
        order=order,
        zone=zone,
        guests_at_most=guests,
        own_properties=properties[0],
        shared_properties=properties[1],
        sync_token=given.text("syncToken"),
        page_token=given.text("pageToken"),
        constants=fingerprint(*bound),
        print=fingerprint(*bound, size, given.flag("showDeleted"), narrowing),
        ends_in_token=not any(given.many(name) for name in _WITHOUT_TOKEN),
    )


def refuse_with_token(given: Parameters, never: tuple[str, ...], never_false: tuple[str, ...]) -> None:
    """Refuse what would make the state of a syncing client uncertain.

    Raises: GoogleError 400.
    """
    for name in never:
        if given.given(name):
            raise invalid_argument("Sync token cannot be used with query restrictions.", name)
    for name in never_false:
        if given.given(name) and not given.flag(name):
            raise invalid_argument(f"{name} cannot be false together with a sync token.", name)


def page_size(given: Parameters, most: int, default: int, oversized: Literal["clamp", "reject"]) -> int:
    """Return how many items a page has; more than the most is clamped, or refused where the switch says so.

    Raises: GoogleError 400.
    """
    size = given.integer("maxResults")
    if size is None:
        return default
    if size < 1 or (size > most and oversized == "reject"):
        raise invalid_argument(f"Invalid value {size}. Values must be within the range: [1, {most}]", "maxResults")
    return min(size, most)


def instant(given: Parameters, name: str) -> int | None:
    """Return a time that must have an offset.

    Raises: GoogleError 400.
    """
    text = given.text(name)
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None or "T" not in text.upper():
        raise invalid_argument("Bad Request", name)
    return int(read.timestamp())


def time_zone(given: Parameters) -> str | None:
    """Return the zone that the caller wants times in.

    Raises: GoogleError 400.
    """
    zone = given.text("timeZone")
    if zone is not None:
        try:
            zone_info(zone)
        except ValueError:
            raise invalid_argument("Invalid time zone definition.", "timeZone") from None
    return zone


def guests_at_most(given: Parameters) -> int | None:
    """Return how many guests the caller wants at most.

    Raises: GoogleError 400.
    """
    most = given.integer("maxAttendees")
    if most is not None and most < 1:
        raise invalid_argument(f"Invalid value {most}. Values must be at least 1.", "maxAttendees")
    return most


def _pair(text: str, name: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise invalid_argument(f"Invalid value: {text}", name)
    return key, value

"""What a call of the People API may ask for: its parameters, field masks, sources and orders, read strictly.

It answers nothing.
"""

from simulator.google.errors import invalid_argument
from simulator.google.parameters import Kind, Parameters

_SOURCES = tuple(
    "READ_SOURCE_TYPE_" + end for end in ("UNSPECIFIED", "PROFILE", "CONTACT", "DOMAIN_CONTACT", "OTHER_CONTACT")
)
ORDERS = ("LAST_MODIFIED_ASCENDING", "LAST_MODIFIED_DESCENDING", "FIRST_NAME_ASCENDING", "LAST_NAME_ASCENDING")
OTHER_FIELDS = frozenset({"emailAddresses", "metadata", "names", "phoneNumbers", "photos"})
LIST: dict[str, Kind] = {
    "personFields": "text", "readMask": "text", "pageSize": "integer", "pageToken": "text", "requestSyncToken": "flag",
    "syncToken": "text", "sortOrder": "text", "sources": "many", "requestMask.includeField": "text",
}  # fmt: skip
ONE: dict[str, Kind] = {"personFields": "text", "sources": "many", "requestMask.includeField": "text"}


def read_mask(given: Parameters, name: str, known: frozenset[str]) -> frozenset[str]:
    """Return the fields that the caller wants.

    Raises: GoogleError when there is none, or one that nobody knows.
    """
    text = given.text(name)
    if text is None:
        old = given.text("requestMask.includeField")
        if old is None:
            raise invalid_argument(f"{name} mask is required. Please specify one or more valid paths.", name)
        text = ",".join(part.removeprefix("person.") for part in old.split(","))
    mask = frozenset(part.strip() for part in text.split(","))
    unknown = sorted(mask - known)
    if unknown:
        raise invalid_argument(f'Invalid {name} mask path: "{unknown[0]}".', name)
    return mask


def read_sources(given: Parameters) -> list[str]:
    """Return the kinds of source that the caller wants.

    Raises: GoogleError for one that nobody knows.
    """
    sources = given.many("sources")
    for one in sources:
        if one not in _SOURCES:
            raise invalid_argument(f"Invalid value at 'sources' (TYPE_ENUM), \"{one}\"", "sources")
    return sources

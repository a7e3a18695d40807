"""The scopes that the simulated project may ask for, and which of them each method accepts.

Source: the provider sheet, section 1.3, and the discovery documents
(Gmail 20261005, People 20251117, Calendar 20261030).
"""

AUTH = "https://www.googleapis.com/auth/"
GMAIL_ALL = "https://mail.google.com/"

IDENTITY = frozenset({"openid", AUTH + "userinfo.email", AUTH + "userinfo.profile"})
_LONG_FORMS = {"email": AUTH + "userinfo.email", "profile": AUTH + "userinfo.profile"}

CONTACTS = frozenset({AUTH + "contacts", AUTH + "contacts.readonly"})
OTHER_CONTACTS = frozenset({AUTH + "contacts.other.readonly"})
PERSON = CONTACTS | OTHER_CONTACTS | {AUTH + "directory.readonly", AUTH + "userinfo.email", AUTH + "userinfo.profile"}
GMAIL_METADATA = AUTH + "gmail.metadata"
GMAIL_READ = frozenset({GMAIL_ALL, AUTH + "gmail.modify", AUTH + "gmail.readonly", GMAIL_METADATA})
GMAIL_BODIES = GMAIL_READ - {GMAIL_METADATA}
GMAIL_WRITE = frozenset({GMAIL_ALL, AUTH + "gmail.modify"})
GMAIL_PROFILE = GMAIL_READ | {AUTH + "gmail.compose"}
GMAIL_LABELS = GMAIL_READ | {AUTH + "gmail.labels"}
CALENDAR_LIST = frozenset(
    AUTH + "calendar" + end for end in ("", ".readonly", ".calendarlist", ".calendarlist.readonly")
)
CALENDARS = frozenset(
    AUTH + "calendar" + end for end in ("", ".readonly", ".app.created", ".calendars", ".calendars.readonly")
)
EVENTS_OWNED = frozenset({AUTH + "calendar.events.owned", AUTH + "calendar.events.owned.readonly"})
EVENTS = EVENTS_OWNED | {AUTH + "calendar" + end for end in ("", ".readonly", ".events", ".events.readonly")}

KNOWN = (
    IDENTITY | PERSON | GMAIL_PROFILE | GMAIL_LABELS | CALENDAR_LIST | CALENDARS | EVENTS
    | {AUTH + "gmail.send", AUTH + "gmail.insert", AUTH + "photospicker.mediaitems.readonly", AUTH + "adwords"}
)  # fmt: skip


def normalised(text: str) -> list[str]:
    """Return the scopes of a request in their long forms, each once, in the order given."""
    return list(dict.fromkeys(_LONG_FORMS.get(one, one) for one in text.split()))


def in_order(scopes: set[str] | frozenset[str]) -> str:
    """Return scopes as a token reply words them."""
    return " ".join(sorted(scopes))

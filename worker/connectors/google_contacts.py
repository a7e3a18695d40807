"""The stream `contacts` of a Google account: the People API's connections, what the person wrote themselves.

cursor      the page token of a pass, or the sync token after one; with the fingerprint of the request's parameters,
            since Google binds tokens to them
dies        seven days after its full pass (400 EXPIRED_SYNC_TOKEN or 410), or when our parameters change: a full pass
deletions   `metadata.deleted` under a sync token; a full pass by what it does not show
identity    `resourceName`, which changes when a contact is linked with a profile: `previousResourceNames` then names
            the old ones. The id of the contact's source is steadier, but a deleted contact may come without sources
limits      90 critical reads a minute and user (a setting); 1,000 contacts a page; at most 100 addresses and numbers
            a contact in lists, and the rest by a request of its own
known gaps  "other contacts" and the directory are not synced; photos by address only, default ones left out

Source: providers/google.md §5 and §10 (read 2026-11); https://developers.google.com/people/v1/contacts
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import msgspec

from worker.connectors import google_api
from worker.connectors.contract import Session
from worker.connectors.cursors import read_bound_cursor
from worker.errors import BadRecord, CrmSyncError, CursorExpired, NotFound, ProviderRefused, Transient
from worker.records import (
    FULL_PASS,
    Contact,
    EmailAddress,
    Kind,
    Organization,
    Page,
    Part,
    PartialDate,
    PhoneNumber,
    PostalAddress,
    Record,
    Refused,
)
from worker.transport.json_reply import read_items, read_json
from worker.transport.ports import Cost
from worker.transport.replies import Reply

SCOPE: Final = "https://www.googleapis.com/auth/contacts.readonly"
PERSON_FIELDS: Final = (
    "names,emailAddresses,phoneNumbers,organizations,addresses,birthdays,memberships,photos,urls,biographies,metadata"
)
PAGE_SIZE: Final = 1_000
SOURCES: Final = "READ_SOURCE_TYPE_CONTACT"
MOST_IN_LISTS: Final = 100
"""Lists cut a contact's addresses and numbers here (google.md §5.1)."""
COST: Final = (Cost(google_api.PEOPLE_USER.name),)
FINGERPRINT: Final = f"1|{PERSON_FIELDS}|{PAGE_SIZE}|{SOURCES}"


class _Source(msgspec.Struct):
    type: str = ""
    id: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    deleted: bool = False
    previous_resource_names: list[str] = []
    primary: bool = False


class _Name(msgspec.Struct, rename="camel"):
    display_name: str = ""
    given_name: str = ""
    family_name: str = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Email(msgspec.Struct, rename="camel"):
    value: str = ""
    type: str = ""
    display_name: str = ""


class _Phone(msgspec.Struct, rename="camel"):
    value: str = ""
    canonical_form: str = ""
    type: str = ""


class _Organization(msgspec.Struct):
    name: str = ""
    title: str = ""
    department: str = ""
    current: bool = False


class _Address(msgspec.Struct, rename="camel"):
    formatted_value: str = ""
    street_address: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    type: str = ""


class _Date(msgspec.Struct):
    year: int = 0
    month: int = 0
    day: int = 0


class _Birthday(msgspec.Struct):
    date: _Date | None = None


class _Group(msgspec.Struct, rename="camel"):
    contact_group_resource_name: str = ""


class _Membership(msgspec.Struct, rename="camel"):
    contact_group_membership: _Group | None = None


class _Photo(msgspec.Struct):
    url: str = ""
    default: bool = False


class _Text(msgspec.Struct):
    value: str = ""


class _Person(msgspec.Struct, rename="camel"):
    resource_name: str
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    names: list[_Name] = []
    email_addresses: list[_Email] = []
    phone_numbers: list[_Phone] = []
    organizations: list[_Organization] = []
    addresses: list[_Address] = []
    birthdays: list[_Birthday] = []
    memberships: list[_Membership] = []
    photos: list[_Photo] = []
    urls: list[_Text] = []
    biographies: list[_Text] = []


class _Connections(msgspec.Struct, rename="camel"):
    connections: list[_Person] = []
    next_page_token: str = ""
    next_sync_token: str = ""
    total_people: int = 0


class _RawConnections(msgspec.Struct, rename="camel"):
    connections: list[msgspec.Raw] = []
    next_page_token: str = ""
    next_sync_token: str = ""
    total_people: int = 0


class _Cursor(msgspec.Struct, omit_defaults=True):
    """Where a list resumes: `sync` is empty in a full pass, `page` is empty at the beginning of a list.

    `unsure` says that the pass met an item without a readable name: it may be one that we hold, so what the pass did
    not show is no proof that it is gone.
    """

    fingerprint: str
    page: str = ""
    sync: str = ""
    issued_at: datetime | None = None
    unsure: bool = False
    version: int = 1


def parts(_session: Session) -> Iterable[Part]:
    """An address book is one piece."""
    return (Part(),)


def pages(session: Session, _part: Part, cursor: bytes | None) -> Iterator[Page]:
    """The whole address book, or what has changed since the cursor.

    Raises:
        CursorExpired: the token is dead, or belongs to another list of fields.
    """
    place = read_bound_cursor(cursor, _Cursor, FINGERPRINT) if cursor is not None else _Cursor(FINGERPRINT)
    tokens = google_api.PageTokens()
    while True:
        page, place = _page(session, _ask(session, place), place, tokens)
        yield page
        if not page.more:
            return


def parse_page(body: bytes) -> tuple[_Connections, tuple[Refused, ...]]:
    """A list reply. A page is read in one go; only one that holds a malformed contact is read contact by contact."""
    try:
        return read_json(body, _Connections), ()
    except BadRecord:
        raw = read_json(body, _RawConnections)
    people: list[_Person] = []
    refused: list[Refused] = []
    for number, person in read_items(raw.connections, _Person):
        if isinstance(person, BadRecord):
            refused.append(Refused(_name_of(raw.connections[number], number), person.reason, str(person)))
        else:
            people.append(person)
    whole = _Connections(people, raw.next_page_token, raw.next_sync_token, raw.total_people)
    return whole, tuple(refused)


def contact_of(person: _Person) -> Contact:
    """A person in normal form. Pure."""
    name = next((name for name in person.names if name.metadata.primary), None)
    name = name or (person.names[0] if person.names else _Name())
    birthday = next((item.date for item in person.birthdays if item.date is not None), None)
    picture = next((photo.url for photo in person.photos if photo.url and not photo.default), "")
    return Contact(
        display_name=name.display_name,
        given_name=name.given_name,
        family_name=name.family_name,
        emails=tuple(EmailAddress(value=e.value, type=e.type, name=e.display_name) for e in person.email_addresses),
        phones=tuple(PhoneNumber(value=p.value, canonical=p.canonical_form, type=p.type) for p in person.phone_numbers),
        organizations=tuple(
            Organization(name=o.name, title=o.title, department=o.department, current=o.current)
            for o in person.organizations
        ),
        addresses=tuple(
            PostalAddress(
                formatted=a.formatted_value,
                street=a.street_address,
                city=a.city,
                region=a.region,
                postal_code=a.postal_code,
                country=a.country,
                type=a.type,
            )
            for a in person.addresses
        ),
        birthday=PartialDate(year=birthday.year, month=birthday.month, day=birthday.day) if birthday else None,
        urls=tuple(url.value for url in person.urls if url.value),
        notes=tuple(note.value for note in person.biographies if note.value),
        groups=tuple(
            membership.contact_group_membership.contact_group_resource_name
            for membership in person.memberships
            if membership.contact_group_membership is not None
        ),
        picture_url=picture,
        truncated=_is_cut(person),
    )


def _ask(session: Session, place: _Cursor) -> bytes:
    connections = google_api.SERVICES.of("people", "v1", "people", "connections")
    arguments = {"pageToken": place.page} if place.page else {}
    if place.sync:
        arguments["syncToken"] = place.sync
    request = connections.list(
        resourceName="people/me",
        personFields=PERSON_FIELDS,
        pageSize=PAGE_SIZE,
        requestSyncToken=True,
        sources=SOURCES,
        **arguments,
    )

    def judge(reply: Reply) -> CrmSyncError | None:
        error = google_api.classify(reply)
        if isinstance(error, ProviderRefused) and reply.status == 400 and arguments:
            # A token too old for Google to name the reason: INVALID_ARGUMENT, as for a page token of last week.
            return CursorExpired("Google refused a request that differs from the first one by its token only.")
        return error

    body: bytes = request.execute(http=session.http.google_http(costs=COST, classify=judge))
    return body


def _page(session: Session, body: bytes, place: _Cursor, tokens: google_api.PageTokens) -> tuple[Page, _Cursor]:
    listed, refused = parse_page(body)
    more = bool(listed.next_page_token)
    unsure = place.unsure or any(item.key.startswith(_NAMELESS) for item in refused)
    if more:
        following = msgspec.structs.replace(place, page=tokens.next(listed.next_page_token), unsure=unsure)
    elif listed.next_sync_token:
        following = _Cursor(FINGERPRINT, sync=listed.next_sync_token, issued_at=session.now())
    else:
        raise Transient("Google ended the list without a sync token.")
    records = [_record(session, person) for person in listed.connections if not person.metadata.deleted]
    page = Page(
        records=tuple(records),
        tombstones=tuple(person.resource_name for person in listed.connections if person.metadata.deleted),
        refused=refused,
        cursor=msgspec.json.encode(following),
        more=more,
        covers=None if place.sync or unsure else FULL_PASS,
        total_hint=listed.total_people or None,
    )
    return page, following


def _record(session: Session, person: _Person) -> Record:
    if _is_cut(person):
        person = _whole(session, person)
    previous = tuple([name for name in person.metadata.previous_resource_names if name != person.resource_name])
    return Record(person.resource_name, Kind.CONTACT, contact_of(person), previous)


def _is_cut(person: _Person) -> bool:
    return len(person.email_addresses) == MOST_IN_LISTS or len(person.phone_numbers) == MOST_IN_LISTS


def _whole(session: Session, person: _Person) -> _Person:
    """The same contact with all its addresses and numbers; as it was listed, if it has gone meanwhile."""
    request = google_api.SERVICES.of("people", "v1", "people").get(
        resourceName=person.resource_name, personFields="emailAddresses,phoneNumbers", sources=SOURCES
    )
    http = session.http.google_http(costs=COST, classify=google_api.classify)
    try:
        rest = read_json(request.execute(http=http), _Person)
    except (NotFound, BadRecord):
        return person
    return msgspec.structs.replace(person, email_addresses=rest.email_addresses, phone_numbers=rest.phone_numbers)


class _Named(msgspec.Struct, rename="camel"):
    resource_name: str = ""


_NAMELESS: Final = "item "


def _name_of(raw: msgspec.Raw, number: int) -> str:
    try:
        return msgspec.json.decode(raw, type=_Named).resource_name or f"{_NAMELESS}{number}"
    except (msgspec.MsgspecError, RecursionError):
        return f"{_NAMELESS}{number}"

"""What connectors produce: records in one normal form, tombstones, and pages that carry them.

A record's body is a frozen msgspec struct. Its normal form is the body's JSON with sorted keys; the engine
seals that, and recognises an unchanged record by an HMAC over it. Everything here is plain data: no module
of this file reads, writes or decides.

What stands for one record is a struct that the garbage collector need not look through, since a page has thousands.

Keys are the provider's own ids as text. They may be personal (a calendar's id is an address), so the store
only ever sees HMACs of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from datetime import date as Date  # noqa: N812 - a field is named `date`
from enum import StrEnum
from typing import Literal

import msgspec

from worker.measures import CampaignDay, Slice


class Purpose(StrEnum):
    """What the data may be used for. A stream runs only under a purpose that its connection holds."""

    CONTACTS = "contacts"
    MAIL = "mail"
    CALENDAR = "calendar"
    CAMPAIGN_STATS = "campaign_stats"
    ASSETS = "assets"


class Kind(StrEnum):
    """Kinds of records. All but campaign days, which are measures, are documents."""

    PROFILE = "profile"
    CONTACT = "contact"
    MESSAGE = "message"
    EVENT = "event"
    AD_ACCOUNT = "ad_account"
    CAMPAIGN = "campaign"
    CAMPAIGN_DAY = "campaign_day"


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The parent of all normal forms."""


class EmailAddress(Body, frozen=True):
    """An address as the provider holds it; `type` is the provider's label, such as `work`."""

    value: str
    type: str = ""
    name: str = ""


class PhoneNumber(Body, frozen=True):
    """A number as the provider holds it; `canonical` is E.164 where the provider gives it, else empty."""

    value: str
    canonical: str = ""
    type: str = ""


class Organization(Body, frozen=True):
    """Where a contact works."""

    name: str = ""
    title: str = ""
    department: str = ""
    current: bool = False


class PostalAddress(Body, frozen=True):
    """A postal address; `formatted` is the provider's own rendering."""

    formatted: str = ""
    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    type: str = ""


class PartialDate(Body, frozen=True):
    """A date whose parts may be unknown (a birthday without a year): 0 means unknown."""

    year: int = 0
    month: int = 0
    day: int = 0


class Profile(Body, frozen=True):
    """The connected account itself."""

    email: str = ""
    name: str = ""
    picture_url: str = ""
    locale: str = ""


class Contact(Body, frozen=True):
    """A person in an address book. `provider_id` as for a message."""

    provider_id: str = ""
    display_name: str = ""
    given_name: str = ""
    family_name: str = ""
    emails: tuple[EmailAddress, ...] = ()
    phones: tuple[PhoneNumber, ...] = ()
    organizations: tuple[Organization, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()
    birthday: PartialDate | None = None
    urls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    picture_url: str = ""
    truncated: bool = False


class Attachment(Body, frozen=True):
    """What is attached to a message, without its bytes. `part_id` is its place in the message."""

    part_id: str
    filename: str = ""
    mime_type: str = ""
    size_bytes: int = 0
    content_id: str = ""


class Message(Body, frozen=True):
    """One mail. `html` is sanitised and has no remote pictures; `flags` names what had to be repaired or cut.

    `provider_id` is the provider's own id, where it takes that to ask whether the mail is still there.
    """

    provider_id: str = ""
    thread_id: str = ""
    rfc_message_id: str = ""
    in_reply_to: str = ""
    subject: str = ""
    sender: EmailAddress | None = None
    reply_to: tuple[EmailAddress, ...] = ()
    to: tuple[EmailAddress, ...] = ()
    cc: tuple[EmailAddress, ...] = ()
    bcc: tuple[EmailAddress, ...] = ()
    sent_at: datetime | None = None
    received_at: datetime | None = None
    labels: tuple[str, ...] = ()
    snippet: str = ""
    text: str = ""
    html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    flags: tuple[str, ...] = ()


class Attendee(Body, frozen=True):
    """Somebody at an event."""

    email: str = ""
    name: str = ""
    response: str = ""
    optional: bool = False
    organizer: bool = False
    self_: bool = msgspec.field(default=False, name="self")
    resource: bool = False


class When(Body, frozen=True):
    """A moment, or a whole day (`date`); `time_zone` is the IANA name that the provider gave."""

    at: datetime | None = None
    date: Date | None = None
    time_zone: str = ""


class Event(Body, frozen=True):
    """A calendar entry: a single one, a series' master (`recurrence`), or an exception (`series_id`).

    `provider_id` as for a message.
    """

    provider_id: str = ""
    calendar_id: str = ""
    ical_uid: str = ""
    series_id: str = ""
    original_start: When | None = None
    status: str = ""
    summary: str = ""
    description: str = ""
    location: str = ""
    starts: When | None = None
    ends: When | None = None
    recurrence: tuple[str, ...] = ()
    organizer: Attendee | None = None
    attendees: tuple[Attendee, ...] = ()
    attendees_omitted: bool = False
    event_type: str = ""
    visibility: str = ""
    meeting_url: str = ""
    updated_at: datetime | None = None


class AdAccount(Body, frozen=True):
    """An advertising account. A manager has no campaigns of its own; `reached_through` is the one that we act as."""

    account_id: str
    name: str = ""
    currency: str = ""
    time_zone: str = ""
    status: str = ""
    manager: bool = False
    hidden: bool = False
    test: bool = False
    reached_through: str = ""


class Campaign(Body, frozen=True):
    """A campaign of an advertising account. `daily_budget_micros` is in the account's currency."""

    account_id: str
    campaign_id: str
    name: str = ""
    status: str = ""
    channel: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    daily_budget_micros: int = 0
    currency: str = ""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One synced thing. `previous_keys` are older ids under which the provider showed the same thing.

    `part` is the key of the part in which it is now, if that is another one than the one that is being read: a mail
    that was moved to another folder, say. Only a stream that has `whereabouts` may name one.
    """

    key: str
    kind: Kind
    body: Body
    previous_keys: tuple[str, ...] = ()
    part: str | None = None


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A record that could not be taken: set aside and counted. `reason` is an error's slug; never content."""

    key: str
    reason: str
    detail: str = ""


FULL_PASS: Literal["full_pass"] = "full_pass"  # noqa: S105 - the name of a scope, no password
"""The value of `Page.covers` on every page of a pass that lists the whole part from its beginning."""

Covers = Literal["full_pass"] | Slice


@dataclass(frozen=True, slots=True)
class Page:
    """What a connector yields: one page of a part.

    `cursor` is where the part resumes once this page is committed; opaque to all but its connector. `more` says
    that this run has further pages. `covers` names a scope that is held whole once a page with `more=False`
    comes (`FULL_PASS`), or that this page holds whole (a `Slice` of days). `measures` come with their slice only; a
    stream is of records or of measures, not of both. `not_before` parks the job until then.
    `present` names records that the provider still lists and whose content need not be read again, because
    `Session.known` said that we hold them and they never change. `skipped` counts items that the provider sent and
    that are deliberately not ours (a spam label, say). A key stands in one of the lists only.
    """

    records: tuple[Record, ...] = ()
    measures: tuple[CampaignDay, ...] = ()
    tombstones: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    present: tuple[str, ...] = ()
    cursor: bytes = b""
    more: bool = False
    covers: Covers | None = None
    not_before: datetime | None = None
    skipped: int = 0
    total_hint: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stream with its own cursor; `key` is the provider's id of it, empty if the stream is one piece.

    `carries` is what `pages` has to know of the part beyond its key; it is told anew by each run and kept nowhere.
    """

    key: str = ""
    label: str = ""
    gone: bool = False
    carries: Mapping[str, str] = field(default_factory=dict)


class SomeParts(tuple[Part, ...]):
    """Parts of a stream where others could not be listed for now: what is not among them is not gone."""

    __slots__ = ()


def date_of(body: Body) -> Date | None:
    """The record's own day, in UTC, by which rules of retention may count; None for what has none.

    A series of events goes on, so it has none either.
    """
    match body:
        case Message():
            moment = body.received_at or body.sent_at
            return _day(moment) if moment else None
        case Event(recurrence=()):
            ends = body.ends or body.starts
            return (_day(ends.at) if ends.at else ends.date) if ends else None
    return None


def _day(moment: datetime) -> Date:
    try:
        return moment.astimezone(UTC).date()
    except OverflowError:
        return moment.date()  # On the first or the last day that there is, in some time zone.


DATED = frozenset({Kind.MESSAGE, Kind.EVENT, Kind.CAMPAIGN_DAY})
"""Kinds whose records have a day of their own."""
LIES_AHEAD = frozenset({Kind.EVENT})
"""Kinds whose day may be in the future. That of a mail may not, whatever its sender wrote."""


class IdentifierKind(StrEnum):
    """By what a person can be looked up."""

    EMAIL = "email"
    PHONE = "phone"


class Identifier(msgspec.Struct, frozen=True, gc=False):
    """An address or a number found in a record; `canonical` is the provider's E.164 form, where given."""

    kind: IdentifierKind
    value: str
    canonical: str = ""


def identifiers_of(body: Body) -> Iterator[Identifier]:
    """Every address and number by which a person in `body` can be found again."""
    match body:
        case Contact():
            for phone in body.phones:
                yield Identifier(IdentifierKind.PHONE, phone.value, phone.canonical)
            yield from _emails(address.value for address in body.emails)
        case Message():
            people = (body.sender, *body.reply_to, *body.to, *body.cc, *body.bcc)
            yield from _emails(person.value for person in people if person is not None)
        case Event():
            people_at = (body.organizer, *body.attendees)
            yield from _emails(person.email for person in people_at if person is not None)
        case Profile():
            yield from _emails([body.email])


def _emails(values: Iterable[str]) -> Iterator[Identifier]:
    for value in values:
        if value:
            yield Identifier(IdentifierKind.EMAIL, value)


_ENCODER = msgspec.json.Encoder(order="sorted")
BODY_TYPES: dict[Kind, type[Body]] = {
    Kind.PROFILE: Profile,
    Kind.CONTACT: Contact,
    Kind.MESSAGE: Message,
    Kind.EVENT: Event,
    Kind.AD_ACCOUNT: AdAccount,
    Kind.CAMPAIGN: Campaign,
}


def normal_form(body: Body) -> bytes:
    """The JSON of `body` with keys in order: equal bodies give equal bytes."""
    return _ENCODER.encode(body)


def read_normal_form(kind: Kind, document: bytes) -> Body:
    """The inverse of `normal_form`.

    Raises:
        msgspec.ValidationError: `document` is no normal form of `kind`.
    """
    return msgspec.json.decode(document, type=BODY_TYPES[kind])

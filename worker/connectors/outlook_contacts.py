"""The stream `contacts` of a Microsoft account: each contact folder a part, by Graph's delta.

parts       the default folder and all others, however deep. The default one is in no list and is asked for by its name
cursor      the link of a folder's next round, or of the next page within one, with the ids still to be looked at
dies        410, or 400 on a link: that folder is passed in full, the others go on. No fixed age is promised
deletions   a removal is looked at before it is believed, for a contact that was moved is removed in its old folder;
            one that went to the bin is gone. Full passes by absence, each absent one looked at first
identity    Graph's immutable id: steady within the mailbox, new when a contact goes through an archive or an export
limits      10,000 requests in ten minutes and four at a time, for a mailbox; 500 contacts a page, 20 in a batch
known gaps  no photos; a birthday without a year comes with the year 1604, which is read as none (seen, not documented)

Source: providers/microsoft-linkedin.md §3 (read 2026-11); https://learn.microsoft.com/graph/api/contact-delta
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from worker.connectors import microsoft_api
from worker.connectors.contract import Session
from worker.connectors.microsoft_batch import whereabouts_of
from worker.connectors.microsoft_delta import Item, Place, Sorted, key_of, rounds
from worker.errors import BadRecord, SetAside
from worker.records import (
    Body,
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
from worker.transport.json_reply import read_json

SCOPE: Final = "Contacts.Read"
DEFAULT_FOLDER: Final = "contacts"
PAGE_SIZE: Final = 500
FIELDS: Final = (
    "id", "parentFolderId", "displayName", "givenName", "surname", "companyName", "jobTitle", "department",
    "emailAddresses", "businessPhones", "homePhones", "mobilePhone", "businessAddress", "homeAddress", "otherAddress",
    "birthday", "businessHomePage", "personalNotes", "categories",
)  # fmt: skip
SELECT: Final = ",".join(FIELDS)
FINGERPRINT: Final = f"1|{SELECT}"
_NO_YEAR: Final = 1604


class _Folder(msgspec.Struct, rename="camel"):
    id: str
    display_name: str | None = None


class _Email(msgspec.Struct):
    address: str | None = None
    name: str | None = None


class _Address(msgspec.Struct, rename="camel"):
    street: str | None = None
    city: str | None = None
    state: str | None = None
    country_or_region: str | None = None
    postal_code: str | None = None


class _Contact(msgspec.Struct, rename="camel"):
    id: str
    parent_folder_id: str | None = None
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    company_name: str | None = None
    job_title: str | None = None
    department: str | None = None
    email_addresses: list[_Email] | None = None
    business_phones: list[str] | None = None
    home_phones: list[str] | None = None
    mobile_phone: str | None = None
    business_address: _Address | None = None
    home_address: _Address | None = None
    other_address: _Address | None = None
    birthday: datetime | None = None
    business_home_page: str | None = None
    personal_notes: str | None = None
    categories: list[str] | None = None


class _Where(msgspec.Struct, rename="camel"):
    parent_folder_id: str = ""


def parts(session: Session) -> Iterator[Part]:
    """The contact folders of the account."""
    select = (("$select", "id,displayName"),)
    address = f"{microsoft_api.ROOT}/me/contactFolders"
    default = read_json(microsoft_api.get(session, f"{address}/{DEFAULT_FOLDER}", params=select), _Folder)
    yield Part(default.id, default.display_name or "")
    seen = {default.id}
    waiting = [address, f"{address}/{quote(default.id, safe='')}/childFolders"]
    while waiting:
        for folder in microsoft_api.whole_list(session, waiting.pop(0), _Folder, select):
            if folder.id not in seen:
                seen.add(folder.id)
                waiting.append(f"{address}/{quote(folder.id, safe='')}/childFolders")
                yield Part(folder.id, folder.display_name or "")


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """A whole folder, or what has changed in it since the cursor; errors as `microsoft_delta.rounds`."""
    yield from rounds(session, part, cursor, _Folders(session))


def whereabouts(session: Session, bodies: Sequence[Body]) -> list[str | Refused | None]:
    """The folder in which each contact is now, or None."""
    keys = [body.provider_id if isinstance(body, Contact) else "" for body in bodies]
    folders = _Folders(session)

    def read(_: str, body: bytes) -> str | None:
        folder = read_json(body, _Where).parent_folder_id
        return folder if folders.holds(folder) else None

    paths = {key: f"{_path(key)}?$select=id,parentFolderId" for key in keys if key}
    where = whereabouts_of(session, paths, read)
    return [where.get(key) for key in keys]


class _Folders:
    """The contacts of a folder as a list with rounds; which folders there are is asked for when it first matters."""

    fingerprint = FINGERPRINT
    page_size = PAGE_SIZE
    prefer: tuple[str, ...] = ()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: set[str] = set()
        self._asked_for: set[str] = set()

    def begin(self, part: Part) -> tuple[str, Sequence[tuple[str, str]], None]:
        """The first address of a folder."""
        url = f"{microsoft_api.ROOT}/me/contactFolders/{quote(part.key, safe='')}/contacts/delta"
        return url, (("$select", SELECT),), None

    def sort(self, part: Part, items: Sequence[msgspec.Raw], place: Place) -> Sorted:
        """Whole contacts of this folder are taken as they come; the others are looked at."""
        del place
        return sort_contacts(part.key, items)

    def path(self, key: str) -> str:
        """A contact by its id."""
        return f"{_path(key)}?$select={SELECT}"

    def records(self, bodies: dict[str, bytes], place: Place) -> dict[str, Record | BadRecord | None]:
        """Contacts in the folder where they are now; None for the bin."""
        del place
        found: dict[str, Record | BadRecord | None] = {}
        for key, body in bodies.items():
            try:
                contact = read_json(body, _Contact)
            except SetAside as error:
                found[key] = BadRecord(str(error))
                continue
            folder = contact.parent_folder_id or ""
            held = self.holds(folder)
            found[key] = Record(key, Kind.CONTACT, contact_of(contact), part=folder) if held else None
        return found

    def holds(self, folder: str) -> bool:
        """Whether a folder is one of ours; a folder that is new since we looked is looked for once."""
        if folder and folder not in self._known and folder not in self._asked_for:
            self._known = {part.key for part in parts(self._session)}
            self._asked_for.add(folder)
        return folder in self._known


def sort_contacts(folder: str, items: Sequence[msgspec.Raw]) -> Sorted:
    """What can be taken as it stands, what must be looked at, what cannot be read. Pure."""
    found = Sorted()
    latest: dict[str, tuple[int, msgspec.Raw]] = {}
    for number, raw in enumerate(items):
        key = key_of(raw, number)
        found.skipped += key in latest
        latest[key] = (number, raw)  # The last occurrence counts.
    for key, (_, raw) in latest.items():
        if not is_whole(raw):
            if " " in key:
                found.refused.append(Refused(key, BadRecord.reason, "the item has no id"))
            else:
                found.pending.append(key)
            continue
        try:
            contact = msgspec.json.decode(raw, type=_Contact)
        except (msgspec.MsgspecError, RecursionError) as error:
            where = str(error).rpartition(" - at ")[2].strip("`")[:100]
            found.refused.append(Refused(key, BadRecord.reason, where or "the item"))
            continue
        if contact.parent_folder_id == folder:
            found.records.append(Record(key, Kind.CONTACT, contact_of(contact)))
        else:
            found.pending.append(key)
    return found


def is_whole(raw: msgspec.Raw) -> bool:
    """Whether an item came with every field that we ask for, rather than with what changed. Pure."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        return "@removed" not in fields and fields.keys() >= set(FIELDS) and bool(msgspec.json.decode(raw, type=Item))
    except (msgspec.MsgspecError, RecursionError):
        return False


def contact_of(found: _Contact) -> Contact:
    """A contact in normal form. Pure."""
    phones = [("work", number) for number in found.business_phones or ()]
    phones += [("home", number) for number in found.home_phones or ()]
    phones += [("mobile", found.mobile_phone or "")]
    company = Organization(
        name=found.company_name or "", title=found.job_title or "", department=found.department or "", current=True
    )
    addresses = (
        ("work", found.business_address),
        ("home", found.home_address),
        ("other", found.other_address),
    )
    return Contact(
        provider_id=found.id,
        display_name=found.display_name or "",
        given_name=found.given_name or "",
        family_name=found.surname or "",
        emails=tuple(
            EmailAddress(value=email.address, name=email.name or "")
            for email in found.email_addresses or ()
            if email.address
        ),
        phones=tuple(PhoneNumber(value=number, type=type_) for type_, number in phones if number),
        organizations=(company,) if company.name or company.title or company.department else (),
        addresses=tuple(_address(type_, address) for type_, address in addresses if address and _any(address)),
        birthday=_birthday(found.birthday),
        urls=(found.business_home_page,) if found.business_home_page else (),
        notes=(found.personal_notes,) if found.personal_notes else (),
        groups=tuple(sorted(found.categories or ())),
    )


def _any(address: _Address) -> bool:
    return any(getattr(address, name) for name in address.__struct_fields__)


def _address(type_: str, found: _Address) -> PostalAddress:
    return PostalAddress(
        street=found.street or "",
        city=found.city or "",
        region=found.state or "",
        postal_code=found.postal_code or "",
        country=found.country_or_region or "",
        type=type_,
    )


def _birthday(moment: datetime | None) -> PartialDate | None:
    """Microsoft gives a moment around noon of the day, in UTC."""
    if moment is None:
        return None
    return PartialDate(year=0 if moment.year == _NO_YEAR else moment.year, month=moment.month, day=moment.day)


def _path(key: str) -> str:
    return f"/me/contacts/{quote(key, safe='')}"

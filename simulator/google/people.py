"""The People API: connections with sync tokens, single people, contact groups and other contacts.

    full      no syncToken ▶ pages over the book ▶ nextSyncToken on the last page, if it was requested
    sync      syncToken    ▶ pages over the change log, tombstones included ▶ a newer nextSyncToken
    token     (account, book, generation, fingerprint of the other parameters, number in the log, time of the full pass)

A token speaks for the time when its pass began, so what changes while a client pages is told by its next sync.
Writes are not played.
Source: the provider sheet, section 5.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from simulator.clock import DAY_S
from simulator.exchange import Reply, Request, json_reply
from simulator.google import scopes
from simulator.google.access import PEOPLE_FIRST_PAGE, PEOPLE_GROUPS, PEOPLE_READS, Access
from simulator.google.contact_groups import ContactGroups
from simulator.google.errors import GoogleError, error_info, invalid_argument, not_found
from simulator.google.parameters import Parameters
from simulator.google.people_requests import LIST, ONE, ORDERS, OTHER_FIELDS, read_mask, read_sources
from simulator.google.person import LIST_LIMIT, PERSON_FIELDS, own_profile, resource, resource_name, tombstone
from simulator.google.tokens import AccessToken
from simulator.opaque import Mint, fingerprint
from simulator.world import Account, World
from simulator.world.changes import ChangeLog
from simulator.world.contacts import AddressBook, Contact

SERVICE = "people.googleapis.com"
TOKEN_LIFE_S = 7 * DAY_S
_MAX_PAGE, _DEFAULT_PAGE, _MAX_BATCH = 1000, 100, 200


@dataclass(slots=True)
class PeopleSwitches:
    """How the service behaves where Google leaves room; set through the control door."""

    expired_status: int = 400
    incremental_extends_life: bool = False
    visibility_delay_s: float = 0.0
    short_pages: int = 0


@dataclass(frozen=True, slots=True)
class _Pass:
    """One call of a list, after its parameters were read."""

    account: Account
    book: AddressBook
    kind: str
    items_key: str
    mask: frozenset[str]
    page_size: int
    print: str
    sync_token: str | None
    wants_token: bool
    order: str
    groups: dict[str, str]


@dataclass(slots=True)
class _Encoded:
    """Encoded people by contact number, for one book and mask; an entry is good while its version is."""

    by_number: dict[int, tuple[int, bytes]] = field(default_factory=dict)


class People:
    """Serves people.googleapis.com."""

    def __init__(self, world: World, mint: Mint, access: Access, groups: ContactGroups) -> None:
        self.switches = PeopleSwitches()
        self._world = world
        self._mint = mint
        self._access = access
        self._groups = groups
        self._encoder = msgspec.json.Encoder()
        self._encoded: dict[tuple[int, str, frozenset[str]], _Encoded] = {}

    def handle(self, request: Request) -> Reply:
        """Serve a request.

        Raises: GoogleError.
        """
        if request.method != "GET":
            raise not_found("Method not found.")
        match request.segments:
            case ("v1", "people", "me", "connections"):
                return self._connections(request)
            case ("v1", "people:batchGet"):
                return self._batch_get(request)
            case ("v1", "people", name):
                return self._get(request, name)
            case ("v1", "otherContacts"):
                return self._other_contacts(request)
            case ("v1", "contactGroups"):
                token = self._admit(request, scopes.CONTACTS, PEOPLE_GROUPS)
                return self._groups.listed(request, token.account)
            case ("v1", "contactGroups", name):
                token = self._admit(request, scopes.CONTACTS, PEOPLE_GROUPS)
                return self._groups.get(request, token.account, name)
            case _:
                raise not_found("Method not found.")

    def warm(self, account: Account, mask: frozenset[str]) -> int:
        """Encode a whole book beforehand, so that a benchmark measures its client and not this."""
        call = self._outside_a_list(account, mask)
        return sum(1 for contact in account.contacts.from_number(0) if self._person(call, contact, former=False))

    def _admit(self, request: Request, allowed: frozenset[str], limit: str, units: int = 1) -> AccessToken:
        token = self._access.bearer(request)
        self._access.require(token, allowed, SERVICE)
        self._access.spend(request, token, user=limit, units=units)
        return token

    def _connections(self, request: Request) -> Reply:
        token = self._access.bearer(request)
        self._access.require(token, scopes.CONTACTS, SERVICE)
        given = Parameters(request, {key: kind for key, kind in LIST.items() if key != "readMask"})
        mask = read_mask(given, "personFields", PERSON_FIELDS)
        order = given.one_of("sortOrder", ORDERS, ORDERS[0])
        wants_token = given.flag("requestSyncToken")
        if order != ORDERS[0] and (wants_token or given.text("syncToken")):
            raise invalid_argument("Sort order cannot be used together with a sync token.", "sortOrder")
        call = self._pass(token.account, token.account.contacts, "CONTACT", given, mask, order)
        begins = wants_token and not given.text("pageToken") and not call.sync_token
        self._access.spend(request, token, user=PEOPLE_READS, units=1, also=PEOPLE_FIRST_PAGE if begins else None)
        return self._page(call, given.text("pageToken"))

    def _other_contacts(self, request: Request) -> Reply:
        token = self._admit(request, scopes.OTHER_CONTACTS, PEOPLE_READS)
        given = Parameters(
            request, {key: kind for key, kind in LIST.items() if key not in ("personFields", "sortOrder")}
        )
        mask = read_mask(given, "readMask", OTHER_FIELDS)
        return self._page(
            self._pass(token.account, token.account.others, "OTHER_CONTACT", given, mask, ORDERS[0]),
            given.text("pageToken"),
        )

    def _pass(
        self, account: Account, book: AddressBook, kind: str, given: Parameters, mask: frozenset[str], order: str
    ) -> _Pass:
        size = given.integer("pageSize") or _DEFAULT_PAGE
        if not 1 <= size <= _MAX_PAGE:
            raise invalid_argument("Page size must be between 1 and 1000.", "pageSize")
        sources = read_sources(given)
        return _Pass(
            account=account,
            book=book,
            kind=kind,
            items_key="connections" if kind == "CONTACT" else "otherContacts",
            mask=mask,
            page_size=min(size, self.switches.short_pages or size),
            print=fingerprint(kind, sorted(mask), sorted(sources), size, order),
            sync_token=given.text("syncToken"),
            wants_token=given.flag("requestSyncToken") or given.text("syncToken") is not None,
            order=order,
            groups=self._groups.ids(account),
        )

    def _page(self, call: _Pass, page_token: str | None) -> Reply:
        log = call.book.log
        since = self._read_sync_token(call) if call.sync_token else None
        if page_token:
            place = self._mint.read("people.page", page_token)
            wanted = (call.account.sub, call.print, since["seq"] if since else None)
            if place is None or (place["sub"], place["print"], place["from"]) != wanted:
                raise invalid_argument("Page token is invalid, or the parameters differ from those of the first page.")
        else:
            place = {"sub": call.account.sub, "print": call.print, "from": since["seq"] if since else None,
                     "until": self._visible(log, since), "after": since["seq"] if since else 0,
                     "began": self._world.clock.now()}  # fmt: skip
        if since:
            items, after = self._changed(call, place)
        elif call.order == ORDERS[0]:
            items, after = self._whole(call, place)
        else:
            items, after = self._sorted(call, place)
        ending: dict[str, Any] = {}
        if after is not None:
            ending["nextPageToken"] = self._mint.make("people.page", **{**place, "after": after})
        elif call.wants_token:
            full_at = since["full_at"] if since and not self.switches.incremental_extends_life else place["began"]
            ending["nextSyncToken"] = self._mint.make(
                "people.sync", sub=call.account.sub, print=call.print, seq=place["until"], generation=log.generation,
                full_at=full_at,
            )  # fmt: skip
        if not since:
            counts = {"totalPeople": call.book.alive, "totalItems": call.book.alive}
            ending |= counts if call.kind == "CONTACT" else {"totalSize": call.book.alive}
        head = b'"' + call.items_key.encode() + b'":[' + b",".join(items) + b"]" if items else b""
        tail = self._encoder.encode(ending)[1:-1]
        return Reply(200, b"{" + head + (b"," if head and tail else b"") + tail + b"}")

    def _visible(self, log: ChangeLog[int], since: dict[str, Any] | None) -> int:
        """Return the number up to which syncs tell of changes; with a delay the newest ones wait."""
        delay_s = self.switches.visibility_delay_s
        newest = log.reached(self._world.clock.now() - delay_s) if delay_s else log.last
        return max(newest, since["seq"] if since else 0)

    def _whole(self, call: _Pass, place: dict[str, Any]) -> tuple[list[bytes], int | None]:
        """Return one page of the whole book and the number to go on from."""
        items: list[bytes] = []
        for contact in call.book.from_number(place["after"]):
            if len(items) == call.page_size:
                return items, contact.number
            items.append(self._person(call, contact, former=False))
        return items, None

    def _sorted(self, call: _Pass, place: dict[str, Any]) -> tuple[list[bytes], int | None]:
        """Return one page in another order; such a list cannot be synced, so it is sorted anew for each page."""
        facts = call.book.facts
        keys: dict[str, Callable[[Contact], Any]] = {
            "LAST_MODIFIED_DESCENDING": lambda contact: -contact.updated_at,
            "FIRST_NAME_ASCENDING": lambda contact: facts(contact).given_name,
            "LAST_NAME_ASCENDING": lambda contact: facts(contact).family_name,
        }
        ordered = sorted(call.book.from_number(0), key=keys[call.order])
        start, end = place["after"], place["after"] + call.page_size
        items = [self._person(call, contact, former=False) for contact in ordered[start:end]]
        return items, end if end < len(ordered) else None

    def _changed(self, call: _Pass, place: dict[str, Any]) -> tuple[list[bytes], int | None]:
        """Return one page of what changed and the number in the log to go on from."""
        changes = call.book.log.between(place["after"], place["until"], call.page_size + 1)
        page = changes[: call.page_size]
        items = []
        for _, number in page:
            contact = call.book.at(number)
            if contact.deleted:
                items.append(self._encoder.encode(tombstone(contact, call.kind)))
            else:
                items.append(self._person(call, contact, former=True))
        return items, page[-1][0] if len(changes) > call.page_size else None

    def _person(self, call: _Pass, contact: Contact, *, former: bool) -> bytes:
        if former and contact.former:
            return self._encoder.encode(self._resource(call, contact, limit=LIST_LIMIT, former=True))
        key = (call.account.number, call.kind, call.mask)
        cache = self._encoded.get(key)
        if cache is None:
            cache = self._encoded[key] = _Encoded()
        known = cache.by_number.get(contact.number)
        if known is not None and known[0] == contact.version:
            return known[1]
        raw = self._encoder.encode(self._resource(call, contact, limit=LIST_LIMIT, former=False))
        cache.by_number[contact.number] = (contact.version, raw)
        return raw

    def _resource(self, call: _Pass, contact: Contact, *, limit: int | None, former: bool) -> dict[str, Any]:
        return resource(
            contact, call.book.facts(contact), call.mask, kind=call.kind, limit=limit, former=former,
            groups=call.groups,
        )  # fmt: skip

    def _read_sync_token(self, call: _Pass) -> dict[str, Any]:
        """Return what a sync token carries.

        Raises: GoogleError 400 for a token that is no sync token or was made under other parameters; the error that
        tells an expired token apart, after seven days or when the control door expired all.
        """
        token = self._mint.read("people.sync", call.sync_token or "")
        if token is None or token["sub"] != call.account.sub:
            raise invalid_argument("Sync token is invalid.", "syncToken")
        if token["print"] != call.print:
            raise invalid_argument("Sync token cannot be used with parameters other than those it was made with.")
        age_s = self._world.clock.now() - token["full_at"]
        if token["generation"] != call.book.log.generation or age_s > TOKEN_LIFE_S:
            raise GoogleError(
                self.switches.expired_status,
                "Sync token is expired. Clear local cache and retry call without the sync token.",
                details=[error_info("EXPIRED_SYNC_TOKEN", SERVICE)],
                status_name="FAILED_PRECONDITION",
            )
        return token

    def _get(self, request: Request, name: str) -> Reply:
        token = self._admit(request, scopes.PERSON, PEOPLE_READS)
        given = Parameters(request, ONE)
        mask = read_mask(given, "personFields", PERSON_FIELDS)
        if name == "me":
            return json_reply(own_profile(token.account, mask))
        self._access.require(token, scopes.CONTACTS, SERVICE)
        contact = self._find(token.account, f"people/{name}")
        if contact is None:
            raise not_found()
        return json_reply(self._single(token.account, contact, mask))

    def _batch_get(self, request: Request) -> Reply:
        token = self._admit(request, scopes.CONTACTS, PEOPLE_READS)
        given = Parameters(request, {**ONE, "resourceNames": "many"})
        mask = read_mask(given, "personFields", PERSON_FIELDS)
        names = given.many("resourceNames")
        if not 1 <= len(names) <= _MAX_BATCH:
            raise invalid_argument("Between 1 and 200 resource names must be given.", "resourceNames")
        responses = []
        for name in names:
            contact = self._find(token.account, name)
            if name == "people/me":
                found: dict[str, Any] | None = own_profile(token.account, mask)
            else:
                found = self._single(token.account, contact, mask) if contact else None
            if found is None:
                status = {"code": 5, "message": "Requested entity was not found."}
                responses.append({"requestedResourceName": name, "httpStatusCode": 404, "status": status})
            else:
                responses.append({"requestedResourceName": name, "httpStatusCode": 200, "person": found, "status": {}})
        return json_reply({"responses": responses})

    def _find(self, account: Account, name: str) -> Contact | None:
        number = name.removeprefix("people/c")
        contact = account.contacts.named(int(number)) if number.isascii() and number.isdigit() else None
        return contact if contact is not None and not contact.deleted else None

    def _single(self, account: Account, contact: Contact, mask: frozenset[str]) -> dict[str, Any]:
        return self._resource(self._outside_a_list(account, mask), contact, limit=None, former=False)

    def _outside_a_list(self, account: Account, mask: frozenset[str]) -> _Pass:
        return _Pass(
            account,
            account.contacts,
            "CONTACT",
            "",
            mask,
            0,
            "",
            None,
            wants_token=False,
            order=ORDERS[0],
            groups=self._groups.ids(account),
        )


def person_name(contact: Contact) -> str:
    """Return a contact's resource name, for tests."""
    return resource_name(contact, "CONTACT")

"""The connector `tidepool`: one account of Tidepool, an address book that was invented for this example.

stream     purpose    API             what is synced
profile    (any)      GET /oauth/me   the account itself
contacts   contacts   People v2       the people of its address book

cursor      of `contacts`: where a list goes on (`after`), and from which state changes are asked for (`since`)
dies        when Tidepool forgot that state (410 cursor_expired): a full pass
deletions   people marked `deleted` among the changes; a full pass by what it does not show
limits      600 requests a minute for each account; 100 people a page
scopes      `people.read`: to read the address book; nothing can be changed with it
known gaps  pictures and groups are not synced

Source: https://tidepool.example/docs/people-v2 (invented, read 2026-11-26)
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import msgspec

from worker.connectors import cursors
from worker.connectors.contract import Connector, Facts, Option, Session, Stream
from worker.errors import (
    BadRecord,
    ConsentGone,
    CrmSyncError,
    CursorExpired,
    NotFound,
    ScopeMissing,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.records import (
    FULL_PASS,
    Contact,
    EmailAddress,
    Kind,
    Page,
    Part,
    PhoneNumber,
    Profile,
    Purpose,
    Record,
    Refused,
)
from worker.transport.json_reply import read_items, read_json
from worker.transport.ports import Budget, BudgetScope, Cost, OAuthFacts, Rotation
from worker.transport.replies import Reply

HOST: Final = "api.tidepool.example"
ACCOUNT: Final = f"https://{HOST}/oauth/me"
PEOPLE: Final = f"https://{HOST}/v2/people"
CHANGES: Final = f"https://{HOST}/v2/people/changes"
SCOPE: Final = "people.read"

# https://tidepool.example/docs/limits
REQUESTS: Final = Budget(
    "tidepool.requests", BudgetScope.USER, 600, timedelta(minutes=1), "https://tidepool.example/docs/limits"
)
COST: Final = (Cost(REQUESTS.name),)

# https://tidepool.example/docs/oauth
OAUTH: Final = OAuthFacts(
    authorize_url="https://tidepool.example/oauth/authorize",
    token_url=f"https://{HOST}/oauth/token",
    revoke_url=f"https://{HOST}/oauth/revoke",
    userinfo_url=ACCOUNT,
    issuer=None,
    jwks_url=None,
    identity_scopes=("account",),
    authorize_params=(),
    rotation=Rotation.NONE,
    revoke_ends_siblings=False,
    default_lifetime=timedelta(hours=1),
    consent_gone_codes=frozenset({"invalid_grant", "access_denied"}),
    admin_blocked_codes=frozenset(),
    misconfigured_codes=frozenset({"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope"}),
)

FACTS: Final = Facts(
    name="tidepool",
    title="Tidepool",
    family="tidepool",
    api_version="People v2",
    hosts=frozenset({HOST}),
    oauth=OAUTH,
    budgets=(REQUESTS,),
    purposes=(Purpose.CONTACTS,),
    scope_reasons={
        "account": "to know the account by an id that never changes, and to show its address",
        SCOPE: "to read the address book; nothing can be changed with it",
    },
    options=(Option("page_size", "tidepool_page_size", 100),),
    docs=("https://tidepool.example/docs/people-v2",),
)


class _Account(msgspec.Struct):
    sub: str
    email: str = ""
    name: str = ""


class _Person(msgspec.Struct):
    id: str
    name: str = ""
    emails: list[str] = []
    phones: list[str] = []
    note: str = ""
    deleted: bool = False


class _People(msgspec.Struct):
    """A page: `next` leads to the following one, `state` stands on the last one and is where changes begin."""

    people: list[msgspec.Raw] = []
    next: str = ""
    state: str = ""


class _Cursor(msgspec.Struct, omit_defaults=True):
    """Where a list goes on: `since` is empty in a full pass, `after` at the beginning of a list."""

    since: str = ""
    after: str = ""
    version: int = 1


class _Problem(msgspec.Struct):
    code: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Problem


# https://tidepool.example/docs/errors: each code to one error of ours. Texts are no contract and are not read.
CODES: Final[dict[str, type[CrmSyncError]]] = {
    "token_expired": TokenExpired,
    "access_ended": ConsentGone,
    "scope_missing": ScopeMissing,
    "slow_down": Throttled,
    "cursor_expired": CursorExpired,
    "no_such_person": NotFound,
    "busy": Transient,
}


def classify(reply: Reply) -> CrmSyncError | None:
    """The error that a reply's code names; None for what the table does not know, which the status then decides."""
    try:
        code = read_json(reply, _ErrorBody).error.code
    except CrmSyncError:
        return None
    kind = CODES.get(code)
    return kind(f"Tidepool says {code} ({reply.status}).") if kind is not None else None


def parse_people(items: list[msgspec.Raw]) -> tuple[list[_Person], tuple[Refused, ...]]:
    """The people of a page, each read by itself: one that cannot be read is set aside. Pure."""
    people: list[_Person] = []
    refused: list[Refused] = []
    for number, person in read_items(items, _Person):
        if isinstance(person, BadRecord):
            refused.append(Refused(_id_of(items[number], number), person.reason, str(person)))
        else:
            people.append(person)
    return people, tuple(refused)


class _OnlyId(msgspec.Struct):
    id: str


def _id_of(item: msgspec.Raw, number: int) -> str:
    try:
        return msgspec.json.decode(item, type=_OnlyId).id
    except msgspec.MsgspecError:
        return f"item {number}"


def contact_of(person: _Person) -> Contact:
    """A person in normal form. Pure."""
    return Contact(
        display_name=person.name,
        emails=tuple(EmailAddress(value=address) for address in person.emails),
        phones=tuple(PhoneNumber(value=number) for number in person.phones),
        notes=(person.note,) if person.note else (),
    )


def read_cursor(cursor: bytes | None) -> _Cursor:
    """A cursor of ours. Pure.

    Raises:
        CursorExpired: it is of a form that this release does not know.
    """
    if cursor is None:
        return _Cursor()
    place = cursors.read_cursor(cursor, _Cursor)
    if place.version != _Cursor().version:
        raise CursorExpired("The cursor is of another release.")
    return place


def parameters_of(place: _Cursor, page_size: int) -> list[tuple[str, str]]:
    """What a request for the page at `place` asks for. Pure."""
    asked = [("limit", str(page_size))]
    asked += [("since", place.since)] if place.since else []
    asked += [("after", place.after)] if place.after else []
    return asked


def profile_parts(_session: Session) -> Iterable[Part]:
    """An account is one piece."""
    return (Part(),)


def profile_pages(session: Session, _part: Part, _cursor: bytes | None) -> Iterator[Page]:
    """The account, whole each time: it is one small record."""
    account = read_json(session.http.send("GET", ACCOUNT, costs=COST, classify=classify), _Account)
    body = Profile(email=account.email, name=account.name)
    yield Page(records=(Record(account.sub, Kind.PROFILE, body),), cursor=b"whole", covers=FULL_PASS)


def contact_parts(_session: Session) -> Iterable[Part]:
    """An address book is one piece."""
    return (Part(),)


def contact_pages(session: Session, _part: Part, cursor: bytes | None) -> Iterator[Page]:
    """The whole address book, or what has changed since the cursor.

    Raises:
        CursorExpired: Tidepool forgot the state that changes are asked from.
        Transient: the list is broken: it ends without a state.
    """
    place = read_cursor(cursor)
    page_size = int(session.options["page_size"])
    while True:
        url, asked = CHANGES if place.since else PEOPLE, parameters_of(place, page_size)
        listed = read_json(session.http.send("GET", url, params=asked, costs=COST, classify=classify), _People)
        if not listed.next and not listed.state:
            raise Transient("Tidepool ended the list without a state.")
        following = _Cursor(place.since, listed.next) if listed.next else _Cursor(listed.state)
        yield page_of(listed, following, whole=not place.since)
        if not listed.next:
            return
        place = following


def page_of(listed: _People, following: _Cursor, *, whole: bool) -> Page:
    """One page of a list; `whole` says that it is of a full pass. Pure."""
    people, refused = parse_people(listed.people)
    unknown = any(item.key.startswith("item ") for item in refused)
    return Page(
        records=tuple(Record(each.id, Kind.CONTACT, contact_of(each)) for each in people if not each.deleted),
        tombstones=tuple(each.id for each in people if each.deleted),
        refused=refused,
        cursor=msgspec.json.encode(following),
        more=bool(following.after),
        # A person without a readable id may be one whom we hold: then what was not shown is no proof that it is gone.
        covers=FULL_PASS if whole and not unknown else None,
    )


CONNECTOR: Final = Connector(
    facts=FACTS,
    streams=(
        Stream(
            name="profile",
            purpose=None,
            kind=Kind.PROFILE,
            scopes=OAUTH.identity_scopes,
            interval=timedelta(days=1),
            parts=profile_parts,
            pages=profile_pages,
            full_pass_every=timedelta(0),
            deletions="none: the record is the account itself",
            cursor="none: read whole each time",
            single=True,
            deletes=False,
            incremental=False,
            cursor_dies=False,
        ),
        Stream(
            name="contacts",
            purpose=Purpose.CONTACTS,
            kind=Kind.CONTACT,
            scopes=(SCOPE,),
            interval=timedelta(minutes=15),
            parts=contact_parts,
            pages=contact_pages,
            deletions="people marked deleted among the changes; full passes by absence",
            cursor="Tidepool's state and page, dead when Tidepool forgot the state",
        ),
    ),
)

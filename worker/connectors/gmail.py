"""The connector `gmail`: one Google account, with purposes `contacts`, `mail` and `calendar`.

stream     purpose    API             what is synced
profile    (any)      OpenID          the account itself: address, name, picture
contacts   contacts   People v1       the address book; `google_contacts.py` has its cursor, deletions, limits, gaps

A person gives each purpose by itself, and no scope is asked for that their purposes do not need. Google's consent page
lets them leave out single scopes; the stream that lacks one says so and the others run.

Sources: providers/google.md (read 2026-11), and the pages of developers.google.com that it names.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import msgspec

from worker.connectors import google_api, google_contacts
from worker.connectors.contract import Connector, Facts, Session, Stream
from worker.records import FULL_PASS, Kind, Page, Part, Profile, Purpose, Record
from worker.transport.json_reply import read_json

_USERINFO: Final = "https://openidconnect.googleapis.com/v1/userinfo"

FACTS: Final = Facts(
    name="gmail",
    title="Google (Gmail, Contacts, Calendar)",
    family="google",
    api_version="people v1",
    hosts=frozenset({"openidconnect.googleapis.com", "people.googleapis.com"}),
    oauth=google_api.GOOGLE_OAUTH,
    budgets=(google_api.PEOPLE_USER,),
    budget_options={google_api.PEOPLE_USER.name: "google_people_reads_per_minute"},
    purposes=(Purpose.CONTACTS,),
    scope_reasons={
        "openid": "to know the account by an id that never changes",
        "email": "to show which account is connected",
        "profile": "to show the account's name and picture",
        google_contacts.SCOPE: "to read the address book; nothing can be changed with it",
    },
    docs=("https://developers.google.com/people/api/rest",),
)


class _UserInfo(msgspec.Struct):
    sub: str
    email: str = ""
    name: str = ""
    picture: str = ""
    locale: str = ""


def profile_parts(_session: Session) -> Iterable[Part]:
    """An account is one piece."""
    return (Part(),)


def profile_pages(session: Session, _part: Part, _cursor: bytes | None) -> Iterator[Page]:
    """The account, whole each time: it is one small record."""
    reply = session.http.send("GET", _USERINFO, classify=google_api.classify)
    info = read_json(reply, _UserInfo)
    body = Profile(email=info.email, name=info.name, picture_url=info.picture, locale=info.locale)
    yield Page(records=(Record(info.sub, Kind.PROFILE, body),), cursor=b"whole", covers=FULL_PASS)


CONNECTOR: Final = Connector(
    facts=FACTS,
    streams=(
        Stream(
            name="profile",
            purpose=None,
            kind=Kind.PROFILE,
            scopes=google_api.GOOGLE_OAUTH.identity_scopes,
            interval=timedelta(days=1),
            parts=profile_parts,
            pages=profile_pages,
            full_pass_every=timedelta(0),
            deletions="none: the record is the account itself",
            cursor="none: read whole each time",
        ),
        Stream(
            name="contacts",
            purpose=Purpose.CONTACTS,
            kind=Kind.CONTACT,
            scopes=(google_contacts.SCOPE,),
            interval=timedelta(minutes=15),
            parts=google_contacts.parts,
            pages=google_contacts.pages,
            deletions="tombstones under a sync token; full passes by absence",
            cursor="Google's sync token, dead after seven days without a full pass",
        ),
    ),
)

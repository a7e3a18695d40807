"""The connector `gmail`: one Google account, with purposes `contacts`, `mail` and `calendar`.

stream     purpose    API             what is synced
profile    (any)      OpenID          the account itself: address, name, picture
contacts   contacts   People v1       the address book: `google_contacts.py`
messages   mail       Gmail v1        the mailbox without Spam and Trash: `google_mail.py`
events     calendar   Calendar v3     the calendars of the account's list: `google_calendar.py`

Each of those files says how its cursor lives and dies, how deletions are learned, what the limits and the gaps are.

A person gives each purpose by itself, and no scope is asked for that their purposes do not need. Google's consent page
lets them leave out single scopes; the stream that lacks one says so and the others run.

Sources: providers/google.md (read 2026-11), and the pages of developers.google.com that it names.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import msgspec

from worker.connectors import google_api, google_calendar, google_contacts, google_mail
from worker.connectors.contract import Connector, Facts, Session, Stream
from worker.records import FULL_PASS, Kind, Page, Part, Profile, Purpose, Record
from worker.transport.json_reply import read_json

_USERINFO: Final = "https://openidconnect.googleapis.com/v1/userinfo"

FACTS: Final = Facts(
    name="gmail",
    title="Google (Gmail, Contacts, Calendar)",
    family="google",
    api_version="people v1, gmail v1, calendar v3",
    hosts=frozenset({"openidconnect.googleapis.com", "people.googleapis.com"})
    | google_mail.HOSTS
    | google_calendar.HOSTS,
    oauth=google_api.GOOGLE_OAUTH,
    budgets=(google_api.PEOPLE_USER, *google_mail.BUDGETS, *google_calendar.BUDGETS),
    budget_options={
        google_api.PEOPLE_USER.name: "google_people_reads_per_minute",
        **google_mail.BUDGET_OPTIONS,
    },
    options=(google_mail.WINDOW,),
    purposes=(Purpose.CONTACTS, Purpose.MAIL, Purpose.CALENDAR),
    scope_reasons={
        "openid": "to know the account by an id that never changes",
        "email": "to show which account is connected",
        "profile": "to show the account's name and picture",
        google_contacts.SCOPE: "to read the address book; nothing can be changed with it",
        google_mail.SCOPE: "to read mails with their texts; nothing can be sent, changed or deleted with it",
        **google_calendar.SCOPE_REASONS,
    },
    docs=(
        "https://developers.google.com/people/api/rest",
        "https://developers.google.com/workspace/gmail/api/reference/rest",
        "https://developers.google.com/workspace/calendar/api/v3/reference",
    ),
    setup=(
        *google_api.SETUP,
        "Switch on the People API, the Gmail API and the Google Calendar API for the project.",
        (
            "Have the brand verified (2 to 3 business days), then the scopes. Reading mail is a restricted scope: its "
            "review takes several weeks, and a security assessment (CASA) by a laboratory follows, to be repeated "
            "every 12 months; Google takes no fee, the laboratory does. Contacts and calendars need the review of "
            "sensitive scopes only."
        ),
        "Until it is verified, people see a warning, and at most 100 in all can connect.",
        (
            "In an organisation, its administrator may have to trust the app (Admin console, API controls); until then "
            "its people's connections are `blocked_by_admin`."
        ),
    ),
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
            single=True,
            deletes=False,
            incremental=False,
            cursor_dies=False,
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
        Stream(
            name="events",
            purpose=Purpose.CALENDAR,
            kind=Kind.EVENT,
            scopes=google_calendar.SCOPES,
            interval=timedelta(minutes=10),
            parts=google_calendar.parts,
            pages=google_calendar.pages,
            full_pass_every=google_calendar.FULL_PASS_EVERY,
            deletions="cancelled events under a sync token; full passes by absence",
            cursor="Google's sync token of each calendar; a page token within a pass",
        ),
        Stream(
            name="messages",
            purpose=Purpose.MAIL,
            kind=Kind.MESSAGE,
            scopes=(google_mail.SCOPE,),
            interval=timedelta(minutes=5),
            parts=google_mail.parts,
            pages=google_mail.pages,
            deletions="history, and mails that go to Spam or Trash; full passes by absence",
            cursor="Google's history id, dead after a week or so",
        ),
    ),
)

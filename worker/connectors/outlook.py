"""The connector `outlook`: one Microsoft account, personal or of an organisation.

stream     purpose    API             what is synced
profile    (any)      Graph v1.0      the account itself: address and name
contacts   contacts   Graph v1.0      the contact folders: `outlook_contacts.py`
messages   mail       Graph v1.0      the mail folders, without some: `outlook_mail.py`, `outlook_folders.py`
events     calendar   Graph v1.0      the calendars, in a window that moves along: `outlook_calendar.py`

Each of those files says how its cursor lives and dies, how deletions are learned, what the limits and the gaps are.

A person gives each purpose by itself, and no scope is asked for that their purposes do not need. Organisations mostly
let nobody but an administrator consent to mail: then the connection is `blocked_by_admin` until one has, and the person
connects it once more. Where an administrator consents for the whole organisation is told with that state. A refresh
brings a new refresh token each time. An app cannot give a grant back at Microsoft: a disconnect destroys our tokens,
and its receipt names the pages where the person takes the access away.

Sources: providers/microsoft-linkedin.md Part A (read 2026-11), and the pages of learn.microsoft.com that it names.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import msgspec

from worker.connectors import microsoft_api, outlook_calendar, outlook_contacts, outlook_mail
from worker.connectors.contract import Connector, Facts, Session, Stream
from worker.records import FULL_PASS, Kind, Page, Part, Profile, Purpose, Record
from worker.transport.json_reply import read_json

FACTS: Final = Facts(
    name="outlook",
    title="Microsoft (Outlook mail, contacts, calendar)",
    family="microsoft",
    api_version="graph v1.0",
    hosts=microsoft_api.HOSTS,
    oauth=microsoft_api.MICROSOFT_OAUTH,
    budgets=microsoft_api.BUDGETS,
    budget_options=microsoft_api.BUDGET_OPTIONS,
    options=(outlook_mail.WINDOW, outlook_calendar.BACK, outlook_calendar.AHEAD),
    purposes=(Purpose.CONTACTS, Purpose.MAIL, Purpose.CALENDAR),
    scope_reasons={
        "openid": "to sign in",
        "profile": "to show the account's name",
        "offline_access": "to sync while nobody is signed in",
        "User.Read": "to know the account by an id that never changes, and to show its address",
        outlook_contacts.SCOPE: "to read the contact folders; nothing can be changed with it",
        outlook_mail.SCOPE: "to read mails with their texts; nothing can be sent, changed or deleted with it",
        outlook_calendar.SCOPE: "to read the calendars; nothing can be changed with it",
    },
    setup=(
        (
            "In the Microsoft Entra admin centre, register an application for accounts in any organisation and "
            "personal accounts (or for your own kind of people only, with `CRM_SYNC_MICROSOFT_TENANT` to match)."
        ),
        (
            "Add a platform of the type «Web» with the redirect address exactly as `CRM_SYNC_REDIRECT_URI` has it. Not "
            "«Single-page application»: its refresh tokens end after 24 hours."
        ),
        "Add the delegated Graph permissions that the purposes need, from the table of scopes.",
        (
            "Make a client secret, note when it ends, and put the application's id and the secret into "
            "`CRM_SYNC_MICROSOFT_CLIENT_ID` and `CRM_SYNC_MICROSOFT_CLIENT_SECRET`. A secret that has ended stops "
            "every connection and disconnects none."
        ),
        (
            "Have the publisher verified. Since late 2025 most organisations let nobody but an administrator allow "
            "apps to read mail or calendars: expect connections that are `blocked_by_admin` until one has agreed."
        ),
        (
            "Show the address in `admin_consent_url` to the person whose connection is `blocked_by_admin`; there is no "
            "secret in it. `crm-sync connect` and `crm-sync connections` give it, `Client.connections`, and the entry "
            "`connection.state` of the feed. An administrator who opens it allows the app for the whole organisation, "
            "and is sent to your redirect address with `admin_consent=True` and the connection's id as `state`, and "
            "without a code: greet them there, and connect that connection once more. A block without that address is "
            "a rule of the organisation about devices, places or licences, which no consent lifts."
        ),
    ),
    docs=("https://learn.microsoft.com/graph/api/overview", "https://learn.microsoft.com/graph/delta-query-overview"),
)


class _Me(msgspec.Struct, rename="camel"):
    id: str
    display_name: str | None = None
    mail: str | None = None
    user_principal_name: str | None = None


def profile_parts(_session: Session) -> Iterable[Part]:
    """An account is one piece."""
    return (Part(),)


def profile_pages(session: Session, _part: Part, _cursor: bytes | None) -> Iterator[Page]:
    """The account, whole each time: it is one small record."""
    select = (("$select", "id,displayName,mail,userPrincipalName"),)
    me = read_json(microsoft_api.get(session, f"{microsoft_api.ROOT}/me", params=select), _Me)
    body = Profile(email=me.mail or me.user_principal_name or "", name=me.display_name or "")
    yield Page(records=(Record(me.id, Kind.PROFILE, body),), cursor=b"whole", covers=FULL_PASS)


CONNECTOR: Final = Connector(
    facts=FACTS,
    streams=(
        Stream(
            name="profile",
            purpose=None,
            kind=Kind.PROFILE,
            scopes=("User.Read",),
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
            scopes=(outlook_contacts.SCOPE,),
            interval=timedelta(minutes=15),
            parts=outlook_contacts.parts,
            pages=outlook_contacts.pages,
            whereabouts=outlook_contacts.whereabouts,
            deletions="removals, each looked at before it is believed; full passes by absence, likewise",
            cursor="Microsoft's delta link of each folder; no fixed age is promised",
        ),
        Stream(
            name="events",
            purpose=Purpose.CALENDAR,
            kind=Kind.EVENT,
            scopes=(outlook_calendar.SCOPE,),
            interval=timedelta(minutes=10),
            parts=outlook_calendar.parts,
            pages=outlook_calendar.pages,
            whereabouts=outlook_calendar.whereabouts,
            full_pass_every=outlook_calendar.FULL_PASS_EVERY,
            deletions="removals, each looked at before it is believed; full passes by absence, likewise, but for what "
            "lies before the window",
            cursor="Microsoft's delta link of each calendar's view, bound to a window; no fixed age is promised",
        ),
        Stream(
            name="messages",
            purpose=Purpose.MAIL,
            kind=Kind.MESSAGE,
            scopes=(outlook_mail.SCOPE,),
            interval=timedelta(minutes=5),
            parts=outlook_mail.parts,
            pages=outlook_mail.pages,
            whereabouts=outlook_mail.whereabouts,
            deletions="removals, each looked at before it is believed, and what goes to a folder that is left out; "
            "full passes by absence, likewise",
            cursor="Microsoft's delta link of each folder; no fixed age is promised",
        ),
    ),
)

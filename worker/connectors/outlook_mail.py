"""The stream `messages` of a Microsoft account: each mail folder a part, by Graph's delta.

parts       the mail folders, however deep, without those that `outlook_folders.py` leaves out
window      the setting `window_days` (0: all) says how far back the first pass of a folder reads; what is older is
            listed only, and what we hold of it stays. Graph could cut the window out itself, but then gives at most
            5,000 mails of it and says nothing of the rest. Mail that comes, moves or changes later is read whatever its
            date. A rule that ends mail sooner makes the window of the next full pass shorter
cursor      the link of a folder's next round, or of the next page within one, with the ids still to be looked at
dies        410, or 400 on a link: that folder is passed in full, and only what is new is read; the others go on
deletions   a removal is looked at before it is believed: a mail that was moved is removed in one folder and new in
            another, whichever is read first. Gone is what Microsoft does not have any more, and what lies in a folder
            that is left out. Full passes by absence, each absent mail looked at first; one at which Microsoft fails is
            kept, set aside, and asked about again by the next runs
identity    Graph's immutable id: steady within the mailbox, new in the archive mailbox and after an import
limits      10,000 requests in ten minutes and four at a time, for a mailbox; 500 ids a page, 20 mails in a batch, each
            a request; the names of what is attached are a second one
known gaps  a text has the one form that Microsoft keeps, HTML or plain; changes of categories in a time that Microsoft
            no longer tells are not seen until a mail changes again; attachments by name and size only; what a mail
            looked like before it was edited is not kept

Source: providers/microsoft-linkedin.md §3 (read 2026-11); https://learn.microsoft.com/graph/delta-query-messages
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

from worker.connectors import microsoft_api, outlook_message
from worker.connectors.contract import Option, Session
from worker.connectors.microsoft_batch import read_items, whereabouts_of
from worker.connectors.microsoft_delta import Place, Sorted, key_of, rounds
from worker.connectors.outlook_folders import MailFolders
from worker.errors import BadRecord, SetAside
from worker.records import Attachment, Body, Kind, Message, Page, Part, Record, Refused
from worker.transport.json_reply import read_json

SCOPE: Final = "Mail.Read"
WINDOW: Final = Option("window_days", "outlook_window_days", window_of=Kind.MESSAGE)
PAGE_SIZE: Final = 500
SELECT: Final = "id,receivedDateTime"
FINGERPRINT: Final = f"1|{SELECT}"


class _Item(msgspec.Struct, rename="camel"):
    id: str
    received_date_time: datetime | None = None
    removed: dict[str, Any] | None = msgspec.field(default=None, name="@removed")


class _Where(msgspec.Struct, rename="camel"):
    parent_folder_id: str = ""


def parts(session: Session) -> Iterator[Part]:
    """The mail folders of the account."""
    yield from _folders(session).parts()


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """A whole folder, or what has changed in it since the cursor; errors as `microsoft_delta.rounds`."""
    yield from rounds(session, part, cursor, _Mails(session))


def whereabouts(session: Session, bodies: Sequence[Body]) -> list[str | Refused | None]:
    """The folder in which each mail is now, or None."""
    keys = [body.provider_id if isinstance(body, Message) else "" for body in bodies]
    folders = MailFolders(session)

    def read(_: str, body: bytes) -> str | None:
        folder = read_json(body, _Where).parent_folder_id
        return folder if folders.name_of(folder) is not None else None

    paths = {key: f"{_path(key)}?$select=id,parentFolderId" for key in keys if key}
    where = whereabouts_of(session, paths, read)
    return [where.get(key) for key in keys]


class _Mails:
    """The mails of a folder as a list with rounds. The delta tells ids only; each mail is then read by its id."""

    fingerprint = FINGERPRINT
    page_size = PAGE_SIZE
    prefer: tuple[str, ...] = ()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folders = _folders(session)

    def begin(self, part: Part) -> tuple[str, Sequence[tuple[str, str]], datetime | None]:
        """The first address of a folder, and where its window begins."""
        days = int(self._session.options.get(WINDOW.name, 0))
        url = f"{microsoft_api.ROOT}/me/mailFolders/{quote(part.key, safe='')}/messages/delta"
        return url, (("$select", SELECT),), self._session.now() - timedelta(days=days) if days else None

    def sort(self, part: Part, items: Sequence[msgspec.Raw], place: Place) -> Sorted:
        """All that changed is looked at; in a full pass, what we hold is only noted, and what is old left alone."""
        found, dates = sort_mails(items)
        if not place.full:
            return found
        known = self._session.known(part, [key for key, removed in dates.items() if removed is not _REMOVED])
        found.present = [key for key in found.pending if key in known]
        old = [key for key in found.pending if key not in known and _is_before(dates[key], place.since)]
        left = {*found.present, *old}
        found.pending = [key for key in found.pending if key not in left]
        found.skipped += len(old)
        return found

    def path(self, key: str) -> str:
        """A mail by its id."""
        return f"{_path(key)}?$select={outlook_message.SELECT}"

    def records(self, bodies: dict[str, bytes], place: Place) -> dict[str, Record | BadRecord | None]:
        """Mails in the folder where they are now; None for one that is left out."""
        del place
        found: dict[str, Record | BadRecord | None] = {}
        told: dict[str, tuple[outlook_message.Told, str]] = {}
        for key, body in bodies.items():
            try:
                message = outlook_message.read(body)
            except SetAside as error:
                found[key] = BadRecord(str(error))
                continue
            folder = self._folders.name_of(message.parent_folder_id)
            if folder is None or message.is_draft:
                found[key] = None
            else:
                told[key] = (message, folder)
        files = self._files([key for key, (message, _) in told.items() if message.has_attachments])
        for key, (message, folder) in told.items():
            if message.has_attachments and key not in files:
                continue  # A mail without its attachments would be half of it.
            try:
                body_ = outlook_message.message_of(message, folder, files.get(key, ()))
                found[key] = Record(key, Kind.MESSAGE, body_, part=message.parent_folder_id)
            except SetAside as error:
                found[key] = BadRecord(str(error))
        return found

    def _files(self, keys: Sequence[str]) -> dict[str, tuple[Attachment, ...]]:
        """What is attached to these mails; of those that Microsoft would not tell just now, nothing."""
        select = f"?$select={outlook_message.ATTACHMENT_SELECT}"
        found = read_items(self._session, {key: f"{_path(key)}/attachments{select}" for key in keys})
        nothing = dict.fromkeys([*found.gone, *(item.key for item in found.refused)], ())
        return nothing | {key: outlook_message.files_of(body) for key, body in found.bodies.items()}


_REMOVED: Final = datetime.min.replace(tzinfo=UTC)


def sort_mails(items: Sequence[msgspec.Raw]) -> tuple[Sorted, dict[str, datetime | None]]:
    """The ids that a page tells, each once, and when each was received; `_REMOVED` for what was removed. Pure."""
    found = Sorted()
    dates: dict[str, datetime | None] = {}
    for number, raw in enumerate(items):
        key = key_of(raw, number)
        if " " in key:
            found.refused.append(Refused(key, BadRecord.reason, "the item has no id"))
            continue
        found.skipped += key in dates
        try:
            item = msgspec.json.decode(raw, type=_Item)
            dates[key] = _REMOVED if item.removed is not None else item.received_date_time
        except (msgspec.MsgspecError, RecursionError):
            dates[key] = None  # Its date cannot be read; the mail itself will tell.
    found.pending = list(dates)
    return found, dates


def _is_before(received: datetime | None, since: datetime | None) -> bool:
    dated = received is not None and received is not _REMOVED and received.tzinfo is not None
    return since is not None and dated and received is not None and received < since


def _folders(session: Session) -> MailFolders:
    """One list of the folders for all parts."""
    return session.kept("mail_folders", lambda: MailFolders(session))


def _path(key: str) -> str:
    return f"/me/messages/{quote(key, safe='')}"

"""The mail folders of a Microsoft account: which of them are synced, and what a mail's folder is called.

Left out, with all beneath them, are Deleted Items and Junk (what a person threw away), Drafts, Outbox and Scheduled
(what was not sent), Conversation History (chats) and Sync Issues (Outlook's own notes). Hidden folders hold nobody's
mail. Ids tell nothing, so the well-known ones are asked for by their names, which every language of Outlook knows.

Source: providers/microsoft-linkedin.md §3.1 (read 2026-11)
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from worker.connectors import microsoft_api
from worker.connectors.contract import Session
from worker.connectors.microsoft_batch import FEW, read_items, whole_lists
from worker.errors import ProviderRefused, Transient
from worker.records import Part
from worker.transport.json_reply import read_json

LEFT_OUT: Final = (
    "deleteditems",
    "outbox",
    "scheduled",
    "junkemail",
    "conversationhistory",
    "syncissues",
    "drafts",
)
"""In this order each request asks for one that is always there. Where all that it asks for is refused, it is we who
are, and not some names that a mailbox does not know."""
NAMED: Final = ("inbox", "sentitems", "archive")
"""Folders that are called by these names, whatever the mailbox' language; the others are called by their ids."""
ALWAYS_THERE: Final = ("inbox", "drafts", "deleteditems", "junkemail")
MOST_FOLDERS: Final = 5_000
_LIST: Final = "/me/mailFolders"
_SELECT: Final = "?$select=id,displayName,childFolderCount,isHidden&includeHiddenFolders=true"


class _Folder(msgspec.Struct, rename="camel"):
    id: str
    display_name: str | None = None
    child_folder_count: int = 0
    is_hidden: bool | None = None


class MailFolders:
    """The folders as they were when they were last asked for; a folder that is new since then is looked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._synced: dict[str, str] = {}
        self._away: set[str] = set()

    def parts(self) -> Iterator[Part]:
        """The folders that are synced.

        Raises:
            Transient: Microsoft listed none, or would not say which are the well-known ones. To believe either would
                delete mail, or bring what was thrown away.
        """
        named, level = self._first_look()
        left_out = {named[name] for name in LEFT_OUT if name in named}
        names = {named[name]: name for name in NAMED if name in named}
        synced: dict[str, str] = {}
        while level:
            beneath: list[str] = []
            for folder in level:
                if folder.id in left_out or folder.is_hidden or folder.id in synced:
                    continue
                synced[folder.id] = names.get(folder.id, folder.id)
                if folder.child_folder_count and len(synced) < MOST_FOLDERS:
                    beneath.append(f"{_LIST}/{quote(folder.id, safe='')}/childFolders{_SELECT}")
                yield Part(folder.id, folder.display_name or "")
            level = whole_lists(self._session, beneath, _Folder)
        if not synced:
            raise Transient("Microsoft listed no mail folder at all.")
        self._synced = synced
        self._away |= left_out

    def name_of(self, folder: str) -> str | None:
        """What a synced folder is called; None for one that is not synced."""
        if folder and folder not in self._synced and folder not in self._away:
            for _ in self.parts():
                pass
            if folder not in self._synced:
                self._away.add(folder)
        return self._synced.get(folder)

    def _first_look(self) -> tuple[dict[str, str], list[_Folder]]:
        """The ids of the well-known folders by their names, and the folders that lie in no other."""
        paths = {name: f"{_LIST}/{name}?$select=id" for name in (*LEFT_OUT, *NAMED)}
        found = read_items(self._session, {_LIST: f"{_LIST}{_SELECT}", **paths}, at_once=FEW)
        if any(item.key == _LIST for item in found.refused):
            raise ProviderRefused("Microsoft refused the list of mail folders.")
        # Not every mailbox has, or even knows, each of them; but none is without these.
        if found.again or not found.bodies.keys() >= {_LIST, *ALWAYS_THERE}:
            raise found.because or Transient("Microsoft would not say which folders there are.")
        top = list(microsoft_api.list_from(self._session, found.bodies.pop(_LIST), _Folder))
        return {name: read_json(body, _Folder).id for name, body in found.bodies.items()}, top

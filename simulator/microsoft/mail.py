"""Mail and mail folders: lists, single messages, and delta rounds over each folder and over the folders.

    /mailFolders[/delta] · /mailFolders/ID[/childFolders | /messages[/delta | /ID]]
    /messages[/ID[/$value | /attachments…]]

Every mailbox has folders that are known by name wherever an id is wanted. Nothing is written here: mail is changed
through the control door.
Source: the provider sheet, sections 3.1 to 3.7.
"""

from typing import Any

import msgspec

from simulator.exchange import Reply
from simulator.microsoft import scopes
from simulator.microsoft.access import Access
from simulator.microsoft.attachments import attachment_of
from simulator.microsoft.calls import Call
from simulator.microsoft.delta import Round, Rounds, first_round
from simulator.microsoft.errors import GraphError, access_denied, bad_request, malformed_id, no_such_segment, not_found
from simulator.microsoft.folder_rounds import ItemsOfFolder
from simulator.microsoft.folders import Folders
from simulator.microsoft.ids import Ids
from simulator.microsoft.listing import context, listed
from simulator.microsoft.mail_edits import MailEdits, folders_truth, messages_truth, states_truth
from simulator.microsoft.message_resource import FOLDER_PROPERTIES, PROPERTIES, mail_folder
from simulator.microsoft.service import Parts, Service
from simulator.microsoft.times import read_utc
from simulator.microsoft.written_messages import BODIES, WrittenMessages, preferences_of
from simulator.world.folders import Folder, Item

_FILTERED_MOST = 5_000
_TYPES = ("created", "updated", "deleted")
_TYPED = b'{"@odata.type":"#microsoft.graph.message",'


def mail_service(parts: Parts) -> Service:
    """Build the part."""
    world = parts.simulator.world
    ids = Ids(world.seed)
    messages = WrittenMessages(ids)
    return Service(
        name="mail",
        scopes=scopes.MAIL,
        begins=frozenset({"messages", "mailfolders"}),
        handle=Mail(parts, ids, messages).handle,
        truth={
            "messages": lambda account: messages_truth(account, ids),
            "message_states": lambda account: states_truth(account, ids),
            "mail_folders": lambda account: folders_truth(account, ids),
        },
        edits=MailEdits(world, ids, messages.warm).table,
        counts=lambda account: {"messages": account.mail.cabinet.alive},
    )


class Mail:
    """Serves the mail of every account."""

    def __init__(self, parts: Parts, ids: Ids, messages: WrittenMessages) -> None:
        self._ids = ids
        self._access: Access = parts.access
        self._rounds = Rounds(parts.simulator.mint, parts.access.switches, parts.simulator.clock.now)
        self._folders = Folders(
            kind="mail folder",
            type_name="mailFolder",
            collection="mailFolders",
            properties=FOLDER_PROPERTIES,
            cabinet=lambda call: call.account.mail.cabinet,
            entry=self._folder_entry,
            ids=ids,
            rounds=self._rounds,
        )
        self._messages = messages

    def handle(self, call: Call) -> Reply:
        """Serve a call.

        Raises: GraphError.
        """
        if call.path[0] == "messages":
            return self._of_messages(call)
        path = self._folders.path
        match call.path[1:]:
            case ():
                return self._children(call, call.account.mail.root, ("mailFolders",))
            case ("delta",):
                return self._folder_delta(call)
            case (folder_id,):
                return self._folders.one(call, self._folder(call, folder_id), "includeHiddenFolders")
            case (folder_id, "childfolders"):
                return self._children(call, self._folder(call, folder_id), path(folder_id, "childFolders"))
            case (folder_id, "messages"):
                return self._list(call, self._folder(call, folder_id), path(folder_id, "messages"))
            case (folder_id, "messages", "delta"):
                return self._delta(call, self._folder(call, folder_id, synced=True))
            case (folder_id, "messages", message_id, *rest):
                return self._single(call, message_id, tuple(rest), self._folder(call, folder_id))
            case _:
                raise no_such_segment(call.path[-1])

    def _of_messages(self, call: Call) -> Reply:
        match call.path[1:]:
            case ():
                return self._list(call, None, ("messages",))
            case ("delta",):
                raise bad_request("Change tracking is not supported against 'microsoft.graph.message' of all folders.")
            case (message_id, *rest):
                return self._single(call, message_id, tuple(rest), None)
            case _:
                raise no_such_segment(call.path[-1])

    def _folder(self, call: Call, folder_id: str, *, synced: bool = False) -> Folder:
        known = call.account.mail.cabinet.known(folder_id.lower())
        return self._folders.find(call, folder_id, synced=synced) if known is None else known

    def _children(self, call: Call, parent: Folder, path: tuple[str, ...]) -> Reply:
        also_hidden = call.query.get("includeHiddenFolders", "").lower() == "true"
        folders = (one for one in call.account.mail.cabinet.children(parent) if also_hidden or not one.hidden)
        return self._folders.page(call, folders, path, "includeHiddenFolders")

    def _folder_delta(self, call: Call) -> Reply:
        root, nested = call.account.mail.root, self._access.switches.folder_delta_nested
        return self._folders.delta(call, lambda folder: not folder.hidden and (nested or folder.parent == root.key))

    def _folder_entry(self, call: Call, folder: Folder) -> dict[str, Any]:
        account = call.account
        own, parent = (
            self._ids.of_folder("mail folder", account, key) for key in (folder.key, folder.parent or folder.key)
        )
        children = len(account.mail.cabinet.children(folder))
        return mail_folder(folder, children, account.mail.unread(folder), own, parent)

    def _delta(self, call: Call, folder: Folder) -> Reply:
        mail = call.account.mail
        folder_id = self._ids.of_folder("mail folder", call.account, folder.key)
        collection = ItemsOfFolder(
            name=f"messages of {folder_id}",
            kind="message",
            path=self._folders.path(folder_id, "messages"),
            cabinet=mail.cabinet,
            folder=folder,
            ids=self._ids,
            switches=self._access.switches,
            entry=self._round_entry,
            arrived=lambda item: mail.mail(item).at,
        )
        one = self._rounds.continued(call, collection.name)
        if one is None:
            one = self._first_round(call, collection)
        return self._rounds.page(call, collection, one)

    def _first_round(self, call: Call, collection: ItemsOfFolder) -> Round:
        given = self._rounds.fitting(call, "$select", "$top", "$filter", "$orderby", "$expand", "changeType")
        one = first_round(call, collection, PROPERTIES)
        self._refuse_bodies(call, one.select)
        left = call.number("$top", 0, 1 << 31) or None
        if "$filter" in given:
            one = msgspec.structs.replace(one, received_since=_received_since(given["$filter"]))
            left = min(left or _FILTERED_MOST, _FILTERED_MOST)
        if given.get("$orderby", "receivedDateTime desc").lower() != "receiveddatetime desc":
            raise bad_request("Only 'receivedDateTime desc' can be ordered by.", "ErrorInvalidUrlQuery")
        if given.get("$expand", "attachments").lower() != "attachments":
            raise bad_request("Only 'attachments' is played here as an expansion.")
        if given.get("changeType", "created") not in _TYPES:
            raise bad_request("changeType is created, updated or deleted.", "ErrorInvalidUrlQuery")
        return msgspec.structs.replace(
            one, left=left, newest_first="$orderby" in given, expand="$expand" in given,
            change_type=given.get("changeType"),
        )  # fmt: skip

    def _refuse_bodies(self, call: Call, select: tuple[str, ...] | None) -> None:
        """Refuse what shows more than headers to whoever may read no more."""
        if call.token.scopes.isdisjoint(scopes.MAIL_BODIES) and select is not None and BODIES & set(select):
            raise access_denied()

    def _round_entry(self, call: Call, one: Round, item: Item) -> bytes:
        chosen = None if one.select is None else frozenset(one.select)
        raw = self._messages.encoded(call.account, preferences_of(call), chosen, item, expand=one.expand)
        return raw if raw.startswith(b'{"@odata.type"') else _TYPED + raw[1:]

    def _list(self, call: Call, folder: Folder | None, path: tuple[str, ...]) -> Reply:
        call.only("$top", "$skip", "$select", "$filter", "$orderby", "$expand")
        chosen, mail = call.select(PROPERTIES, "message"), call.account.mail
        members = mail.cabinet.items if folder is None else mail.cabinet.members(folder)
        items = [item for item in members if not item.deleted]
        if "$filter" in call.query:
            since = _received_since(call.query["$filter"])
            items = [item for item in items if mail.mail(item).at >= since]
        items.sort(key=lambda item: (-mail.mail(item).at, item.number))
        expand, prefer = "$expand" in call.query, preferences_of(call)
        return listed(
            call, (self._messages.encoded(call.account, prefer, chosen, one, expand=expand) for one in items), path
        )

    def _single(self, call: Call, message_id: str, rest: tuple[str, ...], folder: Folder | None) -> Reply:
        item = self._item(call, message_id)
        if folder is not None and item.folder != folder.key:
            raise not_found()
        mail = call.account.mail
        if item.number in mail.corrupt:
            raise GraphError(500, "Data is corrupt.", "ErrorCorruptData")
        if rest:
            if call.token.scopes.isdisjoint(scopes.MAIL_BODIES):
                raise access_denied()
            if rest == ("$value",):
                return Reply(200, mail.box.raw(mail.mail(item)), "text/plain")
            return attachment_of(call, self._ids, item, rest)
        call.only("$select", "$expand")
        chosen = call.select(PROPERTIES, "message")
        raw = self._messages.encoded(call.account, preferences_of(call), chosen, item, expand="$expand" in call.query)
        head = msgspec.json.encode({"@odata.context": context(call, ("messages",)) + "/$entity"})
        return Reply(200, head[:-1] + b"," + raw[1:])

    def _item(self, call: Call, message_id: str) -> Item:
        """Return the message that an id stands for.

        Raises: GraphError 400 for what is no id, 404 for a message that is gone, or has another id since it was moved.
        """
        meant = self._ids.read("message", call.account, message_id)
        if meant is None:
            raise malformed_id()
        item = call.account.mail.cabinet.items[meant.number]
        if item.deleted or meant.turn not in (None, item.turn):
            raise not_found()
        return item


def _received_since(text: str) -> float:
    words = text.split()
    if len(words) != 3 or words[0].lower() != "receiveddatetime" or words[1] not in ("ge", "gt"):
        raise bad_request("Only 'receivedDateTime ge' and 'gt' can be filtered by.", "ErrorInvalidUrlQuery")
    try:
        return read_utc(words[2]) + (words[1] == "gt")
    except ValueError:
        raise bad_request(f"Invalid date '{words[2]}'.", "ErrorInvalidUrlQuery") from None

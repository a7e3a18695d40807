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
from simulator.microsoft.attachments import attached, attachment_entries, attachment_of
from simulator.microsoft.calls import Call, Preferences
from simulator.microsoft.delta import Round, Rounds
from simulator.microsoft.errors import GraphError, access_denied, bad_request, malformed_id, no_such_segment, not_found
from simulator.microsoft.folder_rounds import FoldersOf, ItemsOfFolder
from simulator.microsoft.ids import Ids
from simulator.microsoft.listing import context, listed, single
from simulator.microsoft.mail_edits import MailEdits, folders_truth, messages_truth, states_truth
from simulator.microsoft.message_content import content_of, headers_of
from simulator.microsoft.message_resource import (
    FOLDER_PROPERTIES,
    ONLY_WHEN_SELECTED,
    PROPERTIES,
    SEEN_OUTSIDE,
    UNREAD_CONTENT,
    mail_folder,
    message,
)
from simulator.microsoft.service import Parts, Service
from simulator.microsoft.times import read_utc
from simulator.world.folders import Folder, Item
from simulator.world.office_mail import OfficeMail

_FILTERED_MOST = 5_000
_TYPES = ("created", "updated", "deleted")
_BODIES = frozenset({"body", "bodyPreview", "uniqueBody"})
_TYPED = b'{"@odata.type":"#microsoft.graph.message",'
_Variant = tuple[int, Preferences, frozenset[str] | None, bool]


def mail_service(parts: Parts) -> Service:
    """Build the part."""
    world = parts.simulator.world
    ids = Ids(world.seed)
    mail = Mail(parts, ids)
    return Service(
        name="mail",
        scopes=scopes.MAIL,
        begins=frozenset({"messages", "mailfolders"}),
        handle=mail.handle,
        truth={
            "messages": lambda account: messages_truth(account, ids),
            "message_states": lambda account: states_truth(account, ids),
            "mail_folders": lambda account: folders_truth(account, ids),
        },
        edits=MailEdits(world, ids, mail.warm).table,
        counts=lambda account: {"messages": account.mail.cabinet.alive},
    )


class Mail:
    """Serves the mail of every account."""

    def __init__(self, parts: Parts, ids: Ids) -> None:
        self._ids = ids
        self._access: Access = parts.access
        self._rounds = Rounds(parts.simulator.mint, parts.access.switches, parts.simulator.clock.now)
        self._encoder = msgspec.json.Encoder()
        self._ready: dict[_Variant, dict[int, tuple[int, bytes]]] = {}

    def handle(self, call: Call) -> Reply:
        """Serve a call.

        Raises: GraphError.
        """
        if call.path[0] == "messages":
            return self._of_messages(call)
        match call.path[1:]:
            case ():
                return self._folder_list(call, call.account.mail.root, ("mailFolders",))
            case ("delta",):
                return self._folder_delta(call)
            case (folder_id,):
                call.only("$select", "includeHiddenFolders")
                folder = self._folder(call, folder_id)
                chosen = call.select(FOLDER_PROPERTIES, "mailFolder")
                return single(call, _kept(self._folder_entry(call, folder), chosen), ("mailFolders",))
            case (folder_id, "childfolders"):
                return self._folder_list(call, self._folder(call, folder_id), _path(folder_id, "childFolders"))
            case (folder_id, "messages"):
                return self._list(call, self._folder(call, folder_id), _path(folder_id, "messages"))
            case (folder_id, "messages", "delta"):
                return self._delta(call, self._folder(call, folder_id, synced=True))
            case (folder_id, "messages", message_id, *rest):
                return self._single(call, message_id, tuple(rest), self._folder(call, folder_id))
            case _:
                raise no_such_segment(call.path[-1])

    def warm(self, account: Any, prefer: Preferences, chosen: frozenset[str] | None) -> int:
        """Encode every message beforehand, so that a benchmark measures its client and not this."""
        mail: OfficeMail = account.mail
        alive = [item for item in mail.cabinet.items if not item.deleted]
        for item in alive:
            self._encoded(account, prefer, chosen, item, expand=False)
        return len(alive)

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
        cabinet = call.account.mail.cabinet
        known = cabinet.known(folder_id.lower())
        if known is not None:
            return known
        meant = self._ids.read("mail folder", call.account, folder_id)
        if meant is None:
            raise malformed_id()
        folder = cabinet.folders[meant.number]
        if folder.deleted:
            raise GraphError(404, "The folder is gone.", "ErrorSyncFolderNotFound") if synced else not_found()
        return folder

    def _folder_list(self, call: Call, parent: Folder, path: tuple[str, ...]) -> Reply:
        call.only("$top", "$skip", "$select", "includeHiddenFolders")
        chosen = call.select(FOLDER_PROPERTIES, "mailFolder")
        also_hidden = call.query.get("includeHiddenFolders", "").lower() == "true"
        folders = [one for one in call.account.mail.cabinet.children(parent) if also_hidden or not one.hidden]
        entries = (self._encoder.encode(_kept(self._folder_entry(call, one), chosen)) for one in folders)
        return listed(call, entries, path)

    def _folder_delta(self, call: Call) -> Reply:
        mail, nested = call.account.mail, self._access.switches.folder_delta_nested
        collection = FoldersOf(
            name=f"mail folders of {call.account.oid}",
            kind="mail folder",
            type_name="mailFolder",
            path=("mailFolders",),
            cabinet=mail.cabinet,
            ids=self._ids,
            shown=lambda folder: not folder.hidden and (nested or folder.parent == mail.root.key),
            entry=self._folder_entry,
        )
        one = self._rounds.continued(call, collection.name)
        if one is None:
            self._rounds.fitting(call, "$select")
            one = _first(call, collection.name, mail.cabinet.tree, FOLDER_PROPERTIES, "mailFolder")
        return self._rounds.page(call, collection, one)

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
            path=_path(folder_id, "messages"),
            cabinet=mail.cabinet,
            folder=folder,
            ids=self._ids,
            switches=self._access.switches,
            entry=self._round_entry,
            arrived=lambda item: mail.mail(item).at,
        )
        one = self._rounds.continued(call, collection.name)
        if one is None:
            one = self._first_round(call, collection.name, folder)
        return self._rounds.page(call, collection, one)

    def _first_round(self, call: Call, name: str, folder: Folder) -> Round:
        given = self._rounds.fitting(call, "$select", "$top", "$filter", "$orderby", "$expand", "changeType")
        one = _first(call, name, folder.log, PROPERTIES, "message")
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
        if call.token.scopes.isdisjoint(scopes.MAIL_BODIES) and select is not None and _BODIES & set(select):
            raise access_denied()

    def _round_entry(self, call: Call, one: Round, item: Item) -> bytes:
        chosen = None if one.select is None else frozenset(one.select)
        raw = self._encoded(call.account, self._preferences(call), chosen, item, expand=one.expand)
        return raw if raw.startswith(b'{"@odata.type"') else _TYPED + raw[1:]

    def _preferences(self, call: Call) -> Preferences:
        asked = call.preferences
        return Preferences(
            immutable_ids=asked.immutable_ids,
            text_bodies=asked.text_bodies,
            unsafe_html=asked.unsafe_html,
            bodies=not call.token.scopes.isdisjoint(scopes.MAIL_BODIES),
        )

    def _list(self, call: Call, folder: Folder | None, path: tuple[str, ...]) -> Reply:
        call.only("$top", "$skip", "$select", "$filter", "$orderby", "$expand")
        chosen, mail = call.select(PROPERTIES, "message"), call.account.mail
        members = mail.cabinet.items if folder is None else mail.cabinet.members(folder)
        items = [item for item in members if not item.deleted]
        if "$filter" in call.query:
            since = _received_since(call.query["$filter"])
            items = [item for item in items if mail.mail(item).at >= since]
        items.sort(key=lambda item: (-mail.mail(item).at, item.number))
        expand, prefer = "$expand" in call.query, self._preferences(call)
        return listed(call, (self._encoded(call.account, prefer, chosen, one, expand=expand) for one in items), path)

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
        raw = self._encoded(call.account, self._preferences(call), chosen, item, expand="$expand" in call.query)
        head = self._encoder.encode({"@odata.context": context(call, ("messages",)) + "/$entity"})
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

    def _encoded(
        self, account: Any, prefer: Preferences, chosen: frozenset[str] | None, item: Item, *, expand: bool
    ) -> bytes:
        ready = self._ready.setdefault((account.number, prefer, chosen, expand), {})
        known = ready.get(item.number)
        if known is None or known[0] != item.version:
            entry = self._entry(account, prefer, chosen, item, expand=expand)
            known = ready[item.number] = (item.version, self._encoder.encode(entry))
        return known[1]

    def _entry(
        self, account: Any, prefer: Preferences, chosen: frozenset[str] | None, item: Item, *, expand: bool
    ) -> dict[str, Any]:
        office: OfficeMail = account.mail
        mail = office.mail(item)
        if chosen is not None and chosen <= SEEN_OUTSIDE and mail.own is None and mail.case is None:
            own, content = None, UNREAD_CONTENT
        else:
            own = office.box.content(mail)
            content = content_of(own)
        entry = message(
            item, mail, content, prefer, owner=account.oid,
            message_id=self._ids.of_item("message", account, item.number, item.turn, immutable=prefer.immutable_ids),
            folder_id=self._ids.of_folder("mail folder", account, item.folder),
        )  # fmt: skip
        if chosen is not None and chosen & ONLY_WHEN_SELECTED and own is not None:
            entry["uniqueBody"] = entry["body"]
            entry["internetMessageHeaders"] = [{"name": name, "value": value} for name, value in headers_of(own)]
        if not prefer.bodies:
            entry = {name: value for name, value in entry.items() if name not in _BODIES}
        entry = _kept(entry, chosen)
        if expand:
            entry["attachments"] = attachment_entries(attached(account, item), account, self._ids, item, prefer)
        return entry


def _first(call: Call, name: str, log: Any, known: tuple[str, ...], kind: str) -> Round:
    chosen = call.select(known, kind)
    select = None if chosen is None else tuple(sorted(chosen))
    return Round(of=name, generation=log.generation, since=None, until=log.last, select=select)


def _kept(entry: dict[str, Any], chosen: frozenset[str] | None) -> dict[str, Any]:
    if chosen is None:
        return entry
    return {name: value for name, value in entry.items() if name in chosen or name == "id" or "@" in name}


def _received_since(text: str) -> float:
    words = text.split()
    if len(words) != 3 or words[0].lower() != "receiveddatetime" or words[1] not in ("ge", "gt"):
        raise bad_request("Only 'receivedDateTime ge' and 'gt' can be filtered by.", "ErrorInvalidUrlQuery")
    try:
        return read_utc(words[2]) + (words[1] == "gt")
    except ValueError:
        raise bad_request(f"Invalid date '{words[2]}'.", "ErrorInvalidUrlQuery") from None


def _path(folder_id: str, last: str) -> tuple[str, ...]:
    return ("mailFolders", f"'{folder_id}'", last)

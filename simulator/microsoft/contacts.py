"""Contacts and contact folders: lists, single ones, and delta rounds over each folder and over the folders.

    /contactFolders[/delta] · /contactFolders/ID[/childFolders | /contacts[/delta]] · /contacts[/delta | /ID]

The folder that everybody has is not among those that are listed; `contacts` stands for its id. Nothing is written here:
contacts are changed through the control door.
Source: the provider sheet, sections 3.1, 3.3, 3.5 and 3.6.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.exchange import Reply
from simulator.microsoft import scopes
from simulator.microsoft.calls import Call
from simulator.microsoft.contact_edits import ContactEdits, contacts_truth, folders_truth
from simulator.microsoft.contact_resource import PROPERTIES, contact
from simulator.microsoft.delta import Round, Rounds, first_round
from simulator.microsoft.errors import bad_request, malformed_id, no_such_segment, not_found
from simulator.microsoft.folder_rounds import ItemsOfFolder
from simulator.microsoft.folders import Folders
from simulator.microsoft.ids import Ids
from simulator.microsoft.listing import kept, listed, single
from simulator.microsoft.service import Parts, Service
from simulator.world.folders import Folder, Item
from simulator.world.office import OfficeAccount

_FOLDER_PROPERTIES = ("displayName", "id", "parentFolderId")
_LIST = ("$top", "$skip", "$select")
_BY_ADDRESS = re.compile(r"emailAddresses/any\((\w+):\s*\1/address eq '((?:[^']|'')*)'\)")


def contact_service(parts: Parts) -> Service:
    """Build the part."""
    world = parts.simulator.world
    ids = Ids(world.seed)
    contacts = Contacts(parts, ids)
    return Service(
        name="contacts",
        scopes=scopes.CONTACTS,
        begins=frozenset({"contacts", "contactfolders"}),
        handle=contacts.handle,
        truth={
            "contacts": lambda account: contacts_truth(account, ids),
            "contact_folders": lambda account: folders_truth(account, ids),
        },
        edits=ContactEdits(world, ids).table,
        counts=lambda account: {"contacts": account.contacts.cabinet.alive},
    )


class Contacts:
    """Serves the contacts of every account."""

    def __init__(self, parts: Parts, ids: Ids) -> None:
        self._ids = ids
        self._switches = parts.access.switches
        self._rounds = Rounds(parts.simulator.mint, parts.access.switches, parts.simulator.clock.now)
        self._encoder = msgspec.json.Encoder()
        self._folders = Folders(
            kind="contact folder",
            type_name="contactFolder",
            collection="contactFolders",
            properties=_FOLDER_PROPERTIES,
            cabinet=lambda call: call.account.contacts.cabinet,
            entry=self._folder_entry,
            ids=ids,
            rounds=self._rounds,
        )

    def handle(self, call: Call) -> Reply:
        """Serve a call.

        Raises: GraphError.
        """
        match call.path:
            case ("contacts",):
                return self._list(call, call.account.contacts.default, ("contacts",))
            case ("contacts", "delta"):
                return self._delta(call, call.account.contacts.default)
            case ("contacts", contact_id):
                return self._single(call, contact_id, None)
            case _:
                return self._of_folders(call)

    def _of_folders(self, call: Call) -> Reply:
        path = self._folders.path
        match call.path:
            case ("contactfolders",):
                return self._children(call, call.account.contacts.default, ("contactFolders",))
            case ("contactfolders", "delta"):
                return self._folders.delta(call, lambda folder: folder.known_as == "")
            case ("contactfolders", folder_id):
                return self._folders.one(call, self._folder(call, folder_id))
            case ("contactfolders", folder_id, "childfolders"):
                return self._children(call, self._folder(call, folder_id), path(folder_id, "childFolders"))
            case ("contactfolders", folder_id, "contacts"):
                return self._list(call, self._folder(call, folder_id), path(folder_id, "contacts"))
            case ("contactfolders", folder_id, "contacts", "delta"):
                return self._delta(call, self._folder(call, folder_id, synced=True))
            case ("contactfolders", folder_id, "contacts", contact_id):
                return self._single(call, contact_id, self._folder(call, folder_id))
            case _:
                raise no_such_segment(call.path[-1])

    def _folder(self, call: Call, folder_id: str, *, synced: bool = False) -> Folder:
        if folder_id.lower() == "contacts":
            return call.account.contacts.default
        return self._folders.find(call, folder_id, synced=synced)

    def _children(self, call: Call, parent: Folder, path: tuple[str, ...]) -> Reply:
        return self._folders.page(call, call.account.contacts.cabinet.children(parent), path)

    def _folder_entry(self, call: Call, folder: Folder) -> dict[str, Any]:
        return {
            "id": self._ids.of_folder("contact folder", call.account, folder.key),
            "parentFolderId": self._ids.of_folder("contact folder", call.account, folder.parent or 1),
            "displayName": folder.name,
        }

    def _delta(self, call: Call, folder: Folder) -> Reply:
        contacts = call.account.contacts
        folder_id = self._ids.of_folder("contact folder", call.account, folder.key)
        collection = ItemsOfFolder(
            name=f"contacts of {folder_id}",
            kind="contact",
            path=self._folders.path(folder_id, "contacts"),
            cabinet=contacts.cabinet,
            folder=folder,
            ids=self._ids,
            switches=self._switches,
            entry=self._round_entry,
            arrived=lambda item: item.created_at,
        )
        one = self._rounds.continued(call, collection.name)
        if one is None:
            self._rounds.fitting(call, "$select")
            one = first_round(call, collection, PROPERTIES)
        return self._rounds.page(call, collection, one)

    def _round_entry(self, call: Call, one: Round, item: Item) -> bytes:
        chosen = None if one.select is None else frozenset(one.select)
        return self._encoder.encode({"@odata.type": "#microsoft.graph.contact", **self._entry(call, item, chosen)})

    def _list(self, call: Call, folder: Folder, path: tuple[str, ...]) -> Reply:
        call.only(*_LIST, "$filter", "$orderby")
        chosen = call.select(PROPERTIES, "contact")
        items = self._filtered(call, call.account.contacts.cabinet.members(folder))
        if "$orderby" in call.query:
            if call.query["$orderby"].lower() not in ("displayname", "displayname asc"):
                raise bad_request("Only displayName can be ordered by here.")
            items = iter(sorted(items, key=lambda item: call.account.contacts.facts(item).display_name))
        return listed(call, (self._encoder.encode(self._entry(call, item, chosen)) for item in items), path)

    def _filtered(self, call: Call, items: Iterator[Item]) -> Iterator[Item]:
        if "$filter" not in call.query:
            return items
        asked = _BY_ADDRESS.fullmatch(call.query["$filter"].strip())
        if asked is None:
            raise bad_request("Invalid filter clause.")
        wanted = asked[2].replace("''", "'").lower()
        facts = call.account.contacts.facts
        return (item for item in items if any(one.value.lower() == wanted for one in facts(item).emails))

    def _single(self, call: Call, contact_id: str, folder: Folder | None) -> Reply:
        call.only("$select")
        chosen = call.select(PROPERTIES, "contact")
        item = found(self._ids, call.account, contact_id)
        if item is None:
            raise malformed_id()
        if item.deleted or (folder is not None and item.folder != folder.key):
            raise not_found()
        meant = self._ids.read("contact", call.account, contact_id)
        if meant is not None and meant.turn not in (None, item.turn):
            raise not_found()
        return single(call, self._entry(call, item, chosen), ("contacts",))

    def _entry(self, call: Call, item: Item, chosen: frozenset[str] | None) -> dict[str, Any]:
        account = call.account
        contact_id = self._ids.of_item(
            "contact", account, item.number, item.turn, immutable=call.preferences.immutable_ids
        )
        folder_id = self._ids.of_folder("contact folder", account, item.folder)
        return kept(contact(item, account.contacts.facts(item), contact_id, folder_id), chosen)


def found(ids: Ids, account: OfficeAccount, contact_id: str) -> Item | None:
    """Return the contact that an id was ever given to."""
    meant = ids.read("contact", account, contact_id)
    return None if meant is None else account.contacts.cabinet.items[meant.number]

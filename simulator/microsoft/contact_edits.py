"""What tests may do to contacts in folders, and what the world really holds there.

add_contact        count | fields, with `folder`
the others         id or ids: an id of either family, `#number` or an e-mail address
Folders are named by what they are known as (`contacts`), by name, or by their names from the outermost one.
"""

from typing import Any

import msgspec

from simulator.microsoft.ids import Ids
from simulator.microsoft.service import Edit
from simulator.world import World
from simulator.world.contacts import facts_from
from simulator.world.folders import Folder, Item
from simulator.world.office import OfficeAccount


class ContactEdits:
    """The edits by name; every one takes the account and the edit as it was given."""

    def __init__(self, world: World, ids: Ids) -> None:
        self._now = world.clock.now
        self._ids = ids
        self.table: dict[str, Edit] = {
            "add_contact": self._add,
            "change_contact": self._change,
            "delete_contact": self._delete,
            "move_contact": self._move,
            "touch_contacts": self._touch,
            "add_contact_folder": self._add_folder,
            "rename_contact_folder": self._rename_folder,
            "delete_contact_folder": self._delete_folder,
            "expire_contact_links": self._expire,
        }

    def _add(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        contacts = account.contacts
        folder = contacts.cabinet.find_folder(given.get("folder", "contacts"))
        facts = facts_from(given["fields"]) if "fields" in given else None
        added = [contacts.add(folder, facts, self._now()) for _ in range(int(given.get("count", 1)))]
        return _named(self._ids, account, added)

    def _change(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        chosen = self._chosen(account, given)
        for item in chosen:
            account.contacts.change(item, given["fields"], self._now())
        return _named(self._ids, account, chosen)

    def _delete(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        chosen = self._chosen(account, given)
        for item in chosen:
            account.contacts.cabinet.delete(item, self._now())
        return {"deleted": len(chosen)}

    def _move(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        chosen = self._chosen(account, given)
        to = account.contacts.cabinet.find_folder(given["to"])
        for item in chosen:
            account.contacts.cabinet.move(item, to, self._now())
        return _named(self._ids, account, chosen)

    def _touch(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Change the title of about that share of the contacts, spread evenly."""
        contacts, step = account.contacts, 100.0 / float(given["percent"])
        chosen = [
            item
            for item in contacts.cabinet.items
            if not item.deleted and int((item.number + 1) / step) != int(item.number / step)
        ]
        for item in chosen:
            contacts.change(item, {"title": f"Title {item.version + 1}"}, self._now())
        return {"touched": len(chosen)}

    def _add_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        cabinet = account.contacts.cabinet
        folder = cabinet.make_folder(str(given["name"]), cabinet.find_folder(given.get("in", "contacts")))
        return {"id": self._ids.of_folder("contact folder", account, folder.key)}

    def _rename_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        account.contacts.cabinet.rename_folder(_own_folder(account, given), str(given["name"]))
        return {"name": given["name"]}

    def _delete_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        gone = account.contacts.cabinet.delete_folder(_own_folder(account, given), self._now())
        return {"deleted": len(gone)}

    def _expire(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Make the links of one folder worthless, or those of all and of the folders themselves."""
        cabinet = account.contacts.cabinet
        folders = [cabinet.find_folder(given["folder"])] if "folder" in given else list(cabinet.there())
        for folder in folders:
            folder.log.expire()
        if "folder" not in given:
            cabinet.tree.expire()
        return {"expired": True}

    def _chosen(self, account: OfficeAccount, given: dict[str, Any]) -> list[Item]:
        return [self._item(account, str(one)) for one in given.get("ids", [given.get("id", "")])]

    def _item(self, account: OfficeAccount, reference: str) -> Item:
        meant = self._ids.read("contact", account, reference)
        return account.contacts.find(reference) if meant is None else account.contacts.cabinet.items[meant.number]


def _own_folder(account: OfficeAccount, given: dict[str, Any]) -> Folder:
    """Return a folder that people may rename or delete.

    Raises: ValueError for the one that everybody has.
    """
    folder = account.contacts.cabinet.find_folder(given["folder"])
    if folder.known_as:
        raise ValueError(f"The folder {folder.name!r} is everybody's.")
    return folder


def _named(ids: Ids, account: OfficeAccount, items: list[Item]) -> dict[str, Any]:
    usual = [ids.of_item("contact", account, one.number, one.turn, immutable=False) for one in items]
    lasting = [ids.of_item("contact", account, one.number, one.turn, immutable=True) for one in items]
    return {
        "id": usual[0] if usual else None, "ids": usual,
        "immutable_id": lasting[0] if lasting else None, "immutable_ids": lasting,
    }  # fmt: skip


def contacts_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return every contact that is there, by number."""
    contacts = account.contacts
    return [
        {
            "id": ids.of_item("contact", account, item.number, item.turn, immutable=False),
            "immutable_id": ids.of_item("contact", account, item.number, item.turn, immutable=True),
            "number": item.number,
            "version": item.version,
            "folder": contacts.cabinet.path_of(contacts.cabinet.folders[item.folder]),
            "folder_id": ids.of_folder("contact folder", account, item.folder),
            "display_name": contacts.facts(item).display_name,
            **msgspec.to_builtins(contacts.facts(item)),
        }
        for item in contacts.cabinet.items
        if not item.deleted
    ]


def folders_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return the folders of contacts."""
    cabinet = account.contacts.cabinet
    return [
        {
            "id": ids.of_folder("contact folder", account, folder.key),
            "name": folder.name,
            "path": cabinet.path_of(folder),
            "known_as": folder.known_as,
            "contacts": len(folder.members),
        }
        for folder in cabinet.there()
        if folder.parent is not None
    ]

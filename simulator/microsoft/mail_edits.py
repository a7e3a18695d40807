"""What tests may do to mail in folders, and what the world really holds there.

add_message        count | case | raw (base64, with `truth`) | fields; also folder, read, at
change_message     read, flagged, fields (a draft's, say)
the others         id or ids: an id of either family, `#number`, or the name of a hard case
Folders are named by what they are known as (`inbox`), by name, or by their names from the outermost one.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from simulator.microsoft.calls import Preferences
from simulator.microsoft.ids import Ids
from simulator.microsoft.message_content import content_of
from simulator.microsoft.service import Edit
from simulator.world import World
from simulator.world.folders import Folder, Item
from simulator.world.mail_facts import MailFacts
from simulator.world.mail_given import facts_from, own_from
from simulator.world.office import OfficeAccount
from simulator.world.office_mail import DRAFT, FLAGGED, UNREAD

Warm = Callable[[OfficeAccount, Preferences, frozenset[str] | None], int]


class MailEdits:
    """The edits by name; every one takes the account and the edit as it was given."""

    def __init__(self, world: World, ids: Ids, warm: Warm) -> None:
        self._now = world.clock.now
        self._ids = ids
        self._warmed = warm
        self.table: dict[str, Edit] = {
            "add_message": self._add,
            "change_message": self._change,
            "move_message": lambda account, given: self._move(account, given, given["to"]),
            "trash_message": lambda account, given: self._move(account, given, "deleteditems"),
            "delete_message": self._delete,
            "delete_all_messages": self._delete_all,
            "misreport_message": self._misreport,
            "touch_messages": self._touch,
            "corrupt_message": self._corrupt,
            "add_mail_folder": self._add_folder,
            "rename_mail_folder": self._rename_folder,
            "move_mail_folder": self._move_folder,
            "delete_mail_folder": self._delete_folder,
            "expire_mail_links": self._expire,
            "warm_messages": self._warm,
        }

    def _add(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        mail, now = account.mail, self._now()
        folder = mail.cabinet.find_folder(given.get("folder", "inbox"))
        at = float(given.get("at", now))
        added = []
        for _ in range(int(given.get("count", 1))):
            own = own_from(mail.box, given, at)
            added.append(mail.add(folder, own, now, at, case=given.get("case"), read=bool(given.get("read", False))))
        return self._named(account, added)

    def _change(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Mark messages as read or flagged, or let them say something else.

        Raises: ValueError for fields of a mail that was given as bytes.
        """
        mail, chosen = account.mail, self._chosen(account, given)
        for item in chosen:
            if "fields" in given:
                before = mail.box.content(mail.mail(item))
                if not isinstance(before, MailFacts):
                    raise ValueError("A mail that is kept as bytes has no fields.")
                mail.rewrite(item, facts_from(given["fields"], before), self._now())
            if "read" in given:
                mail.mark(item, UNREAD, self._now(), on=not given["read"])
            if "flagged" in given:
                mail.mark(item, FLAGGED, self._now(), on=bool(given["flagged"]))
        return self._named(account, chosen)

    def _move(self, account: OfficeAccount, given: dict[str, Any], to: str) -> dict[str, Any]:
        cabinet, chosen = account.mail.cabinet, self._chosen(account, given)
        for item in chosen:
            cabinet.move(item, cabinet.find_folder(to), self._now())
        return self._named(account, chosen)

    def _delete(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        chosen = self._chosen(account, given)
        for item in chosen:
            account.mail.cabinet.delete(item, self._now())
        return self._named(account, chosen)

    def _misreport(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Let the next round tell messages as removed, though they are where they were."""
        chosen = self._chosen(account, given)
        for item in chosen:
            account.mail.cabinet.misreport(item, self._now())
        return self._named(account, chosen)

    def _delete_all(self, account: OfficeAccount, _given: dict[str, Any]) -> dict[str, Any]:
        there = [item for item in account.mail.cabinet.items if not item.deleted]
        for item in there:
            account.mail.cabinet.delete(item, self._now())
        return {"deleted": len(there)}

    def _touch(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Flag about that share of the messages, spread evenly, or take the flag from them."""
        mail, step = account.mail, 100.0 / float(given["percent"])
        chosen = [
            item
            for item in mail.cabinet.items
            if not item.deleted and int((item.number + 1) / step) != int(item.number / step)
        ]
        for item in chosen:
            mail.mark(item, FLAGGED, self._now(), on=FLAGGED not in mail.mail(item).labels)
        return {"touched": len(chosen)}

    def _corrupt(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Make messages that a folder's round tells fail when they are read one by one; with `back` they are whole."""
        chosen = {item.number for item in self._chosen(account, given)}
        corrupt = account.mail.corrupt
        corrupt.difference_update(chosen) if given.get("back") else corrupt.update(chosen)
        return {"corrupt": len(corrupt)}

    def _add_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        cabinet = account.mail.cabinet
        folder = cabinet.make_folder(str(given["name"]), cabinet.find_folder(given.get("in", "msgfolderroot")))
        return {"id": self._ids.of_folder("mail folder", account, folder.key)}

    def _rename_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        folder = _own_folder(account, given)
        account.mail.cabinet.rename_folder(folder, str(given["name"]))
        return {"id": self._ids.of_folder("mail folder", account, folder.key)}

    def _move_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        folder, cabinet = _own_folder(account, given), account.mail.cabinet
        cabinet.move_folder(folder, cabinet.find_folder(given["to"]))
        return {"id": self._ids.of_folder("mail folder", account, folder.key)}

    def _delete_folder(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        gone = account.mail.cabinet.delete_folder(_own_folder(account, given), self._now())
        return {"deleted": len(gone)}

    def _expire(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Make the links of one folder worthless, or those of all and of the folders themselves."""
        cabinet = account.mail.cabinet
        folders = [cabinet.find_folder(given["folder"])] if "folder" in given else list(cabinet.there())
        for folder in folders:
            folder.log.expire()
        if "folder" not in given:
            cabinet.tree.expire()
        return {"expired": len(folders)}

    def _warm(self, account: OfficeAccount, given: dict[str, Any]) -> dict[str, Any]:
        """Encode messages beforehand, as they are asked for with `select`, `immutable` and `text`."""
        select = given.get("select")
        prefer = Preferences(
            immutable_ids=bool(given.get("immutable", True)), text_bodies=bool(given.get("text", False))
        )
        return {"warmed": self._warmed(account, prefer, frozenset(select.split(",")) if select else None)}

    def _chosen(self, account: OfficeAccount, given: dict[str, Any]) -> list[Item]:
        return [self._item(account, str(one)) for one in given.get("ids", [given.get("id", "")])]

    def _item(self, account: OfficeAccount, reference: str) -> Item:
        meant = self._ids.read("message", account, reference)
        return account.mail.find(reference) if meant is None else account.mail.cabinet.items[meant.number]

    def _named(self, account: OfficeAccount, items: list[Item]) -> dict[str, Any]:
        usual = [self._ids.of_item("message", account, one.number, one.turn, immutable=False) for one in items]
        lasting = [self._ids.of_item("message", account, one.number, one.turn, immutable=True) for one in items]
        return {
            "id": usual[0] if usual else None, "ids": usual,
            "immutable_id": lasting[0] if lasting else None, "immutable_ids": lasting,
        }  # fmt: skip


def _own_folder(account: OfficeAccount, given: dict[str, Any]) -> Folder:
    """Return a folder that people may rename, move or delete.

    Raises: ValueError for one that every mailbox has.
    """
    folder = account.mail.cabinet.find_folder(given["folder"])
    if folder.known_as:
        raise ValueError(f"Every mailbox has the folder {folder.name!r}.")
    return folder


def messages_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return every message that is there, by number, with what it says."""
    mail = account.mail
    shown = []
    for state in states_truth(account, ids):
        content = content_of(mail.box.content(mail.box.at(state["number"])))
        plain: dict[str, Any] = msgspec.to_builtins(
            {
                name: getattr(content, name)
                for name in ("subject", "sender", "to", "cc", "bcc", "reply_to", "message_id", "text", "html", "plain")
            }
        )
        files = [
            {"name": one.name, "content_type": one.content_type, "size": len(one.content), "inline": one.inline}
            for one in content.attached
        ]
        shown.append({**state, **plain, "attached": files})
    return shown


def states_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return every message that is there without what it says; for mailboxes too large for more."""
    mail = account.mail
    paths = {folder.key: mail.cabinet.path_of(folder) for folder in mail.cabinet.there()}
    return [
        {
            "id": ids.of_item("message", account, item.number, item.turn, immutable=False),
            "immutable_id": ids.of_item("message", account, item.number, item.turn, immutable=True),
            "number": item.number,
            "version": item.version,
            "folder": paths[item.folder],
            "folder_id": ids.of_folder("mail folder", account, item.folder),
            "known_as": mail.cabinet.folders[item.folder].known_as,
            "read": UNREAD not in mail.mail(item).labels,
            "flagged": FLAGGED in mail.mail(item).labels,
            "draft": DRAFT in mail.mail(item).labels,
            "received_at": mail.mail(item).at,
            "hard_case": mail.mail(item).case,
        }
        for item in mail.cabinet.items
        if not item.deleted
    ]


def folders_truth(account: OfficeAccount, ids: Ids) -> list[dict[str, Any]]:
    """Return every mail folder that is there."""
    mail = account.mail
    return [
        {
            "id": ids.of_folder("mail folder", account, folder.key),
            "name": folder.name,
            "path": mail.cabinet.path_of(folder),
            "known_as": folder.known_as,
            "hidden": folder.hidden,
            "messages": len(folder.members),
            "unread": mail.unread(folder),
        }
        for folder in mail.cabinet.there()
    ]

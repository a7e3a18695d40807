"""What tests may do to a mailbox, and what the world really holds there.

add_message        count | case | raw (base64, with `truth`) | fields; also labels, at, thread (a message)
the others         id or ids: an API id, `#number`, or the name of a hard case
"""

from collections.abc import Callable
from typing import Any

import msgspec

from simulator.google.gmail import Gmail
from simulator.google.gmail_message import FORMATS, hex_id
from simulator.google.service import Edit
from simulator.world import Account, World
from simulator.world.hard_mails import BY_NAME
from simulator.world.mail_given import own_from
from simulator.world.mailbox import Mail, Mailbox


class MailEdits:
    """The edits by name; every one takes the account and the edit as it was given."""

    def __init__(self, world: World, gmail: Gmail) -> None:
        self._now = world.clock.now
        self._gmail = gmail
        self.table: dict[str, Edit] = {
            "add_message": self._add,
            "delete_message": self._each(lambda box, mail: box.delete(mail, self._now())),
            "delete_all_messages": self._delete_all,
            "trash_message": self._labelling(("TRASH",), ("INBOX",)),
            "untrash_message": self._labelling((), ("TRASH",)),
            "spam_message": self._labelling(("SPAM",), ("INBOX",)),
            "unspam_message": self._labelling(("INBOX",), ("SPAM",)),
            "label_message": self._label,
            "touch_messages": self._touch,
            "vanish_message": self._vanish,
            "expire_history": self._expire,
            "add_label": lambda account, given: {"id": account.mailbox.make_label(str(given["name"]))},
            "rename_label": self._rename_label,
            "delete_label": self._delete_label,
            "warm_messages": self._warm,
        }

    def _add(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        """Add messages; `at` and `date` are the internal date in seconds and the header."""
        mailbox = account.mailbox
        labels = given.get("labels")
        chosen = None if labels is None else [mailbox.label_id(one) for one in labels]
        thread_of = mailbox.find(given["thread"]) if "thread" in given else None
        at = float(given["at"]) if "at" in given else None
        added = []
        for _ in range(int(given.get("count", 1))):
            own = own_from(mailbox, given, self._now() if at is None else at)
            mail = mailbox.add(
                self._now(), own, case=given.get("case"), labels=chosen, at=at, thread_of=thread_of
            )  # fmt: skip
            added.append(mail)
        ids = [hex_id(mailbox, mail.number) for mail in added]
        return {"id": ids[0] if ids else None, "ids": ids, "threads": [hex_id(mailbox, mail.root) for mail in added]}

    def _each(self, act: Callable[[Mailbox, Mail], object]) -> Edit:
        def edit(account: Account, given: dict[str, Any]) -> dict[str, Any]:
            mails = _chosen(account.mailbox, given)
            for mail in mails:
                act(account.mailbox, mail)
            return {"ids": [hex_id(account.mailbox, mail.number) for mail in mails]}

        return edit

    def _labelling(self, add: tuple[str, ...], remove: tuple[str, ...]) -> Edit:
        return self._each(lambda box, mail: box.label(mail, add, remove, self._now()))

    def _label(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        mailbox = account.mailbox
        add, remove = ([mailbox.label_id(one) for one in given.get(name, [])] for name in ("add", "remove"))
        changed = [mailbox.label(mail, add, remove, self._now()) for mail in _chosen(mailbox, given)]
        return {"changed": sum(changed)}

    def _delete_all(self, account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        mails = list(account.mailbox.every())
        for mail in mails:
            account.mailbox.delete(mail, self._now())
        return {"deleted": len(mails)}

    def _touch(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        return {"touched": account.mailbox.touch(float(given["percent"]), self._now())}

    def _vanish(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        """Make messages unreadable though they are listed; with `back` they can be read again."""
        mails = _chosen(account.mailbox, given)
        for mail in mails:
            mail.vanished = not given.get("back", False)
        return {"ids": [hex_id(account.mailbox, mail.number) for mail in mails]}

    def _expire(self, account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        account.mailbox.history.forget()
        return {"history_id": str(account.mailbox.history.current)}

    def _rename_label(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        label = account.mailbox.label_id(given["label"])
        if label not in account.mailbox.label_names:
            raise ValueError(f"{label} is the system's own.")
        account.mailbox.label_names[label] = str(given["name"])
        return {"id": label}

    def _delete_label(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        label = account.mailbox.label_id(given["label"])
        return {"id": label, "messages": account.mailbox.drop_label(label, self._now())}

    def _warm(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        """Render messages beforehand: `format` (full) and how many of the newest (`limit`, all)."""
        wanted = given.get("format", "full")
        form = next(one for one in FORMATS if one == wanted)
        return {"warmed": self._gmail.warm(account, form, given.get("limit"))}


def messages_truth(account: Account) -> list[dict[str, Any]]:
    """Return every message that is there, by number: what a reader should have found."""
    mailbox = account.mailbox
    return [_shown(mailbox, mail) for mail in mailbox.every()]


def states_truth(account: Account) -> list[dict[str, Any]]:
    """Return every message that is there without what it says; for mailboxes too large for more."""
    return [_state(account.mailbox, mail) for mail in account.mailbox.every()]


def labels_truth(account: Account) -> list[dict[str, Any]]:
    """Return the labels that users made."""
    return [{"id": label, "name": name} for label, name in account.mailbox.label_names.items()]


def mailbox_truth(account: Account, gmail: Gmail) -> list[dict[str, Any]]:
    """Return the mailbox as a whole, in one item."""
    mailbox, watch = account.mailbox, gmail.watch_of(account)
    return [
        {
            "history_id": str(mailbox.history.current),
            "messages": mailbox.alive,
            "threads": mailbox.threads,
            "hard_cases": list(BY_NAME),
            "watch": {"topic": watch.topic, "labels": watch.labels, "ends_at": watch.ends_at} if watch else None,
        }
    ]


def _shown(mailbox: Mailbox, mail: Mail) -> dict[str, Any]:
    truth = mailbox.truth(mail)
    shown: dict[str, Any] = msgspec.to_builtins(truth)
    if truth.files is not None:
        shown["files"] = [
            {"filename": name, "mime_type": kind, "size": size, "content_id": content_id}
            for name, kind, size, content_id in truth.files
        ]
    return _state(mailbox, mail) | shown


def _state(mailbox: Mailbox, mail: Mail) -> dict[str, Any]:
    return {
        "id": hex_id(mailbox, mail.number),
        "thread_id": hex_id(mailbox, mail.root),
        "number": mail.number,
        "labels": sorted(mail.labels),
        "history_id": str(mail.history),
        "internal_date_ms": int(mail.at * 1000),
        "hard_case": mail.case,
        "vanished": mail.vanished,
    }


def _chosen(mailbox: Mailbox, given: dict[str, Any]) -> list[Mail]:
    references = given["ids"] if "ids" in given else [given["id"]]
    return [mailbox.find(str(one)) for one in references]

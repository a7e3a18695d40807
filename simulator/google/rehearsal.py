"""How the connector `gmail` may be tried against the simulated Google: see `simulator.rehearsal`.

What ought to be held follows from what the connector says that it syncs: the mailbox without Spam and Trash, the
calendars of the account's list whose events it may read.

    profile    email
    contacts   display_name, given_name, family_name
    messages   thread_id, labels (`INBOX` and `SENT`, where they are)
    events     calendar_id, summary ("" where the list does not tell it): single events, series and exceptions,
               cancelled exceptions too
"""

from collections.abc import Callable
from typing import Any

from simulator.google.controls import GoogleControls
from simulator.options import Options
from simulator.owner import Owner
from simulator.rehearsal import Rehearsal, StreamRehearsal

_AWAY = frozenset({"SPAM", "TRASH"})
_READABLE_KINDS = frozenset({"default", "fromGmail"})
_MOVING = "SENT"
_NEW_WORDS = {
    "scope_missing": {"status": 403, "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
    "throttled": {"status": 429, "reason": "RATE_LIMIT_EXCEEDED"},
}
_OLD_WORDS = {
    "scope_missing": {"status": 403, "reason": "insufficientPermissions"},
    "throttled": {"status": 403, "reason": "rateLimitExceeded"},
}


class GoogleRehearsal:
    """Google's controls, called as the kit calls those of any provider."""

    def __init__(self, options: Options, controls: GoogleControls, accounts: Callable[[], list[str]]) -> None:
        self._options = options
        self._controls = controls.table
        self._owner = Owner(controls.table)
        self._accounts = accounts

    def rehearsal(self) -> Rehearsal:
        """Return it."""
        return Rehearsal(
            connector="gmail",
            accounts=self._accounts,
            settings={
                "google_client_id": self._options.client_id,
                "google_client_secret": self._options.client_secret,
                "gmail_window_days": "0",
            },
            consent=self._owner.consent,
            revoke=lambda account: self._controls["oauth"]("POST", {}, {"revoke_account": account}),
            streams={
                "profile": StreamRehearsal(
                    pages={"host": "openidconnect.googleapis.com", "path": "/userinfo"},
                    held=lambda account: [{"email": account}],
                ),
                "contacts": StreamRehearsal(
                    pages={"host": "people.googleapis.com", "path": "/connections$"},
                    held=self._owner.contacts,
                    acts={
                        "add": self._owner.adds("contact"),
                        "change": self._owner.rename_contacts,
                        "delete": self._owner.delete_contacts,
                        "expire": self._owner.does("expire_sync_tokens"),
                    },
                    spoil={"names": 7, "metadata": 7},
                    refusals=_NEW_WORDS,
                ),
                "messages": StreamRehearsal(
                    pages={"host": "gmail.googleapis.com", "path": "/(messages|history)$"},
                    held=self._messages,
                    acts={
                        "add": self._owner.adds("message"),
                        "change": self._label_messages,
                        "delete": self._delete_messages,
                        "expire": self._owner.does("expire_history"),
                    },
                    spoil=self._spoilt_mail,
                    refusals=_NEW_WORDS,
                ),
                "events": StreamRehearsal(
                    pages={"host": "www.googleapis.com", "path": "/calendars/[^/]+/events$"},
                    held=self._events,
                    acts={
                        "add": self._owner.adds("event"),
                        "change": self._rename_events,
                        "delete": self._cancel_events,
                        "expire": self._owner.does("expire_event_tokens"),
                    },
                    spoil={"start": 7, "attendees": 7},
                    refusals=_OLD_WORDS,
                ),
            },
        )

    def _mails(self, account: str) -> list[dict[str, Any]]:
        items = self._owner.truth(account, "messages")
        return [item for item in items if not _AWAY & set(item["labels"]) and not item["vanished"]]

    def _messages(self, account: str) -> list[dict[str, Any]]:
        return [
            {"thread_id": item["thread_id"], "labels": sorted({_MOVING, "INBOX"} & set(item["labels"]))}
            for item in self._mails(account)
        ]

    def _label_messages(self, account: str, number: int) -> Any:
        changes = []
        for item in self._mails(account)[:number]:
            way = "remove" if _MOVING in item["labels"] else "add"
            changes.append({"do": "label_message", "id": item["id"], way: [_MOVING]})
        return self._owner.edit(account, *changes)

    def _delete_messages(self, account: str, number: int) -> Any:
        ids = [item["id"] for item in self._mails(account)[-number:]]
        return self._owner.edit(account, {"do": "delete_message", "ids": ids})

    def _spoilt_mail(self, account: str) -> tuple[dict[str, Any], dict[str, Any]]:
        chosen = self._mails(account)[-1]["id"]
        return {"path": f"/messages/{chosen}", "times": 0}, {"body": {"kind": "list"}}

    def _meetings(self, account: str) -> list[dict[str, Any]]:
        listed = self._owner.truth(account, "calendars")
        readable = {item["id"] for item in listed if not item["hidden"] and item["role"] != "freeBusyReader"}
        events = self._owner.truth(account, "events")
        return [item for item in events if item["calendar_id"] in readable and item["kind"] in _READABLE_KINDS]

    def _events(self, account: str) -> list[dict[str, Any]]:
        return [{"calendar_id": item["calendar_id"], "summary": _shown_title(item)} for item in self._meetings(account)]

    def _own_meetings(self, account: str) -> list[dict[str, Any]]:
        """Those that may be edited without touching others: single ones of the primary calendar."""
        primary = next(item["id"] for item in self._owner.truth(account, "calendars") if item["primary"])
        return [
            item
            for item in self._meetings(account)
            if item["calendar_id"] == primary and not item["recurrence"] and not item["series_id"]
        ]

    def _rename_events(self, account: str, number: int) -> Any:
        return self._owner.rename_events(account, [item["id"] for item in self._own_meetings(account)[:number]])

    def _cancel_events(self, account: str, number: int) -> Any:
        chosen = self._own_meetings(account)[-number:]
        return self._owner.edit(account, *({"do": "cancel_event", "id": item["id"]} for item in chosen))


def _shown_title(item: dict[str, Any]) -> str:
    """Return what a list tells of a title: nothing of what is private or cancelled, and no NUL."""
    return "" if item["details_hidden"] or item["status"] == "cancelled" else item["title"].replace("\0", "")

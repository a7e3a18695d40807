"""How the connector `gmail` may be tried against the simulated Google: see `simulator.rehearsal`.

What ought to be held follows from what the connector says that it syncs: the mailbox without Spam and Trash, the
calendars of the account's list whose events it may read.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from simulator.google.controls import GoogleControls
from simulator.options import Options
from simulator.rehearsal import Act, Held, Rehearsal, StreamRehearsal

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
        self._accounts = accounts
        self._numbers = count(1)

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
            consent=self._consent,
            revoke=lambda account: self._controls["oauth"]("POST", {}, {"revoke_account": account}),
            streams={
                "profile": StreamRehearsal(
                    pages={"host": "openidconnect.googleapis.com", "path": "/userinfo"},
                    held=lambda account: [{"email": account}],
                ),
                "contacts": self._stream("people.googleapis.com", "/connections$", self._contacts, "contact"),
                "messages": self._stream("gmail.googleapis.com", "/(messages|history)$", self._messages, "message"),
                "events": self._stream("www.googleapis.com", "/calendars/[^/]+/events$", self._events, "event"),
            },
        )

    def _stream(self, host: str, path: str, held: Held, noun: str) -> StreamRehearsal:
        acts: dict[str, Act] = {
            "add": lambda account, number: self._edit(account, {"do": f"add_{noun}", "count": number}),
            "change": getattr(self, f"_change_{noun}s"),
            "delete": getattr(self, f"_delete_{noun}s"),
            "expire": lambda account, _number: self._edit(account, {"do": _EXPIRE[noun]}),
        }
        refusals = _OLD_WORDS if noun == "event" else _NEW_WORDS
        spoil = self._spoilt_mail if noun == "message" else _SPOILT[noun]
        return StreamRehearsal({"host": host, "path": path}, held, acts, spoil=spoil, refusals=refusals)

    def _consent(self, authorize_url: str, account: str, scopes: list[str] | None) -> str:
        asked = {"authorize_url": authorize_url, "account": account, "scopes": scopes}
        return str(self._controls["consent"]("POST", {}, asked)["redirect_url"])

    def _truth(self, account: str, kind: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._controls["truth"]("GET", {"account": account, "kind": kind}, {})["items"]
        return items

    def _edit(self, account: str, *edits: dict[str, Any]) -> Any:
        return self._controls["world"]("POST", {}, {"account": account, "edits": list(edits)})

    def _contacts(self, account: str) -> list[dict[str, Any]]:
        names = ("display_name", "given_name", "family_name")
        return [{name: item[name] for name in names} for item in self._truth(account, "contacts")]

    def _change_contacts(self, account: str, number: int) -> Any:
        chosen = self._truth(account, "contacts")[:number]
        new = [{"do": "change_contact", "id": item["id"], "fields": {"given_name": f"New {next(self._numbers)}"}}
               for item in chosen]  # fmt: skip
        return self._edit(account, *new)

    def _delete_contacts(self, account: str, number: int) -> Any:
        ids = [item["id"] for item in self._truth(account, "contacts")[-number:]]
        return self._edit(account, {"do": "delete_contact", "ids": ids})

    def _mails(self, account: str) -> list[dict[str, Any]]:
        items = self._truth(account, "messages")
        return [item for item in items if not _AWAY & set(item["labels"]) and not item["vanished"]]

    def _messages(self, account: str) -> list[dict[str, Any]]:
        return [
            {"thread_id": item["thread_id"], "labels": sorted({_MOVING, "INBOX"} & set(item["labels"]))}
            for item in self._mails(account)
        ]

    def _change_messages(self, account: str, number: int) -> Any:
        changes = []
        for item in self._mails(account)[:number]:
            way = "remove" if _MOVING in item["labels"] else "add"
            changes.append({"do": "label_message", "id": item["id"], way: [_MOVING]})
        return self._edit(account, *changes)

    def _delete_messages(self, account: str, number: int) -> Any:
        ids = [item["id"] for item in self._mails(account)[-number:]]
        return self._edit(account, {"do": "delete_message", "ids": ids})

    def _spoilt_mail(self, account: str) -> tuple[dict[str, Any], dict[str, Any]]:
        chosen = self._mails(account)[-1]["id"]
        return {"path": f"/messages/{chosen}", "times": 0}, {"body": {"kind": "list"}}

    def _meetings(self, account: str) -> list[dict[str, Any]]:
        listed = self._truth(account, "calendars")
        readable = {item["id"] for item in listed if not item["hidden"] and item["role"] != "freeBusyReader"}
        events = self._truth(account, "events")
        return [item for item in events if item["calendar_id"] in readable and item["kind"] in _READABLE_KINDS]

    def _events(self, account: str) -> list[dict[str, Any]]:
        return [{"calendar_id": item["calendar_id"], "summary": _shown_title(item)} for item in self._meetings(account)]

    def _own_meetings(self, account: str) -> list[dict[str, Any]]:
        """Those that may be edited without touching others: single ones of the primary calendar."""
        primary = next(item["id"] for item in self._truth(account, "calendars") if item["primary"])
        return [
            item
            for item in self._meetings(account)
            if item["calendar_id"] == primary and not item["recurrence"] and not item["series_id"]
        ]

    def _change_events(self, account: str, number: int) -> Any:
        chosen = self._own_meetings(account)[:number]
        new = [{"do": "change_event", "id": item["id"], "fields": {"title": f"New {next(self._numbers)}"}}
               for item in chosen]  # fmt: skip
        return self._edit(account, *new)

    def _delete_events(self, account: str, number: int) -> Any:
        chosen = self._own_meetings(account)[-number:]
        return self._edit(account, *({"do": "cancel_event", "id": item["id"]} for item in chosen))


def _shown_title(item: dict[str, Any]) -> str:
    """Return what a list tells of a title: nothing of what is private or cancelled, and no NUL."""
    return "" if item["details_hidden"] or item["status"] == "cancelled" else item["title"].replace("\0", "")


_EXPIRE = {"contact": "expire_sync_tokens", "message": "expire_history", "event": "expire_event_tokens"}
_SPOILT = {"contact": {"names": 7, "metadata": 7}, "event": {"start": 7, "attendees": 7}}

"""How the connector `outlook` may be tried against the simulated Microsoft: see `simulator.rehearsal`.

What ought to be held follows from what the connector says that it syncs: every contact folder, and the mail folders
without those for what is thrown away, unwanted or not yet sent.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

from simulator.app import ControlHandler
from simulator.microsoft.calls import GRAPH_HOST
from simulator.microsoft.ids import Ids
from simulator.microsoft.message_content import conversation_id
from simulator.options import Options
from simulator.rehearsal import Rehearsal, StreamRehearsal
from simulator.world import World

_AWAY = frozenset({"Deleted Items", "Junk Email", "Drafts", "Outbox", "Conversation History"})
_REFUSALS = {
    "scope_missing": {"status": 403, "reason": "ErrorAccessDenied"},
    "throttled": {"status": 429, "reason": "ApplicationThrottled"},
}


class MicrosoftRehearsal:
    """Microsoft's controls, called as the kit calls those of any provider."""

    def __init__(self, options: Options, world: World, controls: Mapping[str, ControlHandler]) -> None:
        self._options = options
        self._world = world
        self._ids = Ids(world.seed)
        self._controls = controls
        self._numbers = count(1)

    def rehearsal(self) -> Rehearsal:
        """Return it."""
        return Rehearsal(
            connector="outlook",
            accounts=lambda: [account.email for account in self._world.office],
            settings={
                "microsoft_client_id": self._options.microsoft_client_id,
                "microsoft_client_secret": self._options.microsoft_client_secret,
                "outlook_window_days": "0",
            },
            consent=self._consent,
            revoke=self._revoke,
            streams={
                "profile": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "/me$"},
                    held=lambda account: [{"email": account}],
                ),
                "contacts": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "/contacts/delta$"},
                    held=self._contacts,
                    acts={
                        "add": lambda account, number: self._edit(account, {"do": "add_contact", "count": number}),
                        "change": self._change_contacts,
                        "delete": self._delete_contacts,
                        "expire": lambda account, _number: self._edit(account, {"do": "expire_contact_links"}),
                    },
                    spoil={"displayName": 7, "emailAddresses": 7},
                    refusals=_REFUSALS,
                ),
                "messages": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "/messages/delta$"},
                    held=self._messages,
                    acts={
                        "add": lambda account, number: self._edit(account, {"do": "add_message", "count": number}),
                        "change": self._move_messages,
                        "delete": self._delete_messages,
                        "expire": lambda account, _number: self._edit(account, {"do": "expire_mail_links"}),
                    },
                    spoil=self._spoilt_mail,
                    refusals=_REFUSALS,
                ),
            },
        )

    def _consent(self, authorize_url: str, account: str, scopes: list[str] | None) -> str:
        asked = {"authorize_url": authorize_url, "account": account, "scopes": scopes}
        return str(self._controls["consent"]("POST", {}, asked)["redirect_url"])

    def _revoke(self, account: str) -> Any:
        """Let the person remove the application, an hour ago: until then its access token would have lived on."""
        return self._controls["entra"]("POST", {}, {"remove_consent": account, "expire_access_tokens": account})

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
        items = self._truth(account, "message_states")
        return [item for item in items if item["folder"].split("/")[0] not in _AWAY]

    def _messages(self, account: str) -> list[dict[str, Any]]:
        mail, owner = self._world.office_account(account).mail, self._world.office_account(account).oid
        return [
            {
                "thread_id": conversation_id(owner, mail.box.at(item["number"]).root),
                "labels": [f"folder:{item['known_as'] or item['folder_id']}"],
            }
            for item in self._mails(account)
        ]

    def _move_messages(self, account: str, number: int) -> Any:
        moves = [
            {"do": "move_message", "id": item["id"], "to": "archive" if item["known_as"] != "archive" else "inbox"}
            for item in self._mails(account)[:number]
        ]
        return self._edit(account, *moves)

    def _delete_messages(self, account: str, number: int) -> Any:
        ids = [item["id"] for item in self._mails(account)[-number:]]
        return self._edit(account, {"do": "delete_message", "ids": ids})

    def _spoilt_mail(self, account: str) -> tuple[dict[str, Any], dict[str, Any]]:
        chosen = self._mails(account)[-1]["immutable_id"].rstrip("=")  # An address may have its padding encoded.
        return {"path": f"/messages/{chosen}", "times": 0}, {"body": {"kind": "list"}}

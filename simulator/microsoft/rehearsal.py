"""How the connector `outlook` may be tried against the simulated Microsoft: see `simulator.rehearsal`.

What ought to be held follows from what the connector says that it syncs: every contact folder, the mail folders
without those for what is thrown away, unwanted or not yet sent, and every calendar of the list.

    profile    email
    contacts   display_name, given_name, family_name
    messages   thread_id (Graph's conversationId), labels (one: `folder:` and the well-known name or the id)
    events     calendar_id (the id in /me/calendars), summary (Graph's subject without NUL, "" where there is none)

An event is what a calendar stores: a single event, a series once, or an exception of a series under its own title. The
days on which a series happens as it says are none by themselves, and neither is a cancelled one. With `--page-limit`
all events lie between 10 days before and 40 days after the first day of the world, which is today: the truth is that of
any window that holds these days. One calendar is the default one, one is a further one of the account's own, and one
may only be read.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from simulator.app import ControlHandler
from simulator.microsoft.calls import GRAPH_HOST
from simulator.microsoft.ids import Ids
from simulator.microsoft.message_content import conversation_id
from simulator.options import Options
from simulator.owner import Owner
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
        self._owner = Owner(controls)

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
            consent=self._owner.consent,
            revoke=self._revoke,
            streams={
                "profile": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "/me$"},
                    held=lambda account: [{"email": account}],
                ),
                "contacts": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "/contacts/delta$"},
                    held=self._owner.contacts,
                    acts={
                        "add": self._owner.adds("contact"),
                        "change": self._owner.rename_contacts,
                        "delete": self._owner.delete_contacts,
                        "expire": self._owner.does("expire_contact_links"),
                    },
                    spoil={"displayName": 7, "emailAddresses": 7},
                    refusals=_REFUSALS,
                ),
                "messages": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "/messages/delta$"},
                    held=self._messages,
                    acts={
                        "add": self._owner.adds("message"),
                        "change": self._move_messages,
                        "delete": self._delete_messages,
                        "expire": self._owner.does("expire_mail_links"),
                    },
                    spoil=self._spoilt_mail,
                    refusals=_REFUSALS,
                ),
                "events": StreamRehearsal(
                    pages={"host": GRAPH_HOST, "path": "(?i)/calendarview/delta$"},
                    held=self._events,
                    acts={
                        "add": self._add_events,
                        "change": self._rename_events,
                        "delete": self._delete_events,
                        "expire": self._owner.does("expire_event_links"),
                    },
                    spoil={"start": 7, "subject": 7},
                    refusals=_REFUSALS,
                ),
            },
        )

    def _revoke(self, account: str) -> Any:
        """Let the person remove the application, an hour ago: until then its access token would have lived on."""
        return self._controls["entra"]("POST", {}, {"remove_consent": account, "expire_access_tokens": account})

    def _mails(self, account: str) -> list[dict[str, Any]]:
        items = self._owner.truth(account, "message_states")
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
        return self._owner.edit(account, *moves)

    def _delete_messages(self, account: str, number: int) -> Any:
        ids = [item["id"] for item in self._mails(account)[-number:]]
        return self._owner.edit(account, {"do": "delete_message", "ids": ids})

    def _spoilt_mail(self, account: str) -> tuple[dict[str, Any], dict[str, Any]]:
        chosen = self._mails(account)[-1]["immutable_id"].rstrip("=")  # An address may have its padding encoded.
        return {"path": f"/messages/{chosen}", "times": 0}, {"body": {"kind": "list"}}

    def _events(self, account: str) -> list[dict[str, Any]]:
        return [
            {"calendar_id": item["calendar_id"], "summary": item["title"].replace("\0", "")}
            for item in self._owner.truth(account, "events")
        ]

    def _add_events(self, account: str, number: int) -> Any:
        """Add events of tomorrow, in turn to the default calendar and to a further one."""
        calendars = [one["id"] for one in self._owner.truth(account, "calendars") if one["editable"]]
        day = datetime.fromtimestamp(self._world.epoch, UTC).date() + timedelta(days=1)
        times = {"start": f"{day}T11:00:00Z", "end": f"{day}T11:30:00Z", "recurrence": []}
        added = list(islice(self._owner.numbers, number))
        return self._owner.edit(account, *(
            {"do": "add_event", "calendar": calendars[one % 2], "fields": {**times, "title": f"Added {one}"}}
            for one in added
        ))  # fmt: skip

    def _rename_events(self, account: str, number: int) -> Any:
        """Rename events; one of a series becomes an exception by it."""
        return self._owner.rename_events(account, self._chosen_events(account, number))

    def _delete_events(self, account: str, number: int) -> Any:
        return self._owner.edit(account, {"do": "delete_event", "ids": self._chosen_events(account, number)})

    def _chosen_events(self, account: str, number: int) -> list[str]:
        """Return the ids of so many events of the default calendar: half of them single ones, half of a series."""
        default = self._owner.truth(account, "calendars")[0]["id"]
        there = [item for item in self._owner.truth(account, "occurrences") if item["calendar_id"] == default]
        single = [item["id"] for item in there if item["series_id"] is None]
        serial = [item["id"] for item in there if item["series_id"] is not None]
        return [*single[: number - number // 2], *serial[: number // 2]]

"""Messages as they are written: what a call prefers and chose, and what its permission leaves, encoded once each.

What was written is kept while the message's version is the same; `warm` writes everything beforehand.
"""

from typing import Any

import msgspec

from simulator.microsoft import scopes
from simulator.microsoft.attachments import attached, attachment_entries
from simulator.microsoft.calls import Call, Preferences
from simulator.microsoft.ids import Ids
from simulator.microsoft.listing import kept
from simulator.microsoft.message_content import content_of, headers_of
from simulator.microsoft.message_resource import ONLY_WHEN_SELECTED, SEEN_OUTSIDE, UNREAD_CONTENT, message
from simulator.world.folders import Item
from simulator.world.office_mail import OfficeMail

BODIES = frozenset({"body", "bodyPreview", "uniqueBody"})
_Variant = tuple[int, Preferences, frozenset[str] | None, bool]


class WrittenMessages:
    """Writes the messages of every account."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._encoder = msgspec.json.Encoder()
        self._ready: dict[_Variant, dict[int, tuple[int, bytes]]] = {}

    def warm(self, account: Any, prefer: Preferences, chosen: frozenset[str] | None) -> int:
        """Encode every message beforehand, so that a benchmark measures its client and not this."""
        mail: OfficeMail = account.mail
        alive = [item for item in mail.cabinet.items if not item.deleted]
        for item in alive:
            self.encoded(account, prefer, chosen, item, expand=False)
        return len(alive)

    def encoded(
        self, account: Any, prefer: Preferences, chosen: frozenset[str] | None, item: Item, *, expand: bool
    ) -> bytes:
        """Return a message as JSON; `expand` puts its attachments in."""
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
            entry = {name: value for name, value in entry.items() if name not in BODIES}
        entry = kept(entry, chosen)
        if expand:
            entry["attachments"] = attachment_entries(attached(account, item), account, self._ids, item, prefer)
        return entry


def preferences_of(call: Call) -> Preferences:
    """Return what of a call's preferences, and of its permission, shows in a message."""
    asked = call.preferences
    return Preferences(
        immutable_ids=asked.immutable_ids,
        text_bodies=asked.text_bodies,
        unsafe_html=asked.unsafe_html,
        bodies=not call.token.scopes.isdisjoint(scopes.MAIL_BODIES),
    )

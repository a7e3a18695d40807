"""The attachments of a message: listed, single, and as bytes; a mail within the mail is shown as one.

Source: the provider sheet, sections 3.1 and 3.5.
"""

from typing import Any

import msgspec

from simulator.exchange import Reply
from simulator.microsoft.calls import Call, Preferences
from simulator.microsoft.errors import GraphError, malformed_id, no_such_segment, not_found
from simulator.microsoft.ids import Ids
from simulator.microsoft.listing import listed, single
from simulator.microsoft.message_content import Attached, content_of
from simulator.microsoft.message_resource import attachment, body, recipient
from simulator.world.folders import Item
from simulator.world.mail_facts import Letter, MailTruth
from simulator.world.office import OfficeAccount

_EXPANSION = "microsoft.graph.itemattachment/item"


def attached(account: OfficeAccount, item: Item) -> tuple[Attached, ...]:
    """Return what is attached to a message."""
    mail = account.mail
    return content_of(mail.box.content(mail.mail(item))).attached


def attachment_entries(
    found: tuple[Attached, ...], account: OfficeAccount, ids: Ids, item: Item, prefer: Preferences
) -> list[dict[str, Any]]:
    """Return all attachments whole."""
    return [
        attachment(one, _id(ids, account, item, at, immutable=prefer.immutable_ids), item.created_at, whole=True)
        for at, one in enumerate(found)
    ]


def attachment_of(call: Call, ids: Ids, item: Item, rest: tuple[str, ...]) -> Reply:
    """Serve what comes after a message in a path.

    Raises: GraphError.
    """
    account, prefer = call.account, call.preferences
    found = attached(account, item)
    match rest:
        case ("attachments",):
            call.only("$select", "$top", "$skip", "$expand")
            entries = attachment_entries(found, account, ids, item, prefer)
            chosen = call.query.get("$select")
            names = None if chosen is None else {one.strip() for one in chosen.split(",")}
            kept = (
                {name: value for name, value in entry.items() if names is None or name in names | {"id"} or "@" in name}
                for entry in entries
            )
            return listed(call, (msgspec.json.encode(one) for one in kept), ("messages", "attachments"))
        case ("attachments", attachment_id, *last):
            place = _place(call, ids, item, attachment_id)
            if place >= len(found):
                raise not_found()
            one = found[place]
            if last == ["$value"]:
                return Reply(200, one.content, one.content_type)
            if last:
                raise no_such_segment(last[-1])
            call.only("$expand", "$select")
            own_id = _id(ids, account, item, place, immutable=prefer.immutable_ids)
            entry = attachment(one, own_id, item.created_at, whole=True)
            if "$expand" in call.query:
                entry |= _expanded(call, one)
            return single(call, entry, ("messages", "attachments"))
        case _:
            raise no_such_segment(rest[-1])


def _expanded(call: Call, one: Attached) -> dict[str, Any]:
    if call.query["$expand"].lower() != _EXPANSION or one.kind != "item":
        raise GraphError(400, "Only microsoft.graph.itemAttachment/item can be expanded, of a mail within the mail.")
    inner = content_of(Letter(one.content, MailTruth()))
    return {
        "item": {
            "@odata.type": "#microsoft.graph.message",
            "subject": inner.subject or None,
            "internetMessageId": f"<{inner.message_id}>" if inner.message_id else None,
            "from": recipient(inner.sender),
            "toRecipients": [recipient(one) for one in inner.to],
            "body": body(inner, call.preferences),
        }
    }


def _id(ids: Ids, account: OfficeAccount, item: Item, place: int, *, immutable: bool) -> str:
    return ids.of_part(account, item.number, item.turn, place, immutable=immutable)


def _place(call: Call, ids: Ids, item: Item, attachment_id: str) -> int:
    meant = ids.read("attachment", call.account, attachment_id)
    if meant is None:
        raise malformed_id()
    if meant.number != item.number or meant.turn not in (None, item.turn):
        raise not_found()
    return int(meant.stamp)

"""A message, a mail folder and an attachment as Graph shows them. What a mail says is read in `message_content.py`.

Source: the provider sheet, sections 3.2 and 3.5.
"""

import base64
from typing import Any

from simulator.microsoft.calls import Preferences
from simulator.microsoft.message_content import Attached, Content, conversation_id, sanitised, thread_digits
from simulator.microsoft.times import etag, utc
from simulator.world.folders import Folder, Item
from simulator.world.mail_facts import Party
from simulator.world.mailbox import Mail
from simulator.world.office_mail import DRAFT, FLAGGED, UNREAD

PROPERTIES = (
    "bccRecipients", "body", "bodyPreview", "categories", "ccRecipients", "changeKey", "conversationId",
    "conversationIndex", "createdDateTime", "flag", "from", "hasAttachments", "id", "importance",
    "inferenceClassification", "internetMessageHeaders", "internetMessageId", "isDeliveryReceiptRequested", "isDraft",
    "isRead", "isReadReceiptRequested", "lastModifiedDateTime", "parentFolderId", "receivedDateTime", "replyTo",
    "sender", "sentDateTime", "subject", "toRecipients", "uniqueBody", "webLink",
)  # fmt: skip
ONLY_WHEN_SELECTED = frozenset({"internetMessageHeaders", "uniqueBody"})
SEEN_OUTSIDE = frozenset(
    {"categories", "changeKey", "conversationId", "createdDateTime", "flag", "id", "importance", "isDraft", "isRead",
     "lastModifiedDateTime", "parentFolderId", "receivedDateTime", "sentDateTime"}
)  # fmt: skip
"""What can be said of a mail without opening it."""
UNREAD_CONTENT = Content("", None, (), (), (), (), "", "", "", ())
FOLDER_PROPERTIES = (
    "childFolderCount", "displayName", "id", "isHidden", "parentFolderId", "totalItemCount", "unreadItemCount",
)  # fmt: skip
_PREVIEW = 255


def message(
    item: Item, mail: Mail, content: Content, preferences: Preferences, *, owner: str, message_id: str, folder_id: str
) -> dict[str, Any]:
    """Return everything that is usually said about a message."""
    key = etag(item.number, item.version)
    thread = thread_digits(owner, mail.root)
    entry: dict[str, Any] = {
        "@odata.etag": key,
        "id": message_id,
        "createdDateTime": utc(item.created_at),
        "lastModifiedDateTime": utc(item.updated_at),
        "changeKey": key[3:-1],
        "categories": [],
        "receivedDateTime": utc(mail.at),
        "sentDateTime": utc(mail.at - 2),
        "hasAttachments": any(not one.inline for one in content.attached),
        "internetMessageId": f"<{content.message_id}>" if content.message_id else None,
        "subject": content.subject or None,
        "bodyPreview": " ".join(content.plain.split())[:_PREVIEW],
        "importance": "normal",
        "parentFolderId": folder_id,
        "conversationId": conversation_id(owner, mail.root),
        "conversationIndex": base64.b64encode(b"\x01\x01" + bytes.fromhex(thread)[:20]).decode(),
        "isDeliveryReceiptRequested": False,
        "isReadReceiptRequested": False,
        "isRead": UNREAD not in mail.labels,
        "isDraft": DRAFT in mail.labels,
        "webLink": f"https://outlook.office365.com/owa/?ItemID={message_id}&exvsurl=1&viewmodel=ReadMessageItem",
        "inferenceClassification": "focused",
        "body": body(content, preferences),
        "sender": recipient(content.sender),
        "from": recipient(content.sender),
        "toRecipients": [recipient(one) for one in content.to],
        "ccRecipients": [recipient(one) for one in content.cc],
        "bccRecipients": [recipient(one) for one in content.bcc],
        "replyTo": [recipient(one) for one in content.reply_to],
        "flag": {"flagStatus": "flagged" if FLAGGED in mail.labels else "notFlagged"},
    }
    if entry["isDraft"]:
        del entry["sender"], entry["from"]
    if content.is_invitation:
        entry = {"@odata.type": "#microsoft.graph.eventMessageRequest", **entry, "meetingMessageType": "meetingRequest"}
    return entry


def body(content: Content, preferences: Preferences) -> dict[str, str]:
    """Return the body in the form that the caller wants."""
    if preferences.text_bodies or not content.html:
        return {"contentType": "text", "content": content.plain.replace("\n", "\r\n")}
    markup = content.html if preferences.unsafe_html else sanitised(content.html)
    return {"contentType": "html", "content": markup}


def recipient(party: Party | None) -> dict[str, Any] | None:
    """Return a person; one without an address has none."""
    if party is None:
        return None
    address = {"name": party.name or party.address, "address": party.address}
    return {"emailAddress": {name: value for name, value in address.items() if value}}


def mail_folder(folder: Folder, children: int, unread: int, folder_id: str, parent_id: str) -> dict[str, Any]:
    """Return a folder with its counts."""
    return {
        "id": folder_id,
        "displayName": folder.name,
        "parentFolderId": parent_id,
        "childFolderCount": children,
        "unreadItemCount": unread,
        "totalItemCount": len(folder.members),
        "isHidden": folder.hidden,
    }


def attachment(one: Attached, attachment_id: str, at: float, *, whole: bool) -> dict[str, Any]:
    """Return an attachment; a mail within the mail has no bytes."""
    entry: dict[str, Any] = {
        "@odata.type": f"#microsoft.graph.{one.kind}Attachment",
        "@odata.mediaContentType": one.content_type,
        "id": attachment_id,
        "lastModifiedDateTime": utc(at),
        "name": one.name,
        "contentType": one.content_type,
        "size": len(one.content),
        "isInline": one.inline,
    }
    if one.kind == "item":
        return entry | {"contentType": None}
    entry |= {"contentId": one.content_id or None, "contentLocation": None}
    if whole:
        entry["contentBytes"] = base64.b64encode(one.content).decode()
    return entry

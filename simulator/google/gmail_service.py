"""How the Gmail API takes its place in the family: its addresses, its truth, its edits and its switches."""

from simulator.google.gmail import Gmail
from simulator.google.gmail_edits import MailEdits, labels_truth, mailbox_truth, messages_truth, states_truth
from simulator.google.gmail_rules import GMAIL_HOST
from simulator.google.service import Parts, Service

_SHARED_HOST = "www.googleapis.com"


def gmail_service(parts: Parts) -> Service:
    """Build the service."""
    gmail = Gmail(parts.simulator, parts.access)

    return Service(
        name="gmail",
        prefixes=(
            (GMAIL_HOST, "/gmail/v1/"),
            (GMAIL_HOST, "/batch"),
            (_SHARED_HOST, "/gmail/v1/"),
            (_SHARED_HOST, "/batch/gmail/v1"),
        ),
        style="both",
        handle=gmail.handle,
        truth={
            "messages": messages_truth,
            "message_states": states_truth,
            "mail_labels": labels_truth,
            "mailbox": lambda account: mailbox_truth(account, gmail),
        },
        edits=MailEdits(parts.simulator.world, gmail).table,
        counts=lambda account: {"messages": account.mailbox.alive},
        switches=gmail.switch,
    )

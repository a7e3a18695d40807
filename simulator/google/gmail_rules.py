"""What the Gmail API charges and where Google leaves room: prices of the methods, and the switches.

Source: the provider sheet, section 4.4 and 4.5. What the sheet calls unconfirmed is a switch here.
"""

from dataclasses import dataclass, field
from typing import Literal

GMAIL_HOST = "gmail.googleapis.com"
MAX_PAGE, DEFAULT_PAGE = 500, 100
MAX_BATCH = 100
WATCH_LIFE_S = 7 * 86_400.0

# Units of each method since 1 May 2026, and for projects that were active before.
PRICES = {
    "getProfile": 1, "labels.list": 1, "labels.get": 1, "history.list": 2, "messages.list": 5, "messages.modify": 5,
    "threads.list": 10, "messages.get": 20, "attachments.get": 20, "threads.get": 40, "stop": 50, "watch": 100,
}  # fmt: skip
OLD_PRICES = {
    **PRICES, "messages.get": 5, "attachments.get": 5, "threads.get": 10, "threads.list": 10, "messages.list": 5,
}  # fmt: skip


@dataclass(slots=True)
class GmailSwitches:
    """How the service behaves where Google leaves room; set through the control door.

    history_days              what happened longer ago is forgotten, and ids from before it answer 404
    history_labels            typed entries of history tell the labels that the message had then
    history_overlap           so many records of a page stand once more at the beginning of the next
    history_repeats           every record stands twice
    empty_history_pages       so many pages come first that have a token and no history
    sparse_history_pages      filters thin a page out instead of filling it up
    clamp_page_size           maxResults above 500 is cut to it, else it is a 400
    unknown_label_status      what a filter by a label that is gone is answered with
    metadata_scope_wins       gmail.metadata forbids `q` and bodies even beside a wider scope
    user_limit_status, user_limit_reason    how a full window of the user is worded
    old_prices                messages.get at 5 units, as for projects that were active before May 2026
    text_bodies               texts are turned into UTF-8 whatever their headers say, or left as they were sent
    header_words              encoded words of headers are left as they were sent, or read
    nested_mails              an attached mail is shown by its parts, as a file, or as both
    external_above_bytes      texts larger than this get an attachmentId instead of data
    padded_base64             base64url ends with =
    batch_order               answers of a batch come in the order of its calls, or in another
    batch_429_above           calls of one batch beyond so many answer 429 (0: never)
    batch_429_every           every so-manieth call inside batches answers 429 (0: never)
    short_pages               the most items of any page, however many were asked for (0: no such limit)
    without_gmail             accounts whose every call is a 400 failedPrecondition
    """

    history_days: float = 7.0
    history_labels: bool = True
    history_overlap: int = 0
    history_repeats: bool = False
    empty_history_pages: int = 0
    sparse_history_pages: bool = False
    clamp_page_size: bool = True
    unknown_label_status: int = 404
    metadata_scope_wins: bool = False
    user_limit_status: Literal[403, 429] = 403
    user_limit_reason: Literal["rateLimitExceeded", "userRateLimitExceeded"] = "rateLimitExceeded"
    old_prices: bool = False
    text_bodies: Literal["utf8", "as_sent"] = "utf8"
    header_words: Literal["as_sent", "decoded"] = "as_sent"
    nested_mails: Literal["parts", "file", "both"] = "both"
    external_above_bytes: int | None = None
    padded_base64: bool = False
    batch_order: Literal["kept", "reversed"] = "kept"
    batch_429_above: int = 0
    batch_429_every: int = 0
    short_pages: int = 0
    without_gmail: list[str] = field(default_factory=list)

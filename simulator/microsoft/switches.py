"""How Graph behaves where its documents leave room or what is known is not confirmed.

Every switch is set through the control door: `POST /_control/graph {"empty_pages": 2}`.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class GraphSwitches:
    """The defaults are what is best attested.

    retry_after: how a 429 says when to come back: whole seconds, a fraction, a date, or not at all.
    throttle_code: the code of a 429.
    latency_s: how long every call of a mailbox takes, during which it counts as one of those under way.
    batch_429_above: how many calls of one batch are served before the rest are throttled; 0 for no such limit.
    batch_backwards: whether the replies of a batch come in the other order.
    unsupported_query: whether a query option that a delta does not support is refused or ignored.
    empty_pages: how many pages without items, but with a next link, come before the first of every round.
    repeated_items: how many items of a page come again at the beginning of the next.
    replayed_items: how many unchanged items come again in every later round.
    short_pages: the most items of any page, however many were asked for; 0 for no such limit.
    removed_first: how many things that were deleted earlier are told as removed in the very first round.
    changed_items: whether a changed message comes whole, or as its id with what changed.
    moved_back: what is told of a message that left a folder and returned within a round, its id unchanged: only the
      removal, or also the message.
    expired_status, expired_code, expired_location: how an expired link is refused.
    link_life_s: seconds after which a next link or delta link expires; 0 never.
    folder_delta_nested: whether the delta of mail folders tells of nested ones.
    rounds_of_calendars: whether the rounds are for every calendar, or for the default one only.
    occurrences: whether an occurrence of a series comes with its times only, or whole.
    without_mailbox: accounts whose mailbox is elsewhere.
    """

    retry_after: Literal["seconds", "fraction", "date", "none"] = "seconds"
    throttle_code: Literal["ApplicationThrottled", "TooManyRequests", "activityLimitReached"] = "ApplicationThrottled"
    latency_s: float = 0.0
    batch_429_above: int = 0
    batch_backwards: bool = False
    unsupported_query: Literal["refuse", "ignore"] = "refuse"
    empty_pages: int = 0
    repeated_items: int = 0
    replayed_items: int = 0
    short_pages: int = 0
    removed_first: int = 0
    changed_items: Literal["whole", "partial"] = "whole"
    moved_back: Literal["only_removed", "shown"] = "only_removed"
    expired_status: int = 410
    expired_code: Literal["SyncStateNotFound", "SyncStateInvalid", "resyncRequired"] = "SyncStateNotFound"
    expired_location: bool = False
    link_life_s: float = 0.0
    folder_delta_nested: bool = True
    rounds_of_calendars: Literal["every", "default"] = "every"
    occurrences: Literal["sparse", "whole"] = "sparse"
    without_mailbox: list[str] = field(default_factory=list)

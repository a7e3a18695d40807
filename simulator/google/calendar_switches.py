"""How the Calendar API behaves where its documents leave room or what is known is not confirmed.

Every switch is set through the control door: `POST /_control/services {"calendar": {"empty_pages": 2}}`.
"""

from dataclasses import dataclass
from typing import Literal

from simulator.google.event_resource import Tombstones


@dataclass(slots=True)
class CalendarSwitches:
    """The defaults are what is best attested.

    tombstones: `usual` has kind, etag, id and status, `full` all that the event said, `least` id and status only; a
      cancelled exception always names its series and its place there.
    exceptions_end_with_series: whether a deleted series' exceptions are told as tombstones of their own.
    mismatch_status: 400, or 410, for a sync token under other parameters; token_binds_page_size: whether `maxResults`
      is one of them.
    bad_token_status: 400, or 410, for what is no sync token at all.
    gone_reason: the reason in the 410 of a token that has expired.
    token_life_s: seconds after which a sync token expires; 0 never.
    token_keeps_window: whether syncs leave out what lies outside the timeMin and timeMax of the full pass.
    empty_pages: how many pages without items, but with a page token, come before the first of every list.
    repeated_items: how many items of a page come again at the beginning of the next.
    short_pages: the most items of any page, however many were asked for; 0 for no such limit.
    omit_sync_token: lists end with neither a page token nor a sync token.
    oversized_page: what becomes of a maxResults beyond the most.
    get_deleted: whether events.get of what is deleted is a 410, or the tombstone.
    busy_times: what events.list of a calendar shows to freeBusyReader: times only, or a 403.
    quota_status: the status of a refusal for quota.
    updated_min_days: how far back updatedMin may reach.
    single_events_days: how far beyond the world's first day a series without an end is expanded.
    lost_access_told: whether the list of calendars tells that one is no longer shared.
    """

    tombstones: Tombstones = "usual"
    exceptions_end_with_series: bool = True
    mismatch_status: Literal[400, 410] = 400
    token_binds_page_size: bool = True
    bad_token_status: Literal[400, 410] = 400
    gone_reason: Literal["fullSyncRequired", "updatedMinTooLongAgo"] = "fullSyncRequired"
    token_life_s: float = 0.0
    token_keeps_window: bool = False
    empty_pages: int = 0
    repeated_items: int = 0
    short_pages: int = 0
    omit_sync_token: bool = False
    oversized_page: Literal["clamp", "reject"] = "clamp"
    get_deleted: Literal["gone", "cancelled"] = "gone"
    busy_times: Literal["shown", "forbidden"] = "shown"
    quota_status: Literal[403, 429] = 403
    updated_min_days: float = 30.0
    single_events_days: int = 730
    lost_access_told: bool = True

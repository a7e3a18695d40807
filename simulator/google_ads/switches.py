"""How the Google Ads API behaves where the documentation leaves room, or where a test wants it otherwise.

Set through `/_control/google_ads/switches`. Source: the provider sheet, sections 8.1, 8.2, 8.4, 8.6 and 13.
"""

from dataclasses import dataclass, field
from typing import Literal

Level = Literal["test", "explorer", "basic", "standard"]


@dataclass(slots=True)
class Switches:
    """Pages and chunks are of 10,000 rows at Google; smaller ones spare a test the rows.

    `sunset` names versions that are gone besides the old ones, `unsupported_status` is what a gone one answers with.
    `old_header` is what becomes of `developer-token`. `zeros` writes fields that are zero. `old_days` is what happens
    to days beyond 37 months. A delay of None means that the error names none. `plain_401` leaves the GoogleAdsFailure
    out of errors about bearers, as the front end does.
    """

    access_level: Level = "basic"
    page_size: int = 10_000
    page_token_life_s: float = 7_200.0
    zeros: bool = False
    old_days: Literal["refused", "left_out"] = "refused"
    suspended: Literal["refused", "readable"] = "refused"
    sunset: list[str] = field(default_factory=list)
    unsupported_status: Literal[400, 404] = 400
    old_header: Literal["ignored", "refused"] = "ignored"
    plain_401: bool = False
    daily_retry_delay_s: float | None = None
    rate_retry_delay_s: float | None = 30.0

"""The connector `google_ads`: the advertising accounts that one Google account reaches, directly or through managers.

stream          purpose          what is synced
accounts        campaign_stats   every account once, managers and closed ones too: `google_ads_accounts.py`
campaigns       campaign_stats   the campaigns of each account: `google_ads_campaigns.py`
campaign_days   campaign_stats   what each campaign cost and brought on each day: `google_ads_days.py`

Each of those files says how its cursor lives and dies, how deletions are learned, what the limits and the gaps are.

One account never holds up the others. One that Google throttles by itself is read last; one that is suspended says so
and is asked again once a day (a full sync asks it at once); one that was closed is not asked, and keeps its days.

Google has one scope for all of Google Ads and none that only reads; this connector sends nothing but queries.
Operations are scarce and belong to the whole Cloud project, so streams run at intervals of hours: a person with one
account costs about thirty operations a day.

Source: providers/google.md §8 (read 2026-11), and the pages of developers.google.com/google-ads that it names.
"""

from datetime import timedelta
from typing import Final

from worker.connectors import google_ads_accounts, google_ads_api, google_ads_campaigns, google_ads_days, google_api
from worker.connectors.contract import Connector, Facts, Option, Stream
from worker.connectors.google_ads_accounts import SCOPE
from worker.records import Kind, Purpose

FACTS: Final = Facts(
    name="google_ads",
    title="Google Ads",
    family="google",
    api_version="Google Ads v26 (a setting)",
    hosts=frozenset({google_ads_api.HOST}),
    oauth=google_api.GOOGLE_OAUTH,
    budgets=google_ads_api.BUDGETS,
    budget_options=google_ads_api.BUDGET_OPTIONS,
    options=(
        Option("api_version", "google_ads_api_version"),
        Option("developer_token", "google_ads_developer_token", default=""),
        Option("history_days", "google_ads_history_days"),
        Option("restatement_days", "google_ads_restatement_days"),
    ),
    purposes=(Purpose.CAMPAIGN_STATS,),
    scope_reasons={
        "openid": "to know the account by an id that never changes",
        "email": "to show which account is connected",
        "profile": "to show the account's name",
        SCOPE: "to read advertising accounts, campaigns and their figures; Google has no narrower scope",
    },
    docs=(
        "https://developers.google.com/google-ads/api/docs/start",
        "https://developers.google.com/google-ads/api/docs/sunset-dates",
    ),
    setup=(
        "In the Google Cloud console, open the project of your OAuth client and enable the Google Ads API.",
        "On its page Google Ads API access, ask for a level: Explorer allows 2,880 operations a day, Basic 15,000.",
        "Set CRM_SYNC_GOOGLE_ADS_OPERATIONS_PER_DAY to yours. No developer token is needed since September 2026.",
        "Add https://www.googleapis.com/auth/adwords to the consent screen and have it verified: it is sensitive.",
        "Enter CRM_SYNC_REDIRECT_URI as an authorised redirect address of the client, letter for letter.",
        "Set CRM_SYNC_GOOGLE_CLIENT_ID and CRM_SYNC_GOOGLE_CLIENT_SECRET.",
        "Raise CRM_SYNC_GOOGLE_ADS_API_VERSION in time: a version lives about a year.",
    ),
)

CONNECTOR: Final = Connector(
    facts=FACTS,
    streams=(
        Stream(
            name="accounts",
            purpose=Purpose.CAMPAIGN_STATS,
            kind=Kind.AD_ACCOUNT,
            scopes=(SCOPE,),
            interval=timedelta(days=1),
            parts=google_ads_accounts.parts,
            pages=google_ads_accounts.pages,
            full_pass_every=timedelta(0),
            deletions="by absence, where every account above answers",
            cursor="none: read whole each time",
            one_page=True,
            incremental=False,
            cursor_dies=False,
        ),
        Stream(
            name="campaigns",
            purpose=Purpose.CAMPAIGN_STATS,
            kind=Kind.CAMPAIGN,
            scopes=(SCOPE,),
            interval=timedelta(hours=12),
            parts=google_ads_accounts.leaf_parts,
            pages=google_ads_campaigns.pages,
            full_pass_every=timedelta(0),
            deletions="none; a removed campaign stays, with its status",
            cursor="Google's page token within a pass; each run is a pass",
            deletes=False,
            incremental=False,
        ),
        Stream(
            name="campaign_days",
            purpose=Purpose.CAMPAIGN_STATS,
            kind=Kind.CAMPAIGN_DAY,
            scopes=(SCOPE,),
            interval=timedelta(hours=4),
            parts=google_ads_accounts.leaf_parts,
            pages=google_ads_days.pages,
            deletions="slices of days are replaced whole: a day without a row has become zero",
            cursor="the days that were read, newest first; dies when the account's zone or currency changes",
            cursor_dies=False,
        ),
    ),
)

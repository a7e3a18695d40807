"""Calls of the Google Ads API over REST, as one caller makes them.

ads = AdsCaller(simulator, account)
ads.rows("tokyo", "SELECT campaign.id FROM campaign")
"""

import json
from typing import Any

from simulator.client import Simulator
from tests.simulator.calls import AUTH

HOST = "/googleads.googleapis.com"
DAILY = (
    "SELECT customer.id, customer.currency_code, customer.time_zone, campaign.id, campaign.name, campaign.status, "
    "campaign.advertising_channel_type, campaign.start_date_time, campaign.end_date_time, "
    "campaign_budget.amount_micros, segments.date, metrics.impressions, metrics.clicks, metrics.interactions, "
    "metrics.cost_micros, metrics.conversions, metrics.conversions_value, metrics.all_conversions, "
    "metrics.all_conversions_value FROM campaign WHERE segments.date BETWEEN '{}' AND '{}'"
)


class AdsCaller:
    """One Google account; accounts of Google Ads are named by key, and reached through `login` unless it is None."""

    def __init__(self, simulator: Simulator, account: str, login: str | None = "agency", version: str = "v26") -> None:
        self.simulator = simulator
        self.account = account
        self.login = login
        self.version = version
        self.token = str(simulator.grant(account, [AUTH + "adwords"])["access_token"])

    def id(self, key: str) -> str:
        """The number of an account; what is no key stays as it is."""
        return {one["key"]: one["id"] for one in self.overview()}.get(key, key)

    def overview(self) -> list[dict[str, Any]]:
        return list(self.simulator.control("google_ads")["customers"])

    def today(self, key: str) -> str:
        """The date in an account's time zone."""
        return str({one["key"]: one["today"] for one in self.overview()}[key])

    def truth(self, key: str, **query: Any) -> list[dict[str, Any]]:
        return list(self.simulator.control("google_ads/truth", customer=key, **query)["items"])

    def edit(self, **edit: Any) -> Any:
        return self.simulator.control("google_ads/world", edit)["results"][0]

    def switch(self, **switches: Any) -> None:
        self.simulator.control("google_ads/switches", switches)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded JSON of one call; an underscore in a header's name is a hyphen."""
        sent = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        if self.login is not None:
            sent["login-customer-id"] = self.id(self.login)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        status, reply = self.simulator.request(method, HOST + path, raw, sent)
        return status, json.loads(reply)

    def accessible(self) -> tuple[int, Any]:
        return self.send("GET", f"/{self.version}/customers:listAccessibleCustomers")

    def search(self, key: str, query: str, **body: Any) -> tuple[int, Any]:
        path = f"/{self.version}/customers/{self.id(key)}/googleAds:search"
        return self.send("POST", path, {"query": query, **body})

    def stream(self, key: str, query: str, **body: Any) -> tuple[int, Any]:
        path = f"/{self.version}/customers/{self.id(key)}/googleAds:searchStream"
        return self.send("POST", path, {"query": query, **body})

    def pages(self, key: str, query: str, **body: Any) -> list[dict[str, Any]]:
        """All pages of a search that succeeds."""
        pages: list[dict[str, Any]] = []
        place: dict[str, str] = {}
        while not pages or place:
            status, page = self.search(key, query, **body, **place)
            assert status == 200, page
            pages.append(page)
            place = {"pageToken": page["nextPageToken"]} if "nextPageToken" in page else {}
        return pages

    def rows(self, key: str, query: str) -> list[dict[str, Any]]:
        return [row for page in self.pages(key, query) for row in page.get("results", [])]

    def scripted(self, error: str, **more: Any) -> None:
        self.simulator.control("google_ads/errors", {"error": error, **more})

"""How the connector `google_ads` may be tried against the simulated Google Ads: see `simulator.rehearsal`.

What ought to be held follows from what can be read: every account below an enabled root, and campaigns and days of
those accounts among them that are enabled, have no clients and are open to the caller.

    accounts        name
    campaigns       name
    campaign_days   campaign_id, day (in the account's time zone), cost_micros

A search returns a row for a day only if one of the metrics that it asks for is not zero. Those of a campaign day are
impressions, clicks, cost and conversions with their value: a day on which a call alone was counted, which only
`all_conversions` shows, is not one. Days older than 37 months cannot be read.
Source: the provider sheet, section 8.4.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from simulator.app import ControlHandler
from simulator.google_ads.access import HOST
from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.customers import Customer
from simulator.google_ads.dates import REACH_MONTHS, months_before, shown
from simulator.google_ads.edits import AdsEdits
from simulator.options import Options
from simulator.owner import Owner
from simulator.rehearsal import Rehearsal, StreamRehearsal
from simulator.world import World
from simulator.world.ad_campaigns import Campaign
from simulator.world.ad_days import Figures

_REFUSALS = {
    "scope_missing": {"status": 403, "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
    "throttled": {"status": 429, "reason": "RESOURCE_TEMPORARILY_EXHAUSTED"},
}
_MEASURED = ("impressions", "clicks", "cost_micros", "conversions", "conversions_value")
_OF_ACCOUNTS = r"FROM(\s|\\n)+customer_client\b"
_OF_CAMPAIGNS = r"^(?!.*segments\.).*FROM(\s|\\n)+campaign\b"
_OF_DAYS = r"segments\.date.*FROM(\s|\\n)+campaign\b"


@dataclass(frozen=True, slots=True)
class AdsRehearsal:
    """The advertising world as the kit knows that of any provider; `google` are the controls of Google accounts."""

    options: Options
    people: World
    world: AdsWorld
    edits: AdsEdits
    google: Mapping[str, ControlHandler]
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def rehearsal(self) -> Rehearsal:
        """Return it."""
        return Rehearsal(
            connector="google_ads",
            accounts=self._accounts,
            settings={
                "google_client_id": self.options.client_id,
                "google_client_secret": self.options.client_secret,
                "google_ads_history_days": "120",  # A small world's campaigns began days ago, not years.
            },
            consent=Owner(self.google).consent,
            revoke=lambda account: self.google["oauth"]("POST", {}, {"revoke_account": account}),
            streams={
                "accounts": StreamRehearsal(
                    pages=_pages(_OF_ACCOUNTS),
                    held=lambda account: [{"name": customer.name} for customer in self._seen(account)],
                    acts={"add": self._add_accounts, "change": self._rename_accounts, "delete": self._unlink_accounts},
                    spoil={"customerClient": 7},
                    refusals=_REFUSALS,
                ),
                "campaigns": StreamRehearsal(
                    pages=_pages(_OF_CAMPAIGNS),
                    held=self._campaigns,
                    acts={"add": self._add_campaigns, "change": self._rename_campaigns},
                    spoil={"campaign": 7},
                    refusals=_REFUSALS,
                ),
                "campaign_days": StreamRehearsal(
                    pages=_pages(_OF_DAYS),
                    held=self._days,
                    acts={"add": self._add_days, "change": self._restate_days, "delete": self._void_days},
                    spoil={"segments": 7},
                    refusals=_REFUSALS,
                ),
            },
        )

    def _accounts(self) -> list[str]:
        return [one.email for one in self.people.accounts if self.world.customers.direct(one)]

    def _seen(self, account: str) -> list[Customer]:
        """Every account that shows below an enabled root, each once."""
        roots = self.world.customers.direct(self.people.account(account))
        found = {one.number: one for root in roots if root.status == "ENABLED"
                 for one, _, _ in self.world.customers.below(root)}  # fmt: skip
        return list(found.values())

    def _readable(self, account: str) -> list[Customer]:
        sub = self.people.account(account).sub
        return [
            one
            for one in self._seen(account)
            if one.status == "ENABLED" and not one.manager and sub not in one.closed_to
        ]

    def _campaigns(self, account: str) -> list[dict[str, Any]]:
        return [{"name": campaign.name} for one in self._readable(account) for campaign in one.campaigns]

    def _days(self, account: str) -> list[dict[str, Any]]:
        return [
            {"campaign_id": str(campaign.number), "day": shown(day), "cost_micros": figures.cost_micros}
            for one in self._readable(account)
            for campaign, day, figures in self._measured(one)
        ]

    def _measured(self, customer: Customer) -> Iterator[tuple[Campaign, int, Figures]]:
        """Go through the days of an account that a search for its measures returns."""
        today = customer.today(self.world.now())
        for campaign in customer.campaigns:
            for day, figures in self.world.days(customer, campaign, months_before(today, REACH_MONTHS), today):
                if any(getattr(figures, name) for name in _MEASURED):
                    yield campaign, day, figures

    def _add_accounts(self, account: str, number: int) -> Any:
        roots = self.world.customers.direct(self.people.account(account))
        manager = next(one for one in roots if one.manager and one.status == "ENABLED")
        keys = [f"added-{next(self.numbers)}" for _ in range(number)]
        return self._do(
            {"do": "add_customer", "key": key, "under": manager.key, "fields": {"name": key, "campaigns": 0}}
            for key in keys
        )

    def _rename_accounts(self, account: str, number: int) -> Any:
        return self._do(
            {"do": "change_customer", "customer": one.key, "fields": {"name": f"New {next(self.numbers)}"}}
            for one in self._readable(account)[:number]
        )

    def _unlink_accounts(self, account: str, number: int) -> Any:
        """Take accounts from all their managers; those that are reached directly stay."""
        direct = self.world.customers.direct(self.people.account(account))
        chosen = [one for one in self._readable(account) if one not in direct][-number:]
        return self._do(
            {"do": "unlink", "manager": manager.key, "customer": one.key}
            for one in chosen
            for manager in list(self.world.customers)
            if one.number in manager.clients
        )

    def _add_campaigns(self, account: str, number: int) -> Any:
        customer = self._readable(account)[0].key
        names = [f"Added {next(self.numbers)}" for _ in range(number)]
        return self._do({"do": "add_campaign", "customer": customer, "fields": {"name": name, "idle": True}}
                        for name in names)  # fmt: skip

    def _rename_campaigns(self, account: str, number: int) -> Any:
        customer = self._readable(account)[0]
        return self._do(
            {"do": "change_campaign", "customer": customer.key, "campaign": one.number,
             "fields": {"name": f"New {next(self.numbers)}"}}
            for one in customer.campaigns[:number]
        )  # fmt: skip

    def _add_days(self, account: str, number: int) -> Any:
        """Let days that were idle have happened after all, in a campaign that has done nothing else."""
        customer = self._readable(account)[0]
        added = {"do": "add_campaign", "customer": customer.key, "fields": {"name": "Late", "idle": True}}
        campaign = self.edits.carry_out(added)["id"]
        today = customer.today(self.world.known_at())
        days = {shown(today - back): {"clicks": 1, "impressions": 9, "cost_micros": 1_234_567 + back}
                for back in range(number)}  # fmt: skip
        return self._restate(customer, campaign, days)

    def _restate_days(self, account: str, number: int) -> Any:
        customer, chosen = self._latest(account, number)
        return [
            self._restate(
                customer, campaign, {day: {"clicks": 3, "impressions": 30, "cost_micros": next(self.numbers)}}
            )
            for campaign, day in chosen
        ]

    def _void_days(self, account: str, number: int) -> Any:
        customer, chosen = self._latest(account, number)
        return [self._restate(customer, campaign, {day: None}) for campaign, day in chosen]

    def _latest(self, account: str, number: int) -> tuple[Customer, list[tuple[int, str]]]:
        """Return an account and its newest days with anything in them."""
        customer = self._readable(account)[0]
        places = [(day, campaign.number) for campaign, day, _ in self._measured(customer)]
        return customer, [(campaign, shown(day)) for day, campaign in sorted(places)[-number:]]

    def _restate(self, customer: Customer, campaign: int | str, days: dict[str, Any]) -> Any:
        return self.edits.carry_out(
            {"do": "restate_days", "customer": customer.key, "campaign": campaign, "days": days}
        )

    def _do(self, edits: Iterable[dict[str, Any]]) -> list[Any]:
        return [self.edits.carry_out(edit) for edit in list(edits)]


def _pages(body: str) -> dict[str, Any]:
    return {"host": HOST, "path": "googleAds:search", "body": body}

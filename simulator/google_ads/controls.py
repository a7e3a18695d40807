"""Google Ads' part of the control door: who has which accounts, what the true numbers are, edits, switches, errors.

    GET  google_ads            accounts and their tree      GET  google_ads/truth?customer=berlin&from=…&to=…&campaign=…
    POST google_ads/world      {"edits": [{"do": …}]}       POST google_ads/switches {"page_size": 10}
    POST google_ads/errors     {"error": "TRANSIENT_ERROR", "customer": "berlin"}      DELETE google_ads/errors

The truth is in whole millionths: a test can hold what was synced against it without rounding.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.app import ControlHandler
from simulator.google_ads.access import AdsAccess
from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.customers import Customer
from simulator.google_ads.dates import read_day, shown
from simulator.google_ads.edits import AdsEdits
from simulator.google_ads.scripted import ScriptedError, ScriptedErrors
from simulator.switching import switch
from simulator.world import World
from simulator.world.ad_campaigns import Campaign
from simulator.world.ad_days import Figures


class AdsControls:
    """The controls by name; each takes method, query and body and returns plain data."""

    def __init__(
        self, people: World, world: AdsWorld, access: AdsAccess, errors: ScriptedErrors, edits: AdsEdits
    ) -> None:
        self._people = people
        self._world = world
        self._access = access
        self._errors = errors
        self._edits = edits
        self.table: dict[str, ControlHandler] = {
            "google_ads": self._overview,
            "google_ads/truth": self._truth,
            "google_ads/world": self._edit,
            "google_ads/switches": self._switches,
            "google_ads/errors": self._scripted,
        }

    def _overview(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        direct = {one.email: [c.key for c in self._world.customers.direct(one)] for one in self._people.accounts}
        return {"customers": [self._customer(one) for one in self._world.customers], "direct": direct,
                "known_at": self._world.known_at()}  # fmt: skip

    def _customer(self, customer: Customer) -> dict[str, Any]:
        clients = [self._world.customers.named(number).key for number in customer.clients]
        return {
            "key": customer.key, "id": str(customer.number), "name": customer.name, "currency": customer.currency,
            "zone": customer.zone, "today": shown(customer.today(self._world.now())), "manager": customer.manager,
            "status": customer.status, "test": customer.test, "clients": clients,
            "closed_to": sorted(customer.closed_to),
        }  # fmt: skip

    def _truth(self, _method: str, query: dict[str, str], _given: dict[str, Any]) -> Any:
        kind = query.get("kind", "days")
        if kind not in _TRUTHS:
            raise ValueError(f"There is no truth about {kind!r}; there is {sorted(_TRUTHS)}.")
        chosen = [self._world.customers.named(query["customer"])] if "customer" in query else self._world.customers
        items = [item for customer in chosen for item in getattr(self, _TRUTHS[kind])(customer, query)]
        return {"kind": kind, "known_at": self._world.known_at(), "items": items}

    def _campaigns(self, customer: Customer, _query: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {"customer": str(customer.number), "id": str(one.number), "name": one.name, "status": one.status,
             "channel": one.channel, "first_day": shown(one.first_day), "budget_micros": one.budget_micros}
            for one in customer.campaigns
        ]  # fmt: skip

    def _days(self, customer: Customer, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return every day with anything in it, as it is known now."""
        return [
            {"customer": str(customer.number), "campaign": str(campaign.number), "currency": customer.currency,
             "day": shown(day), **figures._asdict()}
            for campaign, day, figures in self._chosen(customer, query)
        ]  # fmt: skip

    def _sums(self, customer: Customer, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return how many days each campaign has, and what they add up to."""
        sums: dict[int, tuple[int, Figures]] = {}
        for campaign, _, figures in self._chosen(customer, query):
            days, before = sums.get(campaign.number, (0, Figures()))
            sums[campaign.number] = days + 1, before.plus(figures)
        return [
            {"customer": str(customer.number), "campaign": str(number), "currency": customer.currency, "days": days,
             **figures._asdict()}
            for number, (days, figures) in sums.items()
        ]  # fmt: skip

    def _chosen(self, customer: Customer, query: dict[str, str]) -> Iterator[tuple[Campaign, int, Figures]]:
        first = _asked_day(query, "from", 1)
        last = _asked_day(query, "to", customer.today(self._world.known_at()))
        for campaign in customer.campaigns:
            if query.get("campaign") in (None, str(campaign.number)):
                for day, figures in self._world.days(customer, campaign, first, last):
                    yield campaign, day, figures

    def _edit(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        if method != "POST":
            return {"edits": sorted(self._edits.table)}
        edits = given.get("edits", [given] if "do" in given else [])
        if not edits:
            raise ValueError(f"Nothing to do; there are {sorted(self._edits.table)}.")
        return {"results": [self._edits.carry_out(edit) for edit in edits]}

    def _switches(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        switches = switch(self._access.switches, given if method == "POST" else {})
        if method == "POST" and "access_level" in given:
            self._access.change_level(self._access.switches.access_level)
        return switches

    def _scripted(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        if method == "POST":
            for one in given.get("errors", [given]):
                self._errors.add(msgspec.convert(one, ScriptedError))
        if method == "DELETE":
            self._errors.waiting.clear()
        return {"errors": self._errors.waiting}


def _asked_day(query: dict[str, str], name: str, default: int) -> int:
    if name not in query:
        return default
    day = read_day(query[name])
    if day is None:
        raise ValueError(f"{query[name]!r} is no day.")
    return day


_TRUTHS = {"days": "_days", "campaigns": "_campaigns", "sums": "_sums"}

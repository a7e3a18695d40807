"""What tests may do to the advertising world; each edit names an account by number or by its key (`berlin`).

add_campaign      customer, fields {name, status, channel, first_day, end_day, idle}
change_campaign   customer, campaign, fields {name, status, end_day}      removed and paused ones keep their past
restate_days      customer, campaign, days {"2026-11-20": {"cost_micros": 1, …} | null}      null: nothing happened
add_customer      key, fields {name, currency, zone, manager, status, test, campaigns}, under (a manager)
change_customer   customer, fields {name, status, zone, currency}
link, unlink      manager, customer, hidden
allow, withdraw   account (a Google account), customer      direct access
close, open       account, customer      no access, whatever the managers say
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.customers import STATUSES, Customer
from simulator.google_ads.dates import read_day
from simulator.world import Account, World
from simulator.world.ad_campaigns import CURRENCIES, Campaign, make_campaign
from simulator.world.ad_days import Figures

_FIRST_ADDED = 9_000_000_000
_CAMPAIGN_STATUSES = ("ENABLED", "PAUSED", "REMOVED")


class AdsEdits:
    """The edits by name; each takes what was given and returns plain data."""

    def __init__(self, people: World, world: AdsWorld) -> None:
        self._people = people
        self._world = world
        self._added = 0
        self.table: dict[str, Callable[[dict[str, Any]], Any]] = {
            "add_campaign": self._add_campaign,
            "change_campaign": self._change_campaign,
            "restate_days": self._restate,
            "add_customer": self._add_customer,
            "change_customer": self._change_customer,
            "link": self._link,
            "unlink": self._unlink,
            "allow": lambda given: self._world.customers.allow(*self._pair(given)),
            "withdraw": lambda given: self._world.customers.withdraw(*self._pair(given)),
            "close": self._close,
            "open": self._open,
        }

    def carry_out(self, given: dict[str, Any]) -> Any:
        """Carry one edit out.

        Raises: ValueError or KeyError for one that makes no sense.
        """
        edit = self.table.get(str(given.get("do")))
        if edit is None:
            raise ValueError(f"There is no edit {given.get('do')!r}; there are {sorted(self.table)}.")
        done = edit(given)
        self._world.edition += 1
        return done

    def _customer(self, given: dict[str, Any], name: str = "customer") -> Customer:
        return self._world.customers.named(given[name])

    def _pair(self, given: dict[str, Any]) -> tuple[Account, Customer]:
        return self._people.account(given.get("account")), self._customer(given)

    def _today(self, customer: Customer) -> int:
        return customer.today(self._world.now())

    def _add_campaign(self, given: dict[str, Any]) -> dict[str, Any]:
        customer = self._customer(given)
        if customer.manager:
            raise ValueError(f"{customer.key} is a manager and has no campaigns.")
        fields = dict(given.get("fields", {}))
        at = len(customer.campaigns)
        campaign = make_campaign(customer.seed, customer.number, at, customer.currency, self._today(customer))
        campaign.status, campaign.last_day = "ENABLED", None
        campaign.first_day = _day(fields.pop("first_day", None)) or self._today(customer)
        if fields.pop("idle", False):
            campaign.pace = replace(campaign.pace, weekdays=0)
        if "channel" in fields:
            campaign.channel = str(fields.pop("channel"))
        customer.campaigns.append(campaign)
        self._set(customer, campaign, fields)
        return {"id": str(campaign.number)}

    def _change_campaign(self, given: dict[str, Any]) -> dict[str, Any]:
        customer = self._customer(given)
        campaign = customer.campaign(int(given["campaign"]))
        self._set(customer, campaign, dict(given["fields"]))
        return {"id": str(campaign.number)}

    def _set(self, customer: Customer, campaign: Campaign, fields: dict[str, Any]) -> None:
        _check_names(fields, {"name", "status", "end_day"})
        campaign.name = str(fields.get("name", campaign.name))
        if "end_day" in fields:
            campaign.end_day = _day(fields["end_day"])
        if "status" in fields:
            campaign.status = _one_of(fields["status"], _CAMPAIGN_STATUSES)
            campaign.last_day = None if campaign.status == "ENABLED" else self._today(customer)

    def _restate(self, given: dict[str, Any]) -> dict[str, Any]:
        campaign = self._customer(given).campaign(int(given["campaign"]))
        told = {_needed_day(day): _figures(figures) for day, figures in given["days"].items()}
        campaign.told.update(told)
        return {"days": len(told)}

    def _add_customer(self, given: dict[str, Any]) -> dict[str, Any]:
        fields = {
            "name": "Added", "currency": "EUR", "zone": "Europe/Berlin", "manager": False, "status": "ENABLED",
            "test": False, "campaigns": 3, **given.get("fields", {}),
        }  # fmt: skip
        if fields["currency"] not in CURRENCIES:
            raise ValueError(f"There is no currency {fields['currency']!r}; there are {sorted(CURRENCIES)}.")
        self._added += 1
        day = int(self._world.now() // 86_400) + 719_163
        customer = Customer(
            str(given["key"]), _FIRST_ADDED + self._added, str(fields["name"]), str(fields["currency"]),
            str(fields["zone"]), bool(fields["manager"]), _one_of(fields["status"], STATUSES), bool(fields["test"]),
            self._added, int(fields["campaigns"]), day,
        )  # fmt: skip
        self._world.customers.add(customer)
        if "under" in given:
            self._world.customers.link(self._customer(given, "under"), customer)
        return {"id": str(customer.number)}

    def _change_customer(self, given: dict[str, Any]) -> dict[str, Any]:
        customer, fields = self._customer(given), dict(given["fields"])
        _check_names(fields, {"name", "status", "zone", "currency"})
        customer.name = str(fields.get("name", customer.name))
        customer.status = _one_of(fields.get("status", customer.status), STATUSES)
        customer.zone = str(fields.get("zone", customer.zone))
        customer.currency = _one_of(fields.get("currency", customer.currency), tuple(CURRENCIES))
        return {"id": str(customer.number)}

    def _link(self, given: dict[str, Any]) -> None:
        manager, client = self._customer(given, "manager"), self._customer(given)
        self._world.customers.link(manager, client, hidden=bool(given.get("hidden", False)))

    def _unlink(self, given: dict[str, Any]) -> None:
        del self._customer(given, "manager").clients[self._customer(given).number]

    def _close(self, given: dict[str, Any]) -> None:
        account, customer = self._pair(given)
        customer.closed_to.add(account.sub)

    def _open(self, given: dict[str, Any]) -> None:
        account, customer = self._pair(given)
        customer.closed_to.discard(account.sub)


def _check_names(fields: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise ValueError(f"There is no field {unknown}; there are {sorted(known)}.")


def _one_of(value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{value!r} is none of {choices}.")
    return str(value)


def _day(text: Any) -> int | None:
    return None if text is None else _needed_day(text)


def _needed_day(text: Any) -> int:
    day = read_day(str(text))
    if day is None:
        raise ValueError(f"{text!r} is no day.")
    return day


def _figures(given: dict[str, int] | None) -> Figures | None:
    if given is None:
        return None
    _check_names(given, set(Figures._fields))
    found = Figures(**{name: int(value) for name, value in given.items()})
    return found if any(found) else None

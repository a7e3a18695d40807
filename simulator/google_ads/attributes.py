"""What each attribute says about the thing that a row is about.

None stands for nothing; how a value is written is `rows.py`'s business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.customers import ConversionAction, Customer
from simulator.google_ads.dates import shown
from simulator.world.ad_campaigns import Campaign

_FOREVER = "2037-12-30 23:59:59"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a row is about: always an account, and one thing in it or under it."""

    customer: Customer
    campaign: Campaign | None = None
    client: Customer | None = None
    level: int = 0
    hidden: bool = False
    action: ConversionAction | None = None


def subjects_of(resource: str, customer: Customer, world: AdsWorld) -> list[Subject]:
    """Return what there is of a resource in an account."""
    match resource:
        case "customer":
            return [Subject(customer)]
        case "customer_client":
            below = world.customers.below(customer)
            return [Subject(customer, client=one, level=level, hidden=hidden) for one, level, hidden in below]
        case "conversion_action":
            return [Subject(customer, action=one) for one in ([] if customer.manager else customer.actions)]
        case _:
            return [Subject(customer, campaign=campaign) for campaign in customer.campaigns]


def value_of(name: str, subject: Subject) -> Any:
    """Return the value of an attribute."""
    resource, _, own = name.partition(".")
    match resource:
        case "customer":
            return _of_customer(own, subject.customer)
        case "customer_client" if subject.client is not None:
            return _of_client(own, subject, subject.client)
        case "campaign" if subject.campaign is not None:
            return _CAMPAIGN[own](subject.customer, subject.campaign)
        case "campaign_budget" if subject.campaign is not None:
            return _BUDGET[own](subject.customer, subject.campaign)
        case "conversion_action" if subject.action is not None:
            return _of_action(own, subject.customer, subject.action)
        case _:
            return None


def customer_name(customer: Customer) -> str:
    """Return an account's resource name."""
    return f"customers/{customer.number}"


def campaign_name(customer: Customer, campaign: Campaign) -> str:
    """Return a campaign's resource name."""
    return f"customers/{customer.number}/campaigns/{campaign.number}"


def budget_name(customer: Customer, campaign: Campaign) -> str:
    """Return the resource name of a campaign's budget."""
    return f"customers/{customer.number}/campaignBudgets/{campaign.budget_number}"


def _of_customer(own: str, customer: Customer) -> Any:
    return {
        "resource_name": customer_name(customer), "id": customer.number, "descriptive_name": customer.name,
        "currency_code": customer.currency, "time_zone": customer.zone, "manager": customer.manager,
        "test_account": customer.test, "status": customer.status, "auto_tagging_enabled": not customer.manager,
    }[own]  # fmt: skip


def _of_client(own: str, subject: Subject, client: Customer) -> Any:
    if own == "resource_name":
        return f"{customer_name(subject.customer)}/customerClients/{client.number}"
    alone = {"client_customer": customer_name(client), "level": subject.level, "hidden": subject.hidden}
    if own in alone:
        return alone[own]
    return [] if own == "applied_labels" else _of_customer(own, client)


_CAMPAIGN: dict[str, Callable[[Customer, Campaign], Any]] = {
    "resource_name": campaign_name,
    "id": lambda _, campaign: campaign.number,
    "name": lambda _, campaign: campaign.name,
    "status": lambda _, campaign: campaign.status,
    "serving_status": lambda _, campaign: "SERVING" if campaign.last_day is None else "NONE",
    "advertising_channel_type": lambda _, campaign: campaign.channel,
    "campaign_budget": budget_name,
    "base_campaign": campaign_name,
    "labels": lambda _customer, _campaign: [],
    "start_date_time": lambda _, campaign: f"{shown(campaign.first_day)} 00:00:00",
    "end_date_time": lambda _, campaign: (
        _FOREVER if campaign.end_day is None else f"{shown(campaign.end_day)} 23:59:59"
    ),
}
_BUDGET: dict[str, Callable[[Customer, Campaign], Any]] = {
    "resource_name": budget_name,
    "id": lambda _, campaign: campaign.budget_number,
    "name": lambda _, campaign: f"Budget of {campaign.number}",
    "amount_micros": lambda _, campaign: campaign.budget_micros,
    "reference_count": lambda _, campaign: int(campaign.status != "REMOVED"),
    "explicitly_shared": lambda _customer, _campaign: False,
    "status": lambda _, campaign: "REMOVED" if campaign.status == "REMOVED" else "ENABLED",
    "period": lambda _customer, _campaign: "DAILY",
    "delivery_method": lambda _customer, _campaign: "STANDARD",
}


def _of_action(own: str, customer: Customer, action: ConversionAction) -> Any:
    return {
        "resource_name": f"{customer_name(customer)}/conversionActions/{action.number}", "id": action.number,
        "name": action.name, "status": action.status, "type": action.kind, "category": action.category,
        "click_through_lookback_window_days": action.click_days,
        "view_through_lookback_window_days": action.view_days, "owner_customer": customer_name(customer),
        "primary_for_goal": action.status == "ENABLED", "include_in_conversions_metric": action.status == "ENABLED",
    }[own]  # fmt: skip

"""The fields that can be queried here, with their types, and which resources go together.

A field of the real API that is not listed is answered like one that does not exist. Names and types are held against
the messages of Google's own package by a test.
Source: the provider sheet, section 8.4.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Type = Literal["int64", "int32", "double", "text", "name", "flag", "enum", "day", "moment"]
CHANNELS = (
    "SEARCH", "DISPLAY", "SHOPPING", "HOTEL", "VIDEO", "MULTI_CHANNEL", "LOCAL", "SMART", "PERFORMANCE_MAX",
    "LOCAL_SERVICES", "TRAVEL", "DEMAND_GEN",
)  # fmt: skip
_ANY_ENUM = ("UNSPECIFIED", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Field:
    """A field; `choices` are the names of an enumeration."""

    name: str
    type: Type
    choices: tuple[str, ...] = ()
    repeated: bool = False

    @property
    def resource(self) -> str:
        """What stands before the first dot: a resource, `segments` or `metrics`."""
        return self.name.partition(".")[0]

    @property
    def own(self) -> str:
        """What stands behind it."""
        return self.name.partition(".")[2]

    @property
    def json_name(self) -> str:
        """The field's name within its message, as JSON has it."""
        return camel(self.own)


def camel(snake: str) -> str:
    """Return a name as protobuf's JSON writes it."""
    first, *rest = snake.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _fields(resource: str, type_: Type, names: str) -> Iterable[Field]:
    return (Field(f"{resource}.{name}", type_) for name in names.split())


def _enum(name: str, *choices: str) -> Field:
    return Field(name, "enum", (*_ANY_ENUM, *choices))


_CUSTOMER_STATUSES = ("ENABLED", "CANCELED", "SUSPENDED", "CLOSED")
_ALL = (
    *_fields("customer", "name", "resource_name"),
    *_fields("customer", "int64", "id"),
    *_fields("customer", "text", "descriptive_name currency_code time_zone"),
    *_fields("customer", "flag", "manager test_account auto_tagging_enabled"),
    _enum("customer.status", *_CUSTOMER_STATUSES),
    *_fields("customer_client", "name", "resource_name client_customer"),
    *_fields("customer_client", "int64", "id level"),
    *_fields("customer_client", "text", "descriptive_name currency_code time_zone"),
    *_fields("customer_client", "flag", "manager test_account hidden"),
    Field("customer_client.applied_labels", "name", repeated=True),
    _enum("customer_client.status", *_CUSTOMER_STATUSES),
    *_fields("campaign", "name", "resource_name campaign_budget base_campaign"),
    *_fields("campaign", "int64", "id"),
    *_fields("campaign", "text", "name"),
    *_fields("campaign", "moment", "start_date_time end_date_time"),
    Field("campaign.labels", "name", repeated=True),
    _enum("campaign.status", "ENABLED", "PAUSED", "REMOVED"),
    _enum("campaign.serving_status", "SERVING", "NONE", "ENDED", "PENDING", "SUSPENDED"),
    _enum("campaign.advertising_channel_type", *CHANNELS),
    *_fields("campaign_budget", "name", "resource_name"),
    *_fields("campaign_budget", "int64", "id amount_micros reference_count"),
    *_fields("campaign_budget", "text", "name"),
    *_fields("campaign_budget", "flag", "explicitly_shared"),
    _enum("campaign_budget.status", "ENABLED", "REMOVED"),
    _enum("campaign_budget.period", "DAILY", "CUSTOM_PERIOD"),
    _enum("campaign_budget.delivery_method", "STANDARD", "ACCELERATED"),
    *_fields("conversion_action", "name", "resource_name owner_customer"),
    *_fields("conversion_action", "int64", "id click_through_lookback_window_days view_through_lookback_window_days"),
    *_fields("conversion_action", "text", "name"),
    *_fields("conversion_action", "flag", "primary_for_goal include_in_conversions_metric"),
    _enum("conversion_action.status", "ENABLED", "REMOVED", "HIDDEN"),
    _enum("conversion_action.type", "AD_CALL", "CLICK_TO_CALL", "UPLOAD_CLICKS", "WEBPAGE", "WEBSITE_CALL"),
    _enum("conversion_action.category", "DEFAULT", "PURCHASE", "SIGNUP", "SUBMIT_LEAD_FORM", "PHONE_CALL_LEAD"),
    *_fields("segments", "day", "date week month quarter"),
    *_fields("segments", "int32", "year"),
    _enum("segments.day_of_week", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"),
    *_fields("metrics", "int64", "impressions clicks interactions cost_micros video_trueview_views"),
    *_fields("metrics", "double", "conversions conversions_value all_conversions all_conversions_value"),
    *_fields("metrics", "double", "ctr average_cpc average_cost cost_per_conversion"),
)
FIELDS = {field.name: field for field in _ALL}

TOGETHER = {
    "customer": frozenset({"customer"}),
    "customer_client": frozenset({"customer_client", "customer"}),
    "campaign": frozenset({"campaign", "campaign_budget", "customer"}),
    "campaign_budget": frozenset({"campaign_budget", "campaign", "customer"}),
    "conversion_action": frozenset({"conversion_action", "customer"}),
}
MEASURED = frozenset({"customer", "campaign", "campaign_budget"})
CORE_SEGMENTS = frozenset({"date", "week", "month", "quarter", "year"})
FINE_SEGMENTS = frozenset({"date", "week", "day_of_week"})

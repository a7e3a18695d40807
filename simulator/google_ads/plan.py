"""A query that was read, held against fields and dates: what to look at, what to leave out, in which order.

    query ─▶ fields known? go together? ─▶ days as one range ─▶ other conditions as tests ─▶ plan

Source: the provider sheet, sections 8.3, 8.4 and 8.6; QueryError and DateRangeError of google-ads 34.0.0.
"""

from dataclasses import dataclass
from typing import Literal

from simulator.google_ads import dates
from simulator.google_ads.fields import CORE_SEGMENTS, FIELDS, FINE_SEGMENTS, MEASURED, TOGETHER, Field
from simulator.google_ads.filters import Test, test_for
from simulator.google_ads.gaql import Condition, Query, Value
from simulator.google_ads.gaql_words import QueryRefused

OldDays = Literal["refused", "left_out"]
_OPEN = (1, dates.read_day("2100-01-01") or 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a query asks for. `days` is None where no condition bounds them; `tests` are of fields other than days."""

    query: Query
    attributes: tuple[Field, ...]
    segments: tuple[Field, ...]
    metrics: tuple[Field, ...]
    days: dates.Range | None
    tests: tuple[tuple[Field, Test], ...]
    measured: bool
    omit_unselected_names: bool

    @property
    def resource(self) -> str:
        """The main resource."""
        return self.query.resource


def make_plan(query: Query, today: int, old_days: OldDays) -> Plan:
    """Return the plan of a query for an account whose date is `today`.

    Raises: QueryRefused.
    """
    if query.resource not in TOGETHER:
        raise QueryRefused("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", f"'{query.resource}' is no resource in the FROM clause.")
    selected = [_field(name) for name in dict.fromkeys(query.fields)]
    for field in selected:
        _check_company(query, field, "SELECT")
    conditions = [(_field(one.field), one) for one in query.conditions]
    for field, _ in conditions:
        _check_company(query, field, "WHERE")
        _check_selected_segment(field, selected)
    for ordering in query.orderings:
        _check_ordering(query, _field(ordering.field), selected)
    segments = tuple(field for field in selected if field.resource == "segments")
    on_days = [(field, one) for field, one in conditions if field.own in CORE_SEGMENTS and field.resource == "segments"]
    days = _days(on_days, today)
    if (segments or on_days) and (days is None or days[0] == _OPEN[0] or days[1] == _OPEN[1]):
        raise QueryRefused(
            "EXPECTED_FILTERS_ON_DATE_RANGE", "A finite date range is needed in the WHERE clause for these segments."
        )
    if days is not None and any(field.own in FINE_SEGMENTS for field in segments):
        days = _within_reach(days, today, old_days)
    return Plan(
        query=query,
        attributes=tuple(field for field in selected if field.resource not in ("segments", "metrics")),
        segments=segments,
        metrics=tuple(field for field in selected if field.resource == "metrics"),
        days=days,
        tests=tuple((field, test_for(field, one)) for field, one in conditions if (field, one) not in on_days),
        measured=any(field.resource == "metrics" for field in (*selected, *(field for field, _ in conditions))),
        omit_unselected_names=dict(query.parameters).get("omit_unselected_resource_names", False),
    )


def _field(name: str) -> Field:
    field = FIELDS.get(name)
    if field is None:
        raise QueryRefused("UNRECOGNIZED_FIELD", f"Unrecognized field in the query: '{name}'.")
    return field


def _check_company(query: Query, field: Field, clause: str) -> None:
    """Refuse a field that cannot stand beside the main resource."""
    if field.resource in ("metrics", "segments"):
        if query.resource not in MEASURED:
            kind = "METRIC" if field.resource == "metrics" else "SEGMENT"
            raise QueryRefused(
                f"PROHIBITED_{kind}_IN_SELECT_OR_WHERE_CLAUSE",
                f"Cannot use '{field.name}' with the resource '{query.resource}' in the FROM clause.",
            )
    elif field.resource not in TOGETHER[query.resource]:
        raise QueryRefused(
            f"PROHIBITED_RESOURCE_TYPE_IN_{clause}_CLAUSE",
            f"Cannot use '{field.name}' with the resource '{query.resource}' in the FROM clause.",
        )


def _check_selected_segment(field: Field, selected: list[Field]) -> None:
    """Refuse a condition on a segment that is neither one of the core dates nor selected."""
    if field.resource == "segments" and field.own not in CORE_SEGMENTS and field not in selected:
        raise QueryRefused(
            "EXPECTED_REFERENCED_FIELD_IN_SELECT_CLAUSE",
            f"'{field.name}' is used in the WHERE clause and must be in the SELECT clause.",
        )


def _check_ordering(query: Query, field: Field, selected: list[Field]) -> None:
    if field in selected:
        return
    if field.repeated:
        raise QueryRefused("PROHIBITED_FIELD_IN_ORDER_BY_CLAUSE", f"Cannot order by '{field.name}'.")
    if field.resource != query.resource:
        raise QueryRefused(
            "EXPECTED_REFERENCED_FIELD_IN_SELECT_CLAUSE",
            f"'{field.name}' is used in the ORDER BY clause and must be in the SELECT clause.",
        )


def _within_reach(days: dates.Range, today: int, old_days: OldDays) -> dates.Range:
    """Hold a range against the 37 months that days and weeks are kept."""
    oldest = dates.months_before(today, dates.REACH_MONTHS)
    if days[0] >= oldest:
        return days
    if old_days == "refused":
        raise QueryRefused(
            "REQUESTED_DATE_GRANULARITY_NOT_SUPPORTED",
            "Daily and weekly segments are only available for the last 37 months.",
            "dateRangeError",
        )
    return oldest, days[1]


def _days(conditions: list[tuple[Field, Condition]], today: int) -> dates.Range | None:
    """Return the days that all conditions on days leave over, None without such conditions."""
    if not conditions:
        return None
    first, last = _OPEN
    for field, condition in conditions:
        low, high = _range(field, condition, today)
        first, last = max(first, low), min(last, high)
    if first > last:
        raise QueryRefused("DATE_RANGE_TOO_NARROW", "The date range begins after it ends.")
    return first, last


def _range(field: Field, condition: Condition, today: int) -> dates.Range:
    name = condition.operator
    if name == "DURING" and field.own == "date":
        found = dates.during(condition.values[0].text, today)
        if found is None:
            raise QueryRefused("INVALID_VALUE_WITH_DURING_OPERATOR", f"Invalid date: {condition.values[0].text}.")
        return found
    bounds = [_bounds(field, value, name) for value in condition.values]
    match name:
        case "=":
            return bounds[0]
        case ">=":
            return bounds[0][0], _OPEN[1]
        case ">":
            return bounds[0][1] + 1, _OPEN[1]
        case "<=":
            return _OPEN[0], bounds[0][1]
        case "<":
            return _OPEN[0], bounds[0][0] - 1
        case "BETWEEN":
            return bounds[0][0], bounds[1][1]
        case _:
            raise QueryRefused("OPERATOR_FIELD_MISMATCH", f"The operator {name} does not apply to {field.name}.")


def _bounds(field: Field, value: Value, operator: str) -> dates.Range:
    """Return the first and the last day of the period that a value names."""
    if field.own == "year":
        if value.kind == "word" or not (value.text.isascii() and value.text.isdigit() and len(value.text) == 4):
            raise QueryRefused("BAD_VALUE", f"{value.text} is no year.")
        first, last = (dates.read_day(f"{value.text}-{end}") for end in ("01-01", "12-31"))
        if first is None or last is None:
            raise QueryRefused("BAD_VALUE", f"{value.text} is no year.")
        return first, last
    if value.kind != "text":
        raise QueryRefused("INVALID_STRING_VALUE", f"{field.name} needs a date in quotes, not {value.text}.")
    day = dates.read_day(value.text)
    if day is None:
        code = "INVALID_VALUE_WITH_BETWEEN_OPERATOR" if operator == "BETWEEN" else "INVALID_DATE_FORMAT"
        raise QueryRefused(code, f"Invalid date '{value.text}'; expected YYYY-MM-DD.")
    if dates.STARTS[field.own](day) != day:
        raise QueryRefused("MISALIGNED_DATE_FOR_FILTER", f"{value.text} is not the first day of a {field.own}.")
    return day, dates.ENDS[field.own](day)

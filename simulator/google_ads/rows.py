"""From a plan to rows, and from rows to the JSON of a page.

    subjects that pass their tests ─▶ their days, cut into segments and added up ─▶ rows that pass theirs ─▶ in order

As soon as a segment is selected, a row whose selected metrics are all zero is not there. int64 are written as text,
other numbers as numbers; what is zero or empty is left out unless the switch says otherwise.
Source: the provider sheet, section 8.4.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from simulator.google_ads import dates
from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.attributes import Subject, subjects_of, value_of
from simulator.google_ads.customers import Customer
from simulator.google_ads.fields import FIELDS, Field, camel
from simulator.google_ads.filters import Test
from simulator.google_ads.plan import Plan
from simulator.world.ad_days import Figures

_MICROS = 1_000_000
_NOTHING = Figures()
Key = tuple[Any, ...]


class Row(NamedTuple):
    """One row: what it is about, the values of the selected segments, and the sums."""

    subject: Subject
    key: Key
    sums: Figures


SEGMENTS: dict[str, Callable[[int], Any]] = {
    "date": dates.shown,
    "week": lambda day: dates.shown(dates.week_of(day)),
    "month": lambda day: dates.shown(dates.month_of(day)),
    "quarter": lambda day: dates.shown(dates.quarter_of(day)),
    "year": lambda day: int(dates.shown(day)[:4]),
    "day_of_week": lambda day: dates.WEEKDAYS[(day + 6) % 7],
}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


METRICS: dict[str, Callable[[Figures], int | float]] = {
    "impressions": attrgetter("impressions"),
    "clicks": attrgetter("clicks"),
    "interactions": attrgetter("interactions"),
    "cost_micros": attrgetter("cost_micros"),
    "video_trueview_views": attrgetter("video_views"),
    "conversions": lambda sums: sums.conversions / _MICROS,
    "conversions_value": lambda sums: sums.conversions_value / _MICROS,
    "all_conversions": lambda sums: sums.all_conversions / _MICROS,
    "all_conversions_value": lambda sums: sums.all_conversions_value / _MICROS,
    "ctr": lambda sums: _share(sums.clicks, sums.impressions),
    "average_cpc": lambda sums: _share(sums.cost_micros, sums.clicks),
    "average_cost": lambda sums: _share(sums.cost_micros, sums.interactions),
    "cost_per_conversion": lambda sums: _share(sums.cost_micros * _MICROS, sums.conversions),
}


def rows_of(plan: Plan, customer: Customer, world: AdsWorld) -> list[Row]:
    """Return the rows of a query in its order, whatever its limit."""
    return _ordered(plan, list(_passing(plan, customer, world)))


def _passing(plan: Plan, customer: Customer, world: AdsWorld) -> Iterator[Row]:
    of_subjects = [(field, test) for field, test in plan.tests if field.resource not in ("segments", "metrics")]
    of_rows = [(_getter(plan, field), test) for field, test in plan.tests if field.resource in ("segments", "metrics")]
    for subject in subjects_of(plan.resource, customer, world):
        if all(test(value_of(field.name, subject)) for field, test in of_subjects):
            yield from _of_subject(plan, subject, world, of_rows)


def _of_subject(
    plan: Plan, subject: Subject, world: AdsWorld, tests: list[tuple[Callable[[Row], Any], Test]]
) -> Iterator[Row]:
    if not plan.measured and not plan.segments:
        yield Row(subject, (), _NOTHING)
        return
    counted = [METRICS[field.own] for field in plan.metrics]
    for key, found in _cut(plan, subject, world):
        if plan.segments and counted and not any(metric(found) for metric in counted):
            continue
        row = Row(subject, key, found)
        if not tests or all(test(get(row)) for get, test in tests):
            yield row


def _cut(plan: Plan, subject: Subject, world: AdsWorld) -> Iterable[tuple[Key, Figures]]:
    """Return the sums of each combination of segments, or of everything where no segment is selected."""
    days = _days(plan, subject, world)
    cut = [SEGMENTS[field.own] for field in plan.segments]
    if subject.campaign is not None and [field.own for field in plan.segments] == ["date"]:
        return (((dates.shown(day),), figures) for day, figures in days)
    sums: dict[Key, Figures] = {} if cut else {(): _NOTHING}
    for day, figures in days:
        key = tuple([segment(day) for segment in cut])
        before = sums.get(key)
        sums[key] = figures if before is None else before.plus(figures)
    return sums.items()


def _days(plan: Plan, subject: Subject, world: AdsWorld) -> Iterator[tuple[int, Figures]]:
    customer = subject.customer
    first, last = plan.days or (1, customer.today(world.now()))
    campaigns = customer.campaigns if subject.campaign is None else [subject.campaign]
    for campaign in campaigns:
        yield from world.days(customer, campaign, first, last)


def _getter(plan: Plan, field: Field) -> Callable[[Row], Any]:
    """Return what reads a field off a row."""
    if field.resource == "metrics":
        metric = METRICS[field.own]
        return lambda row: metric(row.sums)
    if field.resource == "segments":
        at = plan.segments.index(field)
        return lambda row: row.key[at]
    return lambda row: value_of(field.name, row.subject)


def _ordered(plan: Plan, rows: list[Row]) -> list[Row]:
    """Sort by the last field first, which leaves the order of the first in force; enumerations go by their numbers."""
    for ordering in reversed(plan.query.orderings):
        field = FIELDS[ordering.field]
        get = _getter(plan, field)
        if field.type == "enum":
            rows.sort(key=lambda row, g=get, f=field: f.choices.index(g(row)), reverse=ordering.descending)  # type: ignore[misc]
        else:
            rows.sort(key=lambda row, g=get: (g(row) is not None, g(row)), reverse=ordering.descending)  # type: ignore[misc]
    return rows


class Writer:
    """Writes the rows of one plan as JSON; what is the same for all rows of a subject is written once."""

    def __init__(self, plan: Plan, *, zeros: bool) -> None:
        self._plan = plan
        self._zeros = zeros
        self._metrics = [_written(field, METRICS[field.own], zeros=zeros) for field in plan.metrics]
        self._segments = [_written(field, lambda value: value, zeros=True) for field in plan.segments]
        self._heads: dict[int, bytes] = {}
        self._tails: dict[Key, bytes] = {}

    def rows(self, rows: list[Row]) -> bytes:
        """Return the array of rows."""
        return b"[" + b",".join([self._row(row) for row in rows]) + b"]"

    def summary(self, rows: list[Row]) -> bytes:
        """Return the row that adds all rows up."""
        sums = _NOTHING
        for row in rows:
            sums = sums.plus(row.sums)
        return b"{" + self._measures(sums) + b"}"

    def _row(self, row: Row) -> bytes:
        head = self._heads.get(id(row.subject))
        if head is None:
            head = self._heads[id(row.subject)] = self._attributes(row.subject)
        parts = [head] if head else []
        if self._metrics:
            parts.append(self._measures(row.sums))
        if self._segments:
            tail = self._tails.get(row.key)
            if tail is None:
                tail = self._tails[row.key] = self._cut(row.key)
            parts.append(tail)
        return b"{" + b",".join(parts) + b"}"

    def _cut(self, key: Key) -> bytes:
        written = [write(value) for write, value in zip(self._segments, key, strict=True)]
        return ('"segments":{' + ",".join(written) + "}").encode()

    def _measures(self, sums: Figures) -> bytes:
        return ('"metrics":{' + ",".join([text for write in self._metrics if (text := write(sums))]) + "}").encode()

    def _attributes(self, subject: Subject) -> bytes:
        """Return the messages of a subject; each has its resource name, asked for or not, unless that is forbidden."""
        messages: dict[str, dict[str, Any]] = {}
        if not self._plan.omit_unselected_names:
            for resource in (self._plan.resource, *(field.resource for field in self._plan.attributes)):
                name = value_of(f"{resource}.resource_name", subject)
                messages.setdefault(camel(resource), {})["resourceName"] = name
        for field in self._plan.attributes:
            value = value_of(field.name, subject)
            message = messages.setdefault(camel(field.resource), {})
            if value or (self._zeros and value is not None):
                message[field.json_name] = str(value) if field.type == "int64" else value
        return msgspec.json.encode(messages)[1:-1]


def _written(field: Field, get: Callable[[Any], Any], *, zeros: bool) -> Callable[[Any], str]:
    """Return what writes a field with its name, or nothing where it is zero and zeros are left out."""
    head, end = f'"{field.json_name}":', ""
    if field.type not in ("double", "int32"):
        head, end = head + '"', '"'

    def write(source: Any) -> str:
        value = get(source)
        return f"{head}{value}{end}" if value or zeros else ""

    return write

"""GAQL as it is read and refused: the grammar under hypothesis, each mistake by its code, Google's own names."""

import importlib
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from simulator.google_ads import LIVE
from simulator.google_ads.dates import during, months_before, read_day, shown
from simulator.google_ads.failures import CATALOGUE
from simulator.google_ads.fields import FIELDS, Field
from simulator.google_ads.gaql import Condition, Ordering, Query, Value, parse
from simulator.google_ads.gaql_words import QueryRefused
from simulator.google_ads.plan import make_plan
from simulator.google_ads.rows import METRICS, SEGMENTS
from tests.simulator.ads_calls import AdsCaller
from tests.simulator.google_ads_messages import VERSIONS, check_failure, message_class

TODAY = read_day("2026-11-23") or 0
RANGE = "segments.date BETWEEN '2026-11-01' AND '2026-11-22'"

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name.upper() not in KEYWORDS)
fields = st.builds("{}.{}".format, names, names)
KEYWORDS = {"SELECT", "FROM", "WHERE", "ORDER", "BY", "LIMIT", "PARAMETERS", "AND", "ASC", "DESC", "NOT", "IS", "IN"}
SIGNS = ["=", "!=", "<", ">", "<=", ">="]
texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=12)
values = st.one_of(
    texts.map(lambda text: Value("text", text)),
    st.integers(-(10**12), 10**12).map(lambda number: Value("number", str(number))),
    st.sampled_from(["ENABLED", "LAST_30_DAYS", "TRUE"]).map(lambda word: Value("word", word)),
)
conditions = st.one_of(
    st.builds(lambda f, o, v: Condition(f, o, (v,)), fields, st.sampled_from(SIGNS), values),
    st.builds(lambda f, o, t: Condition(f, o, (Value("text", t),)), fields,
              st.sampled_from(["LIKE", "NOT LIKE", "REGEXP_MATCH", "NOT REGEXP_MATCH"]), texts),
    st.builds(lambda f, o: Condition(f, o, ()), fields, st.sampled_from(["IS NULL", "IS NOT NULL"])),
    st.builds(lambda f, o, ts: Condition(f, o, tuple(Value("text", t) for t in ts)), fields,
              st.sampled_from(["IN", "NOT IN", "CONTAINS ANY", "CONTAINS ALL", "CONTAINS NONE"]),
              st.lists(texts, min_size=1, max_size=4)),
    st.builds(lambda f, a, b: Condition(f, "BETWEEN", (Value("text", a), Value("text", b))), fields, texts, texts),
    st.builds(lambda f, w: Condition(f, "DURING", (Value("word", w),)), fields, st.sampled_from(["TODAY", "odd"])),
)  # fmt: skip
queries = st.builds(
    Query,
    st.lists(fields, min_size=1, max_size=5).map(tuple),
    names,
    st.lists(conditions, max_size=3).map(tuple),
    st.lists(st.builds(Ordering, fields, st.booleans()), max_size=2).map(tuple),
    st.none() | st.integers(1, 10**9),
    st.sampled_from([(), (("include_drafts", True),), (("omit_unselected_resource_names", False),)]),
)


class Writing:
    """Writes a query out, in the many ways that mean the same."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def query(self, query: Query) -> str:
        parts = [self._word("SELECT"), ",".join(query.fields), self._word("FROM"), query.resource]
        if query.conditions:
            parts += [self._word("WHERE"), f" {self._word('AND')} ".join(self._condition(c) for c in query.conditions)]
        if query.orderings:
            parts += [self._word("ORDER"), self._word("BY"), ", ".join(self._ordering(o) for o in query.orderings)]
        if query.limit is not None:
            parts += [self._word("LIMIT"), str(query.limit)]
        if query.parameters:
            written = ", ".join(f"{name} = {self._word(str(value))}" for name, value in query.parameters)
            parts += [self._word("PARAMETERS"), written]
        return self._draw(st.sampled_from([" ", "\n", "  \t"])).join(parts)

    def _word(self, word: str) -> str:
        return str(self._draw(st.sampled_from([word, word.lower(), word.title()])))

    def _condition(self, condition: Condition) -> str:
        operator = " ".join(self._word(word) for word in condition.operator.split())
        written = [self._value(value) for value in condition.values]
        if condition.operator.endswith("IN") or condition.operator.startswith("CONTAINS"):
            return f"{condition.field} {operator} ({', '.join(written)})"
        between = f" {self._word('AND')} "
        return f"{condition.field} {operator} {between.join(written)}"

    def _ordering(self, ordering: Ordering) -> str:
        ascending = self._draw(st.sampled_from(["", "ASC"]))
        return f"{ordering.field} {self._word('DESC') if ordering.descending else ascending}"

    def _value(self, value: Value) -> str:
        if value.kind != "text":
            return value.text
        quote = self._draw(st.sampled_from("'\""))
        return quote + value.text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


@given(queries, st.data())
def test_a_query_means_the_same_however_it_is_written(query: Query, data: st.DataObject) -> None:
    assert parse(Writing(data.draw).query(query)) == query


@given(st.text() | st.text(string.ascii_letters + string.digits + " ',.()=<>!\"\\-_%\n"))
def test_no_text_is_answered_with_anything_but_a_code_of_google_s(text: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        parse(text)
    assert refused.value.code in QUERY_CODES


PIECES = st.sampled_from(
    ["SELECT", "FROM", "WHERE", "AND", "ORDER", "BY", "LIMIT", "campaign", "campaign.id", "segments.date", "customer",
     "metrics.clicks", "customer_client.id", "=", "!=", "<", "IN", "(", ")", ",", "'x'", "'2026-11-01'", "5", "-1",
     "BETWEEN", "DURING", "TODAY", "LIKE", "IS", "NOT", "NULL", "DESC", "ENABLED", "campaign.status", "segments.week",
     "campaign.labels", "CONTAINS", "ANY", "PARAMETERS"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=16), st.booleans())
def test_a_jumble_of_words_is_planned_or_refused(pieces: list[str], begun: bool) -> None:
    text = ("SELECT campaign.id FROM campaign WHERE " if begun else "") + " ".join(pieces)
    code = None
    try:
        make_plan(parse(text), TODAY, "refused")
    except QueryRefused as refused:
        code = refused.code
    assert code in {None, *QUERY_CODES}


@pytest.fixture
def ads(simulator: Simulator, account: str) -> AdsCaller:
    return AdsCaller(simulator, account)


REFUSED = {
    "": "REQUIRED_FIELD_MISSING",
    "FROM campaign": "EXPECTED_SELECT",
    "SELECT campaign.id": "EXPECTED_FROM",
    "SELECT campaign.id campaign.name FROM campaign": "EXPECTED_FROM",
    "SELECT FROM campaign": "BAD_FIELD_NAME",
    "SELECT * FROM campaign": "UNEXPECTED_INPUT",
    "SELECT campaign.id FROM": "UNEXPECTED_END_OF_QUERY",
    "SELECT campaign.id FROM campaign WHERE": "UNEXPECTED_END_OF_QUERY",
    "SELECT campaign.id FROM campaign WHERE campaign.id": "UNEXPECTED_END_OF_QUERY",
    "SELECT campaign.id FROM campaign campaign": "UNEXPECTED_INPUT",
    "SELECT campaign.id FROM campaign;": "UNEXPECTED_INPUT",
    "SELECT campaign.id FROM campaign WHERE campaign.name = 'open": "STRING_NOT_TERMINATED",
    "SELECT campaign.id FROM campaign WHERE campaign.name = 'two\nlines'": "PROHIBITED_NEWLINE_IN_STRING",
    "SELECT campaign.id FROM campaign WHERE campaign.name = 'b\\x'": "BAD_ESCAPE_SEQUENCE",
    "SELECT campaign.id FROM campaign WHERE campaign.id = 12ab": "BAD_NUMBER",
    "SELECT campaign.id FROM campaign WHERE campaign.id = 99999999999999999999": "BAD_NUMBER",
    "SELECT campaign.id FROM campaign WHERE campaign.id ≥ 5": "BAD_SYMBOL",
    "SELECT campaign.id FROM campaign WHERE campaign.id LIKES 5": "BAD_OPERATOR",
    "SELECT campaign.id FROM campaign WHERE campaign.id = 'x'": "BAD_VALUE",
    "SELECT campaign.id FROM campaign WHERE campaign.id = ,": "BAD_VALUE",
    "SELECT campaign.id FROM campaign WHERE campaign.id LIKE '1%'": "OPERATOR_FIELD_MISMATCH",
    "SELECT campaign.id FROM campaign WHERE campaign.name > 'a'": "OPERATOR_FIELD_MISMATCH",
    "SELECT campaign.id FROM campaign WHERE campaign.name = 5": "INVALID_STRING_VALUE",
    "SELECT campaign.id FROM campaign WHERE campaign.name REGEXP_MATCH '('": "BAD_VALUE",
    "SELECT campaign.id FROM campaign WHERE campaign.status = 'ACTIVE'": "BAD_ENUM_CONSTANT",
    "SELECT campaign.id FROM campaign WHERE campaign.status IN ()": "PROHIBITED_EMPTY_LIST_IN_CONDITION",
    "SELECT campaign.id FROM campaign WHERE campaign.id IN (1, 'a')": "PROHIBITED_VALUE_COMBINATION_IN_LIST",
    "SELECT campaign.id FROM campaign WHERE campaign.id IN 1": "EXPECTED_LIST",
    "SELECT campaign.id FROM campaign WHERE campaign.id = (1)": "EXPECTED_SINGLE_VALUE",
    "SELECT campaign.id FROM campaign WHERE campaign.id BETWEEN 1": "EXPECTED_AND",
    "SELECT campaign.id FROM campaign WHERE campaign.id BETWEEN 1 AND": "EXPECTED_VALUE_WITH_BETWEEN_OPERATOR",
    "SELECT campaign.id FROM campaign WHERE campaign.id BETWEEN 1 AND 'a'":
        "PROHIBITED_VALUE_COMBINATION_WITH_BETWEEN_OPERATOR",
    "SELECT campaign.id FROM campaign ORDER campaign.id": "EXPECTED_BY",
    "SELECT campaign.id FROM campaign ORDER BY campaign.labels": "PROHIBITED_FIELD_IN_ORDER_BY_CLAUSE",
    "SELECT campaign.id FROM campaign ORDER BY metrics.clicks": "EXPECTED_REFERENCED_FIELD_IN_SELECT_CLAUSE",
    "SELECT campaign.id FROM campaign LIMIT ten": "BAD_LIMIT_VALUE",
    "SELECT campaign.id FROM campaign LIMIT 0": "LIMIT_VALUE_TOO_LOW",
    "SELECT campaign.id FROM campaign LIMIT -1": "LIMIT_VALUE_TOO_LOW",
    "SELECT campaign.id FROM campaign PARAMETERS fast = true": "BAD_PARAMETER_NAME",
    "SELECT campaign.id FROM campaign PARAMETERS include_drafts = 5": "BAD_PARAMETER_VALUE",
    "SELECT campaign.nam FROM campaign": "UNRECOGNIZED_FIELD",
    "SELECT campaign FROM campaign": "UNRECOGNIZED_FIELD",
    "SELECT campaign.start_date FROM campaign": "UNRECOGNIZED_FIELD",
    "SELECT Campaign.id FROM campaign": "BAD_FIELD_NAME",
    "SELECT campaign.id FROM campaigns": "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE",
    "SELECT customer_client.id FROM campaign": "PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE",
    "SELECT campaign.id FROM campaign WHERE customer_client.id = 1": "PROHIBITED_RESOURCE_TYPE_IN_WHERE_CLAUSE",
    "SELECT campaign.id, metrics.clicks FROM customer": "PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE",
    "SELECT customer_client.id, metrics.clicks FROM customer_client": "PROHIBITED_METRIC_IN_SELECT_OR_WHERE_CLAUSE",
    "SELECT conversion_action.id, segments.date FROM conversion_action": "PROHIBITED_SEGMENT_IN_SELECT_OR_WHERE_CLAUSE",
    "SELECT campaign.id, segments.date, metrics.clicks FROM campaign": "EXPECTED_FILTERS_ON_DATE_RANGE",
    "SELECT campaign.id, metrics.clicks FROM campaign WHERE segments.date >= '2026-11-01'":
        "EXPECTED_FILTERS_ON_DATE_RANGE",
    f"SELECT campaign.id FROM campaign WHERE {RANGE} AND segments.day_of_week = 'MONDAY'":
        "EXPECTED_REFERENCED_FIELD_IN_SELECT_CLAUSE",
    "SELECT campaign.id FROM campaign WHERE segments.date = '2026-02-30'": "INVALID_DATE_FORMAT",
    "SELECT campaign.id FROM campaign WHERE segments.date = '20261101'": "INVALID_DATE_FORMAT",
    "SELECT campaign.id FROM campaign WHERE segments.date = 2026": "INVALID_STRING_VALUE",
    "SELECT campaign.id FROM campaign WHERE segments.date = 2026-11-01": "BAD_NUMBER",
    "SELECT campaign.id FROM campaign WHERE segments.date BETWEEN 'a' AND 'b'": "INVALID_VALUE_WITH_BETWEEN_OPERATOR",
    "SELECT campaign.id FROM campaign WHERE segments.date BETWEEN '2026-11-02' AND '2026-11-01'":
        "DATE_RANGE_TOO_NARROW",
    "SELECT campaign.id FROM campaign WHERE segments.date != '2026-11-02'": "OPERATOR_FIELD_MISMATCH",
    "SELECT campaign.id FROM campaign WHERE segments.date DURING SOMETIMES": "INVALID_VALUE_WITH_DURING_OPERATOR",
    "SELECT campaign.id FROM campaign WHERE segments.date DURING 'TODAY'": "INVALID_VALUE_WITH_DURING_OPERATOR",
    "SELECT campaign.id FROM campaign WHERE segments.week = '2026-11-25'": "MISALIGNED_DATE_FOR_FILTER",
    "SELECT campaign.id FROM campaign WHERE segments.year = 26": "BAD_VALUE",
}  # fmt: skip


def test_each_mistake_in_a_query_has_its_code_in_google_s_own_messages(ads: AdsCaller) -> None:
    for query, expected in REFUSED.items():
        status, reply = ads.search("tokyo", query)
        assert status == 400, query
        assert list(check_failure(reply)["errorCode"].values()) == [expected], query
    _, reply = ads.stream("tokyo", "SELECT campaign.nam FROM campaign")
    assert list(check_failure(reply)["errorCode"].values()) == ["UNRECOGNIZED_FIELD"]


def error_enum(category: str, version: str = "v26") -> set[str]:
    """The names of an error enumeration, by its field in ErrorCode."""
    descriptor = message_class(version, "errors.types.errors", "ErrorCode").DESCRIPTOR
    return {value.name for value in descriptor.fields_by_camelcase_name[category].enum_type.values}


QUERY_CODES = error_enum("queryError") | error_enum("dateRangeError")


def test_every_error_of_the_catalogue_is_one_of_google_s() -> None:
    for code, (category, _) in CATALOGUE.items():
        assert code in error_enum(category), code


def of_google(field: Field, version: str) -> Any:
    """The field as Google's own messages describe it."""
    if field.resource in ("metrics", "segments"):
        path, name = f"common.types.{field.resource}", field.resource.title()
    else:
        path, name = f"resources.types.{field.resource}", field.resource.title().replace("_", "")
    own = importlib.import_module(f"google.ads.googleads.{version}.{path}")
    described = getattr(own, name).pb().DESCRIPTOR.fields_by_name
    return described.get(field.own) or described[field.own + "_"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_is_one_of_google_s_in_every_live_version_with_its_type(version: str) -> None:
    kinds = {"int64": 3, "int32": 5, "double": 1, "text": 9, "name": 9, "flag": 8, "enum": 14, "day": 9, "moment": 9}
    for field in FIELDS.values():
        described = of_google(field, version)
        assert described.type == kinds[field.type], field.name
        assert described.is_repeated == field.repeated, field.name
        if field.type == "enum":
            assert set(field.choices) <= {value.name for value in described.enum_type.values}, field.name
    assert version in LIVE


def test_every_segment_and_metric_that_can_be_asked_for_can_be_worked_out() -> None:
    asked = {field.own for field in FIELDS.values() if field.resource == "segments"}
    assert asked == set(SEGMENTS)
    assert {field.own for field in FIELDS.values() if field.resource == "metrics"} == set(METRICS)


@pytest.mark.parametrize(
    ("word", "first", "last"),
    [
        ("TODAY", "2026-11-23", "2026-11-23"), ("YESTERDAY", "2026-11-22", "2026-11-22"),
        ("LAST_7_DAYS", "2026-11-16", "2026-11-22"), ("LAST_14_DAYS", "2026-11-09", "2026-11-22"),
        ("last_30_days", "2026-10-24", "2026-11-22"), ("LAST_BUSINESS_WEEK", "2026-11-16", "2026-11-20"),
        ("LAST_WEEK_MON_SUN", "2026-11-16", "2026-11-22"), ("LAST_WEEK_SUN_SAT", "2026-11-15", "2026-11-21"),
        ("THIS_WEEK_MON_TODAY", "2026-11-23", "2026-11-23"), ("THIS_WEEK_SUN_TODAY", "2026-11-22", "2026-11-23"),
        ("THIS_MONTH", "2026-11-01", "2026-11-23"), ("LAST_MONTH", "2026-10-01", "2026-10-31"),
    ],
)  # fmt: skip
def test_a_range_by_name_is_counted_from_today(word: str, first: str, last: str) -> None:
    found = during(word, TODAY)
    assert found is not None
    assert (shown(found[0]), shown(found[1])) == (first, last)


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("LIKE '%SALE%'", True), ("LIKE 'sale'", False), ("NOT LIKE '%other%'", True), ("LIKE 'Spring[_]sale'", False),
        ("REGEXP_MATCH 'Spring.*'", True), ("REGEXP_MATCH 'spring.*'", False), ("REGEXP_MATCH '(?i)spring.*'", True),
        ("REGEXP_MATCH 'Spring'", False), ("NOT REGEXP_MATCH 'spring.*'", True), ("= 'spring sale'", False),
        ("IN ('Spring sale', 'x')", True), ("NOT IN ('spring sale')", True), ("IS NOT NULL", True),
    ],
)  # fmt: skip
def test_like_is_blind_to_case_and_nothing_else_is(condition: str, passes: bool) -> None:
    plan = make_plan(parse(f"SELECT campaign.id FROM campaign WHERE campaign.name {condition}"), TODAY, "refused")
    ((_, test),) = plan.tests
    assert test("Spring sale") is passes


def test_conditions_on_periods_become_whole_days() -> None:
    def days(where: str) -> tuple[str, str]:
        plan = make_plan(parse(f"SELECT campaign.id FROM campaign WHERE {where}"), TODAY, "refused")
        assert plan.days is not None
        return shown(plan.days[0]), shown(plan.days[1])

    assert days("segments.month = '2026-02-01'") == ("2026-02-01", "2026-02-28")
    assert days("segments.quarter = '2026-10-01'") == ("2026-10-01", "2026-12-31")
    assert days("segments.week BETWEEN '2026-11-02' AND '2026-11-09'") == ("2026-11-02", "2026-11-15")
    assert days("segments.year = 2026 AND segments.date < '2026-01-03'") == ("2026-01-01", "2026-01-02")
    assert days("segments.date > '2026-11-01' AND segments.month <= '2026-11-01'") == ("2026-11-02", "2026-11-30")


def test_days_and_weeks_reach_back_37_months_and_longer_periods_further() -> None:
    def first_day(segment: str, start: str, old: Any = "refused") -> str:
        selected = f"SELECT campaign.id, segments.{segment} FROM campaign"
        plan = make_plan(parse(f"{selected} WHERE segments.date BETWEEN '{start}' AND '2026-11-01'"), TODAY, old)
        assert plan.days is not None
        return shown(plan.days[0])

    assert shown(months_before(TODAY, 37)) == "2023-10-23"
    assert shown(months_before(read_day("2026-03-31") or 0, 37)) == "2023-02-28"
    assert first_day("date", "2023-10-23") == "2023-10-23"
    assert first_day("month", "2020-01-01") == "2020-01-01"
    for segment in ("date", "week"):
        with pytest.raises(QueryRefused) as refused:
            first_day(segment, "2023-10-22")
        assert (refused.value.category, refused.value.code) == (
            "dateRangeError", "REQUESTED_DATE_GRANULARITY_NOT_SUPPORTED",
        )  # fmt: skip
        assert first_day(segment, "2020-01-01", "left_out") == "2023-10-23"

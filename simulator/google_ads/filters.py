"""Conditions of a query as tests of values, after a look at whether field, operator and value fit one another.

Pure; conditions on days are not here but in `plan.py`, which turns them into a range. LIKE is blind to case,
everything else is not.
Source: https://developers.google.com/google-ads/api/docs/query/case-sensitivity, read 2026-11-26.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from simulator.google_ads.fields import Field
from simulator.google_ads.gaql import Condition, Value
from simulator.google_ads.gaql_words import QueryRefused

Test = Callable[[Any], bool]
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_NULL = frozenset({"IS NULL", "IS NOT NULL"})
_EQUAL = frozenset({"=", "!="})
_AMONG = frozenset({"IN", "NOT IN"})
_ORDERED = frozenset(_COMPARE) | _AMONG | {"BETWEEN"}
_MATCHED = frozenset({"LIKE", "NOT LIKE", "REGEXP_MATCH", "NOT REGEXP_MATCH"})
_CONTAINED = frozenset({"CONTAINS ANY", "CONTAINS ALL", "CONTAINS NONE"})
_FITTING: dict[str, frozenset[str]] = {
    "int64": _ORDERED | _NULL, "int32": _ORDERED | _NULL, "double": _ORDERED | _NULL,
    "text": _EQUAL | _AMONG | _MATCHED | _NULL, "name": _EQUAL | _AMONG | _NULL, "flag": _EQUAL | _NULL,
    "enum": _EQUAL | _AMONG | _NULL, "moment": frozenset(_COMPARE) | {"BETWEEN"} | _NULL, "day": frozenset(),
}  # fmt: skip
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?")
_INT64 = 1 << 63


def test_for(field: Field, condition: Condition) -> Test:
    """Return the test that a condition stands for; None passes only a test for NULL.

    Raises: QueryRefused when operator or value do not fit the field.
    """
    name = condition.operator
    fitting = _CONTAINED | _NULL if field.repeated else _FITTING[field.type]
    if name not in fitting:
        raise QueryRefused("OPERATOR_FIELD_MISMATCH", f"The operator {name} does not apply to {field.name}.")
    if name in _NULL:
        absent = name == "IS NULL"
        return lambda value: (value is None) is absent
    wanted = [_read(field, value) for value in condition.values]
    if name in _MATCHED:
        return _matching(name, str(wanted[0]))
    if name in _CONTAINED:
        return _containing(name, frozenset(wanted))
    if name == "BETWEEN":
        low, high = wanted
        return lambda value: value is not None and low <= value <= high
    if name in _AMONG:
        inside, among = name == "IN", frozenset(wanted)
        return lambda value: value is not None and (value in among) is inside
    compare, one = _COMPARE[name], wanted[0]
    return lambda value: value is not None and compare(value, one)


def _containing(name: str, wanted: frozenset[Any]) -> Test:
    if name == "CONTAINS ALL":
        return lambda values: wanted <= set(values or ())
    anything = name == "CONTAINS ANY"
    return lambda values: bool(wanted & set(values or ())) is anything


def _matching(name: str, pattern: str) -> Test:
    plain = name.removeprefix("NOT ")
    try:
        compiled = re.compile(_of_like(pattern), re.IGNORECASE | re.DOTALL) if plain == "LIKE" else re.compile(pattern)
    except re.error:
        raise QueryRefused("BAD_VALUE", f"Invalid regular expression: {pattern}.") from None
    hit = plain == name
    return lambda value: value is not None and (compiled.fullmatch(value) is not None) is hit


def _of_like(pattern: str) -> str:
    """Return a LIKE pattern as a regular expression; `[%]`, `[_]` and `[[]` stand for the signs themselves."""
    parts = re.split(r"\[(.)\]", pattern)
    for at, part in enumerate(parts):
        parts[at] = re.escape(part)
        if at % 2 == 0:
            parts[at] = parts[at].replace("%", ".*").replace("_", ".")
    return "".join(parts)


def _read(field: Field, value: Value) -> Any:
    match field.type:
        case "int64" | "int32":
            return _integer(field, value)
        case "double":
            if value.kind != "number" or len(value.text) > 300:
                raise QueryRefused("BAD_VALUE", f"{value.text} is no number, as {field.name} needs.")
            return float(value.text)
        case "flag":
            if value.text.upper() not in ("TRUE", "FALSE"):
                raise QueryRefused("BAD_VALUE", f"{value.text} is neither true nor false, as {field.name} needs.")
            return value.text.upper() == "TRUE"
        case "enum":
            if value.text not in field.choices:
                raise QueryRefused("BAD_ENUM_CONSTANT", f"Invalid enum value: {value.text} for {field.name}.")
            return value.text
        case _:
            if value.kind != "text":
                raise QueryRefused("INVALID_STRING_VALUE", f"{field.name} needs a text in quotes, not {value.text}.")
            if field.type == "moment" and not _MOMENT.fullmatch(value.text):
                raise QueryRefused("INVALID_DATE_FORMAT", f"{value.text} is no date and time, as {field.name} needs.")
            return value.text


def _integer(field: Field, value: Value) -> int:
    digits = value.text.removeprefix("-")
    if value.kind == "word" or not (digits.isascii() and digits.isdigit()):
        raise QueryRefused("BAD_VALUE", f"{value.text} is no whole number, as {field.name} needs.")
    if len(digits) > 19 or not -_INT64 <= int(value.text) < _INT64:
        raise QueryRefused("BAD_NUMBER", f"{value.text} is too large for {field.name}.")
    return int(value.text)

"""Google Ads Query Language: text in, a query in its parts out. It knows the grammar and no field.

    query      = SELECT field {"," field} FROM resource [WHERE condition {AND condition}]
                 [ORDER BY field [ASC|DESC] {"," …}] [LIMIT integer] [PARAMETERS name "=" literal {"," …}]
    condition  = field operator value | field [NOT] IN "(" values ")" | field CONTAINS (ANY|ALL|NONE) "(" values ")"
               | field BETWEEN value AND value | field DURING word | field IS [NOT] NULL
               | field [NOT] (LIKE|REGEXP_MATCH) value
    value      = word | number | 'text' | "text"

Keywords may be written in any case. Every mistake has the code that Google's QueryError has for it.
Source: https://developers.google.com/google-ads/api/docs/query/grammar, read 2026-11-23; the sheet, section 8.4.
"""

import re
from dataclasses import dataclass
from typing import Literal

from simulator.google_ads.gaql_words import END, QueryRefused, Token, tokens_of

Kind = Literal["word", "number", "text"]
_CLAUSES = frozenset({"SELECT", "FROM", "WHERE", "ORDER", "LIMIT", "PARAMETERS"})
_SIGNS = frozenset({"=", "!=", "<", ">", "<=", ">="})
_RESOURCE = re.compile(r"[a-z][a-z0-9_]*")
_FIELD = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_PARAMETERS = frozenset({"include_drafts", "omit_unselected_resource_names"})
_MOST_VALUES = 20_000
_MOST_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Value:
    """A value and how it was written."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; NULL tests have no values, BETWEEN has two."""

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Ordering:
    """One field of ORDER BY."""

    field: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A query in its parts."""

    fields: tuple[str, ...]
    resource: str
    conditions: tuple[Condition, ...] = ()
    orderings: tuple[Ordering, ...] = ()
    limit: int | None = None
    parameters: tuple[tuple[str, bool], ...] = ()


def parse(text: str) -> Query:
    """Read a query.

    Raises: QueryRefused.
    """
    return _Parser(tokens_of(text)).query()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def query(self) -> Query:
        self._expect("SELECT", "EXPECTED_SELECT")
        fields = [self._field()]
        while self._took(","):
            fields.append(self._field())
        self._expect("FROM", "EXPECTED_FROM")
        resource = self._resource()
        conditions: list[Condition] = []
        orderings: list[Ordering] = []
        if self._took("WHERE"):
            conditions.append(self._condition())
            while self._took("AND"):
                conditions.append(self._condition())
        if self._took("ORDER"):
            self._expect("BY", "EXPECTED_BY")
            orderings.append(self._ordering())
            while self._took(","):
                orderings.append(self._ordering())
        limit = self._limit() if self._took("LIMIT") else None
        parameters = self._parameters() if self._took("PARAMETERS") else ()
        if self._now is not END:
            raise QueryRefused("UNEXPECTED_INPUT", f"Error in query: unexpected input {self._now.shown}.")
        return Query(tuple(fields), resource, tuple(conditions), tuple(orderings), limit, parameters)

    @property
    def _now(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else END

    def _next(self) -> Token:
        token = self._now
        if token is END:
            raise QueryRefused("UNEXPECTED_END_OF_QUERY", "Error in query: unexpected end of query.")
        self._at += 1
        return token

    def _took(self, word: str) -> bool:
        token = self._now
        if word in (token.keyword, token.text if token.kind == "sign" else None):
            self._at += 1
            return True
        return False

    def _expect(self, word: str, code: str) -> None:
        if not self._took(word):
            raise QueryRefused(code, f"Error in query: expected {word}, found {self._now.shown}.")

    def _field(self) -> str:
        token = self._next()
        if token.kind != "word" or token.keyword in _CLAUSES:
            raise QueryRefused("BAD_FIELD_NAME", f"Error in query: {token.shown} is no field name.")
        if not _FIELD.fullmatch(token.text):
            if _RESOURCE.fullmatch(token.text):
                raise QueryRefused("UNRECOGNIZED_FIELD", f"Unrecognized field in the query: '{token.text}'.")
            raise QueryRefused("BAD_FIELD_NAME", f"Error in query: {token.shown} is no field name.")
        return token.text

    def _resource(self) -> str:
        token = self._next()
        if token.kind != "word" or not _RESOURCE.fullmatch(token.text):
            raise QueryRefused("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", f"Error in query: {token.shown} is no resource.")
        return token.text

    def _condition(self) -> Condition:
        field = self._field()
        operator = self._operator()
        if operator in ("IS NULL", "IS NOT NULL"):
            return Condition(field, operator, ())
        if operator.endswith("IN") or operator.startswith("CONTAINS"):
            return Condition(field, operator, self._list())
        if operator == "BETWEEN":
            return Condition(field, operator, self._pair())
        if self._now.text == "(" and self._now.kind == "sign":
            raise QueryRefused("EXPECTED_SINGLE_VALUE", f"Error in query: {operator} takes a single value.")
        value = self._value()
        if operator == "DURING" and value.kind != "word":
            raise QueryRefused("INVALID_VALUE_WITH_DURING_OPERATOR", f"Invalid date literal: {value.text}.")
        return Condition(field, operator, (value,))

    def _operator(self) -> str:
        token = self._next()
        if token.kind == "sign" and token.text in _SIGNS:
            return token.text
        word = token.keyword
        if word == "NOT":
            word = "NOT " + self._next().keyword
        elif word == "IS":
            word = "IS NOT " + self._next().keyword if self._took("NOT") else "IS " + self._next().keyword
        elif word == "CONTAINS":
            word = "CONTAINS " + self._next().keyword
        if word not in _OPERATORS:
            raise QueryRefused("BAD_OPERATOR", f"Error in query: {word or token.shown} is no operator.")
        return word

    def _value(self) -> Value:
        token = self._next()
        match token.kind:
            case "word" if token.keyword not in _CLAUSES:
                return Value("word", token.text)
            case "number":
                return Value("number", token.text)
            case "text":
                return Value("text", token.text)
            case _:
                raise QueryRefused("BAD_VALUE", f"Error in query: {token.shown} is no value.")

    def _list(self) -> tuple[Value, ...]:
        if not self._took("("):
            raise QueryRefused("EXPECTED_LIST", f"Error in query: expected a list, found {self._now.shown}.")
        if self._took(")"):
            raise QueryRefused("PROHIBITED_EMPTY_LIST_IN_CONDITION", "Error in query: a list is empty.")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        self._expect(")", "UNEXPECTED_INPUT")
        if len({value.kind for value in values}) > 1:
            raise QueryRefused("PROHIBITED_VALUE_COMBINATION_IN_LIST", "Error in query: a list mixes types.")
        if len(values) > _MOST_VALUES:
            raise QueryRefused("FILTER_HAS_TOO_MANY_VALUES", f"A list has more than {_MOST_VALUES} values.")
        return tuple(values)

    def _pair(self) -> tuple[Value, Value]:
        if self._now is END or self._now.keyword in _CLAUSES or self._now.keyword == "AND":
            raise QueryRefused("EXPECTED_VALUE_WITH_BETWEEN_OPERATOR", "BETWEEN takes two values.")
        first = self._value()
        self._expect("AND", "EXPECTED_AND")
        if self._now is END or self._now.keyword in _CLAUSES:
            raise QueryRefused("EXPECTED_VALUE_WITH_BETWEEN_OPERATOR", "BETWEEN takes two values.")
        second = self._value()
        if first.kind != second.kind:
            raise QueryRefused("PROHIBITED_VALUE_COMBINATION_WITH_BETWEEN_OPERATOR", "BETWEEN mixes types.")
        return first, second

    def _ordering(self) -> Ordering:
        field = self._field()
        descending = self._took("DESC")
        if not descending:
            self._took("ASC")
        return Ordering(field, descending)

    def _limit(self) -> int:
        token = self._next()
        if token.kind != "number" or "." in token.text or len(token.text) > _MOST_DIGITS:
            raise QueryRefused("BAD_LIMIT_VALUE", f"Error in query: {token.shown} is no limit.")
        if int(token.text) < 1:
            raise QueryRefused("LIMIT_VALUE_TOO_LOW", "The limit must be 1 or more.")
        return int(token.text)

    def _parameters(self) -> tuple[tuple[str, bool], ...]:
        found: dict[str, bool] = {}
        while True:
            name = self._next().text
            if name not in _PARAMETERS:
                raise QueryRefused("BAD_PARAMETER_NAME", f"Unknown parameter {name}.")
            self._expect("=", "BAD_PARAMETER_VALUE")
            value = self._next()
            if value.keyword not in ("TRUE", "FALSE"):
                raise QueryRefused("BAD_PARAMETER_VALUE", f"Parameter {name} is true or false.")
            found[name] = value.keyword == "TRUE"
            if not self._took(","):
                return tuple(found.items())


_OPERATORS = frozenset(
    {"IN", "NOT IN", "LIKE", "NOT LIKE", "BETWEEN", "DURING", "IS NULL", "IS NOT NULL", "CONTAINS ANY",
     "CONTAINS ALL", "CONTAINS NONE", "REGEXP_MATCH", "NOT REGEXP_MATCH"}
)  # fmt: skip

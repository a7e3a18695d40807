"""Holds replies against the discovery documents that the official client brings along.

    Discovery("people", "v1").check_reply("people.people.connections.list", reply)

A reply fails for a field that the document does not name, a wrong type, an int64 that is no text, an enum value nobody
listed, a time or bytes that cannot be read. Fields that are missing never fail, for the documents do not say what is
required.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import googleapiclient

_FOLDER = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
_RANGES = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}
_LONG_RANGES = {"int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1)}
_DIGITS = re.compile(r"-?(0|[1-9][0-9]*)")


class Drift(AssertionError):
    """A reply that the document does not allow; the text says where."""


class Discovery:
    """One API's document."""

    def __init__(self, api: str, version: str) -> None:
        self.document: dict[str, Any] = json.loads((_FOLDER / f"{api}.{version}.json").read_text())
        self.methods = {method["id"]: method for method in _methods(self.document)}

    def check_reply(self, method_id: str, reply: Any) -> None:
        """Check the whole reply of a method; raises Drift."""
        self.check(self.methods[method_id]["response"], reply, method_id)

    def check_named(self, schema: str, value: Any) -> None:
        """Check one resource by the name of its schema; raises Drift."""
        self.check({"$ref": schema}, value, schema)

    def query_parameters(self, method_id: str) -> dict[str, dict[str, Any]]:
        """The query parameters of a method, by name."""
        parameters = self.methods[method_id].get("parameters", {})
        return {name: one for name, one in parameters.items() if one["location"] == "query"}

    def check(self, schema: dict[str, Any], value: Any, where: str) -> None:
        """Check a value against a schema; raises Drift with the path to what is wrong."""
        if "$ref" in schema:
            schema = self.document["schemas"][schema["$ref"]]
        kind = schema.get("type", "object")
        if kind == "object":
            self._check_object(schema, value, where)
        elif kind == "array":
            _demand(isinstance(value, list), where, "a list", value)
            for at, item in enumerate(value):
                self.check(schema["items"], item, f"{where}[{at}]")
        elif kind == "string":
            _check_string(schema, value, where)
        elif kind == "integer":
            _demand(isinstance(value, int) and not isinstance(value, bool), where, "an integer", value)
            low, high = _RANGES[schema.get("format", "int32")]
            _demand(low <= value <= high, where, schema.get("format", "int32"), value)
        elif kind == "number":
            _demand(isinstance(value, int | float) and not isinstance(value, bool), where, "a number", value)
        elif kind == "boolean":
            _demand(isinstance(value, bool), where, "a boolean", value)

    def _check_object(self, schema: dict[str, Any], value: Any, where: str) -> None:
        _demand(isinstance(value, dict), where, "an object", value)
        properties = schema.get("properties", {})
        for key, one in value.items():
            inner = properties.get(key, schema.get("additionalProperties"))
            if inner is None:
                raise Drift(f"{where}.{key}: the document has no such field")
            self.check(inner, one, f"{where}.{key}")


def _check_string(schema: dict[str, Any], value: Any, where: str) -> None:
    _demand(isinstance(value, str), where, "a text", value)
    if "enum" in schema:
        _demand(value in schema["enum"], where, f"one of {schema['enum']}", value)
    layout = schema.get("format")
    if layout in _LONG_RANGES:
        low, high = _LONG_RANGES[layout]
        _demand(_DIGITS.fullmatch(value) is not None and low <= int(value) <= high, where, layout, value)
    try:
        if layout in {"date-time", "google-datetime"}:
            _demand(datetime.fromisoformat(value).tzinfo is not None, where, "a time with its offset", value)
        elif layout == "date":
            date.fromisoformat(value)
        elif layout == "byte":
            base64.b64decode(value + "=" * (-len(value) % 4), altchars="-_", validate=True)
    except (ValueError, binascii.Error):
        raise Drift(f"{where}: {value[:80]!r} is no {layout}") from None


def _demand(holds: bool, where: str, wanted: str, value: Any) -> None:
    if not holds:
        raise Drift(f"{where}: wanted {wanted}, got {str(value)[:80]!r}")


def _methods(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from node.get("methods", {}).values()
    for resource in node.get("resources", {}).values():
        yield from _methods(resource)

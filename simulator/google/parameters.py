"""Query parameters, read as strictly as Google reads them: unknown names and wrong types are 400.

Common parameters of every method (`fields`, `prettyPrint` and so on) are accepted here and obeyed elsewhere.
"""

from collections.abc import Mapping
from typing import Literal

from simulator.exchange import Request
from simulator.google.errors import invalid_argument, unknown_parameter

Kind = Literal["text", "integer", "flag", "many"]
_COMMON = frozenset(
    {"alt", "fields", "key", "prettyPrint", "quotaUser", "userIp", "uploadType", "upload_protocol", "$.xgafv"}
)
_FLAGS = {"true": True, "false": False}


class Parameters:
    """The parameters of one call."""

    def __init__(self, request: Request, known: Mapping[str, Kind]) -> None:
        """Raises GoogleError for a name that the method does not have, a repeat or a wrong type."""
        self._values: dict[str, list[str]] = {}
        for name, value in request.query:
            if name in _COMMON:
                continue
            kind = known.get(name)
            if kind is None:
                raise unknown_parameter(name)
            self._values.setdefault(name, []).append(value)
            if kind != "many" and len(self._values[name]) > 1:
                raise invalid_argument(f"Invalid value at '{name}': the field is not repeated.", name)
            if kind == "integer":
                self._integer(name, value)
            if kind == "flag" and value not in _FLAGS:
                raise invalid_argument(f"Invalid value at '{name}' (TYPE_BOOL), \"{value}\"", name)
        if request.first("alt") not in (None, "json"):
            raise invalid_argument("Only alt=json is played here.", "alt")

    def text(self, name: str) -> str | None:
        """Return a text; empty counts as absent, as in protobuf."""
        return (self._values.get(name) or [""])[0] or None

    def integer(self, name: str) -> int | None:
        """Return a number."""
        return self._integer(name, self._values[name][0]) if name in self._values else None

    def flag(self, name: str) -> bool:
        """Return a boolean, false when absent."""
        return _FLAGS[self._values[name][0]] if name in self._values else False

    def given(self, name: str) -> bool:
        """Say whether the parameter was sent at all."""
        return name in self._values

    def many(self, name: str) -> list[str]:
        """Return all values of a repeated parameter."""
        return self._values.get(name, [])

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Return a choice.

        Raises: GoogleError for any other value.
        """
        value = self.text(name) or default
        if value not in choices:
            raise invalid_argument(f"Invalid value at '{name}' (TYPE_ENUM), \"{value}\"", name)
        return value

    def _integer(self, name: str, value: str) -> int:
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
            raise invalid_argument(f"Invalid value at '{name}' (TYPE_INT32), \"{value}\"", name)
        return int(value)

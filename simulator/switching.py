"""Switches of a simulated provider: a dataclass that says how it behaves, whose fields the control door sets."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec


def switch(switches: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Set some of the switches, all or none, and return all of them as plain data.

    Raises: ValueError for an unknown one, msgspec.ValidationError for a wrong value.
    """
    present = {name: getattr(switches, name) for name in type(switches).__dataclass_fields__}
    unknown = sorted(set(changes) - set(present))
    if unknown:
        raise ValueError(f"There is no switch {unknown}; there are {sorted(present)}.")
    new = msgspec.convert(msgspec.to_builtins(present | changes), type(switches))
    for name in changes:
        setattr(switches, name, getattr(new, name))
    return dict(msgspec.to_builtins(switches))


class Switchboard:
    """A control that sets switches and then carries out acts: `{"rotation": "strict", "revoke_account": EMAIL}`."""

    def __init__(
        self, switches: Any, acts: Mapping[str, Callable[[Any], Any]], shown: Callable[[], dict[str, Any]]
    ) -> None:
        self._switches = switches
        self._acts = acts
        self._shown = shown

    def control(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        """Return all switches, which acts there are, what else is `shown`, and what came of the acts asked for."""
        changes: dict[str, Any] = {}
        done: dict[str, Any] = {}
        if method == "POST":
            changes = {name: value for name, value in given.items() if name not in self._acts}
        switches = switch(self._switches, changes)
        if method == "POST":
            done = {name: self._acts[name](value) for name, value in given.items() if name in self._acts}
        return {"switches": switches, **self._shown(), "acts": list(self._acts), "done": done}

"""What a part of Graph (contacts, mail, calendar) hands to the family: its calls, its truth and its edits.

Adding one means writing a builder from `Parts` to `Service` and naming it in `services.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.app import Simulator
from simulator.exchange import Reply
from simulator.microsoft.access import Access
from simulator.microsoft.calls import Call
from simulator.world.office import OfficeAccount

Edit = Callable[[OfficeAccount, dict[str, Any]], Any]
Truth = Callable[[OfficeAccount], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a builder may stand on; `access` has the switches, `simulator` the world, the mint and the clock."""

    simulator: Simulator
    access: Access


@dataclass(frozen=True, slots=True)
class Service:
    """One part; `handle` returns None for a path that is none of its own, and raises GraphError."""

    name: str
    scopes: frozenset[str]
    begins: frozenset[str]
    handle: Callable[[Call], Reply]
    truth: Mapping[str, Truth] = field(default_factory=dict)
    edits: Mapping[str, Edit] = field(default_factory=dict)
    counts: Callable[[OfficeAccount], dict[str, int]] = lambda _account: {}

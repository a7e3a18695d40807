"""What one of Google's APIs hands to the family: its addresses, its manner of failing, its truth and its edits.

Adding an API means writing a builder from `Parts` to `Service` and naming it in `services.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.app import Simulator
from simulator.exchange import Reply, Request
from simulator.google.access import Access
from simulator.google.errors import Style
from simulator.google.grants import Grants
from simulator.world import Account

Edit = Callable[[Account, dict[str, Any]], Any]
Truth = Callable[[Account], list[dict[str, Any]]]
SwitchControl = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a builder may stand on; `simulator` has the world, the mint, the clock and `serve_inner`."""

    simulator: Simulator
    access: Access
    grants: Grants


@dataclass(frozen=True, slots=True)
class Service:
    """One API.

    `prefixes` are pairs of a host and the beginning of a path; `handle` raises GoogleError, which is sent in `style`.
    Edits of the same name in several services are all carried out. `switches` takes changes and returns all switches.
    """

    name: str
    prefixes: tuple[tuple[str, str], ...]
    style: Style
    handle: Callable[[Request], Reply]
    truth: Mapping[str, Truth] = field(default_factory=dict)
    edits: Mapping[str, Edit] = field(default_factory=dict)
    counts: Callable[[Account], dict[str, int]] = lambda _account: {}
    switches: SwitchControl | None = None

"""Families that packages of third parties bring: found by the entry-point group `crm_sync.simulators`.

A package that does not load is named on stderr; the others are played all the same.
"""

import sys
from importlib.metadata import entry_points
from typing import Final

from simulator.app import Family, Simulator

GROUP: Final = "crm_sync.simulators"


def third_party_families(simulator: Simulator) -> list[Family]:
    """Return a family for each entry, in order of their names."""
    families: list[Family] = []
    seen = set()
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if (entry.name, entry.value) in seen:
            continue  # One package may be on the path twice.
        seen.add((entry.name, entry.value))
        try:
            families.append(entry.load()(simulator))
        except Exception as error:  # noqa: BLE001 - a package of somebody else may raise anything.
            sys.stderr.write(f"The simulated provider {entry.name} ({entry.value}) does not load: {error!r}\n")
    return families

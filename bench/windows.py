"""What was spent of a limit, read from the simulator's log of requests. Pure: it asks nobody.

[(when, units), …] ▶ the fullest window, and the share of what is allowed that was used
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

_PAUSE_S = 10.0
"""A silence this long is a wait for the window."""
Spent = Sequence[tuple[float, int]]


def spending(requests: Iterable[dict[str, Any]], quota: str) -> list[tuple[float, int]]:
    """When how many units of `quota` were spent, the calls within a batch included; what cost none is left out."""
    spent = []
    for each in requests:
        units = sum((one["quota_units"] or {}).get(quota, 0) for one in (each, *each["inner"]))
        if units:
            spent.append((each["real_at"], units))
    return spent


def fullest(spent: Spent, window_s: float) -> int:
    """The units of the window that holds most of them, wherever it begins."""
    within: deque[tuple[float, int]] = deque()
    total = most = 0
    for at, units in spent:
        while within and within[0][0] <= at - window_s:
            total -= within.popleft()[1]
        within.append((at, units))
        total += units
        most = max(most, total)
    return most


def used_of_allowed(spent: Spent, allowed_per_s: float) -> float | None:
    """The share that was used from the first window's beginning to the last one's, whose own spending is left out.

    So it is what goes on for hours, without the gift of a first window that may be spent at once. None if nothing
    waited for a window: then the limit did not bind.
    """
    began = [at for (before, _), (at, _) in pairwise(spent) if at - before > _PAUSE_S]
    if not began:
        return None
    first, last = spent[0][0], began[-1]
    return sum(units for at, units in spent if at < last) / (allowed_per_s * (last - first))


def places_taken(requests: Iterable[dict[str, Any]], places: int) -> list[tuple[float, int]]:
    """When each call began and how many places it takes: one, and as many as it has entries if it is a batch."""
    return [(each["real_at"], min(places, len(each["inner"]) or 1)) for each in requests]


def most_under_way(calls: Spent, took_s: float) -> int:
    """The most places that were taken at a time, if each call takes `took_s`."""
    ends = [(at + took_s, -units) for at, units in calls]
    under_way = most = 0
    for _, units in sorted([*calls, *ends]):
        under_way += units
        most = max(most, under_way)
    return most


def used_of_places(calls: Spent, since: float, took_s: float, places: int) -> float | None:
    """The share of the places that was taken from `since` to the end of the last call, if each takes `took_s`.

    None if there was no call.
    """
    within = [(at, units) for at, units in calls if at >= since]
    if not within:
        return None
    return sum(units for _, units in within) * took_s / (places * (within[-1][0] + took_s - since))

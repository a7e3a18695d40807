"""Finds connectors by entry point, and loads each only when it is first asked for.

Third parties add connectors as packages through the entry-point group `crm_sync.connectors`.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from worker.connectors.contract import Connector
from worker.errors import BadRequest, Misconfigured

GROUP = "crm_sync.connectors"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """The connectors that are installed, in order of their names."""
    return tuple(sorted(_entries()))


@cache
def load(name: str) -> Connector:
    """The connector of that name.

    Raises:
        BadRequest: none of that name is installed.
        Misconfigured: it is installed but is no connector.
    """
    entry = _entries().get(name)
    if entry is None:
        raise BadRequest(
            f"There is no connector «{name}». Installed: {', '.join(names()) or 'none'}. See `crm-sync connectors`."
        )
    loaded = entry.load()
    if not isinstance(loaded, Connector) or loaded.facts.name != name:
        raise Misconfigured(f"The entry point {GROUP}:{name} ({entry.value}) leads to no connector named «{name}».")
    return loaded

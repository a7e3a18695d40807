"""Finds connectors by entry point, and loads each only when it is asked for.

Third parties add connectors as packages through the entry-point group `crm_sync.connectors`. A package that does not
load is named with what is wrong with it, and takes nothing else down.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from worker.connectors.contract import Connector
from worker.errors import BadRequest, CrmSyncError, Misconfigured

GROUP: Final = "crm_sync.connectors"
_OURS: Final = "crm-sync"


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry of the group: the connector, or why there is none."""

    name: str
    package: str
    version: str
    connector: Connector | None
    problem: str = ""


@cache
def _entries() -> dict[str, tuple[EntryPoint, ...]]:
    """Every entry by name. A package that is on the path twice is still one."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, {})[_package(entry)[0], entry.value] = entry
    return {name: tuple(entries.values()) for name, entries in found.items()}


def names(*, ours_only: bool = False) -> tuple[str, ...]:
    """The connectors that are installed, in order of their names; or only those of this package."""
    entries = _entries()
    return tuple(sorted(name for name in entries if not ours_only or _package(entries[name][0])[0] == _OURS))


def installed() -> tuple[Installed, ...]:
    """Every entry with its connector, or with what is wrong with it."""
    found = []
    for name in names():
        package, version = _package(_entries()[name][0])
        try:
            found.append(Installed(name, package, version, load(name)))
        except CrmSyncError as error:
            found.append(Installed(name, package, version, None, str(error)))
    return tuple(found)


@cache
def load(name: str) -> Connector:
    """The connector of that name.

    Raises:
        BadRequest: none of that name is installed.
        Misconfigured: its package does not load, gives no connector of that name, or is not the only one to do so.
    """
    entries = _entries().get(name, ())
    if not entries:
        raise BadRequest(
            f"There is no connector «{name}». Installed: {', '.join(names()) or 'none'}. See `crm-sync connectors`."
        )
    if len(entries) > 1:
        packages = " and ".join(sorted(_package(entry)[0] for entry in entries))
        raise Misconfigured(f"Two packages bring a connector «{name}»: {packages}. Uninstall one of them.")
    (entry,) = entries
    try:
        loaded = entry.load()
    except Exception as error:  # noqa: BLE001 - a package of somebody else may raise anything when it is imported.
        raise Misconfigured(
            f"The connector «{name}» of the package {_package(entry)[0]} does not load: "
            f"{type(error).__name__}: {error} ({entry.value}). Mend or uninstall it; the other connectors work."
        ) from None
    if not isinstance(loaded, Connector) or loaded.facts.name != name:
        raise Misconfigured(
            f"The entry point {GROUP}:{name} of the package {_package(entry)[0]} ({entry.value}) leads to no "
            f"connector named «{name}». It must name a `Connector` whose facts have that name."
        )
    return loaded


def _package(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist is not None else ("unknown", "")

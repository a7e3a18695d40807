"""Writes a new connector's package: a connector that works, its provider simulated, a policy, tests, a README.

The files lie in `template/`, about a provider called `newname`; only names and the day's date are put in. What comes of
it reaches silver as it is, which a test holds.
"""

import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from worker.connectors import registry
from worker.errors import BadRequest

FILES: Final = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "readme.md.in",
    "crm_sync_newname/__init__.py": "init.py.in",
    "crm_sync_newname/connector.py": "connector.py.in",
    "crm_sync_newname/simulated.py": "simulated.py.in",
    "crm_sync_newname/policies/newname.toml": "policy.toml.in",
    "tests/test_newname.py": "test_connector.py.in",
}
_NAME: Final = re.compile(r"(?=.{2,31}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_package(name: str, into: Path) -> Path:
    """Write the package into a folder of its own within `into`, and return that folder.

    Raises:
        BadRequest: the name cannot be one, is taken, or the folder is there already. Nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"«{name}» cannot be a connector's name: 2 to 31 small letters and digits, a letter first, and a single _ "
            "between words."
        )
    if name in registry.names():
        raise BadRequest(
            f"There is a connector «{name}» already. See `crm-sync connectors {name}`, or take another name."
        )
    folder = into / f"crm-sync-{name.replace('_', '-')}"
    if folder.exists():
        raise BadRequest(
            f"{folder} is there already, and is left as it is. Take another name, or --into another folder."
        )
    template = files("worker.kit") / "template"
    for path, source in FILES.items():
        target = folder / path.replace("newname", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_named((template / source).read_text(encoding="utf-8"), name), encoding="utf-8")
    (folder / f"crm_sync_{name}" / "py.typed").touch()
    return folder


def _named(text: str, name: str) -> str:
    """The text with the name in its three forms, and today's date. Pure but for the date."""
    title = "".join(word.capitalize() for word in name.split("_"))
    package = f"crm-sync-{name.replace('_', '-')}"
    host = name.replace("_", "-")
    put_in = {
        "crm-sync-newname": package,
        "newname.example": f"{host}.example",
        "NEWNAME": name.upper(),
        "Newname": title,
        "newname": name,
        "TODAY": datetime.now(UTC).date().isoformat(),
    }
    # All at once: a name may hold one of these words itself.
    return re.sub("|".join(map(re.escape, put_in)), lambda found: put_in[found[0]], text)

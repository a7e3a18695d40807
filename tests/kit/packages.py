"""Packages of third parties on a path of their own: installed, as far as Python can tell, without touching ours."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT


def install(folder: Path, package: str, modules: Mapping[str, str], entries: Mapping[str, Mapping[str, str]]) -> Path:
    """Put a package's modules and its entry points where a process finds them that has `folder` on its path."""
    about = folder / f"{package.replace('-', '_')}-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in of.items())
             for group, of in entries.items()]  # fmt: skip
    (about / "entry_points.txt").write_text("\n".join(lines))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def variables(*folders: Path, **more: str) -> dict[str, str]:
    """The environment of a process that finds those packages, and ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "COLUMNS": "160", "PYTHONPATH": os.pathsep.join(map(str, [*folders, ROOT])), **more}


COMMAND = (sys.executable, "-m", "worker.cli.main")

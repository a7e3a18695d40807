"""Folders that a command made for itself and removes again."""

from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it; links are removed, not followed."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()

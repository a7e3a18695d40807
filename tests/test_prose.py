"""What the documents say is what the code does: commands, settings, exit codes, reasons, events; docstrings."""

import ast
from pathlib import Path

import pytest

from docs.generate import PAGES
from tests.conftest import ROOT

SOURCES = sorted(
    path
    for folder in ("worker", "scheduler", "simulator", "bench", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "misc"}


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "a module opens with what it is for"
    assert path.stem not in FORBIDDEN_NAMES


def test_the_readme_names_every_connector_and_command_that_it_should() -> None:
    from worker.connectors import registry

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in registry.names():
        assert f"| `{name}`" in readme
        for stream in registry.load(name).streams:
            assert f"`{stream.name}`" in readme


def test_the_links_of_the_readme_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for word in readme.replace("`", " ").split():
        if word.startswith("docs/") or word.endswith(".md"):
            assert (ROOT / word.rstrip(",;:.")).exists(), word

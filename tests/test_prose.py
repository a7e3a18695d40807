"""What the documents say is what the code does: commands, settings, exit codes, reasons, events, SQL; docstrings."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from docs.generate import PAGES, every_command
from tests.conftest import ROOT
from worker import errors
from worker.cli.main import EPILOG, app
from worker.cli.speech import Exit, exit_code_of
from worker.errors import CrmSyncError
from worker.store.database import Database

SOURCES = sorted(
    path
    for folder in ("worker", "scheduler", "simulator", "bench", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "misc"}


def every_error() -> list[type[CrmSyncError]]:
    """The whole taxonomy."""
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, CrmSyncError)]


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
    for name in registry.names(ours_only=True):
        assert f"| `{name}`" in readme
        for stream in registry.load(name).streams:
            assert f"`{stream.name}`" in readme


def test_the_links_of_the_readme_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for word in readme.replace("`", " ").split():
        if word.startswith("docs/") or word.endswith(".md"):
            assert (ROOT / word.rstrip(",;:.")).exists(), word


def documented(page: str, heading: str) -> list[str]:
    """The first column of the table under a heading."""
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.split("|")[1].strip(" `") for line in section.splitlines() if line.startswith("| `")]


def test_the_sql_door_is_documented_as_it_is(owner_db: Database) -> None:
    with owner_db.transaction() as tx:
        functions = tx.execute(
            "SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS shown FROM pg_proc p "
            "WHERE p.pronamespace = 'crm_sync'::regnamespace "
            "AND has_function_privilege('crm_sync_crm', p.oid, 'EXECUTE')"
        ).fetchall()
        tables = tx.execute(
            "SELECT c.relname AS shown FROM pg_class c WHERE c.relnamespace = 'crm_sync'::regnamespace "
            "AND c.relkind = 'r' AND has_any_column_privilege('crm_sync_crm', c.oid, 'SELECT')"
        ).fetchall()
        kinds = tx.execute("SELECT kind AS shown FROM crm_sync.job_kind WHERE crm_may_ask").fetchall()
    codes = re.findall(r"ERRCODE = '(CS\d+)'", (ROOT / "worker/store/migrations/0001_first.sql").read_text())
    in_functions = documented("sql.md", "Functions")
    assert {each for each in in_functions if "(" in each} == {row["shown"] for row in functions}
    assert {each for each in in_functions if "(" not in each} == set(codes)
    assert set(documented("sql.md", "Kinds of jobs")) == {row["shown"] for row in kinds}
    assert set(documented("sql.md", "Tables that may be read")) == {row["shown"] for row in tables}


def test_every_page_links_to_pages_that_exist() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+?)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def those_in(path: Path) -> set[str]:
    """The names of a module's tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_the_fault_matrix_names_exists_and_no_case_is_left_out() -> None:
    page = (ROOT / "docs" / "explanation" / "faults.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 100
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert not name or name in those_in(ROOT / path), f"{path}::{name}"
    cases = re.findall(r"^\| (\d+) \|.*\|$", page, re.MULTILINE)
    assert cases == [str(number) for number in range(1, 55)]
    for line in page.splitlines():
        if re.match(r"\| \d", line):
            assert "tests/" in line or "*Later:*" in line or "below" in line, f"a case with no test: {line[:40]}"


COMMANDS = dict(every_command(typer.main.get_command(app), ("crm-sync",)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_ends_with_an_example_of_it(path: tuple[str, ...]) -> None:
    lines = inspect.cleandoc(COMMANDS[path].help or "").splitlines()
    assert lines[-1].startswith("Example: ")
    assert " ".join(path) in lines[-1]


def test_the_exit_codes_of_the_help_are_those_that_there_are() -> None:
    told = [int(code) for code in re.findall(r"\d+", EPILOG)]
    assert told == [code.value for code in Exit if code is not Exit.INTERRUPTED]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_and_one_reason_of_its_own(kind: type[CrmSyncError]) -> None:
    assert exit_code_of(kind("text")) in Exit
    assert exit_code_of(kind("text")) is not Exit.OK
    assert [other for other in every_error() if other.reason == kind.reason] == [kind]


def test_the_help_comes_without_waiting_for_what_a_command_needs() -> None:
    code = "import sys, worker.cli.main; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"psycopg", "pydantic", "dramatiq", "redis", "httpx", "googleapiclient", "cryptography", "msgspec"}
    assert set(done.stdout.split()) & heavy == set()

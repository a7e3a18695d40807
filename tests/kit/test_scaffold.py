"""`crm-sync connector new`, and the way of docs/how-to/write-a-connector.md from there to gold, gone step by step."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.kit.packages import COMMAND, variables
from tests.kit.test_example import install
from worker.connectors.contract import Session
from worker.errors import BadRequest
from worker.kit.scaffold import FILES, write_package

HOW_TO = ROOT / "docs" / "how-to" / "write-a-connector.md"


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], env=variables(folder), cwd=folder, capture_output=True, text=True, check=False,
        timeout=500,
    )  # fmt: skip


def changes_of_the_how_to() -> list[tuple[str, str]]:
    """What its fifth step says to replace, and by what."""
    step = HOW_TO.read_text().partition("## 5.")[2].partition("## 6.")[0]
    blocks = re.findall(r"```python\n(.*?)```", step, re.DOTALL)
    return list(zip(blocks[::2], blocks[1::2], strict=True))


def to_gold(connector: Path) -> None:
    """Go the fifth step."""
    text = connector.read_text()
    for old, new in changes_of_the_how_to():
        assert text.count(old) == 1, f"the how-to names what stands {text.count(old)} times in the file:\n{old}"
        text = text.replace(old, new)
    connector.write_text(text)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pebble` as the scaffold wrote it and `pebble_two` as the how-to leaves it, both installed by pip."""
    place, folder = tmp_path_factory.mktemp("written"), tmp_path_factory.mktemp("installed")
    told = run(place, "connector", "new", "pebble", "--into", "..", "--json")
    written = Path(json.loads(told.stdout)["folder"])
    install(place / written, folder)
    second = write_package("pebble_two", place)
    to_gold(second / "crm_sync_pebble_two" / "connector.py")
    install(second, folder)
    return folder


def test_the_packages_own_tests_pass_before_and_after(installed: Path, tmp_path: Path) -> None:
    for name in ("pebble", "pebble_two"):
        write_package(name, tmp_path)
        tests = tmp_path / f"crm-sync-{name.replace('_', '-')}" / "tests"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
            env=variables(installed), cwd=installed, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_what_is_written_meets_our_own_rules(installed: Path) -> None:
    for name in ("pebble", "pebble_two"):
        ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), f"crm_sync_{name}"]
        mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(installed / "cache"), "-p"]
        for command, place in ((ruff, installed), ([*mypy, f"crm_sync_{name}"], ROOT)):
            done = subprocess.run(
                command, cwd=place, env={**variables(installed), "MYPYPATH": str(installed)}, capture_output=True,
                text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_found_with_its_facts_and_no_word_of_the_template_is_left(installed: Path) -> None:
    (facts,) = json.loads(run(installed, "connectors", "pebble", "--json").stdout)
    assert (facts["title"], facts["package"]) == ("Pebble", "crm-sync-pebble")
    for path in (installed / "crm_sync_pebble_two").rglob("*.*"):
        if path.suffix in {".py", ".toml"}:
            assert not re.search("newname|tidepool|TODAY", path.read_text(), re.IGNORECASE), path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_scaffold_reaches_silver_untouched_and_gold_by_the_how_to(installed: Path) -> None:
    done = run(installed, "connector", "check", "pebble", "pebble_two", "--at-least", "silver", "--json")
    assert done.stdout, done.stderr
    first, second = json.loads(done.stdout)
    assert done.returncode == 0
    assert (first["grade"], len(first["missing"])) == ("silver", 1), first["missing"]
    assert first["missing"][0].startswith("contacts: malformed_record")
    assert second["grade"] in {"gold", "platinum"}, second["missing"]


@pytest.mark.parametrize(
    "name", ["Pebble", "7pebble", "pebble-two", "", "a", "gmail", "p" * 40, "../up", "two_", "a__b"]
)
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        write_package(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["today", "newname_two"])
def test_a_name_may_hold_a_word_of_the_template(tmp_path: Path, name: str) -> None:
    folder = write_package(name, tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == folder.name
    assert f"CRM_SYNC_{name.upper()}_" in (folder / "README.md").read_text()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "crm-sync-pebble"
    mine.mkdir()
    done = run(tmp_path, "connector", "new", "pebble")
    assert (done.returncode, "left as it is" in done.stderr) == (4, True)
    assert not list(mine.iterdir())


def test_every_file_of_the_template_is_written() -> None:
    assert {path.name for path in (ROOT / "worker/kit/template").iterdir()} == set(FILES.values())


def test_the_how_to_shows_the_commands_that_there_are() -> None:
    commands = re.findall(r"^    crm-sync (connectors?(?: new| check)?)", HOW_TO.read_text(), re.MULTILINE)
    assert {"connectors", "connector new", "connector check"} <= set(commands)


def test_the_how_to_shows_all_that_a_session_gives() -> None:
    shown = re.findall(r"^\| `(\w+)` \|", HOW_TO.read_text().partition("| of the session |")[2], re.MULTILINE)
    assert set(shown) == {name for name in vars(Session) if not name.startswith("_")}

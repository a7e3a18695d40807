"""The example of a third party's package: installed by pip, found, graded, and its own tests run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.kit.packages import COMMAND, variables

EXAMPLE = ROOT / "examples" / "crm-sync-tidepool"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it, in a folder of its own; nothing comes from the network."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / EXAMPLE.name
    copy(EXAMPLE, source)
    install(source, folder)
    return folder


def copy(package: Path, to: Path) -> None:
    """Without what a build leaves behind."""
    for path in package.rglob("*"):
        if path.is_file() and not {"build", "__pycache__"} & set(path.parts) and ".egg-info" not in str(path):
            target = to / path.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def install(source: Path, folder: Path) -> None:
    """`pip install`, offline and without dependencies."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(folder), str(source)], check=True, timeout=120)


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], env=variables(folder), cwd=folder, capture_output=True, text=True, check=False,
        timeout=500,
    )  # fmt: skip


def test_the_example_is_found_with_its_facts(installed: Path) -> None:
    (facts,) = json.loads(run(installed, "connectors", "tidepool", "--json").stdout)
    assert (facts["package"], facts["version"]) == ("crm-sync-tidepool", "1.0.0")
    assert [stream["stream"] for stream in facts["streams"]] == ["profile", "contacts"]
    assert "CRM_SYNC_TIDEPOOL_CLIENT_SECRET" in facts["settings"]


def test_the_examples_own_tests_pass(installed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")],
        env={**variables(installed), "PYTHONDONTWRITEBYTECODE": "1"}, cwd=installed, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_example_meets_our_own_rules() -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "-p", "crm_sync_tidepool"]
    environment = {**os.environ, "MYPYPATH": str(EXAMPLE)}
    done = subprocess.run(mypy, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_reaches_platinum(installed: Path) -> None:
    done = run(installed, "connector", "check", "tidepool", "--at-least", "platinum", "--json")
    assert done.stdout, done.stderr
    (report,) = json.loads(done.stdout)
    assert (done.returncode, report["grade"]) == (0, "platinum"), report["missing"]

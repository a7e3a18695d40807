"""Every connector of ours reaches gold in the conformance suite; and how the command speaks."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.kit.packages import COMMAND, variables
from worker.connectors import registry

TRIED = ("gmail", "outlook", "google_ads")
"""Connectors whose provider is simulated."""


def check(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, "connector", "check", *arguments],
        env=variables(), cwd=folder, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TRIED)
def test_our_own_connectors_reach_gold(name: str, tmp_path: Path) -> None:
    done = check(tmp_path, name, "--at-least", "gold", "--json")
    assert done.stdout, done.stderr
    (report,) = json.loads(done.stdout)
    assert (done.returncode, report["grade"] in {"gold", "platinum"}) == (0, True), report["missing"]
    streams = {stream.name for stream in registry.load(name).streams}
    assert {result["stream"] for result in report["results"]} == streams
    assert all(result["why"] for result in report["results"] if result["verdict"] == "not_applicable")


def test_a_part_of_a_check_has_no_grade_and_is_told_to_people(tmp_path: Path) -> None:
    done = check(tmp_path, "gmail", "--stream", "profile", "--case", "first_pass", "--case", "duplicates")
    assert done.returncode == 0, done.stderr
    assert "first_pass" in done.stdout
    assert "the stream is one record" in done.stderr
    assert "No grade: not everything was tried." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["fig"], 4, "There is no connector «fig»"),
        (["gmail", "--stream", "letters"], 4, "has no stream «letters»"),
        (["gmail", "--case", "luck"], 4, "There is no case «luck»"),
        (["gmail", "--at-least", "wood"], 4, "There is no grade «wood»"),
    ],
)
def test_what_cannot_be_checked_is_said_before_anything_starts(
    tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    done = check(tmp_path, *arguments)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr

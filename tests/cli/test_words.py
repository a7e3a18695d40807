"""What commands show and what they take by name, apart from any server."""

import re

import pytest

from tests.conftest import ROOT
from worker.cli.speech import Speech, shown
from worker.store.jobs_view import FINISHED, GIVEN_UP, STATES


def test_foreign_text_cannot_steer_a_terminal_and_says_what_was_in_it() -> None:
    assert shown("a\x1b[2J\u202eb\nc") == r"a\x1b[2J\u202eb\nc"


def test_nothing_at_all_is_shown_as_a_dash() -> None:
    assert {shown(nothing) for nothing in (None, [], (), {})} == {"-"}


def test_facts_within_facts_are_told_below_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    emails = [{"value": "a@b.example", "type": "work"}, {"value": "c@d.example", "type": None}]
    Speech().facts({"key": "7f", "body": {"given_name": "Nova", "emails": emails, "user_defined": {}}})
    assert capsys.readouterr().out.splitlines() == [
        "key  7f",
        "body",
        "  given name    Nova",
        "  emails        value a@b.example, type work; value c@d.example, type -",
        "  user defined  -",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_word_of_a_table_is_broken_however_narrow_the_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = {"connection_id": "0" * 36, "state": "disconnected", "purposes": ["calendar", "contacts", "mail"]}
    Speech().table("Connections", ["connection_id", "state", "purposes"], [row])
    printed = capsys.readouterr().out.split()
    assert {"0" * 36, "disconnected", "purposes", "calendar,", "contacts,", "mail"} <= set(printed)


def test_job_states_are_those_of_the_schema() -> None:
    schema = (ROOT / "worker/store/migrations/0001_first.sql").read_text(encoding="utf-8")
    listed = re.search(r"job_state_is_known\s+CHECK \(state IN \((.*?)\)\)", schema, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"'(\w+)'", listed[1])) == STATES
    assert set(STATES) >= FINISHED >= set(GIVEN_UP)

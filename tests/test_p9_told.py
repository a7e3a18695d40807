"""P9 as people meet it: rules that a workspace sets, what is held by which rule, and why one record is here or not."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import make_settings
from tests.sync.conftest import bench as _bench
from tests.sync.conftest import keys as _keys
from tests.sync.one_connection import OneConnection
from tests.sync.retained import DAY, has_rule, is_planned, is_swept, lives, time_passes
from tests.sync.scripted import World, world_of
from worker.cli.retention import absent, explained
from worker.client import Client
from worker.errors import BadRequest
from worker.settings import Role
from worker.store import retention
from worker.store.database import Database

bench, keys = _bench, _keys
Make = Callable[[World], OneConnection]


@pytest.fixture
def one(bench: Make, owner_db: Database) -> OneConnection:
    made = bench(world_of(3))
    made.provider = has_rule(made, owner_db, 400 * DAY)  # type: ignore[attr-defined]
    made.sync()
    return made


@pytest.fixture
def crm(one: OneConnection, database_urls: dict[Role, str]) -> Iterator[Client]:
    with Client(database_urls[Role.CRM], workspace=one.workspace, actor="user:7", reason="a test") as client:
        yield client


def test_p9_a_rule_that_the_crm_sets_is_told_counts_and_is_taken_back(
    one: OneConnection, crm: Client, owner_db: Database
) -> None:
    provider: str = one.provider  # type: ignore[attr-defined]
    assert crm.set_retention(provider, "contact", 30 * DAY) == "fetched"
    rules = [(row["kind"], row["max_age"], row["policy_max_age"], row["set_by"]) for row in crm.retention_rules()]
    assert rules == [("contact", 30 * DAY, 400 * DAY, "user:7")]
    is_planned(one)
    report = crm.retention_report()
    assert [(row["kind"], row["held"], row["rule"], row["source"]) for row in report] == [
        ("contact", 3, "workspace", "https://a.example")
    ]
    assert crm.unset_retention(provider, "contact")
    assert not crm.unset_retention(provider, "contact")
    is_planned(one)
    assert {row["rule"] for row in lives(one, owner_db)} == {"policy"}


@pytest.mark.parametrize(("kind", "age", "counted"), [
    ("spaceship", DAY, None), ("contact", timedelta(minutes=1), None), ("contact", DAY, "birth"),
    ("contact", 40_000 * DAY, None),
])  # fmt: skip
def test_a_rule_that_cannot_be_is_refused(
    one: OneConnection, crm: Client, kind: str, age: timedelta, counted: str | None
) -> None:
    with pytest.raises(BadRequest):
        crm.set_retention(one.provider, kind, age, counted_from=counted)  # type: ignore[attr-defined]
    assert crm.retention_rules() == []


def test_p9_mails_count_by_their_own_date_unless_one_says_otherwise(crm: Client) -> None:
    assert crm.set_retention("gmail", "message", 730 * DAY) == "record_date"
    assert crm.set_retention("gmail", "message", 730 * DAY, counted_from="fetched") == "fetched"


def test_p9_why_tells_rule_source_and_dates_and_nothing_of_the_person(
    one: OneConnection, crm: Client, owner_db: Database
) -> None:
    key = min(one.names()).hex()
    crm.set_retention(one.provider, "contact", 30 * DAY)  # type: ignore[attr-defined]
    is_planned(one)
    found, heard = crm.why(key)
    assert heard is None
    text = "\n".join(explained(found[0]))
    for part in ("at most 400 days", "at most 30 days", "https://a.example", "user:7", "policy version v1", "contacts"):
        assert part in text
    assert "by the workspace's rule" in text
    assert "Person" not in text
    assert "@" not in text.replace("https://a.example", "")


def test_p9_why_tells_what_became_of_a_record_that_is_not_here(
    one: OneConnection, crm: Client, owner_db: Database, worker_db: Database
) -> None:
    key = min(one.names()).hex()
    assert "it never was" in absent(crm.why("00" * 16)[1])
    time_passes(one, owner_db, 500 * DAY)
    found, heard = crm.why(key)
    assert found == []
    assert "the sweep will come" in absent(heard)
    with worker_db.transaction(one.workspace) as tx:
        assert retention.count_due(tx, one.workspace) == {(one.provider, "contact"): 3}  # type: ignore[attr-defined]
    assert crm.retention_report() == []
    is_swept(one)
    assert "its time was over, by the provider's rule" in absent(crm.why(key)[1])
    with pytest.raises(BadRequest):
        crm.why("no key")


def test_the_commands_speak_of_it(
    one: OneConnection, database_urls: dict[Role, str], redis_url: str, keyrings: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from typer.testing import CliRunner

    from tests.conftest import environment_of
    from worker.cli.main import app

    for name, value in environment_of(make_settings(database_urls, redis_url, keyrings, tmp_path)).items():
        monkeypatch.setenv(name, value)
    key = min(one.names()).hex()
    provider: str = one.provider  # type: ignore[attr-defined]
    for words, code, told in (
        (["retention", "set", provider, "contact", "30d"], 0, "30 days"),
        (["retention", "set", provider, "contact", "soon"], 4, ""),
        (["retention", "list", "--json"], 0, '"contact"'),
        (["retention", "report", "--json"], 0, '"due": 0'),
        (["why", key], 0, "Its purpose"),
        (["why", key, "--json"], 0, '"here"'),
        (["retention", "unset", provider, "contact"], 0, "contact"),
        (["retention", "unset", provider, "contact"], 4, ""),
    ):
        result = CliRunner().invoke(app, [*words, "-w", one.workspace])
        assert result.exit_code == code, (words, result.output)
        assert told in result.output

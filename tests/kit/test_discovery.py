"""Connectors of third parties: found by entry point, shown with their facts, named when they do not work."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.packages import COMMAND, install, variables
from worker import settings as settings_module
from worker.connectors.contract import Facts, Option
from worker.errors import Misconfigured
from worker.jobs.endpoints import Endpoints
from worker.jobs.sync_stream import options_of
from worker.privacy.retention import Retention
from worker.settings import Settings
from worker.transport.client import Transport

GOOD = """
from dataclasses import replace
from worker.connectors.gmail import CONNECTOR as GOOGLE
from worker.connectors.contract import Connector
CONNECTOR = Connector(facts=replace(GOOGLE.facts, name="{name}", title="Made elsewhere"), streams=GOOGLE.streams)
"""
GROUP = "crm_sync.connectors"
NO_RULES = Retention(datetime(2026, 11, 26, tzinfo=UTC))


def run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], env=variables(folder), cwd=folder, capture_output=True, text=True, check=False
    )


def entry_of(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in found if entry["connector"] == name)


def test_a_connector_of_a_third_party_is_listed_with_its_package_and_its_facts(tmp_path: Path) -> None:
    install(tmp_path, "crm-sync-fig", {"fig": GOOD.format(name="fig")}, {GROUP: {"fig": "fig:CONNECTOR"}})
    done = run("connectors", "--json", folder=tmp_path)
    fig = entry_of(json.loads(done.stdout), "fig")
    assert (fig["package"], fig["version"], fig["title"]) == ("crm-sync-fig", "0.1", "Made elsewhere")
    assert {stream["stream"] for stream in fig["streams"]} == {"profile", "contacts", "events", "messages"}
    shown = run("connectors", "fig", folder=tmp_path)
    assert shown.returncode == 0
    assert "Made elsewhere" in shown.stdout


@pytest.mark.parametrize(
    ("modules", "value", "told"),
    [
        ({"bad": "import nothing_of_this_name"}, "bad:CONNECTOR", "ModuleNotFoundError"),
        ({"bad": "raise SystemError('half installed')"}, "bad:CONNECTOR", "half installed"),
        ({"bad": "CONNECTOR = 7"}, "bad:CONNECTOR", "leads to no connector named «bad»"),
        ({"bad": GOOD.format(name="other")}, "bad:CONNECTOR", "leads to no connector named «bad»"),
        ({}, "gone:CONNECTOR", "ModuleNotFoundError"),
    ],
    ids=["its import fails", "its module raises", "it is something else", "it has another name", "it is not there"],
)
def test_a_broken_package_is_named_and_takes_nothing_else_down(
    tmp_path: Path, modules: dict[str, str], value: str, told: str
) -> None:
    install(tmp_path, "crm-sync-bad", modules, {GROUP: {"bad": value}})
    done = run("connectors", "--json", folder=tmp_path)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert told in entry_of(found, "bad")["problem"]
    assert "crm-sync-bad" in entry_of(found, "bad")["problem"]
    assert "streams" in entry_of(found, "gmail")
    spoken = run("connectors", folder=tmp_path)
    assert "crm-sync-bad" in spoken.stderr
    alone = run("connectors", "bad", folder=tmp_path)
    assert (alone.returncode, "Traceback" in alone.stderr) == (3, False)


def test_two_packages_with_one_name_are_both_named_and_neither_is_used(tmp_path: Path) -> None:
    install(tmp_path, "crm-sync-a", {"a": GOOD.format(name="fig")}, {GROUP: {"fig": "a:CONNECTOR"}})
    install(tmp_path, "crm-sync-b", {"b": GOOD.format(name="fig")}, {GROUP: {"fig": "b:CONNECTOR"}})
    done = run("connectors", "fig", folder=tmp_path)
    assert done.returncode == 3
    assert "crm-sync-a" in done.stderr
    assert "crm-sync-b" in done.stderr


def test_ours_are_ours_whatever_is_installed_beside_them() -> None:
    from worker.connectors import registry

    assert "gmail" in registry.names(ours_only=True)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a deployment that uses a connector of family `fig`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CRM_SYNC_FIG_CLIENT_ID=from-a-file\nCRM_SYNC_FIG_PAGE=7\n")
    monkeypatch.setenv("CRM_SYNC_FIG_CLIENT_SECRET", "hush-hush")
    return settings_module.load(mode="development")


def facts(**changes: Any) -> Facts:
    from dataclasses import replace

    from worker.connectors.gmail import FACTS

    return replace(FACTS, name="fig", family="fig", **changes)


def test_settings_of_a_third_party_come_by_environment_and_are_secret(foreign: Settings) -> None:
    client = Endpoints(foreign, Transport()).client(facts())
    assert (client.client_id, client.client_secret.reveal()) == ("from-a-file", "hush-hush")
    assert "hush-hush" not in repr(foreign)
    assert foreign.as_variables()["CRM_SYNC_FIG_CLIENT_SECRET"] == "hush-hush"
    again = Settings.model_validate({"mode": "development", "fig_page": "9"})
    assert again.own("fig_page", 1) == 9


def test_an_option_of_a_third_party_is_read_as_its_default_is(foreign: Settings) -> None:
    options = (Option("page", "fig_page", 20), Option("colour", "fig_colour", "red"), Option("none", "fig_none"))
    assert options_of(facts(options=options), foreign, NO_RULES) == {"page": 7, "colour": "red"}
    wrong = foreign.model_validate({"mode": "development", "fig_page": "many"})
    with pytest.raises(Misconfigured, match="CRM_SYNC_FIG_PAGE must be a whole number"):
        options_of(facts(options=options), wrong, NO_RULES)

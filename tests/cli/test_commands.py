"""Every command as a person or a script meets it: JSON that parses, messages that help, documented exit codes."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.client import Simulator
from tests.conftest import ROOT
from worker import embedded

Run = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "worker.cli.main"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own, in which the first command starts the embedded servers."""
    folder = tmp_path_factory.mktemp("place")
    yield folder
    embedded.remove(folder / ".crm-sync" / "servers", force=True)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator.start(people=25, accounts=6, quota_scale=10_000) as running:
        yield running


@pytest.fixture(scope="module")
def variables(simulator: Simulator) -> dict[str, str]:
    """The environment of somebody who develops against the simulator."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        redirect = f"http://localhost:{probe.getsockname()[1]}/callback"
    simulator.control("oauth", {"register_redirects": [redirect]})
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        "CRM_SYNC_PROVIDER_ROUTE": simulator.url,
        "CRM_SYNC_QUOTA_SCALE": "10000",
        "CRM_SYNC_REDIRECT_URI": redirect,
        "CRM_SYNC_GOOGLE_CLIENT_ID": simulator.facts["client_id"],
        "CRM_SYNC_GOOGLE_CLIENT_SECRET": simulator.facts["client_secret"],
        "CRM_SYNC_LEASE_S": "5",
        "CRM_SYNC_SHUTDOWN_S": "2",
    }


@pytest.fixture(scope="module")
def run(place: Path, variables: dict[str, str]) -> Run:
    def run(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        environment = {**variables, **changes}
        return subprocess.run(
            [*COMMAND, *arguments], cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture(scope="module")
def up(place: Path, variables: dict[str, str], run: Run) -> Iterator["subprocess.Popen[str]"]:
    """`crm-sync up`, with a tenant."""
    process = subprocess.Popen(
        [*COMMAND, "up"], cwd=place, env=variables, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run("workspaces", "add", "acme", "--region", "TH").returncode == 0
    for _ in range(30):
        if run("doctor", "--json").returncode == 0:
            break
    yield process
    process.terminate()
    said = process.communicate(timeout=30)
    assert process.returncode == 0, said


def read(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def connection(up: object, run: Run, simulator: Simulator) -> str:
    del up
    asked = ["connect", "gmail", "-w", "acme", "--purposes", "contacts", "--policy-version", "1", "--agreed-by", "u1"]
    outcome = read(run(*asked, "--yes", "--account", simulator.facts["accounts"][0], "--json"))
    assert outcome["streams"]["contacts"] == "active"
    return str(outcome["connection_id"])


def test_a_sync_is_waited_for_and_counted(run: Run, connection: str) -> None:
    jobs = read(run("sync", connection, "-w", "acme", "--stream", "contacts", "--full", "--json"))
    assert [job["state"] for job in jobs] == ["done"]
    listed = read(run("connections", "-w", "acme", "--json"))
    held = {stream["stream"]: stream["held"] for stream in listed[0]["streams"]}
    assert held["contacts"] == {"contact": 25}
    told = run("sync", connection, "-w", "acme", "--stream", "contacts")
    assert "this run of contacts: nothing new" in told.stderr


def test_records_are_shown_by_name_only_and_the_feed_shows_none(
    run: Run, connection: str, simulator: Simulator
) -> None:
    read(run("sync", connection, "-w", "acme", "--json"))
    person = next(
        each
        for each in simulator.truth(simulator.facts["accounts"][0], "contacts")
        if each["emails"] and each["display_name"]
    )
    address = person["emails"][0]["value"]
    feed = run("feed", "-w", "acme", "--limit", "1000", "--json")
    assert person["display_name"] not in feed.stdout
    found = read(run("records", "search", "-w", "acme", "--email", address.upper(), "--reason", "a test", "--json"))
    assert person["display_name"] in {record["body"]["display_name"] for record in found}
    key = next(record["key"] for record in found if record["connection_id"] == connection)
    shown = read(run("records", "show", connection, "contacts", key, "-w", "acme", "--reason", "a test", "--json"))
    assert shown["key"] == key


@pytest.mark.parametrize(
    "arguments",
    [
        ("workspaces", "list"),
        ("connectors",),
        ("connections", "-w", "acme"),
        ("jobs", "-w", "acme"),
        ("dead", "list", "-w", "acme"),
        ("deletions", "list", "-w", "acme"),
        ("receipts", "-w", "acme"),
        ("feed", "-w", "acme"),
        ("records", "list", "-w", "acme"),
        ("keys", "status"),
        ("migrate",),
        ("doctor",),
    ],
)
def test_every_command_speaks_json_and_to_people(run: Run, connection: str, arguments: tuple[str, ...]) -> None:
    del connection
    read(run(*arguments, "--json"))
    spoken = run(*arguments)
    assert spoken.returncode == 0
    assert spoken.stdout or spoken.stderr


def test_a_person_is_shown_the_consent_page_and_waited_for(
    up: object, place: Path, variables: dict[str, str], simulator: Simulator
) -> None:
    del up
    asked = ["connect", "gmail", "-w", "acme", "--purposes", "contacts", "--policy-version", "1", "--agreed-by", "u1"]
    mine = {"COLUMNS": "40", "CRM_SYNC_REDIRECT_URI": "http://localhost:1/not/the/workers", "BROWSER": "true %s"}
    process = subprocess.Popen(
        [*COMMAND, *asked, "--json"],
        cwd=place, env={**variables, **mine},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stderr is not None
            shown = next(line.strip() for line in process.stderr if line.strip().startswith("http"))
            back = simulator.consent(shown, simulator.facts["accounts"][2])
            assert back.startswith(variables["CRM_SYNC_REDIRECT_URI"])
            with urllib.request.urlopen(back) as page:
                assert page.status == 200
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["streams"]["contacts"] == "active"


REFUSED = {
    "unknown workspace": (("connections", "-w", "nobody"), 4, "workspaces add nobody"),
    "malformed workspace": (("workspaces", "add", "no spaces"), 4, ""),
    "no connection id": (("sync", "xyz", "-w", "acme"), 4, "crm-sync connections"),
    "unknown connection": (("sync", "00000000-0000-0000-0000-000000000000", "-w", "acme"), 4, "crm-sync connections"),
    "unknown job": (("dead", "show", "999999", "-w", "acme"), 4, "crm-sync jobs"),
    "unknown hold": (("deletions", "approve", "999999", "-w", "acme"), 4, "crm-sync deletions list"),
    "unknown pool": (("worker", "--pool", "deep"), 4, "interactive"),
    "unknown command": (("dance",), 2, "No such command"),
    "missing option": (("connections",), 2, "--workspace"),
    "malformed argument": (("dead", "show", "x", "-w", "acme"), 2, "integer"),
    "unknown job state": (
        ("jobs", "-w", "acme", "--state", "done,funny"),
        4,
        "no job state «funny». There are: parked",
    ),
    "no number": (("records", "search", "-w", "acme", "--phone", "x", "--reason", "r"), 4, "too few digits"),
    "empty address": (("records", "search", "-w", "acme", "--email", "", "--reason", "r"), 4, "nothing to search by"),
    "sync in no workspace": (("sync", "0" * 32, "-w", "nobody"), 4, "crm-sync workspaces add nobody"),
    "neither address nor number": (("records", "search", "-w", "acme", "--reason", "r"), 4, "one of the two"),
}


@pytest.mark.parametrize(("arguments", "code", "help_text"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_gets_one_clear_message(
    run: Run, connection: str, arguments: tuple[str, ...], code: int, help_text: str
) -> None:
    del connection
    done = run(*arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert help_text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_unknown_provider_purpose_or_stream_is_told_with_those_that_exist(run: Run, connection: str) -> None:
    more = ["-w", "acme", "--policy-version", "1", "--agreed-by", "u1", "--yes"]
    provider = run("connect", "nonesuch", "--purposes", "contacts", *more)
    purpose = run("connect", "gmail", "--purposes", "spying", *more)
    stream = run("sync", connection, "-w", "acme", "--stream", "dreams")
    assert (provider.returncode, purpose.returncode, stream.returncode) == (4, 4, 4)
    assert "gmail" in provider.stderr
    assert "contacts" in purpose.stderr
    assert "contacts" in stream.stderr


def test_wrong_settings_are_told_all_together(run: Run) -> None:
    done = run("doctor", CRM_SYNC_QUOTA_SCALE="-1", CRM_SYNC_LEASE_S="x", CRM_SYNC_PROVIDER_ROUTE="http://example.com")
    assert done.returncode == 3
    for name in ("CRM_SYNC_QUOTA_SCALE", "CRM_SYNC_LEASE_S", "CRM_SYNC_PROVIDER_ROUTE"):
        assert name in done.stderr


def test_production_refuses_what_is_for_development(run: Run) -> None:
    done = run("doctor", CRM_SYNC_MODE="production")
    assert done.returncode == 3
    assert "CRM_SYNC_PROVIDER_ROUTE" in done.stderr
    assert "\n  CRM_SYNC_REDIS_URL is missing" in done.stderr, "each problem has a line of its own"


def test_a_database_that_is_down_is_told_as_such(run: Run) -> None:
    down = "postgresql://crm_sync_crm:x@127.0.0.1:9/none"
    done = run(
        "connections", "-w", "acme", CRM_SYNC_MODE="development", CRM_SYNC_DATABASE_URL_CRM=down,
        CRM_SYNC_REDIS_URL="redis://127.0.0.1:9/0",
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("Postgres cannot be reached")
    assert done.stderr.count("\n") == 1, "one message, whatever the pool has to say about each of its attempts"


def test_doctor_gives_the_cause_when_no_login_works_and_names_what_nothing_reads(run: Run) -> None:
    down = "postgresql://crm_sync:hidden@127.0.0.1:9/none"
    roles = ("", "_OWNER", "_SCHEDULER", "_CRM")
    done = run("doctor", "--json", CRM_SYNC_MODE="development", CRM_SYNC_THREDS="3",
               **{f"CRM_SYNC_DATABASE_URL{role}": down for role in roles})  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = {check["check"]: check["found"] for check in json.loads(done.stdout)["checks"]}
    assert len([text for text in found.values() if "Connection refused" in text]) == len(roles)
    assert found["settings"] == "unknown: CRM_SYNC_THREDS"
    assert "hidden" not in done.stdout


def test_a_database_without_our_schema_says_what_to_run(run: Run, place: Path, servers: embedded.Servers) -> None:
    del place
    url = servers.postgres_url
    done = run("connections", "-w", "acme", CRM_SYNC_MODE="development", CRM_SYNC_DATABASE_URL_CRM=url,
               CRM_SYNC_REDIS_URL=servers.redis_url)  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "crm-sync migrate" in done.stderr


def test_doctor_asks_of_a_host_only_the_logins_that_it_was_given(run: Run, servers: embedded.Servers) -> None:
    done = run("doctor", "--json", CRM_SYNC_MODE="development", CRM_SYNC_DATABASE_URL_OWNER=str(servers.postgres_url),
               CRM_SYNC_REDIS_URL=str(servers.redis_url))  # fmt: skip
    found = {check["check"]: (check["ok"], check["found"]) for check in json.loads(done.stdout)["checks"]}
    assert found["Postgres as owner"][0]
    assert {found[f"Postgres as {role}"] for role in ("worker", "scheduler", "crm")} == {(True, "not set here")}
    assert "workers" not in found, "nobody can look from here"


def test_a_keyring_that_is_missing_is_named(run: Run) -> None:
    done = run("keys", "status", CRM_SYNC_GRANT_KEYRING="/nowhere/grant.json")
    assert done.returncode == 3
    assert "CRM_SYNC_GRANT_KEYRING" in done.stderr


def test_keyrings_are_made_once_and_never_overwritten(run: Run, tmp_path: Path) -> None:
    made = read(run("keys", "init", "--folder", str(tmp_path), "--json"))
    before = {path: Path(path).read_text() for path in made.values()}
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in made.values())
    again = run("keys", "init", "--folder", str(tmp_path))
    assert again.returncode == 3
    told = run("keys", "init", "--folder", str(tmp_path / "others"))
    assert f"CRM_SYNC_GRANT_KEYRING={tmp_path}/others/grant-keyring.json\n" in told.stdout
    assert {path: Path(path).read_text() for path in made.values()} == before


def test_what_is_held_is_counted_for_one_tenant_or_for_each(run: Run, connection: str) -> None:
    del connection
    assert run("workspaces", "add", "empty").returncode == 0
    one = read(run("retention", "report", "-w", "acme", "--json"))
    assert {"acme"} == {row["workspace_id"] for row in one}
    assert read(run("retention", "report", "--all", "--json")) == one
    neither = run("retention", "report")
    assert (neither.returncode, "--all" in neither.stderr) == (2, True)


def test_an_error_with_json_is_json_too(run: Run) -> None:
    done = run("connections", "-w", "nobody", "--json")
    assert json.loads(done.stderr) | {"message": ""} == {"error": "not_found", "message": "", "exit_code": 4}


def test_help_ends_with_an_example(run: Run) -> None:
    for name in ("connect", "sync", "disconnect", "feed", "jobs", "doctor", "up", "demo"):
        assert f"Example: crm-sync {name}" in " ".join(run(name, "--help").stdout.split()), name


def test_a_disconnect_ends_with_its_receipts(run: Run, up: object, simulator: Simulator) -> None:
    del up
    asked = ["connect", "gmail", "-w", "acme", "--purposes", "contacts", "--policy-version", "1", "--agreed-by", "u1"]
    outcome = read(run(*asked, "--yes", "--account", simulator.facts["accounts"][1], "--json"))
    done = read(run("disconnect", outcome["connection_id"], "-w", "acme", "--delete-data", "--json"))
    assert [receipt["kind"] for receipt in done] == ["disconnect", "deletion"]
    again = run("disconnect", outcome["connection_id"], "-w", "acme", "--delete-data")
    names = [line.partition("  ")[0] for line in again.stdout.splitlines()]
    assert names[:2] == ["provider", "connection id"]
    assert names[-1] == "confirmation code"

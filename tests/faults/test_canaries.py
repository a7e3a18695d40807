"""P3 and matrix 49: canaries are put in all secret and personal places, and then searched for everywhere else.

Everywhere: each command that passes through Redis, each column of each table, the log of every process, Postgres' own
log, what processes show of themselves in /proc. The search is held to find what does stand there.
"""

import base64
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

import msgspec
import psycopg
import pytest
import redis

from tests.conftest import environment_of
from tests.deployment import Deployment
from worker import embedded
from worker.settings import Role, Settings
from worker.store.database import Database
from worker.vault.grants import Grants
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

ENVIRONMENT_MAY_HOLD = {"client secret"}
"""Settings come by environment (the README says so); nothing of an account ever does."""


class Monitor:
    """Everything that is said to Redis, as Redis itself tells it."""

    def __init__(self, url: str) -> None:
        # Without a time-out: for as long as nobody says anything to Redis there is nothing to hear.
        self._client = redis.Redis.from_url(url, socket_timeout=None)
        self.heard: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with self._client.monitor() as monitor:
            for command in monitor.listen():
                self.heard.append(str(command["command"]).encode())
                if self._stop.is_set():
                    return

    def end(self) -> bytes:
        self._stop.set()
        self._client.ping()
        self._thread.join(10)
        return b"\n".join(self.heard)


def forms(secret: str) -> set[bytes]:
    """How a text may stand somewhere: itself, escaped, in hex, in base64."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), raw.hex().encode(), secret.encode("unicode_escape")}
    found.add(secret.encode("ascii", "backslashreplace"))
    # Base64 at each of the three offsets, without the ends that depend on the neighbours.
    found |= {base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)}
    return {form.lower() for form in found if len(form) > 7}


def found_in(haystack: bytes, canaries: dict[str, set[str]]) -> set[str]:
    """The names of the canaries that stand there."""
    lowered = haystack.lower()
    return {name for name, texts in canaries.items() if any(form in lowered for text in texts for form in forms(text))}


def dump(url: str) -> dict[str, bytes]:
    """Every table's rows, as text and as the bytes of their binary columns."""
    found = {}
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'crm_sync'::regnamespace AND relkind = 'r'"
        ).fetchall()
        for (table,) in tables:
            columns = connection.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
                "WHERE attrelid = ('crm_sync.' || %s)::regclass AND attnum > 0 AND NOT attisdropped",
                [table],
            ).fetchall()
            parts = []
            for name, kind in columns:
                shown = name if kind == "bytea" else f"{name}::text"
                rows = connection.execute(f"SELECT {shown} FROM crm_sync.{table}").fetchall()  # type: ignore[arg-type]
                parts += [bytes(row[0]) if kind == "bytea" else row[0].encode() for row in rows if row[0] is not None]
            found[table] = b"\n".join(parts)
    return found


def personal(deployment: Deployment, accounts: list[str]) -> set[str]:
    """What the world's people are called and how they are reached."""
    texts: set[str] = set(accounts)
    for account in accounts:
        for person in deployment.simulator.truth(account, "contacts"):
            texts |= {person["display_name"]}
            texts |= {mail["value"] for mail in person["emails"]} | {phone["value"] for phone in person["phones"]}
    return {text for text in texts if text is not None and len(text) > 8}


@pytest.fixture
def deployment(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with Deployment.start(settings, tmp_path, workers=2, simulator={"people": 60, "accounts": 3}) as running:
        yield running


def tokens_of(deployment: Deployment, owner_db: Database, connection: UUID) -> dict[str, set[str]]:
    """What the vault holds for a connection, opened with both keyrings."""
    settings = deployment.settings
    assert settings.grant_keyring is not None
    assert settings.records_keyring is not None
    with Database(settings.database_url_of(Role.WORKER)) as database:
        keys = KeyStore(
            database,
            grant=Keyring.load(settings.grant_keyring.get_secret_value(), "grant"),
            records=Keyring.load(settings.records_keyring.get_secret_value(), "records"),
        )
        workspace = deployment.client.workspace
        grants = Grants(database, keys)
        held = grants.read(workspace, connection, keys.grant(workspace, connection))
    assert held is not None
    tokens = msgspec.structs.asdict(held.tokens)
    del owner_db
    return {"access token": {tokens["access_token"]}, "refresh token": {tokens["refresh_token"]}}


def verifiers_of(deployment: Deployment, owner_db: Database) -> set[str]:
    """Every PKCE verifier that was ever made, opened."""
    settings = deployment.settings
    assert settings.grant_keyring is not None
    workspace = deployment.client.workspace
    found = set()
    with owner_db.transaction() as tx:
        rows = tx.execute("SELECT request_id, connection_id, sealed_verifier FROM crm_sync.consent_request").fetchall()
    with Database(settings.database_url_of(Role.WORKER)) as database:
        keys = KeyStore(database, grant=Keyring.load(settings.grant_keyring.get_secret_value(), "grant"), records=None)
        for row in rows:
            key = keys.grant(workspace, row["connection_id"])
            opened = key.open("consent.verifier", row["request_id"].bytes, bytes(row["sealed_verifier"]))
            found.add(opened.decode())
    return found


def connected(deployment: Deployment, account: str) -> tuple[UUID, dict[str, set[str]]]:
    """A connection, and what passed by while it was made."""
    crm = deployment.client
    asked = deployment.wait(
        crm.connect_start("gmail", ["contacts"], policy_version="1", agreed_by="user:1", login_hint=account),
        open_outcome=True,
    )
    assert asked.private is not None
    authorize_url: str = asked.private["authorize_url"]
    back = deployment.simulator.consent(authorize_url, account)
    query = {name: set(values) for name, values in parse_qs(urlsplit(back).query).items()}
    done = deployment.wait(crm.connect_complete(back))
    assert done.outcome is not None
    challenge = set(parse_qs(urlsplit(authorize_url).query)["code_challenge"])
    return UUID(done.outcome["connection_id"]), {"code": query["code"], "state": query["state"], "challenge": challenge}


def troubled(deployment: Deployment, account: str, connection: UUID, canaries: dict[str, set[str]]) -> None:
    """All kinds of trouble, whose errors would like to tell: refusals that quote, breaks, a bug, a dead consent."""
    crm, simulator = deployment.client, deployment.simulator
    quoted = " ".join(sorted(canaries["access token"] | {account}))
    for fault in (
        {"status": 400, "body": {"error": {"code": 400, "message": quoted, "status": "INVALID_ARGUMENT"}}},
        {"status": 403, "body": {"text": quoted}},
        {"status": 500, "body": {"text": f"<html>{quoted}</html>"}},
        {"status": 302, "redirect": f"https://elsewhere.example/?access_token={quote(quoted)}"},
        {"status": 429, "retry_after": 1, "body": {"text": quoted}},
        {"half_body": True},
        {"body": {"text": f'{{"connections": [{{"names": "{quoted}"}}]}}'}},
        {"drop": True},
    ):
        simulator.fault(fault, path="connections", account=account, times=3)
        job = crm.sync(connection, "contacts", full=True)[0]
        deployment.until(lambda job=job: crm.job(job).finished or crm.job(job).state == "parked")
        simulator.clear_faults()
        with psycopg.connect(deployment.settings.database_url_of(Role.WORKER)) as worker:
            worker.execute("SELECT set_config('crm_sync.workspace', %s, true)", [crm.workspace])
            worker.execute("UPDATE crm_sync.job SET run_at = now() WHERE job_id = %s AND state = 'parked'", [job])
        deployment.wait(job)


@pytest.mark.slow
def test_p3_no_canary_leaves_its_cage(
    deployment: Deployment, owner_db: Database, servers: embedded.Servers, database_urls: dict[Role, str]
) -> None:
    settings, crm = deployment.settings, deployment.client
    assert settings.redis_url is not None
    assert settings.google_client_secret is not None
    monitor = Monitor(settings.redis_url.get_secret_value())
    accounts = deployment.accounts[:2]
    canaries: dict[str, set[str]] = {
        "client secret": {settings.google_client_secret.get_secret_value()},
        "personal data": personal(deployment, accounts),
    }
    assert len(canaries["personal data"]) > 150

    def note(more: dict[str, set[str]]) -> None:
        for name, texts in more.items():
            canaries[name] = canaries.get(name, set()) | texts

    deployment.wait(crm.enqueue("ping"))
    made = []
    for account in accounts:
        connection, passed_by = connected(deployment, account)
        made.append(connection)
        note(passed_by)
        deployment.sync(connection)
        note(tokens_of(deployment, owner_db, connection))
    note({"verifier": verifiers_of(deployment, owner_db)})
    troubled(deployment, accounts[0], made[0], canaries)
    deployment.simulator.control("oauth", {"expire_access_tokens": accounts[0]})
    deployment.sync(made[0], "contacts", full=True)
    note(tokens_of(deployment, owner_db, made[0]))
    assert crm.search(email=next(text for text in canaries["personal data"] if "@" in text)) is not None
    deployment.simulator.control("oauth", {"revoke_account": accounts[1]})
    deployment.wait(crm.sync(made[1], "contacts")[0])
    before_the_end = dump(database_urls[Role.OWNER])
    shown = {process.pid: proc(process.pid) for process in deployment.processes if process.poll() is None}
    deployment.wait(crm.disconnect(made[0], delete_data=True))
    said = monitor.end()

    assert {"access token", "refresh token", "code", "state", "verifier"} <= set(canaries)
    assert all(texts for texts in canaries.values())
    places: dict[str, bytes] = {"Redis": said}
    places |= {f"table {name}": text for name, text in before_the_end.items()}
    places |= {f"table {name} later": text for name, text in dump(database_urls[Role.OWNER]).items()}
    places |= {f"log {path.name}": path.read_bytes() for path in deployment.logs.glob("*.log")}
    places |= {f"log {path.name}": path.read_bytes() for path in Path(servers.folder).rglob("*.log")}
    places |= {f"arguments of {pid}": arguments for pid, (arguments, _) in shown.items()}
    assert {name: found for name, text in places.items() if (found := found_in(text, canaries))} == {}
    for pid, (_, environment) in shown.items():
        assert found_in(environment, canaries) <= ENVIRONMENT_MAY_HOLD, f"environment of {pid}"
    # The search would have found it: what does stand in these places is found there.
    known = {"workspace": {crm.workspace}, "connection": {str(made[1])}}
    assert found_in(said, known) == {"workspace"}
    assert found_in(before_the_end["connection"], known) == {"workspace", "connection"}
    assert found_in(b"".join(text for name, text in places.items() if "process-" in name), known) >= {"workspace"}
    assert found_in(environment_text(settings), canaries) == ENVIRONMENT_MAY_HOLD
    sealed = base64.b64encode(b"--" + next(iter(canaries["refresh token"])).encode() + b"--")
    assert found_in(sealed, canaries) == {"refresh token"}


def environment_text(settings: Settings) -> bytes:
    return "\n".join(environment_of(settings).values()).encode()


def proc(pid: int) -> tuple[bytes, bytes]:
    """What a process shows of itself: its arguments and its environment."""
    return Path(f"/proc/{pid}/cmdline").read_bytes(), Path(f"/proc/{pid}/environ").read_bytes()


def test_p3_a_bug_in_a_handler_tells_its_place_and_nothing_that_it_held(settings: Settings, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from worker import app, settings\n"
        "from worker.jobs.handler import Handler\n"
        "def run(context):\n"
        "    held = context.args['text']\n"
        "    if context.args['how'] == 'cause':\n"
        "        try:\n"
        "            int(held)\n"
        "        except ValueError as error:\n"
        "            raise RuntimeError(held) from error\n"
        "    raise KeyError(held, {'token': held})\n"
        "sys.exit(app.run_worker(settings.load(), handlers={'ping': Handler('ping', run, max_attempts=1)}))\n"
    )
    with Deployment.start(settings, tmp_path, workers=0) as deployment:
        deployment.spawn("-c", code)
        crm = deployment.client
        jobs = [crm.enqueue("ping", {"text": "CANARY 0812345678", "how": how}) for how in ("plain", "cause")]
        ended = [deployment.wait(job) for job in jobs]
        assert {(job.state, job.reason) for job in ended} == {("dead", "internal")}
        assert all("CANARY" not in f"{job.reason} {job.message} {job.outcome} {job.progress}" for job in ended)
        bugs = [f"job_id={job} " for job in jobs]
        deployment.until(lambda: all(_told_of_a_bug(deployment.log(), bug) for bug in bugs))
        time.sleep(0.2)
        assert "CANARY" not in deployment.log()
        assert "RuntimeError" in deployment.log()


def _told_of_a_bug(log: str, job: str) -> bool:
    return any("job.bug" in line and job in line for line in log.splitlines())


SETTINGS_THAT_ARE_WRONG: list[tuple[str, dict[str, str]]] = [
    ("doctor", {"CRM_SYNC_DATABASE_URL": "postgresql://worker:CANARY-1@127.0.0.1:9/x"}),
    ("doctor", {"CRM_SYNC_REDIS_URL": "redis://:CANARY-2@127.0.0.1:9/0"}),
    ("doctor", {"CRM_SYNC_GRANT_KEYRING": '{"keys": "CANARY-3"}'}),
    ("worker", {"CRM_SYNC_GRANT_KEYRING": '{"keys": "CANARY-3"}'}),
    ("worker", {"CRM_SYNC_GOOGLE_CLIENT_SECRET": "CANARY-4", "CRM_SYNC_LEASE_S": "CANARY-5"}),
    ("worker", {"CRM_SYNC_DATABASE_URL": "postgresql://worker:CANARY-6@127.0.0.1:x/x"}),
]


@pytest.mark.parametrize(("command", "wrong"), SETTINGS_THAT_ARE_WRONG)
def test_p3_what_is_wrong_with_a_setting_is_told_without_it(
    settings: Settings, tmp_path: Path, command: str, wrong: dict[str, str]
) -> None:
    module = ["worker.cli.main", "doctor"] if command == "doctor" else ["worker"]
    done = subprocess.run(
        [sys.executable, "-m", *module],
        env={**environment_of(settings), **wrong}, cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert b"CANARY" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr

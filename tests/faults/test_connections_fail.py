"""What may happen to a connection while it works, the whole way: refusals, nonsense, lost keys, moved seals, stops.

Fault matrix 6, 8, 26, 27, 31, 33, 43, 45 and 46, with the simulator's own log as the witness of what was asked.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from simulator.distort import KINDS
from tests.conftest import environment_of
from tests.deployment import Deployment
from worker.settings import Settings
from worker.store.database import Database
from worker.vault.keyring import Keyring

pytestmark = pytest.mark.slow
PEOPLE = 120


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    logs = tmp_path_factory.mktemp("logs")
    with Deployment.start(module_settings, logs, workers=2, simulator={"people": PEOPLE, "accounts": 40}) as running:
        running.next_account = iter(running.accounts)  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def account(deployment: Deployment) -> str:
    """An account that no other test uses."""
    return next(deployment.next_account)  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(autouse=True)
def _quiet_world(deployment: Deployment) -> Iterator[None]:
    yield
    deployment.simulator.clear_faults()


@pytest.fixture
def connection(deployment: Deployment, account: str) -> UUID:
    made = deployment.connect(account)
    deployment.sync(made)
    return made


def hurry(owner_db: Database, job: int) -> None:
    """Let a parked job run now."""
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.job SET run_at = now() WHERE job_id = %s AND state = 'parked'", [job])


def ends_in_truth(deployment: Deployment, account: str, connection: UUID) -> None:
    truth = deployment.simulator.truth(account, "contacts")
    held = deployment.held(connection, "contacts")
    assert sorted(each.display_name for each in held) == sorted(each["display_name"] for each in truth)
    assert len(held) == PEOPLE
    with_events = [change.event for change in deployment.client.feed(0, 100_000, open_records=False)
                   if change.connection_id == connection]  # fmt: skip
    assert "record.deleted" not in with_events, "nothing was ever taken for gone"
    assert deployment.client.connection(connection).state == "active"


# Refusals and nonsense.

HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ("40", 30, 70),
        ("in half an hour", 1200, 1860),
        ("315360000", HOUR_S - 60, HOUR_S + 120),
        ("Sat, 23 Nov 2086 12:00:00 GMT", HOUR_S - 60, HOUR_S + 120),
        ("Mon, 23 Nov 2020 12:00:00 GMT", 0, 90),
        ("-1; DROP", 0, 90),
        (None, 0, 90),
    ],
)
def test_a_refusal_parks_the_job_until_the_named_time_but_never_for_ever_and_is_no_dead_consent(
    deployment: Deployment,
    account: str,
    connection: UUID,
    owner_db: Database,
    header: str | None,
    least_s: float,
    most_s: float,
) -> None:
    if header == "in half an hour":  # A date is written when the test runs: collected, it would differ in each process.
        header = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)
    refusal: dict[str, Any] = {"status": 429} if header is None else {"status": 429, "retry_after": header}
    deployment.simulator.fault(refusal, path="connections", account=account, times=0)
    job = deployment.client.sync(connection, "contacts")[0]
    deployment.until(lambda: deployment.client.job(job).reason in {"throttled", "budget_spent"})
    parked = deployment.client.job(job)
    wait_s = (parked.run_at - datetime.now(UTC)).total_seconds()
    assert least_s - 5 <= wait_s <= most_s
    assert (parked.state, parked.attempt) == ("parked", 0)
    assert deployment.client.connection(connection).state == "active"
    with owner_db.transaction() as tx:
        tx.execute("DELETE FROM crm_sync.job WHERE job_id = %s", [job])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_page_that_is_malformed_deletes_nothing_and_the_next_pass_holds_the_truth(
    deployment: Deployment, account: str, connection: UUID, owner_db: Database, kind: str
) -> None:
    deployment.simulator.fault({"body": {"kind": kind}}, path="connections", account=account, times=1)
    job = deployment.client.sync(connection, "contacts", full=True)[0]
    deployment.until(lambda: deployment.client.job(job).finished or deployment.client.job(job).state == "parked")
    deployment.simulator.clear_faults()
    hurry(owner_db, job)
    deployment.wait(job)
    deployment.sync(connection, "contacts", full=True)
    ends_in_truth(deployment, account, connection)


@pytest.mark.parametrize(
    "fault",
    [
        {"body": {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}}},
        {"body": {"kind": "html"}},
        {"body": {}},
        {"body": {"connections": [], "totalPeople": 0}},
        {"status": 404, "body": {"kind": "html"}},
        {"status": 403, "body": {"text": "<html>log in to the hotel's network</html>"}},
        {"status": 204, "body": {"text": ""}},
    ],
    ids=["an error", "HTML", "nothing", "nobody", "404 of a proxy", "403 of a hotel", "204"],
)
def test_an_answer_that_is_none_is_never_taken_for_an_empty_address_book(
    deployment: Deployment, account: str, connection: UUID, owner_db: Database, fault: dict[str, Any]
) -> None:
    deployment.simulator.fault(fault, path="connections", account=account, times=0)
    job = deployment.client.sync(connection, "contacts", full=True)[0]
    deployment.until(lambda: deployment.client.job(job).state in {"parked", "failed", "dead"})
    assert not deployment.client.job(job).succeeded
    deployment.simulator.clear_faults()
    hurry(owner_db, job)
    deployment.wait(job)
    deployment.sync(connection, "contacts")
    ends_in_truth(deployment, account, connection)


def test_a_bomb_is_refused_in_little_memory(
    deployment: Deployment, account: str, connection: UUID, owner_db: Database
) -> None:
    workers = workers_of(deployment)
    before = [peak_mb(process.pid) for process in workers]
    deployment.simulator.fault({"gzip_bomb": 800}, path="connections", account=account, times=0)
    job = deployment.client.sync(connection, "contacts", full=True)[0]
    deployment.until(lambda: deployment.client.job(job).state in {"parked", "failed", "dead"})
    assert deployment.client.job(job).reason == "too_much_data"
    after = [peak_mb(process.pid) for process in workers]
    assert max(now - then for now, then in zip(after, before, strict=True)) < 200
    deployment.simulator.clear_faults()
    hurry(owner_db, job)
    deployment.wait(job)
    deployment.sync(connection, "contacts")
    ends_in_truth(deployment, account, connection)


def peak_mb(pid: int) -> float:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# Stops.


def test_p2_a_disconnect_while_the_tokens_are_renewed_lets_no_request_follow_but_the_revocation(
    deployment: Deployment, account: str, connection: UUID
) -> None:
    simulator, crm = deployment.simulator, deployment.client
    simulator.control("oauth", {"expire_access_tokens": account})
    begun = simulator.control("requests")["last"]
    simulator.fault({"delay_s": 1.5}, path="/token$", account=account, times=1)
    running = crm.sync(connection, "contacts")[0]
    deployment.until(lambda: crm.job(running).requests > 0)
    done = deployment.wait(crm.disconnect(connection))
    assert done.succeeded
    receipt = crm.receipts(connection)[0].body
    assert receipt["revoked_at_provider"] == "yes"
    asked = [each["path"] for each in simulator.requests(begun) if each["account"] == account]
    after_the_stop = asked[asked.index("/token") + 1 :] if "/token" in asked else asked
    assert [path for path in after_the_stop if not path.endswith("/revoke")] == []
    assert crm.job(running).state in {"cancelled", "done"}


def test_p5_sigterm_in_the_middle_of_a_page_hands_the_run_to_another_worker(
    deployment: Deployment, account: str, connection: UUID
) -> None:
    crm = deployment.client
    deployment.simulator.fault({"delay_s": 6.0}, path="connections", account=account, times=1)
    job = crm.sync(connection, "contacts", full=True)[0]
    deployment.until(lambda: crm.job(job).requests > 0)
    stopping = workers_of(deployment)
    for process in stopping:
        process.send_signal(signal.SIGTERM)
    codes = [process.wait(20) for process in stopping]
    left = crm.job(job)
    for _ in stopping:
        deployment.start_worker()
    assert set(codes) == {0}
    assert left.state in {"queued", "admitted"}
    done = deployment.wait(job)
    assert (done.state, done.attempt) == ("done", 0)
    ends_in_truth(deployment, account, connection)


def workers_of(deployment: Deployment) -> list["subprocess.Popen[bytes]"]:
    """Its worker processes that live."""
    # By what was asked for: the kernel tells no arguments yet of a process that was started a moment ago.
    return [process for process in deployment.processes if process.poll() is None and "worker" in process.args]  # type: ignore[operator]


# Keys and seals.


@contextlib.contextmanager
def only_worker(deployment: Deployment, **changes: Any) -> Iterator[Any]:
    """Workers as they are end; one with other settings runs meanwhile; at the end there are two again."""
    for process in workers_of(deployment):
        deployment.kill(process, signal.SIGTERM)
    usual = deployment.settings
    deployment.settings = usual.model_copy(update=changes)
    other = deployment.start_worker()
    deployment.settings = usual
    try:
        yield other
    finally:
        with contextlib.suppress(ProcessLookupError):
            deployment.kill(other, signal.SIGTERM)
        for _ in range(2):
            deployment.start_worker()


def at_once(owner_db: Database, job_id: int) -> None:
    """The minute for which a job waits for a missing key is over."""
    with owner_db.transaction() as tx:
        tx.execute("UPDATE crm_sync.job SET run_at = now() WHERE job_id = %s", [job_id])


def waits_for_a_key(deployment: Deployment, job_id: int, missing: str) -> None:
    crm = deployment.client
    deployment.until(lambda: crm.job(job_id).reason == "key_missing", timeout_s=90)
    waiting = crm.job(job_id)
    assert (waiting.state, waiting.attempt) == ("parked", 0)
    assert missing in (waiting.message or "")


def test_p14_a_lost_records_key_is_named_deletes_nothing_and_everything_resumes_once_it_is_back(
    deployment: Deployment, account: str, connection: UUID, owner_db: Database, tmp_path: Path
) -> None:
    crm = deployment.client
    assert deployment.settings.records_keyring is not None
    missing = Keyring.load(deployment.settings.records_keyring.get_secret_value(), "records").status()[0].kek_id
    Keyring.generate("records").save(tmp_path / "another.json")
    asked = len(deployment.simulator.requests(account=account))
    with only_worker(deployment, records_keyring=SecretStr(str(tmp_path / "another.json"))):
        job = crm.sync(connection, "contacts")[0]
        waits_for_a_key(deployment, job, missing)
        found = crm.connection(connection)
        assert (found.state, found.state_reason) == ("active", "key_missing")
    assert len(deployment.simulator.requests(account=account)) == asked, "nothing was asked for in vain"
    at_once(owner_db, job)
    assert deployment.wait(job).succeeded
    assert crm.connection(connection).state_reason is None
    ends_in_truth(deployment, account, connection)


def joined(older: str, newer: Path, path: Path) -> SecretStr:
    """A keyring with the keys of both, of which the newer one's wraps what is made from now on."""
    whole = json.loads(newer.read_text())
    whole["keys"] |= json.loads(Path(older).read_text())["keys"]
    path.write_text(json.dumps(whole))
    path.chmod(0o600)
    return SecretStr(str(path))


def test_p14_only_the_connections_of_a_lost_grant_key_wait_and_a_worker_without_it_names_it(
    deployment: Deployment, account: str, connection: UUID, owner_db: Database, tmp_path: Path
) -> None:
    crm = deployment.client
    assert deployment.settings.grant_keyring is not None
    usual = deployment.settings.grant_keyring.get_secret_value()
    missing = Keyring.load(usual, "grant").status()[0].kek_id
    newer = tmp_path / "newer.json"
    Keyring.generate("grant").save(newer)
    with only_worker(deployment, grant_keyring=joined(usual, newer, tmp_path / "both.json")):
        under_the_newer = deployment.connect(next(deployment.next_account))  # type: ignore[attr-defined]
        ended = deployment.connect(next(deployment.next_account))  # type: ignore[attr-defined]
    with only_worker(deployment, grant_keyring=SecretStr(str(newer))):
        job = crm.sync(connection, "contacts")[0]
        waits_for_a_key(deployment, job, missing)
        assert crm.connection(connection).state_reason == "key_missing"
        deployment.sync(under_the_newer, "contacts")
        gone = deployment.wait(crm.disconnect(ended))
        assert (gone.outcome or {})["revoked_at_provider"] == "yes"
        leaving = crm.disconnect(connection)
        waits_for_a_key(deployment, leaving, missing)
        assert crm.connection(connection).state == "disconnected"
    assert missing in deployment.log(), "a worker says so when it starts"
    at_once(owner_db, leaving)
    left = deployment.wait(leaving)
    assert (left.outcome or {})["revoked_at_provider"] == "yes", "it waited for the key, to revoke"
    assert crm.job(job).state == "cancelled"
    deployment.connect(account, connection_id=connection)
    deployment.sync(connection)
    ends_in_truth(deployment, account, connection)


def test_p7_tokens_and_cursors_that_were_moved_to_another_connection_open_nowhere(
    deployment: Deployment, account: str, connection: UUID, owner_db: Database
) -> None:
    crm = deployment.client
    other_account = next(deployment.next_account)  # type: ignore[attr-defined]
    other = deployment.connect(other_account)
    deployment.sync(other)
    asked = len(deployment.simulator.requests(account=account))
    cursor = "UPDATE crm_sync.part p SET sealed_cursor = o.sealed_cursor FROM crm_sync.part o WHERE p.stream = o.stream"
    tokens = (
        "UPDATE crm_sync.oauth_grant g SET sealed_tokens = o.sealed_tokens, token_version = o.token_version "
        "FROM crm_sync.oauth_grant o WHERE true"
    )
    for moved, row in ((tokens, "g"), (cursor, "p")):
        with owner_db.transaction() as tx:
            tx.execute(
                f"{moved} AND {row}.connection_id = %s AND o.connection_id = %s",  # type: ignore[arg-type]
                [other, connection],
            )
        ended = deployment.wait(crm.sync(other, "contacts")[0])
        assert (ended.state, ended.reason) == ("dead", "seal_broken")
        assert len(deployment.simulator.requests(account=account)) == asked, "the other's token was never used"
        assert crm.connection(other).state == "active"
    done = deployment.wait(crm.sync(connection, "contacts")[0])
    assert done.succeeded, "whose values were copied goes on"


# The machine.


def test_a_worker_that_can_write_no_file_works_on(
    deployment: Deployment, account: str, connection: UUID, tmp_path: Path
) -> None:
    """Neither a log nor a temporary file can be written: every disk of the machine is full, say."""
    with only_worker(deployment) as usual:
        deployment.kill(usual, signal.SIGTERM)
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        log = (tmp_path / "full.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", "--threads", "2"],
            env={**environment_of(deployment.settings), "TMPDIR": str(closed), "PYTHONDONTWRITEBYTECODE": "1"},
            stderr=log,
            preexec_fn=no_file_may_grow,  # noqa: PLW1509 - it sets a limit and takes no lock
        )
        log.close()
        try:
            deployment.sync(connection, "contacts", full=True)
        finally:
            os.kill(process.pid, signal.SIGTERM)
            # Python ends with 120 when its last words could not be written.
            assert process.wait(20) in {0, 120}
        assert (tmp_path / "full.log").stat().st_size == 0
    ends_in_truth(deployment, account, connection)


def no_file_may_grow() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

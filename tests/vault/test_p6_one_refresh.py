"""P6: any number of workers make one token request; a lost reply is known to be lost, and ends nobody it need not."""

import gc
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from simulator.client import Simulator
from tests.conftest import ROOT, register_workspace
from worker.connectors.google_api import GOOGLE_OAUTH
from worker.errors import ConsentGone, CrmSyncError, ReplyLost, SealBroken
from worker.settings import Role
from worker.store.database import Database
from worker.transport.client import Transport
from worker.transport.oauth import OAuthEndpoint
from worker.transport.ports import OAuthClient, OAuthFacts, Rotation, Secret
from worker.transport.token_replies import TokenReply
from worker.vault.grants import Grants
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

SCOPES = ["openid", "https://www.googleapis.com/auth/contacts.readonly"]
STRICT = replace(GOOGLE_OAUTH, rotation=Rotation.STRICT)
SHORT = timedelta(seconds=2)
EXPIRE = "UPDATE crm_sync.oauth_grant SET expires_at = now() - interval '1 minute' WHERE connection_id = %s"
LEAST_REACH_S = 0.03
"""No kill comes later than this, unless too few refreshes come to their end."""
GRANT = Keyring.generate("grant")


class Open:
    """A gate that is open."""

    def open(self) -> None:
        return None


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator.start(people=3, accounts=40, quota_scale=100_000) as running:
        running.free = iter(running.facts["accounts"])  # type: ignore[attr-defined]
        running.transport = Transport(route=running.url)  # type: ignore[attr-defined]
        yield running
        running.transport.close()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _forgiving_provider(simulator: Simulator) -> Iterator[None]:
    yield
    simulator.clear_faults()
    simulator.control("oauth", {"rotation": "none"})


class Grant:
    """One stored grant whose access token is due."""

    def __init__(self, database: Database, simulator: Simulator, workspace: str, lease: timedelta = SHORT) -> None:
        self.database, self.simulator, self.workspace, self.lease = database, simulator, workspace, lease
        self.account: str = next(simulator.free)  # type: ignore[attr-defined]
        self.connection = uuid.uuid4()
        tokens = simulator.grant(self.account, SCOPES)
        with database.transaction(workspace) as tx:
            tx.execute(
                "INSERT INTO crm_sync.connection (workspace_id, connection_id, provider, state, policy_version, "
                "agreed_by) VALUES (%s, %s, 'gmail', 'active', 'v', 'u')",
                [workspace, self.connection],
            )
        grants = self.grants(database)
        grants.keys.create_for_connection(workspace, self.connection)
        key = grants.keys.grant(workspace, self.connection)
        reply = TokenReply(
            Secret(tokens["access_token"]), Secret(tokens["refresh_token"]), timedelta(hours=1), None, None, None
        )
        with database.transaction(workspace) as tx:
            grants.store_first(tx, workspace, key, self.connection, reply)
        self.expire()

    def expire(self) -> None:
        with self.database.transaction(self.workspace) as tx:
            tx.execute(EXPIRE, [self.connection])

    def grants(self, database: Database) -> Grants:
        return Grants(database, KeyStore(database, grant=GRANT, records=Keyring.generate("records")), lease=self.lease)

    def token(self, database: Database | None = None, facts: OAuthFacts = GOOGLE_OAUTH) -> Secret:
        """What a worker does that needs a token."""
        endpoint = self.endpoint(facts)
        grants = self.grants(database or self.database)
        return grants.token_source(self.workspace, self.connection, endpoint, facts, Open()).token()

    def endpoint(self, facts: OAuthFacts = GOOGLE_OAUTH) -> OAuthEndpoint:
        client = OAuthClient(self.simulator.facts["client_id"], Secret(self.simulator.facts["client_secret"]), "p")
        return OAuthEndpoint(self.simulator.transport, facts, client)  # type: ignore[attr-defined]

    def requests(self) -> int:
        return len([each for each in self.simulator.requests(path="/token") if each["account"] == self.account])

    def row(self) -> dict[str, Any]:
        with self.database.transaction(self.workspace) as tx:
            row = tx.execute(
                "SELECT * FROM crm_sync.oauth_grant WHERE connection_id = %s", [self.connection]
            ).fetchone()
        assert row is not None
        return row


@pytest.fixture
def make(worker_db: Database, simulator: Simulator, workspace: str) -> Callable[..., Grant]:
    return lambda **more: Grant(worker_db, simulator, workspace, **more)


def test_a_fresh_token_is_given_without_asking(make: Callable[..., Grant]) -> None:
    grant = make()
    first = grant.token()
    before = grant.requests()
    assert grant.token() == first
    assert grant.requests() == before


def test_a_token_that_was_refused_is_renewed_once(make: Callable[..., Grant]) -> None:
    grant = make()
    grants = grant.grants(grant.database)
    source = grants.token_source(grant.workspace, grant.connection, grant.endpoint(), GOOGLE_OAUTH, Open())
    first = source.token()
    source.refused(first)
    assert source.token() != first


def adopted(place: dict[str, str], connection: str, lease: timedelta) -> Grant:
    """A stored grant as another process finds it; `place` says where everything is."""
    global GRANT  # noqa: PLW0603 - what `Grant.grants` opens it with, in this process
    GRANT = Keyring.load(place["keyring"], "grant")
    grant = object.__new__(Grant)
    grant.database = Database(place["database"], max_size=25)
    grant.simulator = Simulator(place["simulator"], facts=place)
    grant.simulator.transport = Transport(route=place["simulator"])  # type: ignore[attr-defined]
    grant.workspace, grant.connection, grant.lease = place["workspace"], uuid.UUID(connection), lease
    return grant


@pytest.fixture
def place(database_urls: dict[Role, str], simulator: Simulator, workspace: str, tmp_path: Any) -> dict[str, str]:
    """What `adopted` needs to know."""
    GRANT.save(tmp_path / "grant.json")
    facts = {name: simulator.facts[name] for name in ("client_id", "client_secret")}
    return facts | {
        "database": database_urls[Role.WORKER],
        "simulator": simulator.url,
        "workspace": workspace,
        "keyring": str(tmp_path / "grant.json"),
    }


def in_another_process(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """A Python process with this module's names."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.vault.test_p6_one_refresh import *\n{code}", *arguments],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


WORKERS = """
import json, sys, threading
from datetime import timedelta
grant = adopted(json.loads(sys.argv[1]), sys.argv[2], timedelta(seconds=30))
start = threading.Barrier(50)
found = []
def work():
    start.wait()
    found.append(grant.token().reveal())
threads = [threading.Thread(target=work) for _ in range(50)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(found), len(set(found)), found[0])
"""


def test_p6_two_hundred_workers_on_one_expired_grant_make_one_request(
    make: Callable[..., Grant], simulator: Simulator, place: dict[str, str]
) -> None:
    grant = make(lease=timedelta(seconds=30))
    before = grant.requests()
    simulator.fault({"delay_s": 0.4}, path="/token$", account=grant.account)
    processes = [in_another_process(WORKERS, json.dumps(place), str(grant.connection)) for _ in range(4)]
    said = [process.communicate(timeout=90)[0].split() for process in processes]
    assert [words[:2] for words in said] == [["50", "1"]] * 4
    assert len({words[2] for words in said}) == 1, "all of them have the same token"
    assert grant.requests() == before + 1


def killed_around_a_refresh(grant: Grant, url: str, facts: OAuthFacts, after_s: float) -> bool:
    """A worker that is killed so long after it began its refresh; False if it came to its end before."""
    begins, begun = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with Database(url, max_size=2) as database:
                with database.session():
                    os.write(begun, b"!")
                grant.token(database, facts)
        finally:
            os._exit(0)
    os.close(begun)
    assert os.read(begins, 1) == b"!"
    os.close(begins)
    give_up_s = time.monotonic() + after_s
    while time.monotonic() < give_up_s:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def kill_around_refreshes(grants: list[Grant], url: str, wanted: int) -> None:
    """Kill as many workers, each somewhere in its refresh of one of the grants."""
    grants[0].token()  # What a process makes once, the children inherit.
    for grant in grants:
        grant.database.close()
    gc.freeze()
    chance = random.Random(7)
    kills, tries, reach_s = 0, 0, LEAST_REACH_S
    with psycopg.connect(url, autocommit=True) as connection:
        while kills < wanted:
            grant = grants[tries % len(grants)]
            tries += 1
            connection.execute("SELECT set_config('crm_sync.workspace', %s, false)", [grant.workspace])
            connection.execute(EXPIRE, [grant.connection])
            killed = killed_around_a_refresh(grant, url, GOOGLE_OAUTH, chance.uniform(0, reach_s))
            kills += killed
            # However slow the machine is just now, some are killed at the end of a refresh, and some come through.
            reach_s = max(LEAST_REACH_S, reach_s * (1.01 if killed else 0.9))
    print(kills, tries)


KILLS = """
import json, sys
from datetime import timedelta
place = json.loads(sys.argv[1])
grants = [adopted(place, connection, timedelta(seconds=0.05)) for connection in sys.argv[2:]]
kill_around_refreshes(grants, place["database"], 1_000)
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_p6_a_thousand_kills_around_refreshes_lose_no_grant_of_googles(
    make: Callable[..., Grant], place: dict[str, str]
) -> None:
    grants = [make(lease=timedelta(seconds=0.05)) for _ in range(8)]
    killer = in_another_process(KILLS, json.dumps(place), *(str(grant.connection) for grant in grants))
    kills, tries = killer.communicate(timeout=390)[0].split()
    assert int(kills) == 1_000
    assert int(tries) > 1_020, "some came through between the kills"
    time.sleep(0.06)
    for grant in grants:
        grant.expire()
        assert grant.token()
    versions = sum(grant.row()["token_version"] for grant in grants)
    assert versions > len(grants) * 3


@pytest.mark.slow
def test_p6_with_a_strict_rotator_exactly_the_lost_replies_end(
    make: Callable[..., Grant], simulator: Simulator
) -> None:
    simulator.control("oauth", {"rotation": "strict"})
    grants = [make(lease=timedelta(seconds=0.05)) for _ in range(12)]
    chosen = {grant.account for grant in random.Random(3).sample(grants, 4)}
    for account in chosen:
        simulator.fault({"lost_reply": True}, path="/token$", account=account)
    ended, reasons = set(), set()
    for grant in grants:
        for _ in range(3):
            try:
                grant.token(facts=STRICT)
            except ReplyLost:
                continue
            except ConsentGone as error:
                ended.add(grant.account)
                reasons.add("reply_lost" in str(error))
                break
    assert ended == chosen
    assert reasons == {True}, "and each is told why"


def test_p6_a_lost_reply_is_repaired_where_the_old_token_still_works(
    make: Callable[..., Grant], simulator: Simulator
) -> None:
    grant = make()
    simulator.fault({"lost_reply": True}, path="/token$", account=grant.account)
    assert grant.token()
    assert grant.row()["attempt_answer"] == "renewed"


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429}, {"status": 500, "body": {"kind": "html"}}, {"drop": True}]
)
def test_p6_a_provider_in_trouble_ends_no_grant(
    make: Callable[..., Grant], simulator: Simulator, fault: dict[str, Any]
) -> None:
    grant = make()
    simulator.fault(fault, path="/token$", account=grant.account, times=0)
    with pytest.raises(CrmSyncError) as caught:
        grant.token()
    assert not isinstance(caught.value, ConsentGone)
    simulator.clear_faults()
    assert grant.token()


def test_p6_a_revoked_grant_is_told_by_the_provider_alone(make: Callable[..., Grant], simulator: Simulator) -> None:
    grant = make()
    simulator.control("oauth", {"revoke_account": grant.account})
    with pytest.raises(ConsentGone):
        grant.token()
    assert grant.row()["attempt_answer"] == "consent_gone"


def test_p7_older_tokens_put_back_do_not_open(make: Callable[..., Grant]) -> None:
    grant = make()
    old = grant.row()["sealed_tokens"]
    grant.token()
    with grant.database.transaction(grant.workspace) as tx:
        tx.execute(
            "UPDATE crm_sync.oauth_grant SET sealed_tokens = %s WHERE connection_id = %s", [old, grant.connection]
        )
    with pytest.raises(SealBroken):
        grant.token()


def test_p6_the_winner_of_a_race_is_adopted_when_the_loser_comes_late(make: Callable[..., Grant]) -> None:
    grant = make(lease=timedelta(seconds=0.2))
    slow = threading.Event()
    endpoint = grant.endpoint()

    class Slow:
        def refresh(self, refresh_token: Secret, gate: Any) -> TokenReply:
            reply = endpoint.refresh(refresh_token, gate)
            slow.set()
            time.sleep(0.8)
            return reply

    found: list[Secret] = []
    grants = grant.grants(grant.database)
    source = grants.token_source(grant.workspace, grant.connection, Slow(), GOOGLE_OAUTH, Open())
    late = threading.Thread(target=lambda: found.append(source.token()))
    late.start()
    slow.wait(10)
    time.sleep(0.3)
    winner = grant.token()
    late.join()
    assert found == [winner]


def test_a_tenant_cannot_use_anothers_grant(make: Callable[..., Grant], crm_db: Database) -> None:
    grant = make()
    grant.workspace = register_workspace(crm_db, f"thief-{secrets.token_hex(4)}")
    with pytest.raises(CrmSyncError):
        grant.token()

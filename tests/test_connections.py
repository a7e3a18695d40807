"""Connect and disconnect the whole way: consents, dead and half-dead grants, siblings, stops. P2, P6, receipts."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from simulator.client import Simulator
from tests.deployment import Deployment
from worker.app import build_services
from worker.client import Client
from worker.jobs import complete_connect
from worker.jobs.context import JobContext
from worker.jobs.outcomes import Failed, Outcome
from worker.settings import Settings
from worker.store.jobs_view import Job

REFUSED_BY_ADMIN = {"status": 400, "body": {"error": "admin_policy_enforced"}}


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    logs = tmp_path_factory.mktemp("logs")
    options = {"people": 30, "accounts": 28}
    with Deployment.start(module_settings, logs, workers=2, simulator=options) as running:
        running.wait(running.client.enqueue("ping"))  # A worker runs, so there is a key to seal answers to.
        running.next_account = iter(running.accounts)  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def account(deployment: Deployment) -> str:
    """An account that no other test uses."""
    return next(deployment.next_account)  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def other_crm(deployment: Deployment) -> Client:
    """Another tenant."""
    client = deployment.client.at(f"other-{id(object()):x}")
    client.register_workspace()
    return client


@pytest.fixture(autouse=True)
def _quiet_world(deployment: Deployment) -> Iterator[None]:
    yield
    deployment.simulator.clear_faults()
    deployment.simulator.control("oauth", {"invalid_client": False, "admin_policy_enforced": []})


def ask(deployment: Deployment, **more: Any) -> Job:
    job_id = deployment.client.connect_start(
        "gmail", ["contacts"], policy_version="2026-11", agreed_by="user:1", **more
    )
    return deployment.wait(job_id, open_outcome=True)


def answer(deployment: Deployment, started: Job, account: str, **more: Any) -> Job:
    assert started.private is not None
    back = deployment.simulator.consent(started.private["authorize_url"], account, **more)
    return deployment.wait(deployment.client.connect_complete(back))


def state_of(deployment: Deployment, connection: UUID) -> tuple[str, str | None]:
    found = deployment.client.connection(connection)
    return found.state, found.state_reason


def events_of(deployment: Deployment, connection: UUID) -> list[tuple[str, dict[str, Any]]]:
    changes = deployment.client.feed(0, 100_000, open_records=False)
    return [(each.event, each.details) for each in changes if each.connection_id == connection]


def requests_for(simulator: Simulator, account: str, since: int) -> list[dict[str, Any]]:
    return [each for each in simulator.requests(since) if each["account"] == account]


def test_a_consent_that_was_denied_connects_nothing(deployment: Deployment, account: str) -> None:
    done = answer(deployment, ask(deployment), account, deny=True)
    assert (done.state, done.reason) == ("failed", "access_denied")
    assert done.outcome is not None
    assert state_of(deployment, UUID(done.outcome["connection_id"])) == ("disconnected", "access_denied")


def test_a_state_answers_once(deployment: Deployment, account: str) -> None:
    started = ask(deployment)
    assert started.private is not None
    back = deployment.simulator.consent(started.private["authorize_url"], account)
    first = deployment.wait(deployment.client.connect_complete(back))
    second = deployment.wait(deployment.client.connect_complete(back))
    assert (first.state, second.state, second.reason) == ("done", "failed", "state_used")


def test_a_state_of_nobody_is_refused(deployment: Deployment) -> None:
    done = deployment.wait(deployment.client.connect_complete("http://localhost/callback?state=forged&code=4/x"))
    assert (done.state, done.reason) == ("failed", "unknown_state")


def test_a_state_of_another_tenant_is_refused(deployment: Deployment, account: str, other_crm: Client) -> None:
    started = ask(deployment)
    assert started.private is not None
    back = deployment.simulator.consent(started.private["authorize_url"], account)
    done = other_crm.wait(other_crm.connect_complete(back), timedelta(seconds=30))
    assert (done.state, done.reason) == ("failed", "unknown_state")


@pytest.mark.parametrize(
    ("provider", "purposes", "agreed_by"),
    [("nonesuch", ["contacts"], "u"), ("gmail", ["spying"], "u"), ("gmail", [], "u"), ("gmail", ["contacts"], "a@b.c")],
)
def test_bad_requests_say_what_is_wrong(
    deployment: Deployment, provider: str, purposes: list[str], agreed_by: str
) -> None:
    job = deployment.client.connect_start(provider, purposes, policy_version="1", agreed_by=agreed_by)
    done = deployment.wait(job)
    assert (done.state, done.reason) == ("failed", "bad_request")
    assert len(done.message or "") > 20


def test_a_scope_that_was_not_ticked_switches_off_its_stream_only(deployment: Deployment, account: str) -> None:
    done = answer(deployment, ask(deployment), account, scopes=["openid", "email", "profile"])
    assert done.succeeded
    assert done.outcome is not None
    assert done.outcome["streams"]["contacts"] == "missing_scope"
    assert done.outcome["streams"]["profile"] == "active"
    connection = UUID(done.outcome["connection_id"])
    assert ("stream.state", {"state": "missing_scope", "reason": "missing_scope"}) in events_of(deployment, connection)
    deployment.sync(connection, "profile")


def test_the_same_account_is_not_connected_twice_to_one_tenant(deployment: Deployment, account: str) -> None:
    deployment.connect(account)
    again = answer(deployment, ask(deployment), account)
    assert (again.state, again.reason) == ("failed", "account_already_connected")


def test_a_revoked_grant_asks_for_a_new_consent_and_a_reconnect_goes_on(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    deployment.sync(connection)
    deployment.simulator.control("oauth", {"revoke_account": account})
    job = deployment.wait(deployment.client.sync(connection, "contacts")[0])
    assert (job.state, job.reason) == ("failed", "consent_gone")
    assert state_of(deployment, connection) == ("reconnect_needed", "grant_revoked")
    assert ("connection.state", {"state": "reconnect_needed", "reason": "grant_revoked"}) in events_of(
        deployment, connection
    )
    assert deployment.connect(account, connection_id=connection) == connection
    assert state_of(deployment, connection)[0] == "active"
    jobs = deployment.sync(connection, "contacts")
    assert (jobs[0].outcome or {})["saved"] == 0, "the cursor still lived, so nothing was read anew"


def test_two_purposes_added_at_the_same_time_are_both_held(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    started = []
    for purpose in ("mail", "calendar"):
        job_id = deployment.client.connect_start(
            "gmail", [purpose], policy_version="2026-11", agreed_by="user:1", connection_id=connection
        )
        started.append(deployment.wait(job_id, open_outcome=True))
    for each in started:
        assert answer(deployment, each, account).succeeded
    assert sorted(deployment.client.connection(connection).purposes) == ["calendar", "contacts", "mail"]
    assert {stream.state for stream in deployment.client.streams(connection)} == {"active"}


def test_a_reconnect_with_another_account_is_refused(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    stranger = next(deployment.next_account)  # type: ignore[attr-defined]
    done = answer(deployment, ask(deployment, connection_id=connection), stranger)
    assert (done.state, done.reason) == ("failed", "other_account")
    assert state_of(deployment, connection)[0] == "active"


def test_a_grant_of_another_account_is_given_back(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    stranger = next(deployment.next_account)  # type: ignore[attr-defined]
    since = deployment.simulator.control("requests")["last"]
    deployment.simulator.fault({"status": 503}, path="/revoke$", times=1)
    deployment.simulator.fault(REFUSED_BY_ADMIN, path="/revoke$", times=1)
    done = answer(deployment, ask(deployment, connection_id=connection), stranger)
    assert done.reason == "other_account"
    assert (done.outcome or {})["fresh_grant"] == "revoked", "a provider that fails is asked again"
    revoked = [each for each in deployment.simulator.requests(since) if each["path"].endswith("/revoke")]
    assert [each["status"] for each in revoked] == [503, 400, 200], revoked
    deployment.sync(connection, "contacts")


def test_a_grant_of_another_account_is_kept_where_a_tenant_lives_on_it(
    deployment: Deployment, account: str, other_crm: Client
) -> None:
    connection = deployment.connect(account)
    stranger = next(deployment.next_account)  # type: ignore[attr-defined]
    there = deployment.connect(stranger, client=other_crm)
    done = answer(deployment, ask(deployment, connection_id=connection), stranger)
    assert (done.outcome or {})["fresh_grant"] == "kept_for_siblings"
    assert other_crm.wait(other_crm.sync(there, "contacts")[0], timedelta(seconds=30)).succeeded


@pytest.mark.parametrize("tenant_lives_on_it", [False, True])
def test_a_grant_of_nobody_knows_whose_account_is_given_back_if_that_harms_nobody(
    deployment: Deployment, account: str, other_crm: Client, monkeypatch: pytest.MonkeyPatch, tenant_lives_on_it: bool
) -> None:
    monkeypatch.setattr(complete_connect, "_IDENTITY_AGAIN_S", (0.01, 0.01))
    if tenant_lives_on_it:
        there = deployment.connect(account, client=other_crm)
    started = ask(deployment)
    assert started.private is not None
    since = deployment.simulator.control("requests")["last"]
    deployment.simulator.fault({"status": 503}, path="/certs$", times=0)
    # Worked on here, since the workers that run have fetched the provider's keys before.
    back = deployment.simulator.consent(started.private["authorize_url"], account)
    brought = dict(parse_qsl(urlsplit(back).query))
    job_id = deployment.client.enqueue(
        "complete_connect", sealed=brought, run_at=datetime.now(UTC) + timedelta(hours=1)
    )
    done = worked_on_here(deployment, job_id)
    assert isinstance(done, Failed)
    assert (done.reason, (done.outcome or {})["fresh_grant"]) == (
        "identity_unknown", "kept_for_siblings" if tenant_lives_on_it else "revoked",
    )  # fmt: skip
    asked = [each["path"].rsplit("/", 1)[1] for each in deployment.simulator.requests(since)]
    assert asked.count("certs") == 3
    assert asked.count("revoke") == int(not tenant_lives_on_it)
    assert state_of(deployment, UUID((done.outcome or {})["connection_id"])) == ("disconnected", "identity_unknown")
    if tenant_lives_on_it:
        assert other_crm.wait(other_crm.sync(there, "contacts")[0], timedelta(seconds=30)).succeeded


def worked_on_here(deployment: Deployment, job_id: int) -> Outcome:
    """What becomes of a job when this process works on it, in the name of a worker that lives."""
    services, workspace = build_services(deployment.settings), deployment.client.workspace
    with services.database.transaction(workspace) as tx:
        row = tx.execute(
            "UPDATE crm_sync.job SET state = 'running', lease_epoch = 1, deadline_at = now() + interval '1 hour', "
            "lease_owner = (SELECT process_id FROM crm_sync.process ORDER BY beat_at DESC LIMIT 1) "
            "WHERE job_id = %s RETURNING kind, lane, args, sealed",
            [job_id],
        ).fetchone()
    assert row is not None
    context = JobContext(
        services=services, workspace=workspace, job_id=job_id, connection_id=None, attempt=0, lease_epoch=1, **row
    )
    try:
        return complete_connect.run(context)
    finally:
        services.database.close()
        services.transport.close()
        services.budgets.close()


def test_an_administrators_block_is_a_state_of_its_own(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    deployment.simulator.control("oauth", {"admin_policy_enforced": [account]})
    deployment.simulator.control("oauth", {"expire_access_tokens": account})
    job = deployment.wait(deployment.client.sync(connection, "contacts")[0])
    # Another stream's run may have met the block first, and stopped this one.
    assert (job.state, job.reason) in {("failed", "blocked_by_admin"), ("cancelled", "connection_stopped")}
    assert state_of(deployment, connection) == ("blocked_by_admin", "blocked_by_admin")


def test_p6_a_wrong_client_secret_disconnects_nobody_and_alarms_operators(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    deployment.sync(connection)
    deployment.simulator.control("oauth", {"invalid_client": True})
    deployment.simulator.control("oauth", {"expire_access_tokens": account})
    job = deployment.wait(deployment.client.sync(connection, "contacts")[0])
    assert (job.state, job.reason) == ("dead", "misconfigured")
    assert state_of(deployment, connection) == ("active", "operator_alarm")
    assert ("connection.state", {"state": "active", "reason": "operator_alarm"}) in events_of(deployment, connection)
    deployment.simulator.control("oauth", {"invalid_client": False})
    deployment.sync(connection)
    assert state_of(deployment, connection) == ("active", None)


def test_p2_after_a_disconnect_no_request_is_made_and_the_receipt_names_the_last(
    deployment: Deployment, account: str
) -> None:
    connection = deployment.connect(account)
    deployment.sync(connection)
    deployment.simulator.fault({"delay_s": 0.7}, path="connections", account=account)
    running = deployment.client.sync(connection, "contacts", full=True)[0]
    deployment.until(lambda: deployment.client.job(running).state == "running")
    deployment.wait(deployment.client.disconnect(connection))
    last = deployment.simulator.control("requests")["last"]
    assert deployment.client.job(running).state in {"cancelled", "done"}
    receipt = deployment.client.receipts(connection)[0].body
    assert receipt["revoked_at_provider"] == "yes"
    assert datetime.fromisoformat(receipt["last_request_at"]) <= datetime.fromisoformat(receipt["stopped_at"])
    with pytest.raises(Exception, match="is disconnected"):
        deployment.client.sync(connection)
    deployment.simulator.advance(0)
    assert requests_for(deployment.simulator, account, last) == []


def test_a_disconnect_keeps_the_data_unless_asked_and_a_reconnect_finds_it(
    deployment: Deployment, account: str
) -> None:
    connection = deployment.connect(account)
    deployment.sync(connection)
    before = len(deployment.held(connection, "contacts"))
    deployment.wait(deployment.client.disconnect(connection))
    assert state_of(deployment, connection) == ("disconnected", "asked")
    assert len(deployment.held(connection, "contacts")) == before == 30
    deployment.connect(account, connection_id=connection)
    assert len(deployment.held(connection, "contacts")) == 30


def test_a_connection_that_has_ended_is_not_ended_again_and_its_one_receipt_is_the_answer(
    deployment: Deployment, account: str
) -> None:
    connection = deployment.connect(account)
    first = deployment.wait(deployment.client.disconnect(connection)).outcome or {}
    again = deployment.wait(deployment.client.disconnect(connection)).outcome or {}
    assert again == {**first, "already": "disconnected"}
    assert len(deployment.client.receipts(connection)) == 1
    deployment.connect(account, connection_id=connection)
    after = deployment.wait(deployment.client.disconnect(connection)).outcome or {}
    assert after["receipt_id"] not in {first["receipt_id"], None}
    assert "already" not in after
    last = deployment.wait(deployment.client.disconnect(connection, delete_data=True))
    deployment.wait((last.outcome or {})["purge_job_id"])
    kinds = [receipt.kind for receipt in deployment.client.receipts(connection)]
    assert kinds == ["disconnect", "disconnect", "disconnect", "deletion"]


def test_a_deletion_leaves_a_tombstone_two_receipts_and_nothing_that_opens(
    deployment: Deployment, account: str
) -> None:
    connection = deployment.connect(account)
    deployment.sync(connection)
    job = deployment.wait(deployment.client.disconnect(connection, delete_data=True))
    deployment.wait((job.outcome or {})["purge_job_id"])
    assert state_of(deployment, connection) == ("disconnected", "purged")
    kinds = [receipt.kind for receipt in deployment.client.receipts(connection)]
    assert kinds == ["disconnect", "deletion"]
    assert deployment.client.receipts(connection)[1].body["documents"] == 31
    assert deployment.held(connection, "contacts") == []
    again = deployment.wait(
        deployment.client.connect_start(
            "gmail", ["contacts"], policy_version="1", agreed_by="u", connection_id=connection
        )
    )
    assert (again.state, again.reason) == ("failed", "bad_request")


def test_only_the_last_sibling_revokes_and_the_others_go_on(
    deployment: Deployment, account: str, other_crm: Client
) -> None:
    here = deployment.connect(account)
    there = deployment.connect(account, client=other_crm)
    first = deployment.wait(deployment.client.disconnect(here))
    assert (first.outcome or {})["revoked_at_provider"] == "not_the_last"
    job = other_crm.wait(other_crm.sync(there, "contacts")[0], timedelta(seconds=30))
    assert job.succeeded
    second = other_crm.wait(other_crm.disconnect(there), timedelta(seconds=30))
    assert (second.outcome or {})["revoked_at_provider"] == "yes"


def test_of_two_last_siblings_that_go_at_once_exactly_one_revokes(
    deployment: Deployment, account: str, other_crm: Client
) -> None:
    places = [
        (deployment.client, deployment.connect(account)),
        (other_crm, deployment.connect(account, client=other_crm)),
    ]
    outcomes: list[str] = []

    def leave(crm: Client, connection: UUID) -> None:
        job = crm.wait(crm.disconnect(connection), timedelta(seconds=40))
        outcomes.append((job.outcome or {})["revoked_at_provider"])

    threads = [threading.Thread(target=leave, args=place) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["not_the_last", "yes"]


def test_a_revocation_whose_reply_was_lost_is_in_the_receipt_though_a_new_grant_came(
    deployment: Deployment, account: str, other_crm: Client
) -> None:
    connection = deployment.connect(account)
    deployment.simulator.fault({"lost_reply": True}, path="/revoke$", times=0)
    job_id = deployment.client.disconnect(connection)
    deployment.until(lambda: deployment.client.job(job_id).reason == "revoke_failed")
    deployment.connect(account, client=other_crm)
    job = deployment.wait(job_id)
    assert (job.outcome or {})["revoked_at_provider"] == "reply_lost"
    assert deployment.client.receipts(connection)[0].body["revoked_at_provider"] == "reply_lost"


def test_p10_asking_again_does_not_cut_short_what_a_revocation_waits_for(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    since = deployment.simulator.control("requests")["last"]
    deployment.simulator.fault({"status": 503, "headers": {"retry-after": "600"}}, path="/revoke$", times=0)
    job_id = deployment.client.disconnect(connection)
    deployment.until(lambda: deployment.client.job(job_id).reason == "revoke_failed")
    assert deployment.client.disconnect(connection, delete_data=True) == job_id
    deployment.until(lambda: state_of(deployment, connection)[0] == "deleting")
    deployment.until(lambda: deployment.client.job(job_id).state == "parked")
    asked = [each for each in deployment.simulator.requests(since) if each["path"].endswith("/revoke")]
    assert len(asked) == 1, "the wish for deletion is heard at once, and the provider is not asked again"


def test_a_disconnect_that_is_asked_for_twice_at_once_ends_in_one_receipt(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account)
    deployment.simulator.fault({"delay_s": 1.0}, path="/revoke$", times=1)
    job_id = deployment.client.disconnect(connection)
    deployment.until(lambda: deployment.client.job(job_id).state == "running")
    assert deployment.client.disconnect(connection) == job_id
    assert deployment.wait(job_id).succeeded
    assert len(deployment.client.receipts(connection)) == 1


def test_a_provider_that_fails_is_asked_again_and_a_deletion_asked_meanwhile_is_kept(
    deployment: Deployment, account: str
) -> None:
    connection = deployment.connect(account)
    deployment.sync(connection)
    deployment.simulator.fault(REFUSED_BY_ADMIN, path="/revoke$", times=0)
    job_id = deployment.client.disconnect(connection)
    deployment.until(lambda: deployment.client.job(job_id).reason == "revoke_failed")
    refused = deployment.wait(
        deployment.client.connect_start(
            "gmail", ["contacts"], policy_version="1", agreed_by="u", connection_id=connection
        )
    )
    assert (refused.state, refused.reason) == ("failed", "bad_request"), "nobody connects what is being ended"
    assert deployment.client.disconnect(connection, delete_data=True) == job_id
    assert deployment.client.disconnect(connection) == job_id
    deployment.simulator.clear_faults()
    job = deployment.wait(job_id)
    deployment.wait((job.outcome or {})["purge_job_id"])
    assert state_of(deployment, connection) == ("disconnected", "purged")

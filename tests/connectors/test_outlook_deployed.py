"""Outlook in a whole deployment: connect, sync, refresh with its accidents, administrators, disconnect."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import pytest
from pydantic import SecretStr

from tests.deployment import Deployment
from worker.cli.consent import NotConnected, connect_account
from worker.settings import Settings
from worker.store.jobs_view import Job

AWAY = {"Deleted Items", "Junk Email", "Drafts", "Outbox", "Scheduled", "Conversation History", "Sync Issues"}

YEAR_S = 365 * 86_400


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    options = {"people": 20, "messages": 30, "events": 5, "accounts": 6}
    with Deployment.start(
        module_settings, tmp_path_factory.mktemp("logs"), workers=0, schedulers=0, simulator=options
    ) as one:
        client = one.simulator.facts["microsoft"]
        changed = {
            "microsoft_client_id": client["client_id"],
            "microsoft_client_secret": SecretStr(client["client_secret"]),
        }
        one.settings = one.settings.model_copy(update=changed)
        one.start_scheduler()
        one.start_worker()
        yield one


@pytest.fixture(autouse=True)
def _forgiving(deployment: Deployment) -> Iterator[None]:
    yield
    deployment.simulator.clear_faults()
    deployment.simulator.control("entra", {"standing_errors": {}, "admin_approval": []})


_free = iter(range(6))


def account(deployment: Deployment) -> str:
    return str(deployment.simulator.facts["microsoft"]["accounts"][next(_free)])


def connect(deployment: Deployment, person: str, connection_id: UUID | None = None) -> Job:
    crm = deployment.client
    asked = crm.connect_start(
        "outlook", ["contacts", "mail", "calendar"], policy_version="1", agreed_by="user:1", connection_id=connection_id
    )
    started = crm.wait(asked, timedelta(seconds=60), open_outcome=True)
    assert started.private is not None, (started.reason, started.message, deployment.log())
    back = deployment.simulator.consent(started.private["authorize_url"], person)
    return deployment.wait(crm.connect_complete(back))


def connected(deployment: Deployment, person: str) -> UUID:
    done = connect(deployment, person)
    assert done.succeeded, (done.reason, done.message, deployment.log())
    assert done.outcome is not None
    return UUID(done.outcome["connection_id"])


def expire(deployment: Deployment, connection: UUID) -> None:
    import psycopg

    url = deployment.settings.database_url_owner
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as database:
        database.execute("UPDATE crm_sync.oauth_grant SET expires_at = now() WHERE connection_id = %s", [connection])


def test_an_account_is_connected_synced_refreshed_and_ended(deployment):
    person = account(deployment)
    connection = connected(deployment, person)
    deployment.sync(connection)
    now_s = deployment.simulator.control("clock")["now"]
    mails = [
        item for item in deployment.simulator.truth(person, "messages") if item["folder"].split("/")[0] not in AWAY
    ]
    assert len(deployment.held(connection, "messages")) == len(mails)
    assert len(deployment.held(connection, "contacts")) == len(deployment.simulator.truth(person, "contacts"))
    assert len(deployment.held(connection, "profile")) == 1
    events = deployment.simulator.truth(person, "events")
    near = [item for item in events if abs(item["starts_at"] - now_s) < YEAR_S or item["type"] == "seriesMaster"]
    assert len(deployment.held(connection, "events")) == len(near)
    deployment.simulator.fault({"lost_reply": True}, path="/token$", account=person)
    for _ in range(2):
        expire(deployment, connection)
        deployment.sync(connection, "profile")
    ended = deployment.wait(deployment.client.disconnect(connection))
    assert ended.outcome is not None
    assert ended.outcome["revoked_at_provider"] == "no_endpoint"
    receipt = deployment.client.receipts(connection)[0].body
    assert receipt["remove_consent_at"] == ["https://myapps.microsoft.com", "https://account.live.com/consent/Manage"]
    assert receipt["grant_key_destroyed_at"]


@pytest.mark.parametrize(
    ("number", "state"), [(50173, "reconnect_needed"), (53003, "blocked_by_admin"), (7000222, "active")]
)
def test_what_a_refresh_is_told_decides_who_has_to_act(deployment, number, state):
    person = account(deployment)
    connection = connected(deployment, person)
    deployment.sync(connection, "profile")
    deployment.simulator.control("entra", {"standing_errors": {person: number}})
    expire(deployment, connection)
    job = deployment.wait(deployment.client.sync(connection, "profile")[0])
    assert not job.succeeded
    now: Any = deployment.client.connection(connection)
    assert now.state == state
    if state == "active":
        assert now.state_reason == "operator_alarm"


def test_who_waits_for_an_administrator_is_told_where_one_can_consent_for_all(deployment):
    person = account(deployment)
    deployment.simulator.control("entra", {"admin_approval": [person]})
    blocked = connect(deployment, person)
    outcome = blocked.outcome
    assert blocked.reason == "blocked_by_admin"
    assert outcome is not None
    connection, url = UUID(outcome["connection_id"]), outcome["admin_consent_url"]
    assert urlsplit(url).path.endswith("/login.microsoftonline.com/organizations/v2.0/adminconsent")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    wanted = {f"https://graph.microsoft.com/{name}.Read" for name in ("User", "Contacts", "Mail", "Calendars")}
    assert set(asked.pop("scope").split()) == wanted | {"openid", "profile", "offline_access"}
    assert asked == {
        "client_id": deployment.settings.microsoft_client_id,
        "redirect_uri": deployment.settings.redirect_uri,
        "state": str(connection),
    }
    assert deployment.client.connection(connection).admin_consent_url == url
    told = [item.details for item in deployment.client.feed(limit=10_000) if item.connection_id == connection]
    assert {"state": "blocked_by_admin", "reason": "blocked_by_admin", "admin_consent_url": url} in told
    with pytest.raises(NotConnected, match="adminconsent") as said:
        connect_account(
            deployment.settings, deployment.client, print, provider="outlook",
            purposes=["contacts", "mail", "calendar"], policy_version="1", agreed_by="user:1",
            connection_id=connection, account=person, without_browser=True,
        )  # fmt: skip
    assert url in str(said.value)
    deployment.simulator.control("entra", {"admin_approval": []})
    assert connect(deployment, person, connection).succeeded
    assert deployment.client.connection(connection).admin_consent_url is None


def test_p9_mail_that_a_workspaces_rule_would_end_at_once_is_not_even_read(deployment):
    person, now_s = account(deployment), deployment.simulator.control("clock")["now"]
    ages = {
        item["immutable_id"]: (now_s - item["received_at"]) / 86_400
        for item in deployment.simulator.truth(person, "messages")
        if item["folder"].split("/")[0] not in AWAY
    }
    days = int(sorted(ages.values())[len(ages) // 2])
    since = deployment.simulator.control("requests")["last"]
    deployment.client.set_retention("outlook", "message", timedelta(days=days))
    try:
        deployment.sync(connected(deployment, person), "messages")
    finally:
        deployment.client.unset_retention("outlook", "message")
    asked = [each["path"] for request in deployment.simulator.requests(since) for each in request["inner"]]
    read = {unquote(path.rpartition("/me/messages/")[2]) for path in asked}
    assert {key for key, age in ages.items() if age < days - 1} <= read
    old = {key for key, age in ages.items() if age > days + 1}
    assert old
    assert not old & read

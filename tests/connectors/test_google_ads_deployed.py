"""Google Ads in a whole deployment: connect, sync, what was spent as a command tells it, and an end without a rest."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.conftest import ROOT, environment_of
from tests.deployment import Deployment
from tests.simulator.ads_calls import AdsCaller
from worker.settings import Settings

READ = ("bangkok", "tokyo", "new-york", "berlin", "bahrain", "shared", "second-shop", "shop")
"""The accounts of the first person that answer."""
HISTORY_DAYS = 45
FIGURES = ("cost_micros", "impressions", "clicks", "conversions", "conversion_value")
Days = dict[tuple[str, str, date], dict[str, Any]]


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    options = {"people": 5, "messages": 5, "events": 5, "accounts": 3}
    logs = tmp_path_factory.mktemp("logs")
    with Deployment.start(
        module_settings, logs, simulator=options, google_ads_history_days=HISTORY_DAYS, google_ads_restatement_days=20
    ) as one:
        yield one


@pytest.fixture(scope="module")
def ads(deployment: Deployment) -> AdsCaller:
    return AdsCaller(deployment.simulator, deployment.accounts[0])


def connected(deployment: Deployment, account: str) -> UUID:
    crm = deployment.client
    asked = crm.connect_start("google_ads", ["campaign_stats"], policy_version="1", agreed_by="user:1")
    started = crm.wait(asked, timedelta(seconds=60), open_outcome=True)
    assert started.private is not None, (started.reason, started.message, deployment.log())
    done = deployment.wait(
        crm.connect_complete(deployment.simulator.consent(started.private["authorize_url"], account))
    )
    assert done.succeeded, (done.reason, done.message, deployment.log())
    assert done.outcome is not None
    return UUID(done.outcome["connection_id"])


def true_days(ads: AdsCaller, last: dict[str, date]) -> Days:
    """What the provider knows of the days that were read; `last` is each account's day before they were."""
    days: Days = {}
    for key in READ:
        since = last[key] - timedelta(days=HISTORY_DAYS)
        for item in ads.truth(key, **{"from": since.isoformat(), "to": last[key].isoformat()}):
            figures = {
                "cost_micros": item["cost_micros"],
                "impressions": item["impressions"],
                "clicks": item["clicks"],
                "conversions": Decimal(item["conversions"]) / 1_000_000,
                "conversion_value": Decimal(item["conversions_value"]) / 1_000_000,
            }
            if any(figures.values()):
                days[item["customer"], item["campaign"], date.fromisoformat(item["day"])] = {
                    **figures,
                    "currency": item["currency"],
                }
    return days


def held_days(deployment: Deployment, connection: UUID) -> Days:
    return {
        (each.account_id, each.campaign_id, each.day): {
            **{name: getattr(each, name) for name in FIGURES},
            "currency": each.currency,
        }
        for each in deployment.client.measures(connection)
    }


def spend(deployment: Deployment, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli.main", "spend", "-w", deployment.client.workspace, *arguments],
        env={**environment_of(deployment.settings), "COLUMNS": "300"}, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_accounts_are_connected_synced_to_the_micro_told_by_a_command_and_ended(
    deployment: Deployment, ads: AdsCaller
) -> None:
    last = {key: date.fromisoformat(ads.today(key)) for key in READ}
    connection = connected(deployment, ads.account)
    deployment.sync(connection)

    # What is held is what Google knows.
    accounts = {body.account_id: body for body in deployment.held(connection, "accounts")}
    assert {ads.id(key) for key in READ} < set(accounts)
    campaigns = {(body.account_id, body.campaign_id) for body in deployment.held(connection, "campaigns")}
    assert campaigns == {(item["customer"], item["id"]) for key in READ for item in ads.truth(key, kind="campaigns")}
    truth = true_days(ads, last)
    held = held_days(deployment, connection)
    assert {key: row for key, row in held.items() if key[2] <= max(last.values())}.keys() >= truth.keys()
    read = {key: row for key, row in held.items() if key in truth or key[2] <= min(last.values())}
    assert read == truth
    assert {row["currency"] for row in truth.values()} >= {"THB", "JPY", "BHD", "EUR", "USD"}
    told = {stream.stream: stream for stream in deployment.client.streams(connection)}
    assert told["campaign_days"].error_reason in {"part_closed", "not_found"}
    assert told["campaign_days"].failing_parts == 2, "a suspended account and one that was lost"

    # What was spent, as a command.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    sums: Counter[tuple[str, str]] = Counter()
    for (_, _, day), row in held.items():
        if tomorrow - timedelta(days=30) <= day <= tomorrow:
            sums[day.isoformat(), row["currency"]] += row["cost_micros"]
    rows = json.loads(spend(deployment, "--days", "30", "--json"))
    assert {(row["day"], row["currency"]): row["cost_micros"] for row in rows} == dict(sums)
    shown = spend(deployment, "--days", "30")
    for currency in ("THB", "JPY", "BHD"):
        whole = Decimal(sum(cost for (_, of), cost in sums.items() if of == currency)).scaleb(-6)
        (line,) = [line for line in shown.splitlines() if line.startswith(f"{currency} │")]
        assert f"│ {whole:,f} in all" in line

    # The end: nobody is asked any more, nothing is left, and there is proof.
    ended = deployment.wait(deployment.client.disconnect(connection, delete_data=True))
    assert ended.outcome is not None
    deployment.wait(ended.outcome["purge_job_id"])
    since = deployment.simulator.control("requests")["last"]
    with pytest.raises(Exception, match="is disconnected"):
        deployment.client.sync(connection)
    assert list(deployment.client.measures(connection)) == []
    assert list(deployment.client.measures()) == []
    assert json.loads(spend(deployment, "--json")) == []
    stop, deletion = deployment.client.receipts(connection)
    assert (stop.kind, deletion.kind) == ("disconnect", "deletion")
    assert stop.body["revoked_at_provider"] == "yes"
    assert stop.body["grant_key_destroyed_at"]
    assert datetime.fromisoformat(stop.body["last_request_at"]) <= datetime.fromisoformat(stop.body["stopped_at"])
    assert deletion.body["measures"] == len(held)
    assert set(deletion.body["keys_destroyed"]) >= {"grant", "records"}
    assert keys_left(deployment, connection) == []
    assert deployment.simulator.requests(since, account=ads.account) == []


def keys_left(deployment: Deployment, connection: UUID) -> list[Any]:
    url = deployment.settings.database_url_owner
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as database:
        query = "SELECT purpose FROM crm_sync.data_key WHERE connection_id = %s AND wrapped IS NOT NULL"
        return database.execute(query, [connection]).fetchall()

"""P10 with everything running: at quota scale 1 no window of the provider's is over its limit, and none is refused."""

from pathlib import Path

import pytest

from tests.deployment import Deployment
from worker.settings import Settings

MAILS = 420
"""More than a user may read in a minute, which is 300."""


@pytest.mark.slow
def test_p10_a_mailbox_of_more_than_a_minute_is_read_within_googles_limits(settings: Settings, tmp_path: Path) -> None:
    world = {"quota_scale": 1, "messages": MAILS, "people": 5, "events": 1}
    with Deployment.start(settings, tmp_path, workers=2, simulator=world, gmail_window_days=0) as deployment:
        crm = deployment.client
        connection = deployment.connect(purposes=["mail"])
        job_id = crm.sync(connection, "messages")[0]
        deployment.until(lambda: crm.job(job_id).reason == "budget_spent", timeout_s=45)
        waiting = crm.job(job_id)
        assert waiting.state == "parked"
        assert 0 < (waiting.progress or {})["saved"] < MAILS
        # It waits in the ledger and holds no thread: another tenant's account is not kept from its own budget.
        other = crm.at("w-neighbour")
        other.register_workspace()
        neighbour = deployment.connect(deployment.accounts[1], purposes=["contacts"], client=other)
        assert all(deployment.wait_of(other, each).succeeded for each in other.sync(neighbour))
        assert deployment.wait(job_id, 120).succeeded
        told = deployment.simulator.control("counters")["quotas"]
        for name, limit in told.items():
            assert limit["peak"] <= limit["limit"], name
            assert limit["refused"] == 0, name
        assert told["gmail.user"]["peak"] >= 0.9 * told["gmail.user"]["limit"]
        (stream,) = (each for each in crm.streams(connection) if each.stream == "messages")
        away = sum(
            bool({"SPAM", "TRASH"} & set(mail["labels"]))
            for mail in deployment.simulator.truth(deployment.accounts[0], "messages")
        )
        assert sum(stream.held.values()) == MAILS - away

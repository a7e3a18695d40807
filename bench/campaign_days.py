"""Campaign days into measures: the first load of a person who reaches many accounts, then the newest days once more."""

import argparse
from typing import Any

from bench.place import memory_mib, place


def run(options: argparse.Namespace) -> dict[str, Any]:
    """`--ad-accounts` of them, each with `--ad-campaigns`, as far back as Google goes."""
    world = {"ad_accounts": options.ad_accounts, "ad_campaigns": options.ad_campaigns}
    with place(people=1, messages=1, events=1, **world) as there:
        pid = there.workers[0].pid or 0
        before_mib = memory_mib(pid)
        with there.client("advertiser") as crm:
            connection = there.connect(crm, there.accounts[0], ["campaign_stats"], "google_ads")
            first = there.first_sync(crm, connection, "campaign_days")
            again = there.wait(crm, crm.sync(connection, "campaign_days")[0])
            held = sum(
                sum(stream.held.values()) for stream in crm.streams(connection) if stream.stream == "campaign_days"
            )
        peak_mib = memory_mib(pid, "VmHWM")
    if first.finished_at is None or again.finished_at is None:
        raise RuntimeError("a job is not finished")
    took_s = (first.finished_at - first.created_at).total_seconds()
    return {
        "days": held,
        "took_s": round(took_s, 1),
        "per_s": round(held / took_s),
        "a_second_run_took_s": round((again.finished_at - again.created_at).total_seconds(), 2),
        "worker_mib": {"before": before_mib, "peak": peak_mib},
    }

"""Mail at the provider's own limits: how much of what is allowed is used, and how often the provider had to refuse.

Two workers of several threads, two mailboxes with more mail than the time allows, quota scale 1 on both sides.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from bench.place import place
from worker.connectors import google_api

LIMIT = google_api.GMAIL_USER
"""The one that binds: 6,000 units a minute and user, 300 mails."""
_PAUSE_S = 20.0
"""A silence this long is a wait for the window."""


def run(options: argparse.Namespace) -> dict[str, Any]:
    """For `--minutes`."""
    mails = (options.minutes + 3) * 300
    with place(workers=2, people=10, messages=mails, events=1, quota_scale=1.0) as there:
        with there.client("first") as one, there.client("second") as other:
            jobs = []
            for crm, account in ((one, there.accounts[0]), (other, there.accounts[1])):
                connection = there.connect(crm, account, ["mail"])
                jobs.append((crm, crm.sync(connection, "messages")[0]))
            time.sleep(options.minutes * 60)
            states = [crm.job(job_id).state for crm, job_id in jobs]
        told = there.simulator.control("counters")["quotas"][LIMIT.name]
        requests = there.simulator.requests(host="gmail.googleapis.com")
        used = {
            account: used_of_allowed(spending(requests, account), told["limit"] / LIMIT.window.total_seconds())
            for account in there.accounts[:2]
        }
    if "done" in states:
        raise RuntimeError("there was not work enough")
    asked = sum(1 + len(each["inner"]) for each in requests)
    return {
        "limit_per_window": told["limit"],
        "highest_window": told["peak"],
        "used_of_allowed": [round(share, 3) for share in used.values()],
        "requests": asked,
        "refused_by_the_provider": told["refused"],
        "refused_share": round(told["refused"] / asked, 4),
    }


def spending(requests: Sequence[dict[str, Any]], account: str) -> list[tuple[float, int]]:
    """When an account spent how many units."""
    return [
        (each["real_at"], sum((one["quota_units"] or {}).get(LIMIT.name, 0) for one in (each, *each["inner"])))
        for each in requests
        if each["account"] == account
    ]


def used_of_allowed(spent: Sequence[tuple[float, int]], allowed_per_s: float) -> float:
    """The share that was used from the first window's beginning to the last one's, whose own spending is left out.

    So it is what goes on for hours, without the gift of a first window that may be spent at once.
    """
    began = [at for (before, _), (at, _) in pairwise(spent) if at - before > _PAUSE_S]
    if not began:
        raise RuntimeError("nothing waited for a window; give it more minutes")
    first, last = spent[0][0], began[-1]
    return sum(units for at, units in spent if at < last) / (allowed_per_s * (last - first))

"""Messages of Outlook through the engine: how many a second, and in how many requests.

No limit but four requests at a time binds, and a call takes no longer than the simulator needs for it.
"""

import argparse
from typing import Any

from bench.outcomes import counters_of, rate_of, seconds_of
from bench.place import memory_mib, place
from worker.connectors import outlook_message

_HOST = "graph.microsoft.com"


def run(options: argparse.Namespace) -> dict[str, Any]:
    """`--messages` in the mailbox; those of folders that are left out are not read."""
    with place(people=200, messages=options.messages) as there:
        account = there.microsoft_accounts[0]
        there.simulator.edit(account, {"do": "warm_messages", "select": outlook_message.SELECT})
        pid = there.workers[0].pid or 0
        before_mib = memory_mib(pid)
        with there.client("outlook") as crm:
            connection = there.connect(crm, account, ["mail"], "outlook")
            first = there.first_sync(crm, connection, "messages")
            requests = there.simulator.requests(host=_HOST)
            again = there.wait(crm, crm.sync(connection, "messages")[0])
        peak_mib = memory_mib(pid, "VmHWM")
    seen = counters_of(first)["seen"]
    return {
        "records": seen,
        "per_s": rate_of(first),
        "took_s": seconds_of(first),
        "requests_over_the_wire_per_message": round(len(requests) / seen, 3),
        "requests_as_microsoft_counts_per_message": round(sum(len(each["inner"]) or 1 for each in requests) / seen, 3),
        "a_second_run_took_s": seconds_of(again),
        "worker_mib": {"before": before_mib, "peak": peak_mib},
    }

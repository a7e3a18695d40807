"""A stream through everything, against a straight line; then an unchanged full pass, and a delta of 1 %."""

import argparse
from dataclasses import dataclass
from typing import Any

from bench import straight_line
from bench.outcomes import counters_of, rate_of, seconds_of
from bench.place import memory_mib, place
from worker.connectors import google_contacts


@dataclass(frozen=True, slots=True)
class Measured:
    """A stream to measure: what makes the simulator ready to serve it, and what changes a hundredth of it."""

    stream: str
    purpose: str
    warm: dict[str, Any]
    touch: dict[str, Any]


CONTACTS = Measured(
    "contacts",
    "contacts",
    {"do": "warm_contacts", "personFields": google_contacts.PERSON_FIELDS},
    {"do": "touch", "percent": 1},
)
MESSAGES = Measured("messages", "mail", {"do": "warm_messages"}, {"do": "add_message", "count": 100})


def run(options: argparse.Namespace, measured: Measured, **world: int) -> dict[str, Any]:
    """All of it in one run."""
    stream = measured.stream
    with place(**world) as there:
        engine_account, line_account = there.accounts[:2]
        for account in (engine_account, line_account):
            there.simulator.edit(account, measured.warm)
        line = [straight_line.run(there, line_account, stream)]
        with there.client("engine") as crm:
            pid = there.workers[0].pid or 0
            before_mib = memory_mib(pid)
            connection = there.connect(crm, engine_account, [measured.purpose])
            first = there.first_sync(crm, connection, stream)
            peak_mib = memory_mib(pid, "VmHWM")
            whole = there.wait(crm, crm.sync(connection, stream, full=True)[0])
            peak_again_mib = memory_mib(pid, "VmHWM")
            there.simulator.edit(engine_account, measured.touch)
            delta = there.wait(crm, crm.sync(connection, stream)[0])
        if options.twice:
            line.append(straight_line.run(there, line_account, stream))
    best = max(each["per_s"] for each in line)
    rate = rate_of(first)
    return {
        "records": counters_of(first)["seen"],
        "straight_line_per_s": best,
        "engine_per_s": rate,
        "ratio": round(rate / best, 2),
        "engine_took_s": seconds_of(first),
        "unchanged_full_pass": {
            "took_s": seconds_of(whole),
            "per_s": rate_of(whole),
            "saved": counters_of(whole)["saved"],
        },
        "delta_of_1_percent": {"took_s": seconds_of(delta), "saved": counters_of(delta)["saved"]},
        "worker_mib": {"before": before_mib, "peak_first_pass": peak_mib, "peak_second_pass": peak_again_mib},
    }

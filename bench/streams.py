"""A stream through everything, against a straight line; then an unchanged full pass, and a delta of 1 %."""

import argparse
from dataclasses import dataclass
from typing import Any

from bench import straight_line
from bench.place import memory_mib, place
from worker.connectors import google_contacts
from worker.store.jobs_view import Job


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


def run(options: argparse.Namespace, measured: Measured, **world: float) -> dict[str, Any]:
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
    rate = _rate(first)
    return {
        "records": _notes(first)["seen"],
        "straight_line_per_s": best,
        "engine_per_s": rate,
        "ratio": round(rate / best, 2),
        "engine_took_s": _took(first),
        "unchanged_full_pass": {"took_s": _took(whole), "per_s": _rate(whole), "saved": _notes(whole)["saved"]},
        "delta_of_1_percent": {"took_s": _took(delta), "saved": _notes(delta)["saved"]},
        "worker_mib": {"before": before_mib, "peak_first_pass": peak_mib, "peak_second_pass": peak_again_mib},
    }


def _notes(job: Job) -> dict[str, Any]:
    return job.outcome or {}


def _took(job: Job) -> float:
    if job.finished_at is None:
        raise RuntimeError("the job is not finished")
    return round((job.finished_at - job.created_at).total_seconds(), 2)


def _rate(job: Job) -> int:
    return round(_notes(job)["seen"] / _took(job))

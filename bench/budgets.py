"""Every provider at its own limits: how much of what is allowed is used, and how often a provider had to refuse.

Four workers of sixteen threads, quota scale 1 on both sides, real time; all providers in the same minutes.

    Gmail            two mailboxes with more mail than the time allows
    Google contacts  one account whose changes are asked for again as soon as they are read
    Outlook          a mailbox whose contacts six tenants ask for again and again, and one whose mail two tenants load;
                     each call takes as long as `LATENCY_S`, so that four under way at a time are few
    Google Ads       one person who reaches many small accounts
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from bench import windows
from bench.place import Place, place
from worker.client import Client
from worker.connectors import google_ads_api, google_api, microsoft_api
from worker.transport.ports import Budget

WORKERS, THREADS = 4, 16
LATENCY_S = 0.5
"""How long a call of Outlook takes, as a batch of twenty mails may."""
MAILS_A_MINUTE = 1_500
"""In each mailbox: Gmail allows 300, and two tenants together can read 2,400 of Outlook's."""
AD_ACCOUNTS = 220
"""A first load of each is about fifteen requests, and 600 a minute are allowed."""
_FEW_REFUSALS, _MUCH_USED = 0.005, 0.9
_LOOK_S = 0.05
_OF_NO_MAILBOX = "/v1.0/me"
"""Who the account is, which takes no place of its mailbox."""


@dataclass(frozen=True, slots=True)
class Work:
    """A limit, and what is done to reach it. `quota` is the simulator's name of what is spent."""

    name: str
    budget: Budget
    quota: str
    host: str
    provider: str
    purpose: str
    stream: str
    tenants: int = 1
    endless: bool = False
    """What was read is asked for again; otherwise there is more than the time allows."""


MAIL = Work("gmail", google_api.GMAIL_USER, "gmail.user", "gmail.googleapis.com", "gmail", "mail", "messages")
CONTACTS = Work(
    "google_contacts", google_api.PEOPLE_USER, "people.critical_reads", "people.googleapis.com", "gmail", "contacts",
    "contacts", endless=True,
)  # fmt: skip
OUTLOOK = Work(
    "outlook", microsoft_api.MAILBOX, "graph.mailbox", "graph.microsoft.com", "outlook", "contacts", "contacts",
    tenants=6, endless=True,
)  # fmt: skip
OUTLOOK_MAIL = replace(OUTLOOK, name="outlook_mail", purpose="mail", stream="messages", tenants=2, endless=False)
ADS = Work(
    "google_ads", google_ads_api.REQUESTS, "google_ads.project_rate", "googleads.googleapis.com", "google_ads",
    "campaign_stats", "campaign_days",
)  # fmt: skip
OF_THE_DAY = "google_ads.operations"


@dataclass(slots=True)
class Running:
    """Work that was asked for, and since when; `jobs` are the newest of each tenant."""

    work: Work
    account: str
    since: float
    jobs: list[tuple[Client, UUID, int]] = field(default_factory=list)

    def ask_again(self) -> None:
        """Ask for what is done once more.

        Raises: RuntimeError for work that should not have come to its end.
        """
        for at, (crm, connection, job_id) in enumerate(self.jobs):
            job = crm.job(job_id)
            if not job.finished:
                continue
            if not (job.succeeded and self.work.endless):
                raise RuntimeError(f"{self.work.name} is {job.state} before its time ({job.reason} {job.message})")
            self.jobs[at] = (crm, connection, crm.sync(connection, self.work.stream)[0])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """For `--minutes`."""
    mails = options.minutes * MAILS_A_MINUTE
    world = {"people": 10, "messages": mails, "events": 1, "ad_accounts": AD_ACCOUNTS, "ad_campaigns": 1, "ad_days": 3}
    with place(workers=WORKERS, threads=THREADS, quota_scale=1.0, **world) as there, ExitStack() as clients:
        there.simulator.fault({"delay_s": LATENCY_S}, host=OUTLOOK.host, times=0)
        until = time.monotonic() + options.minutes * 60
        running = list(_begin(there, clients))
        endless = [each for each in running if each.work.endless]
        while time.monotonic() < until:
            for each in endless:
                each.ask_again()
            time.sleep(_LOOK_S)
        for each in running:
            each.ask_again()
        told = there.simulator.control("counters")["quotas"]
        results = [(each, there.simulator.requests(host=each.work.host)) for each in running]
    found: dict[str, Any] = {}
    for each, requests in results:
        label = each.work.name if each.work.name not in found else f"{each.work.name}, another account"
        found[label] = _measured(each, requests, told, options.minutes)
    found["google_ads"]["operations_of_a_day"] = {
        "limit": told[OF_THE_DAY]["limit"],
        "spent": told[OF_THE_DAY]["peak"],
        "used_of_allowed": f"no share: a day's limit cannot bind in {options.minutes} minutes",
    }
    return found


def _begin(there: Place, clients: ExitStack) -> Iterator[Running]:
    """What has work enough by itself first, since the others stand idle until somebody asks again."""
    google, microsoft = there.accounts, there.microsoft_accounts
    for work, account in (
        (MAIL, google[1]), (MAIL, google[2]), (ADS, google[0]), (OUTLOOK_MAIL, microsoft[1]), (CONTACTS, google[3]),
        (OUTLOOK, microsoft[0]),
    ):  # fmt: skip
        crms = [
            clients.enter_context(there.client(f"{work.name.replace('_', '-')}-{account.split('@')[0]}-{number}"))
            for number in range(work.tenants)
        ]
        connections = [(crm, there.connect(crm, account, [work.purpose], work.provider)) for crm in crms]
        jobs = [(crm, connection, crm.sync(connection, work.stream)[0]) for crm, connection in connections]
        yield Running(work, account, time.time(), jobs)


def _measured(running: Running, requests: list[dict[str, Any]], told: dict[str, Any], minutes: int) -> dict[str, Any]:
    work, budget = running.work, running.work.budget
    own = [each for each in requests if each["account"] == running.account]
    window_s = budget.window.total_seconds()
    spent = windows.spending(own, work.quota)
    asked = sum(1 + len(each["inner"]) for each in own)
    refused = sum(limit["refused"] for name, limit in told.items() if name.split(".")[0] == work.quota.split(".")[0])
    share = windows.used_of_allowed(spent, budget.limit / window_s) if window_s < minutes * 60 else None
    highest = windows.fullest(spent, window_s)
    result: dict[str, Any] = {
        "limit": f"{budget.limit} in {window_s:.0f} s ({budget.name})",
        "highest_window": highest,
        "used_of_allowed": round(share, 3) if share is not None else _why_none(window_s, minutes),
        "requests": asked,
        "refused_by_the_provider": refused,
        "refused_share": round(refused / asked, 5),
    }
    holds = highest <= budget.limit and refused / asked < _FEW_REFUSALS
    if budget is microsoft_api.MAILBOX:
        most = microsoft_api.AT_ONCE.limit
        calls = windows.places_taken((each for each in own if each["path"] != _OF_NO_MAILBOX), most)
        share = windows.used_of_places(calls, running.since, LATENCY_S, most)
        under_way = windows.most_under_way(calls, LATENCY_S)
        result["under_way"] = {
            "limit": f"{most} at a time, the entries of a batch too",
            "highest": under_way,
            "each_call_takes_s": LATENCY_S,
            "used_of_allowed": None if share is None else round(share, 3),
        }
        holds = holds and under_way <= most
    return {**result, "holds": holds and (share is None or share >= _MUCH_USED)}


def _why_none(window_s: float, minutes: int) -> str:
    if window_s >= minutes * 60:
        return f"no share: its window is longer than the {minutes} minutes of the run"
    return "no share: nothing had to wait for a window"

"""What the demonstration stands on: its steps, what they are held to, and the simulator's control door."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from worker.connectors import outlook_folders
from worker.store.measures_view import MeasuredAccount

PEOPLE: Final = 2_500
MESSAGES: Final = 300
EVENTS: Final = 60
DAYS: Final = 90
"""How far back campaign days are read."""
CALENDAR_DAYS: Final = 900
"""How far back and ahead Outlook's calendars are read: as far as may be set."""
QUOTA_SCALE: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Link:
    """An account of a provider, linked to a tenant."""

    tenant: str
    provider: str
    account: str
    connection_id: UUID


@dataclass(slots=True)
class Step:
    """One thing that the demonstration showed."""

    step: str
    held: bool = False
    took_s: float = 0.0
    shown: dict[str, Any] = field(default_factory=dict)


class NotHeldError(Exception):
    """Something that must hold did not."""


class Providers:
    """The simulator's control door, as a person at a provider would use it."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], facts: dict[str, Any]) -> None:
        self.url, self.process, self.facts = url, process, facts

    def control(self, name: str, body: dict[str, Any] | None = None, method: str | None = None, **query: Any) -> Any:
        """Ask, or tell, the control door."""
        address = f"{self.url}/_control/{name}" + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, payload, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - likewise
            return json.load(reply)

    def edit(self, account: str, *edits: dict[str, Any]) -> None:
        """Change what an account holds."""
        self.control("world", {"account": account, "edits": list(edits)})

    def truth(self, account: str, kind: str) -> list[dict[str, Any]]:
        """What an account really holds."""
        return list(self.control("truth", account=account, kind=kind)["items"])

    def numbers(self, link: Link) -> dict[str, int]:
        """How many records of each stream an account really holds, by what its connector says that it syncs."""
        match link.provider:
            case "gmail":
                return self._of_google(link.account)
            case "outlook":
                return self._of_microsoft(link.account)
            case _:
                return {}

    def _of_google(self, account: str) -> dict[str, int]:
        mails = self.truth(account, "messages")
        calendars = self.truth(account, "calendars")
        readable = {item["id"] for item in calendars if not item["hidden"] and item["role"] != "freeBusyReader"}
        events = self.truth(account, "events")
        return {
            "contacts": len(self.truth(account, "contacts")),
            "messages": sum(not {"SPAM", "TRASH"} & set(mail["labels"]) and not mail["vanished"] for mail in mails),
            "events": sum(
                event["calendar_id"] in readable and event["kind"] in {"default", "fromGmail"} for event in events
            ),
        }

    def _of_microsoft(self, account: str) -> dict[str, int]:
        folders = self.truth(account, "mail_folders")
        left_out = [folder["path"] for folder in folders if folder["known_as"] in outlook_folders.LEFT_OUT]
        mails = self.truth(account, "messages")
        now_s = self.control("clock")["now"]
        return {
            "contacts": len(self.truth(account, "contacts")),
            "messages": sum(not any(_within(mail["folder"], path) for path in left_out) for mail in mails),
            "events": sum(_in_window(event, now_s) for event in self.truth(account, "events")),
        }

    def spent(self, accounts: Iterable[MeasuredAccount]) -> dict[str, int]:
        """What those ad accounts really spent in the days that were read of them: millionths by currency."""
        spent: dict[str, int] = {}
        for account in accounts:
            days: dict[str, Any] = {"from": account.first_day.isoformat(), "to": account.last_day.isoformat()}
            for day in self.control("google_ads/truth", customer=account.account_id, **days)["items"]:
                spent[day["currency"]] = spent.get(day["currency"], 0) + day["cost_micros"]
        return spent


def _within(folder: str, path: str) -> bool:
    return folder == path or folder.startswith(f"{path}/")


def _in_window(event: dict[str, Any], now_s: float) -> bool:
    """Whether an event lies in the days that are read of Outlook's calendars; every series of theirs does."""
    away_s = abs(float(event["starts_at"]) - now_s)
    return bool(event["type"] == "seriesMaster") or away_s < timedelta(days=CALENDAR_DAYS).total_seconds()


def require(holds: bool, otherwise: str) -> None:
    """Hold a step to something.

    Raises:
        NotHeldError: it does not hold.
    """
    if not holds:
        raise NotHeldError(otherwise)


@contextmanager
def providers(write: Callable[[str, str], None]) -> Iterator[Providers]:
    """The simulated providers in a process of their own, and the door to it."""
    command = [sys.executable, "-m", "simulator", "--json", "--seed", "7", "--people", str(PEOPLE)]
    command += ["--messages", str(MESSAGES), "--events", str(EVENTS), "--quota-scale", str(QUOTA_SCALE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own module
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise NotHeldError("the simulator did not start")
        facts = json.loads(line)
        write("simulator", facts["url"])
        yield Providers(facts["url"], process, facts)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

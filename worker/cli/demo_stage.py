"""What the demonstration stands on: its steps, what they are held to, and the simulated provider's control door."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

PEOPLE: Final = 2_500
MESSAGES: Final = 300
EVENTS: Final = 60
QUOTA_SCALE: Final = 10_000.0


@dataclass(slots=True)
class Step:
    """One thing that the demonstration showed."""

    step: str
    held: bool = False
    took_s: float = 0.0
    shown: dict[str, Any] = field(default_factory=dict)


class NotHeldError(Exception):
    """Something that must hold did not."""


class Provider:
    """The simulator's control door, as a person at the provider would use it."""

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

    def numbers(self, account: str) -> dict[str, int]:
        """How many records of each stream an account really holds, by what the connector says that it syncs."""
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


def require(holds: bool, otherwise: str) -> None:
    """Hold a step to something.

    Raises:
        NotHeldError: it does not hold.
    """
    if not holds:
        raise NotHeldError(otherwise)


@contextmanager
def provider(write: Callable[[str, str], None]) -> Iterator[Provider]:
    """A simulated Google in a process of its own, and the door to it."""
    command = [sys.executable, "-m", "simulator", "--json", "--seed", "7", "--people", str(PEOPLE)]
    command += ["--messages", str(MESSAGES), "--events", str(EVENTS), "--quota-scale", str(QUOTA_SCALE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own module
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise NotHeldError("the simulator did not start")
        facts = json.loads(line)
        write("simulator", facts["url"])
        yield Provider(facts["url"], process, facts)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

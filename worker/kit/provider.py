"""The simulated provider as the kit meets it: a process of its own, and its control door over HTTP.

It knows the door's words (`simulator/rehearsal.py` documents them) and no provider.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlencode

from worker.errors import Misconfigured, Unavailable

_PATIENCE_S: Final = 60.0
PEOPLE: Final = 14
MESSAGES: Final = 14
EVENTS: Final = 20
PAGE_LIMIT: Final = 4
QUOTA_SCALE: Final = 10_000.0
"""Small worlds with small pages: a check is about what happens, not about how much."""


class RehearsalRefused(Exception):
    """The provider's part cannot do what was asked of it; the text is its own."""


@dataclass(frozen=True, slots=True)
class StreamPart:
    """What the provider's part says of one stream."""

    pages: Mapping[str, Any]
    acts: frozenset[str]
    paging: Mapping[str, Any]
    refusals: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the provider's part says of one connector."""

    accounts: tuple[str, ...]
    settings: Mapping[str, str]
    streams: Mapping[str, StreamPart]


class Provider:
    """The control door of a running simulator. Safe for threads."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    @contextmanager
    def start(cls, *, accounts: int, variables: Mapping[str, str] | None = None) -> Iterator[Self]:
        """A simulator in a process of its own, with so many accounts at each provider.

        Raises:
            Unavailable: it does not come up.
        """
        command = [sys.executable, "-m", "simulator", "--json", "--accounts", str(accounts)]
        command += ["--people", str(PEOPLE), "--messages", str(MESSAGES), "--events", str(EVENTS)]
        command += ["--page-limit", str(PAGE_LIMIT), "--quota-scale", str(QUOTA_SCALE)]
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdout=subprocess.PIPE, start_new_session=True, env=dict(variables) if variables else None
        )
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise Unavailable("The simulator did not start; what it said stands above.")
            yield cls(json.loads(line)["url"])
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()

    def rehearsal(self, connector: str) -> Rehearsal:
        """What there is to try of a connector.

        Raises:
            Misconfigured: no simulated provider plays for it.
        """
        shown = self.control("rehearsals")
        if connector not in shown:
            raise Misconfigured(
                f"No simulated provider lets «{connector}» be tried. Its package must bring one through the "
                "entry-point group crm_sync.simulators; docs/how-to/write-a-connector.md shows how."
            )
        told = shown[connector]
        streams = {
            name: StreamPart(part["pages"], frozenset(part["acts"]), part["paging"], part["refusals"])
            for name, part in told["streams"].items()
        }
        return Rehearsal(tuple(told["accounts"]), told["settings"], streams)

    def rehearse(self, connector: str, do: str, account: str, **more: Any) -> Any:
        """Let something happen at the provider.

        Raises:
            RehearsalRefused: the part has no such act, or it went wrong.
        """
        return self.control("rehearse", {"connector": connector, "do": do, "account": account, **more})

    def fault(self, match: Mapping[str, Any], action: Mapping[str, Any]) -> int:
        """Add a rule to the fault script, and return its number."""
        return int(self.control("faults", {"match": dict(match), "action": dict(action)})["number"])

    def clear(self, number: int) -> None:
        """Drop a rule."""
        self.control("faults", method="DELETE", number=number)

    def requests(self, match: Mapping[str, Any], *, since: int = 0) -> list[dict[str, Any]]:
        """What was asked after a number, of those requests that a fault script would match."""
        asked = {"match": json.dumps(dict(match)), "since": since}
        return list(self.control(f"requests?{urlencode(asked)}")["requests"])

    def last_request(self) -> int:
        """The number of the newest request."""
        return int(self.control("requests?account=-")["last"])

    def control(self, name: str, body: dict[str, Any] | None = None, method: str | None = None, **query: Any) -> Any:
        """Ask, or tell, the control door.

        Raises:
            RehearsalRefused: the door's own words.
            Unavailable: it does not answer.
        """
        address = f"{self.url}/_control/{name}" + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, payload, method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as reply:  # noqa: S310 - likewise
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                told = error.read(2_000).decode("utf-8", "replace")
            raise RehearsalRefused(f"the simulated provider refused {name} {body or query}: {told}") from None
        except OSError as error:
            raise Unavailable(
                f"The simulated provider does not answer ({type(error).__name__}). If it ended, what it said stands "
                "above."
            ) from None

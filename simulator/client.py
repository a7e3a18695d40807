"""Start a simulator as a process of its own and talk to its control door.

For tests, demos and benchmarks; only the standard library, so that it can be used from anywhere.
"""

import contextlib
import http.client
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

_HOME = Path(__file__).resolve().parent.parent
_START_S = 20.0
_STOP_S = 5.0


class ControlRefused(Exception):
    """The control door found something wrong with what it was asked."""


class Simulator:
    """A running simulator; use it as a context manager.

    `Simulator.start(people=100)` spawns one; `Simulator(url)` speaks to one that runs already and leaves it running.
    """

    def __init__(
        self, url: str, process: subprocess.Popen[str] | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        self.url = url
        self.facts = facts or {}
        self._process = process

    @classmethod
    def start(cls, **options: Any) -> Self:
        """Spawn `python -m simulator`; options are its own with underscores, a list repeats an option.

        Raises: RuntimeError when it does not come up.
        """
        command = [sys.executable, "-m", "simulator", "--json"]
        for name, value in options.items():
            for one in value if isinstance(value, list | tuple) else [value]:
                command += ["--" + name.replace("_", "-"), str(one)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_HOME)
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            process.wait(_START_S)
            raise RuntimeError(f"The simulator ended with status {process.returncode} before it gave its address.")
        facts = json.loads(line)
        return cls(facts["url"], process, facts)

    @property
    def pid(self) -> int | None:
        """The process id, where this object started it."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End the process that this object started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def control(
        self, name: str = "", body: dict[str, Any] | None = None, method: str | None = None, **query: Any
    ) -> Any:
        """Call a control: GET, or POST when a body is given.

        Raises: ControlRefused with the door's own words.
        """
        path = f"/_control/{name}" + ("?" + urlencode(query) if query else "")
        payload = None if body is None else json.dumps(body).encode()
        status, raw = self.request(method or ("GET" if body is None else "POST"), path, payload)
        answer = json.loads(raw)
        if status >= 400:
            raise ControlRefused(answer["error"])
        return answer

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 60,
    ) -> tuple[int, bytes]:
        """Send one plain request and return its status and body."""
        place = urlsplit(self.url)
        with contextlib.closing(
            http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout_s)
        ) as line:
            line.request(method, path, body, headers or {})
            reply = line.getresponse()
            return reply.status, reply.read()

    def accounts(self, provider: str = "google") -> list[dict[str, Any]]:
        """Return the accounts at a provider with their addresses and counts."""
        return list(self.control("accounts", provider=provider)["accounts"])

    def truth(self, account: str, kind: str) -> list[dict[str, Any]]:
        """Return what the world really holds."""
        return list(self.control("truth", account=account, kind=kind)["items"])

    def edit(self, account: str, *edits: dict[str, Any]) -> list[Any]:
        """Change the world; returns one result for each edit."""
        return list(self.control("world", {"account": account, "edits": list(edits)})["results"])

    def advance(self, seconds: float) -> None:
        """Move the simulated clock."""
        self.control("clock", {"advance_s": seconds})

    def fault(self, action: dict[str, Any], **match: Any) -> int:
        """Add a fault rule and return its number."""
        return int(self.control("faults", {"match": match, "action": action})["number"])

    def clear_faults(self) -> None:
        """Drop all fault rules."""
        self.control("faults", method="DELETE")

    def requests(self, since: int = 0, **only: Any) -> list[dict[str, Any]]:
        """Return the log of requests."""
        return list(self.control("requests", since=since, **only)["requests"])

    def consent(
        self,
        authorize_url: str,
        account: str | None = None,
        scopes: list[str] | None = None,
        *,
        deny: bool = False,
    ) -> str:
        """Act as the person at the consent page; returns the address that the browser would end at."""
        asked = {"authorize_url": authorize_url, "account": account, "scopes": scopes, "deny": deny}
        return str(self.control("consent", asked)["redirect_url"])

    def grant(self, account: str, scopes: list[str], **parameters: str) -> dict[str, Any]:
        """Go the whole way from consent to tokens with the default client; for tests that start with a grant.

        The account tells at which provider.
        """
        if account in self.facts.get("microsoft", {}).get("accounts", ()):
            return self._microsoft_grant(account, scopes, parameters)
        redirect = self.facts["redirect_uris"][0]
        asked = {
            "client_id": self.facts["client_id"],
            "redirect_uri": redirect,
            "response_type": "code",
            "scope": " ".join(scopes),
            "access_type": "offline",
            "prompt": "consent",
            **parameters,
        }
        ended = self.consent("https://accounts.google.com/o/oauth2/v2/auth?" + urlencode(asked), account)
        code = parse_qs(urlsplit(ended).query)["code"][0]
        secret = self.facts["client_secret"]
        return self._exchange("/oauth2.googleapis.com/token", code, asked["client_id"], secret, redirect)

    def _microsoft_grant(self, account: str, scopes: list[str], parameters: dict[str, str]) -> dict[str, Any]:
        client, redirect = self.facts["microsoft"], self.facts["redirect_uris"][0]
        asked = {
            "client_id": client["client_id"],
            "redirect_uri": redirect,
            "response_type": "code",
            "scope": " ".join([*scopes, "offline_access", "openid", "profile"]),
            **parameters,
        }
        path = "login.microsoftonline.com/common/oauth2/v2.0/"
        ended = self.consent(f"https://{path}authorize?" + urlencode(asked), account)
        code = parse_qs(urlsplit(ended).query)["code"][0]
        return self._exchange(f"/{path}token", code, client["client_id"], client["client_secret"], redirect)

    def _exchange(self, path: str, code: str, client_id: str, client_secret: str, redirect: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": client_id,
            "client_secret": client_secret,
            "redirect_uri": redirect,
        }
        status, raw = self.request(
            "POST", path, urlencode(form).encode(), {"content-type": "application/x-www-form-urlencoded"}
        )
        if status != 200:
            raise ControlRefused(raw.decode())
        tokens: dict[str, Any] = json.loads(raw)
        return tokens

"""The official Microsoft client with its network replaced by one that leads to the simulator, and calls to Graph.

    client = msal_client(simulator)

Nothing of msal is patched: it is given another `http_client`, as its constructor allows.
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msal

from simulator.client import Simulator

LOGIN = "/login.microsoftonline.com"
GRAPH = "/graph.microsoft.com/v1.0"
AUTHORITY = "https://login.microsoftonline.com/common"
EVERYTHING = ["User.Read", "Mail.Read", "Contacts.Read", "Calendars.Read"]


class LoopbackReply:
    """As much of a reply as msal uses."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status_code = status
        self.headers = headers
        self.text = text

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise OSError(f"status {self.status_code}: {self.text}")


class LoopbackClient:
    """As much of an HTTP client as msal uses; https://HOST/PATH becomes SIMULATOR/HOST/PATH."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self.asked: list[str] = []

    def get(self, url: str, params: Any = None, headers: Any = None, **_unused: Any) -> LoopbackReply:
        return self._send("GET", url, params, None, headers)

    def post(
        self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_unused: Any
    ) -> LoopbackReply:
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        body = urlencode(data) if isinstance(data, dict) else data
        return self._send("POST", url, params, body, sent)

    def close(self) -> None:
        """Nothing stays open between requests."""

    def _send(self, method: str, url: str, params: Any, body: Any, headers: Any) -> LoopbackReply:
        asked = urlsplit(url)
        query = "&".join(one for one in (asked.query, urlencode(params or {})) if one)
        self.asked.append(f"{method} {asked.netloc}{asked.path}")
        line = http.client.HTTPConnection(self._place.hostname or "", self._place.port, timeout=10)
        try:
            line.request(method, f"/{asked.netloc}{asked.path}?{query}", body, headers or {})
            reply = line.getresponse()
            head = dict(reply.getheaders())
            return LoopbackReply(reply.status, head, reply.read().decode())
        finally:
            line.close()


def msal_client(simulator: Simulator, authority: str = AUTHORITY, **options: Any) -> Any:
    """A confidential client of msal with an empty cache."""
    client = simulator.facts["microsoft"]
    return msal.ConfidentialClientApplication(
        client["client_id"],
        client_credential=options.pop("client_credential", client["client_secret"]),
        authority=authority,
        http_client=options.pop("http_client", LoopbackClient(simulator.url)),
        **options,
    )


class Graph:
    """Plain calls with one token; a link may be given whole."""

    def __init__(self, simulator: Simulator, token: str) -> None:
        self.simulator = simulator
        self.token = token
        self.headers: Mapping[str, str] = {}

    def get(self, where: str, prefer: str | None = None, **query: Any) -> tuple[int, Any]:
        """Status and decoded JSON; names in the query get their dollar sign here, except times."""
        place = urlsplit(self.simulator.url)
        path = "/" + where.removeprefix("https://") if where.startswith("https://") else GRAPH + where
        if query:
            path += "?" + urlencode(
                {name if name.endswith("DateTime") else f"${name}": one for name, one in query.items()}
            )
        headers = {"authorization": f"Bearer {self.token}"} | ({"prefer": prefer} if prefer else {})
        line = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        try:
            line.request("GET", path, headers=headers)
            reply = line.getresponse()
            self.headers = {name.lower(): value for name, value in reply.getheaders()}
            raw = reply.read()
            return reply.status, json.loads(raw) if "json" in self.headers["content-type"] else raw
        finally:
            line.close()

    def batch(self, *entries: dict[str, Any]) -> tuple[int, Any]:
        """Status and decoded JSON of a batch; entries without a method are GETs, without an id they are numbered."""
        requests = [{"id": str(at), "method": "GET", **one} for at, one in enumerate(entries)]
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        body = json.dumps({"requests": requests}).encode()
        status, raw = self.simulator.request("POST", GRAPH + "/$batch", body, headers)
        return status, json.loads(raw)

    def walk(self, where: str, prefer: str | None = None, **query: Any) -> tuple[list[dict[str, Any]], str]:
        """All items of a round and its delta link."""
        items: list[dict[str, Any]] = []
        status, page = self.get(where, prefer, **query)
        while True:
            assert status == 200, page
            items += page["value"]
            if "@odata.nextLink" not in page:
                return items, page.get("@odata.deltaLink", "")
            assert "@odata.deltaLink" not in page
            status, page = self.get(page["@odata.nextLink"], prefer)

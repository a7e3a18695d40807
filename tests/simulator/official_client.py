"""The official Google client, with its network replaced by one that leads to the simulator.

    people = official("people", "v1", simulator, access_token)

Nothing of the client is patched: it is given another `http`, as its constructor allows.
"""

import http.client
from typing import Any
from urllib.parse import urlsplit

import httplib2
from googleapiclient.discovery import build

from simulator.client import Simulator


class LoopbackHttp:
    """As much of `httplib2.Http` as the official client uses; https://HOST/PATH becomes SIMULATOR/HOST/PATH."""

    redirect_codes = frozenset({301, 302, 303, 307, 308})

    def __init__(self, url: str, access_token: str | None = None, timeout_s: float = 10) -> None:
        self._place = urlsplit(url)
        self._token = access_token
        self._timeout_s = timeout_s

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        **_unused: Any,
    ) -> tuple[httplib2.Response, bytes]:
        asked = urlsplit(uri)
        sent = {name: value for name, value in (headers or {}).items() if name.lower() != "accept-encoding"}
        if self._token:
            sent["authorization"] = f"Bearer {self._token}"
        line = http.client.HTTPConnection(self._place.hostname or "", self._place.port, timeout=self._timeout_s)
        try:
            line.request(method, f"/{asked.netloc}{asked.path}?{asked.query}", body, sent)
            reply = line.getresponse()
            content = reply.read()
            head = {name.lower(): value for name, value in reply.getheaders()}
            return httplib2.Response({**head, "status": str(reply.status)}), content
        finally:
            line.close()

    def close(self) -> None:
        """Nothing stays open between requests."""


def official(api: str, version: str, simulator: Simulator, access_token: str) -> Any:
    """The official client of an API, speaking to the simulator with that token."""
    return build(api, version, http=LoopbackHttp(simulator.url, access_token), static_discovery=True)

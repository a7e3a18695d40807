"""The person's half of connecting, for the command line: shows the consent page, and listens where it leads back to.

For the simulator it can also give the consent itself, by its control door; there is no such way at a real provider.
"""

import json
import threading
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from worker.client import Client
from worker.errors import BadRequest, CrmSyncError, Misconfigured, Unavailable
from worker.settings import LOOPBACK, Settings
from worker.store.jobs_view import Job

_START_S = 30.0
Say = Callable[[str], None]


class NotConnected(CrmSyncError):
    """The account was not connected; the text says why."""

    reason = "not_connected"


def connect_account(
    settings: Settings,
    crm: Client,
    say: Say,
    *,
    provider: str,
    purposes: Sequence[str],
    policy_version: str,
    agreed_by: str,
    connection_id: UUID | None = None,
    account: str | None = None,
    scopes: Sequence[str] | None = None,
    without_browser: bool = False,
    timeout_s: float = 300,
) -> dict[str, Any]:
    """Connect an account and return what came of it: connection_id, streams, missing_scopes.

    Raises:
        BadRequest: the provider or a purpose does not exist, or consent without a browser was asked of a real provider.
        NotConnected: the person did not consent, or the provider refused.
        Unavailable: no worker answered, or the person did not come back in time.
    """
    if without_browser and settings.provider_route is None:
        raise BadRequest(
            "--yes consents at the simulator only. Set CRM_SYNC_PROVIDER_ROUTE to one, or leave --yes out."
        )
    started = crm.wait(
        crm.connect_start(
            provider,
            purposes,
            policy_version=policy_version,
            agreed_by=agreed_by,
            connection_id=connection_id,
            login_hint=account,
        ),
        timedelta(seconds=_START_S),
        open_outcome=True,
    )
    _require(started)
    url = (started.private or {})["authorize_url"]
    if without_browser:
        back = _consent_at_simulator(str(settings.provider_route), url, account, scopes)
    else:
        # The worker's setting holds, whatever this process has: the provider sends the person to what the page names.
        redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        back = _consent_in_browser(redirect_uri, url, say, timeout_s)
    finished = crm.wait(crm.connect_complete(back), timedelta(seconds=_START_S * 2))
    _require(finished)
    return dict(finished.outcome or {})


def _require(job: Job) -> None:
    if not job.finished:
        raise Unavailable(
            f"No worker took up the request (job {job.job_id} is {job.state}). Start one with `crm-sync up`, or "
            "`crm-sync worker` and `crm-sync scheduler`; `crm-sync doctor` says what is missing."
        )
    if job.reason == "bad_request":
        raise BadRequest(job.message or "The request cannot be.")
    if job.reason == "misconfigured":
        raise Misconfigured(job.message or "A setting is missing.")
    if not job.succeeded:
        raise NotConnected(f"Not connected ({job.reason}): {job.message or job.state}{_next_step(job.outcome or {})}")


def _next_step(outcome: dict[str, Any]) -> str:
    url = outcome.get("admin_consent_url")
    if url is None:
        return ""
    again = f"--connection {outcome['connection_id']}"
    return f" They can, for the whole organisation, at this address:\n\n  {url}\n\nThen connect once more with {again}."


def _consent_at_simulator(route: str, url: str, account: str | None, scopes: Sequence[str] | None) -> str:
    asked = {"authorize_url": url, "account": account, "scopes": list(scopes) if scopes is not None else None}
    request = urllib.request.Request(  # noqa: S310 - the route is loopback, which the settings have checked
        f"{route}/_control/consent", json.dumps(asked).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - likewise
            return str(json.load(reply)["redirect_url"])
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(2_000).decode("utf-8", "replace")
        raise NotConnected(f"The simulator's consent page refused: {said}") from None
    except OSError as error:
        raise Unavailable(f"The simulator at {route} did not consent ({type(error).__name__}). Does it run?") from None


def _consent_in_browser(redirect_uri: str, url: str, say: Say, timeout_s: float) -> str:
    place = urlsplit(redirect_uri)
    if place.hostname not in LOOPBACK or place.scheme != "http":
        raise BadRequest(
            f"The redirect address {redirect_uri} is not on this machine, so this command cannot wait there. Use the "
            "CRM's own page with worker.client, or give the workers CRM_SYNC_REDIRECT_URI=http://localhost:8765/callback."
        )
    came: list[str] = []
    arrived = threading.Event()

    class Page(BaseHTTPRequestHandler):
        """Takes the person back from the consent page, once."""

        def do_GET(self) -> None:
            """Answer the browser."""
            mine = urlsplit(self.path).path == place.path
            self.send_response(200 if mine else 404)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"Thank you. You may close this page." if mine else b"There is nothing here.")
            if mine:
                came.append(f"{place.scheme}://{place.netloc}{self.path}")
                arrived.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing: the address holds the code."""

    try:
        server = HTTPServer((place.hostname or "localhost", place.port or 80), Page)
    except OSError as error:
        raise Unavailable(
            f"Nothing can listen at {redirect_uri} ({error.strerror}). Is another connect running? End it, or set "
            "the workers' CRM_SYNC_REDIRECT_URI to another port that is registered with the provider."
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        say(f"Open this page and give consent:\n\n  {url}\n")
        webbrowser.open(url)
        if not arrived.wait(timeout_s):
            raise Unavailable(
                f"Nobody came back from the consent page within {timeout_s:.0f} s. Nothing was connected."
            )
    finally:
        server.shutdown()
        server.server_close()
    return came[0]

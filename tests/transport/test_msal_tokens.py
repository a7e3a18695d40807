"""Microsoft's tokens over real HTTP: msal writes the requests, and none of its memories outlives an exchange."""

import json
import socket
import subprocess
import sys
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from tests.conftest import ROOT
from tests.transport.raw_server import RawServer, raw_server, reply
from tests.transport.sessions import Ports
from worker.connectors.microsoft_api import MICROSOFT_OAUTH
from worker.errors import (
    AdminBlocked,
    ConnectionStopped,
    ConsentGone,
    CrmSyncError,
    Misconfigured,
    ProviderRefused,
    ReplyLost,
    Throttled,
    Transient,
)
from worker.transport.client import Transport
from worker.transport.oauth import OAuthEndpoint
from worker.transport.ports import OAuthClient, Secret
from worker.transport.token_replies import TokenReply

GOOD = reply(body=b'{"token_type": "Bearer", "access_token": "a2", "refresh_token": "r2", "expires_in": 3599}')
SCOPES = ("Mail.Read", "User.Read", "openid", "profile")


def endpoint(server: RawServer, tenant: str = "common") -> OAuthEndpoint:
    client = OAuthClient("client-1", Secret("CANARY-client-secret"), "project", tenant)
    return OAuthEndpoint(Transport(route=server.route), MICROSOFT_OAUTH.at_tenant(tenant), client)


def refusal(status: int, error: str, *numbers: int, suberror: str = "", **headers: str) -> bytes:
    body = {
        "error": error,
        "error_codes": list(numbers),
        "error_description": "CANARY of a person",
        "suberror": suberror,
    }
    return reply(status, json.dumps(body).encode(), **headers)


def refreshed(server: RawServer, **more: str) -> TokenReply:
    return endpoint(server).refresh(Secret("CANARY-refresh"), Ports(), scopes=SCOPES, **more)


def form_of(request: bytes) -> dict[str, list[str]]:
    return parse_qs(request.partition(b"\r\n\r\n")[2].decode())


def test_a_refresh_is_one_request_on_no_socket_but_ours_with_secrets_in_its_body_only(monkeypatch) -> None:
    reached = []
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: (reached.append(address), real(self, address)))
    with raw_server(GOOD) as server:
        got = refreshed(server)
        assert {address[1] for address in reached} == {server.port}
        assert len(server.requests) == 1
        head, form = server.requests[0].partition(b"\r\n\r\n")[0], form_of(server.requests[0])
    assert head.startswith(b"POST /login.microsoftonline.com/common/oauth2/v2.0/token ")
    assert b"msal.python" in head.lower()
    assert b"CANARY" not in head
    assert form["refresh_token"] == ["CANARY-refresh"]
    assert form["client_secret"] == ["CANARY-client-secret"]
    assert set(form["scope"][0].split()) == {*SCOPES, "offline_access"}
    assert "claims" not in form
    assert (got.access_token, got.refresh_token, got.lifetime) == (Secret("a2"), Secret("r2"), timedelta(seconds=3599))


def test_a_code_is_redeemed_with_its_verifier_at_the_directory_of_our_registration() -> None:
    with raw_server(GOOD) as server:
        one = endpoint(server, "contoso.example")
        one.exchange("CANARY-code", "v" * 43, "http://localhost/cb", Ports(), scopes=("openid", "Mail.Read"))
        head, form = server.requests[0].partition(b"\r\n\r\n")[0], form_of(server.requests[0])
    assert b"/contoso.example/oauth2/v2.0/token" in head
    assert (form["code"], form["code_verifier"]) == (["CANARY-code"], ["v" * 43])
    assert form["redirect_uri"] == ["http://localhost/cb"]
    assert set(form["scope"][0].split()) == {"openid", "profile", "offline_access", "Mail.Read"}


def test_a_challenge_of_the_api_is_answered_in_the_next_refresh() -> None:
    with raw_server(GOOD) as server:
        refreshed(server, claims='{"access_token":{"acrs":{"essential":true,"value":"c1"}}}')
        assert json.loads(form_of(server.requests[0])["claims"][0])["access_token"]["acrs"]["value"] == "c1"


@pytest.mark.parametrize(
    "first",
    [
        refusal(400, "invalid_grant", 50173),
        refusal(400, "invalid_grant", 65001, retry_after="3600"),
        refusal(429, "temporarily_unavailable", 90055, retry_after="3600"),
        refusal(503, "temporarily_unavailable"),
        reply(503, b""),
    ],
)
def test_msal_remembers_no_refusal_for_the_next_exchange(first) -> None:
    with raw_server(first, GOOD) as server:
        one = endpoint(server)
        with pytest.raises(CrmSyncError):
            one.refresh(Secret("r"), Ports(), scopes=SCOPES)
        assert one.refresh(Secret("r"), Ports(), scopes=SCOPES).access_token == Secret("a2")
        assert len(server.requests) == 2


def test_msal_answers_no_refresh_out_of_a_cache() -> None:
    with raw_server(GOOD, reply(body=b'{"access_token": "a3"}')) as server:
        one = endpoint(server)
        given = [one.refresh(Secret("r"), Ports(), scopes=SCOPES).access_token for _ in range(2)]
        assert given == [Secret("a2"), Secret("a3")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(400, "invalid_grant", 50173, suberror="bad_token"), ConsentGone),
        (refusal(400, "invalid_grant", 70000), ConsentGone),
        (refusal(400, "invalid_grant", 700082), ConsentGone),
        (refusal(400, "invalid_grant", 65001, suberror="consent_required"), ConsentGone),
        (refusal(400, "interaction_required", 50076, suberror="basic_action"), ConsentGone),
        (refusal(400, "invalid_grant", 50057), ConsentGone),
        (refusal(400, "invalid_grant", 90094), AdminBlocked),
        (refusal(400, "consent_required", 90095), AdminBlocked),
        (refusal(400, "interaction_required", 50105), AdminBlocked),
        (refusal(400, "invalid_grant", 53003, suberror="message_only"), AdminBlocked),
        (refusal(401, "invalid_client", 7000215), Misconfigured),
        (refusal(401, "invalid_client", 7000222), Misconfigured),
        (refusal(400, "unauthorized_client", 700016), Misconfigured),
        (refusal(400, "invalid_request", 900144), Misconfigured),
        (refusal(400, "invalid_grant", 50196), Throttled),
        (refusal(400, "temporarily_unavailable", 90055), Throttled),
        (refusal(429, "too_many_requests"), Throttled),
        (refusal(503, "temporarily_unavailable", 90033), Transient),
        (refusal(400, "server_error", 50033), Transient),
        (refusal(400, "never heard of CANARY"), ProviderRefused),
        (reply(400, b'{"error": "invalid_grant", "error_codes": "CANARY"}'), Transient),
        (reply(502, b"<html>"), ReplyLost),
        (reply(200, b"<html>"), ReplyLost),
        (b"", ReplyLost),
    ],
)
def test_p6_each_refusal_is_exactly_one_of_our_errors(answer, kind) -> None:
    with raw_server(answer) as server, pytest.raises(kind) as caught:
        refreshed(server)
    assert type(caught.value) is kind
    assert "CANARY" not in str(caught.value)


def test_p2_nothing_is_asked_when_the_gate_is_shut() -> None:
    with raw_server(GOOD) as server:
        with pytest.raises(ConnectionStopped):
            endpoint(server).refresh(Secret("r"), Ports(shut=ConnectionStopped("stopped")), scopes=SCOPES)
        assert server.requests == []


def test_the_account_is_asked_of_graph_and_no_id_token_is_believed() -> None:
    found = TokenReply(Secret("a"), Secret("r"), None, None, None, Secret("an.unread.token"))
    with raw_server(reply(body=b'{"id": "0f-1", "mail": null}')) as server:
        assert endpoint(server).identity(found, Ports()).subject == "0f-1"
        assert server.requests[0].startswith(b"GET /graph.microsoft.com/v1.0/me?")


@pytest.mark.parametrize(
    ("error", "subcode", "description", "admins"),
    [
        ("access_denied", "cancel", "AADSTS65004: User declined to consent", False),
        ("access_denied", "", "", False),
        ("access_denied", "", "AADSTS90094: An administrator of X has set a policy", True),
        ("consent_required", "", "", True),
        ("access_denied", "", "AADSTS65001: The user or administrator has not consented", True),
        ("server_error", "", "AADSTS900941", False),
    ],
)
def test_who_waits_for_an_administrator_is_told_from_who_declined(error, subcode, description, admins) -> None:
    with raw_server(GOOD) as server:
        assert endpoint(server).is_admins_affair(error, subcode, description) is admins


def test_msal_is_loaded_when_a_token_is_first_asked_for_and_not_before() -> None:
    code = "import sys, worker.app, worker.connectors.outlook; print('msal' in sys.modules, 'requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]

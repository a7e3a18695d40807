"""OAuth over real HTTP: what is sent, what each reply means, and who consented."""

import json
import socket
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.transport.raw_server import RawServer, raw_server, reply
from tests.transport.sessions import Ports
from worker.errors import (
    AdminBlocked,
    ConnectionStopped,
    ConsentGone,
    Misconfigured,
    ProviderRefused,
    ReplyLost,
    Throttled,
    Transient,
)
from worker.transport.client import Transport
from worker.transport.oauth import OAuthEndpoint
from worker.transport.ports import OAuthClient, OAuthFacts, Rotation, Secret
from worker.transport.scopes import missing_scopes
from worker.transport.token_replies import TokenReply

FACTS = OAuthFacts(
    authorize_url="https://accounts.example.com/auth",
    token_url="https://oauth.example.com/token",
    revoke_url="https://oauth.example.com/revoke",
    userinfo_url="https://oauth.example.com/userinfo",
    issuer="https://accounts.example.com",
    jwks_url="https://oauth.example.com/certs",
    identity_scopes=("openid",),
    authorize_params=(("access_type", "offline"),),
    rotation=Rotation.NONE,
    revoke_ends_siblings=True,
    default_lifetime=timedelta(hours=1),
    consent_gone_codes=frozenset({"invalid_grant"}),
    admin_blocked_codes=frozenset({"admin_policy_enforced"}),
    misconfigured_codes=frozenset({"invalid_client"}),
)
KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
OTHER = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
JWKS = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()


def endpoint(server: RawServer) -> OAuthEndpoint:
    client = OAuthClient("client-1", Secret("CANARY-client-secret"), "project")
    return OAuthEndpoint(Transport(route=server.route), FACTS, client)


def refreshed(answer: bytes) -> TokenReply:
    with raw_server(answer) as server:
        return endpoint(server).refresh(Secret("CANARY-refresh"), Ports())


def form_of(request: bytes) -> dict[str, list[str]]:
    return parse_qs(request.partition(b"\r\n\r\n")[2].decode())


def test_consent_address_carries_pkce_and_no_secret() -> None:
    with raw_server(reply()) as server:
        url = endpoint(server).authorize_url(
            redirect_uri="http://localhost/cb", scopes=["openid", "email"], state="s1", verifier="v" * 43
        )
        assert url.startswith(f"{server.route}/accounts.example.com/auth?")
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["scope"] == ["openid email"]
    assert query["access_type"] == ["offline"]
    assert query["state"] == ["s1"]
    assert "CANARY" not in url
    assert "v" * 43 not in url


def test_code_is_exchanged_in_the_body_and_on_no_socket_but_ours(monkeypatch) -> None:
    reached = []
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: (reached.append(address), real(self, address)))
    with raw_server(reply(body=b'{"access_token": "a", "refresh_token": "r", "expires_in": 3599}')) as server:
        got = endpoint(server).exchange("CANARY-code", "v" * 43, "http://localhost/cb", Ports())
        assert {address[1] for address in reached} == {server.port}
        head, form = server.requests[0].partition(b"\r\n\r\n")[0], form_of(server.requests[0])
    assert b"CANARY" not in head
    assert form["code"] == ["CANARY-code"]
    assert form["code_verifier"] == ["v" * 43]
    assert form["client_secret"] == ["CANARY-client-secret"]
    assert got.refresh_token == Secret("r")
    assert "r" not in repr(got.refresh_token).removeprefix("Secret")


@pytest.mark.parametrize(
    ("shown", "lifetime"),
    [("3599", 3599), ('"3599"', 3599), ("3599.5", 3599.5), ("null", None), ('"soon"', None), ("-1", None), ("0", None)],
)
def test_lifetime_is_read_in_every_shape(shown, lifetime) -> None:
    got = refreshed(reply(body=f'{{"access_token": "a", "expires_in": {shown}}}'.encode()))
    assert got.lifetime == (None if lifetime is None else timedelta(seconds=lifetime))
    assert got.refresh_token is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "CANARY"}', ConsentGone),
        (400, b'{"error": "admin_policy_enforced"}', AdminBlocked),
        (401, b'{"error": "invalid_client"}', Misconfigured),
        (429, b'{"error": "rate_limit_exceeded"}', Throttled),
        (429, b"<html>", Throttled),
        (403, b'{"error": "rate_limit_exceeded"}', Throttled),
        (500, b'{"error": "internal_failure"}', Transient),
        (503, b"<html>", ReplyLost),
        (400, b"<html>invalid_grant</html>", Transient),
        (404, b"", Transient),
        (302, b"", Transient),
        (400, b'{"error": "never heard of CANARY"}', ProviderRefused),
        (200, b"<html>welcome to our hotel</html>", ReplyLost),
        (200, b'{"access_token": ""}', ReplyLost),
        (200, b'{"access_token": "a', ReplyLost),
        (200, b'{"error": "invalid_grant"}', ReplyLost),
        (204, b"", ReplyLost),
    ],
)
def test_p6_only_the_providers_own_word_ends_a_consent(status, body, kind) -> None:
    with pytest.raises(kind) as caught:
        refreshed(reply(status, body))
    assert type(caught.value) is kind
    assert "CANARY" not in str(caught.value)


def test_reply_is_lost_when_the_connection_breaks_after_sending() -> None:
    with pytest.raises(ReplyLost):
        refreshed(b"")


def test_p2_nothing_is_asked_when_the_gate_is_shut() -> None:
    with raw_server(reply()) as server:
        with pytest.raises(ConnectionStopped):
            endpoint(server).refresh(Secret("r"), Ports(shut=ConnectionStopped("stopped")))
        assert server.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b""),
        reply(200, b"{}"),
        reply(400, b'{"error": "invalid_token"}'),
        reply(400, b'{"error": "invalid_grant"}'),
    ],
)
def test_revocation_of_a_dead_token_is_a_success(answer) -> None:
    with raw_server(answer) as server:
        endpoint(server).revoke(Secret("CANARY"))
        assert form_of(server.requests[0])["token"] == ["CANARY"]
        assert b"CANARY" not in server.requests[0].partition(b"\r\n\r\n")[0]


def test_revocation_that_failed_is_told() -> None:
    with raw_server(reply(503, b"")) as server, pytest.raises(Transient):
        endpoint(server).revoke(Secret("t"))


def test_scopes_are_compared_by_meaning() -> None:
    long = ["https://www.googleapis.com/auth/userinfo.email", "openid"]
    assert missing_scopes(["email", "openid", "contacts"], long) == ("contacts",)


def id_token(key=KEY, algorithm="RS256", **changes) -> TokenReply:
    claims = {"iss": "https://accounts.example.com", "aud": "client-1", "exp": int(time.time()) + 600, "sub": "s-1"}
    token = jwt.encode({"alg": algorithm, "kid": "one"}, {**claims, **changes}, key, algorithms=[algorithm])
    return TokenReply(Secret("a"), None, None, None, None, Secret(token))


@pytest.mark.parametrize("issuer", ["https://accounts.example.com", "accounts.example.com", "accounts.example.com/"])
def test_subject_is_told_by_a_genuine_id_token_and_keys_are_fetched_once(issuer) -> None:
    with raw_server(reply(body=JWKS, cache_control="public, max-age=3600")) as server:
        one = endpoint(server)
        assert one.identity(id_token(iss=issuer), Ports()).subject == "s-1"
        assert one.identity(id_token(email="a@example.com"), Ports()).email == "a@example.com"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "token",
    [
        id_token(OTHER), id_token(aud="client-2"), id_token(iss="https://evil.test"), id_token(exp=1),
        id_token(sub=""), id_token(sub=7), TokenReply(Secret("a"), None, None, None, None, Secret("no.token")),
        TokenReply(Secret("a"), None, None, None, None, Secret("eyJhbGciOiJub25lIn0.eyJzdWIiOiJzLTEifQ.")),
        id_token(KEY, "RS512"),
    ],
)  # fmt: skip
def test_id_token_is_refused_when_it_is_not_genuine_or_not_for_us(token) -> None:
    with raw_server(reply(body=JWKS)) as server, pytest.raises(ProviderRefused):
        endpoint(server).identity(token, Ports())


def test_subject_is_asked_of_userinfo_when_there_is_no_id_token() -> None:
    with raw_server(reply(body=b'{"sub": "s-2", "email_verified": "true"}')) as server:
        got = endpoint(server).identity(TokenReply(Secret("a"), None, None, None, None, None), Ports())
    assert (got.subject, got.email_verified) == ("s-2", True)


def test_p2_userinfo_is_not_asked_when_the_gate_is_shut() -> None:
    found = TokenReply(Secret("a"), None, None, None, None, None)
    with raw_server(reply(body=b'{"sub": "s-2"}')) as server:
        with pytest.raises(ConnectionStopped):
            endpoint(server).identity(found, Ports(shut=ConnectionStopped("stopped")))
        assert server.requests == []

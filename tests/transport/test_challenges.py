"""Claims challenges: what is read of a 401, and what is left alone."""

import json
from base64 import b64encode, urlsafe_b64encode

import pytest

from tests.transport.raw_server import raw_server, reply
from tests.transport.sessions import COSTS, URL, Ports, session
from worker.transport.challenges import claims_of
from worker.transport.client import Transport
from worker.transport.replies import Reply

CLAIMS = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1790000000"}}})
WHOLE = b64encode(CLAIMS.encode()).decode()


def header(claims: str, error: str = "insufficient_claims") -> str:
    uri = "https://login.microsoftonline.com/common/oauth2/authorize"
    return f'Bearer realm="", authorization_uri="{uri}", error="{error}", claims="{claims}"'


@pytest.mark.parametrize(
    "text", [WHOLE, WHOLE.rstrip("="), urlsafe_b64encode(CLAIMS.encode()).decode()], ids=["whole", "bare", "urlsafe"]
)
def test_claims_are_read_in_every_spelling_of_base64(text) -> None:
    assert json.loads(claims_of(Reply(401, {"www-authenticate": header(text)}, b""))) == json.loads(CLAIMS)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, ""),
        (401, "Bearer"),
        (401, header(WHOLE, "invalid_token")),
        (401, header("%%%")),
        (401, header(b64encode(b"[1]").decode())),
        (401, header(b64encode(b"\xff\xfe").decode())),
        (401, "x" * 100_000),
        (403, header(WHOLE)),
    ],
)
def test_what_is_no_challenge_asks_for_nothing(status, text) -> None:
    assert claims_of(Reply(status, {"www-authenticate": text}, b"")) == ""


def test_a_challenge_is_handed_to_who_renews_the_token_and_the_request_is_repeated_once(redis_url) -> None:
    class Challenged(Ports):
        claims = ""

        def refused(self, token, claims="") -> None:
            super().refused(token)
            self.claims = claims

    ports = Challenged()
    refused = reply(401, b"{}", www_authenticate=header(WHOLE))
    with raw_server(refused, reply(body=b"good")) as server:
        transport = Transport(route=server.route)
        assert session(transport, redis_url, ports).send("GET", URL, costs=COSTS).body == b"good"
        transport.close()
        assert len(server.requests) == 2
    assert json.loads(ports.claims) == json.loads(CLAIMS)

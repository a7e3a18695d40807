"""Hostile JSON (fault matrix 31), and Google's own client through the session."""

import msgspec
import pytest
from googleapiclient.discovery import build

from tests.transport.raw_server import raw_server, reply
from tests.transport.sessions import COSTS, Ports, session
from worker.errors import BadRecord, NotFound, Transient
from worker.transport.client import Transport
from worker.transport.google_http import RawModel
from worker.transport.json_reply import read_json, scrub


class Item(msgspec.Struct):
    name: str = ""
    size: float | int | None = None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbf{"name": "a"}', Item("a")),
        (b'{"size": NaN}', Item()),
        (b'{"size": -Infinity}', Item()),
        (b'{"size": 1e400}', Item()),
        (b'{"name": "\\ud83d"}', Item("\ufffd")),
        (b'{"name": "\xff"}', Item("\ufffd")),
        (b'{"name": "a\\u0000b"}', Item("ab")),
        (b'{"name": "a\\\\u0000b"}', Item("a\\u0000b")),
        (b'{"name": "a", "name": "b"}', Item("b")),
        (b'{"size": 1180591620717411303424}', Item(size=2**70)),
    ],
)
def test_json_is_read_when_only_small_things_are_broken(body, expected) -> None:
    got = read_json(body, Item)
    assert got.name == expected.name
    assert got.size == expected.size


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"name": "CANARY', Transient),
        (b"", Transient),
        (b"<html>CANARY</html>", Transient),
        (b'{"name": 7}', BadRecord),
        (b'["CANARY"]', BadRecord),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", BadRecord),
        (b'{"size": ' + b"9" * 20_000 + b', "x": NaN}', BadRecord),
    ],
)
def test_json_that_cannot_be_read_is_classed_without_being_quoted(body, kind) -> None:
    with pytest.raises(kind) as caught:
        read_json(body, Item)
    assert "CANARY" not in str(caught.value)


def test_nul_is_scrubbed() -> None:
    assert scrub("a\x00b") == "ab"


def people():
    return build("people", "v1", http=object(), model=RawModel(), static_discovery=True, cache_discovery=False)


def test_googles_client_speaks_through_the_session(redis_url) -> None:
    ports = Ports()
    with raw_server(reply(503), reply(body=b'{"connections": []}')) as server:
        transport = Transport(route=server.route)
        # The session of the tests speaks with one made-up host; Google's client names its own.
        door = session(transport, redis_url, ports)
        door._hosts = frozenset({"people.googleapis.com"})
        request = people().people().connections().list(resourceName="people/me", personFields="names")
        assert request.execute(http=door.google_http(costs=COSTS)) == b'{"connections": []}'
        assert server.requests[1].startswith(b"GET /people.googleapis.com/v1/people/me/connections?")
        assert b"authorization: Bearer CANARY-token-1" in server.requests[1]
        transport.close()
    assert ports.steps == ["permits", "token", "gate"] * 2


def test_googles_own_error_never_surfaces(redis_url) -> None:
    with raw_server(reply(404, b'{"error": {"message": "CANARY"}}')) as server:
        transport = Transport(route=server.route)
        door = session(transport, redis_url, Ports())
        door._hosts = frozenset({"people.googleapis.com"})
        request = people().people().get(resourceName="people/c1", personFields="names")
        with pytest.raises(NotFound) as caught:
            request.execute(http=door.google_http(costs=COSTS))
        assert "CANARY" not in str(caught.value)
        transport.close()

"""The door out against servers that drip, swell, break off, redirect and lie (fault matrix 26, 27, 32 to 37)."""

import gzip
import inspect
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx

from tests.transport.raw_server import raw_server, reply
from worker.errors import BadRequest, CrmSyncError, ProviderRefused, ReplyLost, TooMuchData, Transient
from worker.transport import foreign
from worker.transport.client import Transport
from worker.transport.network import Limits, global_addresses, open_network, tls_context
from worker.transport.retry_after import retry_hint

HOST = "people.example.com"
URL = f"https://{HOST}/v1/things"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ask(route: str | None, url: str = URL, **more):
    transport = Transport(route=route)
    try:
        return transport.exchange("GET", url, hosts={HOST}, **more)
    finally:
        transport.close()


def drip(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(60):
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_head(connection: socket.socket, _: bytes) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nx-a: " + b"y" * 60:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def hang(connection: socket.socket, _: bytes) -> None:
    connection.settimeout(3)
    connection.recv(1)


def reset(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@pytest.mark.parametrize("answer", [drip, drip_head, hang])
def test_request_ends_at_its_total_deadline_when_the_reply_never_ends(answer) -> None:
    with raw_server(answer) as server:
        started = time.monotonic()
        with pytest.raises(ReplyLost):
            ask(server.route, timeout_s=0.4)
        assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(
    "answer",
    [
        reset,
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal",
        b"no HTTP at all\r\n\r\n",
        reply(body=gzip.compress(b"x" * 5000)[:20], content_encoding="gzip"),
        reply(body=b"not gzip", content_encoding="gzip"),
        reply(body=b"x", content_encoding="br"),
    ],
)
def test_reply_is_lost_when_it_does_not_come_whole(answer) -> None:
    with raw_server(answer) as server, pytest.raises(ReplyLost) as caught:
        ask(server.route)
    assert "things" not in str(caught.value)


def test_transient_is_raised_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Transient) as caught:
        ask(f"http://127.0.0.1:{port}")
    assert not isinstance(caught.value, ReplyLost)


def test_bomb_is_stopped_at_the_cap_in_little_memory() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    with raw_server(reply(body=bomb, content_encoding="gzip")) as server:
        tracemalloc.start()
        try:
            with pytest.raises(TooMuchData):
                ask(server.route, max_body=4_000_000)
            assert tracemalloc.get_traced_memory()[1] < 24_000_000
        finally:
            tracemalloc.stop()


def test_body_is_capped_when_it_has_no_end() -> None:
    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65_536)

    with raw_server(endless) as server, pytest.raises(TooMuchData):
        ask(server.route, max_body=1_000_000)


def test_gzip_of_several_members_is_read_whole() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    with raw_server(reply(body=body, content_encoding="gzip")) as server:
        assert ask(server.route).body == b"one two"


def test_redirect_is_handed_back_and_never_followed_by_the_door() -> None:
    with raw_server(reply(302, location="http://169.254.169.254/latest")) as server:
        assert ask(server.route).status == 302
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://people.example.com/", "https://elsewhere.example.com/", "https://people.example.com:8443/",
        "https://user:pw@people.example.com/", "ftp://people.example.com/", "https://people.example.com.evil.test/",
        URL + "?access_token=CANARY", URL + "?Client_Secret=CANARY", URL + "?a=1&id_token=CANARY",
    ],
)  # fmt: skip
def test_address_is_refused_before_a_socket_when_it_is_not_the_providers(url) -> None:
    with raw_server(reply()) as server:
        with pytest.raises(BadRequest) as caught:
            ask(server.route, url)
        assert server.requests == []
    assert "CANARY" not in str(caught.value)


def test_secret_parameter_is_refused_when_given_apart() -> None:
    with pytest.raises(BadRequest):
        ask("http://127.0.0.1:1", params=[("refresh_token", "CANARY")])


def test_route_keeps_host_path_and_query() -> None:
    with raw_server(reply()) as server:
        ask(server.route, URL + "/a%2Fb?x=%20y", params=[("z", "ü&1")])
        assert server.requests[0].startswith(b"GET /people.example.com/v1/things/a%2Fb?x=+y&z=%C3%BC%261 HTTP/1.1")
        transport = Transport(route=server.route)
        assert transport.shown_address(URL + "?a=b") == f"{server.route}/{HOST}/v1/things?a=b"
    assert Transport().shown_address(URL) == URL


def test_cookies_are_not_kept_between_requests() -> None:
    with raw_server(reply(set_cookie="a=CANARY")) as server:
        transport = Transport(route=server.route)
        for _ in range(2):
            transport.exchange("GET", URL, hosts={HOST})
        transport.close()
        assert b"CANARY" not in server.requests[1]


def test_proxy_of_the_environment_is_not_used(monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with raw_server(reply()) as server:
        assert ask(server.route).status == 200


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "0.0.0.0", "224.0.0.1"],
)
def test_name_is_refused_when_it_leads_inside(monkeypatch, address) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.216.34", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(PermissionError):
        global_addresses(HOST, 443)
    with pytest.raises(Transient):
        ask(None)


def test_connection_goes_to_the_checked_address_when_the_name_is_rebound() -> None:
    asked = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with raw_server(reply()) as server:
        transport = Transport(route=f"http://localhost:{server.port}", resolver=resolver)
        assert transport.exchange("GET", URL, hosts={HOST}).status == 200
        transport.close()
    assert asked == ["localhost"]


def certificate(folder, name: str, days: str) -> tuple[str, str]:
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", days,
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.mark.parametrize(("name", "trusted"), [(HOST, False), ("other.example.com", True)])
def test_certificate_is_refused_when_unknown_or_of_another_name(tmp_path, name, trusted) -> None:
    cert, key = certificate(tmp_path, name, "2")
    with pytest.raises(ProviderRefused, match="certificate"):
        tls_exchange(cert, key, trusted=trusted)


def test_certificate_is_taken_when_it_is_right(tmp_path) -> None:
    assert tls_exchange(*certificate(tmp_path, HOST, "2"), trusted=True).status == 200


def test_tls_older_than_1_2_is_never_spoken() -> None:
    assert tls_context().minimum_version >= ssl.TLSVersion.TLSv1_2
    assert tls_context().verify_mode is ssl.CERT_REQUIRED


def tls_exchange(cert: str, key: str, *, trusted: bool):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with server_side.wrap_socket(connection, server_side=True) as tls:
                tls.recv(65_536)
                tls.sendall(reply())
        except OSError:
            return

    thread = threading.Thread(target=serve)
    thread.start()
    ours = tls_context()
    if trusted:
        ours.load_verify_locations(cert)
    real = socket.create_connection
    port = listener.getsockname()[1]

    def to_listener(address, *arguments, **named):
        return real((address[0], port), *arguments, **named)

    network = open_network(Limits(), lambda *_: ["127.0.0.1"], ours)
    transport = Transport(network=network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", to_listener)
        try:
            return transport.exchange("GET", URL, hosts={HOST}, timeout_s=5)
        finally:
            transport.close()
            listener.close()
            thread.join(5)


def errors_of_httpx() -> list[type[Exception]]:
    return [each for _, each in inspect.getmembers(httpx, inspect.isclass) if issubclass(each, Exception)]


@pytest.mark.parametrize("kind", errors_of_httpx())
def test_every_error_of_httpx_has_one_line_in_the_table(kind) -> None:
    assert kind in foreign.FOREIGN_ERRORS


@pytest.mark.parametrize("kind", [each for each in errors_of_httpx() if issubclass(each, httpx.TransportError)])
def test_no_error_of_httpx_passes_or_tells_the_address(kind) -> None:
    with respx.mock(assert_all_called=False) as mocked:
        mocked.get(url__startswith=URL).mock(side_effect=kind)
        with pytest.raises(CrmSyncError) as caught:
            Transport().exchange("GET", URL + "?q=CANARY", hosts={HOST}, headers={"authorization": "CANARY"})
    assert "CANARY" not in f"{caught.value!r}"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7), ("0.5", 0.5), ("Mon, 23 Nov 2026 12:00:30 GMT", 30), ("Mon, 23 Nov 2026 11:00:00 GMT", None),
        ("315360000", 3600), ("Sat, 23 Nov 2036 12:00:00 GMT", 3600), ("1e400", None), ("nan", None), ("-3", None),
        ("0", None), ("soon", None), ("", None), ("9" * 5000, None), ("Mon, 99 Foo 2026", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_every_shape(header, seconds) -> None:
    until = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert retry_hint(header, NOW).until == until

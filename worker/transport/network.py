"""The sockets under the HTTP client: a total deadline for each request, and only addresses that may be reached.

httpx times each read by itself, so a reply that drips a byte a second never ends, in its headers or its body.
Here every socket operation gets what is left of the request's own deadline. A host's name is resolved once and
the connection goes to an address that was checked, so a name cannot be rebound to a machine inside our network
between the check and the connect.

It knows nothing of HTTP, tokens or hosts' names. The resolver of the operating system cannot be interrupted: a
dead name server may hold a thread for as long as `resolv.conf` says.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

Resolver = Callable[[str, int], list[str]]
_SocketOptions = Iterable[Any] | None
_NEVER_S = 86_400.0


class _OfThread(threading.local):
    ends_at: float = float("inf")


_of_thread = _OfThread()


@contextmanager
def deadline(timeout_s: float) -> Iterator[None]:
    """Everything that this thread does on a socket inside the block ends within `timeout_s` seconds in all."""
    before = _of_thread.ends_at
    _of_thread.ends_at = min(before, time.monotonic() + timeout_s)
    try:
        yield
    finally:
        _of_thread.ends_at = before


def remaining_s() -> float:
    """Seconds that this thread's deadline leaves; negative when it is over."""
    return _of_thread.ends_at - time.monotonic()


def global_addresses(host: str, port: int) -> list[str]:
    """The public addresses of `host`. One private address among them spoils all: such a name is not a provider's.

    Raises:
        OSError: the name does not resolve, or leads into a private, local or reserved network.
    """
    addresses = _resolve(host, port)
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if not address.is_global or address.is_multicast:
            raise PermissionError("the name leads to an address that is not public")
    return addresses


def loopback_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host that must be this machine: the simulator's route.

    Raises:
        OSError: it is not this machine.
    """
    addresses = _resolve(host, port)
    if not all(ip_address(text.partition("%")[0]).is_loopback for text in addresses):
        raise PermissionError("the route leads away from this machine")
    return addresses


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of the connection pool and time-outs of its single steps; the total deadline comes with each request."""

    connections: int = 256
    idle_connections: int = 64
    idle_s: float = 30.0
    connect_timeout_s: float = 5.0
    pool_timeout_s: float = 5.0


def tls_context() -> ssl.SSLContext:
    """Certificates always checked, TLS 1.2 or newer, nothing taken from the environment."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A name counts where it was verified, among the alternative names; a subject is free text. Source: RFC 9525 §2.
    context.hostname_checks_common_name = False
    return context


@cache
def _usual_tls() -> ssl.SSLContext:
    """One for the whole process, and for its forked children: to read all authorities' certificates takes a while."""
    return tls_context()


def open_network(limits: Limits, resolver: Resolver, tls: ssl.SSLContext | None = None) -> httpx.BaseTransport:
    """Httpx's own transport over sockets that keep the deadline and connect only where `resolver` allows.

    HTTP/1.1 only: with HTTP/2 one thread reads for others on a shared socket, and their deadlines would mix.
    """
    tls = tls or _usual_tls()
    transport = httpx.HTTPTransport(verify=tls, trust_env=False)
    transport.close()
    # httpx hands on no network backend, though httpcore, which it drives, takes one.
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001
        ssl_context=tls,
        max_connections=limits.connections,
        max_keepalive_connections=limits.idle_connections,
        keepalive_expiry=limits.idle_s,
        http1=True,
        http2=False,
        network_backend=_Network(resolver),
    )
    return transport


def _clip(timeout: float | None, late: type[Exception]) -> float:
    left = min(_NEVER_S if timeout is None else timeout, remaining_s())
    if left <= 0:
        raise late("the total deadline is over")
    return left


class _Network(httpcore.NetworkBackend):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._resolver(host, port)
        except OSError as error:
            raise httpcore.ConnectError("the name does not resolve to an address that may be reached") from error
        for place, address in enumerate(addresses, start=1):
            left = _clip(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(self._sockets.connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses):
                    raise
        raise httpcore.ConnectError("the name has no address")


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _clip(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces, since the socket's own time-out begins anew with each piece that the other side takes.
        for start in range(0, len(buffer), 65_536):
            self._inner.write(buffer[start : start + 65_536], _clip(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _clip(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

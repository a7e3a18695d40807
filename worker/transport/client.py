"""The one door out: every HTTP request of the product leaves through `Transport.exchange`.

It knows hosts, bytes and time: https only, allowed hosts only, no secret in an address, capped bodies, a total
deadline, no redirects, no cookies, no proxy from the environment. It knows no tokens, permits or gates
(`session.py`), and repeats nothing.

With a route set (development), `https://HOST/PATH?QUERY` goes to `http://127.0.0.1:PORT/HOST/PATH?QUERY`, so that
everything above always names the provider's real addresses.
"""

import logging
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import parse_qsl

import httpx

from worker.errors import BadRequest
from worker.transport.foreign import FOREIGN_ERRORS, translate
from worker.transport.network import Limits, Resolver, deadline, global_addresses, loopback_addresses, open_network
from worker.transport.network import tls_context as tls_context  # noqa: PLC0414 -- handed on by name
from worker.transport.replies import Reply, read_bounded

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
TIMEOUT_S: Final = 30.0
USER_AGENT: Final = "crm-sync (gzip)"

Pairs = Sequence[tuple[str, str]]

# Names of parameters that carry secrets. They belong into headers or bodies, never into an address, which ends up
# in the logs of every machine on the way. Source: RFC 9700 section 4.3.2, and the providers' own names for them.
_SECRET_PARAMETERS = frozenset(
    {"access_token", "refresh_token", "id_token", "oauth_token", "client_secret", "client_assertion", "assertion",
     "code_verifier", "password", "fb_exchange_token", "input_token"}
)  # fmt: skip


class Transport:
    """One HTTP client for the process, safe for its threads, opened anew after a fork.

    `network` replaces the network in tests; `resolver` says which addresses may be reached.
    """

    def __init__(
        self,
        *,
        route: str | None = None,
        limits: Limits | None = None,
        network: httpx.BaseTransport | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        quiet_http_loggers()
        self._route = httpx.URL(route) if route else None
        self._limits = limits or Limits()
        self._network = network
        self._resolver = resolver or (loopback_addresses if route else global_addresses)
        self._lock = threading.Lock()
        self._opened: tuple[int, httpx.Client] | None = None

    def exchange(
        self,
        method: str,
        url: str,
        *,
        hosts: Collection[str],
        params: Pairs = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        max_body: int = MAX_BODY_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """Send one request and read its whole reply, whatever its status. A redirect is a reply like any other.

        Raises:
            BadRequest: the address is not https, names a host that is not in `hosts`, or carries a secret.
            Transient: nothing was sent.
            ReplyLost: it was sent, and no whole reply came back.
            TooMuchData: the reply's body is over `max_body`.
            ProviderRefused: the provider's certificate is not valid.
        """
        target = self._checked(url, params, hosts)
        host = target.host
        sent_headers = {"user-agent": USER_AGENT, **{name.lower(): text for name, text in (headers or {}).items()}}
        sent_headers["accept-encoding"] = "gzip"
        timeout = httpx.Timeout(
            timeout_s,
            connect=min(timeout_s, self._limits.connect_timeout_s),
            pool=min(timeout_s, self._limits.pool_timeout_s),
        )
        try:
            with deadline(timeout_s):
                client = self._client()
                request = client.build_request(
                    method, self._routed(target), headers=sent_headers, content=body or None, timeout=timeout
                )
                reply = client.send(request, stream=True, follow_redirects=False)
                try:
                    whole = read_bounded(reply.iter_raw(), reply.headers.get("content-encoding", ""), max_body)
                finally:
                    reply.close()
        except FOREIGN_ERRORS as error:
            raise translate(error, host) from None
        return Reply(reply.status_code, dict(reply.headers), whole)

    def shown_address(self, url: str) -> str:
        """The address to show to a person for the provider's `url`: the same, or the simulator's when routed."""
        return str(self._routed(httpx.URL(url)))

    def close(self) -> None:
        """Close idle connections; the next request opens new ones."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    def _checked(self, url: str, params: Pairs, hosts: Collection[str]) -> httpx.URL:
        try:
            target = httpx.URL(url)
            if params:
                target = target.copy_merge_params(list(params))
        except (httpx.InvalidURL, UnicodeError):
            raise BadRequest("The address of a provider request cannot be read.") from None
        if target.scheme != "https" or target.userinfo or target.port not in {None, 443}:
            raise BadRequest(f"Only https on its usual port is spoken with providers, not «{target.scheme}».")
        if target.host not in hosts:
            raise BadRequest(
                f"The host «{target.host[:100]}» is not one that this connector may speak with "
                f"({', '.join(sorted(hosts))}). If it should be, add it to the connector's facts."
            )
        named = {name.lower() for name, _ in parse_qsl(target.query.decode("ascii"), keep_blank_values=True)}
        if secret := sorted(named & _SECRET_PARAMETERS):
            raise BadRequest(f"The parameter «{secret[0]}» is a secret and may not stand in an address.")
        return target

    def _routed(self, target: httpx.URL) -> httpx.URL:
        if self._route is None:
            return target
        path = b"/" + target.raw_host + target.raw_path
        return self._route.copy_with(raw_path=path)

    def _client(self) -> httpx.Client:
        opened = self._opened
        if opened is not None and opened[0] == os.getpid():
            return opened[1]
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                # A parent's connections are left alone: closing them here would end them for the parent too.
                self._opened = (os.getpid(), self._new_client())
            return self._opened[1]

    def _new_client(self) -> httpx.Client:
        network = self._network or open_network(self._limits, self._resolver)
        # Cookies would carry something of one tenant's account into another's request.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return httpx.Client(transport=network, trust_env=False, cookies=no_cookies)


def quiet_http_loggers() -> None:
    """Httpx logs each request's whole address at INFO, which is the level of many a worker."""
    for name in ("httpx", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.WARNING)

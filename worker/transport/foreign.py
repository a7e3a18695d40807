"""What httpx may raise, and which of our errors each becomes. The table is complete; a test holds it to httpx.

No text of httpx is passed on: it can hold the whole address. The `raise … from None` is the caller's.
"""

import ssl

import httpx

from worker.errors import BadRequest, CrmSyncError, Misconfigured, ProviderRefused, ReplyLost, Transient

_TABLE: dict[type[Exception], tuple[type[CrmSyncError], str]] = {
    # Nothing was sent.
    httpx.ConnectTimeout: (Transient, "no connection within the time"),
    httpx.ConnectError: (Transient, "no connection"),
    httpx.PoolTimeout: (Transient, "no free connection within the time"),
    # Something may have been sent.
    httpx.ReadTimeout: (ReplyLost, "no whole reply within the time"),
    httpx.ReadError: (ReplyLost, "the connection broke while reading"),
    httpx.WriteTimeout: (ReplyLost, "the request was not taken within the time"),
    httpx.WriteError: (ReplyLost, "the connection broke while writing"),
    httpx.CloseError: (ReplyLost, "the connection broke while closing"),
    httpx.RemoteProtocolError: (ReplyLost, "the reply was no whole HTTP message"),
    httpx.DecodingError: (ReplyLost, "the reply's body could not be decompressed"),
    # The request could never have been sent.
    httpx.LocalProtocolError: (BadRequest, "the request is no valid HTTP message"),
    httpx.UnsupportedProtocol: (BadRequest, "the address is not https"),
    httpx.InvalidURL: (BadRequest, "the address cannot be read"),
    # What only our own settings or our own code can cause.
    httpx.ProxyError: (Misconfigured, "the proxy did not serve us"),
    httpx.TooManyRedirects: (ProviderRefused, "it redirects without end"),
    httpx.HTTPStatusError: (ProviderRefused, "it answered with an unexpected status"),
    httpx.CookieConflict: (ProviderRefused, "it set cookies that contradict each other"),
    httpx.StreamConsumed: (Misconfigured, "the transport read a reply twice"),
    httpx.StreamClosed: (Misconfigured, "the transport read a closed reply"),
    httpx.ResponseNotRead: (Misconfigured, "the transport used a reply before reading it"),
    httpx.RequestNotRead: (Misconfigured, "the transport used a request before reading it"),
    # Parents, for what a later httpx may add beneath them.
    httpx.TimeoutException: (ReplyLost, "no whole reply within the time"),
    httpx.NetworkError: (ReplyLost, "the connection broke"),
    httpx.ProtocolError: (ReplyLost, "the reply was no whole HTTP message"),
    httpx.TransportError: (ReplyLost, "the connection failed"),
    httpx.RequestError: (ReplyLost, "the request failed"),
    httpx.HTTPError: (ReplyLost, "the request failed"),
    httpx.StreamError: (Misconfigured, "the transport misused a reply"),
}
FOREIGN_ERRORS: tuple[type[Exception], ...] = tuple(_TABLE)


def translate(error: Exception, host: str) -> CrmSyncError:
    """Our error for one of httpx's, told by the most specific line of the table."""
    if _certificate_refused(error):
        return ProviderRefused(
            f"{host}: its certificate is not valid for it. Nothing was sent. If this machine's clock and certificates "
            "are right, somebody stands between us and the provider."
        )
    for kind in type(error).__mro__:
        if kind in _TABLE:
            ours, text = _TABLE[kind]
            return ours(f"{host}: {text}.")
    raise TypeError(f"{type(error).__name__} is no error of httpx") from error


def _certificate_refused(error: BaseException) -> bool:
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return False
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False

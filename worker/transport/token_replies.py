"""What an OAuth endpoint's reply says: tokens, or an error told by its code. Pure; it sends nothing.

Errors are told by the codes of a real OAuth body (RFC 6749 §5.2), through the sets of codes in the provider's facts,
and never by descriptions. A 400 that is a web page, say of a hotel's network, disconnects nobody.

Sources: providers/google.md §1.2 to §1.7, providers/microsoft-linkedin.md §1 (read 2026-11); RFC 6749.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from worker.errors import (
    AdminBlocked,
    BadRecord,
    ConsentGone,
    CrmSyncError,
    Misconfigured,
    ProviderRefused,
    ReplyLost,
    Throttled,
    Transient,
)
from worker.transport.json_reply import read_json
from worker.transport.ports import OAuthFacts, Secret
from worker.transport.replies import Reply
from worker.transport.retry_after import retry_hint
from worker.transport.scopes import normal_scopes

_TRANSIENT_CODES = frozenset({"server_error", "temporarily_unavailable", "internal_failure", "internal_error"})
_THROTTLED_CODES = frozenset({"slow_down", "rate_limit_exceeded", "rate_limited", "too_many_requests"})


@dataclass(frozen=True, slots=True)
class TokenReply:
    """What a token endpoint gave. None means that it said nothing: of a lifetime, or of scopes (then: as asked)."""

    access_token: Secret
    refresh_token: Secret | None
    lifetime: timedelta | None
    scopes: tuple[str, ...] | None
    refresh_lifetime: timedelta | None
    id_token: Secret | None


class _TokenBody(msgspec.Struct):
    access_token: str
    refresh_token: str = ""
    expires_in: int | float | str | None = None
    scope: str | list[str] | None = None
    refresh_token_expires_in: int | float | str | None = None
    id_token: str = ""


class _ErrorBody(msgspec.Struct):
    error: str
    error_subtype: str = ""
    suberror: str = ""
    error_codes: list[int] = []

    def codes(self) -> tuple[str, ...]:
        """What the error names itself by, the most special first."""
        numbered = (f"AADSTS{number}" for number in self.error_codes[:20])
        return tuple(code for code in (*numbered, self.suberror, self.error_subtype, self.error) if code)


def read_tokens(reply: Reply) -> TokenReply:
    """The tokens in a good reply.

    Raises:
        ReplyLost: it is no token reply: the provider acted, and what it gave did not reach us.
    """
    body = _token_body(reply)
    scopes = None if body.scope is None else normal_scopes(body.scope)
    return TokenReply(
        access_token=Secret(body.access_token),
        refresh_token=Secret(body.refresh_token) if body.refresh_token else None,
        lifetime=_lifetime(body.expires_in),
        scopes=scopes or None,
        refresh_lifetime=_lifetime(body.refresh_token_expires_in),
        id_token=Secret(body.id_token) if body.id_token else None,
    )


def access_token(reply: Reply) -> str:
    """The access token in a good reply.

    Raises:
        ReplyLost: as `read_tokens`.
    """
    return _token_body(reply).access_token


def judge(reply: Reply, facts: OAuthFacts, now: datetime, accept: frozenset[str] = frozenset()) -> CrmSyncError | None:
    """What an OAuth endpoint's reply means; None for a success. Pure, and told by codes alone."""
    if reply.status == 200:
        return None
    until = retry_hint(reply.header("retry-after"), now).until
    body = _error_body(reply)
    if body is not None:
        if set(body.codes()) & accept:
            return None
        return _by_code(body, reply.status, facts, until)
    if reply.status == 429:
        return Throttled("The OAuth endpoint asked us to slow down (429).", until=until)
    if reply.status >= 500:
        return ReplyLost(f"The OAuth endpoint, or something before it, failed ({reply.status}).", until=until)
    if 200 < reply.status < 300:
        return ReplyLost(f"The OAuth endpoint answered {reply.status} in place of 200.")
    return Transient(f"Something that is no OAuth endpoint answered {reply.status}.", until=until)


def _by_code(body: _ErrorBody, status: int, facts: OAuthFacts, until: datetime | None) -> CrmSyncError:
    shown = "an unknown code"
    for code in body.codes():
        shown = code if code.replace("_", "").isalnum() and len(code) < 60 else "an unknown code"
        if code in facts.misconfigured_codes:
            return Misconfigured(
                f"The provider refuses our OAuth client ({shown}). Check the client's id and secret in the settings "
                "and at the provider. No customer is disconnected by this."
            )
        if code in facts.admin_blocked_codes:
            helps = code in facts.awaits_admin_codes
            return AdminBlocked(f"An administrator does not allow the app ({shown}).", consent_helps=helps)
        if code in facts.consent_gone_codes:
            return ConsentGone(f"The provider ended the consent ({shown}).")
        if code in _THROTTLED_CODES | facts.throttled_codes:
            return Throttled(f"The OAuth endpoint asked us to slow down ({shown}).", until=until)
        if code in _TRANSIENT_CODES | facts.transient_codes:
            return Transient(f"The OAuth endpoint failed ({status}, {shown}).", until=until)
    if status == 429:
        return Throttled("The OAuth endpoint asked us to slow down (429).", until=until)
    if status >= 500:
        return Transient(f"The OAuth endpoint failed ({status}).", until=until)
    return ProviderRefused(f"The OAuth endpoint answered {status} with {shown}, which no table explains.")


def _token_body(reply: Reply) -> _TokenBody:
    try:
        body = read_json(reply, _TokenBody)
    except (BadRecord, Transient):
        raise ReplyLost("The OAuth endpoint's reply holds no tokens.") from None
    if not body.access_token:
        raise ReplyLost("The OAuth endpoint's reply holds no access token.")
    return body


def _error_body(reply: Reply) -> _ErrorBody | None:
    try:
        return read_json(reply, _ErrorBody)
    except (BadRecord, Transient):
        return None


def _lifetime(value: float | str | None) -> timedelta | None:
    try:
        seconds = float(value) if value is not None else 0.0
        return timedelta(seconds=seconds) if seconds > 0 else None
    except (ValueError, OverflowError):
        return None

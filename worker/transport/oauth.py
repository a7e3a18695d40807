"""A provider's OAuth endpoints: the address of the consent page, tokens for codes and refresh tokens, revocation.

authlib prepares addresses, PKCE and forms; each of its requests goes through the transport (`_Door`), so it opens no
socket of its own. Where the facts name msal, that one prepares the requests for tokens (`msal_tokens.py`), and all else
is the same. Errors are told by the codes of a real OAuth body (RFC 6749 §5.2), through the sets of codes in the
provider's facts, and never by descriptions. A 400 that is a web page, say of a hotel's network, disconnects nobody. It
stores nothing and refreshes nothing by itself: that is the vault's.

Sources: providers/google.md §1.2 to §1.7, providers/microsoft-linkedin.md §1 (read 2026-11); RFC 6749, 7009, 7636,
9700.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from authlib.oauth2.client import OAuth2Client

from worker.errors import (
    AdminBlocked,
    BadRecord,
    BadRequest,
    ConsentGone,
    CrmSyncError,
    Misconfigured,
    ProviderRefused,
    ReplyLost,
    Throttled,
    TooMuchData,
    Transient,
)
from worker.transport.client import Transport
from worker.transport.id_tokens import Identity, IdTokens, claimed_subject, identity_from_claims
from worker.transport.json_reply import read_json
from worker.transport.ports import Gate, OAuthClient, OAuthFacts, Secret, TokenLibrary
from worker.transport.replies import Reply
from worker.transport.retry_after import retry_hint

TOKEN_DEADLINE_S: Final = 15.0
"""The longest that a request to a token endpoint takes in all. A lease on a grant must outlive it."""
_MAX_BODY_BYTES: Final = 1024 * 1024
_TRANSIENT_CODES = frozenset({"server_error", "temporarily_unavailable", "internal_failure", "internal_error"})
_THROTTLED_CODES = frozenset({"slow_down", "rate_limit_exceeded", "rate_limited", "too_many_requests"})
_LONG_SCOPES = {
    "https://www.googleapis.com/auth/userinfo.email": "email",
    "https://www.googleapis.com/auth/userinfo.profile": "profile",
}
_LONG_PREFIX = "https://graph.microsoft.com/"
_NUMBERED = re.compile(r"\bAADSTS\d{4,8}\b")


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


def normal_scopes(scopes: str | Iterable[str]) -> tuple[str, ...]:
    """Scopes in their short names, each once, in order of their names: two lists that mean the same become equal."""
    names = scopes.replace(",", " ").split() if isinstance(scopes, str) else scopes
    return tuple(sorted({_LONG_SCOPES.get(name, name).removeprefix(_LONG_PREFIX) for name in names}))


def missing_scopes(needed: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """Which of `needed` were not granted, however either side spells them."""
    return tuple(sorted(set(normal_scopes(needed)) - set(normal_scopes(granted))))


class OAuthEndpoint:
    """One provider's OAuth as our one registration there sees it. Safe for threads; keeps no token."""

    def __init__(self, transport: Transport, facts: OAuthFacts, client: OAuthClient) -> None:
        self._transport = transport
        self._facts = facts
        self._client = client
        urls = (facts.token_url, facts.revoke_url, facts.userinfo_url, facts.jwks_url)
        self._hosts = frozenset(urlsplit(url).hostname or "" for url in urls if url)
        self._id_tokens = IdTokens(facts, client.client_id, self._get)

    def authorize_url(
        self,
        *,
        redirect_uri: str,
        scopes: Iterable[str],
        state: str,
        verifier: str,
        login_hint: str | None = None,
        extra: Iterable[tuple[str, str]] = (),
    ) -> str:
        """The address to send a person to: the provider's, or the simulator's where requests are routed there.

        `state` and `verifier` are fresh random texts (the verifier of 43 to 128 characters, RFC 7636). `extra` adds
        to, or overrides, the parameters in the provider's facts.
        """
        params = {**dict(self._facts.authorize_params), **dict(extra)}
        if login_hint:
            params["login_hint"] = login_hint
        url, _ = self._authlib(None).create_authorization_url(
            self._facts.authorize_url,
            state=state,
            code_verifier=verifier,
            redirect_uri=redirect_uri,
            scope=" ".join(dict.fromkeys(scopes)),
            **params,
        )
        return self._transport.shown_address(str(url))

    def exchange(
        self,
        code: Secret | str,
        verifier: Secret | str,
        redirect_uri: str,
        gate: Gate,
        *,
        scopes: Sequence[str] = (),
    ) -> TokenReply:
        """The first tokens, for a code that a person's consent to `scopes` gave. A code works once.

        Raises:
            ConsentGone: the code was used, is too old or is not ours; the person has to consent anew.
            AdminBlocked, Misconfigured, ProviderRefused, Throttled, Transient: as for `refresh`.
            ReplyLost: nobody knows whether the code was used up.
        """
        if self._facts.library is TokenLibrary.MSAL:
            # Imported where it is first needed, as everything of msal's.
            from worker.transport import msal_tokens  # noqa: PLC0415

            reply = msal_tokens.redeem(
                self._door(gate),
                self._facts,
                self._client,
                code=Secret(_text(code)),
                verifier=Secret(_text(verifier)),
                redirect_uri=redirect_uri,
                scopes=scopes,
            )
            return read_tokens(reply)
        return self._tokens(
            lambda authlib: authlib.fetch_token(
                self._facts.token_url,
                grant_type="authorization_code",
                code=_text(code),
                code_verifier=_text(verifier),
                redirect_uri=redirect_uri,
            ),
            gate,
        )

    def refresh(self, refresh_token: Secret, gate: Gate, *, scopes: Sequence[str] = (), claims: str = "") -> TokenReply:
        """A new access token. A `refresh_token` in the reply replaces the old one.

        `scopes` are those of the grant, for providers that want them named; `claims` answers a challenge of the API's.

        Raises:
            ConsentGone: the provider says that this person must consent again.
            AdminBlocked: an administrator does not allow the app.
            Misconfigured: the provider does not know our client or its secret; no customer is to blame.
            Throttled, Transient: nothing was done, or nothing that matters.
            ReplyLost: nobody knows whether the provider renewed, and perhaps rotated, the token.
            ProviderRefused: an error code that the facts do not know.
            ConnectionStopped, LeaseLost: the gate is shut; nothing was sent.
        """
        if self._facts.library is TokenLibrary.MSAL:
            from worker.transport import msal_tokens  # noqa: PLC0415 -- as above

            reply = msal_tokens.renew(
                self._door(gate),
                self._facts,
                self._client,
                refresh_token=refresh_token,
                scopes=scopes,
                claims=claims,
            )
            return read_tokens(reply)
        return self._tokens(
            lambda authlib: authlib.refresh_token(self._facts.token_url, refresh_token=refresh_token.reveal()), gate
        )

    def revoke(self, token: Secret) -> None:
        """End the grant at the provider. A token that is already dead is a success (RFC 7009 §2.2).

        No gate is asked: a revocation is the one request that is meant to follow a stop.

        Raises:
            BadRequest: the provider has no such endpoint.
            Throttled, Transient, ReplyLost: to be tried again; it does no harm twice.
            Misconfigured, ProviderRefused: as for `refresh`.
        """
        if self._facts.revoke_url is None:
            raise BadRequest("This provider has no endpoint for revoking a grant.")
        door = _Door(self, None, accept=frozenset({"invalid_token"}))
        self._authlib(door).revoke_token(self._facts.revoke_url, token=token.reveal())

    def identity(self, reply: TokenReply, gate: Gate) -> Identity:
        """Who consented: from the ID token, its signature checked, else from the userinfo endpoint.

        Userinfo is asked for a connection, with its token, and so only if its `gate` is open. The keys that ID tokens
        are checked with are nobody's: they are public, and the same for all.

        Raises:
            ProviderRefused: the ID token is not genuine, or the provider gives no identity.
            RunAgainLater: its keys or the userinfo cannot be fetched now.
            ConnectionStopped, LeaseLost: the gate is shut; userinfo was not asked.
        """
        if reply.id_token is not None and self._facts.jwks_url is not None:
            return self._id_tokens.identity(reply.id_token)
        if self._facts.userinfo_url is None:
            raise ProviderRefused("The provider gave no ID token and has no userinfo endpoint.")
        gate.open()
        answer = self._get(self._facts.userinfo_url, {"authorization": f"Bearer {reply.access_token.reveal()}"})
        return identity_from_claims(read_json(answer, dict[str, Any]), self._facts.subject_claim)

    def claimed_subject(self, reply: TokenReply) -> str | None:
        """Whose account the ID token claims to be, without a request and unchecked: to give a grant back by."""
        return claimed_subject(reply.id_token) if reply.id_token is not None else None

    def is_admins_affair(self, error: str, subcode: str, description: str) -> bool:
        """Whether the consent page sent somebody back whose administrator has to consent first.

        Of the description only the provider's numbers are read.
        """
        codes = {error, subcode, *_NUMBERED.findall(description[:2000])}
        return bool(codes & (self._facts.admin_blocked_codes | self._facts.awaits_admin_codes))

    def post(self, url: str, form: str, headers: Mapping[str, str], gate: Gate | None, accept: frozenset[str]) -> Reply:
        """Send a form and judge the reply; error codes in `accept` count as success. For authlib's requests."""
        if gate is not None:
            gate.open()
        try:
            reply = self._transport.exchange(
                "POST",
                url,
                hosts=self._hosts,
                headers=headers,
                body=form.encode(),
                max_body=_MAX_BODY_BYTES,
                timeout_s=TOKEN_DEADLINE_S,
            )
        except TooMuchData:
            raise ReplyLost("The OAuth endpoint's reply is too large to be one.") from None
        error = judge(reply, self._facts, datetime.now(UTC), accept)
        if error is not None:
            raise error
        return reply

    def _door(self, gate: Gate) -> Callable[[str, str, Mapping[str, str]], Reply]:
        return lambda url, form, headers: self.post(url, form, headers, gate, frozenset())

    def _tokens(self, ask: Callable[[Any], object], gate: Gate) -> TokenReply:
        door = _Door(self, gate)
        ask(self._authlib(door))
        return read_tokens(door.last)

    def _get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        reply = self._transport.exchange(
            "GET",
            url,
            hosts=self._hosts,
            headers={"accept": "application/json", **(headers or {})},
            max_body=_MAX_BODY_BYTES,
            timeout_s=TOKEN_DEADLINE_S,
        )
        if reply.status == 200:
            return reply
        if reply.status == 429:
            raise Throttled("The provider asked us to slow down (429).", until=_until(reply))
        if reply.status >= 500:
            raise Transient(f"The provider failed ({reply.status}).", until=_until(reply))
        raise ProviderRefused(f"{urlsplit(url).hostname} answered {reply.status} to a question of identity.")

    def _authlib(self, door: "_Door | None") -> Any:
        # One for each request: it remembers the last token, which must not outlive the call.
        return OAuth2Client(
            session=door,
            client_id=self._client.client_id,
            client_secret=self._client.client_secret.reveal(),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 -- a method's name
            revocation_endpoint_auth_method="client_secret_post",
            code_challenge_method="S256",
        )


class _Door:
    """What authlib takes for an HTTP session: its posts go through the endpoint, errors never reach it."""

    def __init__(self, endpoint: OAuthEndpoint, gate: Gate | None, accept: frozenset[str] = frozenset()) -> None:
        self._endpoint = endpoint
        self._gate = gate
        self._accept = accept
        self.last = Reply(0, {}, b"")

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> "_DoorReply":
        """Send a form, with the client's own authentication added by authlib."""
        url, ready_headers, form = auth.prepare("POST", url, dict(headers), urlencode(data))
        self.last = self._endpoint.post(url, form, ready_headers, self._gate, self._accept)
        return _DoorReply(self.last)


class _DoorReply:
    """A reply as authlib reads it. Only good ones get here."""

    def __init__(self, reply: Reply) -> None:
        self.status_code = reply.status
        self._reply = reply

    def json(self) -> Any:
        """All of the body that authlib needs: it would stumble over an odd `expires_in`, which `read_tokens` reads."""
        return {"access_token": _token_body(self._reply).access_token, "token_type": "Bearer"}

    def raise_for_status(self) -> None:
        """Nothing to raise: the endpoint judged the status already."""


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
            return AdminBlocked(f"An administrator does not allow the app ({shown}).")
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


def _until(reply: Reply) -> datetime | None:
    return retry_hint(reply.header("retry-after"), datetime.now(UTC)).until


def _text(value: Secret | str) -> str:
    return value.reveal() if isinstance(value, Secret) else value

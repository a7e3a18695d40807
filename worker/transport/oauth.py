"""A provider's OAuth endpoints: the address of the consent page, tokens for codes and refresh tokens, revocation.

authlib prepares the requests (`authlib_door.py`), or msal where the facts name it (`msal_tokens.py`); each goes through
the transport, and what its reply says is read in `token_replies.py`. It stores nothing and refreshes nothing by itself:
that is the vault's.

Sources: providers/google.md §1.2 to §1.7, providers/microsoft-linkedin.md §1 (read 2026-11); RFC 6749, 7009, 7636,
9700.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from worker.errors import BadRequest, ProviderRefused, ReplyLost, Throttled, TooMuchData, Transient
from worker.transport.authlib_door import AuthlibDoor, Post, authlib_client
from worker.transport.client import Transport
from worker.transport.id_tokens import Identity, IdTokens, claimed_subject, identity_from_claims
from worker.transport.json_reply import read_json
from worker.transport.ports import Gate, OAuthClient, OAuthFacts, Secret, TokenLibrary
from worker.transport.replies import Reply
from worker.transport.retry_after import retry_hint
from worker.transport.token_replies import TokenReply, judge, read_tokens

TOKEN_DEADLINE_S: Final = 15.0
"""The longest that a request to a token endpoint takes in all. A lease on a grant must outlive it."""
_MAX_BODY_BYTES: Final = 1024 * 1024
_DEAD_ALREADY: Final = frozenset({"invalid_token", "invalid_grant"})
"""What providers call a token that they know no more; RFC 7009 would have them say nothing of it."""
_OF_OPENID: Final = frozenset({"openid", "profile", "email", "offline_access"})
_NUMBERED = re.compile(r"\bAADSTS\d{4,8}\b")


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
        url, _ = authlib_client(self._client, None).create_authorization_url(
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
            AdminBlocked, Misconfigured, ProviderRefused: as for `refresh`.
        """
        if self._facts.revoke_url is None:
            raise BadRequest("This provider has no endpoint for revoking a grant.")
        door = AuthlibDoor(self._door(None, _DEAD_ALREADY))
        authlib_client(self._client, door).revoke_token(self._facts.revoke_url, token=token.reveal())

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
        known = self._facts.admin_blocked_codes | self._facts.awaits_admin_codes
        return bool(_codes(error, subcode, description) & known)

    def consent_of_admin_helps(self, error: str, subcode: str, description: str) -> bool:
        """Whether what the administrator has to do first is to consent, and not to lift a rule of theirs."""
        return bool(_codes(error, subcode, description) & self._facts.awaits_admin_codes)

    def admin_consent_url(self, *, redirect_uri: str, scopes: Iterable[str], state: str) -> str | None:
        """Where an administrator consents for a whole organisation; None if the provider has no such page.

        The address may be shown to anybody, and so may `state`, with which the administrator comes back.
        """
        if self._facts.admin_consent_url is None:
            return None
        prefix = self._facts.admin_scope_prefix
        wanted = [scope if scope in _OF_OPENID else f"{prefix}{scope}" for scope in dict.fromkeys(scopes)]
        params = {
            "client_id": self._client.client_id,
            "scope": " ".join(wanted),
            "redirect_uri": redirect_uri,
            "state": state,
        }
        query = urlencode(params, quote_via=quote)
        return self._transport.shown_address(f"{self._facts.admin_consent_url}?{query}")

    def _post(
        self, url: str, form: str, headers: Mapping[str, str], gate: Gate | None, accept: frozenset[str]
    ) -> Reply:
        """Send a form and judge the reply; error codes in `accept` count as success."""
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

    def _door(self, gate: Gate | None, accept: frozenset[str] = frozenset()) -> Post:
        return lambda url, form, headers: self._post(url, form, headers, gate, accept)

    def _tokens(self, ask: Callable[[Any], object], gate: Gate) -> TokenReply:
        door = AuthlibDoor(self._door(gate))
        ask(authlib_client(self._client, door))
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


def _until(reply: Reply) -> datetime | None:
    return retry_hint(reply.header("retry-after"), datetime.now(UTC)).until


def _codes(error: str, subcode: str, description: str) -> set[str]:
    return {error, subcode, *_NUMBERED.findall(description[:2000])}


def _text(value: Secret | str) -> str:
    return value.reveal() if isinstance(value, Secret) else value

"""Grants: each connection's tokens, sealed under its grant key, and their refresh by one worker at a time (P6).

    token() ─▶ fresh enough? ─yes─▶ the token
                   │ no
                   ▼
    lease on the row, journal «about to send, from version v»      (lost the race: wait, adopt the winner's)
                   ▼
    ask the provider, with no transaction open                     (gate first: after a stop nothing is sent)
                   ▼
    compare-and-swap v → v+1, durable, and only then the new token is used

A worker that dies in between leaves a journal without an answer. Whoever comes next then knows that a reply was lost,
and asks again with the old token: where the old one still works, or works for a while, that repairs it; with a strict
rotator the provider refuses, and the person has to connect again. Nothing but the provider's own word on this consent
ends a grant. Versions are bound into the seal, so that older tokens put back do not open.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import msgspec

from worker.errors import (
    Abandoned,
    ConnectionStopped,
    ConsentGone,
    CrmSyncError,
    KeyShredded,
    ReplyLost,
    SealBroken,
    Transient,
    Unavailable,
)
from worker.store import queries
from worker.store.database import Connection, Database
from worker.transport.ports import Gate, OAuthFacts, Rotation, Secret
from worker.transport.token_replies import TokenReply
from worker.vault.keys import ConnectionKey, KeyStore

QUERIES = queries.load("grants")
LABEL: Final = "grant.tokens"
_ROW: Final = b"tokens"
LEASE: Final = timedelta(seconds=45)
"""Longer than a token request and its one repetition take at most (`transport.oauth.TOKEN_DEADLINE_S` each)."""
_FRESH_SHARE: Final = 0.1
"""A token is renewed when less than this share of its lifetime is left."""
_FIRST_POLL_S, _LONGEST_POLL_S = 0.03, 0.25
_STORE_AGAIN_S: Final = (0.1, 0.3, 1.0, 2.0, 4.0)


class RefreshEndpoint(Protocol):
    """Where tokens are renewed; `worker.transport.oauth.OAuthEndpoint` is one."""

    def refresh(self, refresh_token: Secret, gate: Gate, *, scopes: Sequence[str] = (), claims: str = "") -> TokenReply:
        """New tokens for an old refresh token; its errors are those of `OAuthEndpoint.refresh`."""


class _Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """`scopes` are those that the person granted, for providers that want them named at a refresh."""

    access_token: str
    refresh_token: str = ""
    scopes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "_Tokens(***)"


@dataclass(frozen=True, slots=True)
class _Held:
    """The grant's row, opened."""

    version: int
    tokens: _Tokens
    lifetime: timedelta
    left_s: float


class Grants:
    """Stores tokens and hands out sources of them."""

    def __init__(self, database: Database, keys: KeyStore, *, lease: timedelta = LEASE) -> None:
        self.database = database
        self.keys = keys
        self.lease = lease

    def store_first(self, tx: Connection, workspace: str, key: ConnectionKey, place: UUID, reply: TokenReply) -> None:
        """Store what a consent gave, in the transaction that makes its connection active.

        A provider that gives no refresh token for a repeated consent means the one we hold; that one is kept.

        Raises:
            ConsentGone: there is none, neither new nor old: the provider was not asked for one.
        """
        asked = {"workspace": workspace, "connection": place}
        row = tx.execute(QUERIES["lock_grant"], asked).fetchone()
        version = int(row["token_version"]) + 1 if row else 1
        refresh = reply.refresh_token.reveal() if reply.refresh_token else ""
        if not refresh and row and row["sealed_tokens"] is not None:
            refresh = _kept(key, bytes(row["sealed_tokens"]), int(row["token_version"]))
        if not refresh:
            raise ConsentGone("The provider gave no refresh token with this consent.")
        tokens = _Tokens(reply.access_token.reveal(), refresh, reply.scopes or ())
        lifetime = reply.lifetime or timedelta(minutes=5)
        tx.execute(
            QUERIES["store_first"],
            {
                **asked,
                "version": version,
                "sealed": key.seal(LABEL, _ROW, msgspec.json.encode(tokens), version),
                "lifetime": lifetime,
                "refresh_lifetime": reply.refresh_lifetime,
            },
        )

    def token_source(
        self, workspace: str, connection_id: UUID, endpoint: RefreshEndpoint, facts: OAuthFacts, gate: Gate
    ) -> "GrantTokens":
        """A source of this grant's access tokens for one job; each refresh asks `gate` first."""
        return GrantTokens(self, workspace, connection_id, endpoint, facts, gate)

    def revoke_value(self, workspace: str, connection_id: UUID) -> Secret | None:
        """The token to show to the provider's revocation; None if there is none any more."""
        try:
            key = self.keys.grant(workspace, connection_id)
        except KeyShredded:
            return None
        held = self.read(workspace, connection_id, key)
        if held is None:
            return None
        return Secret(held.tokens.refresh_token or held.tokens.access_token)

    def read(self, workspace: str, connection_id: UUID, key: ConnectionKey) -> _Held | None:
        """The grant as it stands now; None if its tokens are gone.

        Raises:
            SealBroken: what is stored is not what was stored last.
        """
        with self.database.transaction(workspace) as tx:
            row = tx.execute(QUERIES["read_grant"], {"workspace": workspace, "connection": connection_id}).fetchone()
        if row is None or row["sealed_tokens"] is None:
            return None
        plain = key.open(LABEL, _ROW, bytes(row["sealed_tokens"]), int(row["token_version"]))
        left_s = float(row["left_s"]) if row["left_s"] is not None else 0.0
        return _Held(
            int(row["token_version"]),
            msgspec.json.decode(plain, type=_Tokens),
            row["lifetime"] or timedelta(0),
            left_s,
        )


class GrantTokens:
    """The access tokens of one grant, as one job sees them (`transport.ports.TokenSource`)."""

    def __init__(
        self,
        grants: Grants,
        workspace: str,
        connection_id: UUID,
        endpoint: RefreshEndpoint,
        facts: OAuthFacts,
        gate: Gate,
    ) -> None:
        self._grants, self._workspace, self._connection_id = grants, workspace, connection_id
        self._endpoint, self._facts, self._gate = endpoint, facts, gate
        self._key: ConnectionKey | None = None
        self._token: Secret | None = None
        self._due_s = 0.0
        self._refused: str | None = None
        self._claims = ""

    def token(self) -> Secret:
        """The access token to send now, renewed first if it is due.

        Raises:
            ConsentGone, AdminBlocked, Misconfigured, ProviderRefused, Throttled, Transient: as the endpoint's refresh.
            ConnectionStopped, LeaseLost: the gate is shut, or the tokens were destroyed.
            Unavailable: Postgres gave no answer.
        """
        if self._token is not None and time.monotonic() < self._due_s:
            return self._token
        held = self._current()
        if not self._is_due(held):
            return self._keep(held)
        return self._keep(self._renewed(held))

    def refused(self, token: Secret, claims: str = "") -> None:
        """The provider refused this token: it is not handed out again. `claims` is what the next one must carry."""
        self._refused = token.reveal()
        self._claims = claims
        self._token = None

    def renew(self) -> None:
        """Renew the grant whether it is due or not: for one that would die unused."""
        self._keep(self._renewed(self._current()))

    def _current(self) -> _Held:
        if self._key is None:
            try:
                self._key = self._grants.keys.grant(self._workspace, self._connection_id)
            except KeyShredded:
                raise ConnectionStopped("the tokens of the connection were destroyed") from None
        held = self._grants.read(self._workspace, self._connection_id, self._key)
        if held is None:
            raise ConnectionStopped("the tokens of the connection were destroyed")
        return held

    def _is_due(self, held: _Held) -> bool:
        if held.tokens.access_token == self._refused:
            return True
        return held.left_s <= held.lifetime.total_seconds() * _FRESH_SHARE

    def _keep(self, held: _Held) -> Secret:
        self._token = Secret(held.tokens.access_token)
        fresh_s = held.left_s - held.lifetime.total_seconds() * _FRESH_SHARE
        self._due_s = time.monotonic() + max(0.0, fresh_s)
        return self._token

    def _renewed(self, held: _Held) -> _Held:
        """The next version of the grant: made by us, or by whoever holds the lease."""
        owner = uuid4()
        gives_up_s = time.monotonic() + 2 * self._grants.lease.total_seconds()
        poll_s = _FIRST_POLL_S
        while True:
            lease = self._take_lease(held.version, owner)
            if lease is not None:
                lease_epoch, reply_was_lost = lease
                renewed = self._ask(held, lease_epoch, reply_was_lost=reply_was_lost)
                if renewed is not None:
                    return renewed
            elif time.monotonic() > gives_up_s:
                raise Transient("Another worker renews the tokens and does not come to an end.")
            else:
                time.sleep(poll_s)
                poll_s = min(poll_s * 1.5, _LONGEST_POLL_S)
            now = self._current()
            if now.version != held.version:
                return now

    def _take_lease(self, version: int, owner: UUID) -> tuple[int, bool] | None:
        with self._grants.database.transaction(self._workspace) as tx:
            row = tx.execute(
                QUERIES["take_lease"],
                {
                    **self._place(),
                    "version": version,
                    "owner": owner,
                    "attempt": uuid4(),
                    "lease": self._grants.lease,
                },
            ).fetchone()
        return (int(row["lease_epoch"]), bool(row["reply_was_lost"])) if row else None

    def _ask(self, held: _Held, lease_epoch: int, *, reply_was_lost: bool) -> _Held | None:
        """Ask the provider; None if somebody else's tokens are there by now."""
        if not held.tokens.refresh_token:
            self._note(held.version, lease_epoch, ConsentGone.reason)
            raise ConsentGone("There is no refresh token to renew this grant with.")
        lost = reply_was_lost
        try:
            try:
                reply = self._refresh(held)
            except ReplyLost:
                # The one quick repetition: it repairs the loss wherever the old token still works.
                lost = True
                reply = self._refresh(held)
        except ReplyLost:
            self._note(held.version, lease_epoch, None)
            raise
        except ConsentGone as error:
            if not self._note(held.version, lease_epoch, error.reason):
                return None  # Our lease was over, and the token that was refused is not the newest.
            if lost and self._facts.rotation is not Rotation.NONE:
                raise ConsentGone(
                    "The provider's reply with the rotated token was lost on the way (reply_lost)."
                ) from None
            raise
        except Abandoned:
            self._note(held.version, lease_epoch, None if lost else "not_sent")
            raise
        except CrmSyncError as error:
            self._note(held.version, lease_epoch, None if lost else error.reason)
            raise
        return self._store(held, lease_epoch, reply)

    def _refresh(self, held: _Held) -> TokenReply:
        more: dict[str, Any] = {}
        if held.tokens.scopes:
            more["scopes"] = held.tokens.scopes
        if self._claims:
            more["claims"] = self._claims
        return self._endpoint.refresh(Secret(held.tokens.refresh_token), self._gate, **more)

    def _note(self, version: int, lease_epoch: int, answer: str | None) -> bool:
        """Write the answer into the journal and free the lease; False if the grant has moved on."""
        with self._grants.database.transaction(self._workspace) as tx:
            noted = tx.execute(
                QUERIES["note_answer"],
                {**self._place(), "version": version, "lease_epoch": lease_epoch, "answer": answer},
            )
        return noted.rowcount == 1

    def _store(self, held: _Held, lease_epoch: int, reply: TokenReply) -> _Held | None:
        """Make the new tokens durable before anybody uses them; None if the grant has moved on meanwhile."""
        if self._key is None:
            raise SealBroken("A sealed value did not open.")
        refresh = reply.refresh_token.reveal() if reply.refresh_token else held.tokens.refresh_token
        tokens = _Tokens(reply.access_token.reveal(), refresh, held.tokens.scopes)
        self._claims = ""
        lifetime = reply.lifetime or self._facts.default_lifetime
        version = held.version + 1
        asked = {
            **self._place(),
            "version": held.version,
            "lease_epoch": lease_epoch,
            "sealed": self._key.seal(LABEL, _ROW, msgspec.json.encode(tokens), version),
            "lifetime": lifetime,
            "refresh_lifetime": reply.refresh_lifetime,
        }
        stored = self._write(asked)
        return _Held(version, tokens, lifetime, lifetime.total_seconds()) if stored else None

    def _write(self, asked: dict[str, object]) -> bool:
        """Store, patiently: a rotated token that is not stored is lost. Doing it twice finds the first one done."""
        for pause_s in (*_STORE_AGAIN_S, None):
            try:
                with self._grants.database.transaction(self._workspace) as tx:
                    return tx.execute(QUERIES["store_renewed"], asked).rowcount == 1
            except Unavailable:
                if pause_s is None:
                    raise
                time.sleep(pause_s)
        raise AssertionError("unreachable")

    def _place(self) -> dict[str, object]:
        return {"workspace": self._workspace, "connection": self._connection_id}


def _kept(key: ConnectionKey, sealed: bytes, version: int) -> str:
    try:
        return msgspec.json.decode(key.open(LABEL, _ROW, sealed, version), type=_Tokens).refresh_token
    except (SealBroken, KeyShredded):
        return ""

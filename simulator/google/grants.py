"""What Google remembers of consents: codes, refresh tokens, access tokens, and everything that ends them.

It judges tokens; the HTTP side of it is `oauth.py`. Tokens are random, never derived from the seed.

    consent ─▶ code (10 min, once) ─▶ access token (3,599 s) + refresh token ─▶ access token …
    ended by: revoke (all tokens of the account in the project), 6 months idle, 7 days in testing mode, a time-limited
    consent, the cap of 100 per account and client, a password change (Gmail scopes), a dropped account

Source: the provider sheet, sections 1.4 to 1.7 and 1.9.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from simulator.clock import DAY_S, Clock
from simulator.google.scopes import GMAIL_ALL, IDENTITY
from simulator.google.tokens import AccessToken, Consent, Issued, RefreshToken
from simulator.world import Account

CODE_LIFE_S = 600.0
ACCESS_LIFE_S = 3_599
IDLE_S = 182 * DAY_S
TESTING_S = 7 * DAY_S
LIVE_REFRESH_TOKENS = 100
GRACE_S = 60.0

Rotation = Literal["none", "strict", "grace"]
ScopeTest = Callable[[frozenset[str]], bool]


@dataclass(slots=True)
class Switches:
    """How the token endpoint behaves; set through the control door."""

    rotation: Rotation = "none"
    testing_mode: bool = False
    invalid_client: bool = False
    deleted_client: bool = False
    admin_policy_enforced: list[str] = field(default_factory=list)
    access_life_s: int = ACCESS_LIFE_S
    expires_in: Literal["int", "string", "missing"] = "int"
    revocation_delay_s: float = 0.0
    next_errors: list[dict[str, str | int]] = field(default_factory=list)


class GrantRefused(Exception):
    """The token endpoint says no: `error`, and a description that is no contract."""

    def __init__(self, error: str, description: str, *, status: int = 400, subtype: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.subtype = subtype


class Grants:
    """All consents of one project."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.switches = Switches()
        self.refreshes = 0
        self._codes: dict[str, Consent] = {}
        self._used_codes: dict[str, str] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._access: dict[str, AccessToken] = {}
        self._ended: dict[str, float] = {}
        self._granted: dict[str, set[str]] = {}
        self._clients_of: dict[str, set[str]] = {}
        self._next_grant = 1

    def granted_scopes(self, account: Account) -> frozenset[str]:
        """Return what the account granted to the project so far."""
        return frozenset(self._granted.get(account.sub, ()))

    def agree(self, consent: Consent) -> str:
        """Remember a consent and return its code."""
        self._granted.setdefault(consent.account.sub, set()).update(consent.scopes)
        code = "4/0A" + secrets.token_urlsafe(48)
        self._codes[code] = consent
        return code

    def consent_of(self, code: str) -> Consent:
        """Take a code; it works once.

        Raises: GrantRefused when it is unknown, used or older than ten minutes. A second use ends the tokens of the
        first, as RFC 6749 section 4.1.2 asks.
        """
        consent = self._codes.pop(code, None)
        if consent is None:
            if code in self._used_codes:
                self._end_grant(self._used_codes[code])
            raise GrantRefused("invalid_grant", "Bad Request")
        if self._clock.now() - consent.made_at > CODE_LIFE_S:
            raise GrantRefused("invalid_grant", "Bad Request")
        return consent

    def issue(self, code: str, consent: Consent) -> Issued:
        """Give tokens for a consent; a refresh token only offline, and only for a first or a forced consent."""
        now = self._clock.now()
        grant = f"grant-{self._next_grant}"
        self._next_grant += 1
        self._used_codes[code] = grant
        access_token, access = self._new_access(grant, consent.account, consent.client_id, consent.scopes)
        issued = Issued(access_token, access, nonce=consent.nonce)
        clients = self._clients_of.setdefault(consent.account.sub, set())
        if consent.offline and (consent.forced or consent.client_id not in clients):
            ends_at = now + consent.lasts_s if consent.lasts_s is not None else None
            token = RefreshToken(grant, consent.account, consent.client_id, consent.scopes, now, now, ends_at)
            issued.refresh_token = self._keep(token)
            issued.ends_at = ends_at
        clients.add(consent.client_id)
        return issued

    def refresh(self, token: str, client_id: str) -> Issued:
        """Give a new access token for a refresh token, and a new refresh token where the switch says that they rotate.

        Raises: GrantRefused.
        """
        self.refreshes += 1
        now = self._clock.now()
        found = self._refresh.get(token)
        if found is not None and found.account.dropped:
            raise GrantRefused("invalid_grant", "Account has been deleted")
        if found is None or self._is_dead(found, now):
            raise GrantRefused("invalid_grant", "Token has been expired or revoked.")
        if found.client_id != client_id:
            raise GrantRefused("unauthorized_client", "Unauthorized", status=401)
        if found.account.email in self.switches.admin_policy_enforced:
            raise GrantRefused("admin_policy_enforced", "The administrator of this account restricts the service.")
        found.used_at = now
        access_token, access = self._new_access(found.grant, found.account, client_id, found.scopes)
        issued = Issued(access_token, access, ends_at=found.ends_at)
        if self.switches.rotation != "none":
            heir = RefreshToken(
                found.grant, found.account, client_id, found.scopes, found.issued_at, now, found.ends_at
            )
            issued.refresh_token = self._keep(heir)
            if self.switches.rotation == "strict":
                found.dead = True
            elif found.replaced_at is None:
                found.replaced_at = now
        return issued

    def access(self, token: str) -> AccessToken | None:
        """Return a live access token, or None."""
        found = self._access.get(token)
        if found is None or found.account.dropped:
            return None
        now = self._clock.now()
        ended = self._ended.get(token)
        if now >= found.expires_at or (ended is not None and now >= ended):
            return None
        return found

    def known(self, token: str) -> AccessToken | None:
        """Return an access token, live or not, for the log."""
        return self._access.get(token)

    def owner_of_refresh(self, token: str) -> RefreshToken | None:
        """Return a refresh token, live or not, for the log."""
        return self._refresh.get(token)

    def now(self) -> float:
        """Return the time by which tokens live."""
        return self._clock.now()

    def revoke(self, token: str) -> Account | None:
        """End all tokens of the account that a live token belongs to, over all clients; None when the token is dead."""
        access = self.access(token)
        refresh = self._refresh.get(token)
        if access is None and (refresh is None or self._is_dead(refresh, self._clock.now())):
            return None
        account = access.account if access else refresh.account if refresh else None
        if account is not None:
            self.end_account(account)
        return account

    def end_account(self, account: Account) -> int:
        """End every grant of the account to the project, as its user may; return how many refresh tokens died."""
        self._granted.pop(account.sub, None)
        self._clients_of.pop(account.sub, None)
        self._codes = {code: consent for code, consent in self._codes.items() if consent.account is not account}
        return self._end(lambda _scopes: True, account)

    def change_password(self, account: Account) -> int:
        """End the refresh tokens that carry Gmail scopes; the others live on."""
        return self._end(lambda scopes: any(s == GMAIL_ALL or "/gmail." in s for s in scopes), account)

    def expire_access_tokens(self, account: Account | None) -> int:
        """End access tokens before their time, leaving refresh tokens alone."""
        now = self._clock.now()
        chosen = [t for t, a in self._access.items() if account is None or a.account is account]
        self._ended.update(dict.fromkeys(chosen, now))
        return len(chosen)

    def live(self, account: Account) -> list[dict[str, object]]:
        """Return the account's live refresh tokens by grant id, for tests."""
        now = self._clock.now()
        return [
            {"grant": token.grant, "client_id": token.client_id, "scopes": sorted(token.scopes)}
            for token in self._refresh.values()
            if token.account is account and not self._is_dead(token, now)
        ]

    def _end(self, chosen: ScopeTest, account: Account) -> int:
        at = self._clock.now() + self.switches.revocation_delay_s
        for text, access in self._access.items():
            if access.account is account and chosen(access.scopes):
                self._ended.setdefault(text, at)
        died = 0
        for token in self._refresh.values():
            if token.account is account and not token.dead and chosen(token.scopes):
                token.dead = True
                died += 1
        return died

    def _end_grant(self, grant: str) -> None:
        for text, access in self._access.items():
            if access.grant == grant:
                self._ended.setdefault(text, self._clock.now())
        for token in self._refresh.values():
            token.dead = token.dead or token.grant == grant

    def _is_dead(self, token: RefreshToken, now: float) -> bool:
        testing_ends = self.switches.testing_mode and not token.scopes <= IDENTITY and now - token.issued_at > TESTING_S
        return (
            token.dead
            or now - token.used_at > IDLE_S
            or testing_ends
            or (token.ends_at is not None and now >= token.ends_at)
            or (token.replaced_at is not None and now - token.replaced_at > GRACE_S)
        )

    def _new_access(
        self, grant: str, account: Account, client_id: str, scopes: frozenset[str]
    ) -> tuple[str, AccessToken]:
        now = self._clock.now()
        text = "ya29.a0" + secrets.token_urlsafe(120)
        token = AccessToken(grant, account, client_id, scopes, now, now + self.switches.access_life_s)
        self._access[text] = token
        return text, token

    def _keep(self, token: RefreshToken) -> str:
        """Remember a refresh token; the oldest beyond the cap dies without a word."""
        text = "1//0g" + secrets.token_urlsafe(72)
        self._refresh[text] = token
        now = self._clock.now()
        siblings = [
            one
            for one in self._refresh.values()
            if one.account is token.account and one.client_id == token.client_id and not self._is_dead(one, now)
        ]
        for oldest in siblings[:-LIVE_REFRESH_TOKENS]:
            oldest.dead = True
        return text

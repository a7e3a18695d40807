"""What the identity platform remembers of consents: codes, refresh tokens, access tokens, and what ends them.

    consent ─▶ code (10 min, once) ─▶ access token (about an hour) + refresh token (90 days from its issue)
    refresh ─▶ a new access token and a new refresh token; the old one lives on until its own 90 days are over
    ended by: all sessions revoked (50173), the application removed (65001), 90 days idle (700082), a disabled (50057)
    or deleted account (50034); a changed password ends nothing, and nothing but continuous access evaluation ends an
    access token before its time

Tokens are random, never derived from the seed.
Source: the provider sheet, sections 1.3 to 1.8.
"""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from simulator.clock import DAY_S, Clock
from simulator.microsoft.oauth_errors import GrantRefused
from simulator.microsoft.scopes import IDENTITY, NEEDS_ADMIN
from simulator.microsoft.tokens import AccessToken, Consent, Issued, RefreshToken
from simulator.world.office import OfficeAccount

CODE_LIFE_S = 600.0
ACCESS_LIFE_S = 3_599
LONG_LIFE_S = 86_399
REFRESH_IN_S = 43_200
REFRESH_LIFE_S = 90 * DAY_S

Rotation = Literal["sliding", "strict", "none"]
Ending = Literal["revoked", "removed", "disabled"]
_CODES_OF: dict[str, int] = {"revoked": 50173, "removed": 65001, "disabled": 50057}


@dataclass(slots=True)
class Switches:
    """How the identity platform behaves; set through the control door.

    rotation: `sliding` gives a new refresh token and keeps the old one alive, `strict` ends the old one at once, `none`
      gives no new one.
    expires_in: an integer, a text, or missing.
    admin_approval: accounts whose organisation wants an administrator's consent for `admin_scopes`;
      `admin_approval_error` is what the browser brings back.
    withheld_scopes: what is silently left out of every grant.
    standing_errors: an AADSTS code for an account, with which every token request of it fails until it is taken out.
    next_errors: for one request each, `{"code": 50076, "account": …, "status": …, "retry_after": …, "claims": …}`.
    client_error: 7000215 or 7000222, and the application's secret is no longer good.
    """

    rotation: Rotation = "sliding"
    access_life_s: int = ACCESS_LIFE_S
    long_life_s: int = LONG_LIFE_S
    refresh_life_s: float = REFRESH_LIFE_S
    expires_in: Literal["int", "string", "missing"] = "int"
    admin_approval: list[str] = field(default_factory=list)
    admin_scopes: list[str] = field(default_factory=lambda: sorted(NEEDS_ADMIN))
    admin_approval_error: Literal["access_denied", "consent_required"] = "access_denied"
    withheld_scopes: list[str] = field(default_factory=list)
    standing_errors: dict[str, int] = field(default_factory=dict)
    next_errors: list[dict[str, Any]] = field(default_factory=list)
    client_error: int | None = None


class Grants:
    """All consents to one application."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.switches = Switches()
        self.refreshes = 0
        self._codes: dict[str, Consent] = {}
        self._used_codes: set[str] = set()
        self._refresh: dict[str, RefreshToken] = {}
        self._access: dict[str, AccessToken] = {}
        self._expired: set[str] = set()
        self._consented: dict[tuple[str, str], set[str]] = {}
        self._endings: dict[str, tuple[Ending, float]] = {}
        self._challenges: dict[str, int] = {}
        self._next_grant = 1

    def now(self) -> float:
        """Return the time by which tokens live."""
        return self._clock.now()

    def consented(self, account: OfficeAccount, client_id: str) -> frozenset[str]:
        """Return what the account consented to so far."""
        return frozenset(self._consented.get((account.oid, client_id), ()))

    def agree(self, consent: Consent) -> str:
        """Remember a consent and return its code."""
        key = consent.account.oid, consent.client_id
        self._consented.setdefault(key, set()).update(consent.scopes)
        prefix = "M.C106_BAY.2." if consent.account.organisation is None else "1.AX4A"
        code = prefix + secrets.token_urlsafe(420)
        self._codes[code] = consent
        return code

    def consent_of(self, code: str) -> Consent:
        """Take a code; it works once.

        Raises: GrantRefused when it is unknown, used or older than ten minutes.
        """
        consent = self._codes.pop(code, None)
        if consent is None:
            raise GrantRefused(54005 if code in self._used_codes else 9002313)
        self._used_codes.add(code)
        if self._clock.now() - consent.made_at > CODE_LIFE_S:
            raise GrantRefused(70008)
        return consent

    def issue(self, consent: Consent, claims: str | None) -> Issued:
        """Give tokens for a consent; a refresh token only with offline_access."""
        grant = f"office-grant-{self._next_grant}"
        self._next_grant += 1
        access_token, access = self._new_access(grant, consent.account, consent.client_id, consent.scopes, claims)
        issued = Issued(access_token, access, nonce=consent.nonce)
        if "offline_access" in consent.scopes:
            token = RefreshToken(grant, consent.account, consent.client_id, self._clock.now())
            issued.refresh_token = self._keep(token)
        return issued

    def refresh(self, token: str, client_id: str, scopes: list[str], claims: str | None) -> Issued:
        """Give a new access token, and a new refresh token as the switch says; no scopes means all that were granted.

        Raises: GrantRefused.
        """
        self.refreshes += 1
        now = self._clock.now()
        found = self._refresh.get(token)
        if found is None:
            raise GrantRefused(9002313)
        account = found.account
        if account.dropped:
            raise GrantRefused(50034)
        if found.client_id != client_id:
            raise GrantRefused(70000, "The token was issued to another application.")
        self._check_alive(found, now)
        granted = self.consented(account, client_id)
        wanted = frozenset(scopes) or granted
        if not wanted - IDENTITY <= granted:
            raise GrantRefused(65001)
        access_token, access = self._new_access(found.grant, account, client_id, wanted, claims)
        issued = Issued(access_token, access)
        if self.switches.rotation != "none":
            issued.refresh_token = self._keep(RefreshToken(found.grant, account, client_id, now))
            found.dead = self.switches.rotation == "strict"
        return issued

    def _check_alive(self, token: RefreshToken, now: float) -> None:
        ending, at = self._endings.get(token.account.oid, ("revoked", 0.0))
        if ending == "disabled" or token.issued_at <= at:
            raise GrantRefused(_CODES_OF[ending])
        if token.dead:
            raise GrantRefused(70008)
        if now - token.issued_at > self.switches.refresh_life_s:
            raise GrantRefused(700082)

    def access(self, token: str) -> AccessToken | None:
        """Return a live access token, or None."""
        found = self._access.get(token)
        if found is None or token in self._expired or self._clock.now() >= found.expires_at:
            return None
        return None if found.account.dropped else found

    def challenge(self, token: AccessToken) -> str | None:
        """Return the claims without which an access token is no longer accepted, None for one that is."""
        wanted = self._challenges.get(token.account.oid, 0)
        if not token.evaluated or token.answered >= wanted:
            return None
        claims = {"access_token": {"nbf": {"essential": True, "value": str(wanted)}}}
        return msgspec.json.encode(claims).decode()

    def known(self, token: str) -> AccessToken | None:
        """Return an access token, live or not, for the log."""
        return self._access.get(token)

    def owner_of_refresh(self, token: str) -> RefreshToken | None:
        """Return a refresh token, live or not, for the log."""
        return self._refresh.get(token)

    def end(self, account: OfficeAccount, ending: Ending) -> int:
        """End every refresh token of an account, and its evaluated access tokens; return how many of the former."""
        died = len(self.live(account))
        self._endings[account.oid] = ending, self._clock.now()
        if ending == "removed":
            self._consented = {key: found for key, found in self._consented.items() if key[0] != account.oid}
        self._codes = {code: consent for code, consent in self._codes.items() if consent.account is not account}
        self.demand(account)
        return died

    def enable(self, account: OfficeAccount) -> None:
        """Let a disabled account sign in again."""
        self._endings.pop(account.oid, None)

    def demand(self, account: OfficeAccount) -> None:
        """Challenge every evaluated access token that the account has now."""
        self._challenges[account.oid] = max(int(self._clock.now()), self._challenges.get(account.oid, 0) + 1)

    def expire_access_tokens(self, account: OfficeAccount | None) -> int:
        """End access tokens before their time, leaving refresh tokens alone."""
        chosen = [text for text, found in self._access.items() if account is None or found.account is account]
        self._expired.update(chosen)
        return len(chosen)

    def live(self, account: OfficeAccount) -> list[dict[str, object]]:
        """Return the account's live refresh tokens by grant id, for tests."""
        now = self._clock.now()
        return [
            {
                "grant": token.grant,
                "client_id": token.client_id,
                "scopes": sorted(self.consented(account, token.client_id)),
            }
            for token in self._refresh.values()
            if token.account is account and self._is_alive(token, now)
        ]

    def _is_alive(self, token: RefreshToken, now: float) -> bool:
        try:
            self._check_alive(token, now)
        except GrantRefused:
            return False
        return True

    def _new_access(
        self, grant: str, account: OfficeAccount, client_id: str, scopes: frozenset[str], claims: str | None
    ) -> tuple[str, AccessToken]:
        now = self._clock.now()
        evaluated, answered = _read_claims(claims)
        life = self.switches.long_life_s if evaluated else self.switches.access_life_s
        given = scopes - set(self.switches.withheld_scopes)
        token = AccessToken(grant, account, client_id, given, now, now + life, evaluated, answered)
        text = _opaque(account)
        self._access[text] = token
        return text, token

    def _keep(self, token: RefreshToken) -> str:
        prefix = "M.C519_BAY.0.U.-" if token.account.organisation is None else "1.AXkA"
        text = prefix + secrets.token_urlsafe(720)
        self._refresh[text] = token
        return text


def _opaque(account: OfficeAccount) -> str:
    """Return an access token: for work accounts three parts that look like a JWT, for private ones a text."""
    if account.organisation is None:
        return "EwB4A8l6BAAU" + secrets.token_urlsafe(700)
    head = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"RS256","nonce":"opaque"}').decode().rstrip("=")
    return f"{head}.{secrets.token_urlsafe(900)}.{secrets.token_urlsafe(256)}"


def _read_claims(claims: str | None) -> tuple[bool, int]:
    """Return whether the client can be challenged, and which challenge it answers.

    Raises: GrantRefused for claims that are none.
    """
    if not claims:
        return False, 0
    try:
        asked = msgspec.json.decode(claims, type=dict[str, dict[str, Any]]).get("access_token", {})
        answered = int((asked.get("nbf") or {}).get("value", 0))
        capabilities = (asked.get("xms_cc") or {}).get("values", [])
    except (msgspec.DecodeError, msgspec.ValidationError, AttributeError, TypeError, ValueError):
        raise GrantRefused(9002313, "The claims parameter is malformed.", error="invalid_request") from None
    return "CP1" in capabilities or answered > 0, answered

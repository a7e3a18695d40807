"""An ordinary OAuth 2.0 server, for families that third parties bring: codes with PKCE, refresh, revocation, userinfo.

    consent(address, account, scopes) ─▶ code ─▶ POST token_path ─▶ bearer ─▶ allowed(request, scope)
    POST token_path (refresh_token) · POST revoke_path · GET userinfo_path

It is strict where the standards are: addresses match exactly, a code works once and for ten minutes, a verifier must
fit its challenge. Refresh tokens are not rotated. A provider with other habits writes its own.

Source: RFC 6749 §4.1, §5.2 and §6, RFC 7009, RFC 7636.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from simulator.clock import Clock
from simulator.exchange import Reply, Request, json_reply
from simulator.opaque import fingerprint

CODE_LIFE_S: Final = 600
ACCESS_LIFE_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server is; `authorize` is the whole address without its query, the others are host and path."""

    authorize: str
    token: tuple[str, str]
    revoke: tuple[str, str]
    userinfo: tuple[str, str]


@dataclass(slots=True)
class Grant:
    """What one person granted; `alive` until it is revoked."""

    account: str
    scopes: tuple[str, ...]
    alive: bool = True


@dataclass(slots=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: float


@dataclass(slots=True)
class PlainOAuth:
    """The server. `redirect_uris` are those registered; `accounts` everybody who can log in."""

    addresses: Addresses
    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    scopes: frozenset[str]
    accounts: list[str]
    clock: Clock
    _codes: dict[str, _Code] = field(default_factory=dict)
    _access: dict[str, tuple[Grant, float]] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)
    _made: int = 0

    def consent(self, authorize_url: str, account: str, scopes: list[str] | None) -> str:
        """Act as the person at the consent page: tick `scopes` (all that are asked for, if None).

        Raises: ValueError for a request that the page would refuse.
        """
        parts = urlsplit(authorize_url)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        wanted = asked.get("scope", "").split()
        wrong = [
            text
            for broken, text in (
                (not authorize_url.partition("?")[0].endswith(self.addresses.authorize.partition("://")[2]), "address"),
                (asked.get("client_id") != self.client_id, "client_id"),
                (asked.get("redirect_uri") not in self.redirect_uris, "redirect_uri"),
                (asked.get("response_type") != "code", "response_type"),
                (asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"), "code_challenge"),
                (not set(wanted) <= self.scopes, "scope"),
                (account not in self.accounts, "account"),
            )
            if broken
        ]
        if wrong:
            raise ValueError(f"The consent page refuses: {', '.join(wrong)}.")
        ticked = tuple(scope for scope in wanted if scopes is None or scope in scopes)
        code = self._token("code")
        expires_at = self.clock.now() + CODE_LIFE_S
        self._codes[code] = _Code(Grant(account, ticked), asked["redirect_uri"], asked["code_challenge"], expires_at)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked.get('state', '')})}"

    def end(self, account: str) -> int:
        """The person takes back all that they granted; returns how many grants that were."""
        ended = [grant for grant in self._refresh.values() if grant.account == account and grant.alive]
        for grant in ended:
            grant.alive = False
        return len(ended)

    def holder(self, request: Request) -> str | None:
        """Return whose bearer a request carries, dead or alive."""
        found = self._access.get(_bearer(request))
        return found[0].account if found else None

    def allowed(self, request: Request, scope: str | None = None) -> Grant | int:
        """Return the grant behind a request, or the status that it is refused with: 401, or 403 for want of a scope."""
        found = self._access.get(_bearer(request))
        if found is None or not found[0].alive or found[1] <= self.clock.now():
            return 401
        return found[0] if scope is None or scope in found[0].scopes else 403

    def handle(self, request: Request) -> Reply | None:
        """Serve a request to one of the server's addresses; None for any other."""
        place = (request.host, request.path)
        if place == self.addresses.token and request.method == "POST":
            return self._give(dict(request.form()))
        if place == self.addresses.revoke and request.method == "POST":
            return self._revoke(dict(request.form()))
        if place == self.addresses.userinfo:
            grant = self.allowed(request)
            if isinstance(grant, int):
                return json_reply({"error": "invalid_token"}, grant)
            return json_reply({"sub": f"sub-{fingerprint(grant.account)}", "email": grant.account})
        return None

    def _give(self, form: dict[str, str]) -> Reply:
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return json_reply({"error": "invalid_client"}, 401)
        match form.get("grant_type"):
            case "authorization_code":
                return self._for_code(form)
            case "refresh_token":
                grant = self._refresh.get(form.get("refresh_token", ""))
                return self._tokens(grant, None) if grant and grant.alive else _invalid_grant()
            case _:
                return json_reply({"error": "unsupported_grant_type"}, 400)

    def _for_code(self, form: dict[str, str]) -> Reply:
        code = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        good = (
            code is not None
            and code.expires_at > self.clock.now()
            and code.redirect_uri == form.get("redirect_uri")
            and code.challenge == challenge
        )
        if code is None or not good:
            return _invalid_grant()
        refresh = self._token("refresh")
        self._refresh[refresh] = code.grant
        return self._tokens(code.grant, refresh)

    def _tokens(self, grant: Grant, refresh: str | None) -> Reply:
        access = self._token("access")
        self._access[access] = (grant, self.clock.now() + ACCESS_LIFE_S)
        given = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFE_S,
            "scope": " ".join(grant.scopes),
        }
        return json_reply(given | ({"refresh_token": refresh} if refresh else {}))

    def _revoke(self, form: dict[str, str]) -> Reply:
        token = form.get("token", "")
        held = self._access.get(token)
        grant = self._refresh.get(token) or (held[0] if held else None)
        if grant is not None:
            grant.alive = False
        return json_reply({})

    def _token(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{fingerprint(self.client_id, kind, self._made)}{fingerprint(self._made, kind)}"


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _invalid_grant() -> Reply:
    return json_reply({"error": "invalid_grant"}, 400)

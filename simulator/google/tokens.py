"""What there is once a person agreed: a consent, refresh tokens, access tokens, and what a token reply is made from.

Facts only; how they come, go and end is written in `grants.py`.
"""

from dataclasses import dataclass

from simulator.world import Account


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to at the consent page, before the code is used."""

    account: Account
    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    offline: bool
    forced: bool
    made_at: float
    challenge: str | None
    challenge_method: str
    nonce: str | None
    lasts_s: float | None


@dataclass(slots=True)
class RefreshToken:
    """One refresh token; `grant` is its id in logs."""

    grant: str
    account: Account
    client_id: str
    scopes: frozenset[str]
    issued_at: float
    used_at: float
    ends_at: float | None = None
    dead: bool = False
    replaced_at: float | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One access token."""

    grant: str
    account: Account
    client_id: str
    scopes: frozenset[str]
    issued_at: float
    expires_at: float


@dataclass(slots=True)
class Issued:
    """What a token reply is made from."""

    access_token: str
    access: AccessToken
    refresh_token: str | None = None
    ends_at: float | None = None
    nonce: str | None = None

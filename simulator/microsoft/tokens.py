"""What there is once a person agreed: a consent, refresh tokens, access tokens, and what a token reply is made from.

Facts only; how they come, go and end is written in `grants.py`.
"""

from dataclasses import dataclass

from simulator.world.office import OfficeAccount


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to at the consent page, before the code is used."""

    account: OfficeAccount
    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    made_at: float
    challenge: str | None
    challenge_method: str
    nonce: str | None


@dataclass(slots=True)
class RefreshToken:
    """One refresh token; `grant` is its id in logs, and stays when the token is replaced."""

    grant: str
    account: OfficeAccount
    client_id: str
    issued_at: float
    dead: bool = False


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One access token. `evaluated` ones can be ended at once; `answered` is the challenge they were asked for with."""

    grant: str
    account: OfficeAccount
    client_id: str
    scopes: frozenset[str]
    issued_at: float
    expires_at: float
    evaluated: bool = False
    answered: int = 0


@dataclass(slots=True)
class Issued:
    """What a token reply is made from."""

    access_token: str
    access: AccessToken
    refresh_token: str | None = None
    nonce: str | None = None

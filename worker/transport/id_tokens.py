"""Who consented, from an ID token (OpenID Connect): its signature, issuer, audience and time are all checked.

RS256 only. The provider's keys are kept as long as it says, and fetched again when a token names a key that is not
among them, once a minute at most. It refreshes nothing and stores nothing.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from worker.errors import BadRecord, ProviderRefused
from worker.transport.json_reply import read_json, scrub
from worker.transport.ports import OAuthFacts, Secret
from worker.transport.replies import Reply

_ALGORITHMS: Final = ["RS256"]
_LEEWAY_S: Final = 60
_AGAIN_AFTER_S: Final = 60.0
_KEPT_S: Final = (300.0, 86_400.0)
_MAX_TOKEN_CHARS: Final = 16_384
_MAX_AGE = re.compile(r"max-age=(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Identity:
    """The person at the provider. `subject` never changes; an address may. Its `repr` shows neither."""

    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""

    def __repr__(self) -> str:
        return "Identity(***)"


def identity_from_claims(claims: Mapping[str, Any], subject_claim: str = "sub") -> Identity:
    """The identity in an ID token's claims or in userinfo; `subject_claim` is the provider's name for the subject.

    Raises:
        ProviderRefused: there is no subject in them.
    """
    subject = claims.get(subject_claim)
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ProviderRefused("The provider named no subject.")
    return Identity(
        subject=scrub(subject),
        email=_text(claims.get("email")),
        email_verified=claims.get("email_verified") in {True, "true"},
        name=_text(claims.get("name")),
    )


class IdTokens:
    """Checks ID tokens of one provider for one client. `fetch` gets an address of the provider."""

    def __init__(self, facts: OAuthFacts, client_id: str, fetch: Callable[[str], Reply]) -> None:
        self._facts = facts
        self._client_id = client_id
        self._fetch = fetch
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fresh_until = 0.0
        self._fetched_at = float("-inf")

    def identity(self, token: Secret) -> Identity:
        """The identity that a genuine token names.

        Raises:
            ProviderRefused: the token is not genuine, not for us, or not of this time.
            RunAgainLater: the provider's keys cannot be fetched now.
        """
        issuer = self._facts.issuer
        if issuer is None or self._facts.jwks_url is None:
            raise ProviderRefused("The provider's facts name no issuer or keys for its ID tokens.")
        text = token.reveal()
        if len(text) > _MAX_TOKEN_CHARS:
            raise ProviderRefused("The ID token is too long to be one.")
        try:
            key_id = jwt_header(text).get("kid")
            decoded = jwt.decode(text, self._keys_with(key_id), algorithms=_ALGORITHMS, registry=_REGISTRY)
            bare = issuer.removeprefix("https://").rstrip("/")
            # Providers name themselves with and without the scheme, with and without the last slash.
            spellings = [f"{scheme}{bare}{slash}" for scheme in ("https://", "") for slash in ("", "/")]
            jwt.JWTClaimsRegistry(
                now=lambda: int(time.time()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "values": spellings},
                aud={"essential": True, "value": self._client_id},
                exp={"essential": True},
            ).validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderRefused(f"The ID token is not genuine or not for us ({type(error).__name__}).") from None
        return identity_from_claims(decoded.claims)

    def _keys_with(self, key_id: object) -> KeySet:
        with self._lock:
            now = time.monotonic()
            known = self._keys is not None and any(key.kid == key_id for key in self._keys.keys)
            stale = now >= self._fresh_until
            if self._keys is None or stale or (not known and now - self._fetched_at > _AGAIN_AFTER_S):
                reply = self._fetch(self._facts.jwks_url or "")
                try:
                    self._keys = KeySet.import_key_set(read_json(reply, dict[str, Any]))  # type: ignore[arg-type]
                except (BadRecord, JoseError, KeyError) as error:
                    raise ProviderRefused(f"The provider's keys cannot be read ({type(error).__name__}).") from None
                self._fetched_at = now
                self._fresh_until = now + _kept_s(reply)
            return self._keys


_REGISTRY = JWSRegistry(algorithms=_ALGORITHMS)


def jwt_header(token: str) -> Mapping[str, Any]:
    """The header of a compact token, unchecked: only to choose the key by."""
    from joserfc.jws import extract_compact  # noqa: PLC0415

    return extract_compact(token.encode()).headers()


def claimed_subject(token: Secret) -> str | None:
    """The subject that a token claims, with nothing checked but where it came from; None if it cannot be read.

    It came from the token endpoint over TLS, which OpenID Connect Core 3.1.3.7 lets stand in for the signature. We let
    it only where a grant is given back, and connect nobody by it.
    """
    from joserfc.jws import extract_compact  # noqa: PLC0415

    try:
        claims = json.loads(extract_compact(token.reveal()[:_MAX_TOKEN_CHARS].encode()).payload)
        return identity_from_claims(claims).subject
    except (JoseError, ProviderRefused, ValueError, AttributeError):
        return None


def _kept_s(reply: Reply) -> float:
    found = _MAX_AGE.search(reply.header("cache-control"))
    shortest, longest = _KEPT_S
    return max(shortest, min(float(found[1]) if found else shortest, longest))


def _text(value: object) -> str:
    return scrub(value) if isinstance(value, str) else ""

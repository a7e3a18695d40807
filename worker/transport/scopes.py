"""Scopes, however a provider spells them: lists that mean the same become equal. Pure."""

from collections.abc import Iterable

_LONG_SCOPES = {
    "https://www.googleapis.com/auth/userinfo.email": "email",
    "https://www.googleapis.com/auth/userinfo.profile": "profile",
}
_LONG_PREFIX = "https://graph.microsoft.com/"


def normal_scopes(scopes: str | Iterable[str]) -> tuple[str, ...]:
    """Scopes in their short names, each once, in order of their names: two lists that mean the same become equal."""
    names = scopes.replace(",", " ").split() if isinstance(scopes, str) else scopes
    return tuple(sorted({_LONG_SCOPES.get(name, name).removeprefix(_LONG_PREFIX) for name in names}))


def missing_scopes(needed: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """Which of `needed` were not granted, however either side spells them."""
    return tuple(sorted(set(normal_scopes(needed)) - set(normal_scopes(granted))))

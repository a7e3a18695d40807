"""Values by which a person's records are found without storing an address or a number in the clear.

A value is a version byte (0x01) and the first 15 bytes of an HMAC-SHA-256 under the workspace's index key, over a
normal form. So equal addresses give equal values within one workspace and unrelated ones across two.

    e-mail   NFKC and casefold for the part before the @; the domain as IDNA (UTS 46)
    phone    the provider's canonical form where given, else parsed with the workspace's default region: E.164
             and always a second one on plain digits, so that a number we cannot place is still found and erased

It does not store or look up anything.
"""

import re
import unicodedata
from collections.abc import Iterable

import idna
import phonenumbers

from worker.records import Identifier, IdentifierKind
from worker.vault.mac import Mac
from worker.vault.sealing import DataKey

VERSION = b"\x01"
_MAC_BYTES = 15
_FEWEST_DIGITS = 3
"""Fewer digits name nobody, and would join strangers."""
_E164 = re.compile(r"^\+[1-9][0-9]{4,14}$")
_MAY_BE_EXTENDED = re.compile(r"[;,#xX]")
_NO_DIGITS = re.compile(r"[^0-9]+")
_EXTENSION = re.compile(r"(?<=\d)\s*(?:;ext=|;|,|#|ext\.?|x).*$", re.IGNORECASE | re.DOTALL)


class BlindIndex:
    """The blind index of one workspace."""

    __slots__ = ("_digits", "_e164", "_email", "_region")

    def __init__(self, key: DataKey, default_region: str) -> None:
        self._region = default_region
        self._email = Mac(key.derive("blind-index email"))
        self._e164 = Mac(key.derive("blind-index phone e164"))
        self._digits = Mac(key.derive("blind-index phone digits"))

    def values(self, identifiers: Iterable[Identifier]) -> list[bytes]:
        """The values of all `identifiers`, each once, in order."""
        found: set[bytes] = set()
        for identifier in identifiers:
            if identifier.kind is IdentifierKind.EMAIL:
                found.update(self.email(identifier.value))
            else:
                found.update(self.phone(identifier.value, identifier.canonical))
        return sorted(found)

    def email(self, text: str) -> list[bytes]:
        """The values to look `text` up by: one, or none if it is empty."""
        normal = normal_email(text)
        return [_value(self._email, normal)] if normal else []

    def phone(self, text: str, canonical: str = "") -> list[bytes]:
        """The values to look `text` up by: at most two, any of which may match."""
        values = []
        e164 = canonical if _E164.match(canonical) else normal_phone(text or canonical, self._region)
        if e164:
            values.append(_value(self._e164, e164))
        digits = plain_digits(text or canonical)
        if len(digits) >= _FEWEST_DIGITS:
            values.append(_value(self._digits, digits))
        return values


def normal_email(text: str) -> str:
    """The form under which an address is compared. What is no address still gets one: junk must be found too."""
    if not text.isascii():
        text = _without_invisible(unicodedata.normalize("NFKC", text))
    local, at, domain = text.strip().rpartition("@")
    return f"{_fold(local)}{at}{_normal_domain(domain.rstrip('.'))}"


def normal_phone(text: str, default_region: str) -> str:
    """`text` as E.164 without its extension, or empty if it is no possible number."""
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def plain_digits(text: str) -> str:
    """The digits of a number, of any script, as 0 to 9; an extension behind them is left out."""
    if text.isascii():
        # Most numbers have no extension, and looking for one at each digit costs more than all the rest.
        bare = _EXTENSION.sub("", text) if _MAY_BE_EXTENDED.search(text) else text
        return _NO_DIGITS.sub("", bare)
    shown = "".join(
        str(unicodedata.decimal(character)) if character.isdecimal() else character
        for character in unicodedata.normalize("NFKC", text)
    )
    return "".join(filter(str.isdecimal, _EXTENSION.sub("", shown)))


def _fold(text: str) -> str:
    return text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _normal_domain(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return _fold(domain)


def _without_invisible(text: str) -> str:
    # Marks of writing direction come along when an address is copied out of Arabic or Hebrew text.
    return "".join(character for character in text if unicodedata.category(character) not in {"Cf", "Cc"})


def _value(mac: Mac, normal: str) -> bytes:
    return VERSION + mac(normal.encode("utf-8", "surrogatepass"))[:_MAC_BYTES]

"""Figures of Google Ads: 64-bit integers that come as JSON strings, and doubles. Exact or refused, never rounded."""

import re
from decimal import Decimal
from typing import Final

from worker.errors import BadRecord

Whole = int | str
"""How Google writes an integer: as a string, or not at all where it is zero. A number is read too, a fraction not."""

_DIGITS: Final = re.compile(r"-?[0-9]{1,19}")
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1


def whole_number(text: Whole, where: str) -> int:
    """An integer of 64 bits.

    Raises:
        BadRecord: it is none.
    """
    if isinstance(text, str) and _DIGITS.fullmatch(text) is None:
        raise BadRecord(where)
    number = int(text)
    if not _LEAST <= number <= _MOST:
        raise BadRecord(where)
    return number


def amount(number: Decimal, where: str) -> Decimal:
    """A count or a value that may be a fraction, with the digits that Google wrote.

    Raises:
        BadRecord: it is not finite.
    """
    if not number.is_finite():
        raise BadRecord(where)
    return number

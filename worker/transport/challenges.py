"""What a provider wants to see in the next access token, read from a 401's `WWW-Authenticate`. Pure.

    Bearer realm="", error="insufficient_claims", claims="<base64 of JSON>"

Microsoft sends it when a rule of the customer's directory asks for more than the token tells. The JSON is handed to
the token endpoint as it is; nobody here reads it.

Source: providers/microsoft-linkedin.md §1.8 (read 2026-11)
"""

import re
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as Base64Error
from typing import Final

import msgspec

from worker.transport.replies import Reply

_LONGEST: Final = 8 * 1024
_PAIR: Final = re.compile(r'\b(error|claims)\s{0,9}=\s{0,9}"([^"]*+)"', re.IGNORECASE)


def claims_of(reply: Reply) -> str:
    """The JSON of the claims that the next token must carry; empty if the reply asks for none, or not legibly."""
    header = reply.header("www-authenticate")
    if reply.status != 401 or len(header) > _LONGEST:
        return ""
    told = {name.lower(): value for name, value in _PAIR.findall(header)}
    if told.get("error") != "insufficient_claims":
        return ""
    return _json(told.get("claims", ""))


def _json(text: str) -> str:
    bare = text.strip().rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        plain = urlsafe_b64decode(padded) if {"-", "_"} & set(padded) else b64decode(padded, validate=True)
        msgspec.json.decode(plain, type=dict[str, msgspec.Raw])
        return plain.decode()
    except (Base64Error, ValueError, msgspec.MsgspecError):
        return ""

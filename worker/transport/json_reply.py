"""Reading JSON that others wrote: strictly where it is sound, and mended where only small things are broken.

    body ▶ drop a byte-order mark and escaped NULs ▶ msgspec, strict ▶ value
                                                     └ not JSON ▶ mend (NaN, 1e400, half characters) ▶ msgspec

A page must not be lost for one item's NaN or half an emoji, so a body that strict JSON refuses is read once more
leniently and written anew: numbers that are none become null, half characters become U+FFFD. What is then missing
or of the wrong type fails where it stands, as that one item.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from worker.errors import BadRecord, CrmSyncError, Transient
from worker.transport.replies import Reply

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_BACKSLASH = ord("\\")
_ESCAPED_NUL = b"\\u0000"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_WHERE = re.compile(r" - at `([^`]{1,200})`$")


def read_json(source: Reply | bytes, type_: type[T]) -> T:
    """The value of type `type_` in a JSON body. Strings in it hold no NUL, which Postgres cannot store.

    Raises:
        BadRecord: it is JSON, but not of that type, or is nested too deeply.
        Transient: it is no JSON, or only the beginning of some.
    """
    body = source.body if isinstance(source, Reply) else source
    body = body.removeprefix(_BOM)
    body = _without_nuls(body)
    decoder: msgspec.json.Decoder[T] = _decoder(type_)  # type: ignore[arg-type]  # A type is hashable.
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        # A number such as 1e400 is told as a wrong type, and would cost the page of the item that holds it.
        if "out of range" not in str(error):
            raise _wrong_shape(error) from None
        mended = _mended(body)
    except RecursionError:
        raise BadRecord("The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = _mended(body)
    try:
        return decoder.decode(mended)
    except msgspec.ValidationError as error:
        raise _wrong_shape(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRecord("The JSON cannot be read.") from None


def read_items(items: Sequence[msgspec.Raw], type_: type[T]) -> Iterator[tuple[int, T | BadRecord]]:
    """Each item of a list by itself, so that a malformed one spoils no other."""
    for number, raw in enumerate(items):
        try:
            yield number, msgspec.json.decode(raw, type=type_)
        except (msgspec.MsgspecError, RecursionError) as error:
            where = str(error).rpartition(" - at ")[2].strip("`")[:100]
            yield number, BadRecord(where or "the item")


def _without_nuls(body: bytes) -> bytes:
    """The body without escaped NULs. After an odd number of backslashes the text merely speaks of one."""
    at = body.find(_ESCAPED_NUL)
    if at < 0:
        return body
    pieces: list[bytes] = []
    start = 0
    while at >= 0:
        before = at
        while before > 0 and body[before - 1] == _BACKSLASH:
            before -= 1
        if (at - before) % 2 == 0:
            pieces.append(body[start:at])
            start = at + len(_ESCAPED_NUL)
        at = body.find(_ESCAPED_NUL, at + len(_ESCAPED_NUL))
    pieces.append(body[start:])
    return b"".join(pieces)


def scrub(text: str) -> str:
    """`text` without NULs, which Postgres cannot store."""
    return text.replace("\x00", "") if "\x00" in text else text


@lru_cache(maxsize=256)
def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type_)


def _wrong_shape(error: msgspec.ValidationError) -> CrmSyncError:
    # msgspec's text may quote the value; the path in it names only our own fields.
    where = _WHERE.search(str(error))
    return BadRecord(f"The JSON is not of the expected shape{f' at {where[1]}' if where else ''}.")


def _mended(body: bytes) -> bytes:
    try:
        value = json.loads(body.decode("utf-8", "replace"), parse_constant=lambda _: None, strict=False)
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise BadRecord("The JSON is nested too deeply.") from None
    except json.JSONDecodeError:
        raise Transient("The reply is no whole JSON document.") from None
    except ValueError:  # A number of more digits than Python reads.
        raise BadRecord("The JSON holds a number that cannot be read.") from None
    return _HALF_CHARACTER.sub("\ufffd", text).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {scrub(key): _finite(item) for key, item in value.items()}
    return scrub(value) if isinstance(value, str) else value

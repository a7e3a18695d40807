"""One reply of a provider, read within bounds: its body capped, its compression undone piece by piece.

It judges no status and no JSON. A cap counts the bytes on the line and the bytes that they become, so that neither
an endless stream of empty blocks nor a megabyte that swells to a gigabyte gets far.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from worker.errors import ReplyLost, TooMuchData

_PIECE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers (names in lower case, one value a name) and the whole body, uncompressed.

    Its `repr` shows neither headers nor body, which may hold tokens and personal data.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str, default: str = "") -> str:
        """The value of a header, or `default`."""
        return self.headers.get(name.lower(), default)

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, body={len(self.body)} bytes)"


def read_bounded(pieces: Iterable[bytes], encoding: str, max_body: int) -> bytes:
    """The body that `pieces` from the line make, at most `max_body` bytes before and after decompression.

    Raises:
        TooMuchData: the body is over the cap.
        ReplyLost: the compressed stream is damaged, ends early or is of a kind that nobody asked for.
    """
    gzipped = encoding.strip().lower() in {"gzip", "x-gzip"}
    if not gzipped and encoding.strip().lower() not in {"", "identity"}:
        raise ReplyLost("The reply is compressed in a way that was not asked for.")
    inflate = _Inflate(max_body) if gzipped else None
    received: list[bytes] = []
    on_the_line = 0
    for piece in pieces:
        on_the_line += len(piece)
        if on_the_line > max_body:
            raise TooMuchData(f"The reply's body is over the cap of {max_body} bytes.")
        if inflate is None:
            received.append(piece)
        else:
            inflate.feed(piece)
    if inflate is None:
        return b"".join(received)
    return inflate.whole()


class _Inflate:
    """gzip, one member after the other, never more than the cap in memory."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._made: list[bytes] = []
        self._size = 0
        self._member = zlib.decompressobj(wbits=31)
        self._touched = False

    def feed(self, piece: bytes) -> None:
        try:
            while piece:
                if self._member.eof:
                    self._member = zlib.decompressobj(wbits=31)
                self._touched = True
                made = self._member.decompress(piece, min(_PIECE_BYTES, self._max_body - self._size + 1))
                self._size += len(made)
                if self._size > self._max_body:
                    raise TooMuchData(f"The reply's body is over the cap of {self._max_body} bytes once decompressed.")
                self._made.append(made)
                piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        except zlib.error:
            raise ReplyLost("The reply's compressed body is damaged.") from None

    def whole(self) -> bytes:
        if self._touched and not self._member.eof:
            raise ReplyLost("The reply's compressed body ended early.")
        return b"".join(self._made)

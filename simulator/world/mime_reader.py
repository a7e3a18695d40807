"""RFC 5322 text read into a tree of parts, for the providers that show mails taken apart.

    bytes ─▶ headers, unfolded, as bytes ─▶ content type, disposition, names ─▶ body decoded, or children

It takes whatever comes: what cannot be read is left as it stands, and nothing raises. It is deliberately not Python's
`email` package, which the programs under test may use themselves.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

_DEPTH = 200
_LINE_END = re.compile(rb"\r?\n(?![ \t])")
_KIND = re.compile(r"[^\s/]+/[^\s/]+")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)', re.DOTALL)
_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]+\?[bBqQ]\?)")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_CONTINUED = re.compile(r"^(.+?)(?:\*(\d+))?(\*)?$")


@dataclass(slots=True)
class Part:
    """One part of a mail; `body` is decoded from its transfer encoding, and empty where there are children."""

    headers: list[tuple[str, bytes]]
    mime_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    disposition: str = ""
    filename: str = ""
    body: bytes = b""
    children: list["Part"] = field(default_factory=list)

    def header(self, name: str) -> bytes:
        """Return the first header of this name, empty when there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), b"")


def read(raw: bytes, depth: int = 0) -> Part:
    """Read a mail, or a part with its headers."""
    lines, body = _split(raw)
    part = Part(_headers(lines))
    kind, part.parameters = _parameterised(part.header("Content-Type"))
    if _KIND.fullmatch(kind):
        part.mime_type = kind.lower()
    disposition, named = _parameterised(part.header("Content-Disposition"))
    part.disposition = disposition.lower()
    part.filename = named.get("filename") or part.parameters.get("name", "")
    boundary = part.parameters.get("boundary", "")
    if part.mime_type.startswith("multipart/") and boundary and depth < _DEPTH:
        part.children = [read(piece, depth + 1) for piece in _pieces(body, boundary.encode())]
        if part.children:
            return part
    part.body = _transferred(body, part.header("Content-Transfer-Encoding").strip().lower())
    if part.mime_type == "message/rfc822" and depth < _DEPTH:
        part.children = [read(part.body, depth + 1)]
    return part


def text_of(part: Part, raw: bytes | None = None) -> str | None:
    """Return the text of a part by its charset, or as UTF-8 where that fails; None when neither fits."""
    body = part.body if raw is None else raw
    for charset in (part.parameters.get("charset") or "us-ascii", "utf-8"):
        try:
            return body.decode(_codec(charset))
        except (LookupError, ValueError):
            continue
    return None


def decoded_words(value: str) -> str:
    """Return a header value with its encoded words read; a word that cannot be read stays as it is."""
    return _WORD.sub(_word, _BETWEEN_WORDS.sub(r"\1", value)) if "=?" in value else value


def _split(raw: bytes) -> tuple[bytes, bytes]:
    """Return the headers and the body; the first empty line is between them."""
    if raw.startswith((b"\r\n", b"\n")):
        return b"", raw[2 if raw.startswith(b"\r\n") else 1 :]
    ends = [(raw.find(mark), len(mark)) for mark in (b"\r\n\r\n", b"\n\n")]
    found = [end for end in ends if end[0] >= 0]
    if not found:
        return raw, b""
    at, size = min(found)
    return raw[:at], raw[at + size :]


def _headers(block: bytes) -> list[tuple[str, bytes]]:
    headers = []
    for line in _LINE_END.split(block):
        name, colon, value = line.partition(b":")
        if colon and name.strip():
            headers.append((name.strip().decode("latin-1"), _FOLD.sub(b"", value).strip()))
    return headers


def _parameterised(value: bytes) -> tuple[str, dict[str, str]]:
    """Return a value and its parameters, those of RFC 2231 put together and those of RFC 2047 read."""
    main, semicolon, _ = value.partition(b";")
    if not semicolon:
        return main.strip().decode("latin-1"), {}
    plain: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, bytes]]] = {}
    for name, given in _PARAMETER.findall(value):
        raw = given.strip()
        if raw.startswith(b'"'):
            raw = re.sub(rb"\\(.)", rb"\1", raw[1:-1], flags=re.DOTALL)
        shape = _CONTINUED.match(name.decode("latin-1").lower())
        if shape and (shape[2] or shape[3]):
            pieces.setdefault(shape[1], []).append((int(shape[2] or 0), bool(shape[3]), raw))
        else:
            plain.setdefault(name.decode("latin-1").lower(), decoded_words(raw.decode("utf-8", "replace")))
    return main.strip().decode("latin-1"), plain | {name: _joined(found) for name, found in pieces.items()}


def _joined(pieces: list[tuple[int, bool, bytes]]) -> str:
    charset = "utf-8"
    whole = b""
    for at, (_, extended, given) in enumerate(sorted(pieces, key=lambda piece: piece[0])):
        raw = given
        if extended and at == 0 and raw.count(b"'") >= 2:
            label, _, raw = raw.split(b"'", 2)
            charset = label.decode("latin-1") or charset
        whole += unquote_to_bytes(raw) if extended else raw
    try:
        return whole.decode(_codec(charset), "replace")
    except (LookupError, ValueError):
        return whole.decode("utf-8", "replace")


def _pieces(body: bytes, boundary: bytes) -> list[bytes]:
    """Return what stands between the boundaries; a body that ends without the last one ends its last part."""
    pieces: list[bytes] = []
    start: int | None = None
    for before, after, is_last in _boundaries(body, b"--" + boundary):
        if start is not None:
            pieces.append(body[start:before])
        start = after
        if is_last:
            return pieces
    if start is not None:
        pieces.append(body[start:])
    return pieces


def _boundaries(body: bytes, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """Go through the boundaries: where the text before ends, where the text after begins, whether it is the last."""
    at = body.find(mark)
    while at >= 0:
        after = at + len(mark)
        if at == 0 or body[at - 1 : at] == b"\n":
            is_last = body[after : after + 2] == b"--"
            end = body.find(b"\n", after)
            end = len(body) if end < 0 else end
            if not body[after + 2 * is_last : end].strip(b" \t\r"):
                before = max(at - 2 if body[at - 2 : at] == b"\r\n" else at - 1, 0)
                yield before, min(end + 1, len(body)), is_last
        at = body.find(mark, after)


def _transferred(body: bytes, encoding: bytes) -> bytes:
    if encoding == b"base64":
        return _from_base64(body)
    return binascii.a2b_qp(body) if encoding == b"quoted-printable" else body


def _from_base64(body: bytes) -> bytes:
    """Decode what there is, up to the first padding."""
    digits = _NO_BASE64.sub(b"", body.partition(b"=")[0])
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return base64.b64decode(digits + b"=" * (-len(digits) % 4))


def _word(match: re.Match[str]) -> str:
    charset, kind, text = match.groups()
    raw = text.encode("utf-8", "replace")
    raw = _from_base64(raw) if kind in "bB" else binascii.a2b_qp(raw, header=True)
    try:
        return raw.decode(_codec(charset.partition("*")[0]))
    except (LookupError, ValueError):
        return match[0]


def _codec(charset: str) -> str:
    """Return Python's name of a text encoding.

    Raises: LookupError for a charset that nobody knows, and for codecs that are no charsets.
    """
    name = codecs.lookup(_OTHER_NAMES.get(charset.lower(), charset)).name
    if name in _NO_CHARSETS:
        raise LookupError(charset)
    return name


_OTHER_NAMES = {"windows-874": "cp874", "x-windows-874": "cp874"}
_NO_CHARSETS = frozenset(
    {"base64", "bz2", "hex", "idna", "punycode", "quopri", "raw-unicode-escape", "rot13", "undefined",
     "unicode-escape", "uu", "zlib"}
)  # fmt: skip

"""Contact pictures: a small PNG whose colour depends on the address. The host asks for no token."""

import hashlib
import struct
import zlib

from simulator.exchange import Reply, Request
from simulator.google.person import PHOTO_HOST
from simulator.google.service import Parts, Service

_SIDE = 16


def photo_service(_parts: Parts) -> Service:
    """Build the service."""
    return Service(name="photos", prefixes=((PHOTO_HOST, "/"),), style="both", handle=picture)


def picture(request: Request) -> Reply:
    """Return the picture at an address."""
    colour = hashlib.blake2s(request.path.partition("=")[0].encode(), digest_size=3).digest()
    rows = (b"\x00" + colour * _SIDE) * _SIDE
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return Reply(200, png, "image/png", (("cache-control", "public, max-age=86400"),))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""Times and versions as Graph writes them. Nothing here knows what they belong to."""

import base64
from datetime import UTC, datetime


def utc(at: float) -> str:
    """Write a time to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_utc(text: str) -> float:
    """Read a time with its offset, or without one as UTC.

    Raises: ValueError.
    """
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def etag(number: int, version: int) -> str:
    """Return the etag of a version; the change key is what stands inside."""
    raw = b"\x09\x00\x00\x00\x16\x00\x00\x00" + number.to_bytes(6) + version.to_bytes(4)
    return f'W/"{base64.b64encode(raw).decode()}"'

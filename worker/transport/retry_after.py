"""When a provider says to come back. Pure; the header is read in every shape that it was seen in."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite

from worker.transport.ports import RetryHint

CAP = timedelta(hours=1)


def retry_hint(header: str, now: datetime) -> RetryHint:
    """The moment that a `Retry-After` header names: seconds (also fractions) or an HTTP date, at most an hour away.

    A moment that is past, nonsense, or no header at all is no hint. Ten years become an hour: whoever really
    means longer says so again.
    """
    text = header.strip()
    if not text or len(text) > 64:
        return RetryHint(None)
    wait = _seconds(text)
    if wait is None:
        wait = _until_date(text, now)
    if wait is None or wait <= timedelta(0):
        return RetryHint(None)
    return RetryHint(now + min(wait, CAP))


def _seconds(text: str) -> timedelta | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    if not isfinite(seconds):
        return None
    return timedelta(seconds=max(0.0, min(seconds, CAP.total_seconds())))


def _until_date(text: str, now: datetime) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware - now

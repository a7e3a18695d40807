"""The days of Outlook's series: asked for with each series that is told, whose lines are held against them.

    series ─▶ `$batch`: the days of each in the window ─▶ further pages, where there are many ─▶ its lines and marks

What is wrong with the days of one series is its own affair: it is set aside, or asked for again, and the others go on.

Source: providers/microsoft-linkedin.md §3.5 (read 2026-11); https://learn.microsoft.com/graph/api/event-list-instances
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

from worker.connectors import microsoft_api, outlook_event, outlook_series
from worker.connectors.contract import Session
from worker.connectors.microsoft_batch import read_items
from worker.connectors.windows_zones import zone_called
from worker.errors import BadRecord, CursorExpired, NotFound, ProviderRefused, SetAside, Transient
from worker.transport.json_reply import read_json

PREFER: Final = ('outlook.timezone="UTC"', 'outlook.body-content-type="text"')
"""Kept in no link, as all that is preferred."""
PAGE_SIZE: Final = 1_000
MOST_DAYS: Final = 5_000
"""A series happens at most once a day, and the longest window has 1,800 of them: what is longer never ends."""
_SELECT: Final = f"id,type,start,originalStart,seriesMasterId&$top={PAGE_SIZE}"


class Day(msgspec.Struct, rename="camel"):
    """A day of a series; one that was moved is told with the day on which it was."""

    id: str
    start: outlook_event.Moment
    series_master_id: str | None = None
    original_start: datetime | None = None


def days_of(
    session: Session, keys: Sequence[str], span: outlook_series.Span
) -> dict[str, list[Day] | BadRecord | None]:
    """The days of each series, or why they cannot be read; None for a series that has just gone.

    Of those that Microsoft would not tell just now, nothing.
    """
    asked = f"startDateTime={written(span.first)}&endDateTime={written(span.last)}&$select={_SELECT}"
    paths = {key: f"/me/events/{quote(key, safe='')}/instances?{asked}" for key in keys}
    found = read_items(session, paths, prefer=PREFER)
    days: dict[str, list[Day] | BadRecord | None] = dict.fromkeys(found.gone)
    days |= {refused.key: BadRecord(refused.detail) for refused in found.refused}
    for key, body in found.bodies.items():
        try:
            days[key] = _all_of(session, key, body)
        except NotFound:
            days[key] = None
        except (SetAside, ProviderRefused) as error:
            days[key] = BadRecord(str(error))
        except (Transient, CursorExpired):
            continue  # It is asked for again, from its first page on.
    return days


def lines_by(series: outlook_event.Told, days: Sequence[Day], span: outlook_series.Span) -> tuple[str, ...]:
    """The lines of a series, held against its days in the window. Pure.

    Raises:
        BadRecord: nobody can say how it repeats.
    """
    if series.recurrence is None or series.start is None:
        raise BadRecord("a series that does not say how it repeats")
    shown = [outlook_event.in_utc(day.original_start or day.start.date_time, day.start.time_zone) for day in days]
    first = outlook_event.in_utc(series.start.date_time, series.start.time_zone)
    zone = zone_called(series.zone) or UTC
    clock = first if series.is_all_day else first.astimezone(zone)
    begins = outlook_series.Beginning(clock.replace(tzinfo=None), zone, series.is_all_day)
    return outlook_series.lines_of(series.recurrence, begins, shown, span)


def written(moment: datetime) -> str:
    """An end of a window, as addresses have it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _all_of(session: Session, key: str, body: bytes) -> list[Day]:
    listed = read_json(body, microsoft_api.Listed)
    raws = list(listed.value)
    links = microsoft_api.Links()
    while link := links.next(listed.next_link):
        listed = read_json(microsoft_api.get(session, link, prefer=PREFER), microsoft_api.Listed)
        raws += listed.value
        if len(raws) > MOST_DAYS:
            raise BadRecord("the days of the series do not end")
    try:
        days = [msgspec.json.decode(raw, type=Day) for raw in raws]
    except (msgspec.MsgspecError, RecursionError):
        raise BadRecord("a day of the series cannot be read") from None
    return [day for day in days if day.series_master_id in {key, None}]

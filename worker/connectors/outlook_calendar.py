"""The stream `events` of a Microsoft account: each calendar a part, by Graph's delta of a calendar's view.

parts       all calendars of the account, those that others share with it among them
window      the settings `calendar_days_back` and `calendar_days_ahead`, from midnight in UTC. A view has two ends, and
            the link of a round is bound to them; so once in 7 days each calendar is passed in full, in a window that
            has moved along. What lies before the window stays as it was when it was last seen, until its time is over
cursor      the link of a calendar's next round, or of the next page within one, with the ids still to be looked at
dies        410, or 400 on a link, or a window that is set otherwise: that calendar is passed in full, the others go on
deletions   a removal is looked at before it is believed: what went out of the window is removed too, and stays with us.
            Full passes by absence, each absent event looked at first, but for those before the window; one that was
            changed since it was read, and is shown no more, goes
series      kept as series with their exceptions, as all calendars do; the view unrolls them. What happens on which day
            is Graph's word: each series that is told is asked for its days, and its rule is corrected by them, so that
            a day that was taken out is an EXDATE (`outlook_series.py`). The cursor has a mark of each such day, since
            the removal of one names its id only
identity    Graph's immutable id: steady within the mailbox, new after an export or in the archive
limits      10,000 requests in ten minutes and four at a time, for a mailbox; 200 events a page, 20 in a batch, each a
            request; the days of a series are a second one
known gaps  texts without their form; no attachments; a day taken out of a series is forgotten once it lies before the
            window; an event that goes to another calendar is in the old one until the new one is read

Source: providers/microsoft-linkedin.md §3 (read 2026-11); https://learn.microsoft.com/graph/delta-query-events
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

from worker.connectors import microsoft_api, outlook_days, outlook_event, outlook_series
from worker.connectors.contract import Option, Session
from worker.connectors.microsoft_batch import whereabouts_of
from worker.connectors.microsoft_delta import Place, Sorted, key_of, rounds
from worker.errors import BadRecord, SetAside, Transient
from worker.records import Body, Event, Kind, Page, Part, Record, Refused
from worker.transport.json_reply import read_json

SCOPE: Final = "Calendars.Read"
BACK: Final = Option("calendar_days_back", "outlook_calendar_days_back")
AHEAD: Final = Option("calendar_days_ahead", "outlook_calendar_days_ahead")
PAGE_SIZE: Final = 200
_DAYS: Final = 365
FULL_PASS_EVERY: Final = timedelta(days=7)
_SERIES, _OCCURRENCE = "seriesMaster", "occurrence"
_LIVES_SELECT: Final = "id,type,lastModifiedDateTime"


class _Calendar(msgspec.Struct):
    id: str
    name: str | None = None


class _Item(msgspec.Struct, rename="camel"):
    id: str
    type: str = ""
    series_master_id: str | None = None
    removed: dict[str, Any] | None = msgspec.field(default=None, name="@removed")


class _Lives(msgspec.Struct, rename="camel"):
    type: str = ""
    last_modified_date_time: datetime | None = None


def parts(session: Session) -> Iterator[Part]:
    """The calendars of the account.

    Raises:
        Transient: Microsoft listed none, though each account has one; to believe it would delete all events.
    """
    select = (("$select", "id,name"),)
    found = list(microsoft_api.whole_list(session, f"{microsoft_api.ROOT}/me/calendars", _Calendar, select))
    if not found:
        raise Transient("Microsoft listed no calendar at all.")
    yield from (Part(calendar.id, calendar.name or "") for calendar in found)


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """A whole calendar, or what has changed in it since the cursor; errors as `microsoft_delta.rounds`."""
    yield from rounds(session, part, cursor, _View(session, part))


def whereabouts(session: Session, bodies: Sequence[Body]) -> list[str | Refused | None]:
    """The calendar in which each event is, as we hold it, or None.

    What ended before the window is not asked about: it stays. A series that would have days in the window has none, as
    the view did not show it. What was changed since we read it is somewhere else, and no more what we hold.
    """
    span = window(session)
    calendars = {part.key for part in parts(session)}
    events = [body for body in bodies if isinstance(body, Event) and body.calendar_id in calendars]
    where: dict[str, str | Refused | None] = {
        event.provider_id: event.calendar_id for event in events if ended_before(event, span.first)
    }
    asked = {
        event.provider_id: event
        for event in events
        if event.provider_id not in where and not outlook_series.has_days(event, span)
    }

    def read(key: str, body: bytes) -> str | None:
        lives = read_json(body, _Lives)
        # One that is a plain day of its series again is no exception any more.
        stays = lives.type != _OCCURRENCE and lives.last_modified_date_time == asked[key].updated_at
        return asked[key].calendar_id if stays else None

    where |= whereabouts_of(session, {key: f"{_path(key)}?$select={_LIVES_SELECT}" for key in asked}, read)
    return [where.get(body.provider_id) if isinstance(body, Event) else None for body in bodies]


def window(session: Session) -> outlook_series.Span:
    """The days that are read."""
    today = session.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    back, ahead = _days_of(session)
    return outlook_series.Span(today - timedelta(days=back), today + timedelta(days=ahead))


def ended_before(event: Event, moment: datetime) -> bool:
    """Whether an event, no series, was over by then. Pure."""
    ends = event.ends or event.starts
    if event.recurrence or ends is None:
        return False
    if ends.at is not None:
        return ends.at < moment
    return ends.date is not None and ends.date < moment.date()


class _View:
    """The view of a calendar as a list with rounds."""

    page_size = PAGE_SIZE
    prefer: tuple[str, ...] = outlook_days.PREFER

    def __init__(self, session: Session, part: Part) -> None:
        self._session = session
        self._part = part
        self._told: set[str] = set()
        back, ahead = _days_of(session)
        self.fingerprint = f"1|{back}|{ahead}"

    def begin(self, part: Part) -> tuple[str, Sequence[tuple[str, str]], datetime]:
        """The first address of a calendar, with its window."""
        span = window(self._session)
        ends = (("startDateTime", outlook_days.written(span.first)), ("endDateTime", outlook_days.written(span.last)))
        return f"{microsoft_api.ROOT}/me/calendars/{quote(part.key, safe='')}/calendarView/delta", ends, span.first

    def sort(self, part: Part, items: Sequence[msgspec.Raw], place: Place) -> Sorted:
        """Whole events are taken as they come; series, and what came in part, are looked at.

        Of removals, and of the plain days of a series, those that we hold are: the others are no records of ours.
        """
        told = sort_events(part.key, items)
        # What an earlier page of this run told may not be committed yet.
        perhaps = [*told.removed, *told.plain_days]
        held = self._session.known(part, perhaps) | (self._told & set(perhaps))
        found = told.sorted
        found.pending += [key for key in perhaps if key in held]
        found.skipped += len(perhaps) - len(held)
        series = [key for key in told.series if key not in self._told]
        series += outlook_series.having_any(told.removed, place.days)
        found.pending += [key for key in dict.fromkeys(series) if key not in found.pending]
        self._told.update(found.pending, (record.key for record in found.records))
        return found

    def path(self, key: str) -> str:
        """An event by its id."""
        return f"{_path(key)}?$select={outlook_event.SELECT}"

    def records(self, bodies: dict[str, bytes], place: Place) -> dict[str, Record | BadRecord | None]:
        """Events in our form; None for a plain day of a series, which is no record."""
        found: dict[str, Record | BadRecord | None] = {}
        series: dict[str, outlook_event.Told] = {}
        for key, body in bodies.items():
            try:
                event = read_json(body, outlook_event.Told)
                if event.type == _SERIES:
                    series[key] = event
                else:
                    found[key] = None if event.type == _OCCURRENCE else _record(self._part.key, event)
            except SetAside as error:
                found[key] = BadRecord(str(error))
        span = window(self._session)
        for key, days in outlook_days.days_of(self._session, list(series), span).items():
            if days is None or isinstance(days, BadRecord):
                found[key] = days
                continue
            try:
                found[key] = _record(self._part.key, series[key], outlook_days.lines_by(series[key], days, span))
                place.days[key] = outlook_series.marks_of(day.id for day in days)
            except SetAside as error:
                found[key] = BadRecord(str(error))
        return found


class _Sorted(msgspec.Struct):
    """What the items of a page come to. `removed` and `plain_days` may be held; `series` are those of all days."""

    sorted: Sorted
    removed: list[str] = []
    plain_days: list[str] = []
    series: list[str] = []


def sort_events(calendar_id: str, items: Sequence[msgspec.Raw]) -> _Sorted:
    """What can be taken as it stands, what must be looked at, what cannot be read. Pure."""
    told = _Sorted(Sorted())
    found = told.sorted
    series: dict[str, None] = {}
    latest: dict[str, tuple[int, msgspec.Raw]] = {}
    for number, raw in enumerate(items):
        key = key_of(raw, number)
        found.skipped += key in latest
        latest[key] = (number, raw)  # The last occurrence counts.
    for key, (_, raw) in latest.items():
        if " " in key:
            found.refused.append(Refused(key, BadRecord.reason, "the item has no id"))
            continue
        item = _item(raw)
        if item is None:
            found.pending.append(key)  # The event itself will tell.
            continue
        if item.removed is not None:
            told.removed.append(key)
            continue
        if item.series_master_id:
            series[item.series_master_id] = None
        if item.type == _OCCURRENCE:
            told.plain_days.append(key)
        elif item.type == _SERIES or not _is_whole(raw):
            found.pending.append(key)
        else:
            _take(calendar_id, key, raw, found)
    told.series = list(series)
    return told


def _item(raw: msgspec.Raw) -> _Item | None:
    try:
        return msgspec.json.decode(raw, type=_Item)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _is_whole(raw: msgspec.Raw) -> bool:
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return fields.keys() >= set(outlook_event.ALWAYS_TOLD)


def _take(calendar_id: str, key: str, raw: msgspec.Raw, found: Sorted) -> None:
    try:
        found.records.append(_record(calendar_id, msgspec.json.decode(raw, type=outlook_event.Told)))
    except BadRecord as error:
        found.refused.append(Refused(key, error.reason, str(error)))
    except (msgspec.MsgspecError, RecursionError) as error:
        where = str(error).rpartition(" - at ")[2].strip("`")[:100]
        found.refused.append(Refused(key, BadRecord.reason, where or "the item"))


def _record(calendar_id: str, event: outlook_event.Told, lines: tuple[str, ...] = ()) -> Record:
    return Record(event.id, Kind.EVENT, outlook_event.event_of(calendar_id, event, lines))


def _days_of(session: Session) -> tuple[int, int]:
    return int(session.options.get(BACK.name, _DAYS)), int(session.options.get(AHEAD.name, _DAYS))


def _path(key: str) -> str:
    return f"/me/events/{quote(key, safe='')}"

"""Rounds of Graph's delta protocol, for every list that has them: it tells what changed, and we look at what it is now.

    first address, or the link of the last round ─▶ page ─▶ what can be taken as it stands · ids to look at
                                                    ▲                          │
                         link of the next page ─────┘                          └▶ `$batch` ─▶ record, here or elsewhere
    the last page's link is where the next round begins                                    └▶ gone

A delta's word is a hint and no truth. A moved item is removed in one list and new in another, whichever is read first;
one that was moved away and back is at times only removed; a changed one may come with what changed and nothing else;
and any item may come twice. So whatever is not whole is asked for by its id, and only what Microsoft does not have, or
has in a place that we do not sync, is gone. Ids to look at go with the cursor, so that no page is passed over for an
item that Microsoft would not give just then.

Source: providers/microsoft-linkedin.md §3.2 to §3.6 (read 2026-11); https://learn.microsoft.com/graph/delta-query-overview
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from worker.connectors import microsoft_api
from worker.connectors.contract import Session
from worker.connectors.cursors import read_bound_cursor
from worker.connectors.microsoft_batch import FEW, must_wait, read_items
from worker.errors import BadRecord, SetAside, Transient
from worker.records import FULL_PASS, Page, Part, Record, Refused
from worker.transport.json_reply import read_json

READ_AT_ONCE: Final = 60
"""Three batches a page: fewer, larger transactions."""
MOST_TRIES: Final = 6
"""An hour in all, as the pauses double from a minute."""
MOST_RUNS: Final = 6
"""So many runs look at an item at which Microsoft fails."""
_SMALLER: Final = (1, 5, 50)
"""A page that Microsoft fails at is asked for again with a part of its size: 5xx go with large pages."""


class Place(msgspec.Struct, omit_defaults=True):
    """Where a list resumes.

    `link` is empty at the beginning of a full pass; `ended` says that it is the next round's, and only `pending`, the
    ids that are still to be looked at, is left of this one; `since` is the beginning of a window; `tries` how often in
    a row Microsoft failed at all that was asked of it; `failing` in how many runs it failed at an item that was set
    aside, and is looked at again; `days` marks of what belongs to a series, by the series' ids.
    """

    fingerprint: str
    link: str = ""
    pending: list[str] = []
    full: bool = False
    ended: bool = False
    since: datetime | None = None
    tries: int = 0
    failing: dict[str, int] = {}
    days: dict[str, bytes] = {}
    version: int = 1


class Sorted(msgspec.Struct):
    """What a page of a round comes to: what can be taken as it stands, and ids to look at."""

    records: list[Record] = []
    present: list[str] = []
    pending: list[str] = []
    refused: list[Refused] = []
    skipped: int = 0


class Collection(Protocol):
    """One kind of list: how it is asked for and read.

    `fingerprint` names its parameters, which links are bound to; `prefer` goes into the header of that name.
    """

    fingerprint: str
    page_size: int
    prefer: tuple[str, ...]

    def begin(self, part: Part) -> tuple[str, Sequence[tuple[str, str]], datetime | None]:
        """The first address of a full pass, its parameters, and the beginning of the window, if there is one."""

    def sort(self, part: Part, items: Sequence[msgspec.Raw], place: Place) -> Sorted:
        """What the items of a page come to."""

    def path(self, key: str) -> str:
        """Where an item is looked at, beneath the root."""

    def records(self, bodies: dict[str, bytes], place: Place) -> dict[str, Record | BadRecord | None]:
        """What was found under each key: in our form, unreadable, or in a place that is not ours (None).

        One that is missing was not told in full, and is asked for again.
        """


class Item(msgspec.Struct):
    """What every item of a round tells."""

    id: str
    removed: dict[str, Any] | None = msgspec.field(default=None, name="@removed")


def rounds(session: Session, part: Part, cursor: bytes | None, of: Collection) -> Iterator[Page]:
    """The whole list, or what has changed in it since the cursor.

    Raises:
        CursorExpired: Microsoft forgot our place, or it belongs to other parameters.
        NotFound: the list itself is gone.
        RunAgainLater: Microsoft would not give any of the items that were still to be looked at.
    """
    fresh = Place(of.fingerprint, full=True)
    place = read_bound_cursor(cursor, Place, of.fingerprint) if cursor is not None else fresh
    links = microsoft_api.Links()
    while True:
        page, place = _look(session, place, of) if place.pending else _ask(session, part, place, of, links)
        yield page
        if not page.more:
            return


def nameless(number: int) -> str:
    """A key for an item that tells none; no id of Microsoft's holds a space."""
    return f"item {number}"


def key_of(raw: msgspec.Raw, number: int) -> str:
    """An item's id, even if nothing else of it can be read."""
    try:
        return msgspec.json.decode(raw, type=Item).id or nameless(number)
    except (msgspec.MsgspecError, RecursionError):
        return nameless(number)


def _ask(session: Session, part: Part, place: Place, of: Collection, links: microsoft_api.Links) -> tuple[Page, Place]:
    url, params = place.link, ()  # type: tuple[str, Sequence[tuple[str, str]]]
    if not url:
        url, params, place.since = of.begin(part)
    listed = _listed(session, url, params, of)
    sorted_ = of.sort(part, listed.value, place)
    link = links.next(listed.next_link or listed.delta_link)
    if not link:
        raise Transient("Microsoft ended a round without a link to the next one.")
    following = msgspec.structs.replace(
        place, link=link, ended=not listed.next_link, pending=list(dict.fromkeys(sorted_.pending))
    )
    return _turn(
        following,
        records=tuple(sorted_.records),
        present=tuple(sorted_.present),
        refused=tuple(sorted_.refused),
        skipped=sorted_.skipped + len(sorted_.pending) - len(following.pending),
    )


def _listed(session: Session, url: str, params: Sequence[tuple[str, str]], of: Collection) -> microsoft_api.Listed:
    judge = microsoft_api.classify if params else microsoft_api.classify_link
    for divisor in _SMALLER:
        try:
            prefer = [f"odata.maxpagesize={max(1, of.page_size // divisor)}", *of.prefer]
            reply = microsoft_api.get(session, url, params=params, prefer=prefer, judge=judge)
            return read_json(reply, microsoft_api.Listed)
        except (Transient, SetAside) as error:
            last = error
    raise last


def _look(session: Session, place: Place, of: Collection) -> tuple[Page, Place]:
    """Look at the next items; those that Microsoft would not give come again after the others.

    An item at which Microsoft fails and fails must not hold up its list: it is tried once more after a minute and then
    refused, which sets it aside and counts it; the next runs begin with another look at it.
    """
    asked, rest = place.pending[:READ_AT_ONCE], place.pending[READ_AT_ONCE:]
    found = read_items(session, {key: of.path(key) for key in asked}, prefer=of.prefer)
    told = of.records(found.bodies, place)
    found.again += [key for key in found.bodies if key not in told]
    tries, not_before, failing = 0, None, {}
    if len(found.again) == len(asked):
        if found.because is not None and must_wait(found, len(asked)):
            raise found.because
        if place.tries < _patience(asked, place):
            tries = place.tries + 1
            not_before = session.now() + timedelta(minutes=2 ** (tries - 1))
            if found.because is not None and found.because.until is not None:
                not_before = max(not_before, found.because.until)
        else:
            failing = {key: place.failing.get(key, 0) + 1 for key in asked}
            found.refused = [Refused(key, Transient.reason, "Microsoft failed at it") for key in asked]
            found.again = []
    records: list[Record] = []
    gone = found.gone
    for key, what in told.items():
        if what is None:
            gone.append(key)
        elif isinstance(what, BadRecord):
            found.refused.append(Refused(key, what.reason, str(what)[:200]))
        else:
            records.append(what)
    answered = set(asked) - set(found.again)
    failing = {key: runs for key, runs in place.failing.items() if key not in answered} | failing
    following = msgspec.structs.replace(place, pending=[*rest, *found.again], tries=tries, failing=failing)
    return _turn(
        following,
        records=tuple(records),
        tombstones=tuple(gone),
        refused=tuple(found.refused),
        not_before=not_before,
    )


def _patience(asked: Sequence[str], place: Place) -> int:
    """How often these are asked for again in this run when Microsoft failed at all of them. Pure."""
    if place.failing.keys() >= set(asked):
        return 0
    # It failing at many is an outage, and tells nothing of the items.
    return MOST_TRIES if len(asked) > FEW else 1


def _turn(place: Place, **found: Any) -> tuple[Page, Place]:
    covers = FULL_PASS if place.full else None
    more = not place.ended or bool(place.pending)
    if not more:
        failing = {key: runs for key, runs in place.failing.items() if runs < MOST_RUNS}
        place = Place(
            place.fingerprint, place.link, pending=list(failing), since=place.since, failing=failing, days=place.days
        )
    return Page(cursor=msgspec.json.encode(place), more=more, covers=covers, **found), place

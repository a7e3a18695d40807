"""The stream `messages` of a Google account: the mailbox by the Gmail API, without Spam and Trash.

    first pass   history id ─▶ list the window, newest first ─▶ read what is new ─▶ list what is older, to keep it
    afterwards   history since that id ─▶ read what came or came back ─▶ tombstones for what went

scope       gmail.readonly: bodies cannot be read with less
window      the setting `window_days` (0: all) says how far back the first pass reads. Older mail is listed only: what
            we hold of it stays, what we do not hold is not ours. Mail that arrives later is read whatever its date. A
            rule that ends mail sooner makes the window of the next full pass shorter
cursor      a place in a list, or a history id; ids that were listed and not yet read go with it, so that a page is
            never passed over for a message that Google would not give just then. The history id of a pass is taken
            before it lists, that of a run is stored only after its last page
dies        history 404, after a week usually and at times after hours: a full pass, which reads only what is new
deletions   `messagesDeleted`; a message that goes to Spam or Trash goes here too, and comes back when it leaves them;
            full passes by absence. A message that is listed and answers 404 has vanished meanwhile
limits      Gmail's units: 20 a message, so 300 messages a minute and user; 49 in a batch (Google advises 50 at most)
known gaps  labels UNREAD, STARRED, IMPORTANT and CATEGORY_… are left out (each mail that somebody reads would come
            again); label changes in a time that Google no longer tells are not seen until a message changes again;
            attachments by name and size only; a text that Google hands out only by a request of its own, as it may with
            large ones, is told like an attachment and flagged `text_not_sent`

Source: providers/google.md §3, §4 and §10 (read 2026-11); https://developers.google.com/workspace/gmail/api/guides/sync
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from worker.connectors import google_api, google_message
from worker.connectors.contract import Option, Session
from worker.connectors.cursors import read_bound_cursor
from worker.connectors.google_batch import read_many
from worker.errors import (
    CrmSyncError,
    CursorExpired,
    NotFound,
    ProviderRefused,
    RunAgainLater,
    SetAside,
    Throttled,
    TooMuchData,
    Transient,
)
from worker.records import FULL_PASS, Kind, Page, Part, Record, Refused
from worker.transport.json_reply import read_json
from worker.transport.ports import Cost
from worker.transport.replies import Reply

SCOPE: Final = "https://www.googleapis.com/auth/gmail.readonly"
HOSTS: Final = frozenset({"gmail.googleapis.com"})
BUDGETS: Final = (google_api.GMAIL_USER, google_api.GMAIL_PROJECT)
BUDGET_OPTIONS: Final = {google_api.GMAIL_USER.name: "gmail_units_per_minute"}
WINDOW: Final = Option("window_days", "gmail_window_days", window_of=Kind.MESSAGE)

BATCH_URL: Final = "https://gmail.googleapis.com/batch"
MOST_IN_BATCH: Final = 49
"""Google advises 50 at most. With one less, six batches and what lists them fit into a minute's 6,000 units; with 50
only five did, and a sixth of what is allowed was left lying."""
LIST_PAGE_SIZE: Final = 5 * MOST_IN_BATCH
"""Some batches a list: a list costs a request, and what is listed and not read yet travels in the cursor."""
OLDER_PAGE_SIZE: Final = 500
MOST_BATCH_BYTES: Final = 64 * 1024 * 1024
BATCH_TIMEOUT_S: Final = 60.0
MOST_TRIES: Final = 6
"""An hour in all, as the pauses double from a minute."""
# Units of the table of May 2026 (google.md §4.4).
UNITS_PROFILE: Final = 1
UNITS_HISTORY: Final = 2
UNITS_LIST: Final = 5
UNITS_GET: Final = 20

AWAY: Final = frozenset({"TRASH", "SPAM"})
HISTORY_TYPES: Final = ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")
FINGERPRINT: Final = "1|" + ",".join(HISTORY_TYPES)


class _Cursor(msgspec.Struct, omit_defaults=True):
    """Where the mailbox resumes.

    `phase` is `list` (the window), `older` (what is before it) or `history`; `history` the id from which history is to
    be read; `page` a page token of the phase's list; `pending` ids that were listed and are still to be read; `ended`
    that the phase's list is at its end; `after` the window's beginning in seconds since 1970, 0 without a window;
    `tries` how often in a row Google failed at all that was asked of it.
    """

    fingerprint: str
    phase: str
    history: str
    page: str = ""
    pending: list[str] = []
    ended: bool = False
    after: int = 0
    tries: int = 0
    version: int = 1


class _Profile(msgspec.Struct, rename="camel"):
    history_id: str
    messages_total: int = 0


class _Ref(msgspec.Struct, rename="camel"):
    id: str
    label_ids: list[str] = []


class _Listed(msgspec.Struct, rename="camel"):
    messages: list[_Ref] = []
    next_page_token: str = ""


class _Change(msgspec.Struct, rename="camel"):
    message: _Ref
    label_ids: list[str] = []


class _Step(msgspec.Struct, rename="camel"):
    messages_added: list[_Change] = []
    messages_deleted: list[_Change] = []
    labels_added: list[_Change] = []
    labels_removed: list[_Change] = []


class _History(msgspec.Struct, rename="camel"):
    history: list[_Step] = []
    next_page_token: str = ""
    history_id: str = ""


class Read(msgspec.Struct):
    """What became of the messages that were asked for; `again` are those that Google would not give just now."""

    records: list[Record] = []
    tombstones: list[str] = []
    refused: list[Refused] = []
    again: list[str] = []
    because: RunAgainLater | None = None


def parts(_session: Session) -> Iterable[Part]:
    """A mailbox is one piece."""
    return (Part(),)


def pages(session: Session, part: Part, cursor: bytes | None) -> Iterator[Page]:
    """The mailbox, or what has changed in it since the cursor.

    Raises:
        CursorExpired: Google no longer tells the history since then, or a page token died.
        RunAgainLater: Google would not give any of the messages that were still to be read.
    """
    place = read_bound_cursor(cursor, _Cursor, FINGERPRINT) if cursor is not None else _begin(session)
    tokens = google_api.PageTokens()
    while True:
        if place.pending:
            page, place = _read_pending(session, place)
        elif place.phase == "older":
            page, place = _list_older(session, part, place, tokens)
        elif place.phase == "list":
            page, place = _list_window(session, part, place, tokens)
        else:
            page, place = _follow_history(session, place, tokens)
        yield page
        if not page.more:
            return


def steps_of(history: Sequence[_Step]) -> dict[str, bool]:
    """For each message that changed: whether it is to be read (True) or is gone (False), by its last change. Pure."""
    last: dict[str, bool] = {}

    def note(change: _Change, *, read: bool) -> None:
        last.pop(change.message.id, None)
        last[change.message.id] = read

    for step in history:
        for added in step.messages_added:
            note(added, read=not AWAY & set(added.message.label_ids))
        for change in step.labels_added:
            if not google_message.only_noise(change.label_ids):
                note(change, read=not AWAY & set(change.label_ids))
        for change in step.labels_removed:
            if not google_message.only_noise(change.label_ids):
                # What it is now decides: it may have left Spam for Trash.
                note(change, read=True)
        for gone in step.messages_deleted:
            note(gone, read=False)
    return last


def _begin(session: Session) -> _Cursor:
    """The history id is taken first, so that whatever changes while we list is told by history afterwards."""
    profile = read_json(_ask(session, UNITS_PROFILE, _users().getProfile(userId="me")), _Profile)
    days = int(session.options.get(WINDOW.name, 0))
    after = int((session.now() - timedelta(days=days)).timestamp()) if days else 0
    return _Cursor(FINGERPRINT, "list", profile.history_id, after=max(0, after))


def _list_window(session: Session, part: Part, place: _Cursor, tokens: google_api.PageTokens) -> tuple[Page, _Cursor]:
    query = f"after:{place.after}" if place.after else ""
    ids, following = _list(session, place, tokens, query=query, size=LIST_PAGE_SIZE)
    known = session.known(part, ids)
    following.pending = [key for key in ids if key not in known]
    return _read_pending(session, following, present=tuple(key for key in ids if key in known))


def _list_older(session: Session, part: Part, place: _Cursor, tokens: google_api.PageTokens) -> tuple[Page, _Cursor]:
    """What is before the window is only looked at, so that the pass does not take it for deleted."""
    # The second more makes the two lists overlap, whichever way Google counts the edge.
    ids, following = _list(session, place, tokens, query=f"before:{place.after + 1}", size=OLDER_PAGE_SIZE)
    known = session.known(part, ids)
    present = tuple(key for key in ids if key in known)
    return _turn(following, present=present, skipped=len(ids) - len(present))


def _list(
    session: Session, place: _Cursor, tokens: google_api.PageTokens, *, query: str, size: int
) -> tuple[list[str], _Cursor]:
    arguments = {name: text for name, text in (("q", query), ("pageToken", place.page)) if text}
    request = _users("messages").list(userId="me", maxResults=size, includeSpamTrash=False, **arguments)
    listed = read_json(_ask(session, UNITS_LIST, request, stale=bool(place.page)), _Listed)
    token = tokens.next(listed.next_page_token)
    return (
        list(dict.fromkeys(ref.id for ref in listed.messages)),
        msgspec.structs.replace(place, page=token, ended=not token),
    )


def _follow_history(session: Session, place: _Cursor, tokens: google_api.PageTokens) -> tuple[Page, _Cursor]:
    arguments = {"pageToken": place.page} if place.page else {}
    request = _users("history").list(
        userId="me", startHistoryId=place.history, maxResults=500, historyTypes=list(HISTORY_TYPES), **arguments
    )
    told = read_json(_ask(session, UNITS_HISTORY, request, stale=True), _History)
    token = tokens.next(told.next_page_token)
    steps = steps_of(told.history)
    following = msgspec.structs.replace(place, page=token, ended=not token)
    following.pending = [key for key, read in steps.items() if read]
    if not token and told.history_id:
        following.history = told.history_id
    return _read_pending(session, following, tombstones=tuple(key for key, read in steps.items() if not read))


def _read_pending(
    session: Session, place: _Cursor, *, present: tuple[str, ...] = (), tombstones: tuple[str, ...] = ()
) -> tuple[Page, _Cursor]:
    """Read the next messages; those that Google would not give come again after the others.

    A message at which Google fails and fails must not hold up the mailbox for ever: it is waited for, longer each time,
    and then refused, which sets it aside and counts it.
    """
    asked, rest = place.pending[:MOST_IN_BATCH], place.pending[MOST_IN_BATCH:]
    read = _read(session, asked)
    tries, not_before = 0, None
    if asked and len(read.again) == len(asked) and not present and not tombstones:
        if read.because is not None and (isinstance(read.because, Throttled) or read.because.until is not None):
            raise read.because
        tries = place.tries + 1
        not_before = session.now() + timedelta(minutes=2 ** (tries - 1))
        if tries > MOST_TRIES:
            read.refused = [Refused(key, Transient.reason, "Google failed at it again and again") for key in asked]
            read.again, tries, not_before = [], 0, None
    following = msgspec.structs.replace(place, pending=[*rest, *read.again], tries=tries)
    return _turn(
        following,
        records=tuple(read.records),
        tombstones=(*tombstones, *read.tombstones),
        refused=tuple(read.refused),
        present=present,
        not_before=not_before,
    )


def _turn(place: _Cursor, **found: Any) -> tuple[Page, _Cursor]:
    """The page, and the place after it: the same list, the next phase, or the end of this run."""
    covers = None if place.phase == "history" else FULL_PASS
    more = True
    if place.ended and not place.pending:
        if place.phase == "list" and place.after:
            place = _Cursor(FINGERPRINT, "older", place.history, after=place.after)
        else:
            more = False
            place = _Cursor(FINGERPRINT, "history", place.history)
    return Page(cursor=msgspec.json.encode(place), more=more, covers=covers, **found), place


def _read(session: Session, ids: Sequence[str]) -> Read:
    """The messages of `ids`, in one batch, or in two halves if they are too big for one reply."""
    if not ids:
        return Read()
    query = urlencode({"format": "full", "fields": google_message.FIELDS})
    units = UNITS_GET * len(ids)
    try:
        replies = read_many(
            session.http,
            BATCH_URL,
            [f"/gmail/v1/users/me/messages/{quote(key, safe='')}?{query}" for key in ids],
            costs=_costs(units),
            max_body=MOST_BATCH_BYTES,
            timeout_s=BATCH_TIMEOUT_S,
        )
    except TooMuchData as error:
        if len(ids) == 1:
            return Read(refused=[Refused(ids[0], error.reason, "the message is over our cap")])
        first, second = _read(session, ids[: len(ids) // 2]), _read(session, ids[len(ids) // 2 :])
        return Read(
            records=first.records + second.records,
            tombstones=first.tombstones + second.tombstones,
            refused=first.refused + second.refused,
            again=first.again + second.again,
            because=first.because or second.because,
        )
    return sort_replies(ids, replies)


def sort_replies(ids: Sequence[str], replies: Sequence[Reply | None]) -> Read:
    """What each inner reply of a batch means. Pure.

    Raises:
        CrmSyncError: an inner reply concerns the whole connection, or each was refused.
    """
    read = Read()
    refusal: ProviderRefused | None = None
    for key, reply in zip(ids, replies, strict=True):
        try:
            message = google_message.read(key, _inner(reply))
        except NotFound:
            read.tombstones.append(key)
        except RunAgainLater as error:
            read.again.append(key)
            # The provider's wish to slow down tells more than a fault that is over in a moment.
            if read.because is None or isinstance(error, Throttled):
                read.because = error
        except SetAside as error:
            read.refused.append(Refused(key, error.reason, str(error)[:200]))
        except ProviderRefused as error:
            refusal = error
            read.refused.append(Refused(key, error.reason, str(error)[:200]))
        else:
            if message is None:
                read.tombstones.append(key)
            else:
                read.records.append(Record(key, Kind.MESSAGE, message))
    if refusal is not None and len(ids) > 1 and len(read.refused) == len(ids):
        raise refusal
    return read


def _inner(reply: Reply | None) -> bytes:
    if reply is None:
        raise Transient("Google left a message out of a batch.")
    if reply.status < 300:
        return reply.body
    error = google_api.classify(reply)
    if error is not None:
        raise error
    if reply.status in {404, 410}:
        raise NotFound(f"Google no longer has it ({reply.status}).")
    if reply.status == 429:
        raise Throttled("Google asks us to slow down (429).")
    if reply.status in {401, 408} or reply.status >= 500:
        # An inner 401 beneath an outer 200 is a token that died between the two; the next request renews it.
        raise Transient(f"Google failed ({reply.status}).")
    raise ProviderRefused(f"Google refused a message ({reply.status}).")


def _ask(session: Session, units: int, request: Any, *, stale: bool = False) -> bytes:
    """The body of a reply. `stale` says that the request carries a token or an id that may have died."""

    def judge(reply: Reply) -> CrmSyncError | None:
        error = google_api.classify(reply)
        dead = isinstance(error, NotFound) or reply.status == 404 or isinstance(error, ProviderRefused)
        if stale and reply.status in {400, 404} and dead:
            return CursorExpired("Google no longer knows our place in the mailbox.")
        return error

    body: bytes = request.execute(http=session.http.google_http(costs=_costs(units), classify=judge))
    return body


def _costs(units: int) -> tuple[Cost, ...]:
    return tuple(Cost(budget.name, units) for budget in BUDGETS)


def _users(*collections: str) -> Any:
    return google_api.SERVICES.of("gmail", "v1", "users", *collections)

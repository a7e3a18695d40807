"""Many reads of one Microsoft account in one request (`$batch`), each with a status of its own.

An outer 200 says nothing of what is within: single entries are refused for coming too fast, with a `Retry-After` of
their own. Then the mailbox is left alone until that time, by everybody who shares its budget, and only those entries
are asked for again. Replies come in any order; one that is missing or cannot be read is None: nobody knows, ask again.

Source: providers/microsoft-linkedin.md §3.7 (read 2026-11); https://learn.microsoft.com/graph/json-batching
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from worker.connectors import microsoft_api
from worker.connectors.contract import Session
from worker.errors import NotFound, ProviderRefused, RunAgainLater, SetAside, Throttled, TooMuchData, Transient
from worker.records import Refused
from worker.transport.json_reply import read_json
from worker.transport.replies import Reply
from worker.transport.retry_after import retry_hint

T = TypeVar("T")
URL: Final = f"{microsoft_api.ROOT}/$batch"
MOST_IN_BATCH: Final = 20
FEW: Final = 4
"""As many as Outlook works on at a time: for questions of which each must be answered, or all is asked again."""
MOST_BYTES: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 60.0


class _Answer(msgspec.Struct):
    id: str
    status: int
    headers: dict[str, Any] = {}
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Answers(msgspec.Struct):
    responses: list[msgspec.Raw] = []


class Found(msgspec.Struct):
    """What became of the items that were asked for.

    `again` are those that Microsoft would not give just now, and those that were not asked for, since it wanted to be
    left alone (`cut_short`).
    """

    bodies: dict[str, bytes] = {}
    gone: list[str] = []
    refused: list[Refused] = []
    again: list[str] = []
    because: RunAgainLater | None = None
    cut_short: bool = False


def read_items(
    session: Session, paths: dict[str, str], *, at_once: int = MOST_IN_BATCH, prefer: Sequence[str] = ()
) -> Found:
    """The items behind `paths`, which are relative and stand under the items' keys; `at_once` in a batch.

    `prefer` is what goes into the header of that name of each. An item at which Microsoft fails keeps it from no other;
    only when it wants to be left alone does the rest come under `again`.

    Raises:
        CrmSyncError: what concerns the whole connection, or each was refused.
    """
    found = Found()
    keys = list(paths)
    for start in range(0, len(keys), at_once):
        chunk = {key: paths[key] for key in keys[start : start + at_once]}
        more = _read(session, chunk, prefer)
        _merge(found, more)
        rest = keys[start + at_once :]
        if rest and wants_to_be_left_alone(more):
            found.again += rest
            found.cut_short = True
            break
    return found


def wants_to_be_left_alone(found: Found) -> bool:
    """Whether Microsoft asks us to wait, and has not only failed at something. Pure.

    It slows us down, or names a time and has told nothing at all; at a single item it may fail with a time for ever.
    """
    if isinstance(found.because, Throttled):
        return True
    told = found.bodies or found.gone or found.refused
    return found.because is not None and found.because.until is not None and not told


def must_wait(found: Found, asked: int) -> bool:
    """Whether failures tell nothing of the items: of a few alone, each may be one that always fails. Pure."""
    return isinstance(found.because, Throttled) or found.cut_short or (asked > FEW and wants_to_be_left_alone(found))


def whereabouts_of(
    session: Session, paths: dict[str, str], read: Callable[[str, bytes], str | None]
) -> dict[str, str | Refused | None]:
    """Where each item is, as `read` takes it from its key and body: None if it is gone, refused if nobody would say.

    Raises:
        CrmSyncError: what concerns the whole connection, or Microsoft asks us to wait.
    """
    found = read_items(session, paths, at_once=FEW)
    if found.because is not None and must_wait(found, len(paths)):
        raise found.because
    where: dict[str, str | Refused | None] = dict.fromkeys(found.gone)
    where |= {item.key: item for item in found.refused}
    where |= {key: Refused(key, Transient.reason, "Microsoft failed at it") for key in found.again}
    for key, body in found.bodies.items():
        try:
            where[key] = read(key, body)
        except SetAside as error:
            where[key] = Refused(key, error.reason, str(error)[:200])
    return where


def whole_lists(session: Session, paths: Sequence[str], type_: type[T]) -> list[T]:
    """Every item of several lists, whose first pages are asked for together; a list that is gone holds nothing.

    Raises:
        BadRecord: an item cannot be read.
        CrmSyncError: Microsoft would not give one of the lists.
    """
    found = read_items(session, {path: path for path in paths}, at_once=FEW)
    if found.again:
        raise found.because or Transient("Microsoft would not give a list.")
    if found.refused:
        raise ProviderRefused(f"Microsoft refused a list ({found.refused[0].detail}).")
    return [item for body in found.bodies.values() for item in microsoft_api.list_from(session, body, type_)]


def _read(session: Session, paths: dict[str, str], prefer: Sequence[str]) -> Found:
    try:
        replies = read_many(session, list(paths.values()), prefer)
    except TooMuchData as error:
        keys = list(paths)
        if len(keys) == 1:
            return Found(refused=[Refused(keys[0], error.reason, "the item is over our cap")])
        half = len(keys) // 2
        found = _read(session, {key: paths[key] for key in keys[:half]}, prefer)
        _merge(found, _read(session, {key: paths[key] for key in keys[half:]}, prefer))
        return found
    found = sort_replies(list(paths), replies, session)
    if isinstance(found.because, Throttled) and found.because.until is not None:
        session.http.refused(microsoft_api.costs(), found.because.until)
    return found


def _merge(found: Found, more: Found) -> None:
    found.bodies |= more.bodies
    found.gone += more.gone
    found.refused += more.refused
    found.again += more.again
    if more.because is not None and (isinstance(more.because, Throttled) or not isinstance(found.because, Throttled)):
        found.because = more.because


def read_many(session: Session, paths: Sequence[str], prefer: Sequence[str] = ()) -> list[Reply | None]:
    """The replies to a GET of each of at most twenty `paths`, in their order.

    Raises:
        Transient: the reply is no batch.
        TooMuchData: all replies together are over the cap.
        CrmSyncError: what the session raises for the outer request.
    """
    reply = session.http.send(
        "POST",
        URL,
        headers=[*microsoft_api.headers(()), ("content-type", "application/json")],
        body=write_batch(paths, prefer),
        costs=microsoft_api.batch_costs(len(paths)),
        classify=microsoft_api.classify,
        repeatable=True,
        max_body=MOST_BYTES,
        timeout_s=TIMEOUT_S,
    )
    return read_batch(reply, len(paths))


def write_batch(paths: Sequence[str], prefer: Sequence[str] = ()) -> bytes:
    """The body of a batch. What is preferred goes with each entry, since nothing is handed down. Pure."""
    wanted = ", ".join((microsoft_api.IMMUTABLE_IDS, *prefer))
    entries = [
        {"id": str(number), "method": "GET", "url": path, "headers": {"Prefer": wanted}}
        for number, path in enumerate(paths)
    ]
    return msgspec.json.encode({"requests": entries})


def read_batch(reply: Reply, count: int) -> list[Reply | None]:
    """The inner replies, by their ids. Pure.

    Raises:
        Transient: the reply is no batch.
    """
    try:
        answers = read_json(reply, _Answers)
    except SetAside:
        raise Transient("Microsoft answered a batch with something that is no batch.") from None
    found: list[Reply | None] = [None] * count
    for raw in answers.responses:
        try:
            answer = msgspec.json.decode(raw, type=_Answer)
        except (msgspec.MsgspecError, RecursionError):
            continue
        if answer.id.isdecimal() and len(answer.id) < 3 and int(answer.id) < count:
            headers = {name.lower(): str(value) for name, value in answer.headers.items()}
            found[int(answer.id)] = Reply(answer.status, headers, bytes(answer.body))
    return found


def sort_replies(keys: Sequence[str], replies: Sequence[Reply | None], session: Session) -> Found:
    """What each inner reply of a batch means.

    Raises:
        CrmSyncError: an inner reply concerns the whole connection, or each was refused.
    """
    found = Found()
    refusal: ProviderRefused | None = None
    for key, reply in zip(keys, replies, strict=True):
        try:
            found.bodies[key] = _inner(reply, session)
        except NotFound:
            found.gone.append(key)
        except RunAgainLater as error:
            found.again.append(key)
            found.because = _sooner_told(found.because, error)
        except ProviderRefused as error:
            refusal = error
            found.refused.append(Refused(key, error.reason, str(error)[:200]))
    if refusal is not None and len(keys) > 1 and len(found.refused) == len(keys):
        raise refusal
    return found


def _sooner_told(before: RunAgainLater | None, error: RunAgainLater) -> RunAgainLater:
    """The provider's wish to slow down tells more than a fault that is over in a moment; of two, the longer one."""
    if before is None or (isinstance(error, Throttled) and not isinstance(before, Throttled)):
        return error
    later = error.until is not None and (before.until is None or error.until > before.until)
    return error if later and isinstance(error, Throttled) else before


def _inner(reply: Reply | None, session: Session) -> bytes:
    if reply is None:
        raise Transient("Microsoft left an item out of a batch.")
    if reply.status < 300:
        return reply.body
    error = microsoft_api.classify(reply)
    until = retry_hint(reply.header("retry-after"), session.now()).until
    if isinstance(error, Throttled) or reply.status == 429:
        raise Throttled("Microsoft asks us to slow down (429, in a batch).", until=until)
    if reply.status in {401, 408, 424} or reply.status >= 500:
        # An inner 401 beneath an outer 200 is a token that died between the two; the next request renews it.
        raise Transient(f"Microsoft failed ({reply.status}, in a batch).", until=until)
    if error is not None:
        raise error
    if reply.status in {404, 410}:
        raise NotFound(f"Microsoft no longer has it ({reply.status}).")
    raise ProviderRefused(f"Microsoft refused an item ({reply.status}).")

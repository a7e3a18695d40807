"""Asks the provider where records are that a full pass did not show, before any of them is taken for gone (P12).

    unseen, some at a time ─▶ where is it? ─▶ here: noted as seen · elsewhere: belongs there · gone: left to the sweep
                                 └─ no answer ─▶ kept, set aside and counted, while the sweep goes on; asked about again
                                                 by the next runs of the part, a few times, and then by its next pass

One record at which the provider fails and fails holds up nobody, and nothing is deleted that was not looked at. It
deletes nothing itself.
"""

from collections.abc import Sequence
from typing import Final

from worker.connectors.contract import Whereabouts
from worker.records import Body, Kind, Refused, read_normal_form
from worker.store import documents, parts
from worker.store.database import Connection
from worker.store.parts import PartRow
from worker.sync.pages import add_part_for
from worker.sync.run import Run, RunNotes

ASKED_AT_ONCE: Final = 100
UNANSWERED: Final = "unanswered"
"""Why such a record is in quarantine, which nothing else is for."""
MOST_TIMES: Final = 6
"""So often it is asked about, the sweep's own question included."""


def ask_where(run: Run, whereabouts: Whereabouts, row: PartRow, notes: RunNotes) -> bool:
    """Ask where the unseen of a pass are; False if the time slice ended.

    It goes on behind the last key that it asked about, so that what is gone is asked about once.
    """
    while True:
        asked_to = bytes.fromhex(notes.asked_to or "")
        with run.database.transaction(run.place.workspace) as tx:
            keys = documents.unseen(tx, run.place, row.part_key, row.pass_id, ASKED_AT_ONCE, after=asked_to)
            found = documents.bodies(tx, run.place, keys)
        if not keys:
            return True
        answers = _ask(run, whereabouts, found)
        unanswered = [(key, answer) for key, answer in answers.items() if isinstance(answer, Refused)]
        with run.database.transaction(run.place.workspace) as tx:
            parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
            here = _take_answers(run, tx, row, answers)
            documents.note_seen(tx, run.place, row.part_key, row.pass_id, [*here, *(key for key, _ in unanswered)])
            _set_aside(run, tx, row, unanswered)
            parts.count_refused(tx, run.place, row.part_key, len(unanswered))
            notes.seen += len(unanswered)
            notes.refused += len(unanswered)
            notes.asked_to = keys[-1].hex()
            run.lease.fence(tx, notes.as_progress())
        if run.lease.out_of_time():
            return False


def ask_again(run: Run, whereabouts: Whereabouts, row: PartRow, notes: RunNotes) -> list[bytes]:
    """Ask once more about those of which nobody would tell in an earlier sweep; returns the keys of what is gone."""
    with run.database.transaction(run.place.workspace) as tx:
        keys = documents.set_aside_for(tx, run.place, row.part_key, UNANSWERED, MOST_TIMES, ASKED_AT_ONCE)
        found = documents.bodies(tx, run.place, keys)
    if not found:
        return []
    answers = _ask(run, whereabouts, found)
    with run.database.transaction(run.place.workspace) as tx:
        parts.lock_connection(tx, run.place.workspace, run.place.connection, run.epoch)
        _take_answers(run, tx, row, answers)
        _set_aside(run, tx, row, [(key, answer) for key, answer in answers.items() if isinstance(answer, Refused)])
        run.lease.fence(tx, notes.as_progress())
    return [key for key, answer in answers.items() if answer is None]


def _ask(
    run: Run, whereabouts: Whereabouts, found: Sequence[tuple[bytes, str, bytes]]
) -> dict[bytes, str | Refused | None]:
    answers = whereabouts(run.session, [_open(run, *document) for document in found])
    return dict(zip([key for key, _, _ in found], answers, strict=True))


def _open(run: Run, key: bytes, kind: str, sealed: bytes) -> Body:
    return read_normal_form(Kind(kind), run.seals.open("document.body", key, sealed))


def _take_answers(run: Run, tx: Connection, row: PartRow, answers: dict[bytes, str | Refused | None]) -> list[bytes]:
    """Let records belong to the part in which they are; returns those that are in this one."""
    in_part: dict[str, list[bytes]] = {}
    for key, answer in answers.items():
        if isinstance(answer, str):
            in_part.setdefault(answer, []).append(key)
    here: list[bytes] = []
    for part in sorted(in_part):
        if run.seals.part_key(run.stream.name, part) == row.part_key:
            here += in_part[part]
        else:
            documents.move(tx, run.place, add_part_for(run, tx, part), in_part[part])
    if row.set_aside:
        answered = [key for keys in in_part.values() for key in keys]
        documents.leave_quarantine(tx, run.place, answered, reason=UNANSWERED)
    return here


def _set_aside(run: Run, tx: Connection, row: PartRow, unanswered: Sequence[tuple[bytes, Refused]]) -> None:
    refused = [(key, UNANSWERED, f"{answer.reason}: {answer.detail}"[:200]) for key, answer in unanswered]
    documents.quarantine(tx, run.place, row.part_key, refused)

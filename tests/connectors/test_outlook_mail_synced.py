"""The stream `messages` against the simulated Outlook: pages lead to the mailbox as it is, hard cases included."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from tests.connectors.microsoft import HeldInParts
from worker.connectors import outlook_mail
from worker.errors import CursorExpired, ScopeMissing
from worker.records import Message


def ours(microsoft: Simulator, person: str) -> dict[str, dict[str, Any]]:
    """The mails in folders that are synced, by their ids; a folder's way from the root begins with a well-known one."""
    away = {"Deleted Items", "Junk Email", "Drafts", "Outbox", "Scheduled", "Conversation History", "Sync Issues"}
    items = microsoft.truth(person, "messages")
    return {item["immutable_id"]: item for item in items if item["folder"].split("/")[0] not in away}


def holding(microsoft: Simulator, person: str) -> HeldInParts:
    return HeldInParts(outlook_mail, lambda key: key in ours(microsoft, person))


def check(microsoft: Simulator, person: str, held: HeldInParts, *, refused: int = 0) -> None:
    world = ours(microsoft, person)
    assert len(held.refused) == refused
    places = {key: item["folder_id"] for key, item in world.items() if key not in held.refused}
    assert {key: part for key, (part, _) in held.records.items()} == places
    for key, (_, body) in held.records.items():
        assert isinstance(body, Message)
        assert body.labels[0] in {f"folder:{world[key]['known_as']}", f"folder:{world[key]['folder_id']}"}
    assert held.lost == []


def writable(one: dict[str, Any]) -> str:
    """What is no address that one can write to is not kept as one."""
    return str(one["address"]) if "@" in str(one["address"]) else ""


def plain(text: str) -> str:
    return " ".join(text.replace("\0", "").split())


def test_first_pass_brings_the_mailbox_and_every_hard_mail_as_a_person_reads_it(microsoft, person, graph):
    held = holding(microsoft, person)
    held.sync(graph())
    check(microsoft, person, held)
    for key, item in ours(microsoft, person).items():
        body = held.records[key][1]
        assert isinstance(body, Message)
        if item["subject"] is not None:
            assert plain(body.subject) == plain(item["subject"])[: len(plain(body.subject))], item["hard_case"]
        wanted = [writable(one) for one in ([item["sender"]] if item["sender"] else [])]
        assert ([body.sender.value] if body.sender else []) == wanted, item["hard_case"]
        assert [one.value for one in body.to] == [writable(one) for one in item["to"]][:1_000], item["hard_case"]
        assert "<script" not in body.html
        named = {file["filename"] for file in item["attached"] if file.get("filename")}
        assert {plain(name)[:255] for name in named} <= {plain(file.filename) for file in body.attachments} | {""}


SWITCHES = [
    {},
    {"changed_items": "partial"},
    {"repeated_items": 3, "replayed_items": 2, "empty_pages": 2, "removed_first": 2},
    {"moved_back": "shown"},
    {"batch_backwards": True, "batch_429_above": 7, "retry_after": "fraction"},
]


@pytest.mark.parametrize("order", [list, lambda parts: parts[::-1]], ids=["first folder first", "last folder first"])
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_what_moved_changed_came_and_went_is_so_afterwards(microsoft, person, graph, order, switches):
    microsoft.control("graph", switches)
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    here = [key for key, item in ours(microsoft, person).items() if item["known_as"] == "inbox"]
    microsoft.edit(
        person,
        {"do": "move_message", "id": here[0], "to": "archive"},
        {"do": "move_message", "id": here[1], "to": "archive"},
        {"do": "move_message", "id": here[1], "to": "inbox"},
        {"do": "delete_message", "id": here[2]},
        {"do": "trash_message", "id": here[3]},
        {"do": "change_message", "id": here[4], "flagged": True},
        {"do": "add_message", "count": 3},
        {"do": "move_message", "id": here[5], "to": "junkemail"},
        {"do": "move_message", "id": here[5], "to": "Suppliers"},
    )
    held.sync(session, order)
    check(microsoft, person, held)
    assert held.records[here[0]][0] != held.records[here[1]][0]
    assert here[3] not in held.records


def test_an_expired_link_heals_by_a_pass_that_reads_only_what_is_new(microsoft, person, graph):
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    here = [key for key, item in ours(microsoft, person).items() if item["known_as"] == "inbox"]
    microsoft.edit(person, {"do": "move_message", "id": here[0], "to": "archive"})
    microsoft.edit(person, {"do": "delete_message", "id": here[1]})
    microsoft.edit(person, {"do": "expire_mail_links", "folder": "inbox"})
    pages = len(held.pages)
    held.sync(session)
    check(microsoft, person, held)
    assert sum(len(page.records) for page in held.pages[pages:]) <= 3


def test_a_folder_that_was_thrown_away_goes_with_its_mail_and_comes_back_with_it(microsoft, person, graph):
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    before = len(held.records)
    microsoft.edit(person, {"do": "delete_mail_folder", "folder": "Suppliers"})
    held.sync(session)
    check(microsoft, person, held)
    assert len(held.records) < before


def test_a_mail_that_microsoft_cannot_give_is_set_aside_and_taken_when_it_can(microsoft, person, graph):
    one = next(key for key, item in ours(microsoft, person).items() if item["known_as"] == "inbox")
    microsoft.edit(person, {"do": "corrupt_message", "id": one})
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    check(microsoft, person, held, refused=1)
    microsoft.edit(person, {"do": "corrupt_message", "id": one, "back": True})
    microsoft.edit(person, {"do": "change_message", "id": one, "flagged": True})
    held.sync(session)
    check(microsoft, person, held)


def test_a_grant_without_the_scope_is_told(microsoft, graph):
    with pytest.raises(ScopeMissing):
        list(outlook_mail.parts(graph("User.Read", "Contacts.Read")))


PLACES = st.sampled_from(["inbox", "archive", "Suppliers", "deleteditems", "junkemail"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 11), PLACES),
        st.tuples(st.just("move"), st.integers(0, 11), PLACES),
        st.tuples(st.just("change"), st.integers(0, 11)),
        st.tuples(st.just("delete"), st.integers(0, 11)),
        st.tuples(st.just("add")),
        st.tuples(st.just("expire"), st.sampled_from(["inbox", "archive"])),
        st.tuples(st.just("read"), st.integers(0, 6), st.integers(1, 2)),
        st.tuples(st.just("sync"), st.booleans()),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS, moved_back=st.sampled_from(["only_removed", "shown"]))
def test_mail_moved_in_every_order_while_it_is_read_and_killed_is_never_lost_and_never_doubled(
    microsoft, person, graph, steps, moved_back
):
    microsoft.control("reset", {})
    microsoft.control("graph", {"moved_back": moved_back})
    held, session = holding(microsoft, person), graph(window_days=0)
    keys = [key for key, item in ours(microsoft, person).items() if item["known_as"] == "inbox"][:12]
    for step in steps:
        match step:
            case ("move", number, to) if keys[number]:
                microsoft.edit(person, {"do": "move_message", "id": keys[number], "to": to})
            case ("change", number) if keys[number]:
                microsoft.edit(person, {"do": "change_message", "id": keys[number], "flagged": True})
            case ("delete", number) if keys[number]:
                microsoft.edit(person, {"do": "delete_message", "id": keys[number]})
                keys[number] = ""
            case ("add",):
                microsoft.edit(person, {"do": "add_message"})
            case ("expire", folder):
                microsoft.edit(person, {"do": "expire_mail_links", "folder": folder})
            case ("read", which, pages):
                part = list(outlook_mail.parts(session))[which]
                try:
                    held.read_part(session, part, most_pages=pages)
                except CursorExpired:
                    held.forget(part.key)
            case ("sync", backwards):
                held.sync(session, lambda parts, backwards=backwards: parts[::-1] if backwards else parts)
    held.sync(session)
    held.sync(session)
    check(microsoft, person, held)

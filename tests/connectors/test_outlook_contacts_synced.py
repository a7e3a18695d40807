"""The stream `contacts` against the simulated Outlook: pages lead to the address book as it is."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from tests.connectors.microsoft import HeldInParts
from worker.connectors import outlook_contacts
from worker.errors import CursorExpired, ScopeMissing
from worker.records import Contact


def truth(simulator: Simulator, account: str) -> dict[str, dict[str, Any]]:
    return {item["immutable_id"]: item for item in simulator.truth(account, "contacts")}


def check(simulator: Simulator, account: str, held: HeldInParts) -> None:
    world = truth(simulator, account)
    assert {key: part for key, (part, _) in held.records.items()} == {
        key: item["folder_id"] for key, item in world.items()
    }
    for key, (_, body) in held.records.items():
        assert isinstance(body, Contact)
        item = world[key]
        assert (body.display_name, body.given_name) == (item["display_name"], item["given_name"])
        assert [email.value for email in body.emails] == [email["value"] for email in item["emails"] if email["value"]]
    assert held.lost == []


def holding(simulator: Simulator, account: str) -> HeldInParts:
    return HeldInParts(outlook_contacts, lambda key: key in truth(simulator, account))


def test_first_pass_brings_every_folder(microsoft, person, graph):
    microsoft.edit(person, {"do": "move_contact", "id": "#9", "to": "Suppliers"})
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    check(microsoft, person, held)
    assert len({part for part, _ in held.records.values()}) > 3


def test_a_second_run_asks_a_question_a_folder_and_brings_nothing(microsoft, person, graph):
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    pages = len(held.pages)
    held.sync(session)
    assert not any(page.records or page.tombstones for page in held.pages[pages:])


@pytest.mark.parametrize("order", [list, lambda parts: parts[::-1]], ids=["old first", "new first"])
@pytest.mark.parametrize(
    "switches",
    [{}, {"changed_items": "partial"}, {"repeated_items": 3, "replayed_items": 2, "empty_pages": 2}],
    ids=str,
)
def test_what_moved_changed_came_and_went_is_so_afterwards(microsoft, person, graph, order, switches):
    microsoft.control("graph", switches)
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    microsoft.edit(
        person,
        {"do": "move_contact", "id": "#5", "to": "Suppliers"},
        {"do": "change_contact", "id": "#8", "fields": {"title": "first"}},
        {"do": "delete_contact", "id": "#11"},
        {"do": "add_contact", "fields": {"given_name": "Nim", "emails": ["nim@tinroof.example"]}},
        {"do": "move_contact", "id": "#6", "to": "Suppliers"},
        {"do": "move_contact", "id": "#6", "to": "contacts"},
    )
    held.sync(session, order)
    check(microsoft, person, held)


def test_an_expired_link_heals_by_a_pass_of_that_folder_and_loses_nobody(microsoft, person, graph):
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    microsoft.edit(person, {"do": "move_contact", "id": "#5", "to": "Suppliers"}, {"do": "delete_contact", "id": "#7"})
    microsoft.edit(person, {"do": "expire_contact_links", "folder": "contacts"})
    held.sync(session)
    check(microsoft, person, held)


def test_a_folder_that_was_deleted_goes_with_what_was_left_in_it(microsoft, person, graph):
    microsoft.edit(person, *({"do": "move_contact", "id": f"#{n}", "to": "Suppliers"} for n in (1, 2, 3)))
    held, session = holding(microsoft, person), graph()
    held.sync(session)
    microsoft.edit(person, {"do": "move_contact", "id": "#2", "to": "contacts"})
    microsoft.edit(person, {"do": "delete_contact_folder", "folder": "Suppliers"})
    held.sync(session)
    check(microsoft, person, held)


def test_a_grant_without_the_scope_is_told(microsoft, graph):
    with pytest.raises(ScopeMissing):
        list(outlook_contacts.parts(graph("User.Read")))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move_contact"), st.integers(0, 30), st.sampled_from(["Suppliers", "contacts", "عملاء"])),
        st.tuples(st.just("change_contact"), st.integers(0, 30)),
        st.tuples(st.just("delete_contact"), st.integers(0, 30)),
        st.tuples(st.just("expire")),
        st.tuples(st.just("read"), st.integers(0, 3), st.integers(1, 2)),
        st.tuples(st.just("sync"), st.booleans()),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_whatever_happens_while_it_is_read_and_killed_nobody_is_lost_or_doubled(microsoft, person, graph, steps):
    microsoft.control("reset", {})
    session = graph()
    held = holding(microsoft, person)
    gone: set[int] = set()
    for step in steps:
        match step:
            case ("move_contact", number, to) if number not in gone:
                microsoft.edit(person, {"do": "move_contact", "id": f"#{number}", "to": to})
            case ("change_contact", number) if number not in gone:
                microsoft.edit(person, {"do": "change_contact", "id": f"#{number}", "fields": {"title": "x"}})
            case ("delete_contact", number) if number not in gone:
                gone.add(number)
                microsoft.edit(person, {"do": "delete_contact", "id": f"#{number}"})
            case ("expire",):
                microsoft.edit(person, {"do": "expire_contact_links", "folder": "contacts"})
            case ("read", which, pages):
                parts = list(outlook_contacts.parts(session))
                if len(parts) > which:
                    _read_some(session, held, parts[which], pages)
            case ("sync", backwards):
                held.sync(session, lambda parts, backwards=backwards: parts[::-1] if backwards else parts)
    held.sync(session)
    held.sync(session)
    check(microsoft, person, held)


def _read_some(session: Any, held: HeldInParts, part: Any, pages: int) -> None:
    try:
        held.read_part(session, part, most_pages=pages)
    except CursorExpired:
        held.forget(part.key)

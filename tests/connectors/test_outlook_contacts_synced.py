"""The stream `contacts` against the simulated Outlook: pages lead to the address book as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from tests.connectors.microsoft import HeldInParts, access_token, session_over
from worker.connectors import outlook_contacts
from worker.errors import ScopeMissing
from worker.records import Contact
from worker.transport.client import Transport


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Simulator, Transport]]:
    with Simulator.start(seed=12, people=120, messages=20, events=10, accounts=2, quota_scale=1000) as started:
        transport = Transport(route=started.url)
        yield started, transport
        transport.close()


@pytest.fixture
def simulator(running: tuple[Simulator, Transport]) -> Iterator[Simulator]:
    yield running[0]
    running[0].control("reset", {})


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["microsoft"]["accounts"][0])


@pytest.fixture
def session(simulator: Simulator, account: str, running: tuple[Simulator, Transport]) -> Any:
    return session_over(running[1], access_token(simulator, account))


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
        assert [email.value for email in body.emails] == [email["value"] for email in item["emails"]][:3]
    assert held.lost == []


def holding(simulator: Simulator, account: str) -> HeldInParts:
    return HeldInParts(outlook_contacts, lambda key: key in truth(simulator, account))


def test_first_pass_brings_every_folder(simulator, account, session):
    simulator.edit(account, {"do": "move_contact", "id": "#9", "to": "Suppliers"})
    held = holding(simulator, account)
    held.sync(session)
    check(simulator, account, held)
    assert len({part for part, _ in held.records.values()}) == 2


def test_a_second_run_asks_a_question_a_folder_and_brings_nothing(simulator, account, session):
    held = holding(simulator, account)
    held.sync(session)
    pages = len(held.pages)
    held.sync(session)
    assert not any(page.records or page.tombstones for page in held.pages[pages:])


@pytest.mark.parametrize("order", [list, lambda parts: parts[::-1]], ids=["old first", "new first"])
@pytest.mark.parametrize(
    "switches", [{}, {"changed_items": "part"}, {"repeated_items": 3, "replayed_items": 2, "empty_pages": 2}], ids=str
)
def test_what_moved_changed_came_and_went_is_so_afterwards(simulator, account, session, order, switches):
    if switches.get("changed_items"):
        switches = {"changed_items": next(iter(sorted({"sparse", "part"} & set(_choices(simulator)))), "whole")}
    simulator.control("graph", switches)
    held = holding(simulator, account)
    held.sync(session)
    simulator.edit(
        account,
        {"do": "move_contact", "id": "#5", "to": "Suppliers"},
        {"do": "change_contact", "id": "#8", "fields": {"title": "first"}},
        {"do": "delete_contact", "id": "#11"},
        {"do": "add_contact", "fields": {"given_name": "Nim", "emails": ["nim@tinroof.example"]}},
        {"do": "move_contact", "id": "#6", "to": "Suppliers"},
        {"do": "move_contact", "id": "#6", "to": "contacts"},
    )
    held.sync(session, order)
    check(simulator, account, held)


def _choices(simulator: Simulator) -> list[str]:
    try:
        simulator.control("graph", {"changed_items": "nonsense"})
    except Exception as error:  # noqa: BLE001 - the door's words name the choices.
        return str(error).replace("'", " ").replace(",", " ").replace(".", " ").split()
    raise AssertionError("nonsense was taken")


def test_an_expired_link_heals_by_a_pass_of_that_folder_and_loses_nobody(simulator, account, session):
    held = holding(simulator, account)
    held.sync(session)
    simulator.edit(account, {"do": "move_contact", "id": "#5", "to": "Suppliers"}, {"do": "delete_contact", "id": "#7"})
    simulator.edit(account, {"do": "expire_contact_links", "folder": "contacts"})
    held.sync(session)
    check(simulator, account, held)


def test_a_folder_that_was_deleted_goes_with_what_was_left_in_it(simulator, account, session):
    simulator.edit(account, *({"do": "move_contact", "id": f"#{n}", "to": "Suppliers"} for n in (1, 2, 3)))
    held = holding(simulator, account)
    held.sync(session)
    simulator.edit(account, {"do": "move_contact", "id": "#2", "to": "contacts"})
    simulator.edit(account, {"do": "delete_contact_folder", "folder": "Suppliers"})
    held.sync(session)
    check(simulator, account, held)


def test_a_grant_without_the_scope_is_told(simulator, account, running):
    session = session_over(running[1], access_token(simulator, account, ["User.Read"]))
    with pytest.raises(ScopeMissing):
        list(outlook_contacts.parts(session))


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
def test_whatever_happens_while_it_is_read_and_killed_nobody_is_lost_or_doubled(simulator, account, session, steps):
    simulator.control("reset", {})
    session.ports._token = access_token(simulator, account)
    held = holding(simulator, account)
    gone: set[int] = set()
    for step in steps:
        match step:
            case ("move_contact", number, to) if number not in gone:
                simulator.edit(account, {"do": "move_contact", "id": f"#{number}", "to": to})
            case ("change_contact", number) if number not in gone:
                simulator.edit(account, {"do": "change_contact", "id": f"#{number}", "fields": {"title": "x"}})
            case ("delete_contact", number) if number not in gone:
                gone.add(number)
                simulator.edit(account, {"do": "delete_contact", "id": f"#{number}"})
            case ("expire",):
                simulator.edit(account, {"do": "expire_contact_links", "folder": "contacts"})
            case ("read", which, pages):
                parts = list(outlook_contacts.parts(session))
                if len(parts) > which:
                    _read_some(session, held, parts[which], pages)
            case ("sync", backwards):
                held.sync(session, lambda parts, backwards=backwards: parts[::-1] if backwards else parts)
    held.sync(session)
    check(simulator, account, held)


def _read_some(session: Any, held: HeldInParts, part: Any, pages: int) -> None:
    from worker.errors import CursorExpired

    try:
        held.read_part(session, part, most_pages=pages)
    except CursorExpired:
        held.forget(part.key)

"""The streams `contacts` and `profile` against the simulated Google: what pages lead to is the world's own truth."""

from contextlib import suppress

import httpx
import pytest

from simulator.client import Simulator
from tests.connectors.sessions import ConnectorSession, Held, scripted
from worker.connectors import gmail, google_api, google_contacts
from worker.errors import BadRecord, CursorExpired, ScopeMissing, Transient
from worker.records import Contact, Profile

PEOPLE = 2_300  # As `conftest.py` starts the simulator.


def run(session: ConnectorSession, held: Held, *, most_pages: int | None = None) -> None:
    held.run(google_contacts, session, most_pages=most_pages)


def check(simulator: Simulator, account: str, held: Held) -> None:
    truth = {person["id"]: person for person in simulator.truth(account, "contacts")}
    assert set(held.records) == set(truth)
    for key, person in truth.items():
        body = held.records[key]
        assert isinstance(body, Contact)
        assert (body.display_name, body.given_name) == (person["display_name"], person["given_name"])
        assert [mail.value for mail in body.emails] == [mail["value"] for mail in person["emails"]]
        assert len(body.phones) == len(person["phones"])


def edits(simulator: Simulator, account: str) -> None:
    simulator.edit(
        account,
        {"do": "add_contact", "fields": {"given_name": "Nim", "emails": ["nim@tinroof.example"]}},
        {"do": "change_contact", "id": "#30", "fields": {"title": "second"}},
        {"do": "delete_contact", "id": "#31"},
        {"do": "rename_contact", "id": "#40"},
        {"do": "merge_contacts", "keep": "#41", "drop": "#42"},
    )


def test_profile_is_the_account(simulator, account, session_of):
    session = session_of(account)
    (page,) = gmail.profile_pages(session, next(iter(gmail.profile_parts(session))), None)
    (record,) = page.records
    assert isinstance(record.body, Profile)
    assert (record.body.email, page.more) == (account, False)


def test_full_pass_brings_the_world(simulator, account, session_of):
    held = Held()
    run(session_of(account), held)
    assert len(held.pages) == 3
    check(simulator, account, held)


def test_changes_moves_and_deletions_follow(simulator, account, session_of):
    session, held = session_of(account), Held()
    run(session, held)
    edits(simulator, account)
    held.pages.clear()
    run(session, held)
    check(simulator, account, held)
    assert sum(len(page.records) for page in held.pages) <= 5


@pytest.mark.parametrize("status", [400, 410])
def test_expired_token_heals_without_duplicates_or_false_deletes(simulator, account, status, session_of):
    simulator.control("services", {"people": {"expired_status": status}})
    session, held = session_of(account), Held()
    run(session, held)
    edits(simulator, account)
    simulator.edit(account, {"do": "expire_sync_tokens"})
    with pytest.raises(CursorExpired):
        run(session, held)
    held.forget_place()
    run(session, held)
    check(simulator, account, held)


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_run_killed_after_any_page_ends_as_the_undisturbed_one(simulator, account, stop_after, session_of):
    held = Held()
    run(session_of(account), held, most_pages=stop_after)
    edits(simulator, account)
    session = session_of(account)
    for _ in range(3):
        try:
            run(session, held)
        except CursorExpired:
            held.forget_place()
    check(simulator, account, held)


@pytest.mark.parametrize(
    "action",
    [{"duplicate_items": 3}, {"reorder": True}, {"unknown_fields": True}, {"gzip": True}, {"status": 503},
     {"reset": True}, {"half_body": True}, {"empty_page_with_token": True}, {"body": {"kind": "bom"}}],
)  # fmt: skip
def test_odd_or_broken_page_changes_nothing_in_the_end(simulator, account, action, session_of):
    session, held = session_of(account), Held()
    simulator.fault(action, path="connections", nth=2, times=1)
    for _ in range(2):
        try:
            run(session, held)
        except Transient:
            continue
    check(simulator, account, held)


def test_page_token_that_repeats_ends_the_run(simulator, account, session_of):
    simulator.fault({"repeat_page_token": True}, path="connections", times=0)
    with pytest.raises(Transient, match="twice"):
        run(session_of(account), Held())


@pytest.mark.parametrize("kind", ["nan", "lone_surrogate", "nul", "huge_number", "huge_float", "null", "infinity"])
def test_malformed_item_costs_at_most_itself(simulator, account, kind, session_of):
    held = Held()
    simulator.fault({"body": {"kind": kind}}, path="connections", nth=1, times=1)
    with suppress(Transient, BadRecord):  # A body that is no page at all is the page's fault, and passes.
        run(session_of(account), held)
    run(session_of(account), held)
    assert len(held.records) + len(held.refused) >= PEOPLE - 1


def test_scope_that_was_not_ticked_is_told(simulator, account, session_of):
    with pytest.raises(ScopeMissing):
        run(session_of(account, list(google_api.GOOGLE_OAUTH.identity_scopes)), Held())


@pytest.mark.parametrize("cursor", [b"", b"{}", b"\xff", b'{"fingerprint":"old","sync":"x"}'])
def test_cursor_of_another_release_leads_to_a_full_pass(simulator, account, cursor, session_of):
    held = Held()
    held.cursor = cursor
    with pytest.raises(CursorExpired):
        run(session_of(account), held)


def test_contact_without_a_readable_name_is_no_proof_that_others_are_gone():
    pages = {
        "": {"connections": [{"resourceName": "people/a"}, {"resourceName": 7}], "nextPageToken": "2"},
        "2": {"connections": [{"resourceName": "people/c"}], "nextSyncToken": "s"},
    }
    session = ConnectorSession(
        scripted(lambda request: httpx.Response(200, json=pages[request.url.params.get("pageToken", "")])),
        gmail.FACTS.hosts,
        gmail.FACTS.budgets,
    )
    held = Held()
    held.records = dict.fromkeys(("people/a", "people/b", "people/c"), Contact())
    run(session, held)
    assert set(held.records) == {"people/a", "people/b", "people/c"}
    assert len(held.refused) == 1
    pages[""]["connections"][1] = {"resourceName": "people/d"}  # type: ignore[index]
    held.forget_place()
    run(session, held)
    assert set(held.records) == {"people/a", "people/c", "people/d"}

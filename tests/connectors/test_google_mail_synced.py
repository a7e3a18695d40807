"""The stream `messages` against the simulated Gmail: pages lead to the mailbox as it is, hard cases included."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.client import Simulator
from tests.connectors.sessions import ConnectorSession, Held
from worker.connectors import google_mail
from worker.errors import CursorExpired, RunAgainLater, ScopeMissing, Transient
from worker.records import Message

Session = Callable[..., ConnectorSession]
AWAY = {"SPAM", "TRASH"}
NOT_KEPT = {"UNREAD", "STARRED", "IMPORTANT"}


def truth(simulator: Simulator, account: str) -> dict[str, dict[str, Any]]:
    items = simulator.truth(account, "messages")
    return {item["id"]: item for item in items if not AWAY & set(item["labels"]) and not item["vanished"]}


def sync(session: ConnectorSession, held: Held) -> None:
    """To the end, as the engine does it: a dead cursor begins anew, what is to come later is asked for again."""
    for _ in range(12):
        try:
            held.run(google_mail, session)
        except CursorExpired:
            held.forget_place()
        except RunAgainLater:
            continue
        else:
            if held.pages and not held.pages[-1].more:
                return
    raise AssertionError("the pass never came to its end")


def check(simulator: Simulator, account: str, held: Held, *, labels: bool = True) -> None:
    world = truth(simulator, account)
    assert set(held.records) | set(held.refused) == set(world)
    for key, body in held.records.items() if labels else ():
        assert isinstance(body, Message)
        kept = {label for label in world[key]["labels"] if not label.startswith("CATEGORY_")} - NOT_KEPT
        assert set(body.labels) == kept


@pytest.fixture
def synced(simulator: Simulator, account: str, session_of: Session) -> tuple[ConnectorSession, Held]:
    session, held = session_of(account), Held()
    sync(session, held)
    return session, held


def test_first_pass_brings_the_mailbox(simulator, account, synced):
    check(simulator, account, synced[1])
    assert not synced[1].refused


def plain(text: str) -> str:
    return " ".join(text.replace("\0", "").split())


def test_every_hard_mail_is_read_as_a_person_would_read_it(simulator, account, synced):
    for key, item in truth(simulator, account).items():
        body, case = synced[1].records[key], item["hard_case"]
        assert isinstance(body, Message)
        cut = set(body.flags)
        if item["text"] is not None and not cut & {"body_cut", "too_deep", "too_many_parts"}:
            assert plain(body.text) == plain(item["text"]), case
        if item["subject"] is not None and "headers_cut" not in cut:
            assert plain(body.subject) == plain(item["subject"]), case
        for kind in ("to", "cc", "bcc"):
            if item[kind] is not None and not cut & {"headers_cut", "addresses_cut"}:
                found = [person.value for person in getattr(body, kind)]
                assert found == [person["address"] for person in item[kind]], (case, kind)
        if item["sender"] is not None and "headers_cut" not in cut:
            wanted = item["sender"][0]["address"] if item["sender"] else None
            assert (body.sender.value if body.sender else None) == wanted, case
        assert "<script" not in body.html
        assert "http" not in "".join(piece for piece in body.html.split("<img")[1:]), case


def test_attachments_are_told_without_their_bytes(simulator, account, synced):
    for key, item in truth(simulator, account).items():
        body = synced[1].records[key]
        assert isinstance(body, Message)
        if item["files"] and not {"too_many_parts", "too_deep"} & set(body.flags):
            named = {file["filename"] for file in item["files"] if file["filename"]}
            found = {file.filename for file in body.attachments if file.filename}
            assert {plain(name)[:255] for name in named} <= {plain(name) for name in found}, item["hard_case"]


@pytest.mark.parametrize(
    "switches",
    [
        {"text_bodies": "as_sent"},
        {"header_words": "decoded"},
        {"padded_base64": True},
        {"nested_mails": "file"},
        {"nested_mails": "parts"},
        {"batch_order": "reversed"},
        {"batch_429_every": 7},
        {"external_above_bytes": 4_000},
    ],
    ids=str,
)
def test_whichever_way_google_has_of_showing_mail_it_is_read(simulator, account, session_of, switches):
    simulator.control("services", {"gmail": switches})
    session, held = session_of(account), Held()
    sync(session, held)
    check(simulator, account, held)
    easy = next(each for each in truth(simulator, account).values() if each["hard_case"] == "thai windows-874")
    body = held.records[easy["id"]]
    assert isinstance(body, Message)
    assert (plain(body.text), body.subject) == (plain(easy["text"]), easy["subject"])


def test_text_that_google_keeps_back_is_flagged(simulator, account, session_of):
    simulator.control("services", {"gmail": {"external_above_bytes": 4_000}})
    session, held = session_of(account), Held()
    sync(session, held)
    huge = next(each for each in truth(simulator, account).values() if each["hard_case"] == "huge text")
    body = held.records[huge["id"]]
    assert isinstance(body, Message)
    assert (body.flags, body.text, len(body.attachments)) == (("text_not_sent",), "", 1)


EDITS: dict[str, list[dict[str, Any]]] = {
    "a mail comes": [{"do": "add_message", "fields": {"subject": "New"}}],
    "a mail goes for good": [{"do": "delete_message", "id": "#90"}],
    "a mail goes to the bin": [{"do": "trash_message", "id": "#91"}],
    "a mail turns out to be spam": [{"do": "spam_message", "id": "#92"}],
    "a mail comes back": [{"do": "trash_message", "id": "#93"}, {"do": "untrash_message", "id": "#93"}],
    "a mail gets a label": [{"do": "label_message", "id": "#94", "add": ["STARRED", "SENT"]}],
    "a mail comes and goes": [{"do": "add_message", "case": "thai utf-8"}, {"do": "delete_message", "id": "#260"}],
    "the mailbox is emptied": [{"do": "delete_all_messages"}],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_change_arrives(simulator, account, synced, edits):
    session, held = synced
    simulator.edit(account, *edits)
    sync(session, held)
    check(simulator, account, held)


def test_mail_that_left_spam_is_found(simulator, account, synced):
    session, held = synced
    spam = next(each for each in simulator.truth(account, "messages") if "SPAM" in each["labels"])
    simulator.edit(account, {"do": "unspam_message", "id": spam["id"]})
    sync(session, held)
    assert spam["id"] in held.records
    check(simulator, account, held)


@pytest.mark.parametrize(
    "switches",
    [
        {"history_overlap": 3},
        {"history_repeats": True},
        {"empty_history_pages": 2},
        {"sparse_history_pages": True},
        {"history_labels": False},
    ],
    ids=str,
)
def test_history_told_oddly_leads_to_the_same(simulator, account, synced, switches):
    simulator.control("services", {"gmail": switches})
    session, held = synced
    for edits in (name for name in EDITS.values() if name is not EDITS["the mailbox is emptied"]):
        simulator.edit(account, *edits)
    sync(session, held)
    check(simulator, account, held)


def test_expired_history_heals_without_reading_what_is_held(simulator, account, synced):
    session, held = synced
    simulator.edit(account, *EDITS["a mail goes for good"], *EDITS["a mail comes"], {"do": "expire_history"})
    with pytest.raises(CursorExpired):
        held.run(google_mail, session)
    held.forget_place()
    before = session.ports.units["gmail.user"]
    sync(session, held)
    check(simulator, account, held)
    assert session.ports.units["gmail.user"] - before < 100, "all mails were read again"


def test_listed_mail_that_vanished_is_passed_over(simulator, account, session_of):
    simulator.edit(account, {"do": "vanish_message", "ids": ["#80", "#81"]})
    session, held = session_of(account), Held()
    sync(session, held)
    check(simulator, account, held)


@pytest.mark.parametrize("stop_after", [1, 2, 4])
def test_run_killed_after_any_page_ends_as_the_undisturbed_one(simulator, account, session_of, stop_after):
    held = Held()
    held.run(google_mail, session_of(account), most_pages=stop_after)
    for edits in (EDITS["a mail comes"], EDITS["a mail goes to the bin"], EDITS["a mail goes for good"]):
        simulator.edit(account, *edits)
    session = session_of(account)
    session.held = set(held.records)
    sync(session, held)
    sync(session, held)
    check(simulator, account, held)


def test_window_leaves_out_what_is_older_and_keeps_what_is_held(simulator, account, session_of, synced):
    recent, held = session_of(account, window_days=60), Held()
    sync(recent, held)
    assert 0 < len(held.records) < len(synced[1].records)
    world = truth(simulator, account)
    oldest = min(world[key]["internal_date_ms"] for key in held.records) / 1000
    assert recent.now().timestamp() - oldest < 62 * 86_400
    again = synced[1]
    again.forget_place()
    recent.held = set(again.records)
    sync(recent, again)
    check(simulator, account, again)


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("batch", {"status": 503}),
        ("batch", {"reset": True}),
        ("batch", {"half_body": True}),
        ("messages", {"status": 500}),
        ("messages", {"reset": True}),
        ("messages", {"half_body": True}),
        ("messages", {"unknown_fields": True}),
        ("messages/", {"status": 429, "reason": "rateLimitExceeded"}),
        ("messages/", {"status": 500}),
    ],
    ids=str,
)
def test_broken_reply_changes_nothing_in_the_end(simulator, account, session_of, path, action):
    session, held = session_of(account), Held()
    simulator.fault(action, path=path, nth=3, times=2)
    sync(session, held)
    check(simulator, account, held)


def test_mail_that_google_never_gives_is_set_aside_and_the_others_come(simulator, account, session_of):
    bad = next(iter(truth(simulator, account)))
    simulator.fault({"status": 500}, path=f"messages/{bad}", times=0)
    session, held = session_of(account), Held()
    sync(session, held)
    assert set(held.refused) == {bad}
    simulator.clear_faults()
    check(simulator, account, held)


def test_scope_that_was_not_ticked_is_told(account, session_of):
    session = session_of(account, ["openid", "email", "profile"])
    with pytest.raises(ScopeMissing):
        Held().run(google_mail, session)


def test_page_token_that_repeats_ends_the_run(simulator, account, session_of):
    simulator.fault({"repeat_page_token": True}, path="messages", times=0)
    with pytest.raises(Transient, match="twice"):
        Held().run(google_mail, session_of(account))


def a_step() -> st.SearchStrategy[dict[str, Any]]:
    number = st.integers(260, 299).map(lambda n: f"#{n}")

    def act(name: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.builds(lambda n: {"do": name, "id": n}, number)

    return st.one_of(
        st.just({"do": "add_message"}),
        *map(act, ("delete_message", "trash_message", "untrash_message", "spam_message", "unspam_message")),
        st.builds(lambda n: {"do": "label_message", "id": n, "add": ["STARRED"], "remove": ["INBOX"]}, number),
        st.just({"do": "expire_history"}),
        st.just({"do": "sync"}),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(a_step(), max_size=14))
def test_whatever_happens_to_a_mailbox_its_truth_is_what_we_hold(simulator, session_of, steps):
    simulator.control("reset", {})
    account = str(simulator.facts["accounts"][0])
    # Forty ordinary mails: the hard ones, which cost time to read, have their own test.
    simulator.edit(account, {"do": "delete_all_messages"}, {"do": "add_message", "count": 40})
    session, held = session_of(account), Held()
    gone: set[str] = set()
    for step in steps:
        if step["do"] == "sync":
            sync(session, held)
        elif step.get("id") not in gone:
            simulator.edit(account, step)
            gone |= {step["id"]} if step["do"] == "delete_message" else set()
    sync(session, held)
    # A known gap: labels that changed in a time that Google tells no more are seen when the mail changes again.
    check(simulator, account, held, labels={"do": "expire_history"} not in steps)

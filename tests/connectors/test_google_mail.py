"""The stream `messages`, by what its pages lead to."""

from contextlib import suppress

import pytest

from tests.connectors.mailbox import Mailbox, error
from tests.connectors.sessions import NOW, ConnectorSession, Held, scripted
from worker.connectors import google_mail
from worker.connectors.google_batch import read_batch
from worker.errors import CursorExpired, ScopeMissing, Throttled, Transient
from worker.records import Message
from worker.transport.replies import Reply

DAY = 86_400
AT = int(NOW.timestamp())


def session_of(mailbox: Mailbox, *, window_days: int = 0) -> ConnectorSession:
    return ConnectorSession(scripted(mailbox), google_mail.HOSTS, google_mail.BUDGETS, window_days=window_days)


def synced(mailbox: Mailbox) -> tuple[ConnectorSession, Held]:
    session, held = session_of(mailbox), Held()
    held.run(google_mail, session)
    return session, held


def test_first_pass_brings_every_message_newest_first():
    _, held = synced(Mailbox(120))
    assert len(held.records) == 120
    assert [record.key for record in held.pages[0].records][:2] == ["m0119", "m0118"]
    body = held.records["m0007"]
    assert isinstance(body, Message)
    assert (body.subject, body.text, body.labels) == ("m0007", "text of m0007", ("INBOX",))


def test_batch_replies_are_matched_by_their_ids_in_any_order():
    mailbox = Mailbox(30)
    mailbox.shuffle = True
    _, held = synced(mailbox)
    assert all(body.subject == key for key, body in held.records.items())  # type: ignore[attr-defined]


def test_first_pass_spends_googles_units():
    session, _ = synced(Mailbox(120))
    assert session.ports.units["gmail.user"] == 120 * 20 + 5 + 1, "one list and three batches"


def test_message_that_comes_while_the_first_pass_lists_is_found_by_history():
    mailbox = Mailbox(60)
    mailbox.before_list = lambda: mailbox.messages.get("late") or mailbox.add("late", seconds=1)
    session, held = synced(mailbox)
    held.run(google_mail, session)
    assert set(held.records) == mailbox.truth()


def test_history_follows_what_came_went_and_moved():
    mailbox = Mailbox(12)
    session, held = synced(mailbox)
    mailbox.add("new")
    mailbox.delete("m0001")
    mailbox.label("m0002", add=("TRASH",), remove=("INBOX",))
    mailbox.label("m0003", add=("SPAM",))
    mailbox.label("m0003", remove=("SPAM",))
    mailbox.add("brief")
    mailbox.delete("brief")
    mailbox.add("junk", labels=("SPAM",))
    mailbox.label("m0004", add=("Label_7",))
    held.run(google_mail, session)
    assert set(held.records) == mailbox.truth()
    assert held.records["m0004"].labels == ("INBOX", "Label_7")  # type: ignore[attr-defined]


def test_reading_a_mail_costs_no_request_for_it():
    mailbox = Mailbox(3)
    session, held = synced(mailbox)
    mailbox.asked.clear()
    mailbox.label("m0001", remove=("UNREAD",))
    mailbox.label("m0002", add=("STARRED", "CATEGORY_SOCIAL"))
    held.run(google_mail, session)
    assert mailbox.asked == ["history"]


def test_history_cursor_is_the_last_pages_id_and_not_before():
    mailbox = Mailbox(1)
    session, held = synced(mailbox)
    for number in range(9):
        mailbox.add(f"n{number}")
    mailbox.page_size = 4
    held.run(google_mail, session, most_pages=1)
    assert b'"history":"1003"' in (held.cursor or b"")
    held.run(google_mail, session)
    assert f'"history":"{mailbox.now}"'.encode() in (held.cursor or b"")
    assert set(held.records) == mailbox.truth()


def test_expired_history_heals_by_a_pass_that_reads_only_what_is_new():
    mailbox = Mailbox(20)
    session, held = synced(mailbox)
    mailbox.add("new")
    mailbox.delete("m0000")
    mailbox.oldest = mailbox.now + 1
    with pytest.raises(CursorExpired):
        held.run(google_mail, session)
    held.forget_place()
    mailbox.asked.clear()
    held.run(google_mail, session)
    assert set(held.records) == mailbox.truth()
    assert [path for path in mailbox.asked if path.startswith("messages/")] == ["messages/new"]


def test_pass_with_a_window_leaves_older_mail_alone_that_we_hold():
    mailbox = Mailbox()
    for number in range(30):
        mailbox.add(f"d{number:02}", seconds=AT - number * DAY)
    session, held = session_of(mailbox, window_days=20), Held()
    held.run(google_mail, session)
    assert 20 <= len(held.records) <= 21
    held.forget_place()
    held.run(google_mail, session_of_held(mailbox, held, window_days=5))
    assert 20 <= len(held.records) <= 21
    mailbox.delete("d15")
    held.forget_place()
    held.run(google_mail, session_of_held(mailbox, held, window_days=5))
    assert "d15" not in held.records


def session_of_held(mailbox: Mailbox, held: Held, *, window_days: int) -> ConnectorSession:
    session = session_of(mailbox, window_days=window_days)
    session.held = set(held.records)
    return session


@pytest.mark.parametrize("stop_after", range(1, 9))
def test_run_killed_after_any_page_ends_as_the_undisturbed_one(stop_after):
    mailbox = Mailbox(230)
    session, held = session_of(mailbox), Held()
    held.run(google_mail, session, most_pages=stop_after)
    for number in range(130):
        mailbox.add(f"n{number:03}")
        if number % 2:
            mailbox.delete(f"m{number:04}")
    while b'"phase":"list"' in (held.cursor or b""):
        held.run(google_mail, session_of_held(mailbox, held, window_days=0), most_pages=1)
    mailbox.page_size = 30
    for _ in range(12):
        held.run(google_mail, session_of_held(mailbox, held, window_days=0), most_pages=stop_after)
    assert set(held.records) == mailbox.truth()


def test_message_that_vanished_between_list_and_read_is_no_error():
    mailbox = Mailbox(5)
    mailbox.inner["m0002"] = [error(404, "notFound")]
    _, held = synced(mailbox)
    assert set(held.records) == {"m0000", "m0001", "m0003", "m0004"}
    assert not held.refused


@pytest.mark.parametrize("trouble", [error(429, "rateLimitExceeded"), error(500, "backendError"), (503, {})])
def test_message_that_google_would_not_give_is_asked_again_and_never_passed_over(trouble):
    mailbox = Mailbox(80)
    mailbox.inner = {"m0070": [trouble], "m0001": [trouble, trouble]}
    session, held = session_of(mailbox), Held()
    with suppress(Throttled):
        held.run(google_mail, session)
    assert b"m0001" in (held.cursor or b"")
    held.run(google_mail, session)
    assert set(held.records) == mailbox.truth()


def test_batch_of_which_each_is_throttled_waits_with_its_place_kept():
    mailbox = Mailbox(10)
    mailbox.inner = {key: [error(403, "userRateLimitExceeded")] for key in mailbox.messages}
    session, held = session_of(mailbox), Held()
    with pytest.raises(Throttled):
        held.run(google_mail, session)
    held.run(google_mail, session)
    assert set(held.records) == mailbox.truth()


def test_message_at_which_google_fails_for_ever_is_set_aside_at_last():
    mailbox = Mailbox(4)
    mailbox.inner["m0001"] = [error(500, "backendError")] * 50
    session, held = session_of(mailbox), Held()
    for _ in range(10):
        held.run(google_mail, session)
    assert held.refused == {"m0001": "transient"}
    assert [page.not_before for page in held.pages if page.not_before]
    assert set(held.records) == {"m0000", "m0002", "m0003"}
    mailbox.add("new")
    held.run(google_mail, session)
    assert "new" in held.records


def test_malformed_message_spoils_no_other():
    mailbox = Mailbox(5)
    mailbox.inner = {"m0001": [(200, {"id": 7})], "m0002": [(200, {"id": "m0004", "payload": {}})]}
    _, held = synced(mailbox)
    assert held.refused == {"m0001": "bad_record", "m0002": "bad_record"}
    assert set(held.records) == {"m0000", "m0003", "m0004"}


def test_missing_scope_within_a_batch_is_told():
    mailbox = Mailbox(2)
    mailbox.inner["m0001"] = [error(403, "insufficientPermissions")]
    with pytest.raises(ScopeMissing):
        synced(mailbox)


def test_page_token_that_comes_twice_ends_the_run():
    mailbox = Mailbox(1)
    session, held = synced(mailbox)
    mailbox._cut = lambda *_: (200, {"nextPageToken": "same"})  # type: ignore[method-assign]
    with pytest.raises(Transient, match="twice"):
        held.run(google_mail, session)


def test_history_pages_without_history_are_turned():
    mailbox = Mailbox(1)
    session, held = synced(mailbox)
    mailbox.add("new")
    cut = mailbox._cut
    empty = iter([(200, {"nextPageToken": "p0"})])
    mailbox._cut = lambda *given: next(empty, None) or cut(*given)  # type: ignore[method-assign]
    held.run(google_mail, session)
    assert "new" in held.records


@pytest.mark.parametrize("cursor", [b"", b"{}", b"\xff", b'{"fingerprint":"old","phase":"list","history":"1"}'])
def test_cursor_of_another_release_leads_to_a_full_pass(cursor):
    held = Held()
    held.cursor = cursor
    with pytest.raises(CursorExpired):
        held.run(google_mail, session_of(Mailbox(1)))


def test_batch_reply_without_a_boundary_is_asked_again():
    with pytest.raises(Transient):
        read_batch(Reply(200, {"content-type": "text/html"}, b"<html>"), 2)


@pytest.mark.parametrize(
    "body",
    [b"", b"--b", b"--b\r\n\r\n--b--", b"--b\r\nContent-ID: <response-item9>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}\r\n--b--",
     b"--b\r\nContent-ID: response-item0\r\n\r\nHTTP/1.1 200"],
)  # fmt: skip
def test_inner_reply_that_cannot_be_read_counts_as_missing(body):
    assert read_batch(Reply(200, {"content-type": 'multipart/mixed; boundary="b"'}, body), 2) == [None, None]

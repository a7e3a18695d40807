"""The Gmail API as the provider sheet tells it: lists, messages, history, batches, limits, and Google's own types."""

import base64
import email
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from typing import Any
from urllib.parse import quote

import pytest

from simulator.client import ControlRefused, Simulator
from tests.simulator.calls import AUTH, EPOCH, get
from tests.simulator.discovery import Discovery
from tests.simulator.mail_reading import differences, header, leaves, opened, reading
from tests.simulator.official_client import official

GMAIL = "/gmail.googleapis.com/gmail/v1/users/me"
MESSAGES, HISTORY = GMAIL + "/messages", GMAIL + "/history"
READ = [AUTH + "gmail.readonly"]
METHOD = "gmail.users."
HTTP_PART = b"--b\r\nContent-Type: application/http\r\n\r\n"
HARD_CASES_ASKED_FOR = {
    "thai utf-8", "thai tis-620", "thai windows-874", "arabic utf-8", "arabic windows-1256", "arabic iso-8859-6",
    "right-to-left overrides", "unknown charset", "charset lie: ascii, but utf-8", "encoded words adjacent",
    "encoded words broken", "raw utf-8 in headers", "no message-id", "no date", "no from", "date invalid",
    "headers twice", "html only, hostile", "multiparts nested 40 deep", "a mail attached", "300 parts",
    "file names by rfc 2231", "file names like paths", "file name with a right-to-left override", "picture inside",
    "invitation", "very long subject", "500 recipients", "group addresses", "comments in addresses", "empty body",
    "nul in the body", "format=flowed", "quoted-printable broken", "base64 broken", "huge text",
    "header-like lines in the body", "draft without recipients", "sent by the owner",
}  # fmt: skip


@pytest.fixture(scope="module")
def discovery() -> Discovery:
    return Discovery("gmail", "v1")


@pytest.fixture
def token(simulator: Simulator, account: str) -> str:
    return str(simulator.grant(account, READ)["access_token"])


def truth(simulator: Simulator, account: str) -> list[dict[str, Any]]:
    return simulator.truth(account, "message_states")


def newest_first(messages: list[dict[str, Any]]) -> list[str]:
    ordered = sorted(messages, key=lambda one: (one["internal_date_ms"], one["number"]), reverse=True)
    return [one["id"] for one in ordered]


def visible(message: dict[str, Any]) -> bool:
    return not {"SPAM", "TRASH"} & {*message["labels"]}


def ok(simulator: Simulator, path: str, token: str, **query: Any) -> dict[str, Any]:
    status, reply = get(simulator, path, token, **query)
    assert status == 200, reply
    return dict(reply)


def listed(simulator: Simulator, token: str, path: str = MESSAGES, **query: Any) -> list[dict[str, Any]]:
    """All items of a list, page after page."""
    items: list[dict[str, Any]] = []
    place: dict[str, str] = {}
    while True:
        page = ok(simulator, path, token, **query, **place)
        items += page.get(path.rpartition("/")[2], [])
        if "nextPageToken" not in page:
            return items
        place = {"pageToken": page["nextPageToken"]}


def told(simulator: Simulator, token: str, start: str, **query: Any) -> tuple[list[dict[str, Any]], str]:
    """All history records after an id, and the id of the last page."""
    records: list[dict[str, Any]] = []
    place: dict[str, str] = {}
    while True:
        page = ok(simulator, HISTORY, token, startHistoryId=start, **query, **place)
        records += page.get("history", [])
        if "nextPageToken" not in page:
            return records, str(page["historyId"])
        place = {"pageToken": page["nextPageToken"]}


def now_id(simulator: Simulator, token: str) -> str:
    return str(ok(simulator, GMAIL + "/profile", token)["historyId"])


def batch(
    simulator: Simulator, token: str | None, *targets: str, path: str = "/gmail.googleapis.com/batch", extra: str = ""
) -> list[tuple[str, int, Any]]:
    """Calls in one request; the content id, status and decoded body of each answer, in the order they came."""
    parts = "".join(
        f"--b1\r\nContent-Type: application/http\r\nContent-ID: <item{at}>\r\n\r\n"
        f"GET {target} HTTP/1.1\r\n{extra}\r\n\r\n"
        for at, target in enumerate(targets)
    )
    headers = {"content-type": "multipart/mixed; boundary=b1"} | ({"authorization": f"Bearer {token}"} if token else {})
    status, raw = simulator.request("POST", path, parts.encode() + b"--b1--", headers)
    assert status == 200, raw
    pieces = raw.decode().split("--" + raw.decode().split("\r\n", 1)[0].removeprefix("--"))[1:-1]
    answers = []
    for piece in pieces:
        head, inner, body = piece.split("\r\n\r\n", 2)
        name = re.search(r"Content-ID: <response-(.*)>", head)
        answers.append((name[1] if name else "", int(inner.split()[1]), json.loads(body)))
    return answers


def failure(reply: dict[str, Any]) -> tuple[int, str, str]:
    error = reply["error"]
    return error["code"], error["errors"][0]["reason"], error["status"]


def test_official_client_walks_every_message_and_each_page_fits_the_document(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    messages = official("gmail", "v1", simulator, token).users().messages()
    for everywhere in (False, True):
        request = messages.list(userId="me", maxResults=30, includeSpamTrash=everywhere)
        ids = []
        while request is not None:
            page = request.execute()
            discovery.check_reply(METHOD + "messages.list", page)
            ids += [one["id"] for one in page["messages"]]
            request = messages.list_next(request, page)
        assert ids == newest_first([one for one in truth(simulator, account) if everywhere or visible(one)])


@pytest.mark.parametrize("texts", ["utf8", "as_sent"])
def test_official_client_reads_every_message_in_batches_as_it_really_is(
    simulator: Simulator, account: str, token: str, discovery: Discovery, texts: str
) -> None:
    simulator.control("services", {"gmail": {"text_bodies": texts}})
    google = official("gmail", "v1", simulator, token)
    messages = simulator.truth(account, "messages")
    got: dict[str, Any] = {}
    for start in range(0, len(messages), 50):
        calls = google.new_batch_http_request(callback=lambda key, reply, error: got.update({key: error or reply}))
        for one in messages[start : start + 50]:
            calls.add(google.users().messages().get(userId="me", id=one["id"]), request_id=one["id"])
        calls.execute()
    for one in messages:
        reply = got[one["id"]]
        discovery.check_reply(METHOD + "messages.get", reply)
        known = (reply["threadId"], reply.get("labelIds", []), reply["historyId"], reply["internalDate"])
        assert known == (one["thread_id"], one["labels"], one["history_id"], str(one["internal_date_ms"]))
        assert differences(reading(reply, charsets=texts == "as_sent"), one) == {}, one["hard_case"]


def test_every_hard_case_stands_in_the_mailbox_and_is_listed(simulator: Simulator, account: str, token: str) -> None:
    cases = simulator.truth(account, "mailbox")[0]["hard_cases"]
    assert len({*cases}) == len(cases)
    assert {*cases} >= HARD_CASES_ASKED_FOR
    messages = truth(simulator, account)
    assert [one["hard_case"] for one in messages[: len(cases)]] == cases
    ids = {one["id"] for one in listed(simulator, token, includeSpamTrash="true")}
    assert ids == {one["id"] for one in messages}


def test_every_hard_case_stands_in_every_format(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    for one in truth(simulator, account):
        if one["hard_case"] is None:
            continue
        answers = batch(simulator, token, *(f"/gmail/v1/users/me/messages/{one['id']}?format={form}"
                                            for form in ("minimal", "metadata", "raw")))  # fmt: skip
        for _, status, reply in answers:
            assert status == 200
            discovery.check_named("Message", reply)


def test_a_raw_message_reads_the_same_in_another_reader(simulator: Simulator, account: str, token: str) -> None:
    ordinary = [one for one in simulator.truth(account, "messages") if one["hard_case"] is None]
    assert len(ordinary) > 90
    for one in ordinary:
        raw = opened(ok(simulator, f"{MESSAGES}/{one['id']}", token, format="raw")["raw"])
        mail = email.message_from_bytes(raw, policy=default)
        assert isinstance(mail, EmailMessage)
        assert mail["Subject"] == one["subject"]
        # Python puts a blank between the encoded words of a name, where RFC 2047 wants none.
        assert mail["From"].addresses[0].display_name.replace(" ", "") == one["sender"][0]["name"].replace(" ", "")
        assert [address.addr_spec for address in mail["To"].addresses] == [to["address"] for to in one["to"]]
        for kind, name in (("plain", "text"), ("html", "html")):
            body = mail.get_body((kind,))
            read = body.get_content().replace("\r\n", "\n").rstrip("\n") if body else ""
            assert read == one[name]
        files = [(part.get_filename(), len(part.get_content())) for part in mail.iter_attachments()]
        assert [name for name, _ in files] == [file["filename"] for file in one["files"]]


def test_a_format_gives_what_it_says(simulator: Simulator, account: str, token: str) -> None:
    path = f"{MESSAGES}/{truth(simulator, account)[0]['id']}"
    always = {"id", "threadId", "labelIds", "snippet", "sizeEstimate", "internalDate", "historyId"}
    assert {*ok(simulator, path, token, format="minimal")} == always
    assert {*ok(simulator, path, token, format="raw")} == always | {"raw"}
    assert {*ok(simulator, path, token)} == always | {"payload"}
    shown = ok(simulator, path, token, format="metadata")["payload"]
    assert {*shown} == {"partId", "mimeType", "headers"}
    some = ok(simulator, path, token, format="metadata", metadataHeaders=["subject", "FROM"])["payload"]
    assert {one["name"] for one in some["headers"]} == {"Subject", "From"}
    full = ok(simulator, path, token, format="full", metadataHeaders="subject")["payload"]
    assert len(full["headers"]) == len(shown["headers"])


def test_base64_is_unpadded_and_headers_stay_encoded_unless_switches_say_otherwise(
    simulator: Simulator, account: str, token: str
) -> None:
    path = f"{MESSAGES}/{truth(simulator, account)[0]['id']}"
    plain = ok(simulator, path, token)["payload"]
    assert not plain["body"]["data"].endswith("=")
    assert header(plain, "Subject").startswith("=?")
    simulator.control("services", {"gmail": {"padded_base64": True, "header_words": "decoded"}})
    other = ok(simulator, path, token)["payload"]
    assert len(other["body"]["data"]) % 4 == 0
    assert header(other, "Subject") == "ใบเสนอราคาสำหรับเดือนหน้า"


def test_a_file_is_fetched_by_an_id_that_changes_and_belongs_to_one_message(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    by_case = {one["hard_case"]: one["id"] for one in truth(simulator, account)}
    path = f"{MESSAGES}/{by_case['picture inside']}"
    first, second = (
        next(part["body"] for part in leaves(ok(simulator, path, token)["payload"]) if part["filename"])
        for _ in range(2)
    )
    assert first["attachmentId"] != second["attachmentId"]
    assert "data" not in first
    for body in (first, second):
        reply = ok(simulator, f"{path}/attachments/{body['attachmentId']}", token)
        discovery.check_reply(METHOD + "messages.attachments.get", reply)
        assert len(opened(reply["data"])) == reply["size"] == body["size"]
        assert opened(reply["data"]).startswith(b"\x89PNG")
    elsewhere = f"{MESSAGES}/{by_case['invitation']}/attachments/"
    for place, name in ((elsewhere, first["attachmentId"]), (path + "/attachments/", "ANGjmade-up")):
        assert get(simulator, place + name, token)[0] == 400


def test_a_calendar_is_inline_an_unnamed_file_is_not_and_an_attached_mail_is_as_the_switch_says(
    simulator: Simulator, account: str, token: str
) -> None:
    by_case = {one["hard_case"]: one["id"] for one in truth(simulator, account)}

    def payload(case: str) -> Any:
        return ok(simulator, f"{MESSAGES}/{by_case[case]}", token)["payload"]

    calendar = next(part for part in leaves(payload("invitation")) if part["mimeType"] == "text/calendar")
    assert b"BEGIN:VCALENDAR" in opened(calendar["body"]["data"])
    unnamed = list(leaves(payload("files without names")))
    assert [("attachmentId" in part["body"], part["filename"]) for part in unnamed[1:]] == [(True, "")] * 2
    for switch, has_file, has_parts in (("both", True, True), ("parts", False, True), ("file", True, False)):
        simulator.control("services", {"gmail": {"nested_mails": switch}})
        attached = payload("a mail attached")["parts"][1]
        assert ("attachmentId" in attached["body"], "parts" in attached) == (has_file, has_parts)


def test_long_texts_are_sent_apart_when_the_switch_says_so(simulator: Simulator, account: str, token: str) -> None:
    simulator.control("services", {"gmail": {"external_above_bytes": 10_000}})
    path = f"{MESSAGES}/{next(one['id'] for one in truth(simulator, account) if one['hard_case'] == 'huge text')}"
    body = ok(simulator, path, token)["payload"]["body"]
    assert "data" not in body
    data = ok(simulator, f"{path}/attachments/{body['attachmentId']}", token)["data"]
    assert opened(data).decode().startswith("Line 0 of a very long report")


def test_profile_and_labels_fit_the_document_and_count(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    google = official("gmail", "v1", simulator, token).users()
    messages = truth(simulator, account)
    profile = google.getProfile(userId="me").execute()
    discovery.check_reply(METHOD + "getProfile", profile)
    assert profile["emailAddress"] == account
    assert profile["messagesTotal"] == len(messages) == simulator.accounts()[0]["counts"]["messages"]
    assert profile["threadsTotal"] == len({one["thread_id"] for one in messages}) < len(messages)
    labels = google.labels().list(userId=account).execute()
    discovery.check_reply(METHOD + "labels.list", labels)
    assert {"INBOX", "SENT", "CATEGORY_PROMOTIONS", "Label_1"} <= {label["id"] for label in labels["labels"]}
    for label in labels["labels"]:
        one = google.labels().get(userId="me", id=label["id"]).execute()
        discovery.check_reply(METHOD + "labels.get", one)
        assert one["messagesTotal"] == sum(label["id"] in message["labels"] for message in messages)
    assert get(simulator, GMAIL + "/labels/Label_99", token)[0] == 404


def test_threads_hold_their_messages_the_oldest_first(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    google = official("gmail", "v1", simulator, token).users().threads()
    page = google.list(userId="me", maxResults=500).execute()
    discovery.check_reply(METHOD + "threads.list", page)
    messages = [one for one in truth(simulator, account) if visible(one)]
    assert {one["id"] for one in page["threads"]} == {one["thread_id"] for one in messages}
    assert len(page["threads"]) == len({one["id"] for one in page["threads"]})
    long = next(one["thread_id"] for one in messages if one["number"] == 158)
    thread = google.get(userId="me", id=long).execute()
    discovery.check_reply(METHOD + "threads.get", thread)
    ids = [one["id"] for one in messages if one["thread_id"] == long]
    assert [one["id"] for one in thread["messages"]] == ids
    assert len(ids) == 3
    first, second = (one["payload"] for one in thread["messages"][:2])
    assert header(first, "Message-ID") == header(second, "In-Reply-To")
    assert get(simulator, GMAIL + "/threads/18aaaaaaaaaaaaaa", token)[0] == 404
    assert get(simulator, GMAIL + f"/threads/{long}", token, format="raw")[0] == 400


def test_every_parameter_of_the_document_is_known(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    one = truth(simulator, account)[0]["id"]
    paths = {
        "messages.list": MESSAGES, "messages.get": f"{MESSAGES}/{one}", "threads.list": GMAIL + "/threads",
        "threads.get": f"{GMAIL}/threads/{one}", "history.list": HISTORY, "labels.list": GMAIL + "/labels",
        "labels.get": GMAIL + "/labels/INBOX", "getProfile": GMAIL + "/profile",
    }  # fmt: skip
    for method, path in paths.items():
        for name in discovery.query_parameters(METHOD + method):
            _, reply = get(simulator, path, token, **{name: ""})
            assert "Unknown name" not in str(reply), (method, name)


@pytest.mark.parametrize(
    ("path", "query", "status", "word"),
    [
        (MESSAGES, {"pageSize": 3}, 400, "Unknown name"),
        (MESSAGES, {"maxResults": "many"}, 400, "TYPE_INT32"),
        (MESSAGES, {"maxResults": -1}, 400, "maxResults"),
        (MESSAGES, {"includeSpamTrash": "yes"}, 400, "TYPE_BOOL"),
        (MESSAGES, {"pageToken": "made-up"}, 400, "pageToken"),
        (MESSAGES, {"q": "after:yesterday"}, 400, "date"),
        (MESSAGES, {"q": "newer_than:soon"}, 400, "span"),
        (MESSAGES, {"labelIds": "Label_99"}, 404, "not found"),
        (MESSAGES + "/zz", {}, 400, "Invalid id"),
        (MESSAGES + "/18aaaaaaaaaaaaaa", {}, 404, "not found"),
        (MESSAGES + "/18aaaaaaaaaaaaaa", {"format": "FULL"}, 400, "TYPE_ENUM"),
        (HISTORY, {}, 400, "startHistoryId"),
        (HISTORY, {"startHistoryId": "newest"}, 400, "TYPE_UINT64"),
        (HISTORY, {"startHistoryId": "1", "historyTypes": "messagesAdded"}, 400, "TYPE_ENUM"),
        (HISTORY, {"startHistoryId": "1"}, 404, "not found"),
        (HISTORY, {"startHistoryId": "99999999999"}, 404, "not found"),
        (GMAIL + "/drafts", {}, 404, "not found"),
        (GMAIL.replace("/me", "/somebody@accounts.example") + "/messages", {}, 403, "Delegation"),
    ],
)
def test_a_request_out_of_order_is_refused_and_the_reply_names_what(
    simulator: Simulator, token: str, path: str, query: dict[str, str], status: int, word: str
) -> None:
    got, reply = get(simulator, path, token, **query)
    assert (got, reply["error"]["code"]) == (status, status)
    assert word in reply["error"]["message"]
    assert reply["error"]["errors"][0]["message"] == reply["error"]["message"]


def test_a_page_of_more_than_500_is_cut_or_refused(simulator: Simulator, account: str, token: str) -> None:
    simulator.edit(account, {"do": "add_message", "count": 600})
    assert len(ok(simulator, MESSAGES, token, maxResults=1000)["messages"]) == 500
    assert len(ok(simulator, MESSAGES, token)["messages"]) == 100
    simulator.control("services", {"gmail": {"clamp_page_size": False}})
    assert get(simulator, MESSAGES, token, maxResults=501)[0] == 400


def test_an_empty_list_has_no_messages(simulator: Simulator, account: str, token: str) -> None:
    simulator.edit(account, {"do": "delete_all_messages"})
    assert ok(simulator, MESSAGES, token) == {"resultSizeEstimate": 0}
    assert "messagesTotal" not in ok(simulator, GMAIL + "/profile", token)


def test_mail_that_comes_in_while_a_client_pages_moves_nothing(simulator: Simulator, account: str, token: str) -> None:
    before = newest_first([one for one in truth(simulator, account) if visible(one)])
    first = ok(simulator, MESSAGES, token, maxResults=50)
    simulator.edit(account, {"do": "add_message", "count": 3}, {"do": "delete_message", "id": before[49]})
    second = ok(simulator, MESSAGES, token, maxResults=50, pageToken=first["nextPageToken"])
    assert [one["id"] for one in (*first["messages"], *second["messages"])] == before[:100]


def test_labels_are_joined_by_and_and_a_label_that_is_gone_is_as_the_switch_says(
    simulator: Simulator, account: str, token: str
) -> None:
    wanted = {one["id"] for one in truth(simulator, account) if {"INBOX", "UNREAD"} <= {*one["labels"]}}
    got = {one["id"] for one in listed(simulator, token, labelIds=["INBOX", "UNREAD"])}
    assert got == wanted != set()
    assert {one["id"] for one in listed(simulator, token, labelIds="TRASH")} == {
        one["id"] for one in truth(simulator, account) if "TRASH" in one["labels"]
    }
    simulator.edit(account, {"do": "delete_label", "label": "Customers"})
    assert get(simulator, MESSAGES, token, labelIds="Label_1")[0] == 404
    assert get(simulator, HISTORY, token, labelId="Label_1", startHistoryId="1")[0] == 404
    simulator.control("services", {"gmail": {"unknown_label_status": 400}})
    status, reply = get(simulator, MESSAGES, token, labelIds="Label_1")
    assert (status, reply["error"]["message"]) == (400, "Invalid label: Label_1")


def _says(message: dict[str, Any], text: str) -> bool:
    return text in (message["subject"] or "").lower()


RECENT = datetime.fromtimestamp(EPOCH - 20 * 86_400, UTC)
CUT = RECENT.replace(hour=0, minute=0, second=0).timestamp() * 1000


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (f"after:{RECENT:%Y/%m/%d}", lambda one: visible(one) and one["internal_date_ms"] >= CUT),
        (f"before:{RECENT:%Y-%m-%d}", lambda one: visible(one) and one["internal_date_ms"] < CUT),
        (f"after:{EPOCH - 86_400} -in:sent", lambda one: visible(one) and "SENT" not in one["labels"]
         and one["internal_date_ms"] >= (EPOCH - 86_400) * 1000),
        ("in:inbox is:unread", lambda one: visible(one) and {"INBOX", "UNREAD"} <= {*one["labels"]}),
        ("in:sent", lambda one: visible(one) and "SENT" in one["labels"]),
        ("in:trash", lambda one: "TRASH" in one["labels"]),
        ("in:anywhere", lambda _: True),
        ("in:anywhere -in:spam -in:trash", visible),
        ("-in:chats -category:promotions", lambda one: visible(one) and "CATEGORY_PROMOTIONS" not in one["labels"]),
        ("label:suppliers-asia", lambda one: visible(one) and "Label_2" in one["labels"]),
        ("label:ลูกค้า OR is:starred", lambda one: visible(one) and bool({"Label_3", "STARRED"} & {*one["labels"]})),
        ("{in:drafts in:sent}", lambda one: visible(one) and bool({"DRAFT", "SENT"} & {*one["labels"]})),
        ("-(in:inbox OR in:sent)", lambda one: visible(one) and not {"INBOX", "SENT"} & {*one["labels"]}),
        ("is:read", lambda one: visible(one) and "UNREAD" not in one["labels"]),
        ("subject:invoice", lambda one: visible(one) and _says(one, "invoice")),
        ('subject:"your visit"', lambda one: visible(one) and _says(one, "your visit")),
        ("has:attachment", lambda one: visible(one) and bool(one["files"])),
        ("no-such-word-anywhere", lambda _: False),
        ("label:nobody-has-this", lambda _: False),
    ],
)  # fmt: skip
def test_a_query_finds_what_it_describes(
    simulator: Simulator, account: str, token: str, text: str, fits: Callable[[dict[str, Any]], bool]
) -> None:
    messages = simulator.truth(account, "messages")
    assert [one["id"] for one in listed(simulator, token, q=text, maxResults=7)] == newest_first(
        [one for one in messages if fits(one)]
    )


def test_a_query_finds_one_message_by_its_id_sender_and_age(simulator: Simulator, account: str, token: str) -> None:
    one = next(one for one in simulator.truth(account, "messages") if one["number"] == 150)
    found = listed(simulator, token, q=f"rfc822msgid:<{one['message_id']}>")
    assert [each["id"] for each in found] == [one["id"]]
    assert one["id"] in {each["id"] for each in listed(simulator, token, q=f"from:{one['sender'][0]['address']}")}
    new = simulator.edit(account, {"do": "add_message", "count": 2})[0]["ids"]
    assert [each["id"] for each in listed(simulator, token, q="newer_than:1d")] == new[::-1]
    assert not {*new} & {each["id"] for each in listed(simulator, token, q="older_than:1d")}


def test_history_tells_each_change_in_order_with_singular_types_and_plural_fields(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    start = now_id(simulator, token)
    new = simulator.edit(account, {"do": "add_message"})[0]["id"]
    read, trashed, gone = (truth(simulator, account)[number]["id"] for number in (0, 1, 2))
    simulator.edit(
        account,
        {"do": "label_message", "id": read, "remove": ["UNREAD"], "add": ["STARRED"]},
        {"do": "trash_message", "id": trashed},
        {"do": "delete_message", "id": gone},
    )
    google = official("gmail", "v1", simulator, token).users().history()
    page = google.list(userId="me", startHistoryId=start).execute()
    discovery.check_reply(METHOD + "history.list", page)
    added, labelled, moved, deleted = page["history"]
    assert int(start) < int(added["id"]) < int(labelled["id"]) < int(moved["id"]) < int(deleted["id"])
    assert page["historyId"] == deleted["id"] == now_id(simulator, token)
    assert added["messagesAdded"][0]["message"]["id"] == new
    assert {*added} == {"id", "messages", "messagesAdded"}
    assert labelled["labelsAdded"][0]["labelIds"] == ["STARRED"]
    assert labelled["labelsRemoved"][0]["labelIds"] == ["UNREAD"]
    assert labelled["labelsRemoved"][0]["message"]["id"] == read
    assert (moved["labelsAdded"][0]["labelIds"], moved["labelsRemoved"][0]["labelIds"]) == (["TRASH"], ["INBOX"])
    assert "messagesDeleted" not in moved
    assert deleted["messagesDeleted"][0]["message"]["id"] == gone
    some = google.list(userId="me", startHistoryId=start, historyTypes=["messageAdded", "labelRemoved"]).execute()
    assert [{*record} - {"id", "messages"} for record in some["history"]] == [
        {"messagesAdded"}, {"labelsRemoved"}, {"labelsRemoved"},
    ]  # fmt: skip
    assert [record["id"] for record in told(simulator, token, start, labelId="TRASH")[0]] == [moved["id"]]
    assert told(simulator, token, page["historyId"]) == ([], page["historyId"])
    assert get(simulator, f"{MESSAGES}/{gone}", token)[0] == 404
    one = ok(simulator, f"{MESSAGES}/{trashed}", token, format="minimal")
    assert one["historyId"] == moved["id"]


def test_an_id_is_forgotten_after_a_week_of_what_came_after_it_or_at_once_when_the_door_says_so(
    simulator: Simulator, account: str, token: str
) -> None:
    old = now_id(simulator, token)
    simulator.edit(account, {"do": "add_message"})
    new = now_id(simulator, token)
    simulator.advance(6.9 * 86_400)
    token = simulator.grant(account, READ)["access_token"]
    assert len(told(simulator, token, old)[0]) == 1
    simulator.advance(0.2 * 86_400)
    token = simulator.grant(account, READ)["access_token"]
    status, reply = get(simulator, HISTORY, token, startHistoryId=old)
    assert (status, failure(reply)) == (404, (404, "notFound", "NOT_FOUND"))
    assert told(simulator, token, new) == ([], new)
    simulator.edit(account, {"do": "expire_history"})
    assert get(simulator, HISTORY, token, startHistoryId=new)[0] == 404
    newest = now_id(simulator, token)
    simulator.edit(account, {"do": "add_message"})
    assert len(told(simulator, token, newest)[0]) == 1


def test_history_dies_within_hours_when_the_switch_says_so(simulator: Simulator, account: str, token: str) -> None:
    simulator.control("services", {"gmail": {"history_days": 0.1}})
    start = now_id(simulator, token)
    simulator.edit(account, {"do": "add_message"})
    assert len(told(simulator, token, start)[0]) == 1
    simulator.advance(3 * 3600)
    token = simulator.grant(account, READ)["access_token"]
    assert get(simulator, HISTORY, token, startHistoryId=start)[0] == 404


def test_the_past_that_a_mailbox_began_with_is_history_too(simulator: Simulator, account: str, token: str) -> None:
    simulator.control("services", {"gmail": {"history_days": 10_000}})
    messages = sorted(truth(simulator, account), key=lambda one: int(one["history_id"]))
    records, newest = told(simulator, token, messages[-30]["history_id"], maxResults=9)
    assert [record["messagesAdded"][0]["message"]["id"] for record in records] == [one["id"] for one in messages[-29:]]
    assert newest == messages[-1]["history_id"]


def test_pages_may_be_empty_thin_overlapping_or_told_twice(simulator: Simulator, account: str, token: str) -> None:
    start = now_id(simulator, token)
    ids = simulator.edit(account, {"do": "add_message", "count": 10})[0]["ids"]
    simulator.edit(account, {"do": "label_message", "ids": ids, "add": ["STARRED"]}, {"do": "add_message"})

    def added(**query: Any) -> list[str]:
        records, _ = told(simulator, token, start, historyTypes="messageAdded", **query)
        return [record["id"] for record in records]

    plain = added()
    assert len(plain) == 11
    for switch in ({"empty_history_pages": 3}, {"sparse_history_pages": True}):
        simulator.control("services", {"gmail": switch})
        assert added(maxResults=4) == plain
    page = ok(simulator, HISTORY, token, startHistoryId=start)
    assert {*page} == {"nextPageToken", "historyId"}
    simulator.control("services", {"gmail": {"empty_history_pages": 0, "sparse_history_pages": False}})
    simulator.control("services", {"gmail": {"history_overlap": 2}})
    assert added(maxResults=4) == [*plain[:4], *plain[2:8], *plain[6:]]
    simulator.control("services", {"gmail": {"history_overlap": 0, "history_repeats": True, "history_labels": False}})
    assert added() == [one for one in plain for _ in range(2)]
    assert "labelIds" not in told(simulator, token, start)[0][0]["messagesAdded"][0]["message"]


def chance_edit(chance: random.Random, alive: list[str]) -> dict[str, Any]:
    one = chance.choice(alive)
    return chance.choice(
        [{"do": "add_message", "count": chance.randint(1, 3)}, {"do": "delete_message", "id": one},
         {"do": "trash_message", "id": one}, {"do": "untrash_message", "id": one}, {"do": "spam_message", "id": one},
         {"do": "unspam_message", "id": one}, {"do": "touch_messages", "percent": 3},
         {"do": "label_message", "id": one, "add": ["Label_2"], "remove": ["UNREAD", "INBOX"]}]
    )  # fmt: skip


def follow(mirror: dict[str, set[str]], records: list[dict[str, Any]]) -> None:
    """What a client makes of history: messages by id and their labels."""
    for record in records:
        for entry in record.get("messagesAdded", []):
            mirror.setdefault(entry["message"]["id"], set(entry["message"].get("labelIds", [])))
        for entry in record.get("labelsAdded", []):
            mirror.setdefault(entry["message"]["id"], set()).update(entry["labelIds"])
        for entry in record.get("labelsRemoved", []):
            mirror.setdefault(entry["message"]["id"], set()).difference_update(entry["labelIds"])
        for entry in record.get("messagesDeleted", []):
            mirror.pop(entry["message"]["id"], None)


@pytest.mark.parametrize("seed", range(6))
def test_a_client_that_follows_history_holds_what_the_world_holds(
    simulator: Simulator, account: str, token: str, seed: int
) -> None:
    chance = random.Random(seed)
    simulator.control("services", {"gmail": {"empty_history_pages": chance.randint(0, 2)}})
    start = now_id(simulator, token)
    ids = [one["id"] for one in listed(simulator, token, includeSpamTrash="true", maxResults=500)]
    simulator.edit(account, *(chance_edit(chance, ids) for _ in range(5)))
    mirror = {
        one["id"]: {*reply.get("labelIds", [])}
        for one in truth(simulator, account)
        if (reply := ok(simulator, f"{MESSAGES}/{one['id']}", token, format="minimal"))
    }
    for _ in range(5):
        simulator.edit(account, *(chance_edit(chance, sorted(mirror)) for _ in range(10)))
        records, start = told(simulator, token, start, maxResults=chance.choice([1, 5, 500]))
        follow(mirror, records)
        assert mirror == {one["id"]: {*one["labels"]} for one in truth(simulator, account)}


def test_a_vanished_message_is_listed_and_cannot_be_read(simulator: Simulator, account: str, token: str) -> None:
    one = simulator.edit(account, {"do": "vanish_message", "id": "#150"})[0]["ids"][0]
    assert one in {each["id"] for each in listed(simulator, token, includeSpamTrash="true")}
    assert get(simulator, f"{MESSAGES}/{one}", token)[0] == 404
    assert truth(simulator, account)[150]["vanished"] is True
    simulator.edit(account, {"do": "vanish_message", "id": one, "back": True})
    assert get(simulator, f"{MESSAGES}/{one}", token)[0] == 200


def test_the_metadata_scope_gives_headers_only(simulator: Simulator, account: str) -> None:
    scope = AUTH + "gmail.metadata"
    narrow = simulator.grant(account, [scope])["access_token"]
    path = f"{MESSAGES}/{truth(simulator, account)[0]['id']}"
    assert get(simulator, MESSAGES, narrow, labelIds="INBOX")[0] == 200
    assert (
        get(simulator, path, narrow, format="metadata")[0] == get(simulator, path, narrow, format="minimal")[0] == 200
    )
    for place, query in (
        (MESSAGES, {"q": "in:inbox"}),
        (path, {}),
        (path, {"format": "full"}),
        (path, {"format": "raw"}),
    ):
        status, reply = get(simulator, place, narrow, **query)
        assert (status, failure(reply)) == (403, (403, "forbidden", "PERMISSION_DENIED"))
        assert "Metadata scope" in reply["error"]["message"]
    assert get(simulator, path + "/attachments/ANGj", narrow)[0] == 403
    both = simulator.grant(account, [scope, *READ])["access_token"]
    assert get(simulator, path, both)[0] == 200
    simulator.control("services", {"gmail": {"metadata_scope_wins": True}})
    assert get(simulator, path, both)[0] == 403


def test_no_token_no_scope_and_no_gmail_are_told_apart(simulator: Simulator, account: str, token: str) -> None:
    assert failure(get(simulator, MESSAGES)[1]) == (401, "authError", "UNAUTHENTICATED")
    other = simulator.grant(account, [AUTH + "contacts.readonly"])["access_token"]
    status, reply = get(simulator, MESSAGES, other)
    assert (status, reply["error"]["errors"][0]["reason"]) == (403, "insufficientPermissions")
    assert reply["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    simulator.control("services", {"gmail": {"without_gmail": [account]}})
    assert failure(get(simulator, MESSAGES, token)[1]) == (400, "failedPrecondition", "FAILED_PRECONDITION")
    simulator.control("oauth", {"revoke_account": account})
    assert get(simulator, MESSAGES, token)[0] == 401


def test_each_method_costs_what_google_asks(simulator: Simulator, account: str, token: str) -> None:
    one = truth(simulator, account)[0]["id"]
    start = now_id(simulator, token)
    paths = {
        GMAIL + "/profile": 1, GMAIL + "/labels": 1, GMAIL + "/labels/INBOX": 1, MESSAGES: 5, GMAIL + "/threads": 10,
        f"{MESSAGES}/{one}": 20, f"{GMAIL}/threads/{one}": 40, f"{HISTORY}?startHistoryId={start}": 2,
        f"{MESSAGES}/{one}/attachments/none": 20,
    }  # fmt: skip
    for path, units in paths.items():
        simulator.request("GET", path, headers={"authorization": f"Bearer {token}"})
        assert simulator.requests()[-1]["quota_units"] == {"gmail.user": units, "gmail.project": units}, path
    simulator.control("services", {"gmail": {"old_prices": True}})
    ok(simulator, f"{MESSAGES}/{one}", token)
    assert simulator.requests()[-1]["quota_units"]["gmail.user"] == 5


def test_a_full_window_is_a_403_for_the_user_and_a_429_for_the_project(
    simulator: Simulator, account: str, token: str
) -> None:
    path = f"{MESSAGES}/{truth(simulator, account)[0]['id']}"
    simulator.control("quota", {"scale": 1.0, "limits": {"gmail.user": 40}})
    assert [get(simulator, path, token)[0] for _ in range(3)] == [200, 200, 403]
    status, reply = get(simulator, path, token)
    assert failure(reply) == (403, "rateLimitExceeded", "PERMISSION_DENIED")
    assert reply["error"]["errors"][0]["domain"] == "usageLimits"
    assert "Queries per minute per user" in reply["error"]["message"]
    simulator.control("services", {"gmail": {"user_limit_reason": "userRateLimitExceeded"}})
    assert failure(get(simulator, path, token)[1])[1] == "userRateLimitExceeded"
    simulator.control("services", {"gmail": {"user_limit_status": 429}})
    assert failure(get(simulator, path, token)[1])[::2] == (429, "RESOURCE_EXHAUSTED")
    simulator.advance(61)
    assert get(simulator, path, token)[0] == 200
    simulator.control("quota", {"limits": {"gmail.user": 6000, "gmail.project": 30}})
    status, reply = get(simulator, path, token)
    assert (status, failure(reply)) == (429, (429, "rateLimitExceeded", "RESOURCE_EXHAUSTED"))


@pytest.mark.parametrize(
    "path",
    ["/gmail.googleapis.com/batch", "/gmail.googleapis.com/batch/gmail/v1", "/www.googleapis.com/batch/gmail/v1"],
)
def test_a_batch_answers_each_call_under_its_id_and_counts_each(
    simulator: Simulator, account: str, token: str, path: str
) -> None:
    ids = [one["id"] for one in truth(simulator, account)[:3]]
    targets = [f"/gmail/v1/users/me/messages/{one}?format=minimal" for one in ids]
    answers = batch(simulator, token, *targets, "/gmail/v1/users/me/messages/18aaaaaaaaaaaaaa", path=path)
    assert [name for name, _, _ in answers] == ["item0", "item1", "item2", "item3"]
    assert [status for _, status, _ in answers] == [200, 200, 200, 404]
    assert [reply["id"] for _, _, reply in answers[:3]] == ids
    entry = simulator.requests()[-1]
    assert [one["quota_units"]["gmail.user"] for one in entry["inner"]] == [20] * 4
    assert {one["account"] for one in entry["inner"]} == {account}
    assert entry["status"] == 200


def test_inner_calls_fail_by_themselves(simulator: Simulator, account: str, token: str) -> None:
    target = f"/gmail/v1/users/me/messages/{truth(simulator, account)[0]['id']}"
    simulator.fault({"status": 503, "retry_after": 3}, path="/messages/", nth=2)
    simulator.control("quota", {"scale": 1.0, "limits": {"gmail.user": 40}})
    answers = batch(simulator, token, target, target, target, target, "/v1/people/me?personFields=names", "/batch")
    assert [status for _, status, _ in answers] == [200, 503, 200, 403, 404, 404]
    assert failure(answers[3][2])[1] == "rateLimitExceeded"
    assert {status for _, status, _ in batch(simulator, None, target, target)} == {401}
    simulator.control("quota", {"scale": 100})
    assert batch(simulator, None, target, extra=f"Authorization: Bearer {token}")[0][1] == 200


def test_a_batch_may_be_answered_in_another_order_or_find_calls_too_many(
    simulator: Simulator, account: str, token: str
) -> None:
    targets = [f"/gmail/v1/users/me/messages/{one['id']}" for one in truth(simulator, account)[:4]]
    simulator.control("services", {"gmail": {"batch_order": "reversed"}})
    assert [name for name, _, _ in batch(simulator, token, *targets)] == ["item3", "item2", "item1", "item0"]
    simulator.control("services", {"gmail": {"batch_order": "kept", "batch_429_above": 3}})
    answers = batch(simulator, token, *targets)
    assert [status for _, status, _ in answers] == [200, 200, 200, 429]
    assert "concurrent" in answers[3][2]["error"]["message"]
    simulator.control("services", {"gmail": {"batch_429_above": 0, "batch_429_every": 2}})
    assert [status for _, status, _ in batch(simulator, token, *targets)] == [200, 429, 200, 429]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/mixed", b"--b\r\n\r\n--b--"),
        ("multipart/mixed; boundary=b", b""),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\nGET /gmail HTTP/1.1\r\n\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: application/http\r\n\r\nnonsense\r\n\r\n--b--"),
        (
            "multipart/mixed; boundary=b",
            (HTTP_PART + b"GET /x HTTP/1.1\r\n") * 101 + b"--b--",
        ),
    ],
)
def test_a_batch_that_cannot_be_read_or_is_too_large_is_a_400(
    simulator: Simulator, token: str, kind: str, body: bytes
) -> None:
    headers = {"authorization": f"Bearer {token}", "content-type": kind}
    status, raw = simulator.request("POST", "/gmail.googleapis.com/batch", body, headers)
    assert (status, json.loads(raw)["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_labels_are_changed_by_whoever_may_write(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    start = now_id(simulator, token)
    one = truth(simulator, account)[0]["id"]
    writer = simulator.grant(account, [AUTH + "gmail.modify"])["access_token"]
    messages = official("gmail", "v1", simulator, writer).users().messages()
    asked = {"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}
    reply = messages.modify(userId="me", id=one, body=asked).execute()
    discovery.check_reply(METHOD + "messages.modify", reply)
    assert "STARRED" in reply["labelIds"]
    assert len(told(simulator, token, start)[0]) == 1
    headers = {"authorization": f"Bearer {token}"}
    assert simulator.request("POST", f"{MESSAGES}/{one}/modify", b"{}", headers)[0] == 403
    for body in (b'{"addLabelIds":["Label_99"]}', b'{"addLabelIds":["SENT"]}', b'{"addLabels":[]}', b"{"):
        headers = {"authorization": f"Bearer {writer}"}
        assert simulator.request("POST", f"{MESSAGES}/{one}/modify", body, headers)[0] == 400


def test_a_watch_ends_after_a_week_and_allows_one_topic(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    users = official("gmail", "v1", simulator, token).users()
    reply = users.watch(userId="me", body={"topicName": "projects/p/topics/t", "labelIds": ["INBOX"]}).execute()
    discovery.check_reply(METHOD + "watch", reply)
    assert reply["historyId"] == now_id(simulator, token)
    assert int(reply["expiration"]) / 1000 == pytest.approx(simulator.control("clock")["now"] + 7 * 86_400, abs=60)
    assert simulator.truth(account, "mailbox")[0]["watch"]["topic"] == "projects/p/topics/t"

    def watch(topic: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return simulator.request("POST", GMAIL + "/watch", json.dumps({"topicName": topic}).encode(), headers)[0]

    assert (watch("projects/p/topics/other"), watch("projects/p/topics/t"), watch("topic")) == (400, 200, 400)
    assert simulator.request("POST", GMAIL + "/stop", headers={"authorization": f"Bearer {token}"}) == (204, b"")
    assert watch("projects/p/topics/other") == 200
    simulator.advance(7 * 86_400 + 1)
    assert simulator.truth(account, "mailbox")[0]["watch"] is None


def test_a_message_is_added_with_what_it_should_say(simulator: Simulator, account: str, token: str) -> None:
    fields = {
        "subject": "Ünïcode 🙂",
        "sender": {"name": "ดารา, ใจดี", "address": "dara@dokbua.example"},
        "to": ["a@tinroof.example", {"name": "B", "address": "b@tinroof.example"}],
        "text": "ABC\n\nด\n.",
        "html": "<p>x</p>",
        "files": [{"filename": "ใบ.txt", "mime_type": "text/plain", "text": "hello"}],
        "headers": [["X-Odd", "1"]],
    }
    result = simulator.edit(account, {"do": "add_message", "fields": fields, "labels": ["ลูกค้า", "INBOX"], "at": EPOCH})
    one = next(each for each in simulator.truth(account, "messages") if each["id"] == result[0]["id"])
    assert (one["labels"], one["internal_date_ms"]) == (["INBOX", "Label_3"], EPOCH * 1000)
    reply = ok(simulator, f"{MESSAGES}/{one['id']}", token)
    assert differences(reading(reply), one) == {}
    assert (one["subject"], one["text"], one["files"][0]["size"]) == ("Ünïcode 🙂", "ABC\n\nด\n.", 5)
    assert header(reply["payload"], "X-Odd") == "1"


def test_a_message_is_added_raw_as_a_case_in_a_thread_or_from_the_seed(
    simulator: Simulator, account: str, token: str
) -> None:
    raw = b"From: x@tinroof.example\r\nSubject: Raw \xff\r\n\r\nBody"
    given = {"do": "add_message", "raw": base64.b64encode(raw).decode(), "truth": {"text": "Body"}}
    case = {"do": "add_message", "case": "invitation"}
    reply = {"do": "add_message", "thread": "#150", "fields": {"subject": "Re: it"}}
    results = simulator.edit(account, given, case, reply, {"do": "add_message", "count": 3})
    messages = {one["id"]: one for one in simulator.truth(account, "messages")}
    assert opened(ok(simulator, f"{MESSAGES}/{results[0]['id']}", token, format="raw")["raw"]) == raw
    assert (messages[results[0]["id"]]["text"], messages[results[0]["id"]]["subject"]) == ("Body", None)
    assert messages[results[1]["id"]]["hard_case"] == "invitation"
    assert results[2]["threads"] == [truth(simulator, account)[150]["thread_id"]]
    assert len(results[3]["ids"]) == 3
    for result in results[1:]:
        for one in result["ids"]:
            assert differences(reading(ok(simulator, f"{MESSAGES}/{one}", token)), messages[one]) == {}


def test_labels_are_made_renamed_and_deleted(simulator: Simulator, account: str, token: str) -> None:
    made = simulator.edit(account, {"do": "add_label", "name": "Fair"})[0]["id"]
    simulator.edit(
        account,
        {"do": "label_message", "ids": ["#0", "invitation"], "add": ["Fair"]},
        {"do": "rename_label", "label": "Fair", "name": "Fair 2026"},
    )
    assert {"id": made, "name": "Fair 2026"} in simulator.truth(account, "mail_labels")
    assert len(listed(simulator, token, labelIds=made)) == 2
    start = now_id(simulator, token)
    assert simulator.edit(account, {"do": "delete_label", "label": made})[0]["messages"] == 2
    assert made not in {label["id"] for label in ok(simulator, GMAIL + "/labels", token)["labels"]}
    assert [record["labelsRemoved"][0]["labelIds"] for record in told(simulator, token, start)[0]] == [[made], [made]]


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        ({"do": "add_message", "case": "nothing of the kind"}, "hard case"),
        ({"do": "add_message", "fields": {"title": "x"}}, "no field"),
        ({"do": "add_message", "labels": ["Nowhere"]}, "Nowhere"),
        ({"do": "delete_message", "id": "18aaaaaaaaaaaaaa"}, "18aaaaaaaaaaaaaa"),
        ({"do": "delete_message"}, "id"),
        ({"do": "rename_label", "label": "INBOX", "name": "x"}, "INBOX"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(
    simulator: Simulator, account: str, edit: dict[str, Any], word: str
) -> None:
    with pytest.raises(ControlRefused, match=word):
        simulator.edit(account, edit)


def without_attachment_ids(value: Any) -> str:
    return re.sub(r'"attachmentId": "[^"]*"', "", json.dumps(value))


def test_a_warmed_message_is_the_same_and_still_follows_its_labels(
    simulator: Simulator, account: str, token: str
) -> None:
    paths = [f"{MESSAGES}/{one['id']}" for one in truth(simulator, account)[90:130]]
    cold = [without_attachment_ids(ok(simulator, path, token)) for path in paths]
    assert simulator.edit(account, {"do": "warm_messages"})[0]["warmed"] == 200
    assert [without_attachment_ids(ok(simulator, path, token)) for path in paths] == cold
    simulator.edit(account, {"do": "label_message", "id": "#100", "add": ["Label_4"]})
    assert "Label_4" in ok(simulator, paths[10], token)["labelIds"]
    simulator.control("services", {"gmail": {"padded_base64": True}})
    data = next(leaves(ok(simulator, paths[11], token)["payload"]))["body"]["data"]
    assert len(data) % 4 == 0


def test_a_partial_response_has_only_what_was_asked_for(simulator: Simulator, account: str, token: str) -> None:
    path = f"{MESSAGES}/{truth(simulator, account)[0]['id']}"
    assert {*ok(simulator, path, token, fields="id,payload(headers)")["payload"]} == {"headers"}
    answer = batch(simulator, token, path.partition(".com")[2] + "?fields=" + quote("id,historyId"))[0][2]
    assert {*answer} == {"id", "historyId"}


@pytest.fixture(scope="module")
def large() -> Iterator[Simulator]:
    with Simulator.start(messages=100_000, quota_scale=1000, epoch=EPOCH) as running:
        yield running


def test_a_hundred_thousand_messages_are_there(large: Simulator) -> None:
    account = large.facts["accounts"][0]
    token = large.grant(account, READ)["access_token"]
    assert ok(large, GMAIL + "/profile", token)["messagesTotal"] == 100_000
    stubs = truth(large, account)
    ages = [(EPOCH * 1000 - one["internal_date_ms"]) / 86_400_000 for one in stubs]
    assert 0.4 < sum(age < 31 for age in ages) / len(ages) < 0.6
    assert sum(age > 730 for age in ages) > 1_000
    page = ok(large, MESSAGES, token, maxResults=500, includeSpamTrash="true")
    assert [one["id"] for one in page["messages"]] == newest_first(stubs)[:500]
    old = ok(large, MESSAGES, token, q="before:2024/01/01", maxResults=500)
    assert len(old["messages"]) == 500
    assert ok(large, f"{MESSAGES}/{old['messages'][0]['id']}", token)["payload"]["headers"]


def test_the_same_seed_writes_the_same_mail_and_another_seed_other_mail() -> None:
    seen = []
    for seed in (11, 11, 12):
        with Simulator.start(seed=seed, messages=130, epoch=EPOCH) as one:
            seen.append(one.truth(one.facts["accounts"][0], "messages"))
    assert seen[0] == seen[1]
    assert seen[0][100:] != seen[2][100:]

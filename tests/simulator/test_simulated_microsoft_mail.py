"""Mail in folders as the provider sheet tells of it: rounds, moves, single messages, batches, and the SDK's models."""

import base64
import random
from collections.abc import Callable
from typing import Any

import pytest
from msgraph.generated.models.attachment_collection_response import AttachmentCollectionResponse
from msgraph.generated.models.event_message_request import EventMessageRequest
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.item_attachment import ItemAttachment
from msgraph.generated.models.mail_folder_collection_response import MailFolderCollectionResponse
from msgraph.generated.models.message import Message
from msgraph.generated.models.message_collection_response import MessageCollectionResponse
from msgraph.generated.users.item.mail_folders.delta.delta_get_response import DeltaGetResponse as FolderDelta
from msgraph.generated.users.item.mail_folders.item.messages.delta.delta_get_response import DeltaGetResponse

from simulator.client import ControlRefused, Simulator
from tests.simulator.microsoft_calls import Graph
from tests.simulator.microsoft_models import parsed

INBOX = "/me/mailFolders/inbox/messages/delta"
ARCHIVE = "/me/mailFolders/archive/messages/delta"
IMMUTABLE = 'IdType="ImmutableId"'
BIG = f"{IMMUTABLE}, odata.maxpagesize=100"
LEAN = "id,parentFolderId,receivedDateTime,isRead"


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["microsoft"]["accounts"][0])


@pytest.fixture
def graph(simulator: Simulator, account: str) -> Graph:
    return Graph(simulator, str(simulator.grant(account, ["Mail.Read"])["access_token"]))


def of_folder(simulator: Simulator, account: str, known_as: str = "inbox") -> list[dict[str, Any]]:
    return [one for one in simulator.truth(account, "message_states") if one["known_as"] == known_as]


def told(items: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(one["id"], "@removed" in one) for one in items]


def code(reply: Any) -> str:
    return str(reply["error"]["code"])


def add(simulator: Simulator, account: str, **given: Any) -> dict[str, Any]:
    return dict(simulator.edit(account, {"do": "add_message", **given})[0])


def test_every_message_of_every_folder_is_read_by_graph_s_own_model_and_says_what_is_true(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    truth = {one["immutable_id"]: one for one in simulator.truth(account, "messages")}
    seen: dict[str, Message] = {}
    for folder in simulator.truth(account, "mail_folders"):
        where = f"/me/mailFolders/{folder['id']}/messages/delta"
        items, _ = graph.walk(where, BIG)
        read = parsed({"value": items}, DeltaGetResponse).value or []
        assert {one.parent_folder_id for one in read} <= {folder["id"]}
        assert not set(seen) & {one.id for one in read}
        seen |= {one.id or "": one for one in read}
    assert set(seen) == set(truth)
    for message_id, fact in truth.items():
        message = seen[message_id]
        assert (message.subject or "") == fact["subject"]
        assert (message.internet_message_id or "").strip("<>") == fact["message_id"]
        assert (message.is_read, message.is_draft) == (fact["read"], fact["draft"])
        people = [
            (one.email_address.name, one.email_address.address or "")
            for one in message.to_recipients or []
            if one.email_address
        ]
        assert [address for _, address in people] == [one["address"] for one in fact["to"]]
        assert message.body is not None
        assert message.body.content_type is not None
        assert message.body.content_type.value == ("html" if fact["html"] else "text")
        assert len(message.body_preview or "") <= 255
        assert message.received_date_time is not None
        assert int(message.received_date_time.timestamp()) == int(fact["received_at"])
        assert message.has_attachments == any(not one["inline"] for one in fact["attached"])


def test_bodies_come_as_html_or_as_text_and_html_is_made_safe_unless_asked_otherwise(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    fields = {"text": "Good morning\nAna", "html": "<p onclick='x()'>Good <b>morning</b></p><script>alert(1)</script>"}
    made = add(simulator, account, fields=fields)
    where = f"/me/messages/{made['id']}"
    assert graph.get(where)[1]["body"] == {"contentType": "html", "content": "<p>Good <b>morning</b></p>"}
    unsafe = graph.get(where, "outlook.allow-unsafe-html")[1]["body"]["content"]
    assert "alert(1)" in unsafe
    text = graph.get(where, 'outlook.body-content-type="text"')
    assert text[1]["body"] == {"contentType": "text", "content": "Good morning\r\nAna"}
    assert graph.headers["preference-applied"] == 'outlook.body-content-type="text"'


def test_oddities_of_people_and_drafts_are_there(simulator: Simulator, account: str, graph: Graph) -> None:
    path = "/O=EXCHANGELABS/OU=EXCHANGE/CN=RECIPIENTS/CN=ANA"
    odd = add(simulator, account, fields={"sender": {"name": "Ana", "address": path}, "to": [{"name": "Nobody"}]})
    entry = graph.get(f"/me/messages/{odd['id']}")[1]
    assert entry["from"]["emailAddress"] == {"name": "Ana", "address": path}
    assert entry["toRecipients"] == [{"emailAddress": {"name": "Nobody"}}]
    anonymous = add(simulator, account, fields={"sender": None, "subject": "", "message_id": ""})
    entry = graph.get(f"/me/messages/{anonymous['id']}")[1]
    assert [entry[name] for name in ("from", "sender", "subject", "internetMessageId")] == [None] * 4
    draft = add(simulator, account, folder="drafts", fields={"subject": "Not yet"})
    entry = graph.get(f"/me/messages/{draft['id']}")[1]
    assert entry["isDraft"]
    assert not {"from", "sender"} & set(entry)


def test_an_invitation_is_an_event_message(simulator: Simulator, account: str, graph: Graph) -> None:
    number = next(one for one in simulator.truth(account, "message_states") if one["hard_case"] == "invitation")
    entry = graph.get(f"/me/messages/{number['id']}")[1]
    assert isinstance(parsed(entry, Message), EventMessageRequest)


def test_a_selection_leaves_the_id_and_what_was_asked_for(simulator: Simulator, account: str, graph: Graph) -> None:
    made = add(simulator, account, fields={"headers": [["X-Odd", "=?utf-8?q?caf=C3=A9?="]]})
    entry = graph.get(f"/me/messages/{made['id']}", select="subject,internetMessageHeaders")[1]
    assert set(entry) == {"@odata.context", "@odata.etag", "id", "subject", "internetMessageHeaders"}
    assert {"name": "X-Odd", "value": "café"} in entry["internetMessageHeaders"]
    assert "internetMessageHeaders" not in graph.get(f"/me/messages/{made['id']}")[1]
    assert graph.get(INBOX, select="shoeSize")[0] == 400


def test_mime_and_attachments_can_be_read(simulator: Simulator, account: str, graph: Graph) -> None:
    files = [{"filename": "ราคา.pdf", "mime_type": "application/pdf", "text": "%PDF"},
             {"filename": "dot.png", "mime_type": "image/png", "text": "png", "content_id": "dot@x"}]  # fmt: skip
    made = add(simulator, account, fields={"html": "<img src='cid:dot@x'>", "files": files})
    where = f"/me/messages/{made['id']}"
    assert b"MIME-Version" in graph.get(where + "/$value")[1]
    page = parsed(graph.get(where + "/attachments")[1], AttachmentCollectionResponse)
    first, second = page.value or []
    assert isinstance(first, FileAttachment)
    assert (first.name, first.is_inline, second.is_inline) == ("ราคา.pdf", False, True)
    assert graph.get(f"{where}/attachments/{first.id}/$value")[1] == b"%PDF"
    one = graph.get(f"{where}/attachments/{first.id}")[1]
    assert base64.b64decode(one["contentBytes"]) == b"%PDF"
    assert len(graph.get(where, expand="attachments")[1]["attachments"]) == 2
    inline_only = add(simulator, account, fields={"html": "x", "files": files[1:]})
    assert graph.get(f"/me/messages/{inline_only['id']}")[1]["hasAttachments"] is False


def test_a_mail_within_a_mail_is_an_item(simulator: Simulator, account: str, graph: Graph) -> None:
    outer = next(one for one in simulator.truth(account, "message_states") if one["hard_case"] == "a mail attached")
    where = f"/me/messages/{outer['id']}/attachments"
    entry = next(one for one in graph.get(where)[1]["value"] if one["@odata.type"].endswith("itemAttachment"))
    assert "contentBytes" not in entry
    whole = graph.get(f"{where}/{entry['id']}", expand="microsoft.graph.itemAttachment/item")[1]
    read = parsed(whole, ItemAttachment)
    assert isinstance(read.item, Message)
    assert read.item.body is not None


def test_folders_are_nested_counted_and_some_are_hidden(simulator: Simulator, account: str, graph: Graph) -> None:
    truth = {one["id"]: one for one in simulator.truth(account, "mail_folders")}
    page = parsed(graph.get("/me/mailFolders", top="50")[1], MailFolderCollectionResponse)
    top = {one.display_name: one for one in page.value or []}
    assert {"Inbox", "Sent Items", "Suppliers"} <= set(top)
    assert not {"Conversation History", "Customers"} & set(top)
    for folder in top.values():
        assert (folder.total_item_count, folder.unread_item_count) == (
            truth[folder.id or ""]["messages"], truth[folder.id or ""]["unread"],
        )  # fmt: skip
    _, hidden = graph.get("/me/mailFolders?includeHiddenFolders=true&$top=50")
    assert "Conversation History" in {one["displayName"] for one in hidden["value"]}
    children = graph.get("/me/mailFolders/inbox/childFolders")[1]["value"]
    assert [(one["displayName"], one["childFolderCount"]) for one in children] == [("Customers", 1)]
    assert graph.get("/me/mailfolders('Inbox')")[1]["id"] == top["Inbox"].id


def test_the_round_over_folders_tells_nested_ones_and_what_became_of_them(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    items, link = graph.walk("/me/mailFolders/delta", "odata.maxpagesize=5")
    parsed({"value": items}, FolderDelta)
    names = {one["displayName"] for one in items}
    assert {"Inbox", "Customers", "ลูกค้า", "Asia"} <= names
    assert "Top of Information Store" not in names
    made = simulator.edit(
        account,
        {"do": "add_mail_folder", "name": "Harbour", "in": "Customers"},
        {"do": "rename_mail_folder", "folder": "Suppliers", "name": "Sellers"},
        {"do": "move_mail_folder", "folder": "Asia", "to": "inbox"},
        {"do": "delete_mail_folder", "folder": "ลูกค้า"},
    )
    later, link = graph.walk(link)
    by_id = {one["id"]: one for one in later}
    assert by_id[made[0]["id"]]["displayName"] == "Harbour"
    assert by_id[made[1]["id"]]["displayName"] == "Sellers"
    inbox = next(one["id"] for one in items if one["displayName"] == "Inbox")
    assert by_id[made[2]["id"]]["parentFolderId"] == inbox
    assert len([one for one in later if "@removed" in one]) == 1
    add(simulator, account)
    assert [one["displayName"] for one in graph.walk(link)[0]] == ["Inbox"]
    simulator.control("graph", {"folder_delta_nested": False})
    assert "Customers" not in {one["displayName"] for one in graph.walk("/me/mailFolders/delta")[0]}
    with pytest.raises(ControlRefused, match="Every mailbox"):
        simulator.edit(account, {"do": "delete_mail_folder", "folder": "inbox"})


def test_a_later_round_tells_what_came_what_changed_and_what_went(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    here = of_folder(simulator, account)
    _, link = graph.walk(INBOX, BIG)
    changed, gone, trashed = (one["immutable_id"] for one in here[:3])
    made = add(simulator, account, fields={"subject": "New"})
    simulator.edit(
        account,
        {"do": "change_message", "id": changed, "flagged": True},
        {"do": "change_message", "id": changed, "flagged": False},
        {"do": "delete_message", "id": gone},
        {"do": "trash_message", "id": trashed},
    )
    items, link = graph.walk(link, BIG)
    assert sorted(told(items)) == sorted(
        [(made["immutable_id"], False), (changed, False), (gone, True), (trashed, True)]
    )
    assert {one["@odata.type"] for one in items} == {"#microsoft.graph.message"}
    assert graph.walk(link, BIG)[0] == []
    assert graph.get(f"/me/messages/{trashed}", IMMUTABLE, select="parentFolderId")[0] == 200
    status, reply = graph.get(f"/me/messages/{gone}", IMMUTABLE)
    assert (status, code(reply)) == (404, "ErrorItemNotFound")


@pytest.mark.parametrize("immutable", [True, False])
def test_a_move_is_a_removal_in_the_old_folder_and_news_in_the_new_one(
    simulator: Simulator, account: str, graph: Graph, *, immutable: bool
) -> None:
    prefer = BIG if immutable else "odata.maxpagesize=100"
    name = "immutable_id" if immutable else "id"
    _, here = graph.walk(INBOX, prefer, select=LEAN)
    _, there = graph.walk(ARCHIVE, prefer, select=LEAN)
    before = of_folder(simulator, account)[4]
    moved = simulator.edit(account, {"do": "move_message", "id": before["id"], "to": "archive"})[0]
    assert (moved[name] == before[name]) is immutable
    assert told(graph.walk(here, prefer)[0]) == [(before[name], True)]
    assert told(graph.walk(there, prefer)[0]) == [(moved[name], False)]
    assert graph.get(f"/me/messages/{before[name]}", prefer)[0] == (200 if immutable else 404)


def test_a_message_that_left_and_returned_is_told_as_removed_only_unless_ids_change(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    _, link = graph.walk(INBOX, BIG, select=LEAN)
    before = of_folder(simulator, account)[4]
    trip = [{"do": "move_message", "id": before["immutable_id"], "to": to} for to in ("archive", "inbox")]
    moved = simulator.edit(account, *trip)[-1]
    lasting, usual = graph.walk(link, BIG)[0], graph.walk(link)[0]
    assert told(lasting) == [(before["immutable_id"], True)]
    assert told(usual) == [(before["id"], True), (moved["id"], False)]
    assert graph.get(f"/me/messages/{before['immutable_id']}", IMMUTABLE)[0] == 200
    simulator.control("graph", {"moved_back": "shown"})
    assert told(graph.walk(link, BIG)[0]) == [(before["immutable_id"], True), (before["immutable_id"], False)]
    simulator.control("graph", {"moved_back": "only_removed"})
    simulator.edit(account, {"do": "change_message", "id": moved["id"], "flagged": True})
    assert told(graph.walk(link, BIG)[0])[-1] == (before["immutable_id"], False)


def test_a_message_that_came_back_within_the_round_it_was_first_seen_in_is_told(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    _, link = graph.walk(INBOX, BIG, select=LEAN)
    made = add(simulator, account)
    simulator.edit(
        account, *({"do": "move_message", "id": made["immutable_id"], "to": to} for to in ("archive", "inbox"))
    )
    assert told(graph.walk(link, BIG)[0])[-1] == (made["immutable_id"], False)


def test_a_changed_message_may_come_with_what_changed_only(simulator: Simulator, account: str, graph: Graph) -> None:
    simulator.control("graph", {"changed_items": "partial"})
    one = of_folder(simulator, account)[0]
    _, link = graph.walk(INBOX, BIG)
    simulator.edit(account, {"do": "change_message", "id": one["id"], "read": not one["read"]})
    assert [set(item) for item in graph.walk(link, BIG)[0]] == [{"@odata.type", "@odata.etag", "id", "isRead"}]
    made = add(simulator, account)
    assert "subject" in next(item for item in graph.walk(link, BIG)[0] if item["id"] == made["immutable_id"])


def test_a_round_may_be_narrowed_by_time_order_type_and_number(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    here = sorted(of_folder(simulator, account), key=lambda one: -float(one["received_at"]))
    edge = here[20]["received_at"]
    since = "2026-01-01T00:00:00Z"
    items, link = graph.walk(INBOX, select=LEAN, filter=f"receivedDateTime ge {since}", orderby="receivedDateTime desc")
    arrived = [one["receivedDateTime"] for one in items]
    assert arrived == sorted(arrived, reverse=True)
    assert min(arrived) >= since
    add(simulator, account, at=1_000_000_000)
    new = add(simulator, account)
    assert told(graph.walk(link)[0]) == [(new["id"], False)]
    assert edge
    assert len(graph.walk(INBOX, top="12")[0]) == 12
    _, created = graph.walk(INBOX + "?changeType=created", BIG)
    simulator.edit(
        account,
        {"do": "delete_message", "id": new["id"]},
        {"do": "change_message", "id": here[1]["id"], "flagged": True},
    )
    newest = add(simulator, account)
    assert told(graph.walk(created, BIG)[0]) == [(newest["immutable_id"], False)]


@pytest.mark.parametrize(
    "query",
    [{"filter": "isRead eq true"}, {"filter": "receivedDateTime ge yesterday"}, {"orderby": "subject"}, {"search": "x"},
     {"skip": "3"}, {"top": "0"}, {"top": "many"}, {"expand": "extensions"}, {"odd": "1"}],
)  # fmt: skip
def test_a_round_refuses_what_it_does_not_support(graph: Graph, query: dict[str, str]) -> None:
    assert graph.get(INBOX, **query)[0] == 400


def test_a_filtered_round_tells_at_most_five_thousand(simulator: Simulator, account: str, graph: Graph) -> None:
    simulator.edit(account, {"do": "add_message", "count": 5_100, "fields": {"text": "x"}})
    query = {"select": "id", "filter": "receivedDateTime ge 2000-01-01T00:00:00Z"}
    assert len(graph.walk(INBOX, "odata.maxpagesize=500", **query)[0]) == 5_000
    assert len(graph.walk(INBOX, "odata.maxpagesize=999", select="id")[0]) > 5_100


def test_an_expired_link_heals_folder_by_folder(simulator: Simulator, account: str, graph: Graph) -> None:
    before, link = graph.walk(INBOX, BIG, select="id")
    _, other = graph.walk(ARCHIVE, BIG, select="id")
    simulator.edit(account, {"do": "expire_mail_links", "folder": "inbox"})
    status, reply = graph.get(link, BIG)
    assert (status, code(reply)) == (410, "SyncStateNotFound")
    assert graph.get(other, BIG)[0] == 200
    assert told(graph.walk(INBOX, BIG, select="id")[0]) == told(before)


def test_a_folder_that_vanished_takes_its_messages_along(simulator: Simulator, account: str, graph: Graph) -> None:
    folder = next(one for one in simulator.truth(account, "mail_folders") if one["name"] == "Customers")
    items, link = graph.walk(f"/me/mailFolders/{folder['id']}/messages/delta", BIG)
    assert items
    simulator.edit(account, {"do": "delete_mail_folder", "folder": "Customers"})
    status, reply = graph.get(link, BIG)
    assert (status, code(reply)) == (404, "ErrorSyncFolderNotFound")
    assert graph.get(f"/me/messages/{items[0]['id']}", BIG)[0] == 404
    _, listing = graph.get("/me/mailFolders/inbox/childFolders")
    assert listing["value"] == []


def test_a_corrupt_message_fails_alone(simulator: Simulator, account: str, graph: Graph) -> None:
    one = of_folder(simulator, account)[0]["id"]
    simulator.edit(account, {"do": "corrupt_message", "id": one})
    status, reply = graph.get(f"/me/messages/{one}")
    assert (status, code(reply)) == (500, "ErrorCorruptData")
    simulator.edit(account, {"do": "corrupt_message", "id": one, "back": True})
    assert graph.get(f"/me/messages/{one}")[0] == 200


def test_a_permission_for_headers_only_shows_no_bodies(simulator: Simulator, account: str) -> None:
    basic = Graph(simulator, simulator.grant(account, ["Mail.ReadBasic"])["access_token"])
    items, _ = basic.walk(INBOX)
    assert not any({"body", "bodyPreview", "uniqueBody"} & set(one) for one in items)
    assert basic.get(INBOX, select="id,body")[0] == 403
    assert basic.get(f"/me/messages/{items[0]['id']}/$value")[0] == 403


def test_plain_lists_go_from_the_newest_and_page_by_skipping(simulator: Simulator, account: str, graph: Graph) -> None:
    page = graph.get("/me/messages", top="50", select="receivedDateTime")[1]
    parsed(page, MessageCollectionResponse)
    arrived = [one["receivedDateTime"] for one in page["value"]]
    assert arrived == sorted(arrived, reverse=True)
    items, _ = graph.walk("/me/mailFolders/inbox/messages", top="50", select="id")
    assert len(items) == len(of_folder(simulator, account))


def test_a_batch_answers_each_call_by_itself(simulator: Simulator, account: str, graph: Graph) -> None:
    here = of_folder(simulator, account)
    simulator.edit(account, {"do": "delete_message", "id": here[1]["id"]})
    calls = [
        {"url": f"/me/messages/{here[0]['immutable_id']}?$select=id,parentFolderId", "headers": {"Prefer": IMMUTABLE}},
        {"url": f"/me/messages/{here[1]['id']}"},
        {"url": "/me/messages/odd", "dependsOn": ["1"]},
        {"url": f"/me/messages/{here[2]['id']}/$value"},
        {"url": "/nowhere"},
    ]
    status, reply = graph.batch(*calls)
    answers = {one["id"]: one for one in reply["responses"]}
    assert status == 200
    assert [answers[str(at)]["status"] for at in range(5)] == [200, 404, 424, 200, 400]
    assert answers["0"]["body"]["id"] == here[0]["immutable_id"]
    assert answers["0"]["headers"]["Preference-Applied"] == IMMUTABLE
    assert answers["1"]["body"]["error"]["code"] == "ErrorItemNotFound"
    assert b"MIME-Version" in base64.b64decode(answers["3"]["body"])
    assert len(simulator.requests()[-1]["inner"]) == 4
    simulator.control("graph", {"batch_backwards": True})
    assert [one["id"] for one in graph.batch(*calls)[1]["responses"]] == ["4", "3", "2", "1", "0"]


def test_a_batch_is_throttled_call_by_call(simulator: Simulator, account: str, graph: Graph) -> None:
    here = of_folder(simulator, account)
    calls = [{"url": f"/me/messages/{one['id']}?$select=id"} for one in here[:10]]
    simulator.control("graph", {"batch_429_above": 4})
    status, reply = graph.batch(*calls)
    assert status == 200
    assert [one["status"] for one in reply["responses"]] == [200] * 4 + [429] * 6
    assert reply["responses"][-1]["headers"]["Retry-After"] == "1"
    simulator.control("graph", {"batch_429_above": 0})
    simulator.fault({"status": 429, "retry_after": "2.128", "reason": "TooManyRequests"}, path=f"{here[3]['id']}$")
    throttled = [one for one in graph.batch(*calls)[1]["responses"] if one["status"] != 200]
    assert [(one["id"], one["headers"]["Retry-After"], code(one["body"])) for one in throttled] == [
        ("3", "2.128", "TooManyRequests")
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [{"url": "/me/messages"}] * 21,
        [{"id": "a", "url": "/me"}, {"id": "a", "url": "/me"}],
        [{"url": "https://graph.microsoft.com/v1.0/me"}],
        [{"url": "/me", "dependsOn": ["7"]}],
        [{"url": "/me", "body": {}}],
        [{"url": "/me", "odd": 1}],
        [],
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_as_a_whole(graph: Graph, entries: list[dict[str, Any]]) -> None:
    assert graph.batch(*entries)[0] == 400


class Follower:
    """Who syncs as the sheet advises: removals wait until the cycle ends, and then each is asked about."""

    def __init__(self, graph: Graph, folders: list[dict[str, Any]]) -> None:
        self.graph = graph
        self.held: dict[str, str] = {}
        self.links = [f"/me/mailFolders/{one['id']}/messages/delta?$select=id,parentFolderId" for one in folders]

    def cycle(self, between: Callable[[], None]) -> None:
        pending: set[str] = set()
        self.links = [self.round(link, pending, between) for link in self.links]
        for one in pending:
            status, found = self.graph.get(f"/me/messages/{one}", IMMUTABLE, select="id,parentFolderId")
            if status == 404:
                self.held.pop(one, None)
            else:
                self.held[one] = found["parentFolderId"]

    def round(self, link: str, pending: set[str], between: Callable[[], None]) -> str:
        while True:
            status, page = self.graph.get(link, f"{IMMUTABLE}, odata.maxpagesize=40")
            assert status == 200
            pending |= {one["id"] for one in page["value"] if "@removed" in one}
            self.held |= {one["id"]: one["parentFolderId"] for one in page["value"] if "@removed" not in one}
            between()
            if "@odata.deltaLink" in page:
                return str(page["@odata.deltaLink"])
            link = page["@odata.nextLink"]


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_mail_that_wanders_while_it_is_synced_is_never_lost_by_who_confirms_removals(
    simulator: Simulator, account: str, graph: Graph, seed: int
) -> None:
    draw = random.Random(seed)
    folders = [one for one in simulator.truth(account, "mail_folders") if one["known_as"] != "msgfolderroot"]
    paths = [one["path"] for one in folders]

    def stir() -> None:
        number, choice = f"#{draw.randrange(200)}", draw.randrange(10)
        if choice == 0:
            simulator.edit(account, {"do": "delete_message", "id": number})
        elif choice == 1:
            add(simulator, account, folder=draw.choice(paths))
        else:
            for _ in range(draw.randrange(1, 4)):
                simulator.edit(account, {"do": "move_message", "id": number, "to": draw.choice(paths)})

    follower = Follower(graph, folders)
    for _ in range(6):
        follower.cycle(stir)
    follower.cycle(lambda: None)
    truth = simulator.truth(account, "message_states")
    assert follower.held == {one["immutable_id"]: one["folder_id"] for one in truth}


def test_a_small_selection_says_the_same_as_the_whole(simulator: Simulator, account: str, graph: Graph) -> None:
    whole = {one["id"]: one for one in graph.walk(INBOX, BIG)[0]}
    names = "categories,changeKey,conversationId,createdDateTime,flag,importance,isDraft,isRead,parentFolderId"
    for one in graph.walk(INBOX, BIG, select=names)[0]:
        assert one == {name: whole[one["id"]][name] for name in one}

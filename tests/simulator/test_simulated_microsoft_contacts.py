"""Contacts in folders as the provider sheet tells of them: rounds, removals, moves, expiry, and the SDK's models."""

import random
from typing import Any

import pytest
from msgraph.generated.models.contact import Contact
from msgraph.generated.models.contact_collection_response import ContactCollectionResponse
from msgraph.generated.models.contact_folder import ContactFolder
from msgraph.generated.models.contact_folder_collection_response import ContactFolderCollectionResponse
from msgraph.generated.users.item.contact_folders.delta.delta_get_response import (
    DeltaGetResponse as FolderDelta,
)
from msgraph.generated.users.item.contact_folders.item.contacts.delta.delta_get_response import DeltaGetResponse

from simulator.client import ControlRefused, Simulator
from tests.simulator.microsoft_calls import Graph
from tests.simulator.microsoft_models import parsed

DEFAULT = "/me/contactFolders('contacts')/contacts/delta"
IMMUTABLE = 'IdType="ImmutableId"'
SMALL = f"odata.maxpagesize=7, {IMMUTABLE}"


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["microsoft"]["accounts"][0])


@pytest.fixture
def graph(simulator: Simulator, account: str) -> Graph:
    return Graph(simulator, str(simulator.grant(account, ["Contacts.Read"])["access_token"]))


def of_folder(simulator: Simulator, account: str, folder: str) -> list[dict[str, Any]]:
    return [one for one in simulator.truth(account, "contacts") if one["folder"] == folder]


def delta_of(simulator: Simulator, account: str, path: str) -> str:
    folder = next(one["id"] for one in simulator.truth(account, "contact_folders") if one["path"] == path)
    return f"/me/contactFolders/{folder}/contacts/delta"


def code(reply: Any) -> str:
    return str(reply["error"]["code"])


def test_a_first_round_tells_every_contact_of_a_folder_as_graph_s_own_model_reads_it(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    truth = {one["immutable_id"]: one for one in of_folder(simulator, account, "Contacts")}
    seen: dict[str, Contact] = {}
    status, page = graph.get(DEFAULT, SMALL)
    while True:
        assert status == 200
        read = parsed(page, DeltaGetResponse)
        assert (read.odata_next_link is None) != (read.odata_delta_link is None)
        assert len(read.value or []) <= 7
        seen |= {one.id or "": one for one in read.value or []}
        if read.odata_next_link is None:
            break
        status, page = graph.get(read.odata_next_link, SMALL)
    assert set(seen) == set(truth)
    for contact_id, fact in truth.items():
        contact = seen[contact_id]
        assert contact.display_name == fact["display_name"]
        assert [one.address for one in contact.email_addresses or []] == [one["value"] for one in fact["emails"]]
        assert (contact.given_name or "", contact.surname or "") == (fact["given_name"], fact["family_name"])
        phones = [*(contact.business_phones or []), *(contact.home_phones or []), contact.mobile_phone]
        assert sorted(one for one in phones if one) == sorted(one["value"] for one in fact["phones"])
        assert contact.parent_folder_id == fact["folder_id"]
    assert "odata.track-changes" in graph.headers["preference-applied"]
    assert 'IdType="ImmutableId"' in graph.headers["preference-applied"]


def test_contacts_without_an_address_or_a_name_are_there(simulator: Simulator, graph: Graph) -> None:
    items, _ = graph.walk(DEFAULT)
    assert any(one["emailAddresses"] == [] for one in items)
    assert any(one["displayName"] == "" for one in items)
    assert any(one["homeAddress"] == {} for one in items)
    assert len(next(one for one in items if len(one["emailAddresses"]) > 100)["emailAddresses"]) == 120


def test_folders_are_listed_without_the_one_that_everybody_has(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    page = parsed(graph.get("/me/contactFolders")[1], ContactFolderCollectionResponse)
    assert [one.display_name for one in page.value or []] == ["Suppliers", "ลูกค้า", "عملاء"]
    suppliers = (page.value or [])[0]
    nested = parsed(graph.get(f"/me/contactFolders/{suppliers.id}/childFolders")[1], ContactFolderCollectionResponse)
    assert [one.parent_folder_id for one in nested.value or []] == [suppliers.id]
    whole = parsed(graph.get("/me/contactFolders/contacts")[1], ContactFolder)
    assert whole.id == suppliers.parent_folder_id
    assert {one["known_as"] for one in simulator.truth(account, "contact_folders")} == {"contacts", ""}


def test_every_contact_is_in_exactly_one_folder_s_round(simulator: Simulator, account: str, graph: Graph) -> None:
    folders = simulator.truth(account, "contact_folders")
    seen = [one["id"] for folder in folders for one in graph.walk(delta_of(simulator, account, folder["path"]))[0]]
    assert sorted(seen) == sorted(one["id"] for one in simulator.truth(account, "contacts"))


def test_a_later_round_tells_each_change_once_and_what_is_gone(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    before, link = graph.walk(DEFAULT, IMMUTABLE)
    assert graph.walk(link, IMMUTABLE)[0] == []
    gone = before[5]["id"]
    made = simulator.edit(
        account,
        {"do": "add_contact", "fields": {"given_name": "Nim", "emails": ["nim@tinroof.example"]}},
        {"do": "change_contact", "id": "#8", "fields": {"title": "first"}},
        {"do": "change_contact", "id": "#8", "fields": {"title": "second"}},
        {"do": "delete_contact", "id": gone},
    )
    items, link = graph.walk(link, IMMUTABLE)
    told = {one["id"]: one for one in items}
    assert len(told) == len(items) == 3
    assert told[gone]["@removed"] == {"reason": "deleted"}
    assert told[made[0]["immutable_id"]]["emailAddresses"][0]["address"] == "nim@tinroof.example"
    assert told[made[1]["immutable_id"]]["jobTitle"] == "second"
    parsed({"value": items}, DeltaGetResponse)
    assert graph.walk(link, IMMUTABLE)[0] == []


def test_what_changes_while_a_round_is_paged_is_told_by_the_next(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    _, page = graph.get(DEFAULT, SMALL)
    made = simulator.edit(account, {"do": "add_contact"}, {"do": "delete_contact", "id": "#0"})
    rest, link = graph.walk(page["@odata.nextLink"], SMALL)
    later, _ = graph.walk(link, SMALL)
    assert {one["id"] for one in rest} >= {made[0]["immutable_id"]}
    assert [one["id"] for one in later if "@removed" in one] == [page["value"][0]["id"]]
    assert made[0]["immutable_id"] in {one["id"] for one in later}


@pytest.mark.parametrize("immutable", [True, False])
def test_a_move_is_a_removal_in_one_folder_and_news_in_the_other(
    simulator: Simulator, account: str, graph: Graph, *, immutable: bool
) -> None:
    prefer = IMMUTABLE if immutable else None
    _, here = graph.walk(DEFAULT, prefer)
    _, there = graph.walk(delta_of(simulator, account, "Contacts/Suppliers"), prefer)
    before = next(one for one in simulator.truth(account, "contacts") if one["number"] == 9)
    moved = simulator.edit(account, {"do": "move_contact", "id": "#9", "to": "Suppliers"})[0]
    name = "immutable_id" if immutable else "id"
    assert (moved[name] == before[name]) is immutable
    assert [(one["id"], "@removed" in one) for one in graph.walk(here, prefer)[0]] == [(before[name], True)]
    assert [(one["id"], "@removed" in one) for one in graph.walk(there, prefer)[0]] == [(moved[name], False)]
    assert graph.get(f"/me/contacts/{moved[name]}", prefer)[0] == 200
    assert graph.get(f"/me/contacts/{before[name]}", prefer)[0] == (200 if immutable else 404)


def test_links_made_with_one_family_of_ids_go_on_with_the_other(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    _, link = graph.walk(DEFAULT)
    made = simulator.edit(account, {"do": "add_contact"})[0]
    assert [one["id"] for one in graph.walk(link, IMMUTABLE)[0]] == [made["immutable_id"]]
    assert [one["id"] for one in graph.walk(link)[0]] == [made["id"]]


def test_ids_are_long_and_case_sensitive_and_folders_keep_theirs(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    item = graph.walk(DEFAULT)[0][0]
    assert graph.get(f"/me/contacts/{item['id']}")[0] == 200
    status, reply = graph.get(f"/me/contacts/{item['id'].swapcase()}")
    assert (status, code(reply)) == (400, "ErrorInvalidIdMalformed")
    assert graph.get(f"/me/contacts('{item['id']}')")[1]["id"] == item["id"]
    for other in simulator.facts["microsoft"]["accounts"][1:]:
        foreign = Graph(simulator, simulator.grant(other, ["Contacts.Read"])["access_token"])
        assert foreign.get(f"/me/contacts/{item['id']}")[0] == 400


def test_a_selection_holds_for_the_whole_round_and_the_next(simulator: Simulator, account: str, graph: Graph) -> None:
    items, link = graph.walk(DEFAULT, SMALL, select="displayName,jobTitle")
    assert {name for one in items for name in one} == {"@odata.type", "@odata.etag", "id", "displayName", "jobTitle"}
    simulator.edit(account, {"do": "change_contact", "id": "#3", "fields": {"title": "new"}})
    changed = graph.walk(link)[0]
    assert [(set(one), one["jobTitle"]) for one in changed] == [
        ({"@odata.type", "@odata.etag", "id", "displayName", "jobTitle"}, "new")
    ]


@pytest.mark.parametrize(
    ("query", "status", "wanted"),
    [
        ({"filter": "displayName eq 'x'"}, 400, "ErrorInvalidUrlQuery"),
        ({"orderby": "displayName"}, 400, "ErrorInvalidUrlQuery"),
        ({"search": "x"}, 400, "ErrorInvalidUrlQuery"),
        ({"top": "5"}, 400, "ErrorInvalidUrlQuery"),
        ({"shoeSize": "5"}, 400, "ErrorInvalidUrlQuery"),
        ({"select": "shoeSize"}, 400, "BadRequest"),
        ({"deltatoken": "latest"}, 400, "ErrorInvalidUrlQuery"),
        ({"skiptoken": "made-up"}, 400, "ErrorInvalidUrlQuery"),
    ],
)
def test_a_round_refuses_what_it_does_not_support(
    graph: Graph, query: dict[str, str], status: int, wanted: str
) -> None:
    got, reply = graph.get(DEFAULT, **query)
    assert (got, code(reply)) == (status, wanted)


def test_what_is_not_supported_may_also_be_passed_over(simulator: Simulator, graph: Graph) -> None:
    simulator.control("graph", {"unsupported_query": "ignore"})
    assert graph.get(DEFAULT, filter="x")[0] == 200
    with pytest.raises(ControlRefused, match="no switch"):
        simulator.control("graph", {"unsuported_query": "ignore"})


def test_a_link_is_good_for_its_own_folder_and_with_nothing_added(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    _, link = graph.walk(DEFAULT)
    token = link.split("deltatoken=")[1]
    status, reply = graph.get(f"{delta_of(simulator, account, 'Contacts/Suppliers')}?$deltatoken={token}")
    assert (status, "DeltaToken" in reply["error"]["message"]) == (400, True)
    assert graph.get(f"{link}&$select=displayName")[0] == 400
    assert graph.get(link[:-8] + "AAAAAAAA")[0] == 400


@pytest.mark.parametrize("word", ["SyncStateNotFound", "SyncStateInvalid", "resyncRequired"])
def test_an_expired_link_is_a_410_and_a_new_round_heals_it(
    simulator: Simulator, account: str, graph: Graph, word: str
) -> None:
    before, link = graph.walk(DEFAULT)
    _, page = graph.get(DEFAULT)
    simulator.control("graph", {"expired_code": word, "expired_location": True})
    simulator.edit(account, {"do": "expire_contact_links", "folder": "contacts"})
    for dead in (link, page["@odata.nextLink"]):
        status, reply = graph.get(dead)
        assert (status, code(reply)) == (410, word)
    assert graph.headers["location"].endswith("deltatoken=")
    assert [one["id"] for one in graph.walk(DEFAULT)[0]] == [one["id"] for one in before]
    other = delta_of(simulator, account, "Contacts/Suppliers")
    assert graph.walk(graph.walk(other)[1])[0] == []


def test_a_link_may_expire_by_its_age(simulator: Simulator, graph: Graph) -> None:
    simulator.control("graph", {"link_life_s": 600})
    _, link = graph.walk(DEFAULT)
    simulator.advance(500)
    _, link = graph.walk(link)
    simulator.advance(500)
    assert graph.get(link)[0] == 200
    simulator.advance(601)
    assert graph.get(link)[0] == 410


def test_a_folder_that_vanished_says_so(simulator: Simulator, account: str, graph: Graph) -> None:
    path = delta_of(simulator, account, "Contacts/Suppliers")
    _, link = graph.walk(path)
    folders, folder_link = graph.walk("/me/contactFolders/delta")
    assert len(folders) == 4
    simulator.edit(account, {"do": "delete_contact_folder", "folder": "Suppliers"})
    status, reply = graph.get(link)
    assert (status, code(reply)) == (404, "ErrorSyncFolderNotFound")
    assert graph.get(path.removesuffix("/contacts/delta"))[0] == 404
    told = graph.walk(folder_link)[0]
    parsed({"value": told}, FolderDelta)
    assert [("@removed" in one) for one in told] == [True, True]
    assert of_folder(simulator, account, "Contacts/Suppliers") == []


def test_the_round_over_folders_tells_new_and_renamed_ones(simulator: Simulator, account: str, graph: Graph) -> None:
    _, link = graph.walk("/me/contactFolders/delta")
    made = simulator.edit(
        account,
        {"do": "add_contact_folder", "name": "Guests", "in": "Suppliers"},
        {"do": "rename_contact_folder", "folder": "عملاء", "name": "Clients"},
    )
    told = {one["id"]: one for one in graph.walk(link)[0]}
    assert told[made[0]["id"]]["displayName"] == "Guests"
    assert "Clients" in {one["displayName"] for one in told.values()}
    with pytest.raises(ControlRefused, match="everybody"):
        simulator.edit(account, {"do": "delete_contact_folder", "folder": "contacts"})


def test_pages_may_be_empty_short_or_tell_things_twice_and_lose_nothing(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    whole = {one["id"] for one in graph.walk(DEFAULT)[0]}
    simulator.edit(account, {"do": "delete_contact", "id": "#60"})
    simulator.control(
        "graph", {"empty_pages": 2, "repeated_items": 2, "short_pages": 5, "removed_first": 3, "replayed_items": 2}
    )
    _, first = graph.get(DEFAULT)
    assert first["value"] == []
    items, link = graph.walk(DEFAULT, "odata.maxpagesize=50")
    there = [one["id"] for one in items if "@removed" not in one]
    assert len(there) > len(set(there))
    assert len(items) - len(there) == 1
    assert set(there) == whole - {one["id"] for one in items if "@removed" in one}
    later = graph.walk(link)[0]
    assert len(later) == 2


def test_a_plain_list_pages_by_skipping_and_finds_an_address(simulator: Simulator, account: str, graph: Graph) -> None:
    truth = of_folder(simulator, account, "Contacts")
    status, page = graph.get("/me/contacts", select="displayName")
    assert "$skip=10" in page["@odata.nextLink"].replace("%24", "$")
    parsed(page, ContactCollectionResponse)
    items, _ = graph.walk("/me/contacts", top="40")
    assert [one["id"] for one in items] == [one["id"] for one in truth]
    address = truth[0]["emails"][0]["value"]
    status, page = graph.get("/me/contacts", filter=f"emailAddresses/any(a:a/address eq '{address}')")
    assert (status, [one["id"] for one in page["value"]]) == (200, [truth[0]["id"]])
    assert graph.get("/me/contacts", filter="displayName eq 'x'")[0] == 400


def test_a_permission_is_needed(simulator: Simulator, account: str) -> None:
    other = Graph(simulator, simulator.grant(account, ["Mail.Read"])["access_token"])
    status, reply = other.get(DEFAULT)
    assert (status, code(reply)) == (403, "ErrorAccessDenied")


def test_a_random_life_is_told_truly_round_by_round(simulator: Simulator, account: str, graph: Graph) -> None:
    draw = random.Random(11)
    paths = {one["path"]: one["id"] for one in simulator.truth(account, "contact_folders")}
    held: dict[str, set[str]] = {}
    links: dict[str, str] = {}
    for path in paths:
        items, links[path] = graph.walk(delta_of(simulator, account, path), IMMUTABLE)
        held[path] = {one["id"] for one in items}
    for _ in range(12):
        edits: list[dict[str, Any]] = []
        for _ in range(draw.randrange(6)):
            number = f"#{draw.randrange(100)}"
            edits.append(
                draw.choice(
                    [
                        {"do": "add_contact", "folder": draw.choice([*paths])},
                        {"do": "delete_contact", "id": number},
                        {"do": "move_contact", "id": number, "to": draw.choice([*paths])},
                    ]
                )
            )
        if edits:
            simulator.edit(account, *edits)
        for path in paths:
            items, links[path] = graph.walk(links[path], SMALL)
            for one in items:
                (held[path].discard if "@removed" in one else held[path].add)(one["id"])
        truth = simulator.truth(account, "contacts")
        everywhere = {one["immutable_id"] for one in truth}
        for path in paths:
            really = {one["immutable_id"] for one in truth if one["folder"] == path}
            assert held[path] <= really
            assert all(one in everywhere for one in really - held[path])  # It came back: only its removal was told.
            held[path] |= really - held[path]

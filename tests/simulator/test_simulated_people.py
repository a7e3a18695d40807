"""The People API as the provider sheet tells it: pages, syncs, tombstones, expiry, limits, and Google's own types."""

import random

import pytest

from simulator.client import Simulator
from tests.simulator.calls import AUTH, CONNECTIONS, EVERYTHING, PEOPLE, get, reason, walk
from tests.simulator.discovery import Discovery, Drift
from tests.simulator.official_client import official

PLAIN = {"personFields": "names,metadata", "requestSyncToken": "true", "pageSize": 50}
LIST = "people.people.connections.list"


@pytest.fixture(scope="module")
def discovery() -> Discovery:
    return Discovery("people", "v1")


def test_official_client_walks_every_contact_and_each_page_fits_the_document(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    connections = official("people", "v1", simulator, token).people().connections()
    request = connections.list(resourceName="people/me", personFields=EVERYTHING, pageSize=50, requestSyncToken=True)
    names = []
    while request is not None:
        page = request.execute()
        discovery.check_reply(LIST, page)
        names += [person["resourceName"] for person in page["connections"]]
        last, request = page, connections.list_next(request, page)
    assert names == [contact["id"] for contact in simulator.truth(account, "contacts")]
    assert last["nextSyncToken"]


def test_official_client_reads_single_people_groups_and_other_contacts(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    people = official("people", "v1", simulator, token)
    ids = [contact["id"] for contact in simulator.truth(account, "contacts")[:5]]
    one = people.people().get(resourceName=ids[3], personFields=EVERYTHING).execute()
    discovery.check_reply("people.people.get", one)
    assert len(one["emailAddresses"]) == 120
    several = people.people().getBatchGet(resourceNames=[*ids, "people/c1"], personFields="names").execute()
    discovery.check_reply("people.people.getBatchGet", several)
    assert [entry["httpStatusCode"] for entry in several["responses"]] == [200] * 5 + [404]
    groups = people.contactGroups().list(pageSize=1000).execute()
    discovery.check_reply("people.contactGroups.list", groups)
    assert {"myContacts", "starred", "customers"} <= {group["name"] for group in groups["contactGroups"]}
    group = people.contactGroups().get(resourceName="contactGroups/starred", maxMembers=5).execute()
    discovery.check_reply("people.contactGroups.get", group)
    assert len(group["memberResourceNames"]) == 5
    others = people.otherContacts().list(readMask="names,emailAddresses,metadata", pageSize=10).execute()
    discovery.check_reply("people.otherContacts.list", others)


def test_every_parameter_of_the_document_is_known(simulator: Simulator, token: str, discovery: Discovery) -> None:
    paths = {
        LIST: CONNECTIONS,
        "people.people.get": PEOPLE + "/people/me",
        "people.people.getBatchGet": PEOPLE + "/people:batchGet",
        "people.otherContacts.list": PEOPLE + "/otherContacts",
        "people.contactGroups.list": PEOPLE + "/contactGroups",
    }
    for method, path in paths.items():
        for name in discovery.query_parameters(method):
            _, reply = get(simulator, path, token, **{name: ""})
            assert "Unknown name" not in str(reply), (method, name)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({}, "personFields mask is required"),
        ({"personFields": "names,shoeSize"}, "shoeSize"),
        ({"personFields": "names", "pageSize": 1001}, "Page size"),
        ({"personFields": "names", "pageSize": "many"}, "TYPE_INT32"),
        ({"personFields": "names", "requestSyncToken": "yes"}, "TYPE_BOOL"),
        ({"personFields": "names", "maxResults": 3}, "Unknown name"),
        ({"personFields": "names", "sources": "EVERYWHERE"}, "TYPE_ENUM"),
        ({"personFields": "names", "pageToken": "made-up"}, "Page token"),
        ({"personFields": "names", "syncToken": "made-up"}, "Sync token"),
        ({"personFields": "names", "requestSyncToken": "true", "sortOrder": "FIRST_NAME_ASCENDING"}, "Sort order"),
    ],
)
def test_a_request_out_of_order_is_a_400_that_names_what(
    simulator: Simulator, token: str, query: dict[str, str], word: str
) -> None:
    status, reply = get(simulator, CONNECTIONS, token, **query)
    assert (status, reply["error"]["code"]) == (400, 400)
    assert word in reply["error"]["message"]


def test_lists_cut_at_a_hundred_values_what_a_single_person_gives_whole(simulator: Simulator, token: str) -> None:
    people, _ = walk(simulator, token, personFields="emailAddresses", requestSyncToken="true")
    assert len(people[3]["emailAddresses"]) == 100
    _, one = get(simulator, f"{PEOPLE}/{people[3]['resourceName']}", token, personFields="emailAddresses")
    assert len(one["emailAddresses"]) == 120


def test_hard_cases_stand_at_the_beginning_of_every_book(simulator: Simulator, token: str) -> None:
    people, _ = walk(simulator, token, personFields=EVERYTHING, requestSyncToken="true")
    assert "names" not in people[2]
    assert people[4]["names"][0]["displayName"] == people[5]["names"][0]["displayName"]
    assert people[6]["birthdays"][0]["date"] == {"month": 2, "day": 29}
    assert "\x00" in people[9]["biographies"][0]["value"]
    assert people[10]["photos"][0]["default"]
    assert "canonicalForm" not in people[11]["phoneNumbers"][0]
    assert people[12]["phoneNumbers"][0]["value"].startswith("+๖๖")


def test_a_sync_tells_each_change_once_and_deletions_as_tombstones(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    before, sync = walk(simulator, token, **PLAIN)
    simulator.edit(
        account,
        {"do": "add_contact", "fields": {"given_name": "Nim", "emails": ["nim@tinroof.example"]}},
        {"do": "change_contact", "id": "#30", "fields": {"title": "first"}},
        {"do": "change_contact", "id": "#30", "fields": {"title": "second"}},
        {"do": "delete_contact", "id": "#31"},
    )
    changed, newer = walk(simulator, token, **PLAIN, syncToken=sync)
    assert [person["resourceName"] for person in changed[1:]] == [
        before[30]["resourceName"],
        before[31]["resourceName"],
    ]
    assert changed[0]["names"][0]["displayName"] == "Nim"
    assert changed[2]["metadata"]["deleted"] is True
    assert "names" not in changed[2]
    for person in changed:
        discovery.check_named("Person", person)
    assert walk(simulator, token, **PLAIN, syncToken=newer)[0] == []
    assert len(walk(simulator, token, **PLAIN)[0]) == 120


def test_a_renamed_contact_is_told_with_its_former_names(simulator: Simulator, account: str, token: str) -> None:
    before, sync = walk(simulator, token, **PLAIN)
    simulator.edit(
        account, {"do": "rename_contact", "id": "#40"}, {"do": "merge_contacts", "keep": "#41", "drop": "#42"}
    )
    changed, _ = walk(simulator, token, **PLAIN, syncToken=sync)
    renamed = next(p for p in changed if before[40]["resourceName"] in p["metadata"].get("previousResourceNames", []))
    assert renamed["resourceName"] != before[40]["resourceName"]
    assert renamed["metadata"]["sources"][0]["id"] == before[40]["metadata"]["sources"][0]["id"]
    merged = next(p for p in changed if before[42]["resourceName"] in p["metadata"].get("previousResourceNames", []))
    assert merged["resourceName"] == before[41]["resourceName"]
    assert get(simulator, f"{PEOPLE}/{before[40]['resourceName']}", token, personFields="names")[0] == 200


def test_what_changes_while_a_client_pages_is_told_by_its_next_sync(
    simulator: Simulator, account: str, token: str
) -> None:
    _, first = get(simulator, CONNECTIONS, token, **PLAIN)
    simulator.edit(account, {"do": "change_contact", "id": "#0", "fields": {"title": "late"}})
    place, page = first["nextPageToken"], first
    while "nextSyncToken" not in page:
        _, page = get(simulator, CONNECTIONS, token, **PLAIN, pageToken=place)
        place = page.get("nextPageToken", "")
    changed, _ = walk(simulator, token, **PLAIN, syncToken=page["nextSyncToken"])
    assert [person["resourceName"] for person in changed] == [first["connections"][0]["resourceName"]]


@pytest.mark.parametrize(
    "changed", [{"personFields": "names"}, {"pageSize": 51}, {"sources": "READ_SOURCE_TYPE_CONTACT"}]
)
def test_a_sync_token_is_refused_under_other_parameters(
    simulator: Simulator, token: str, changed: dict[str, object]
) -> None:
    _, sync = walk(simulator, token, **PLAIN)
    status, reply = get(simulator, CONNECTIONS, token, **{**PLAIN, **changed, "syncToken": sync})
    assert status == 400
    assert "details" not in reply["error"]


def test_a_token_of_one_kind_is_refused_in_place_of_another(simulator: Simulator, token: str) -> None:
    _, first = get(simulator, CONNECTIONS, token, **PLAIN)
    _, sync = walk(simulator, token, **PLAIN)
    assert get(simulator, CONNECTIONS, token, **PLAIN, syncToken=first["nextPageToken"])[0] == 400
    assert get(simulator, CONNECTIONS, token, **PLAIN, pageToken=sync)[0] == 400


def test_a_sync_token_expires_seven_days_after_the_full_pass_even_when_used_daily(
    simulator: Simulator, account: str, token: str
) -> None:
    _, sync = walk(simulator, token, **PLAIN)
    for _ in range(7):
        simulator.advance(86_000)
        token = simulator.grant(account, [AUTH + "contacts.readonly"])["access_token"]
        _, sync = walk(simulator, token, **PLAIN, syncToken=sync)
    simulator.advance(3_000)
    status, reply = get(simulator, CONNECTIONS, token, **PLAIN, syncToken=sync)
    assert (status, reason(reply), reply["error"]["status"]) == (400, "EXPIRED_SYNC_TOKEN", "FAILED_PRECONDITION")


def test_expiry_is_a_410_when_the_switch_says_so(simulator: Simulator, account: str, token: str) -> None:
    _, sync = walk(simulator, token, **PLAIN)
    simulator.control("services", {"people": {"expired_status": 410}})
    simulator.edit(account, {"do": "expire_sync_tokens"})
    status, reply = get(simulator, CONNECTIONS, token, **PLAIN, syncToken=sync)
    assert (status, reason(reply)) == (410, "EXPIRED_SYNC_TOKEN")
    assert walk(simulator, token, **PLAIN)[1] != sync


def test_a_change_reaches_syncs_late_when_the_switch_says_so(simulator: Simulator, account: str, token: str) -> None:
    _, sync = walk(simulator, token, **PLAIN)
    simulator.control("services", {"people": {"visibility_delay_s": 180}})
    simulator.edit(account, {"do": "change_contact", "id": "#9", "fields": {"title": "slow"}})
    none_yet, sync = walk(simulator, token, **PLAIN, syncToken=sync)
    assert none_yet == []
    simulator.advance(181)
    assert len(walk(simulator, token, **PLAIN, syncToken=sync)[0]) == 1


def test_one_account_cannot_use_the_sync_token_of_another(simulator: Simulator, token: str) -> None:
    _, sync = walk(simulator, token, **PLAIN)
    other = simulator.grant(simulator.facts["accounts"][1], [AUTH + "contacts.readonly"])["access_token"]
    assert get(simulator, CONNECTIONS, other, **PLAIN, syncToken=sync)[0] == 400


@pytest.mark.parametrize("seed", range(6))
def test_a_client_that_follows_syncs_holds_what_the_world_holds(
    simulator: Simulator, account: str, token: str, seed: int
) -> None:
    chance = random.Random(seed)
    asked = {**PLAIN, "personFields": "names,organizations,metadata", "pageSize": chance.choice([1, 7, 100])}
    full, sync = walk(simulator, token, **asked)
    mirror = {person["resourceName"]: person for person in full}
    for _ in range(4):
        edits = []
        alive = sorted(mirror)
        for name in chance.sample(alive, 8):
            fields = {"title": f"Title {chance.random()}"}
            edits.append(
                chance.choice(
                    [{"do": "change_contact", "id": name, "fields": fields}, {"do": "delete_contact", "id": name},
                     {"do": "rename_contact", "id": name}, {"do": "add_contact", "fields": {"given_name": "New"}}]
                )
            )  # fmt: skip
        simulator.edit(account, *edits)
        changed, sync = walk(simulator, token, **asked, syncToken=sync)
        for person in changed:
            for former in person["metadata"].get("previousResourceNames", []):
                mirror.pop(former, None)
            mirror[person["resourceName"]] = person
            if person["metadata"].get("deleted"):
                del mirror[person["resourceName"]]
        truth = {contact["id"]: contact for contact in simulator.truth(account, "contacts")}
        assert mirror.keys() == truth.keys()
        titles = {name: person.get("organizations", [{}])[0].get("title", "") for name, person in mirror.items()}
        assert titles == {name: contact["title"] for name, contact in truth.items()}


def test_groups_and_other_contacts_have_sync_tokens_of_their_own(
    simulator: Simulator, account: str, token: str, discovery: Discovery
) -> None:
    _, of_groups = walk(simulator, token, PEOPLE + "/contactGroups")
    others = {"readMask": "names,metadata", "requestSyncToken": "true"}
    _, of_others = walk(simulator, token, PEOPLE + "/otherContacts", **others)
    simulator.edit(
        account,
        {"do": "edit_group", "group": "regulars", "name": "regulars"},
        {"do": "edit_group", "group": "suppliers"},
        {"do": "add_contact", "other": True, "fields": {"given_name": "Vee"}},
    )
    groups, _ = walk(simulator, token, PEOPLE + "/contactGroups", syncToken=of_groups)
    assert groups[0]["name"] == "regulars"
    assert groups[1]["metadata"]["deleted"] is True
    for group in groups:
        discovery.check_named("ContactGroup", group)
    people, _ = walk(simulator, token, PEOPLE + "/otherContacts", **others, syncToken=of_others)
    assert [person["names"][0]["displayName"] for person in people] == ["Vee"]


def test_a_partial_response_has_only_what_was_asked_for(simulator: Simulator, token: str) -> None:
    _, page = get(
        simulator,
        CONNECTIONS,
        token,
        personFields="names,metadata",
        fields="nextPageToken,connections(names/displayName)",
    )
    assert set(page) == {"connections", "nextPageToken"}
    assert page["connections"][0] == {"names": [{"displayName": "สมหญิง รุ่งเรือง"}]}


def test_an_owned_picture_is_a_png_and_the_host_asks_for_no_token(simulator: Simulator, token: str) -> None:
    people, _ = walk(simulator, token, personFields="photos", requestSyncToken="true")
    owned = next(photo["url"] for person in people for photo in person["photos"] if not photo.get("default"))
    status, raw = simulator.request("GET", "/" + owned.removeprefix("https://"))
    assert (status, raw[:4]) == (200, b"\x89PNG")


def test_the_walker_itself_finds_drift(discovery: Discovery) -> None:
    person = {"resourceName": "people/c1", "names": [{"displayName": "A", "shoeSize": 3}]}
    with pytest.raises(Drift, match="shoeSize"):
        discovery.check_named("Person", person)
    with pytest.raises(Drift, match="a list"):
        discovery.check_named("Person", {"names": {}})
    with pytest.raises(Drift, match="google-datetime"):
        discovery.check_named("Source", {"type": "CONTACT", "updateTime": "yesterday"})
    with pytest.raises(Drift, match="one of"):
        discovery.check_named("Source", {"type": "NEIGHBOUR"})
    with pytest.raises(Drift, match="int64"):
        Discovery("gmail", "v1").check_named("Message", {"internalDate": "1.5"})
    with pytest.raises(Drift, match="a text"):
        Discovery("gmail", "v1").check_named("Message", {"historyId": 17})

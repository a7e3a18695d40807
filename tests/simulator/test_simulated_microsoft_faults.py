"""Limits of a mailbox, and every fault that a script can name, as Graph and the identity platform word them."""

import http.client
import subprocess
import sys
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from simulator.client import Simulator
from simulator.distort import KINDS
from tests.conftest import ROOT
from tests.simulator.calls import post_form
from tests.simulator.microsoft_calls import LOGIN, Graph

INBOX = "/me/mailFolders/inbox/messages/delta"
TOKEN = LOGIN + "/common/oauth2/v2.0/token"


@pytest.fixture
def account(simulator: Simulator) -> str:
    return str(simulator.facts["microsoft"]["accounts"][0])


@pytest.fixture
def graph(simulator: Simulator, account: str) -> Graph:
    return Graph(simulator, str(simulator.grant(account, ["Mail.Read", "Contacts.Read"])["access_token"]))


def limits(simulator: Simulator, name: str) -> dict[str, Any]:
    return dict(simulator.control("counters")["quotas"][name])


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in items]


def at_once(many: int, act: Callable[[], Any]) -> list[Any]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(act())) for _ in range(many)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return results


def test_the_published_limits_hold_at_scale_one(simulator: Simulator) -> None:
    simulator.control("quota", {"scale": 1.0})
    mailbox, under_way = limits(simulator, "graph.mailbox"), limits(simulator, "graph.under_way")
    assert (mailbox["limit"], mailbox["window_s"], under_way["limit"]) == (10_000, 600.0, 4)


def test_a_mailbox_s_window_is_its_own_and_refused_calls_fill_it_too(
    simulator: Simulator, account: str, graph: Graph
) -> None:
    simulator.control("quota", {"scale": 1.0, "limits": {"graph.mailbox": 3}})
    assert [graph.get(INBOX)[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    status, reply = graph.get("/me/contacts")
    assert (status, reply["error"]["code"]) == (429, "ApplicationThrottled")
    assert 590 < int(graph.headers["retry-after"]) <= 600
    other = Graph(
        simulator, simulator.grant(simulator.facts["microsoft"]["accounts"][1], ["Mail.Read"])["access_token"]
    )
    assert other.get(INBOX)[0] == 200
    simulator.advance(601)
    assert graph.get(INBOX)[0] == 200
    counted = limits(simulator, "graph.mailbox")["keys"]
    assert next(one for key, one in counted.items() if key.endswith(account))["refused"] == 3


def test_a_fifth_call_under_way_is_refused_at_once(simulator: Simulator, account: str, graph: Graph) -> None:
    simulator.control("quota", {"scale": 1.0})
    simulator.control("graph", {"latency_s": 0.7})
    statuses = at_once(6, lambda: Graph(simulator, graph.token).get(INBOX)[0])
    assert sorted(statuses) == [200] * 4 + [429] * 2
    under_way = limits(simulator, "graph.under_way")
    assert (under_way["peak"], under_way["refused"]) == (4, 2)
    assert graph.get(INBOX)[0] == 200
    throttled = [one for one in simulator.requests(path="messages") if one["status"] == 429]
    assert not any(one["carried_out"] for one in throttled)


def test_a_call_that_was_cut_off_is_no_longer_under_way(simulator: Simulator, graph: Graph) -> None:
    simulator.control("quota", {"scale": 1.0})
    simulator.fault({"drop": True}, path="messages", times=6)
    for _ in range(6):
        with pytest.raises((http.client.HTTPException, OSError)):
            graph.get(INBOX)
    assert graph.get(INBOX)[0] == 200


def test_the_message_of_a_refusal_names_the_limit(simulator: Simulator, graph: Graph) -> None:
    simulator.control("quota", {"scale": 1.0, "limits": {"graph.under_way": 1}})
    simulator.control("graph", {"latency_s": 0.4, "throttle_code": "TooManyRequests"})
    replies = at_once(2, lambda: Graph(simulator, graph.token).get(INBOX))
    refused = next(reply for status, reply in replies if status == 429)
    assert refused["error"]["code"] == "TooManyRequests"
    assert refused["error"]["message"] == "Application is over its MailboxConcurrency limit."


@pytest.mark.parametrize("way", ["seconds", "fraction", "date", "none"])
def test_a_refusal_says_when_to_come_back_in_every_way(simulator: Simulator, graph: Graph, way: str) -> None:
    simulator.control("quota", {"scale": 1.0, "limits": {"graph.mailbox": 1}})
    simulator.control("graph", {"retry_after": way})
    assert [graph.get(INBOX)[0] for _ in range(2)] == [200, 429]
    said = graph.headers.get("retry-after", "")
    if way == "date":
        assert parsedate_to_datetime(said).tzinfo is not None
    else:
        assert ("." in said, said.isdigit(), said == "") == (way == "fraction", way == "seconds", way == "none")


def test_every_call_of_a_batch_counts_and_is_throttled_by_itself(simulator: Simulator, graph: Graph) -> None:
    simulator.control("quota", {"scale": 1.0, "limits": {"graph.mailbox": 4}})
    status, reply = graph.batch(*[{"url": "/me/messages?$top=1"}] * 6)
    assert status == 200
    assert [one["status"] for one in reply["responses"]] == [200] * 4 + [429] * 2
    assert all("Retry-After" in one["headers"] for one in reply["responses"][4:])
    assert limits(simulator, "graph.mailbox")["peak"] == 4


def test_an_account_without_a_mailbox_says_so(simulator: Simulator, account: str, graph: Graph) -> None:
    simulator.control("graph", {"without_mailbox": [account]})
    status, reply = graph.get(INBOX)
    assert (status, reply["error"]["code"]) == (404, "MailboxNotEnabledForRESTAPI")


@pytest.mark.parametrize(
    ("status", "why", "seen"),
    [(401, None, "InvalidAuthenticationToken"), (403, None, "ErrorAccessDenied"), (404, "ErrorInvalidUser", None),
     (410, "resyncRequired", None), (429, "activityLimitReached", None), (500, "ErrorCorruptData", None),
     (503, None, "ServiceUnavailable"), (507, None, "ErrorQuotaExceeded")],
)  # fmt: skip
def test_a_status_is_sent_in_graph_s_own_envelope_and_nothing_is_carried_out(
    simulator: Simulator, graph: Graph, status: int, why: str | None, seen: str | None
) -> None:
    simulator.fault({"status": status, "reason": why}, host="graph.microsoft.com")
    got, reply = graph.get(INBOX)
    assert (got, reply["error"]["code"]) == (status, why or seen)
    assert ("www-authenticate" in graph.headers) == (status == 401)
    assert simulator.requests()[-1]["carried_out"] is False
    assert graph.get(INBOX)[0] == 200


def test_an_outage_may_have_an_empty_body_and_a_refusal_any_time(simulator: Simulator, graph: Graph) -> None:
    simulator.fault({"status": 504, "body": {"text": ""}}, path="messages")
    assert graph.get(INBOX) == (504, b"")
    simulator.fault({"status": 429, "retry_after": "2.128"}, path="messages")
    assert graph.get(INBOX)[0] == 429
    assert graph.headers["retry-after"] == "2.128"


@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_the_identity_platform_words_its_own(simulator: Simulator, account: str, status: int) -> None:
    simulator.fault({"status": status}, path="/token$")
    got, reply = post_form(simulator, TOKEN, {})
    assert got == status
    assert reply["error_description"].startswith("AADSTS")
    simulator.fault({"status": 400, "reason": "700082"}, path="/token$")
    assert post_form(simulator, TOKEN, {})[1]["error_codes"] == [700082]


def test_a_lost_reply_of_a_refresh_leaves_the_old_token_good(simulator: Simulator, account: str) -> None:
    client = simulator.facts["microsoft"]
    form = {"grant_type": "refresh_token", "refresh_token": simulator.grant(account, ["Mail.Read"])["refresh_token"],
            "client_id": client["client_id"], "client_secret": client["client_secret"]}  # fmt: skip
    sent = {"content-type": "application/x-www-form-urlencoded"}
    simulator.fault({"lost_reply": True}, path="/token$")
    with pytest.raises((http.client.HTTPException, OSError)):
        simulator.request("POST", TOKEN, urlencode(form).encode(), sent)
    assert simulator.requests()[-1]["carried_out"] is True
    assert post_form(simulator, TOKEN, form)[0] == 200
    simulator.control("entra", {"rotation": "strict"})
    simulator.fault({"lost_reply": True}, path="/token$")
    with pytest.raises((http.client.HTTPException, OSError)):
        simulator.request("POST", TOKEN, urlencode(form).encode(), sent)
    assert post_form(simulator, TOKEN, form)[1]["error"] == "invalid_grant"


def test_half_a_body_and_a_reset_end_the_connection(simulator: Simulator, graph: Graph) -> None:
    for action in ({"half_body": True}, {"reset": "during"}, {"reset": True}):
        simulator.fault(action, path="messages")
        with pytest.raises((http.client.HTTPException, OSError)):
            graph.get(INBOX)
    assert graph.get(INBOX)[0] == 200


@pytest.mark.parametrize("first", [True, False])
def test_an_empty_page_with_a_next_link_leads_on_and_loses_nothing(
    simulator: Simulator, account: str, graph: Graph, *, first: bool
) -> None:
    whole, link = graph.walk(INBOX, select="id")
    simulator.fault({"empty_page_with_token": True}, path="messages/delta", nth=1 if first else 2)
    assert ids(graph.walk(INBOX, select="id")[0]) == ids(whole)
    simulator.clear_faults()
    simulator.edit(account, {"do": "touch_messages", "percent": 50})
    later, _ = graph.walk(link)
    simulator.fault({"empty_page_with_token": True}, path="messages/delta", nth=1 if first else 2)
    assert ids(graph.walk(link)[0]) == ids(later)


def test_a_repeated_next_link_leads_to_the_same_page(simulator: Simulator, graph: Graph) -> None:
    _, page = graph.get(INBOX)
    simulator.fault({"repeat_page_token": True}, path="messages/delta", times=2)
    _, second = graph.get(page["@odata.nextLink"])
    _, third = graph.get(second["@odata.nextLink"])
    assert second["@odata.nextLink"].split("skiptoken=")[1] == page["@odata.nextLink"].split("skiptoken=")[1]
    assert ids(third["value"]) == ids(second["value"])
    assert "@odata.deltaLink" not in third


def test_items_may_come_twice_backwards_odd_or_spoilt(simulator: Simulator, graph: Graph) -> None:
    _, plain = graph.get(INBOX)
    for action, check in (
        ({"duplicate_items": 2}, lambda page: ids(page["value"]) == ids([*plain["value"], *plain["value"][:2]])),
        ({"reorder": True}, lambda page: ids(page["value"]) == ids(plain["value"][::-1])),
        ({"unknown_fields": True}, lambda page: "xSimulatorOdd" in page["value"][0] and "xSimulatorUnknown" in page),
        ({"spoil_item": {"toRecipients": 7}}, lambda page: page["value"][0]["toRecipients"] == 7),
    ):
        simulator.fault(action, path="messages/delta")
        status, page = graph.get(INBOX)
        assert status == 200
        assert check(page)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_bad_body_leaves_as_it_was_written(simulator: Simulator, graph: Graph, kind: str) -> None:
    simulator.fault({"body": {"kind": kind}}, path="messages/delta")
    headers = {"authorization": f"Bearer {graph.token}"}
    plain_path = "/graph.microsoft.com/v1.0" + INBOX
    status, bad = simulator.request("GET", plain_path, headers=headers)
    _, good = simulator.request("GET", plain_path, headers=headers)
    assert status == 200
    assert bad != good


def test_a_message_may_be_told_as_removed_though_it_is_there(simulator: Simulator, account: str, graph: Graph) -> None:
    prefer = 'IdType="ImmutableId"'
    items, link = graph.walk(INBOX, prefer, select="id")
    simulator.edit(account, {"do": "misreport_message", "id": items[3]["id"]})
    told, link = graph.walk(link, prefer)
    assert [(one["id"], "@removed" in one) for one in told] == [(items[3]["id"], True)]
    assert graph.get(f"/me/messages/{items[3]['id']}", prefer)[0] == 200
    simulator.edit(account, {"do": "change_message", "id": items[3]["id"], "flagged": True})
    assert ["@removed" in one for one in graph.walk(link, prefer)[0]] == [False]


def test_the_world_may_change_while_a_call_is_under_way(simulator: Simulator, account: str, graph: Graph) -> None:
    _, page = graph.get(INBOX)
    simulator.fault({"delay_s": 0.5}, path="messages/delta")
    found: list[Any] = []
    call = threading.Thread(target=lambda: found.append(graph.get(page["@odata.nextLink"])))
    call.start()
    simulator.edit(account, {"do": "delete_all_messages"})
    call.join()
    assert found[0][0] == 200
    assert found[0][1]["value"] == []


def test_the_journal_shows_what_was_asked_and_no_links(simulator: Simulator, account: str, graph: Graph) -> None:
    _, link = graph.walk(INBOX, "odata.maxpagesize=500", select="id")
    graph.get(link)
    entry = simulator.requests(path="messages/delta")[-1]
    assert (entry["account"], entry["status"]) == (account, 200)
    assert entry["quota_units"] == {"graph.mailbox": 1}
    assert link.split("deltatoken=")[1][:40] not in str(entry)


def test_small_pages_can_be_asked_of_every_provider(simulator: Simulator) -> None:
    with Simulator.start(people=20, messages=40, accounts=1, page_limit=3) as small:
        account = small.facts["microsoft"]["accounts"][0]
        other = Graph(small, small.grant(account, ["Mail.Read"])["access_token"])
        assert len(other.get(INBOX, "odata.maxpagesize=100")[1]["value"]) == 3


def test_a_start_by_hand_says_its_address_its_hosts_and_its_accounts() -> None:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--accounts", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        process.terminate()
        said = process.stdout.read()
    assert address.startswith("http://127.0.0.1:")
    assert "Microsoft: graph.microsoft.com, login.microsoftonline.com" in said
    assert said.count("@office1.example") == 2
    assert said.count("@letters.example") == 1

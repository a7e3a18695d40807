"""Everything the whole way: consent, vault, ledger, scheduler, doorbell, connector, Postgres, feed, disconnect."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment import Deployment
from worker.settings import Settings

ALL = ("contacts", "mail", "calendar")
AWAY = {"SPAM", "TRASH"}


@pytest.fixture(scope="module")
def deployment(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    world = {"messages": 230, "events": 70, "accounts": 8}
    logs = tmp_path_factory.mktemp("logs")
    with Deployment.start(module_settings, logs, simulator=world, gmail_window_days=0) as running:
        running.next_account = iter(running.accounts)  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def account(deployment: Deployment) -> str:
    """An account that no other test uses."""
    return next(deployment.next_account)  # type: ignore[attr-defined, no-any-return]


def names(items: list[Any]) -> list[str]:
    return sorted(item.display_name for item in items)


def mails(deployment: Deployment, account: str) -> list[dict[str, Any]]:
    items = deployment.simulator.truth(account, "messages")
    return [item for item in items if not AWAY & set(item["labels"]) and not item["vanished"]]


def meetings(deployment: Deployment, account: str) -> list[dict[str, Any]]:
    listed = {item["id"]: item for item in deployment.simulator.truth(account, "calendars")}
    shown = {key for key, item in listed.items() if not item["hidden"] and item["role"] != "freeBusyReader"}
    events = deployment.simulator.truth(account, "events")
    return [item for item in events if item["calendar_id"] in shown and item["kind"] in {"default", "fromGmail"}]


def test_first_light_what_a_google_account_holds_arrives(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account, purposes=ALL)
    deployment.sync(connection)
    truth = deployment.simulator.truth(account, "contacts")
    assert names(deployment.held(connection, "contacts")) == sorted(item["display_name"] for item in truth)
    held = deployment.held(connection, "messages")
    assert len(held) == len(mails(deployment, account))
    assert {"สวัสดี" in mail.text or "ขอบคุณ" in mail.text for mail in held} == {True, False}
    assert len(deployment.held(connection, "events")) == len(meetings(deployment, account))


def test_first_light_only_what_changed_is_announced(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account, purposes=ALL)
    deployment.sync(connection)
    head = deployment.client.feed_head()
    deployment.simulator.edit(
        account,
        {"do": "add_message", "fields": {"subject": "Only this", "text": "one line"}},
        {"do": "trash_message", "id": "#100"},
        {"do": "add_event", "fields": {"title": "Only that"}},
        {"do": "cancel_event", "id": "#60"},
        {"do": "delete_contact", "id": "#30"},
    )
    deployment.sync(connection)
    news = [(each.stream, each.event) for each in deployment.client.feed(after=head) if each.key]
    assert sorted(news) == [
        ("contacts", "record.deleted"),
        ("events", "record.deleted"),
        ("events", "record.saved"),
        ("messages", "record.deleted"),
        ("messages", "record.saved"),
    ]


def test_p12_counters_of_every_stream_add_up(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account, purposes=ALL)
    deployment.sync(connection)
    deployment.simulator.edit(
        account, {"do": "touch_messages", "percent": 20}, {"do": "touch_events", "percent": 20},
        {"do": "touch", "percent": 20}, {"do": "delete_message", "ids": ["#101", "#102"]},
    )  # fmt: skip
    for full in (False, True):
        for job in deployment.sync(connection, full=full):
            counted = job.outcome or {}
            parts = ("saved", "unchanged", "deleted", "repeated", "skipped", "refused")
            assert counted["seen"] == sum(counted[part] for part in parts), (job.args, counted)


def test_p12_a_mailbox_that_is_emptied_waits_for_a_word(deployment: Deployment, account: str) -> None:
    connection = deployment.connect(account, purposes=["mail"])
    deployment.sync(connection, "messages")
    before = len(deployment.held(connection, "messages"))
    deployment.simulator.edit(account, {"do": "delete_all_messages"})
    deployment.sync(connection, "messages")
    assert len(deployment.held(connection, "messages")) == before
    (hold,) = deployment.client.holds()
    deployment.wait(deployment.client.decide_deletions(hold.hold_id, approve=True))
    assert deployment.held(connection, "messages") == []

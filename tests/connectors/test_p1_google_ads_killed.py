"""P1 with Google's own days: a worker killed in the commit of a slice leaves it whole, in every zone and currency.

One line of time from Friday to Monday, over the night on which Berlin's clocks go back. Every few hours Google corrects
days, a run is killed at a statement of its commits, and another worker goes on.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from simulator.client import Simulator
from tests.connectors.advertising import NUMBERS, AdsSession, Advertiser, _World
from tests.sync.measured import Reader, held
from tests.sync.one_connection import OneConnection
from tests.sync.test_p1_killed_at_every_statement import (
    adds_up,
    another_worker_takes_over,
    counters,
    run_killed_where,
)
from worker.connectors.google_ads import CONNECTOR
from worker.connectors.google_ads_accounts import leaf_parts
from worker.settings import Role
from worker.store.database import Database
from worker.sync.run import Run
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

FRIDAY = datetime(2026, 10, 23, 18, tzinfo=UTC)
READ = {"bangkok": "THB", "tokyo": "JPY", "bahrain": "BHD", "berlin": "EUR"}
HOURS = 7
DEATHS = (
    "FOR SHARE", "FROM crm_sync.measure", "INSERT INTO crm_sync.measure ", "DELETE FROM crm_sync.measure m",
    "crm_sync.measured_account", "SET sealed_cursor", "crm_sync.feed_entry", "UPDATE crm_sync.job",
)  # fmt: skip
"""What the statements of a slice's commit have in them, first to last."""
Figures = dict[tuple[str, str, date], tuple[Any, ...]]


class Read(OneConnection):
    """The days of four accounts, one of each currency, read in a session that a forked process may use."""

    session: AdsSession

    def run(self, *, pages: int | None = None, **changes: Any) -> Run:
        return super().run(pages=pages, session=self.session, now=self.session.now, **changes)


@pytest.fixture
def person(worker_db: Database, workspace: str) -> Iterator[Advertiser]:
    keys = KeyStore(worker_db, grant=Keyring.generate("grant"), records=Keyring.generate("records"))
    options: dict[str, Any] = {"people": 5, "messages": 5, "events": 5, "accounts": 1, "epoch": FRIDAY.timestamp()}
    with Simulator.start(seed=11, quota_scale=1000, **options) as simulator:
        account = str(simulator.facts["accounts"][0])
        made = Advertiser(simulator, worker_db, keys, workspace, account, history_days=12, restatement_days=6)
        stream = CONNECTOR.stream("campaign_days")
        assert stream is not None
        wanted = {made.ads.id(key) for key in READ}
        stream = replace(stream, parts=lambda session: [part for part in leaf_parts(session) if part.key in wanted])
        made._connections["campaign_days"] = Read(worker_db, keys, workspace, _World(stream))  # type: ignore[arg-type]
        yield made
        made.close()


def corrected(person: Advertiser, number: int) -> None:
    """Google counts anew: today costs something else, and every other time yesterday has become nothing."""
    for key in READ:
        campaign = person.ads.truth(key, kind="campaigns")[0]["id"]
        today = person.today(key)
        figures = {"impressions": 5 + number, "clicks": number, "cost_micros": 1_000_003 * (number + 1)}
        yesterday = None if number % 2 else {**figures, "cost_micros": 7 + number}
        days = {today.isoformat(): figures, (today - timedelta(days=1)).isoformat(): yesterday}
        person.ads.edit(do="restate_days", customer=key, campaign=campaign, days=days)


def newest(days: dict[tuple[str, str, date], dict[str, Any]], since: date) -> Figures:
    shown = {key: tuple(row[name] for name in NUMBERS) for key, row in days.items() if key[2] >= since}
    return {key: figures for key, figures in shown.items() if any(figures)}


def killed_at(one: Read, url: str, fragment: str, occurrence: int) -> bool:
    """Run in a child that is killed when it sends such a statement for the so-manieth time; False if it ended first."""
    seen = 0

    def is_here(_count: int, text: str) -> bool:
        nonlocal seen
        seen += fragment in text
        return fragment in text and seen == occurrence

    return run_killed_where(one, url, is_here)


@pytest.mark.slow
def test_p1_a_worker_killed_in_a_slice_of_restated_days_leaves_it_whole_in_every_zone_and_currency(
    person: Advertiser, database_urls: dict[Role, str]
) -> None:
    one = person.of("campaign_days")
    assert isinstance(one, Read)
    one.session = person.new_session()
    one.sync()
    reader = Reader(one)
    reader.read()
    killed = 0
    for number, fragment in enumerate(DEATHS + DEATHS):
        person.simulator.advance(HOURS * 3600)
        corrected(person, number)
        since = {key: person.today(key) - timedelta(days=2) for key in READ}
        before = {key: newest(person.held_days(key), since[key]) for key in READ}
        truth = {key: newest(person.true_days(key, since=since[key]), since[key]) for key in READ}
        one.begin_again()
        one.session = person.new_session()
        killed += killed_at(one, database_urls[Role.WORKER], fragment, 1 + number % 3)
        for key in READ:
            assert newest(person.held_days(key), since[key]) in (before[key], truth[key]), (fragment, key)
        assert reader.read() == held(one), f"feed and rows differ after a kill at {fragment}"
        one.session = person.new_session()
        another_worker_takes_over(one)
        for key, currency in READ.items():
            person.assert_true(key, since=person.today(key) - timedelta(days=6))
            assert {row["currency"] for row in person.held_days(key).values()} == {currency}
        assert reader.read() == held(one)
        assert all(adds_up(row) for row in counters(one))
    assert killed > 0.8 * len(DEATHS + DEATHS)

"""A connection to the simulated Google Ads, run by the real engine, and what the simulator knows to be true."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from simulator.client import Simulator
from tests.connectors.sessions import ConnectorSession
from tests.simulator.ads_calls import AdsCaller
from tests.sync.one_connection import OneConnection
from worker.connectors.contract import Stream
from worker.connectors.google_ads import CONNECTOR, FACTS, SCOPE
from worker.records import Body, Kind, read_normal_form
from worker.store.database import Database
from worker.sync.run import RunNotes
from worker.transport.client import Transport
from worker.vault.keys import KeyStore

DEFAULTS: dict[str, Any] = {
    "api_version": "v26",
    "developer_token": "",
    "history_days": 1_110,
    "restatement_days": 90,
}
MILLION = 1_000_000


class AdsSession(ConnectorSession):
    """A session whose clock is the simulator's."""

    simulator: Simulator

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.simulator.control("clock")["now"], UTC)


class _World:
    """What `OneConnection` asks of a provider."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def stream(self) -> Stream:
        return self._stream


class Advertiser:
    """One Google account connected through the connector, over a real Postgres."""

    def __init__(
        self, simulator: Simulator, database: Database, keys: KeyStore, workspace: str, account: str, **options: Any
    ) -> None:
        self.ads = AdsCaller(simulator, account)
        self.simulator = simulator
        self._make = (database, keys, workspace)
        self._connections: dict[str, OneConnection] = {}
        self._transport = Transport(route=simulator.url)
        self.options = {**DEFAULTS, **options}
        self.session = self.new_session()

    def new_session(self) -> AdsSession:
        """A session with a fresh access token."""
        token = str(self.simulator.grant(self.ads.account, [*FACTS.oauth.identity_scopes, SCOPE])["access_token"])
        made = AdsSession(self._transport, FACTS.hosts, FACTS.budgets, token=token, **self.options)
        made.simulator = self.simulator
        return made

    def close(self) -> None:
        self._transport.close()

    def of(self, stream: str) -> OneConnection:
        if stream not in self._connections:
            found = CONNECTOR.stream(stream)
            assert found is not None
            self._connections[stream] = OneConnection(*self._make, _World(found))  # type: ignore[arg-type]
        return self._connections[stream]

    def sync(self, stream: str = "campaign_days", *, pages: int | None = None, **changes: Any) -> RunNotes:
        """A run of its own, as a job that is asked for anew."""
        one = self.of(stream)
        one.begin_again()
        return one.sync(pages=pages, session=self.session, now=self.session.now, **changes)

    def held_days(self, *accounts: str) -> dict[tuple[str, str, date], dict[str, Any]]:
        """The rows that we hold, of accounts by their keys, or all."""
        ids = {self.ads.id(key) for key in accounts}
        rows = self.of("campaign_days").rows(
            "SELECT * FROM crm_sync.measure WHERE connection_id = %s", self.of("campaign_days").connection_id
        )
        return {
            (row["account_id"], row["campaign_id"], row["day"]): row
            for row in rows
            if not ids or row["account_id"] in ids
        }

    def true_days(self, *accounts: str, since: date | None = None) -> dict[tuple[str, str, date], dict[str, Any]]:
        """What the simulator knows of the accounts, in the form of our rows."""
        result = {}
        for key in accounts:
            query = {"from": since.isoformat()} if since else {}
            for item in self.ads.truth(key, **query):
                day = date.fromisoformat(item["day"])
                result[item["customer"], item["campaign"], day] = {
                    "currency": item["currency"],
                    "cost_micros": item["cost_micros"],
                    "impressions": item["impressions"],
                    "clicks": item["clicks"],
                    "conversions": Decimal(item["conversions"]) / MILLION,
                    "conversion_value": Decimal(item["conversions_value"]) / MILLION,
                }
        return result

    def assert_true(self, *accounts: str, since: date | None = None) -> None:
        """What we hold of these accounts is the truth, to the micro."""
        truth = self.true_days(*accounts, since=since)
        held = {key: row for key, row in self.held_days(*accounts).items() if since is None or key[2] >= since}
        assert held, "something is held"
        visible = {key for key, numbers in truth.items() if any(numbers[name] for name in NUMBERS)}
        assert set(held) == visible
        for key in visible:
            assert {name: held[key][name] for name in truth[key]} == truth[key], key

    def bodies(self, stream: str, kind: Kind) -> list[Body]:
        return [read_normal_form(kind, plain) for plain in self.of(stream).names().values()]

    def today(self, key: str) -> date:
        return date.fromisoformat(self.ads.today(key))


NUMBERS = ("cost_micros", "impressions", "clicks", "conversions", "conversion_value")
MakeAdvertiser = Callable[..., Advertiser]


def sums(rows: Iterable[dict[str, Any]]) -> int:
    return sum(row["cost_micros"] for row in rows)

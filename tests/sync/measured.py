"""A scripted provider of campaign days, and what of it a connection holds and a reader of the feed believes."""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tests.sync.one_connection import OneConnection
from worker.connectors.contract import Stream
from worker.measures import CampaignDay, Slice
from worker.records import Kind, Page, Part, Purpose, Refused

Truth = dict[tuple[str, str, date], CampaignDay]
TODAY = date(2026, 11, 22)


@dataclass
class AdWorld:
    """Ad accounts with their campaign days. Each run reads `days` back from today, newest first, a few days a page.

    With a `reading`, what was read under that number is not read again.
    """

    accounts: dict[str, dict[tuple[str, date], CampaignDay]] = field(default_factory=lambda: {"111": {}})
    days: int = 12
    days_a_page: int = 5
    currency: str = "EUR"
    time_zone: str = "Europe/Berlin"
    broken: set[tuple[str, date]] = field(default_factory=set)
    whole: bool = True
    reading: int | None = None

    def spend(self, campaign: str, day: date, cost_micros: int, account: str = "111", **facts: Any) -> None:
        row = CampaignDay(campaign_id=campaign, day=day, campaign_name=f"Campaign {campaign}", cost_micros=cost_micros)
        self.accounts[account][campaign, day] = msgspec.structs.replace(row, **facts)

    def fill(self, campaigns: int, seed: int = 1) -> "AdWorld":
        chance = random.Random(seed)
        for account in self.accounts:
            for campaign in range(campaigns):
                for back in range(self.days):
                    conversions = Decimal(chance.randrange(10_000)) / 1_000
                    cost = chance.randrange(10**10)
                    day = TODAY - timedelta(days=back)
                    self.spend(f"c{campaign}", day, cost, account, impressions=back, conversions=conversions)
        return self

    def stream(self, **facts: Any) -> Stream:
        given: dict[str, Any] = {
            "name": "campaign_days",
            "purpose": Purpose.CAMPAIGN_STATS,
            "kind": Kind.CAMPAIGN_DAY,
            "scopes": (),
            "interval": timedelta(hours=1),
            "parts": lambda _session: [Part(key=name, label=name) for name in self.accounts],
            "pages": self.pages,
        }
        return Stream(**{**given, **facts})

    def pages(self, _session: object, part: Part, cursor: bytes | None) -> Iterator[Page]:
        place = json.loads(cursor) if cursor else {"back": 0, "reading": self.reading}
        back = place["back"] if place["reading"] == self.reading else 0
        if back >= self.days:
            yield Page(cursor=cursor or b"")
            return
        while True:
            newest = TODAY - timedelta(days=back)
            back = min(back + self.days_a_page, self.days)
            more = back < self.days
            oldest = TODAY - timedelta(days=back - 1)
            following = {"back": 0 if not more and self.reading is None else back, "reading": self.reading}
            yield self.page(part, oldest, newest, following, more=more)
            if not more:
                return

    def page(self, part: Part, first: date, last: date, cursor: dict[str, Any], *, more: bool = False) -> Page:
        of = Slice(part.key, self.currency, self.time_zone, first, last, part.label, whole=self.whole)
        shown = {key: row for key, row in self.accounts[part.key].items() if key[1] in of}
        return Page(
            measures=tuple(row for key, row in shown.items() if key not in self.broken),
            refused=tuple(
                Refused(f"{key[0]}/{key[1]}", "bad_record", "metrics") for key in shown if key in self.broken
            ),
            cursor=json.dumps(cursor).encode(),
            more=more,
            covers=of,
        )

    def truth(self) -> Truth:
        return {(account, *key): row for account, rows in self.accounts.items() for key, row in rows.items()}


def held(one: OneConnection) -> Truth:
    """What we hold."""
    rows = one.rows("SELECT * FROM crm_sync.measure WHERE connection_id = %s", one.connection_id)
    names = CampaignDay.__struct_fields__
    found = {
        (row["account_id"], row["campaign_id"], row["day"]): CampaignDay(**{name: row[name] for name in names})
        for row in rows
    }
    assert len(found) == len(rows), "a day is held twice"
    return found


def announced(one: OneConnection, after: int = 0) -> list[dict[str, Any]]:
    """The details of every announced slice."""
    rows = one.rows(
        "SELECT details FROM crm_sync.feed_entry WHERE connection_id = %s AND event = 'measures.changed' "
        "AND position > %s ORDER BY position",
        one.connection_id, after,
    )  # fmt: skip
    return [row["details"] for row in rows]


@dataclass
class Reader:
    """Keeps a copy of an analyst's own, by re-reading the slices that the feed announces, and nothing else."""

    one: OneConnection
    copy: Truth = field(default_factory=dict)
    position: int = 0

    def read(self) -> Truth:
        """Read the news and return the copy."""
        now = held(self.one)
        for entry in announced(self.one, self.position):
            first, last = date.fromisoformat(entry["from"]), date.fromisoformat(entry["to"])

            def concerned(rows: Iterable[tuple[str, str, date]], account=entry["account"], first=first, last=last):
                return [key for key in rows if key[0] == account and first <= key[2] <= last]

            for key in concerned(self.copy):
                del self.copy[key]
            self.copy.update({key: now[key] for key in concerned(now)})
        head = self.one.rows("SELECT coalesce(max(position), 0) AS n FROM crm_sync.feed_entry")
        self.position = head[0]["n"]
        return self.copy


def restated(row: CampaignDay, **changes: Any) -> CampaignDay:
    return msgspec.structs.replace(row, **changes)


def in_slices_of(world: AdWorld, days: int) -> AdWorld:
    return replace(world, days_a_page=days)

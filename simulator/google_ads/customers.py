"""Google Ads accounts: who manages whom, who may log in to which, and what is in an account.

    Google account ─direct access─▶ customer ─manages─▶ customer ─manages─▶ …

A customer may have several managers. What was removed from a manager stays where else it is linked.
Source: the provider sheet, sections 8.3 and 8.4.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from simulator.world import Account
from simulator.world.ad_campaigns import Campaign, make_campaigns
from simulator.world.ad_days import MINUTES

STATUSES = ("ENABLED", "CANCELED", "SUSPENDED", "CLOSED")


@dataclass(frozen=True, slots=True)
class ConversionAction:
    """What counts as a conversion, and for how long after a click."""

    number: int
    name: str
    status: str
    kind: str
    category: str
    click_days: int
    view_days: int


@dataclass(slots=True, eq=False)
class Customer:
    """One account; `key` is its name in tests. Campaigns come to life when they are first asked for.

    `clients` are the accounts that it manages, with whether the link is hidden; `closed_to` are the subjects of Google
    accounts that may not see it, whatever they manage. Campaigns began at most `reach` days before `made_on`, 0: years.
    """

    key: str
    number: int
    name: str
    currency: str
    zone: str
    manager: bool
    status: str
    test: bool
    seed: int
    size: int
    made_on: int
    reach: int = 0
    clients: dict[int, bool] = field(default_factory=dict)
    closed_to: set[str] = field(default_factory=set)
    _campaigns: list[Campaign] | None = None

    @property
    def campaigns(self) -> list[Campaign]:
        """The campaigns, removed ones too."""
        if self._campaigns is None:
            count = 0 if self.manager else self.size
            self._campaigns = make_campaigns(self.seed, self.number, count, self.currency, self.made_on, self.reach)
        return self._campaigns

    def campaign(self, number: int) -> Campaign:
        """Return one of the campaigns.

        Raises: KeyError when there is none of that number.
        """
        for campaign in self.campaigns:
            if campaign.number == number:
                return campaign
        raise KeyError(f"campaign {number} of customer {self.number}")

    @property
    def actions(self) -> list[ConversionAction]:
        """The conversion actions; the longest look-back of an enabled one is 90 days."""
        first = self.number % 1_000_000 * 10 + 500_000_000
        return [
            ConversionAction(first, "Purchase", "ENABLED", "WEBPAGE", "PURCHASE", 90, 1),
            ConversionAction(first + 1, "ลงทะเบียน", "ENABLED", "WEBPAGE", "SUBMIT_LEAD_FORM", 30, 1),
            ConversionAction(first + 2, "Calls from ads", "ENABLED", "AD_CALL", "PHONE_CALL_LEAD", 7, 1),
            ConversionAction(first + 3, "Old sign-up", "REMOVED", "WEBPAGE", "SIGNUP", 60, 30),
        ]

    def local(self, at: float) -> datetime:
        """Return the wall clock of the account's time zone at a moment."""
        return datetime.fromtimestamp(at, ZoneInfo(self.zone))

    def today(self, at: float) -> int:
        """Return the account's date at a moment, as an ordinal."""
        return self.local(at).date().toordinal()

    def minutes(self, at: float) -> int:
        """Return how many 1440ths of the account's day are over; a day of 23 or 25 hours has as many."""
        now = self.local(at)
        start = now.replace(hour=0, minute=0, second=0, microsecond=0)
        length_s = _length_s(now)
        return min(MINUTES, int((at - start.timestamp()) * MINUTES / length_s))


def _length_s(now: datetime) -> float:
    start = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    ends = datetime.fromordinal(now.toordinal() + 1).replace(tzinfo=now.tzinfo)
    return ends.timestamp() - start.timestamp()


class Customers:
    """All accounts, and which Google accounts reach them directly."""

    def __init__(self) -> None:
        self._by_number: dict[int, Customer] = {}
        self._direct: dict[str, list[int]] = {}

    def __iter__(self) -> Iterator[Customer]:
        return iter(self._by_number.values())

    def add(self, customer: Customer) -> Customer:
        """Keep a customer.

        Raises: ValueError for a number that is taken.
        """
        if customer.number in self._by_number:
            raise ValueError(f"customer {customer.number} is there already")
        self._by_number[customer.number] = customer
        return customer

    def find(self, number: int) -> Customer | None:
        """Return a customer by number."""
        return self._by_number.get(number)

    def named(self, name: str | int) -> Customer:
        """Return a customer by number or by its name in tests.

        Raises: KeyError.
        """
        for customer in self._by_number.values():
            if str(name).replace("-", "") == str(customer.number) or name == customer.key:
                return customer
        raise KeyError(f"customer {name}")

    def link(self, manager: Customer, client: Customer, *, hidden: bool = False) -> None:
        """Put a client under a manager.

        Raises: ValueError where that would make a circle, or where the manager is none.
        """
        if not manager.manager:
            raise ValueError(f"{manager.key} is no manager")
        if any(one is manager for one, _, _ in self.below(client)):
            raise ValueError(f"{manager.key} is managed by {client.key}")
        manager.clients[client.number] = hidden

    def below(self, root: Customer) -> list[tuple[Customer, int, bool]]:
        """Return a customer and all that it manages, each once at its least level, with whether its link is hidden."""
        found = {root.number: (root, 0, False)}
        ring = [root]
        level = 0
        while ring:
            level += 1
            pairs = [(self._by_number[number], hidden) for one in ring for number, hidden in one.clients.items()]
            new = {client.number: (client, level, hidden) for client, hidden in pairs if client.number not in found}
            found |= new
            ring = [client for client, _, _ in new.values()]
        return list(found.values())

    def allow(self, account: Account, customer: Customer) -> None:
        """Give a Google account direct access."""
        numbers = self._direct.setdefault(account.sub, [])
        if customer.number not in numbers:
            numbers.append(customer.number)

    def withdraw(self, account: Account, customer: Customer) -> None:
        """Take direct access away.

        Raises: ValueError where there was none.
        """
        self._direct.get(account.sub, []).remove(customer.number)

    def direct(self, account: Account) -> list[Customer]:
        """Return what a Google account reaches directly."""
        return [self._by_number[number] for number in self._direct.get(account.sub, [])]

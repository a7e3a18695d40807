"""The advertising world at the beginning: an agency over accounts in five currencies, and some that make trouble.

    account 1   agency ─┬─ europe ─┬─ berlin (EUR)            second ─┬─ shared
                        │          ├─ gulf ── bahrain (BHD)           └─ second-shop (EUR)     (account 2 as well)
                        │          │        └─ closed-gulf (closed)
                        │          └─ shared (EUR, two managers)
                        ├─ bangkok (THB)   ├─ tokyo (JPY)    ├─ new-york (USD)
                        ├─ suspended       ├─ cancelled      ├─ no-access      └─ bulk ── bulk-1 …
                direct: shop (USD), cancelled-root
    account 2   second          account 3   solo (THB), lab (a test manager) ── lab-1          account 4   nothing

Further Google accounts reach nothing. `bulk` has as many accounts as `--ad-accounts` says: 18 of them with
`--ad-campaigns 50` have half a million campaign days within 37 months.

With `--page-limit` the world is small, so that a connector can be tried in all its faults: few campaigns, which began
lately, and from the second on every Google account has an agency of its own and reaches nothing else:

    account n   agency-n ─┬─ tokyo-n (JPY)   ├─ new-york-n (USD)   ├─ suspended-n   ├─ cancelled-n
                          └─ europe-n ─┬─ berlin-n (EUR)   └─ gulf-n ── closed-gulf-n (closed)
"""

from dataclasses import dataclass, replace

from simulator.google_ads.customers import Customer, Customers
from simulator.options import Options
from simulator.world import World
from simulator.world.dice import Dice

_FIRST_NUMBER = 1_000_000_000
_SMALL_CAMPAIGNS = 3
_SMALL_DAYS = 12


@dataclass(frozen=True, slots=True)
class _Plan:
    key: str
    under: tuple[str, ...]
    name: str
    currency: str
    zone: str
    manager: bool = False
    status: str = "ENABLED"
    test: bool = False


_BERLIN, _BANGKOK, _NEW_YORK = "Europe/Berlin", "Asia/Bangkok", "America/New_York"
_PLANS = (
    _Plan("agency", (), "Lantern Agency", "THB", _BANGKOK, manager=True),
    _Plan("europe", ("agency",), "Lantern Europe", "EUR", _BERLIN, manager=True),
    _Plan("gulf", ("europe",), "وكالة الفانوس", "BHD", "Asia/Bahrain", manager=True),
    _Plan("second", (), "Second Agency", "EUR", _BERLIN, manager=True),
    _Plan("bangkok", ("agency",), "ร้านดอกบัว", "THB", _BANGKOK),
    _Plan("tokyo", ("agency",), "Paper Crane Tokyo", "JPY", "Asia/Tokyo"),
    _Plan("new-york", ("agency",), "Hudson Books", "USD", _NEW_YORK),
    _Plan("berlin", ("europe",), "Möbel & Söhne", "EUR", _BERLIN),
    _Plan("bahrain", ("gulf",), "متجر اللؤلؤ", "BHD", "Asia/Bahrain"),
    _Plan("closed-gulf", ("gulf",), "أغلق", "BHD", "Asia/Bahrain", status="CLOSED"),
    _Plan("shared", ("europe", "second"), "Two Masters", "EUR", _BERLIN),
    _Plan("second-shop", ("second",), "Second Shop", "EUR", _BERLIN),
    _Plan("suspended", ("agency",), "Suspended Shop", "USD", _NEW_YORK, status="SUSPENDED"),
    _Plan("cancelled", ("agency",), "Cancelled Shop", "USD", _NEW_YORK, status="CANCELED"),
    _Plan("no-access", ("agency",), "No Longer Ours", "EUR", _BERLIN),
    _Plan("shop", (), "Corner Shop", "USD", _NEW_YORK),
    _Plan("cancelled-root", (), "Cancelled Root", "USD", _NEW_YORK, status="CANCELED"),
    _Plan("solo", (), "ร้านเดียว", "THB", _BANGKOK),
    _Plan("lab", (), "Test Manager", "USD", _NEW_YORK, manager=True, test=True),
    _Plan("lab-1", ("lab",), "Test Account", "JPY", "Asia/Tokyo", test=True),
)
_DIRECT = (("agency", "second", "shop", "cancelled-root"), ("second",), ("solo", "lab"))
_OWN = ("agency", "tokyo", "new-york", "suspended", "cancelled", "europe", "berlin", "gulf", "closed-gulf")
_BULK_PLACES = (("USD", _NEW_YORK), ("EUR", _BERLIN), ("THB", _BANGKOK), ("JPY", "Asia/Tokyo"))


def seeded(options: Options, world: World) -> Customers:
    """Return the accounts of a seed."""
    customers = Customers()
    by_key: dict[str, Customer] = {}
    day = int(world.epoch // 86_400) + 719_163
    small = options.page_limit > 0
    size = min(options.ad_campaigns, _SMALL_CAMPAIGNS) if small else options.ad_campaigns
    reach = options.ad_days or (_SMALL_DAYS if small else 0)
    direct = _direct(len(world.accounts), small=small)
    own = _own(direct) if small else []
    for at, plan in enumerate((*_PLANS, *_bulk(options.ad_accounts), *own)):
        number = _FIRST_NUMBER + at * 900_001 + Dice(options.seed, 16, at).below(900_000)
        customer = Customer(
            plan.key, number, plan.name, plan.currency, plan.zone, plan.manager, plan.status, plan.test,
            options.seed, size, day, reach,
        )  # fmt: skip
        by_key[plan.key] = customers.add(customer)
        for manager in plan.under:
            customers.link(by_key[manager], customer)
    for account, keys in zip(world.accounts, direct, strict=False):
        for key in keys:
            customers.allow(account, by_key[key])
    by_key["no-access"].closed_to = {account.sub for account in world.accounts}
    return customers


def _direct(accounts: int, *, small: bool) -> list[tuple[str, ...]]:
    """Return what each Google account reaches directly."""
    if small:
        return [_DIRECT[0], *((f"agency-{number}",) for number in range(2, accounts + 1))]
    return list(_DIRECT)


def _own(direct: list[tuple[str, ...]]) -> list[_Plan]:
    """Return the agencies of which each belongs to one Google account."""
    plans = {plan.key: plan for plan in _PLANS}
    return [
        replace(plans[key], key=f"{key}-{number}", under=tuple(f"{one}-{number}" for one in plans[key].under))
        for number in range(2, len(direct) + 1)
        for key in _OWN
    ]


def _bulk(count: int) -> list[_Plan]:
    if not count:
        return []
    plans = [_Plan("bulk", ("agency",), "Bulk", "USD", _NEW_YORK, manager=True)]
    for at in range(count):
        currency, zone = _BULK_PLACES[at % len(_BULK_PLACES)]
        plans.append(_Plan(f"bulk-{at + 1}", ("bulk",), f"Bulk {at + 1}", currency, zone))
    return plans

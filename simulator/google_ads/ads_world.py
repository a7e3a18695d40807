"""The advertising world of one simulator: its accounts, what is known of their days, and since when.

Statistics are brought up to date when three hours of simulated time have gone by since they last were, never in
between: a test that takes minutes sees one state of the world, until it moves the clock or edits something.
"""

from simulator.clock import Clock
from simulator.google_ads.customers import Customer
from simulator.google_ads.seeded import seeded
from simulator.options import Options
from simulator.world import World
from simulator.world.ad_campaigns import Campaign
from simulator.world.ad_days import Figures

REFRESH_S = 3 * 3_600.0


class AdsWorld:
    """Accounts and the moment up to which their statistics are known; `edition` counts edits."""

    def __init__(self, options: Options, world: World, clock: Clock) -> None:
        self._clock = clock
        self._known_at = clock.now()
        self.customers = seeded(options, world)
        self.edition = 0

    def now(self) -> float:
        """Return the simulated time."""
        return self._clock.now()

    def known_at(self) -> float:
        """Return the moment up to which statistics are known."""
        now = self._clock.now()
        if abs(now - self._known_at) >= REFRESH_S:
            self._known_at = now
        return self._known_at

    def days(self, customer: Customer, campaign: Campaign, first: int, last: int) -> list[tuple[int, Figures]]:
        """Return what is known of a campaign's days in a range, oldest first, days with nothing left out."""
        at = self.known_at()
        return campaign.between(first, last, customer.today(at), customer.minutes(at))

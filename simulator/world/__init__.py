"""The simulated world: accounts and what they hold, made up from a seed, the same for every provider.

It knows no provider's wire format.
"""

import time

from simulator.clock import DAY_S, Clock
from simulator.options import Options
from simulator.world import words
from simulator.world.calendar_lists import CalendarHall, CalendarList
from simulator.world.contacts import AddressBook
from simulator.world.dice import Dice
from simulator.world.events import Owner
from simulator.world.mail_facts import MailOwner
from simulator.world.mailbox import Mailbox
from simulator.world.office import OfficeAccount

_OTHERS_LIMIT = 400


class Account:
    """A person's account. Its parts come to life when they are first asked for."""

    def __init__(self, number: int, options: Options, epoch: float, hall: CalendarHall) -> None:
        dice = Dice(options.seed, 3, number)
        given_names, family_names = (
            (words.GIVEN_EN, words.FAMILY_EN),
            (words.GIVEN_TH, words.FAMILY_TH),
            (words.GIVEN_AR, words.FAMILY_AR),
        )[number % 3]
        self.given_name, given_latin = dice.pick(given_names)
        self.family_name, family_latin = dice.pick(family_names)
        self.number = number
        self.email = f"{given_latin}.{family_latin}.{number + 1}@accounts.example"
        self.sub = "1" + dice.digits(20)
        self.locale = ("en", "th", "ar")[number % 3]
        self.dropped = False
        self._options = options
        self._epoch = epoch
        self._hall = hall
        self._contacts: AddressBook | None = None
        self._others: AddressBook | None = None
        self._mailbox: Mailbox | None = None

    @property
    def display_name(self) -> str:
        """The name of the account's owner."""
        return f"{self.given_name} {self.family_name}"

    @property
    def contacts(self) -> AddressBook:
        """The address book."""
        if self._contacts is None:
            self._contacts = AddressBook(self._options.seed, self.number, self._options.people, self._epoch)
        return self._contacts

    @property
    def others(self) -> AddressBook:
        """People whom the account only exchanged mail with."""
        if self._others is None:
            size = min(_OTHERS_LIMIT, self._options.people // 10 + 5)
            self._others = AddressBook(self._options.seed, 1_000 + self.number, size, self._epoch)
        return self._others

    @property
    def mailbox(self) -> Mailbox:
        """The account's mail."""
        if self._mailbox is None:
            options = self._options
            owner = MailOwner(options.seed, self.number, self.display_name, self.email, options.people)
            self._mailbox = Mailbox(owner, options.messages, self._epoch)
        return self._mailbox

    @property
    def calendars(self) -> CalendarList:
        """The calendars that the account's owner sees; some are other people's."""
        return self._hall.list_of(self.number)


class World:
    """All accounts. `epoch` is the time from which dates are counted: the last midnight UTC unless it was given."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.clock = clock
        self.seed = options.seed
        self.epoch = options.epoch if options.epoch is not None else time.time() // DAY_S * DAY_S
        self._options = options
        self._hall = CalendarHall(options, self.epoch, self._owner)
        self.accounts = [Account(number, options, self.epoch, self._hall) for number in range(options.accounts)]
        self.office = [OfficeAccount(number, options, self.epoch) for number in range(options.accounts)]

    def account(self, email: str | None) -> Account:
        """Return the account with this address or subject id, the first one when none is named.

        Raises: KeyError when there is none.
        """
        if email is None:
            return self.accounts[0]
        for account in self.accounts:
            if email in (account.email, account.sub):
                return account
        raise KeyError(email)

    def office_account(self, email: str | None) -> OfficeAccount:
        """Return the account with folders that has this address or id, the first one when none is named.

        Raises: KeyError when there is none.
        """
        if email is None:
            return self.office[0]
        for account in self.office:
            if email in (account.email, account.oid):
                return account
        raise KeyError(email)

    def _owner(self, number: int) -> Owner:
        """Return who owns the calendars of an account, which need not be one to log in to."""
        there = number < len(self.accounts)
        account = self.accounts[number] if there else Account(number, self._options, self.epoch, self._hall)
        return Owner(number, account.email, account.display_name, account.locale)

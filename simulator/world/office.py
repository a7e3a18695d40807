"""Accounts whose mail and contacts lie in folders: people of small organisations, and now and then a private person.

Of every three accounts two belong to one organisation and the third is private. Their parts come to life when they are
first asked for; what they hold is made up as for every other account, under other numbers.
"""

import uuid

from simulator.options import Options
from simulator.world import words
from simulator.world.dice import Dice
from simulator.world.events import Owner
from simulator.world.mail_facts import MailOwner
from simulator.world.office_calendars import OfficeCalendars
from simulator.world.office_contacts import OfficeContacts
from simulator.world.office_mail import OfficeMail

_FIRST_NUMBER = 500
_PER_ORGANISATION = 3
_HOME = {"en": "Europe/London", "th": "Asia/Bangkok", "ar": "Asia/Amman"}


class OfficeAccount:
    """One account; `oid` names it within its organisation, `organisation` is None for a private one."""

    def __init__(self, number: int, options: Options, epoch: float) -> None:
        self.number = _FIRST_NUMBER + number
        dice = Dice(options.seed, 7, self.number)
        given_names, family_names = (
            (words.GIVEN_TH, words.FAMILY_TH),
            (words.GIVEN_EN, words.FAMILY_EN),
            (words.GIVEN_AR, words.FAMILY_AR),
        )[number % 3]
        self.given_name, given_latin = dice.pick(given_names)
        self.family_name, family_latin = dice.pick(family_names)
        private = number % _PER_ORGANISATION == _PER_ORGANISATION - 1
        house = number // _PER_ORGANISATION
        self.organisation = None if private else _guid(Dice(options.seed, 11, house))
        domain = "letters.example" if private else f"office{house + 1}.example"
        self.email = f"{given_latin}.{family_latin}.{number + 1}@{domain}".lower()
        self.oid = _guid(dice)
        self.locale = ("th", "en", "ar")[number % 3]
        self.title = "" if private else dice.pick(words.TITLES)
        self.shows_address = number % 3 != 1
        self.dropped = False
        self._options = options
        self._epoch = epoch
        self._contacts: OfficeContacts | None = None
        self._mail: OfficeMail | None = None
        self._calendars: OfficeCalendars | None = None

    @property
    def calendars(self) -> OfficeCalendars:
        """The calendars, the default one first."""
        if self._calendars is None:
            owner = Owner(self.number, self.email, self.display_name, self.locale)
            self._calendars = OfficeCalendars(self._options, owner, _HOME[self.locale], self._epoch)
        return self._calendars

    @property
    def mail(self) -> OfficeMail:
        """The mails in their folders."""
        if self._mail is None:
            options = self._options
            owner = MailOwner(options.seed, self.number, self.display_name, self.email, options.people)
            self._mail = OfficeMail(owner, options.messages, self._epoch)
        return self._mail

    @property
    def contacts(self) -> OfficeContacts:
        """The contacts in their folders."""
        if self._contacts is None:
            options = self._options
            self._contacts = OfficeContacts(options.seed, self.number, options.people, self._epoch)
        return self._contacts

    @property
    def display_name(self) -> str:
        """The name of the account's owner."""
        return f"{self.given_name} {self.family_name}"


def _guid(dice: Dice) -> str:
    """Return a version 4 UUID that depends on the draws alone."""
    return str(uuid.UUID(hex=dice.hex(32), version=4))

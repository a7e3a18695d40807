"""An account's address book: seeded people, what was changed since, and the log of it.

People are made up when they are asked for; only what was changed is kept.
"""

from collections.abc import Iterator

import msgspec

from simulator.world.changes import ChangeLog
from simulator.world.dice import Dice
from simulator.world.people import Birthday, Email, PersonFacts, Phone, person

_YEAR_S = 365 * 86_400


class Contact:
    """One entry of an address book.

    `key` never changes (a provider shows it as the source id); `name_number` does when an identity is renamed, and the
    former ones stay in `former`.
    """

    __slots__ = ("deleted", "former", "key", "name_number", "number", "own", "updated_at", "version")

    def __init__(self, number: int, key: int, updated_at: float, own: PersonFacts | None = None) -> None:
        self.number = number
        self.key = key
        self.name_number = key
        self.former: tuple[int, ...] = ()
        self.version = 1
        self.updated_at = updated_at
        self.deleted = False
        self.own = own


class AddressBook:
    """The contacts of one account, in the order in which they were added."""

    def __init__(self, seed: int, book: int, size: int, epoch: float) -> None:
        self.log: ChangeLog[int] = ChangeLog()
        self._seed = seed
        self._book = book
        dice = Dice(seed, 5, book)
        self._first_key = (1 << 40) + dice.below(1 << 31) * 256
        self._items = [
            Contact(number, self._key(number), epoch - 60 - (size - number) * (2 * _YEAR_S / max(size, 1)))
            for number in range(size)
        ]
        self._by_name = {contact.name_number: contact for contact in self._items}
        self.alive = size

    def facts(self, contact: Contact) -> PersonFacts:
        """Return what the contact says now."""
        return contact.own or person(self._seed, self._book, contact.number)

    def from_number(self, number: int) -> Iterator[Contact]:
        """Go through the contacts that are there, from a number on."""
        for at in range(number, len(self._items)):
            if not self._items[at].deleted:
                yield self._items[at]

    def at(self, number: int) -> Contact:
        """Return the contact with this number, deleted or not."""
        return self._items[number]

    def named(self, name_number: int) -> Contact | None:
        """Find a contact by the number in its name, or in a former one."""
        return self._by_name.get(name_number)

    def find(self, reference: str) -> Contact:
        """Find a contact as tests name it: by resource name, source id in hexadecimal, `#number`, or e-mail address.

        Raises: KeyError when there is none.
        """
        if reference.startswith("#"):
            return self._items[int(reference[1:])]
        if reference.startswith("people/c"):
            return self._by_name[int(reference.removeprefix("people/c"))]
        for contact in self._items:
            if f"{contact.key:x}" == reference or any(e.value == reference for e in self.facts(contact).emails):
                return contact
        raise KeyError(reference)

    def add(self, facts: PersonFacts | None, now: float) -> Contact:
        """Add a contact; without facts the next person of the seed."""
        number = len(self._items)
        contact = Contact(number, self._key(number), now, facts)
        self._items.append(contact)
        self._by_name[contact.name_number] = contact
        self.alive += 1
        self.log.record(number, now)
        return contact

    def change(self, contact: Contact, fields: dict[str, object], now: float) -> None:
        """Change what a contact says; field names are those of `PersonFacts`."""
        contact.own = facts_from(fields, self.facts(contact))
        self._touched(contact, now)

    def rename(self, contact: Contact, now: float) -> None:
        """Give a contact another resource name, as happens when it is linked to a profile."""
        contact.former = (*contact.former, contact.name_number)
        contact.name_number = contact.key + 100 + contact.version
        self._by_name[contact.name_number] = contact
        self._touched(contact, now)

    def merge(self, kept: Contact, gone: Contact, now: float) -> None:
        """Join two contacts; the one that stays takes over the other's name as a former one."""
        facts, other = self.facts(kept), self.facts(gone)
        kept.own = msgspec.structs.replace(
            facts, emails=facts.emails + other.emails, phones=facts.phones + other.phones
        )
        kept.former = (*kept.former, gone.name_number)
        self.delete(gone, now)
        self._by_name[gone.name_number] = kept
        self._touched(kept, now)

    def delete(self, contact: Contact, now: float) -> None:
        """Delete a contact; deleting it twice changes nothing."""
        if not contact.deleted:
            contact.deleted = True
            self.alive -= 1
            self._touched(contact, now)

    def touch(self, percent: float, now: float) -> int:
        """Change the title of about that share of the contacts, spread evenly; return how many."""
        step = 100.0 / percent
        chosen = [c for c in self._items if not c.deleted and int((c.number + 1) / step) != int(c.number / step)]
        for contact in chosen:
            self.change(contact, {"title": f"Title {contact.version + 1}"}, now)
        return len(chosen)

    def _touched(self, contact: Contact, now: float) -> None:
        contact.version += 1
        contact.updated_at = now
        self.log.record(contact.number, now)

    def _key(self, number: int) -> int:
        return self._first_key + number * 256


def facts_from(fields: dict[str, object], start: PersonFacts | None = None) -> PersonFacts:
    """Build facts from control input; e-mails and phones may be plain texts.

    Raises: ValueError for an unknown field, msgspec.ValidationError for a wrong type.
    """
    unknown = set(fields) - set(PersonFacts.__struct_fields__)
    if unknown:
        raise ValueError(f"A contact has no field {sorted(unknown)}; it has {list(PersonFacts.__struct_fields__)}.")
    values = dict(fields)
    for name, kind in (("emails", Email), ("phones", Phone)):
        given = values.get(name)
        if isinstance(given, list):
            values[name] = tuple(kind(one) if isinstance(one, str) else msgspec.convert(one, kind) for one in given)
    for name, shape in (
        ("birthday", Birthday | None),
        ("groups", tuple[str, ...]),
        ("custom", tuple[tuple[str, str], ...]),
    ):
        if name in values:
            values[name] = msgspec.convert(values[name], shape)
    return msgspec.structs.replace(start or PersonFacts(), **values)

"""An account's contacts in folders: people made up by number, and what was changed since.

One folder is there for everybody; the others lie in it, and one of them in another.
"""

from simulator.world.contacts import facts_from
from simulator.world.folders import Cabinet, Folder, Item
from simulator.world.people import PersonFacts, person

_YEAR_S = 365 * 86_400
_FOLDERS = ("Suppliers", "ลูกค้า", "عملاء")
_NESTED = "Asia"


class OfficeContacts:
    """The contacts of one account."""

    def __init__(self, seed: int, book: int, size: int, epoch: float) -> None:
        self.cabinet = Cabinet()
        self._seed = seed
        self._book = book
        self._own: dict[int, PersonFacts] = {}
        root = self.cabinet.seed_folder("Top of Information Store", known_as="msgfolderroot", hidden=True)
        self.default = self.cabinet.seed_folder("Contacts", root, "contacts")
        folders = [self.cabinet.seed_folder(name, self.default) for name in _FOLDERS]
        folders.append(self.cabinet.seed_folder(_NESTED, folders[0]))
        for number in range(size):
            at = epoch - 60 - (size - number) * (2 * _YEAR_S / max(size, 1))
            chosen = self.default if number % 5 < 3 or number < 30 else folders[number % len(folders)]
            self.cabinet.seed(chosen, at)

    def facts(self, item: Item) -> PersonFacts:
        """Return what a contact says now."""
        return self._own.get(item.number) or person(self._seed, self._book, item.number)

    def find(self, reference: str) -> Item:
        """Find a contact as tests name it: `#number`, or an e-mail address.

        Raises: KeyError when there is none.
        """
        if reference.startswith("#"):
            return self.cabinet.items[int(reference[1:])]
        for item in self.cabinet.items:
            if not item.deleted and any(one.value == reference for one in self.facts(item).emails):
                return item
        raise KeyError(reference)

    def add(self, folder: Folder, facts: PersonFacts | None, now: float) -> Item:
        """Add a contact; without facts the next person of the seed."""
        item = self.cabinet.put(folder, now)
        if facts is not None:
            self._own[item.number] = facts
        return item

    def change(self, item: Item, fields: dict[str, object], now: float) -> None:
        """Change what a contact says; field names are those of `PersonFacts`.

        Raises: ValueError for an unknown field, or for a contact that is gone.
        """
        if item.deleted:
            raise ValueError("The contact is deleted.")
        self._own[item.number] = facts_from(fields, self.facts(item))
        self.cabinet.touch(item, now)

"""Folders in folders and what lies in them, with a log of changes for each folder and one for the folders themselves.

    put · touch · move · delete ─▶ the log of every folder concerned (item, turn) ─▶ told to whoever syncs that folder

A thing that is moved begins another turn: a provider may know it by another id from then on. What a thing says is kept
elsewhere; a folder's log tells only that something happened to it there.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from simulator.world.changes import ChangeLog

_Nothing: frozenset[str] = frozenset()


class Folder:
    """One folder; `known_as` is the name by which programs find it whatever people call it."""

    __slots__ = ("deleted", "hidden", "key", "known_as", "log", "members", "name", "parent", "version")

    def __init__(self, key: int, name: str, parent: int | None, known_as: str = "", *, hidden: bool = False) -> None:
        self.key = key
        self.name = name
        self.parent = parent
        self.known_as = known_as
        self.hidden = hidden
        self.deleted = False
        self.version = 1
        self.log: ChangeLog[tuple[int, int]] = ChangeLog()
        self.members: list[int] = []


class Item:
    """One thing in a folder.

    `visits` has, for each turn, the folder and the place in its log at which it came in; `misreported` is the place at
    which its folder's log says that it went, though it did not.
    """

    __slots__ = ("created_at", "deleted", "edits", "folder", "misreported", "number", "updated_at", "version", "visits")

    def __init__(self, number: int, folder: int, created_at: float) -> None:
        self.number = number
        self.folder = folder
        self.created_at = created_at
        self.updated_at = created_at
        self.version = 1
        self.deleted = False
        self.misreported = 0
        self.visits: list[tuple[int, int]] = [(folder, 0)]
        self.edits: list[tuple[int, frozenset[str]]] = []

    @property
    def turn(self) -> int:
        """How often it was moved."""
        return len(self.visits) - 1

    def changed_since(self, number: int) -> frozenset[str] | None:
        """Return what was changed in its folder since a place in the log; None when that is not known in parts."""
        later = [names for at, names in self.edits if at > number]
        if self.visits[-1][1] > number or not all(later):
            return None
        return frozenset().union(*later)


class Cabinet:
    """All folders of one kind of one account, and the things in them by number."""

    def __init__(self) -> None:
        self.tree: ChangeLog[int] = ChangeLog()
        self.folders: dict[int, Folder] = {}
        self.items: list[Item] = []

    def seed_folder(
        self, name: str, parent: Folder | None = None, known_as: str = "", *, hidden: bool = False
    ) -> Folder:
        """Add a folder that was always there."""
        key = len(self.folders) + 1
        folder = Folder(key, name, None if parent is None else parent.key, known_as, hidden=hidden)
        self.folders[key] = folder
        return folder

    def seed(self, folder: Folder, at: float) -> Item:
        """Add a thing that was always there."""
        item = Item(len(self.items), folder.key, at)
        self.items.append(item)
        folder.members.append(item.number)
        return item

    def there(self) -> Iterator[Folder]:
        """Go through the folders that are there, by key."""
        return (folder for folder in self.folders.values() if not folder.deleted)

    def children(self, folder: Folder) -> list[Folder]:
        """Return the folders in a folder."""
        return [one for one in self.there() if one.parent == folder.key]

    def known(self, known_as: str) -> Folder | None:
        """Return the folder that programs know by a name."""
        return next((one for one in self.there() if one.known_as == known_as), None)

    def find_folder(self, reference: str) -> Folder:
        """Find a folder as tests name it: by what it is known as, or by the names from the outermost one, with slashes.

        Raises: KeyError when there is none.
        """
        known = self.known(reference)
        if known is not None:
            return known
        for folder in self.there():
            if reference in (folder.name, self.path_of(folder)):
                return folder
        raise KeyError(reference)

    def path_of(self, folder: Folder) -> str:
        """Return the names from the outermost folder that a person sees."""
        names = [folder.name]
        while folder.parent is not None and self.folders[folder.parent].parent is not None:
            folder = self.folders[folder.parent]
            names.insert(0, folder.name)
        return "/".join(names)

    def make_folder(self, name: str, parent: Folder) -> Folder:
        """Make a folder in another."""
        folder = self.seed_folder(name, parent)
        self._touched_folder(folder)
        self._touched_folder(parent)
        return folder

    def rename_folder(self, folder: Folder, name: str) -> None:
        """Call a folder something else."""
        folder.name = name
        self._touched_folder(folder)

    def move_folder(self, folder: Folder, parent: Folder) -> None:
        """Put a folder, with all that is in it, into another.

        Raises: ValueError when it would lie in itself.
        """
        above: Folder | None = parent
        while above is not None:
            if above is folder:
                raise ValueError("A folder cannot lie in itself.")
            above = None if above.parent is None else self.folders[above.parent]
        before = None if folder.parent is None else self.folders[folder.parent]
        folder.parent = parent.key
        for one in (before, folder, parent):
            if one is not None:
                self._touched_folder(one)

    def delete_folder(self, folder: Folder, now: float) -> list[Item]:
        """Delete a folder for good, with the folders and things in it; return the things."""
        gone: list[Item] = []
        for child in self.children(folder):
            gone += self.delete_folder(child, now)
        for number in list(folder.members):
            gone.append(self.items[number])
            self.delete(self.items[number], now)
        folder.deleted = True
        self._touched_folder(folder)
        if folder.parent is not None:
            self._touched_folder(self.folders[folder.parent])
        return gone

    def put(self, folder: Folder, now: float) -> Item:
        """Add a thing to a folder."""
        item = Item(len(self.items), folder.key, now)
        self.items.append(item)
        folder.members.append(item.number)
        item.visits[-1] = (folder.key, folder.log.record((item.number, 0), now))
        self.tree.record(folder.key)
        return item

    def touch(self, item: Item, now: float, what: frozenset[str] = _Nothing, *, counted: bool = False) -> None:
        """Take note that a thing says something else; `counted` when its folder counts such things."""
        folder = self.folders[item.folder]
        item.version += 1
        item.updated_at = now
        item.edits.append((folder.log.record((item.number, item.turn), now), what))
        if counted:
            self.tree.record(folder.key)

    def move(self, item: Item, to: Folder, now: float) -> None:
        """Move a thing to another folder; where it is already, nothing happens."""
        before = self.folders[item.folder]
        if item.deleted or before is to:
            return
        before.members.remove(item.number)
        before.log.record((item.number, item.turn), now)
        insort(to.members, item.number)
        item.folder = to.key
        item.version += 1
        item.updated_at = now
        item.visits.append((to.key, to.log.record((item.number, item.turn + 1), now)))
        self.tree.record(before.key)
        self.tree.record(to.key)

    def delete(self, item: Item, now: float) -> None:
        """Delete a thing for good; deleting it twice changes nothing."""
        if item.deleted:
            return
        folder = self.folders[item.folder]
        item.deleted = True
        item.version += 1
        item.updated_at = now
        folder.members.remove(item.number)
        folder.log.record((item.number, item.turn), now)
        self.tree.record(folder.key)

    def misreport(self, item: Item, now: float) -> None:
        """Let the folder's log say that a thing went, though it is there."""
        item.misreported = self.folders[item.folder].log.record((item.number, item.turn), now)

    def members(self, folder: Folder, from_number: int = 0) -> Iterator[Item]:
        """Go through what is in a folder now, from a number on; what is moved meanwhile may be met or not."""
        for number in folder.members[bisect_left(folder.members, from_number) :]:
            yield self.items[number]

    @property
    def alive(self) -> int:
        """How many things there are."""
        return sum(len(folder.members) for folder in self.folders.values())

    def _touched_folder(self, folder: Folder) -> None:
        folder.version += 1
        self.tree.record(folder.key)

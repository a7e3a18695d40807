"""What delta rounds tell of a folder's contents and of the folders themselves, for mail and contacts alike.

A thing that left a folder is told as removed there. With usual ids its return is news under a new id; with immutable
ids a thing that left and returned within a round may be told as removed only, though it is there.
Source: the provider sheet, sections 3.3 and 3.6.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from simulator.microsoft.calls import Call
from simulator.microsoft.delta import Round, Told, removal
from simulator.microsoft.ids import Ids, Kind
from simulator.microsoft.switches import GraphSwitches
from simulator.world.changes import ChangeLog
from simulator.world.folders import Cabinet, Folder, Item

_CHUNK = 600


@dataclass(frozen=True, slots=True)
class ItemsOfFolder:
    """The messages or contacts of one folder. `entry` writes one as JSON, `arrived` is what it is sorted by."""

    name: str
    kind: Kind
    path: Sequence[str]
    cabinet: Cabinet
    folder: Folder
    ids: Ids
    switches: GraphSwitches
    entry: Callable[[Call, Round, Item], bytes]
    arrived: Callable[[Item], float]

    @property
    def log(self) -> ChangeLog[tuple[int, int]]:
        """The folder's log."""
        return self.folder.log

    @property
    def type_name(self) -> str:
        """The type of its entries."""
        return self.kind

    def whole(self, call: Call, one: Round) -> Iterator[Told]:
        """Go through what lies in the folder."""
        if one.newest_first:
            yield from self._newest_first(call, one)
            return
        first = 0 if one.after is None else one.after[0] + 1
        for item in self.cabinet.members(self.folder, first):
            if self._wanted(one, item):
                yield (item.number, 0), self.entry(call, one, item)

    def _newest_first(self, call: Call, one: Round) -> Iterator[Told]:
        by_age = sorted((-int(self.arrived(item) * 1000), item.number) for item in self.cabinet.members(self.folder))
        for place in by_age:
            item = self.cabinet.items[place[1]]
            if (one.after is None or place > tuple(one.after)) and self._wanted(one, item):
                yield place, self.entry(call, one, item)

    def changed(self, call: Call, one: Round) -> Iterator[Told]:
        """Go through what changed in the folder, the latest state of each thing and turn."""
        immutable = call.preferences.immutable_ids
        for at, (number, turn) in self._changes(one):
            item = self.cabinet.items[number]
            gone = item.deleted or item.folder != self.folder.key or item.turn != turn
            if gone or item.misreported == at:
                item_id = self.ids.of_item(self.kind, call.account, number, turn, immutable=immutable)
                if one.change_type in (None, "deleted"):
                    yield (at, 0), removal(item_id, self.kind)
            elif self._wanted(one, item) and self._of_type(one, item) and not (immutable and self._hidden(one, item)):
                yield (at, 0), self.entry(call, self._narrowed(one, item), item)

    def removed(self, call: Call) -> Iterator[bytes]:
        """Go through what left the folder at any time."""
        for number, turn in dict.fromkeys(key for _, key in self.folder.log.between(0, self.folder.log.last)):
            item = self.cabinet.items[number]
            if item.deleted or item.folder != self.folder.key:
                immutable = call.preferences.immutable_ids
                yield removal(self.ids.of_item(self.kind, call.account, number, turn, immutable=immutable), self.kind)

    def _changes(self, one: Round) -> Iterator[tuple[int, tuple[int, int]]]:
        after = (one.since or 0) if one.after is None else one.after[0]
        while True:
            found = self.folder.log.between(after, one.until, _CHUNK)
            yield from found
            if len(found) < _CHUNK:
                return
            after = found[-1][0]

    def _wanted(self, one: Round, item: Item) -> bool:
        return one.received_since is None or self.arrived(item) >= one.received_since

    def _of_type(self, one: Round, item: Item) -> bool:
        came_in = item.visits[-1][1] > (one.since or 0)
        return one.change_type is None or one.change_type == ("created" if came_in else "updated")

    def _narrowed(self, one: Round, item: Item) -> Round:
        """Return the round with only the properties that changed, where the switch and what is known allow it."""
        names = item.changed_since(one.since or 0) if self.switches.changed_items == "partial" else None
        if names is None:
            return one
        return msgspec.structs.replace(
            one, select=tuple(name for name in sorted(names) if name in (one.select or names))
        )

    def _hidden(self, one: Round, item: Item) -> bool:
        """Say whether an item left and returned within the round, so that only its removal is told."""
        since, log, turn = one.since or 0, self.folder.log, item.turn
        if self.switches.moved_back == "shown" or log.latest((item.number, turn)) != item.visits[turn][1]:
            return False
        return any(
            folder == self.folder.key and entered <= since < log.latest((item.number, earlier))
            for earlier, (folder, entered) in enumerate(item.visits[:turn])
        )


@dataclass(frozen=True, slots=True)
class FoldersOf:
    """The folders of one cabinet, as a collection of its own. `shown` says which are told, `entry` writes one."""

    name: str
    kind: Kind
    type_name: str
    path: Sequence[str]
    cabinet: Cabinet
    ids: Ids
    shown: Callable[[Folder], bool]
    entry: Callable[[Call, Folder], dict[str, object]]

    @property
    def log(self) -> ChangeLog[int]:
        """The log of the folders."""
        return self.cabinet.tree

    def whole(self, call: Call, one: Round) -> Iterator[Told]:
        """Go through the folders that are there."""
        after = 0 if one.after is None else one.after[0]
        for folder in self.cabinet.there():
            if folder.key > after and self.shown(folder):
                yield (folder.key, 0), self._written(call, one, folder)

    def changed(self, call: Call, one: Round) -> Iterator[Told]:
        """Go through the folders that were made, renamed, moved or deleted, or whose contents are of another number."""
        after = (one.since or 0) if one.after is None else one.after[0]
        for at, key in self.cabinet.tree.between(after, one.until):
            folder = self.cabinet.folders[key]
            if self.shown(folder):
                gone = removal(self.ids.of_folder(self.kind, call.account, key), self.type_name)
                yield (at, 0), gone if folder.deleted else self._written(call, one, folder)

    def removed(self, call: Call) -> Iterator[bytes]:
        """Go through the folders that are gone."""
        for folder in self.cabinet.folders.values():
            if folder.deleted and self.shown(folder):
                yield removal(self.ids.of_folder(self.kind, call.account, folder.key), self.type_name)

    def _written(self, call: Call, one: Round, folder: Folder) -> bytes:
        entry = self.entry(call, folder)
        if one.select is not None:
            entry = {name: value for name, value in entry.items() if name in (*one.select, "id")}
        return msgspec.json.encode({"@odata.type": f"#microsoft.graph.{self.type_name}", **entry})

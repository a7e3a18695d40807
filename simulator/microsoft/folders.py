"""Folders of mail and of contacts as calls want them: single ones, lists, and rounds over all of them.

What lies in a folder is served by `mail.py` and `contacts.py`.
Source: the provider sheet, sections 3.1 and 3.3.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.exchange import Reply
from simulator.microsoft.calls import Call
from simulator.microsoft.delta import Rounds, first_round
from simulator.microsoft.errors import GraphError, malformed_id, not_found
from simulator.microsoft.folder_rounds import FoldersOf
from simulator.microsoft.ids import Ids, Kind
from simulator.microsoft.listing import kept, listed, single
from simulator.world.folders import Cabinet, Folder


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of every account, of mail or of contacts.

    `kind` is what they are called in ids, `collection` in addresses; `entry` writes one.
    """

    kind: Kind
    type_name: str
    collection: str
    properties: tuple[str, ...]
    cabinet: Callable[[Call], Cabinet]
    entry: Callable[[Call, Folder], dict[str, Any]]
    ids: Ids
    rounds: Rounds

    def find(self, call: Call, folder_id: str, *, synced: bool = False) -> Folder:
        """Return the folder that an id stands for.

        Raises: GraphError 400 for what is no id, 404 for a folder that is gone.
        """
        meant = self.ids.read(self.kind, call.account, folder_id)
        if meant is None:
            raise malformed_id()
        folder = self.cabinet(call).folders[meant.number]
        if folder.deleted:
            raise GraphError(404, "The folder is gone.", "ErrorSyncFolderNotFound") if synced else not_found()
        return folder

    def one(self, call: Call, folder: Folder, *options: str) -> Reply:
        """Return a folder; `options` are what the call may ask besides its properties."""
        call.only("$select", *options)
        chosen = call.select(self.properties, self.type_name)
        return single(call, kept(self.entry(call, folder), chosen), (self.collection,))

    def page(self, call: Call, folders: Iterable[Folder], path: tuple[str, ...], *options: str) -> Reply:
        """Return a page of a list."""
        call.only("$top", "$skip", "$select", *options)
        chosen = call.select(self.properties, self.type_name)
        return listed(call, (msgspec.json.encode(kept(self.entry(call, one), chosen)) for one in folders), path)

    def delta(self, call: Call, shown: Callable[[Folder], bool]) -> Reply:
        """Return a page of a round over the folders that are `shown`."""
        collection = FoldersOf(
            name=f"{self.kind}s of {call.account.oid}",
            kind=self.kind,
            type_name=self.type_name,
            path=(self.collection,),
            cabinet=self.cabinet(call),
            ids=self.ids,
            shown=shown,
            entry=self.entry,
        )
        one = self.rounds.continued(call, collection.name)
        if one is None:
            self.rounds.fitting(call, "$select")
            one = first_round(call, collection, self.properties)
        return self.rounds.page(call, collection, one)

    def path(self, folder_id: str, last: str) -> tuple[str, ...]:
        """Return where something of a folder stands, after /me."""
        return (self.collection, f"'{folder_id}'", last)

"""How things stand in a workspace: connections, streams, holds, receipts, how long what stays, measures.

All of it is plain: nothing is opened here, so nothing is written into the audit log.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from worker.client.door import Door
from worker.errors import BadRequest, NotFound
from worker.store import connections_view, measures_view, retention_view
from worker.store.connections_view import Connection, Hold, Receipt, Stream, Workspace
from worker.store.measures_view import MeasuredAccount, MeasuredDay, Spend
from worker.store.records_view import key_bytes


class Overview(Door):
    """The part of `Client` that reads what is plain, and says how long records may stay."""

    def workspace_facts(self) -> Workspace:
        """The workspace.

        Raises:
            NotFound: nobody registered it.
        """
        with self._database.transaction(self.workspace) as tx:
            found = connections_view.workspace_of(tx, self.workspace)
        if found is None:
            raise NotFound(
                f"There is no workspace «{self.workspace}». Register it: `crm-sync workspaces add {self.workspace}`."
            )
        return found

    def connections(self) -> list[Connection]:
        """Every connection with its state and consent, ended ones too."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.connections(tx, self.workspace)

    def connection(self, connection_id: UUID) -> Connection:
        """One connection.

        Raises:
            NotFound: the workspace has none of that id.
        """
        with self._database.transaction(self.workspace) as tx:
            found = connections_view.connections(tx, self.workspace, connection_id)
        if not found:
            raise NotFound(
                f"Workspace «{self.workspace}» has no connection {connection_id}. "
                f"See `crm-sync connections -w {self.workspace}`."
            )
        return found[0]

    def streams(self, connection_id: UUID | None = None) -> list[Stream]:
        """The streams of one connection or of all, with an honest status and what they hold."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.streams(tx, self.workspace, connection_id)

    def holds(self, *, decided_too: bool = False) -> list[Hold]:
        """The deletions that wait for a word."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.holds(tx, self.workspace, decided_too=decided_too)

    def receipts(self, connection_id: UUID | None = None) -> list[Receipt]:
        """The proofs of what was ended, oldest first."""
        with self._database.transaction(self.workspace) as tx:
            return connections_view.receipts(tx, self.workspace, connection_id)

    # How long it stays.

    def retention_rules(self) -> list[dict[str, Any]]:
        """What the workspace asks for beyond the providers' rules."""
        with self._database.transaction(self.workspace) as tx:
            return retention_view.own_rules(tx, self.workspace)

    def set_retention(self, connector: str, kind: str, max_age: timedelta, *, counted_from: str | None = None) -> str:
        """Have records of a kind stay for a shorter time; returns from when that counts. What is held follows soon.

        Raises:
            BadRequest: no policy knows that kind, or the time cannot be.
        """
        with self._database.transaction(self.workspace) as tx:
            return retention_view.set_rule(tx, self.workspace, connector, kind, max_age, counted_from, self.actor)

    def unset_retention(self, connector: str, kind: str) -> bool:
        """Take that back; False if there was nothing to take back."""
        with self._database.transaction(self.workspace) as tx:
            return retention_view.unset_rule(tx, self.workspace, connector, kind)

    def retention_report(self) -> list[dict[str, Any]]:
        """What is held, by kind and by the rule that ends it, with the rule's source."""
        with self._database.transaction(self.workspace) as tx:
            return retention_view.report(tx, self.workspace)

    def why(self, key: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Why the record of a key is here; or what the feed said last of it, if it is not. Nothing is opened.

        Raises:
            BadRequest: it is no key.
        """
        document_key = key_bytes(key)
        with self._database.transaction(self.workspace) as tx:
            found = retention_view.why(tx, self.workspace, document_key)
            return found, None if found else retention_view.last_heard_of(tx, self.workspace, document_key)

    # Measures, which are plain.

    def measures(
        self,
        connection_id: UUID | None = None,
        *,
        connector: str | None = None,
        first: date | None = None,
        last: date | None = None,
        at_once: int = 5_000,
    ) -> Iterator[MeasuredDay]:
        """Campaign days from `first` to `last`, both included, oldest first; read while you go, `at_once` at a time.

        Without a connection, an account that several connections can see comes once; with one, as that one brought it.
        Each comes as it is when its turn comes; what was restated behind you is in the feed (`measures.changed`).

        Raises:
            BadRequest: `at_once` is under one.
        """
        if at_once < 1:
            raise BadRequest("Days are read one at a time at least.")
        after: MeasuredDay | None = None
        while True:
            with self._database.transaction(self.workspace) as tx:
                page = measures_view.days(
                    tx,
                    self.workspace,
                    connection_id=connection_id,
                    connector=connector,
                    first=first,
                    last=last,
                    after=after,
                    limit=at_once,
                )
            yield from page
            if len(page) < at_once:
                return
            after = page[-1]

    def measured_accounts(self, connection_id: UUID | None = None) -> list[MeasuredAccount]:
        """The ad accounts that are read, with the days that were."""
        with self._database.transaction(self.workspace) as tx:
            return measures_view.accounts(tx, self.workspace, connection_id)

    def spend(self, first: date, last: date) -> list[Spend]:
        """What was spent from `first` to `last`, by currency and day. Currencies are not added up."""
        with self._database.transaction(self.workspace) as tx:
            return measures_view.spend(tx, self.workspace, first, last)

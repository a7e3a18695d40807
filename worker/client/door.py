"""What all of the client stands on: one workspace, an actor and a reason, the keys of records, the audit log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from worker.errors import BadRequest, Misconfigured
from worker.store import audit
from worker.store.database import Connection as Transaction
from worker.store.database import Database
from worker.store.job_news import JobNews
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore, RecordKeys


class Door:
    """The part of `Client` that the others share: how it is made and closed, and what it must write down."""

    def __init__(
        self,
        url: str,
        records_keyring: Keyring | Path | str | None = None,
        *,
        workspace: str,
        actor: str,
        reason: str,
        keys_url: str | None = None,
    ) -> None:
        if not actor.strip() or not reason.strip():
            raise BadRequest("The client needs an actor and a reason; both go into the audit log.")
        self.workspace = workspace
        self.actor = actor
        self.reason = reason
        self._database = Database(url, name="crm-sync-client")
        self._news = JobNews(self._database)
        self._keys_database = Database(keys_url, name="crm-sync-client-keys") if keys_url else self._database
        keyring = (
            records_keyring if isinstance(records_keyring, Keyring | None) else Keyring.load(records_keyring, "records")
        )
        self._keys = KeyStore(self._keys_database, grant=None, records=keyring) if keyring is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to Postgres, also those of clients made by `at`."""
        self._database.close()
        if self._keys_database is not self._database:
            self._keys_database.close()

    def at(self, workspace: str) -> Self:
        """The same client for another workspace, over the same connections."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.workspace = workspace
        return other

    def _write_down(
        self, tx: Transaction, action: str, details: dict[str, Any], subjects: Sequence[bytes] = ()
    ) -> None:
        """Note a disclosure in the transaction that reads; nothing is opened before it has committed."""
        audit.append(
            tx,
            self.workspace,
            actor=self.actor,
            action=action,
            reason=self.reason,
            details=details,
            subjects=subjects,
        )

    def _key_store(self) -> KeyStore:
        if self._keys is None:
            raise Misconfigured(
                "Opening records needs the records keyring. Give the client `records_keyring`, or set "
                "CRM_SYNC_RECORDS_KEYRING."
            )
        return self._keys

    def _record_keys(self, connection_id: UUID) -> RecordKeys:
        return self._key_store().records(self.workspace, connection_id)

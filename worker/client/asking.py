"""Asking for work, in a transaction of one's own or of the caller's, and waiting for it.

What is secret or personal is sealed to the workers' intake key before it leaves this process. It runs no job.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from worker.client.overview import Overview
from worker.errors import BadRequest, Misconfigured, NotFound
from worker.store import connections_view, jobs_view
from worker.store.database import Connection as Transaction
from worker.store.database import translated_errors
from worker.store.jobs_view import Job
from worker.store.queries import load
from worker.vault.intake import seal_for

QUERIES = load("client")
_POLL_S = 0.25


class Asking(Overview):
    """The part of `Client` that asks for work and watches it."""

    def register_workspace(self, default_region: str = "US") -> bool:
        """Register the workspace; False if it was there before. `default_region` is for numbers without a country.

        Raises:
            BadRequest: the id or the region is malformed.
        """
        with self._database.transaction(self.workspace) as tx:
            return connections_view.register(tx, self.workspace, default_region)

    def enqueue(
        self,
        kind: str,
        args: dict[str, Any] | None = None,
        *,
        sealed: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        run_at: datetime | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> int:
        """Ask for a job and return its number.

        `args` are plain ids and codes; what is secret or personal goes into `sealed`, which only a worker can open.
        With `connection` (yours, inside your own transaction) the job exists if that transaction commits.

        Raises:
            BadRequest: the kind, the workspace or an argument cannot be.
            Misconfigured: something is to be sealed and no worker has made an intake key yet.
        """
        arguments = {
            "kind": kind,
            "workspace": self.workspace,
            "args": json.dumps(args or {}),
            "idempotency_key": idempotency_key,
            "run_at": run_at,
        }
        if connection is None:
            with self._database.transaction(self.workspace) as tx:
                return self._ask(tx, arguments, sealed)
        with translated_errors():
            return self._ask(connection, arguments, sealed)

    def connect_start(
        self,
        provider: str,
        purposes: Iterable[str],
        *,
        policy_version: str,
        agreed_by: str,
        connection_id: UUID | None = None,
        login_hint: str | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Begin to connect an account. The job's `private["authorize_url"]` is where the person gives consent.

        `agreed_by` is your id of that person, never an address. With `connection_id` an existing connection is
        connected again, or gets further purposes.
        """
        args: dict[str, Any] = {
            "provider": provider,
            "purposes": sorted(set(purposes)),
            "policy_version": policy_version,
            "agreed_by": agreed_by,
        }
        if connection_id is not None:
            args["connection_id"] = str(connection_id)
        sealed = {"login_hint": login_hint} if login_hint else None
        return self.enqueue("start_connect", args, sealed=sealed, idempotency_key=idempotency_key)

    def connect_complete(self, redirect_url: str, *, idempotency_key: str | None = None) -> int:
        """Finish connecting with the address to which the provider sent the person back, code and all.

        Raises:
            BadRequest: the address carries no `state`, or neither a `code` nor an `error`.
        """
        query = parse_qs(urlsplit(redirect_url).query)
        names = ("state", "code", "error", "error_subcode", "error_description")
        answer: dict[str, Any] = {name: query[name][0] for name in names if name in query}
        if "state" not in answer or not {"code", "error"} & set(answer):
            raise BadRequest(
                "The address to which the provider sent the person back has no state with a code or an error. Pass it "
                "whole, from http to its end."
            )
        return self.enqueue("complete_connect", sealed=answer, idempotency_key=idempotency_key)

    def sync(self, connection_id: UUID, stream: str | None = None, *, full: bool = False) -> list[int]:
        """Ask for a sync now, of one stream or of all that are active; a run that is under way is joined.

        Raises:
            NotFound: the workspace has no such connection.
            BadRequest: the connection has no such stream, or none that can run.
        """
        state = self.connection(connection_id).state
        if state != "active":
            raise BadRequest(f"Connection {connection_id} is {state}; nothing is synced until it is connected again.")
        wanted = [stream] if stream else [item.stream for item in self.streams(connection_id) if item.state == "active"]
        if not wanted:
            raise BadRequest(
                f"Connection {connection_id} has no stream that can run. "
                f"See `crm-sync connections -w {self.workspace}`."
            )
        extra = {"full": True} if full else {}
        with self._database.transaction(self.workspace) as tx:
            return [
                self.enqueue(
                    "sync_stream",
                    {"connection_id": str(connection_id), "stream": name, **extra},
                    connection=tx,
                )
                for name in wanted
            ]

    def disconnect(self, connection_id: UUID, *, delete_data: bool = False, idempotency_key: str | None = None) -> int:
        """End a connection: stop, revoke at the provider, destroy the tokens; with `delete_data` the records too."""
        args = {
            "connection_id": str(connection_id),
            "delete_data": delete_data,
            "actor": self.actor,
            "reason": self.reason,
        }
        return self.enqueue("disconnect", args, idempotency_key=idempotency_key)

    def decide_deletions(self, hold_id: int, *, approve: bool) -> int:
        """Answer a hold on an unusual number of deletions: delete them, or keep the records.

        Raises:
            NotFound: the workspace has no such hold.
            BadRequest: it is decided already.
        """
        hold = next((item for item in self.holds(decided_too=True) if item.hold_id == hold_id), None)
        holds = f"crm-sync deletions list -w {self.workspace}"
        if hold is None:
            raise NotFound(f"Workspace «{self.workspace}» has no hold {hold_id}. See `{holds}`.")
        if hold.state != "open":
            raise BadRequest(f"Hold {hold_id} is {hold.state} already. See `{holds} --all`.")
        decision = "approve" if approve else "reject"
        return self.enqueue("decide_deletions", {"hold_id": hold_id, "decision": decision, "by": self.actor})

    # How it goes.

    def job(self, job_id: int, *, open_outcome: bool = False) -> Job:
        """A job's state, progress and outcome; with `open_outcome` also what it answered under seal.

        Raises:
            NotFound: the workspace has no such job, or none any more: finished ones are kept for a while only.
        """
        with self._database.transaction(self.workspace) as tx:
            job = jobs_view.read(tx, self.workspace, job_id)
            if not open_outcome or job.sealed_outcome is None:
                return job
            self._write_down(tx, "job.outcome_opened", {"job_id": job_id, "kind": job.kind})
        owner = job.connection_id or UUID((job.outcome or {})["connection_id"])
        plain = self._record_keys(owner).open("job.outcome", job_id.to_bytes(8, "big"), job.sealed_outcome)
        return replace(job, private=json.loads(plain))

    def jobs(
        self,
        *,
        states: Sequence[str] | None = None,
        kind: str | None = None,
        connection_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """The newest jobs first."""
        with self._database.transaction(self.workspace) as tx:
            return jobs_view.listed(
                tx, self.workspace, states=states, kind=kind, connection_id=connection_id, limit=limit
            )

    def wait(
        self,
        job_id: int,
        timeout: timedelta = timedelta(minutes=1),
        on_progress: Callable[[Job], None] | None = None,
        *,
        open_outcome: bool = False,
    ) -> Job:
        """Wait until a job is finished and return it; after `timeout`, return it as it is then (`finished` tells).

        `on_progress` is called with the job whenever it changed.
        """
        deadline_s = time.monotonic() + timeout.total_seconds()
        seen: Job | None = None
        # A worker tells when an interactive job ends; the poll covers the other lanes and poolers without LISTEN.
        with self._news.follow() as news:
            while True:
                heard = self._news.count
                job = self.job(job_id)
                if on_progress is not None and job != seen:
                    on_progress(job)
                seen = job
                left_s = deadline_s - time.monotonic()
                if job.finished or left_s <= 0:
                    break
                news.wait(heard, min(_POLL_S, left_s))
        return self.job(job_id, open_outcome=True) if open_outcome and job.finished else job

    def _ask(self, tx: Transaction, arguments: dict[str, Any], sealed: dict[str, Any] | None) -> int:
        box = self._seal(tx, arguments["kind"], sealed) if sealed is not None else None
        # A caller's own connection may give tuples where ours gives dictionaries.
        row = tx.cursor(row_factory=dict_row).execute(QUERIES["enqueue"], {**arguments, "sealed": box}).fetchone()
        if row is None:
            raise RuntimeError("crm_sync.enqueue gave no row")
        return int(row["job_id"])

    def _seal(self, tx: Transaction, kind: str, payload: dict[str, Any]) -> bytes:
        row = tx.cursor(row_factory=dict_row).execute(QUERIES["intake_key"]).fetchone()
        if row is None or row["key_id"] is None:
            raise Misconfigured(
                "There is no intake key to seal to: no worker has run against this database yet. "
                "Start one with `crm-sync worker`."
            )
        return seal_for(
            row["public_key"], row["key_id"], json.dumps(payload).encode(), workspace=self.workspace, kind=kind
        )

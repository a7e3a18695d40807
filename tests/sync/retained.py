"""A connection under rules of retention of its own, its records made older, and the jobs that look after them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from tests.sync.one_connection import OneConnection
from tests.sync.scripted import World
from worker.jobs import plan_retention, sweep_expired
from worker.jobs.context import JobContext
from worker.jobs.outcomes import Outcome, Yield
from worker.records import Kind, Message, Purpose, Record
from worker.store.database import Database

DAY = timedelta(days=1)
RULE = (
    "INSERT INTO crm_sync.policy_rule "
    "VALUES (%s, %s, %s, %s, %s, '{}', 'Why.', 'https://a.example', '2026-11-23', 'documented')"
)


class Mails(World):
    """A world of mails; what a key stands for is the age of the mail in days."""

    def record(self, part: str, key: str) -> Record:
        body = Message(subject=key, received_at=datetime.now(UTC) - timedelta(days=int(self.parts[part][key])))
        return Record(key=key, kind=Kind.MESSAGE, body=replace_moment(body))


def replace_moment(body: Message) -> Message:
    """The same mail each time it is shown: to the day."""
    assert body.received_at is not None
    return Message(
        subject=body.subject, received_at=body.received_at.replace(hour=12, minute=0, second=0, microsecond=0)
    )


def mails(**ages: int) -> Mails:
    world = Mails()
    for key, age in ages.items():
        world.put(key, str(age))
    return world


def has_rule(
    one: OneConnection, owner_db: Database, max_age: timedelta | None, counted_from: str = "fetched",
    after_disconnect: timedelta | None = None, kind: str = "contact",
) -> str:  # fmt: skip
    """The connection is one to a provider of its own, with this one rule; returns the provider's name."""
    name = f"acme_{uuid4().hex[:12]}"
    with owner_db.transaction() as tx:
        tx.execute("INSERT INTO crm_sync.policy VALUES (%s, 'Acme', 1, '', true)", [name])
        tx.execute(RULE, [name, kind, max_age, counted_from, after_disconnect])
        tx.execute("UPDATE crm_sync.connection SET provider = %s WHERE connection_id = %s", [name, one.connection_id])
    if kind == "message":
        one.stream = one.world.stream(kind=Kind.MESSAGE, purpose=Purpose.MAIL)
    return name


def workspace_wants(
    one: OneConnection, crm_db: Database, provider: str, max_age: timedelta, counted_from: str = "fetched",
    kind: str = "contact",
) -> None:  # fmt: skip
    with crm_db.transaction(one.workspace) as tx:
        tx.execute(
            "INSERT INTO crm_sync.retention_rule (workspace_id, connector, kind, max_age, counted_from, set_by) "
            "VALUES (%s, %s, %s, %s, %s, 'user:1')",
            [one.workspace, provider, kind, max_age, counted_from],
        )


def time_passes(one: OneConnection, owner_db: Database, time: timedelta, *, confirmed: bool = False) -> None:
    """As if all that is held had been fetched earlier, and (unless `confirmed`) every part been read by then."""
    with owner_db.transaction() as tx:
        tx.execute(
            "UPDATE crm_sync.document SET fetched_at = fetched_at - %(t)s, expires_at = expires_at - %(t)s "
            "WHERE connection_id = %(c)s",
            {"t": time, "c": one.connection_id},
        )
        if not confirmed:
            tx.execute(
                "UPDATE crm_sync.part SET synced_at = synced_at - %(t)s WHERE connection_id = %(c)s",
                {"t": time, "c": one.connection_id},
            )


def lives(one: OneConnection, owner_db: Database) -> list[dict[str, Any]]:
    """What the table holds, due or not, as its owner sees it."""
    with owner_db.transaction() as tx:
        return tx.execute(
            "SELECT dated, fetched_at, expires_at, rule, renewable, expires_at - fetched_at AS life "
            "FROM crm_sync.document WHERE connection_id = %s ORDER BY document_key",
            [one.connection_id],
        ).fetchall()


def job_of(one: OneConnection, *, slice_s: float = 60, feed_days: int = 30, **args: Any) -> JobContext:
    """A run of a job that somebody claimed."""
    with one.database.transaction(one.workspace) as tx:
        row = tx.execute(
            "INSERT INTO crm_sync.job (workspace_id, kind, lane, state, lease_epoch) "
            "VALUES (%s, 'upkeep', 'upkeep', 'running', 1) RETURNING job_id",
            [one.workspace],
        ).fetchone()
    assert row is not None
    services = SimpleNamespace(
        database=one.database, clock=lambda: datetime.now(UTC), keys=one.keys,
        settings=SimpleNamespace(slice_s=slice_s, job_days=30, given_up_job_days=90, feed_days=feed_days),
    )  # fmt: skip
    return JobContext(
        services=services, workspace=one.workspace, job_id=row["job_id"], kind="upkeep", lane="upkeep",  # type: ignore[arg-type]
        connection_id=None, args=args, sealed=None, attempt=0, lease_epoch=1,
    )  # fmt: skip


def slices(run: Any, context: JobContext) -> Iterator[Outcome]:
    """The outcomes of a job that is run again for as long as it yields."""
    for _ in range(1000):
        outcome = run(context)
        yield outcome
        if not isinstance(outcome, Yield):
            return
        context = replace(context, progress=outcome.progress)
    raise AssertionError("the job never ends")


def is_planned(one: OneConnection, **given: Any) -> list[Outcome]:
    return list(slices(plan_retention.run, job_of(one, connection=str(one.connection_id), **given)))


def is_swept(one: OneConnection, **given: Any) -> list[Outcome]:
    return list(slices(sweep_expired.run, job_of(one, **given)))

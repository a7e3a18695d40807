"""Syncs one stream of one connection, a time slice at a time.

    may it run? (state, purpose, scopes) ─▶ session: grant, gate, budgets, hosts ─▶ engine ─▶ done · yield · parked

A stream without its purpose never runs (D12), whoever asks. What only the person can mend changes the state of the
stream or of the connection and ends the job; the data that we hold stays.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar, cast

from worker.connectors import registry
from worker.connectors.contract import Connector, Facts, Stream
from worker.errors import AdminBlocked, BadRequest, ConsentGone, KeyMissing, Misconfigured, ScopeMissing
from worker.jobs.admin_consent import admin_consent_url
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Cancelled, Done, Failed, HandBack, Outcome, Parked, Yield
from worker.jobs.provider_session import open_session
from worker.privacy import revocation
from worker.privacy.retention import Retention
from worker.records import Part
from worker.settings import Settings
from worker.store import documents, parts, retention
from worker.store.documents import StreamPlace
from worker.store.parts import ConnectionRow
from worker.sync.engine import run_stream
from worker.sync.run import RecordSeals, Run, RunNotes
from worker.transport.scopes import missing_scopes
from worker.transport.session import ProviderSession

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamSession:
    """What a connector sees of a run: the door, its options, the time, and what we hold already."""

    http: ProviderSession
    options: dict[str, int | str]
    context: JobContext
    place: StreamPlace
    seals: RecordSeals
    keeping: dict[str, object] = field(default_factory=dict)

    def now(self) -> datetime:
        """The present moment."""
        return self.context.services.clock()

    def known(self, part: Part, keys: Iterable[str]) -> frozenset[str]:
        """Those of `keys` that we hold in `part`, in the present normal form."""
        by_key = {self.seals.document_key(self.place.stream, key): key for key in keys}
        with self.context.services.database.transaction(self.place.workspace) as tx:
            part_key = self.seals.part_key(self.place.stream, part.key)
            held = documents.known(tx, self.place, part_key, sorted(by_key))
        return frozenset(by_key[key] for key in held)

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gave when `name` was first asked for."""
        if name not in self.keeping:
            self.keeping[name] = make()
        return cast("T", self.keeping[name])


def run(context: JobContext) -> Outcome:
    """Work on the stream for a time slice."""
    if context.connection_id is None:
        raise BadRequest("A job of kind sync_stream needs args.connection_id.")
    place = StreamPlace(context.workspace, context.connection_id, str(context.args.get("stream", "")))
    with context.services.database.transaction(context.workspace) as tx:
        connection = parts.read_connection(tx, context.workspace, context.connection_id)
        stream_row = parts.read_stream(tx, place)
        rules = retention.rules(tx, context.workspace, context.connection_id)
    if connection is None or stream_row is None:
        raise BadRequest(f"Workspace «{context.workspace}» has no stream «{place.stream}» on that connection.")
    if connection.state != "active":
        return Cancelled(f"connection_{connection.state}")
    connector = registry.load(connection.provider)
    stream = connector.stream(place.stream)
    if stream is None or stream_row.state == "off":
        return Failed("stream_off", f"The stream «{place.stream}» is not synced on this connection.")
    if stream.purpose is not None and stream.purpose not in connection.purposes:
        return Failed("purpose_missing", f"The connection was not given the purpose «{stream.purpose}».")
    try:
        _require_scopes(stream, connection)
        options = options_of(connector.facts, context.services.settings, Retention.of(rules))
        outcome = _work(context, place, connector, stream, connection, options)
        if connection.state_reason is not None:
            with context.services.database.transaction(context.workspace) as tx:
                revocation.works_again(tx, context.workspace, context.connection_id)
                context.fence(tx)
    except ScopeMissing as error:
        with context.services.database.transaction(context.workspace) as tx:
            revocation.scope_missing(tx, place, connection.epoch, error)
            context.fence(tx)
        return Failed(error.reason, error.customer_text)
    except (ConsentGone, AdminBlocked) as error:
        url = admin_consent_url(context.services, connector, context.connection_id, connection.purposes)
        with context.services.database.transaction(context.workspace) as tx:
            revocation.grant_ended(
                tx, context.workspace, context.connection_id, connection.epoch, error, admin_consent_url=url
            )
            context.fence(tx)
        return Failed(error.reason, error.customer_text)
    except (Misconfigured, KeyMissing) as error:
        with context.services.database.transaction(context.workspace) as tx:
            revocation.held_up(tx, context.workspace, context.connection_id, error)
            context.fence(tx)
        raise
    return outcome


def _require_scopes(stream: Stream, connection: ConnectionRow) -> None:
    missing = missing_scopes(stream.scopes, connection.scopes)
    if missing:
        raise ScopeMissing(f"the grant lacks {', '.join(missing)}", scopes=missing)


def _work(
    context: JobContext,
    place: StreamPlace,
    connector: Connector,
    stream: Stream,
    connection: ConnectionRow,
    options: dict[str, int | str],
) -> Outcome:
    services = context.services
    seals = services.keys.records(place.workspace, place.connection)
    session = StreamSession(
        http=open_session(context, connector.facts, place.connection, connection.epoch, connection.account_mac),
        options=options,
        context=context,
        place=place,
        seals=seals,
    )
    run_of_stream = Run(
        database=services.database,
        place=place,
        epoch=connection.epoch,
        stream=stream,
        session=session,
        seals=seals,
        blind=services.keys.blind_index(place.workspace, connection.default_region).values,
        lease=context,
        now=services.clock,
    )
    notes = RunNotes.resume(context.progress, services.clock())
    end = run_stream(run_of_stream, notes, full=bool(context.args.get("full")))
    if end.not_before is not None:
        return Parked(end.not_before, "not_before", end.notes.as_progress(), named=True)
    if not end.finished:
        progress = end.notes.as_progress()
        return HandBack(progress) if context.stopping() else Yield(progress)
    return Done(end.notes.as_progress())


def options_of(facts: Facts, settings: Settings, rules: Retention) -> dict[str, int | str]:
    """The connector's own settings: those that are set, or have a default; windows no longer than rules allow. Pure."""
    found: dict[str, int | str] = {}
    for option in facts.options:
        value = settings.own(option.field, option.default)
        if value is not None:
            window = option.window_of is not None
            found[option.name] = rules.window_days(option.window_of or "", int(value)) if window else value
    return found


HANDLER = Handler("sync_stream", run, deadline=timedelta(minutes=5))

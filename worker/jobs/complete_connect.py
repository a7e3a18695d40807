"""Finishes connecting: takes the `state` and the code that the provider sent the person back with, and activates.

    request found by state, used once ─▶ code exchanged ─▶ whose account? ─▶ ONE transaction: tokens, sibling, streams,
                                                                             state active, feed

A code works once. A run that is killed after the exchange finds the code used up when it is taken up again, and ends
with `code_lost`: the person is asked to connect once more; never does a connection become half active. A grant that may
not be kept is given back to the provider: it is another account's, or nobody can say whose, or the connection was ended
meanwhile.
"""

import json
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from worker.connectors import registry
from worker.connectors.contract import Connector, Facts
from worker.errors import (
    AdminBlocked,
    BadRequest,
    ConnectionStopped,
    ConsentGone,
    CrmSyncError,
    NeedsOperator,
    RunAgainLater,
    SealBroken,
    SetAside,
)
from worker.jobs.admin_consent import admin_consent_url
from worker.jobs.context import JobContext
from worker.jobs.give_back import give_back
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Cancelled, Done, Failed, Outcome
from worker.jobs.start_connect import state_mac
from worker.records import Purpose
from worker.store import connections, consents, siblings
from worker.store.connections import Consent, State, StoredConnection, StreamPlan, StreamState
from worker.store.consents import ConsentRequest
from worker.store.database import Connection
from worker.transport.oauth import OAuthEndpoint
from worker.transport.ports import Gate, Secret
from worker.transport.scopes import missing_scopes, normal_scopes
from worker.transport.token_replies import TokenReply

_log = structlog.get_logger(__name__)
_IDENTITY_AGAIN_S: Final = (0.2, 1.0, 3.0)
_DENIALS: Final = {
    "access_denied": "The person did not give consent. Nothing was connected.",
    "admin_policy_enforced": "The organisation's administrator does not allow this connection.",
    "org_internal": "The provider's consent page is set to one organisation only.",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back through the person's browser."""

    state: str
    code: Secret | None
    error: str
    subcode: str = ""
    description: str = ""


class _Refused(Exception):
    """The activation cannot be; the transaction is rolled back."""

    def __init__(self, outcome: Failed) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def run(context: JobContext) -> Outcome:
    """Exchange the code and activate the connection."""
    answer = _open(context)
    found = _take(context, answer)
    if isinstance(found, Failed):
        return found
    request, was = found
    connector = registry.load(was.provider)
    endpoint = context.services.endpoints.of(connector.facts)
    if answer.code is None:
        if endpoint.is_admins_affair(answer.error, answer.subcode, answer.description):
            helps = endpoint.consent_of_admin_helps(answer.error, answer.subcode, answer.description)
            return _blocked(context, connector, request, was, consent_helps=helps)
        return _denied(context, was, answer.error)
    key = context.services.keys.grant(context.workspace, request.connection_id)
    verifier = key.open("consent.verifier", request.request_id.bytes, request.sealed_verifier).decode()
    gate = context.gate(request.epoch, request.connection_id)
    try:
        reply = endpoint.exchange(answer.code, Secret(verifier), request.redirect_uri, gate, scopes=request.scopes)
    except ConsentGone:
        return _end_attempt(context, was, "code_lost", "The provider does not take the code. Please connect once more.")
    except AdminBlocked as error:
        return _blocked(context, connector, request, was, consent_helps=error.consent_helps)
    except ConnectionStopped:
        return Cancelled("connection_stopped")
    facts, account_mac = connector.facts, None
    try:
        claimed = endpoint.claimed_subject(reply)  # Enough to see who else would lose by giving it back.
        account_mac = _account(context, facts, claimed) if claimed is not None else None
        account_mac = _account(context, facts, _subject(endpoint, reply, gate))
        return _activate(context, connector, request, reply, account_mac)
    except _Refused as refused:
        failed = refused.outcome
        became = give_back(context, facts, request.connection_id, reply, account_mac)
        more = {**(failed.outcome or {}), "fresh_grant": became}
        if was.state is State.CONNECTING:
            return _end_attempt(context, was, failed.reason, failed.message, more)
        return Failed(failed.reason, failed.message, more)
    except ConnectionStopped:
        # Stopped while the person consented: what they gave is given back.
        give_back(context, facts, request.connection_id, reply, account_mac)
        return Cancelled("connection_stopped")


def _open(context: JobContext) -> _Answer:
    if context.sealed is None:
        raise BadRequest("complete_connect needs the state and the code sealed; use worker.client or the intake key.")
    plain = context.services.keys.intake().open(context.sealed, workspace=context.workspace, kind=context.kind)
    try:
        given = json.loads(plain)
        code = given.get("code")
        said = {name: str(given.get(name, "")) for name in ("error", "error_subcode", "error_description")}
        return _Answer(str(given["state"]), Secret(code) if isinstance(code, str) else None, *said.values())
    except (ValueError, KeyError, AttributeError):
        raise BadRequest("What was sealed for complete_connect is no JSON object with state and code.") from None


def _take(context: JobContext, answer: _Answer) -> Failed | tuple[ConsentRequest, StoredConnection]:
    """Find the request and use it, so that no second answer can; a run that was killed finds its own again."""
    workspace = context.workspace
    with context.services.database.transaction(workspace) as tx:
        request = consents.lock(tx, workspace, state_mac(context, answer.state))
        if request is None:
            return Failed("unknown_state", "No request for consent has this state. Start connecting again.")
        ours = (context.progress or {}).get("request_id") == str(request.request_id)
        if request.used and not ours:
            return Failed("state_used", "This request for consent was answered before. Start connecting again.")
        if request.expired and not ours:
            return Failed("consent_expired", "The consent came too late. Start connecting again.")
        was = connections.lock(tx, workspace, request.connection_id)
        if was is None or was.epoch != request.epoch:
            return Failed("connection_stopped", "The connection was ended before the consent came.")
        consents.use(tx, workspace, request.request_id)
        consents.adopt_job(tx, workspace, context.job_id, request.connection_id)
        context.fence(tx, {"request_id": str(request.request_id)})
    return request, was


def _denied(context: JobContext, was: StoredConnection, error: str) -> Failed:
    reason = error if error in _DENIALS else "consent_denied"
    text = _DENIALS.get(error, "The provider sent the person back without a consent.")
    return _end_attempt(context, was, reason, text)


def _blocked(
    context: JobContext, connector: Connector, request: ConsentRequest, was: StoredConnection, *, consent_helps: bool
) -> Failed:
    """An administrator has to consent first: the connection waits for that, and is then connected by its id."""
    url = None
    if consent_helps:
        url = admin_consent_url(context.services, connector, was.connection_id, request.purposes)
    if was.state in {State.CONNECTING, State.RECONNECT_NEEDED}:
        with context.services.database.transaction(context.workspace) as tx:
            state, reason = State.BLOCKED_BY_ADMIN, AdminBlocked.reason
            connections.stop(
                tx, context.workspace, was.connection_id, state, reason, epoch=was.epoch, admin_consent_url=url
            )
            context.fence(tx)
    outcome = {"connection_id": str(was.connection_id), **({"admin_consent_url": url} if url else {})}
    return Failed(AdminBlocked.reason, AdminBlocked.customer_text, outcome)


def _end_attempt(
    context: JobContext, was: StoredConnection, reason: str, text: str, outcome: dict[str, object] | None = None
) -> Failed:
    """A connection that never became active ends here; one that is being reconnected stays as it was."""
    if was.state is State.CONNECTING:
        with context.services.database.transaction(context.workspace) as tx:
            connections.stop(tx, context.workspace, was.connection_id, State.DISCONNECTED, reason, epoch=was.epoch)
            context.fence(tx)
    return Failed(reason, text, {"connection_id": str(was.connection_id), **(outcome or {})})


def _account(context: JobContext, facts: Facts, subject: str) -> bytes:
    project = context.services.endpoints.client(facts).project
    return context.services.keys.sibling_mac(facts.family, project, subject)


def _subject(endpoint: OAuthEndpoint, reply: TokenReply, gate: Gate) -> str:
    """Whose account it is. Asked again here, since after another run the code would be used up."""
    error: CrmSyncError
    for pause_s in (*_IDENTITY_AGAIN_S, None):
        try:
            return endpoint.identity(reply, gate).subject
        except RunAgainLater as later:
            error = later
            if pause_s is not None:
                time.sleep(pause_s)
        except (NeedsOperator, SetAside) as refused:
            error = refused
            break
    _log.error("identity.unknown", reason=error.reason, error=str(error))
    raise _Refused(
        Failed("identity_unknown", "The provider did not say whose account it is. Please connect once more.")
    )


def _activate(
    context: JobContext, connector: Connector, request: ConsentRequest, reply: TokenReply, account_mac: bytes
) -> Done:
    services, workspace = context.services, context.workspace
    granted = reply.scopes or normal_scopes(request.scopes)
    reply = replace(reply, scopes=granted)
    key = services.keys.grant(workspace, request.connection_id)
    with services.database.transaction(workspace) as tx:
        was = connections.lock(tx, workspace, request.connection_id)
        if was is None or was.epoch != request.epoch:
            raise ConnectionStopped("the connection was ended while the person consented")
        if connections.being_ended(tx, workspace, request.connection_id):
            raise ConnectionStopped("the connection is being ended")
        # What was added to a living grant while this person consented stays added.
        purposes = tuple(sorted({*request.purposes, *(was.purposes if was.state is State.ACTIVE else ())}))
        plans = plan_streams(connector, purposes, granted)
        siblings.lock_account(tx, workspace, account_mac)
        _require_account(tx, workspace, was, account_mac)
        try:
            services.grants.store_first(tx, workspace, key, request.connection_id, reply)
        except (ConsentGone, SealBroken):
            raise _Refused(Failed("no_refresh_token", "The provider gave no lasting access. Connect again.")) from None
        siblings.add(tx, workspace, request.connection_id, account_mac)
        connections.activate(
            tx,
            workspace,
            was,
            consent=Consent(purposes, request.policy_version, request.agreed_by),
            scopes=granted,
            account_mac=account_mac,
            streams=plans,
        )
        context.fence(tx)
    missing = sorted(
        {
            scope
            for stream in connector.streams
            for scope in missing_scopes(stream.scopes, granted)
            if any(plan.stream == stream.name and plan.state is StreamState.MISSING_SCOPE for plan in plans)
        }
    )
    streams = {plan.stream: plan.state.value for plan in plans}
    return Done({"connection_id": str(request.connection_id), "streams": streams, "missing_scopes": missing})


def _require_account(tx: Connection, workspace: str, was: StoredConnection, account_mac: bytes) -> None:
    if was.account_mac is not None and was.account_mac != account_mac:
        text = "Another account was chosen than this connection's. Connect once more, and choose that one."
        raise _Refused(Failed("other_account", text))
    other: UUID | None = siblings.holder(tx, workspace, was.provider, account_mac, was.connection_id)
    if other is not None:
        text = "This account is connected to the workspace already."
        raise _Refused(Failed("account_already_connected", text, {"existing_connection_id": str(other)}))


def plan_streams(connector: Connector, purposes: tuple[str, ...], granted: tuple[str, ...]) -> tuple[StreamPlan, ...]:
    """Which streams run: those whose purpose is held and whose scopes were all granted. Pure."""
    held = {Purpose(name) for name in purposes}
    plans = []
    for stream in connector.streams:
        if stream.purpose is not None and stream.purpose not in held:
            state = StreamState.OFF
        elif missing_scopes(stream.scopes, granted):
            state = StreamState.MISSING_SCOPE
        else:
            state = StreamState.ACTIVE
        purpose = stream.purpose.value if stream.purpose else None
        plans.append(StreamPlan(stream.name, purpose, state, stream.interval))
    return tuple(plans)


HANDLER = Handler("complete_connect", run, deadline=timedelta(minutes=2), max_attempts=4)

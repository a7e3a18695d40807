"""Begins to connect an account: validates what is asked, makes the connection and its keys, gives the consent address.

    args    provider, purposes, policy_version, agreed_by (the CRM's id of a person), connection_id (to reconnect, or to
            add a purpose); sealed: login_hint
    gives   connection_id and request_id; under seal the address to send the person to

The `state` and the PKCE verifier never leave the vault in the clear: the one is kept as an HMAC, the other sealed. Ids
follow from the job's number, so that a run that was killed half-way is taken up where it was.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from worker.connectors import registry
from worker.connectors.contract import Connector
from worker.errors import BadRequest, ConnectionStopped
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Done, Outcome
from worker.records import Purpose
from worker.store import connections, consents
from worker.store.connections import Consent, State, StoredConnection
from worker.store.consents import ConsentRequest

LIFE: Final = timedelta(minutes=30)
"""How long a person may take for the consent page."""
STATE: Final = "state"
_NAMES: Final = UUID("b1f4c3c2-6e0f-4a0e-9d0b-7a3f52b3a9d1")
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class _Asked:
    connector: Connector
    consent: Consent
    connection_id: UUID | None


def run(context: JobContext) -> Outcome:
    """Make the request and give its address."""
    asked = _read(context.args)
    services, workspace = context.services, context.workspace
    services.endpoints.client(asked.connector.facts)  # Our registration must be there before anybody is asked.
    hint = _login_hint(context)
    connection_id = asked.connection_id or uuid5(_NAMES, f"{workspace}:{context.job_id}:connection")
    with services.database.transaction(workspace) as tx:
        if asked.connection_id is None:
            connections.create(tx, workspace, connection_id, asked.connector.facts.name, asked.consent)
        was = connections.lock(tx, workspace, connection_id)
        _require_connectable(was, asked, connection_id)
        if connections.being_ended(tx, workspace, connection_id):
            raise BadRequest(
                f"Connection {connection_id} is being disconnected. Wait for its end, or connect anew without the id."
            )
        consents.adopt_job(tx, workspace, context.job_id, connection_id)
        for forgotten in consents.drop_old(tx, workspace):
            connections.stop(tx, workspace, forgotten, State.DISCONNECTED, "never_consented")
        context.fence(tx)
    services.keys.create_for_connection(workspace, connection_id)
    if was is None:
        raise ConnectionStopped("the connection is gone")
    purposes, adds = _purposes(was, asked)
    scopes = asked.connector.scopes_for(purposes)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    request_id = uuid5(_NAMES, f"{workspace}:{context.job_id}:request")
    key = services.keys.grant(workspace, connection_id)
    request = ConsentRequest(
        request_id=request_id,
        connection_id=connection_id,
        epoch=was.epoch,
        sealed_verifier=key.seal("consent.verifier", request_id.bytes, verifier.encode()),
        purposes=tuple(purpose.value for purpose in purposes),
        scopes=scopes,
        policy_version=asked.consent.policy_version,
        agreed_by=asked.consent.agreed_by,
        redirect_uri=services.settings.redirect_uri,
    )
    url = services.endpoints.of(asked.connector.facts).authorize_url(
        redirect_uri=request.redirect_uri,
        scopes=scopes,
        state=state,
        verifier=verifier,
        login_hint=hint,
        # Only when a purpose is added to a living grant should the new one cover what the old one did.
        extra=asked.connector.facts.oauth.adding_params if adds else (),
    )
    private = {"authorize_url": url}
    sealed = services.keys.records(workspace, connection_id).seal(
        "job.outcome", context.job_id.to_bytes(8, "big"), json.dumps(private).encode()
    )
    with services.database.transaction(workspace) as tx:
        consents.add(tx, workspace, request, state_mac(context, state), LIFE)
        context.fence(tx)
    return Done({"connection_id": str(connection_id), "request_id": str(request_id)}, sealed)


def state_mac(context: JobContext, state: str) -> bytes:
    """The name under which a request is found by its `state`."""
    return context.services.keys.sibling_mac(STATE, context.workspace, state)


def _read(args: dict[str, Any]) -> _Asked:
    connector = registry.load(str(args.get("provider", "")))
    known = {purpose.value for purpose in connector.facts.purposes}
    given = args.get("purposes")
    if not isinstance(given, list) or not given or not set(map(str, given)) <= known:
        wrong = ", ".join(sorted(set(map(str, given)) - known)) if isinstance(given, list) and given else "none"
        raise BadRequest(
            f"«{connector.facts.name}» cannot be connected for the purposes given ({wrong}). "
            f"It knows: {', '.join(sorted(known))}."
        )
    texts = {}
    for name in ("policy_version", "agreed_by"):
        text = args.get(name)
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST_TEXT:
            raise BadRequest(f"start_connect needs args.{name}: who agreed to which version of the policy.")
        texts[name] = text.strip()
    if "@" in texts["agreed_by"]:
        raise BadRequest("args.agreed_by is your own id of who agreed, not an address: it is kept in the clear.")
    connection_id = args.get("connection_id")
    consent = Consent(tuple(sorted(set(given))), texts["policy_version"], texts["agreed_by"])
    return _Asked(connector, consent, UUID(connection_id) if connection_id else None)


def _login_hint(context: JobContext) -> str | None:
    if context.sealed is None:
        return None
    services = context.services
    plain = services.keys.intake().open(context.sealed, workspace=context.workspace, kind=context.kind)
    hint = json.loads(plain).get("login_hint")
    return hint if isinstance(hint, str) else None


def _require_connectable(was: StoredConnection | None, asked: _Asked, connection_id: UUID) -> None:
    if was is None:
        raise BadRequest(f"There is no connection {connection_id}. See `crm-sync connections`.")
    if was.provider != asked.connector.facts.name:
        raise BadRequest(f"Connection {connection_id} is one to «{was.provider}», not «{asked.connector.facts.name}».")
    if was.purged or was.state is State.DELETING:
        raise BadRequest(f"The data of connection {connection_id} was deleted; connect anew, without its id.")


def _purposes(was: StoredConnection, asked: _Asked) -> tuple[tuple[Purpose, ...], bool]:
    """What the grant is to cover, and whether that adds to a grant that lives. Pure."""
    wanted = set(asked.consent.purposes)
    adds = was.state is State.ACTIVE
    if adds:
        wanted |= set(was.purposes)
    return tuple(Purpose(name) for name in sorted(wanted)), adds


HANDLER = Handler("start_connect", run, deadline=timedelta(minutes=1), max_attempts=5)

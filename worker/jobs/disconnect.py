"""Ends a connection, whatever happens meanwhile: stop, wait, revoke, shred, and hand over to the purge if asked.

    stopped      one transaction: state, epoch, waiting jobs cancelled; from its commit on no request starts
    quiet        no lease on the connection is left; what was under way was thrown away at its fence
    revoked      at the provider, if this was the account's last grant: siblings are locked while they are counted, so
                 of two last ones exactly one revokes
    shredded     the grant key is destroyed, and with it the tokens
    done         a receipt; with `delete_data` a job that deletes the records

Each step is noted with its transaction and may be repeated. Asked to end what it has ended, it answers with the receipt
that there is. A provider that fails is asked again for a week, and a
key-encryption key of ours that is missing is waited for as long; then the keys are destroyed all the same, and the
receipt says so. If it may have revoked without our hearing of it, and a new grant of the account keeps us from asking
again, the receipt says `reply_lost`. Microsoft has nothing to ask for: an app cannot end one grant there (it could only
sign the person out everywhere). Then our copies of the tokens are destroyed, and the receipt says `no_endpoint` and
names the pages where the person, or their administrator, takes the access away.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from worker.connectors import registry
from worker.connectors.contract import Facts
from worker.errors import (
    AskPerson,
    BadRequest,
    CrmSyncError,
    KeyMissing,
    NeedsOperator,
    ReplyLost,
    RunAgainLater,
    VaultError,
)
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import KEY_MISSING_WAIT, Cancelled, Done, Outcome, Parked, backoff
from worker.privacy import revocation
from worker.store import connections, farewells, siblings
from worker.store.connections import State, StoredConnection
from worker.store.database import Connection
from worker.transport.ports import Secret

PATIENCE: Final = timedelta(days=7)
"""How long a provider is asked to revoke before its tokens are destroyed without it. Source: google.md §1.7."""
_QUIET_AGAIN: Final = timedelta(milliseconds=300)
RECEIPT: Final = "disconnect"


def run(context: JobContext) -> Outcome:
    """Go on from the last step that was committed."""
    if context.connection_id is None:
        raise BadRequest("A job of kind disconnect needs args.connection_id.")
    notes = dict(context.progress or {})
    if "outcome" in notes:
        return Done(notes["outcome"])  # It was killed after its last commit.
    # Deletion may have been asked for while the job waited for a provider.
    if "stopped_at" not in notes or (context.args.get("delete_data") and not notes["delete_data"]):
        outcome = _stop(context, context.connection_id, notes)
        if outcome is not None:
            return outcome
    with context.services.database.transaction(context.workspace) as tx:
        now = connections.read(tx, context.workspace, context.connection_id)
        running = connections.still_running(tx, context.workspace, context.connection_id, but=context.job_id)
    if now is None or now.state not in connections.GONE or now.epoch != notes["epoch"]:
        return Cancelled("connected_again")  # Somebody redrove this job after its connection came back.
    if running:
        return Parked(context.services.clock() + _QUIET_AGAIN, "waits_for_running_jobs", notes)
    if "revoked" not in notes:
        waits = _revoke(context, context.connection_id, notes)
        if waits is not None:
            return waits
    if "shredded" not in notes:
        _shred(context, context.connection_id, notes)
    return _finish(context, context.connection_id, notes)


def _stop(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> Outcome | None:
    delete = bool(context.args.get("delete_data"))
    with context.services.database.transaction(context.workspace) as tx:
        was = connections.lock(tx, context.workspace, connection_id)
        if was is None:
            raise BadRequest(f"There is no connection {connection_id}.")
        if was.purged:
            return Done({"connection_id": str(connection_id), "already": "purged"})
        before = _ended_before(tx, context.workspace, was) if "stopped_at" not in notes and not delete else None
        if before is not None:
            context.fence(tx, {"outcome": before})
            return Done(before)
        delete = delete or was.state is State.DELETING
        state = State.DELETING if delete else State.DISCONNECTED
        epoch = connections.stop(tx, context.workspace, connection_id, state, "asked")
        notes.update(
            stopped_at=notes.get("stopped_at") or context.services.clock().isoformat(),
            epoch=was.epoch if epoch is None else epoch,
            delete_data=delete,
            account=was.account_mac.hex() if was.account_mac else None,
            provider=was.provider,
            purposes=list(was.purposes),
        )
        context.fence(tx, notes)
    return None


def _ended_before(tx: Connection, workspace: str, was: StoredConnection) -> dict[str, Any] | None:
    """What the receipt says of a connection that is disconnected already: there is nothing more to do, or to prove."""
    if was.state is not State.DISCONNECTED:
        return None
    receipt = farewells.receipt_since(tx, workspace, was.connection_id, RECEIPT, was.state_since)
    if receipt is None:
        return None  # It was never connected, or the work on its end was given up.
    receipt_id, body = receipt
    told = ("connection_id", "confirmation_code", "revoked_at_provider", "remove_consent_at")
    answer = {name: body[name] for name in told if name in body}
    return {**answer, "receipt_id": str(receipt_id), "already": "disconnected"}


def _revoke(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> Outcome | None:
    services, workspace = context.services, context.workspace
    account = bytes.fromhex(notes["account"]) if notes["account"] else None
    token, missing = _token(context, connection_id)
    facts = _facts(notes["provider"])
    with services.database.transaction(workspace) as tx:
        how = _leave_siblings(tx, workspace, connection_id, account, may_revoke=token is not None or bool(missing))
        if how == "revoking":
            how = _may_ask(facts, notes, missing, services.clock())
        elif how == "not_the_last" and notes.get("revoke_unanswered"):
            how = "reply_lost"  # It was the last when it asked, and a new one came before it could ask again.
        if how == "revoking":
            notes["revoke_unanswered"] = True  # From here on, until an answer is noted: it may have been revoked.
        elif how not in {"key_missing", "revoke_failed"}:
            if account is not None:
                siblings.remove(tx, workspace, connection_id, account)
            notes["revoked"] = how
        context.fence(tx, notes)
    if how == "key_missing":
        return Parked(services.clock() + KEY_MISSING_WAIT, how, notes, message=missing)
    if how == "revoke_failed":
        return Parked(datetime.fromisoformat(notes["revoke_not_before"]), how, notes)
    if how != "revoking":
        return None
    if token is None or account is None or facts is None:
        raise AssertionError("there is nothing to revoke")
    return _ask_provider(context, connection_id, account, facts, token, notes)


def _ask_provider(
    context: JobContext, connection_id: UUID, account: bytes, facts: Facts, token: Secret, notes: dict[str, Any]
) -> Outcome | None:
    started_at = context.services.clock()
    try:
        context.services.endpoints.of(facts).revoke(token)
        notes["revoked"] = "yes"
    except (AskPerson, NeedsOperator, RunAgainLater) as error:
        notes["revoke_unanswered"] = isinstance(error, ReplyLost)
        if started_at - datetime.fromisoformat(notes["stopped_at"]) < PATIENCE:
            return _later(context, notes, error)
        notes["revoked"] = "given_up"
    _after_revocation(context, connection_id, account, notes)
    return None


def _token(context: JobContext, connection_id: UUID) -> tuple[Secret | None, str]:
    """What to show to the provider, or None, and which key is missing if that is why.

    Tokens that do not open for any other reason must not keep the keys from being destroyed.
    """
    try:
        return context.services.grants.revoke_value(context.workspace, connection_id), ""
    except KeyMissing as error:
        return None, str(error)
    except VaultError:
        return None, ""


def _may_ask(facts: Facts | None, notes: dict[str, Any], missing: str, now: datetime) -> str:
    """Whether the last grant of an account is `revoking` now, or how else it goes, or what it waits for. Pure."""
    if facts is None or facts.oauth.revoke_url is None:
        return "no_endpoint"
    stopped_at = datetime.fromisoformat(notes["stopped_at"])
    if missing:
        return "key_missing" if now - stopped_at < PATIENCE else "no_token"
    # It may have been woken by somebody who asked again, which does not shorten the provider's wait.
    not_before = datetime.fromisoformat(notes.get("revoke_not_before") or notes["stopped_at"])
    return "revoke_failed" if not_before > now else "revoking"


def _facts(provider: str) -> Facts | None:
    """The connector's facts; None if it is not installed any more."""
    try:
        return registry.load(provider).facts
    except BadRequest:
        return None


def _leave_siblings(
    tx: Connection, workspace: str, connection_id: UUID, account: bytes | None, *, may_revoke: bool
) -> str:
    """How this one goes: `revoking` if it is the last, else without a word to the provider."""
    if account is None:
        return "never_granted"
    everyone = siblings.lock_all(tx, account)
    here = (workspace, connection_id)
    others = [each for each in everyone if (each.workspace_id, each.connection_id) != here]
    if others:
        return "not_the_last"
    if not may_revoke:
        return "no_token"
    siblings.mark_revoking(tx, workspace, connection_id, account)
    return "revoking"


def _later(context: JobContext, notes: dict[str, Any], error: CrmSyncError) -> Parked:
    failures = int(notes.get("revoke_failures", 0)) + 1
    notes["revoke_failures"] = failures
    now = context.services.clock()
    named = error.until if isinstance(error, RunAgainLater) else None
    notes["revoke_not_before"] = named.isoformat() if named is not None else None
    return Parked(max(named or now, now + backoff(failures)), "revoke_failed", notes)


def _after_revocation(context: JobContext, connection_id: UUID, account: bytes, notes: dict[str, Any]) -> None:
    """Siblings that came while we revoked lost their grants too: each is told to connect again, and then we leave."""
    workspace, database = context.workspace, context.services.database
    ended = 0
    if notes["revoked"] == "yes":
        ended = revocation.end_siblings(database, account, but=(workspace, connection_id))
    with database.transaction(workspace) as tx:
        siblings.remove(tx, workspace, connection_id, account)
        notes["siblings_ended"] = ended
        context.fence(tx, notes)


def _shred(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> None:
    context.services.keys.shred_grant(context.workspace, connection_id)
    with context.services.database.transaction(context.workspace) as tx:
        farewells.forget_tokens(tx, context.workspace, connection_id)
        notes["shredded"] = context.services.clock().isoformat()
        context.fence(tx, notes)


def _finish(context: JobContext, connection_id: UUID, notes: dict[str, Any]) -> Done:
    workspace = context.workspace
    with context.services.database.transaction(workspace) as tx:
        was = connections.lock(tx, workspace, connection_id)
        requests, last_request_at = connections.last_request(tx, workspace, connection_id)
        code = secrets.token_hex(8)
        body = {
            "connection_id": str(connection_id),
            "provider": notes["provider"],
            "purposes": notes["purposes"],
            "asked_by": str(context.args.get("actor", "")),
            "asked_because": str(context.args.get("reason", "")),
            "stopped_at": notes["stopped_at"],
            "last_request_at": last_request_at.isoformat() if last_request_at else None,
            "requests": requests,
            "revoked_at_provider": notes["revoked"],
            **_left_to_the_person(notes),
            "siblings_ended": notes.get("siblings_ended", 0),
            "grant_key_destroyed_at": notes["shredded"],
            "data": "being_deleted" if notes["delete_data"] else "kept",
            "confirmation_code": code,
        }
        receipt_id = farewells.add_receipt(tx, workspace, connection_id, RECEIPT, body)
        outcome = {
            "connection_id": str(connection_id),
            "receipt_id": str(receipt_id),
            "confirmation_code": code,
            "revoked_at_provider": notes["revoked"],
            **_left_to_the_person(notes),
        }
        if notes["delete_data"] and was is not None and was.state is State.DELETING:
            outcome["purge_job_id"] = connections.ask_for_purge(tx, workspace, connection_id)
        context.fence(tx, {**notes, "outcome": outcome})
    return Done(outcome)


def _left_to_the_person(notes: dict[str, Any]) -> dict[str, Any]:
    """Where our access is taken away by hand, at a provider that lets no app give back a single grant."""
    facts = _facts(notes["provider"])
    if facts is None or notes["revoked"] != "no_endpoint" or not facts.oauth.consent_pages:
        return {}
    return {"remove_consent_at": list(facts.oauth.consent_pages)}


HANDLER = Handler("disconnect", run, deadline=timedelta(minutes=5), max_attempts=50)

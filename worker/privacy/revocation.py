"""What an error says about a consent, and the step that follows from it, each with its word in the feed.

    the provider said                         the connection becomes    the feed says
    this person must consent again            reconnect_needed          connection.state, grant_revoked | …
    an administrator does not allow the app   blocked_by_admin          connection.state, blocked_by_admin
    this scope was not granted                active; the stream        stream.state, missing_scope
                                              missing_scope
    our client or its secret is wrong         active: nobody is         connection.state, operator_alarm
                                              disconnected
    nothing: a key of ours is missing         active, and waits         connection.state, key_missing

Each is one step over a transaction that the caller opened; `epoch` keeps an error of an ended consent from ending its
successor. `end_siblings` alone reaches into other workspaces, each in a transaction of its own. What follows a
disconnect that somebody asked for is in `worker.jobs.disconnect`.
"""

from uuid import UUID

import structlog

from worker.errors import AdminBlocked, AskPerson, KeyMissing, Misconfigured, ScopeMissing
from worker.store import connections, siblings
from worker.store.connections import State
from worker.store.database import Connection, Database
from worker.store.documents import StreamPlace

_log = structlog.get_logger(__name__)
GRANT_REVOKED = "grant_revoked"
OPERATOR_ALARM = "operator_alarm"


def state_after(error: AskPerson) -> tuple[State, str]:
    """The state that a grant's end brings, and the machine code that goes with it. Pure."""
    if isinstance(error, AdminBlocked):
        return State.BLOCKED_BY_ADMIN, error.reason
    return State.RECONNECT_NEEDED, "reply_lost" if "reply_lost" in str(error) else GRANT_REVOKED


def grant_ended(
    tx: Connection,
    workspace: str,
    connection_id: UUID,
    epoch: int,
    error: AskPerson,
    *,
    admin_consent_url: str | None = None,
) -> bool:
    """Stop a connection whose grant the provider ended. False if its epoch has moved on: then it is another grant.

    `admin_consent_url` is told to whoever waits for an administrator, if their consent is what is missing.
    """
    state, reason = state_after(error)
    was = connections.lock(tx, workspace, connection_id)
    if was is not None and was.epoch == epoch and was.account_mac is not None and state is State.RECONNECT_NEEDED:
        # A dead grant is nobody's sibling: the last living one is the one that revokes when it goes.
        siblings.remove(tx, workspace, connection_id, was.account_mac)
    url = admin_consent_url if isinstance(error, AdminBlocked) and error.consent_helps else None
    stopped = connections.stop(tx, workspace, connection_id, state, reason, epoch=epoch, admin_consent_url=url)
    return stopped is not None


def scope_missing(tx: Connection, place: StreamPlace, epoch: int, error: ScopeMissing) -> bool:
    """Switch off the one stream whose scope was not granted."""
    del error
    return connections.lack_scope(tx, place.workspace, place.connection, place.stream, epoch=epoch)


def held_up(tx: Connection, workspace: str, connection_id: UUID, error: Misconfigured | KeyMissing) -> bool:
    """Raise the operators' alarm: the provider does not know our client, or a key of ours is missing.

    The customer stays connected, and is told that it is us; the log says what to mend.
    """
    reason = error.reason if isinstance(error, KeyMissing) else OPERATOR_ALARM
    if not connections.set_alarm(tx, workspace, connection_id, reason):
        return False
    _log.error(
        "operator.alarm",
        workspace=workspace,
        connection_id=str(connection_id),
        reason=error.reason,
        error=str(error),
    )
    return True


def works_again(tx: Connection, workspace: str, connection_id: UUID) -> None:
    """Take an alarm back."""
    connections.clear_alarm(tx, workspace, connection_id)


def end_siblings(database: Database, account_mac: bytes, *, but: tuple[str, UUID]) -> int:
    """The account's grant was revoked at the provider, and with it all others: each is told to connect again.

    `but` (workspace and connection) is the one that went. Returns how many the others were.
    """
    with database.transaction(but[0]) as tx:
        everyone = siblings.lock_all(tx, account_mac)
    others = [each for each in everyone if (each.workspace_id, each.connection_id) != but]
    for sibling in others:
        with database.transaction(sibling.workspace_id) as tx:
            connections.stop(
                tx, sibling.workspace_id, sibling.connection_id, State.RECONNECT_NEEDED, "revoked_with_sibling"
            )
            siblings.remove(tx, sibling.workspace_id, sibling.connection_id, account_mac)
    return len(others)

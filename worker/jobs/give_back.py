"""Gives a grant back to its provider that was consented to just now and that no connection of ours may keep.

    another account than the connection's · nobody can say whose it is · a connection that was ended meanwhile
        ─▶ does anybody of ours live on that account? ─no─▶ revoked at the provider

Where a revocation ends all grants of an account, one is given back only if the account is known and nobody else holds
one. It is asked for at once, a few times: the tokens are in this run's memory alone, and go with it.
"""

import time
from typing import Final
from uuid import UUID

import structlog

from worker.connectors.contract import Facts
from worker.errors import AskPerson, NeedsOperator, RunAgainLater
from worker.jobs.context import JobContext
from worker.privacy import revocation
from worker.store import siblings
from worker.transport.token_replies import TokenReply

_log = structlog.get_logger(__name__)
_AGAIN_S: Final = (0.2, 1.0, 3.0)


def give_back(
    context: JobContext, facts: Facts, connection_id: UUID, reply: TokenReply, account_mac: bytes | None
) -> str:
    """What became of the grant: `revoked`, or why it was not, as a code. Nothing is raised for a provider that fails.

    `account_mac` is None where nobody knows whose account it is.
    """
    became = _revoked(context, facts, connection_id, reply, account_mac)
    _log.info(
        "grant.given_back",
        workspace=context.workspace,
        connection_id=str(connection_id),
        job_id=context.job_id,
        became=became,
    )
    return became


def _revoked(
    context: JobContext, facts: Facts, connection_id: UUID, reply: TokenReply, account_mac: bytes | None
) -> str:
    if facts.oauth.revoke_url is None:
        return "no_endpoint"
    if reply.refresh_token is None:
        return "nothing_lasting"
    if facts.oauth.revoke_ends_siblings:
        if account_mac is None:
            return "account_unknown"
        with context.services.database.transaction(context.workspace) as tx:
            if siblings.lock_all(tx, account_mac):
                return "kept_for_siblings"
    endpoint = context.services.endpoints.of(facts)
    for pause_s in (*_AGAIN_S, None):
        try:
            endpoint.revoke(reply.refresh_token)
            break
        except (AskPerson, NeedsOperator, RunAgainLater):
            if pause_s is None:
                return "provider_failed"
            time.sleep(pause_s)
    if facts.oauth.revoke_ends_siblings and account_mac is not None:
        # Whoever connected the account while we revoked lost that grant with ours.
        revocation.end_siblings(context.services.database, account_mac, but=(context.workspace, connection_id))
    return "revoked"

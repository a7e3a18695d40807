"""Renews a grant that nothing uses, before the provider drops it for that reason."""

from datetime import timedelta

from worker.connectors import registry
from worker.errors import AdminBlocked, BadRequest, ConsentGone, KeyMissing, Misconfigured
from worker.jobs.admin_consent import admin_consent_url
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Cancelled, Done, Failed, Outcome
from worker.privacy import revocation
from worker.store import connections
from worker.store.connections import State


def run(context: JobContext) -> Outcome:
    """Renew once."""
    services, workspace = context.services, context.workspace
    if context.connection_id is None:
        raise BadRequest("A job of kind refresh_grant needs args.connection_id.")
    with services.database.transaction(workspace) as tx:
        was = connections.read(tx, workspace, context.connection_id)
    if was is None or was.state is not State.ACTIVE:
        return Cancelled("connection_not_active")
    connector = registry.load(was.provider)
    facts = connector.facts
    gate = context.gate(was.epoch)
    source = services.grants.token_source(
        workspace, context.connection_id, services.endpoints.of(facts), facts.oauth, gate
    )
    try:
        source.renew()
    except (ConsentGone, AdminBlocked) as error:
        url = admin_consent_url(services, connector, context.connection_id, was.purposes)
        with services.database.transaction(workspace) as tx:
            revocation.grant_ended(tx, workspace, context.connection_id, was.epoch, error, admin_consent_url=url)
            context.fence(tx)
        return Failed(error.reason, error.customer_text)
    except (Misconfigured, KeyMissing) as error:
        with services.database.transaction(workspace) as tx:
            revocation.held_up(tx, workspace, context.connection_id, error)
            context.fence(tx)
        raise
    return Done({"connection_id": str(context.connection_id)})


HANDLER = Handler("refresh_grant", run, deadline=timedelta(minutes=3))

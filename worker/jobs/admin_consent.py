"""The address at which an administrator lets a whole organisation use the app, for a connection that waits for that."""

from collections.abc import Iterable
from uuid import UUID

from worker.connectors.contract import Connector
from worker.jobs.services import Services
from worker.records import Purpose


def admin_consent_url(
    services: Services, connector: Connector, connection_id: UUID, purposes: Iterable[str]
) -> str | None:
    """The address, for the scopes of these purposes; None if the provider has none. There is no secret in it.

    Its `state` is the connection's id, so that the CRM's page, to which the administrator comes back, knows which
    connection is to be connected again.
    """
    return services.endpoints.of(connector.facts).admin_consent_url(
        redirect_uri=services.settings.redirect_uri,
        scopes=connector.scopes_for(map(Purpose, purposes)),
        state=str(connection_id),
    )

"""Each provider's OAuth endpoints as our own registration there sees them, one for each connector and process.

The registration comes from the settings, by the connector's family: `CRM_SYNC_GOOGLE_CLIENT_ID` and its companions.
"""

import threading

from worker.connectors.contract import Facts
from worker.errors import Misconfigured
from worker.settings import PREFIX, Settings
from worker.transport.client import Transport
from worker.transport.oauth import OAuthEndpoint
from worker.transport.ports import OAuthClient, Secret


class Endpoints:
    """The OAuth endpoints of a process. They remember providers' public keys, and no token."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._made: dict[str, OAuthEndpoint] = {}
        self._lock = threading.Lock()

    def of(self, facts: Facts) -> OAuthEndpoint:
        """The endpoints of a connector's provider.

        Raises:
            Misconfigured: our registration there is not in the settings.
        """
        with self._lock:
            if facts.name not in self._made:
                client = self.client(facts)
                self._made[facts.name] = OAuthEndpoint(self._transport, facts.oauth.at_tenant(client.tenant), client)
            return self._made[facts.name]

    def client(self, facts: Facts) -> OAuthClient:
        """Our registration at the provider.

        Raises:
            Misconfigured: it is not in the settings.
        """
        family = facts.family
        client_id = self._settings.own(f"{family}_client_id")
        secret = self._settings.own(f"{family}_client_secret")
        if not client_id or not secret:
            names = f"{PREFIX}{family.upper()}_CLIENT_ID and {PREFIX}{family.upper()}_CLIENT_SECRET"
            raise Misconfigured(
                f"{facts.title} cannot be reached: {names} are not set. They come from the provider's "
                "developer console; for the simulator `crm-sync demo` sets them by itself."
            )
        project = self._settings.own(f"{family}_project", family)
        tenant = self._settings.own(f"{family}_tenant", "")
        return OAuthClient(str(client_id), Secret(str(secret)), str(project), str(tenant))

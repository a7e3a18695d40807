"""Tenants: which accounts may sign in at which address of the identity platform.

common          everybody        organizations   accounts of an organisation
consumers       private ones     a GUID or a verified domain: the accounts of that organisation
"""

from simulator.microsoft.oauth_errors import GrantRefused
from simulator.world import World
from simulator.world.office import OfficeAccount

CONSUMERS_ID = "9188040d-6c67-4ce5-b112-36a304b66dad"
_NAMES = frozenset({"common", "organizations", "consumers", CONSUMERS_ID})


def tenant_id(account: OfficeAccount) -> str:
    """Return the id of the tenant that an account belongs to."""
    return account.organisation or CONSUMERS_ID


def check_tenant(world: World, tenant: str) -> str:
    """Return the tenant as it is written in documents.

    Raises: GrantRefused for one that does not exist.
    """
    name = tenant.lower()
    if name in _NAMES:
        return name
    for account in world.office:
        if account.organisation is not None and name in (account.organisation, account.email.partition("@")[2]):
            return account.organisation
    raise GrantRefused(90002, f"Tenant '{tenant}' was not found.")


def admit(tenant: str, account: OfficeAccount) -> None:
    """Demand that an account may sign in at a tenant that was checked.

    Raises: GrantRefused.
    """
    private = account.organisation is None
    fitting = {"common": True, "organizations": not private, "consumers": private, CONSUMERS_ID: private}
    if not fitting.get(tenant, account.organisation == tenant):
        raise GrantRefused(50020)

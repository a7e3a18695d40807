"""Microsoft's part of the control door: accounts, truth, edits of the world, consent, and the family's switches.

It judges nothing; what it is told to do is carried out where the thing itself is kept.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from simulator.app import ControlHandler, Simulator
from simulator.holdings import Holdings
from simulator.microsoft.access import Access
from simulator.microsoft.consent import ConsentPage, SentBack
from simulator.microsoft.grants import Grants
from simulator.microsoft.oauth_errors import GrantRefused
from simulator.microsoft.service import Service
from simulator.microsoft.tenants import tenant_id
from simulator.switching import Switchboard, switch


class MicrosoftControls:
    """The controls by name; each takes method, query and body and returns plain data."""

    def __init__(
        self, simulator: Simulator, grants: Grants, page: ConsentPage, access: Access, services: list[Service]
    ) -> None:
        self._world = simulator.world
        self._grants = grants
        self._page = page
        self._access = access
        self._holdings = Holdings(services, simulator.world.office_account)
        self.table: dict[str, ControlHandler] = {
            "accounts": self._accounts,
            "truth": self._holdings.truth,
            "world": self._holdings.edit,
            "consent": self._consent,
            "entra": Switchboard(grants.switches, self._acts(), self._shown).control,
            "graph": self._graph,
        }

    def _accounts(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        accounts = [
            {
                "email": account.email,
                "oid": account.oid,
                "tenant": tenant_id(account),
                "private": account.organisation is None,
                "name": account.display_name,
                "locale": account.locale,
                "dropped": account.dropped,
                "counts": self._holdings.counts(account),
                "live_refresh_tokens": self._grants.live(account),
            }
            for account in self._world.office
        ]
        return {"accounts": accounts}

    def _consent(self, _method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        address = urlsplit(str(given["authorize_url"]))
        tenant = address.path.removeprefix("/login.microsoftonline.com").split("/")[1]
        try:
            asked = self._page.check(tenant, parse_qsl(address.query, keep_blank_values=True))
            account = self._page.hinted(asked, given.get("account"))
            back = self._page.decide(asked, account, given.get("scopes"), deny=bool(given.get("deny", False)))
        except GrantRefused as refused:
            raise ValueError(f"The browser stays on an error page: {refused.error}: {refused.description}") from None
        except SentBack as sent:
            return {"redirect_url": sent.address, "account": None, "sub": None}
        return {"redirect_url": back, "account": account.email, "sub": account.oid}

    def _acts(self) -> dict[str, Callable[[Any], Any]]:
        """Return what may happen to accounts and their grants, and to the application, by name."""
        found, grants = self._world.office_account, self._grants
        return {
            "revoke_sessions": lambda named: grants.end(found(named), "revoked"),
            "remove_consent": lambda named: grants.end(found(named), "removed"),
            "disable_account": lambda named: grants.end(found(named), "disabled"),
            "enable_account": lambda named: grants.enable(found(named)),
            "drop_account": lambda named: self._drop(named, dropped=True),
            "restore_account": lambda named: self._drop(named, dropped=False),
            "expire_access_tokens": lambda named: grants.expire_access_tokens(None if named is True else found(named)),
            "challenge": lambda named: grants.demand(found(named)),
            "register_redirects": self._page.register,
        }

    def _drop(self, named: str, *, dropped: bool) -> str:
        account = self._world.office_account(named)
        account.dropped = dropped
        return account.email

    def _shown(self) -> dict[str, Any]:
        return {"refreshes": self._grants.refreshes, "redirect_uris": sorted(self._page.redirect_uris)}

    def _graph(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        """Show or set how Graph behaves: `{"empty_pages": 2}`."""
        return switch(self._access.switches, given if method == "POST" else {})

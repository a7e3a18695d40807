"""Google's part of the control door: accounts, truth, edits of the world, consent, and every service's switches.

It judges nothing; what it is told to do is carried out where the thing itself is kept.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from simulator.app import ControlHandler
from simulator.google.consent import AuthorizationRefused, ConsentPage
from simulator.google.grants import Grants
from simulator.google.service import Service
from simulator.holdings import Holdings
from simulator.switching import Switchboard
from simulator.world import World


class GoogleControls:
    """The controls by name; each takes method, query and body and returns plain data."""

    def __init__(self, world: World, grants: Grants, page: ConsentPage, services: list[Service]) -> None:
        self._world = world
        self._grants = grants
        self._page = page
        self._services = services
        self._holdings = Holdings(services, world.account)
        self.table: dict[str, ControlHandler] = {
            "accounts": self._accounts,
            "truth": self._holdings.truth,
            "world": self._holdings.edit,
            "consent": self._consent,
            "oauth": Switchboard(grants.switches, self._acts(), self._shown).control,
            "services": self._switches,
        }

    def concerns(self, query: dict[str, str], given: dict[str, Any]) -> bool:
        """Say whether something is about one of Google's accounts."""
        named = query.get("account") or given.get("account")
        return any(named in (account.email, account.sub) for account in self._world.accounts)

    def _accounts(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        accounts = [
            {
                "email": account.email,
                "sub": account.sub,
                "name": account.display_name,
                "locale": account.locale,
                "dropped": account.dropped,
                "counts": self._holdings.counts(account),
                "live_refresh_tokens": self._grants.live(account),
            }
            for account in self._world.accounts
        ]
        return {"accounts": accounts}

    def _consent(self, _method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        query = urlsplit(str(given["authorize_url"])).query
        try:
            asked = self._page.check(parse_qsl(query, keep_blank_values=True))
        except AuthorizationRefused as refused:
            raise ValueError(f"The browser stays on an error page ({refused.status}): {refused}") from None
        account = self._page.hinted(asked, given.get("account"))
        lasts_s = given.get("lasts_s")
        address = self._page.decide(
            asked,
            account,
            given.get("scopes"),
            deny=bool(given.get("deny", False)),
            lasts_s=None if lasts_s is None else float(lasts_s),
        )
        return {"redirect_url": address, "account": account.email, "sub": account.sub}

    def _acts(self) -> dict[str, Callable[[Any], Any]]:
        """Return what may happen to accounts and their grants, and to the application, by name."""
        world, grants = self._world, self._grants
        return {
            "revoke_account": lambda named: grants.end_account(world.account(named)),
            "change_password": lambda named: grants.change_password(world.account(named)),
            "drop_account": lambda named: self._drop(named, dropped=True),
            "restore_account": lambda named: self._drop(named, dropped=False),
            "expire_access_tokens": lambda named: grants.expire_access_tokens(
                None if named is True else world.account(named)
            ),
            "register_redirects": self._page.register,
        }

    def _drop(self, named: str, *, dropped: bool) -> str:
        account = self._world.account(named)
        account.dropped = dropped
        return account.email

    def _shown(self) -> dict[str, Any]:
        return {"refreshes": self._grants.refreshes, "redirect_uris": sorted(self._page.redirect_uris)}

    def _switches(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        """Show or set the switches of services: `{"people": {"expired_status": 410}}`."""
        table = {service.name: service.switches for service in self._services if service.switches is not None}
        unknown = sorted(set(given) - set(table))
        if unknown:
            raise ValueError(f"No service {unknown} has switches; {sorted(table)} do.")
        if method == "POST":
            for name, changes in given.items():
                table[name](changes)
        return {name: control({}) for name, control in table.items()}

"""Google's part of the control door: accounts, truth, edits of the world, consent, and every service's switches.

It judges nothing; what it is told to do is carried out where the thing itself is kept.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from simulator.app import ControlHandler
from simulator.google.consent import AuthorizationRefused, ConsentPage
from simulator.google.grants import Grants
from simulator.google.people_service import changed
from simulator.google.service import Service
from simulator.world import World


class GoogleControls:
    """The controls by name; each takes method, query and body and returns plain data."""

    def __init__(self, world: World, grants: Grants, page: ConsentPage, services: list[Service]) -> None:
        self._world = world
        self._grants = grants
        self._page = page
        self._services = services
        self.table: dict[str, ControlHandler] = {
            "accounts": self._accounts,
            "truth": self._truth,
            "world": self._edit,
            "consent": self._consent,
            "oauth": self._oauth,
            "services": self._switches,
        }

    def concerns(self, query: dict[str, str], given: dict[str, Any]) -> bool:
        """Say whether something is about one of Google's accounts."""
        named = query.get("account") or given.get("account")
        return any(named in (account.email, account.sub) for account in self._world.accounts)

    def _accounts(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        accounts = []
        for account in self._world.accounts:
            counts: dict[str, int] = {}
            for service in self._services:
                counts |= service.counts(account)
            accounts.append(
                {"email": account.email, "sub": account.sub, "name": account.display_name, "locale": account.locale,
                 "dropped": account.dropped, "counts": counts, "live_refresh_tokens": self._grants.live(account)}
            )  # fmt: skip
        return {"accounts": accounts}

    def _truth(self, _method: str, query: dict[str, str], _given: dict[str, Any]) -> Any:
        kind = query.get("kind", "contacts")
        for service in self._services:
            if kind in service.truth:
                return {"kind": kind, "items": service.truth[kind](self._world.account(query.get("account")))}
        kinds = sorted(known for service in self._services for known in service.truth)
        raise ValueError(f"There is no truth about {kind!r}; there is {kinds}.")

    def _edit(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        known = sorted({name for service in self._services for name in service.edits})
        if method != "POST":
            return {"edits": known}
        edits = given.get("edits", [given] if "do" in given else [])
        unknown = [edit.get("do") for edit in edits if edit.get("do") not in known]
        if unknown or not edits:
            raise ValueError(f"There is no edit {unknown}; there are {known}.")
        results = []
        for edit in edits:
            account = self._world.account(edit.get("account", given.get("account")))
            done = [
                service.edits[edit["do"]](account, edit) for service in self._services if edit["do"] in service.edits
            ]
            results.append(next((one for one in done if one is not None), None))
        return {"results": results}

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

    def _oauth(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        done: dict[str, Any] = {}
        if method == "POST":
            acts = {name: given[name] for name in _ACTS if name in given}
            for name, value in acts.items():
                done[name] = self._act(name, value)
            changes = {name: value for name, value in given.items() if name not in acts}
            self._grants.switches = changed(self._grants.switches, changes)
        return {
            "switches": msgspec.to_builtins(self._grants.switches),
            "refreshes": self._grants.refreshes,
            "redirect_uris": sorted(self._page.redirect_uris),
            "acts": list(_ACTS),
            "done": done,
        }

    def _act(self, name: str, value: Any) -> Any:
        if name == "register_redirects":
            self._page.redirect_uris.update(str(one) for one in value)
            return sorted(self._page.redirect_uris)
        if name == "expire_access_tokens":
            return self._grants.expire_access_tokens(None if value is True else self._world.account(value))
        account = self._world.account(value)
        if name in ("drop_account", "restore_account"):
            account.dropped = name == "drop_account"
            return account.email
        return self._grants.end_account(account) if name == "revoke_account" else self._grants.change_password(account)

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


_ACTS = (
    "revoke_account",
    "change_password",
    "drop_account",
    "restore_account",
    "expire_access_tokens",
    "register_redirects",
)

"""Microsoft's part of the control door: accounts, truth, edits of the world, consent, and the family's switches.

It judges nothing; what it is told to do is carried out where the thing itself is kept.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from simulator.app import ControlHandler, Simulator
from simulator.microsoft.access import Access
from simulator.microsoft.consent import ConsentPage, SentBack
from simulator.microsoft.grants import Grants
from simulator.microsoft.oauth_errors import GrantRefused
from simulator.microsoft.service import Service
from simulator.microsoft.tenants import tenant_id


class MicrosoftControls:
    """The controls by name; each takes method, query and body and returns plain data."""

    def __init__(
        self, simulator: Simulator, grants: Grants, page: ConsentPage, access: Access, services: list[Service]
    ) -> None:
        self._world = simulator.world
        self._grants = grants
        self._page = page
        self._access = access
        self._services = services
        self.table: dict[str, ControlHandler] = {
            "accounts": self._accounts,
            "truth": self._truth,
            "world": self._edit,
            "consent": self._consent,
            "entra": self._entra,
            "graph": self._graph,
        }

    def _accounts(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        accounts = []
        for account in self._world.office:
            counts: dict[str, int] = {}
            for service in self._services:
                counts |= service.counts(account)
            accounts.append(
                {"email": account.email, "oid": account.oid, "tenant": tenant_id(account),
                 "private": account.organisation is None, "name": account.display_name, "locale": account.locale,
                 "dropped": account.dropped, "counts": counts, "live_refresh_tokens": self._grants.live(account)}
            )  # fmt: skip
        return {"accounts": accounts}

    def _truth(self, _method: str, query: dict[str, str], _given: dict[str, Any]) -> Any:
        kind = query.get("kind", "contacts")
        for service in self._services:
            if kind in service.truth:
                return {"kind": kind, "items": service.truth[kind](self._world.office_account(query.get("account")))}
        kinds = sorted(known for service in self._services for known in service.truth)
        raise ValueError(f"There is no truth about {kind!r}; there is {kinds}.")

    def _edit(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        known = {name: edit for service in self._services for name, edit in service.edits.items()}
        if method != "POST":
            return {"edits": sorted(known)}
        edits = given.get("edits", [given] if "do" in given else [])
        unknown = [edit.get("do") for edit in edits if edit.get("do") not in known]
        if unknown or not edits:
            raise ValueError(f"There is no edit {unknown}; there are {sorted(known)}.")
        return {
            "results": [
                known[edit["do"]](self._world.office_account(edit.get("account", given.get("account"))), edit)
                for edit in edits
            ]
        }

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

    def _entra(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        done: dict[str, Any] = {}
        if method == "POST":
            acts = {name: given[name] for name in _ACTS if name in given}
            changes = {name: value for name, value in given.items() if name not in acts}
            switches = changed(self._grants.switches, changes)
            for name, value in acts.items():
                done[name] = self._act(name, value)
            self._grants.switches = switches
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
            return self._grants.expire_access_tokens(None if value is True else self._world.office_account(value))
        account = self._world.office_account(value)
        if name == "revoke_sessions":
            return self._grants.end(account, "revoked")
        if name == "remove_consent":
            return self._grants.end(account, "removed")
        if name == "disable_account":
            return self._grants.end(account, "disabled")
        if name == "challenge":
            self._grants.demand(account)
        elif name == "enable_account":
            self._grants.enable(account)
        elif name in ("drop_account", "restore_account"):
            account.dropped = name == "drop_account"
        return account.email

    def _graph(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        """Show or set how Graph behaves: `{"empty_pages": 2}`."""
        if method == "POST":
            new = changed(self._access.switches, given)
            for name in type(new).__dataclass_fields__:
                setattr(self._access.switches, name, getattr(new, name))
        return msgspec.to_builtins(self._access.switches)


def changed(switches: Any, changes: dict[str, Any]) -> Any:
    """Return switches (a dataclass) with some of them set.

    Raises: ValueError for an unknown one, msgspec.ValidationError for a wrong value.
    """
    present = {name: getattr(switches, name) for name in type(switches).__dataclass_fields__}
    unknown = sorted(set(changes) - set(present))
    if unknown:
        raise ValueError(f"There is no switch {unknown}; there are {sorted(present)}.")
    return msgspec.convert(msgspec.to_builtins(present | changes), type(switches))


_ACTS = (
    "revoke_sessions",
    "remove_consent",
    "disable_account",
    "enable_account",
    "drop_account",
    "restore_account",
    "expire_access_tokens",
    "challenge",
    "register_redirects",
)

"""The owner of an account, who acts through the controls of a family: what rehearsals of several families share."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from simulator.app import ControlHandler
from simulator.rehearsal import Act

_NAMES = ("display_name", "given_name", "family_name")


class Owner:
    """Whoever owns the account that a call names; `numbers` make what they write distinct."""

    def __init__(self, controls: Mapping[str, ControlHandler]) -> None:
        self._controls = controls
        self.numbers = count(1)

    def consent(self, authorize_url: str, account: str, scopes: list[str] | None) -> str:
        """Agree at the consent page, and return where the browser ends."""
        asked = {"authorize_url": authorize_url, "account": account, "scopes": scopes}
        return str(self._controls["consent"]("POST", {}, asked)["redirect_url"])

    def truth(self, account: str, kind: str) -> list[dict[str, Any]]:
        """Return what the account holds."""
        items: list[dict[str, Any]] = self._controls["truth"]("GET", {"account": account, "kind": kind}, {})["items"]
        return items

    def edit(self, account: str, *edits: dict[str, Any]) -> Any:
        """Carry edits out."""
        return self._controls["world"]("POST", {}, {"account": account, "edits": list(edits)})

    def adds(self, what: str) -> Act:
        """Return the act of adding so many of something."""
        return lambda account, number: self.edit(account, {"do": f"add_{what}", "count": number})

    def does(self, edit: str) -> Act:
        """Return an act that is the same however often it is asked for."""
        return lambda account, _number: self.edit(account, {"do": edit})

    def contacts(self, account: str) -> list[dict[str, Any]]:
        """Return what ought to be held of all contacts."""
        return [{name: item[name] for name in _NAMES} for item in self.truth(account, "contacts")]

    def rename_contacts(self, account: str, number: int) -> Any:
        """Give the first contacts new names."""
        return self.edit(account, *(
            {"do": "change_contact", "id": item["id"], "fields": {"given_name": f"New {next(self.numbers)}"}}
            for item in self.truth(account, "contacts")[:number]
        ))  # fmt: skip

    def delete_contacts(self, account: str, number: int) -> Any:
        """Delete the last contacts."""
        ids = [item["id"] for item in self.truth(account, "contacts")[-number:]]
        return self.edit(account, {"do": "delete_contact", "ids": ids})

    def rename_events(self, account: str, ids: list[str]) -> Any:
        """Give events new titles."""
        return self.edit(account, *(
            {"do": "change_event", "id": one, "fields": {"title": f"New {next(self.numbers)}"}} for one in ids
        ))  # fmt: skip

"""What the services of a family hold of an account, as its controls `truth` and `world` show and change it.

    GET  truth?account=…&kind=contacts        from the service that knows this kind
    POST world {"account": …, "edits": […]}   by every service that knows an edit of this name

A service is what has `truth`, `edits` and `counts` by the account; accounts are found by what they are called.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
Edit = Callable[[A, dict[str, Any]], Any]
Truth = Callable[[A], list[dict[str, Any]]]


class Holding(Protocol[A_contra]):
    """A service."""

    @property
    def truth(self) -> Mapping[str, Truth[A_contra]]:
        """What it holds, by kind."""

    @property
    def edits(self) -> Mapping[str, Edit[A_contra]]:
        """What may be done to it, by name."""

    @property
    def counts(self) -> Callable[[A_contra], dict[str, int]]:
        """How much it holds."""


class Holdings(Generic[A]):
    """The controls of all services of a family; each takes method, query and body and returns plain data."""

    def __init__(self, services: Sequence[Holding[A]], account: Callable[[str | None], A]) -> None:
        self._services = services
        self._account = account

    def counts(self, account: A) -> dict[str, int]:
        """Return how much an account holds of everything."""
        return {name: count for service in self._services for name, count in service.counts(account).items()}

    def truth(self, _method: str, query: dict[str, str], _given: dict[str, Any]) -> Any:
        """Return what an account really holds of one kind."""
        kind = query.get("kind", "contacts")
        for service in self._services:
            if kind in service.truth:
                return {"kind": kind, "items": service.truth[kind](self._account(query.get("account")))}
        kinds = sorted(known for service in self._services for known in service.truth)
        raise ValueError(f"There is no truth about {kind!r}; there is {kinds}.")

    def edit(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        """Carry edits out, or say which there are; what an edit returns is what the first service says."""
        known = sorted({name for service in self._services for name in service.edits})
        if method != "POST":
            return {"edits": known}
        edits = given.get("edits", [given] if "do" in given else [])
        unknown = [edit.get("do") for edit in edits if edit.get("do") not in known]
        if unknown or not edits:
            raise ValueError(f"There is no edit {unknown}; there are {known}.")
        results = []
        for edit in edits:
            account = self._account(edit.get("account", given.get("account")))
            done = [
                service.edits[edit["do"]](account, edit) for service in self._services if edit["do"] in service.edits
            ]
            results.append(next((one for one in done if one is not None), None))
        return {"results": results}

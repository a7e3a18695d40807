"""Microsoft Graph v1.0: who is signed in, and the way of a call to the part that serves it.

    request ─▶ whose is it ─▶ path ─▶ permission ─▶ the mailbox's limits ─▶ the part ─▶ reply, with its ids

Source: the provider sheet, sections 3.1 and 3.9.
"""

import dataclasses
import uuid
from typing import Any

from simulator.app import Simulator
from simulator.exchange import Reply, Request, json_reply
from simulator.microsoft import scopes
from simulator.microsoft.access import Access
from simulator.microsoft.batch import serve_batch
from simulator.microsoft.calls import VERSION, Call, Preferences, read_preferences, read_query, resource_path
from simulator.microsoft.errors import GraphError, no_such_segment, not_found
from simulator.microsoft.service import Parts, Service
from simulator.microsoft.services import SERVICES
from simulator.world.office import OfficeAccount

_USER = (
    "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName", "id",
)  # fmt: skip
_LANGUAGES = {"en": "en-GB", "th": "th-TH", "ar": "ar-JO"}


class Graph:
    """Serves graph.microsoft.com."""

    def __init__(self, simulator: Simulator, access: Access) -> None:
        self._simulator = simulator
        self._clock = simulator.clock
        self._access = access
        parts = Parts(simulator, access)
        self.services: list[Service] = [build(parts) for build in SERVICES]

    def handle(self, request: Request) -> Reply:
        """Serve a request."""
        try:
            reply = self._answer(request)
        except GraphError as error:
            reply = error.reply(request, self._clock.now())
        request_id = str(uuid.uuid4())
        ids = (("request-id", request_id), ("client-request-id", request.headers.get("client-request-id", request_id)))
        return dataclasses.replace(reply, headers=(*reply.headers, *ids))

    def concerns_mailbox(self, request: Request) -> bool:
        """Say whether a request is a call to a mailbox, of which only so many may be under way."""
        path = resource_path(request)
        after = {"me": 2, "users": 3}.get(path[1] if len(path) > 1 else "", len(path))
        return len(path) > after and path[after] in self._begins

    @property
    def _begins(self) -> frozenset[str]:
        return frozenset(name for service in self.services for name in service.begins)

    def _answer(self, request: Request) -> Reply:
        token = self._access.bearer(request)
        path = resource_path(request)
        if not path or path[0] != VERSION:
            raise GraphError(400, f"Invalid version: {path[0] if path else ''}.")
        if path[1:] == ("$batch",):
            if request.method != "POST" or request.inner:
                raise GraphError(405, "A batch is posted, and never within another.")
            return serve_batch(self._simulator, self._access, request)
        path = self._own(path[1:], token.account)
        call = Call(request, token, path, read_preferences(request.headers.get("prefer", "")), read_query(request))
        if request.method != "GET":
            raise GraphError(405, "The method is not allowed for this resource.")
        if not path:
            return self._me(call)
        service = next((one for one in self.services if path[0] in one.begins), None)
        if service is None:
            raise no_such_segment(path[0])
        self._access.require(token, service.scopes)
        self._access.spend(request, token)
        reply = service.handle(call)
        applied = ", ".join([*call.applied, *_echoed(call.preferences)])
        return (
            dataclasses.replace(reply, headers=(*reply.headers, ("preference-applied", applied))) if applied else reply
        )

    def _own(self, path: tuple[str, ...], account: OfficeAccount) -> tuple[str, ...]:
        """Return the path after /me; /users/ID of the same account is the same."""
        if path[:1] == ("me",):
            return path[1:]
        if path[:1] == ("users",) and len(path) > 1:
            if path[1] in (account.oid, account.email):
                return path[2:]
            raise not_found(f"Resource '{path[1]}' does not exist or one of its queried reference-property objects.")
        raise no_such_segment(path[0] if path else "")

    def _me(self, call: Call) -> Reply:
        self._access.require(call.token, scopes.PROFILE)
        call.only("$select", "$expand")
        chosen = call.select(_USER, "user")
        user = {name: value for name, value in _user(call.account).items() if chosen is None or name in chosen | {"id"}}
        context = "https://graph.microsoft.com/v1.0/$metadata#users/$entity"
        return json_reply({"@odata.context": context, **user})


def _user(account: OfficeAccount) -> dict[str, Any]:
    return {
        "businessPhones": [],
        "displayName": account.display_name,
        "givenName": account.given_name,
        "jobTitle": account.title or None,
        "mail": account.email if account.shows_address else None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": _LANGUAGES[account.locale],
        "surname": account.family_name,
        "userPrincipalName": account.email,
        "id": account.oid,
    }


def _echoed(preferences: Preferences) -> tuple[str, ...]:
    return preferences.applied

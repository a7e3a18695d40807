"""Contact groups: the system's own and those that the account's owner made, with a sync token of their own.

Which contact is in which group is said by the contacts; a list of groups never includes members.
Source: the provider sheet, section 5.2.
"""

from typing import Any

from simulator.clock import DAY_S, utc_text
from simulator.exchange import Reply, Request, json_reply
from simulator.google.errors import GoogleError, error_info, invalid_argument, not_found
from simulator.google.parameters import Parameters
from simulator.opaque import Mint, fingerprint
from simulator.world import Account, World
from simulator.world.changes import ChangeLog

_SYSTEM = ("myContacts", "chatBuddies", "starred", "friends", "family", "coworkers", "blocked", "all")
_FIELDS = frozenset({"clientData", "groupType", "memberCount", "metadata", "name"})
_DEFAULT_FIELDS = _FIELDS - {"clientData"}
_MAX_PAGE, _DEFAULT_PAGE = 1000, 30
_LIFE_S = 7 * DAY_S


class _Groups:
    def __init__(self, account: Account, epoch: float) -> None:
        self.log: ChangeLog[str] = ChangeLog()
        self.names = {one: one for one in _SYSTEM}
        self.updated: dict[str, float] = {}
        self.deleted: set[str] = set()
        for at, name in enumerate(("customers", "suppliers", "ลูกค้าเก่า")):
            group_id = f"{account.number + 1:x}{at + 1:x}c0ffee"
            self.names[group_id] = name
            self.updated[group_id] = epoch


class ContactGroups:
    """The groups of every account."""

    def __init__(self, world: World, mint: Mint) -> None:
        self._world = world
        self._mint = mint
        self._of: dict[int, _Groups] = {}

    def ids(self, account: Account) -> dict[str, str]:
        """Return group ids by the names that contacts use."""
        return {name: group_id for group_id, name in self._groups(account).names.items()}

    def edit(self, account: Account, group: str, name: str | None) -> str:
        """Add, rename (a known id) or, without a name, delete a group; return its id."""
        groups = self._groups(account)
        group_id = (
            group
            if group in groups.names
            else self.ids(account).get(group, f"{len(groups.names):x}feed{account.number}")
        )
        if name is None:
            groups.deleted.add(group_id)
        else:
            groups.names[group_id] = name
        groups.updated[group_id] = self._world.clock.now()
        groups.log.record(group_id)
        return group_id

    def expire(self, account: Account) -> None:
        """Make all sync tokens worthless."""
        self._groups(account).log.expire()

    def truth(self, account: Account) -> list[dict[str, Any]]:
        """Return the groups that are there."""
        groups = self._groups(account)
        return [
            {"id": f"contactGroups/{group_id}", "name": name}
            for group_id, name in groups.names.items()
            if group_id not in groups.deleted
        ]

    def listed(self, request: Request, account: Account) -> Reply:
        """Serve contactGroups.list.

        Raises: GoogleError.
        """
        given = Parameters(
            request, {"groupFields": "text", "pageSize": "integer", "pageToken": "text", "syncToken": "text"}
        )
        size = given.integer("pageSize") or _DEFAULT_PAGE
        if not 1 <= size <= _MAX_PAGE:
            raise invalid_argument("Page size must be between 1 and 1000.", "pageSize")
        fields = _fields(given)
        groups = self._groups(account)
        shape = fingerprint("groups", account.sub, sorted(fields), size)
        since = self._since(given.text("syncToken"), groups, shape)
        ids = [group_id for group_id in groups.names if group_id not in groups.deleted]
        if since is not None:
            ids = [group_id for _, group_id in groups.log.between(since["seq"], groups.log.last)]
        start = self._start(given.text("pageToken"), shape)
        page = [self._resource(account, groups, group_id, fields) for group_id in ids[start : start + size]]
        reply: dict[str, Any] = {"contactGroups": page} if page else {}
        if start + size < len(ids):
            reply["nextPageToken"] = self._mint.make("groups.page", shape=shape, start=start + size)
        else:
            full_at = since["full_at"] if since else self._world.clock.now()
            reply["nextSyncToken"] = self._mint.make(
                "groups.sync", shape=shape, seq=groups.log.last, generation=groups.log.generation, full_at=full_at
            )
        return json_reply(reply | {"totalItems": len(groups.names) - len(groups.deleted)})

    def get(self, request: Request, account: Account, group_id: str) -> Reply:
        """Serve contactGroups.get.

        Raises: GoogleError.
        """
        given = Parameters(request, {"groupFields": "text", "maxMembers": "integer"})
        groups = self._groups(account)
        if group_id not in groups.names or group_id in groups.deleted:
            raise not_found()
        group = self._resource(account, groups, group_id, _fields(given))
        members = self._members(account, groups.names[group_id])[: given.integer("maxMembers") or 0]
        return json_reply(group | ({"memberResourceNames": members} if members else {}))

    def _members(self, account: Account, name: str) -> list[str]:
        book = account.contacts
        return [f"people/c{one.name_number}" for one in book.from_number(0) if name in book.facts(one).groups]

    def _since(self, token: str | None, groups: _Groups, shape: str) -> dict[str, Any] | None:
        if token is None:
            return None
        found = self._mint.read("groups.sync", token)
        if found is None or found["shape"] != shape:
            raise invalid_argument("Sync token is invalid.", "syncToken")
        if found["generation"] != groups.log.generation or self._world.clock.now() - found["full_at"] > _LIFE_S:
            raise GoogleError(
                400,
                "Sync token is expired. Clear local cache and retry call without the sync token.",
                details=[error_info("EXPIRED_SYNC_TOKEN", "people.googleapis.com")],
                status_name="FAILED_PRECONDITION",
            )
        return found

    def _start(self, token: str | None, shape: str) -> int:
        if token is None:
            return 0
        found = self._mint.read("groups.page", token)
        if found is None or found["shape"] != shape:
            raise invalid_argument("Page token is invalid.", "pageToken")
        return int(found["start"])

    def _resource(self, account: Account, groups: _Groups, group_id: str, fields: frozenset[str]) -> dict[str, Any]:
        name = groups.names[group_id]
        group: dict[str, Any] = {"resourceName": f"contactGroups/{group_id}", "etag": f"g{groups.log.last}"}
        deleted = group_id in groups.deleted
        if "metadata" in fields and (deleted or group_id in groups.updated):
            group["metadata"] = {"updateTime": utc_text(groups.updated[group_id])} | (
                {"deleted": True} if deleted else {}
            )
        if deleted:
            return group
        if "groupType" in fields:
            group["groupType"] = "SYSTEM_CONTACT_GROUP" if group_id in _SYSTEM else "USER_CONTACT_GROUP"
        if "name" in fields:
            group |= {"name": name, "formattedName": name}
        if "memberCount" in fields:
            count = len(self._members(account, name)) if account.contacts.alive <= _COUNT_UP_TO else 0
            group |= {"memberCount": count} if count else {}
        return group

    def _groups(self, account: Account) -> _Groups:
        if account.number not in self._of:
            self._of[account.number] = _Groups(account, self._world.epoch)
        return self._of[account.number]


_COUNT_UP_TO = 20_000


def _fields(given: Parameters) -> frozenset[str]:
    text = given.text("groupFields")
    fields = frozenset(text.split(",")) if text else _DEFAULT_FIELDS
    if not fields <= _FIELDS:
        raise invalid_argument(f"Invalid groupFields mask path: {min(fields - _FIELDS)}", "groupFields")
    return fields

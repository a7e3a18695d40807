"""Plain requests to a simulator, for tests that look at one exact reply."""

import json
from typing import Any
from urllib.parse import urlencode

from simulator.client import Simulator

AUTH = "https://www.googleapis.com/auth/"
EPOCH = 1_790_000_000
EVERYTHING = (
    "addresses,biographies,birthdays,emailAddresses,memberships,metadata,names,nicknames,organizations,phoneNumbers,"
    "photos,urls,userDefined"
)
PEOPLE = "/people.googleapis.com/v1"
CONNECTIONS = PEOPLE + "/people/me/connections"


def get(simulator: Simulator, path: str, token: str | None = None, **query: Any) -> tuple[int, Any]:
    """Status and decoded JSON; underscores in names stay, a list repeats a parameter."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    status, raw = simulator.request("GET", path + "?" + urlencode(query, doseq=True), headers=headers)
    return status, json.loads(raw)


def post_form(simulator: Simulator, path: str, form: dict[str, str], **headers: str) -> tuple[int, Any]:
    """Status and decoded JSON of a posted form."""
    sent = {"content-type": "application/x-www-form-urlencoded", **headers}
    status, raw = simulator.request("POST", path, urlencode(form).encode(), sent)
    return status, json.loads(raw)


def walk(simulator: Simulator, token: str, path: str = CONNECTIONS, **query: Any) -> tuple[list[dict[str, Any]], str]:
    """All items of a list and the sync token of its last page."""
    items: list[dict[str, Any]] = []
    place: dict[str, str] = {}
    while True:
        status, page = get(simulator, path, token, **query, **place)
        assert status == 200, page
        assert ("nextPageToken" in page) != ("nextSyncToken" in page)
        items += next((value for value in page.values() if isinstance(value, list)), [])
        if "nextSyncToken" in page:
            return items, page["nextSyncToken"]
        place = {"pageToken": page["nextPageToken"]}


def reason(error: dict[str, Any]) -> str:
    """The machine's reason of a modern error."""
    return str(error["error"]["details"][0]["reason"])

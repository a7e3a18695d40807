"""A mailbox that answers as providers/microsoft-linkedin.md §3 says Graph does; small, ours, to try the connector."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

Answer = tuple[int, dict[str, str], Any]
GRAPH = "https://graph.microsoft.com/v1.0"
WELL_KNOWN = ("inbox", "sentitems", "archive", "deleteditems", "junkemail", "drafts")


def error(status: int, code: str, **headers: str) -> Answer:
    return status, headers, {"error": {"code": code, "message": "m", "innerError": {}}}


GONE = error(404, "ErrorItemNotFound")


class OutlookMailbox:
    """Folders, mails, and for each folder a log of ids; a round is cut into pages of `page_size`."""

    def __init__(self, folders: tuple[str, ...] = (*WELL_KNOWN, "Clients")) -> None:
        self.folders: dict[str, str | None] = dict.fromkeys((f"id-{name}" for name in folders), None)
        self.mails: dict[str, dict[str, Any]] = {}
        self.log: dict[str, list[str]] = {folder: [] for folder in self.folders}
        self.oldest: dict[str, int] = {}
        self.page_size = 3
        self.folders_a_page = 100
        self.asked: list[str] = []
        self.immutable: list[bool] = []
        self.inner: dict[str, list[Answer]] = {}
        self.outer: list[Answer] = []
        self.backwards = False
        self.hidden: set[str] = set()
        self.moved_back_is_only_removed = True
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.before: Callable[[str], None] = lambda _: None
        self.first_rounds: list[list[str]] = []
        self._number = 0

    # What people do.

    def add(self, folder: str = "inbox", received: str = "2026-11-20T08:00:00Z", **fields: Any) -> str:
        key = f"m{self._number:04}"
        self._number += 1
        self.mails[key] = {
            "id": key, "parentFolderId": f"id-{folder}", "receivedDateTime": received, "subject": key,
            "body": {"contentType": "html", "content": f"<p>text of {key}</p>"}, "categories": [],
            "from": {"emailAddress": {"name": "Ana", "address": f"{key}@example.com"}}, "toRecipients": [],
            "hasAttachments": False, "isDraft": False, **fields,
        }  # fmt: skip
        self.log[f"id-{folder}"].append(key)
        return key

    def move(self, key: str, folder: str) -> None:
        old, new = self.mails[key]["parentFolderId"], f"id-{folder}"
        if old != new:
            self.mails[key]["parentFolderId"] = new
            self.log[old].append(key)
            self.log[new].append(key)

    def change(self, key: str, **fields: Any) -> None:
        self.mails[key].update(fields)
        self.log[self.mails[key]["parentFolderId"]].append(key)

    def delete(self, key: str) -> None:
        self.log[self.mails.pop(key)["parentFolderId"]].append(key)

    def expire(self, folder: str) -> None:
        self.oldest[f"id-{folder}"] = len(self.log[f"id-{folder}"])

    def drop_folder(self, folder: str) -> None:
        """It goes to Deleted Items, with what is in it."""
        self.folders[f"id-{folder}"] = "id-deleteditems"

    def truth(self) -> dict[str, str]:
        """The mails that are ours, and the folders in which they are."""
        ours = {"id-inbox", "id-sentitems", "id-archive", "id-Clients"}
        ours = {folder for folder in ours if folder in self.folders and self.folders[folder] is None}
        return {key: mail["parentFolderId"] for key, mail in self.mails.items() if mail["parentFolderId"] in ours}

    # What Graph answers.

    def __call__(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.immutable.append('IdType="ImmutableId"' in request.headers.get("prefer", ""))
        if request.url.path.endswith("/$batch"):
            status, headers, body = self._batch(json.loads(request.content))
        else:
            status, headers, body = self.outer.pop(0) if self.outer else self.answer(url)
        return httpx.Response(status, json=body, headers=headers)

    def _batch(self, asked: dict[str, Any]) -> Answer:
        assert len(asked["requests"]) <= 20
        responses = []
        for one in asked["requests"]:
            self.immutable.append('IdType="ImmutableId"' in one["headers"]["Prefer"])
            status, headers, body = self.answer(GRAPH + one["url"])
            responses.append({"id": one["id"], "status": status, "headers": headers, "body": body})
        return 200, {}, {"responses": responses[::-1] if self.backwards else responses}

    def answer(self, url: str) -> Answer:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = [unquote(piece) for piece in parts.path.removeprefix("/v1.0/me/").split("/")]
        self.asked.append("/".join(path))
        self.before("/".join(path))
        if self.inner.get("/".join(path)):
            return self.inner["/".join(path)].pop(0)
        match path:
            case ["mailFolders"]:
                return self._folders(None, query)
            case ["mailFolders", folder, "childFolders"]:
                return self._folders(folder, query)
            case ["mailFolders", name]:
                return (200, {}, {"id": f"id-{name}"}) if f"id-{name}" in self.folders else GONE
            case ["mailFolders", folder, "messages", "delta"]:
                return self._round(folder, query)
            case ["messages", key]:
                if self.inner.get(key):
                    return self.inner[key].pop(0)
                return (200, {}, self.mails[key]) if key in self.mails else GONE
            case ["messages", key, "attachments"]:
                return 200, {}, {"value": self.files.get(key, [])}
        raise AssertionError(f"nobody should ask for {url}")

    def _folders(self, parent: str | None, query: dict[str, str]) -> Answer:
        start = int(query.get("$skip", 0))
        children = [folder for folder, of in self.folders.items() if of == parent]
        value = [
            {"id": folder, "displayName": folder[3:], "isHidden": False,
             "childFolderCount": sum(of == folder for of in self.folders.values())}
            for folder in children
        ]  # fmt: skip
        body: dict[str, Any] = {"value": value[start : start + self.folders_a_page]}
        if start + self.folders_a_page < len(value):
            of = f"mailFolders/{parent}/childFolders" if parent else "mailFolders"
            body["@odata.nextLink"] = f"{GRAPH}/me/{of}?$skip={start + self.folders_a_page}"
        return 200, {}, body

    def _round(self, folder: str, query: dict[str, str]) -> Answer:
        if folder not in self.folders:
            return error(404, "ErrorSyncFolderNotFound")
        token = query.get("$skiptoken") or query.get("$deltatoken")
        now = len(self.log[folder])
        if token is None:
            here = [key for key, mail in self.mails.items() if mail["parentFolderId"] == folder]
            self.first_rounds.append([key for key in here if key not in self.hidden])
            since, start, until = -len(self.first_rounds), 0, now
            items = [self._item(folder, key) for key in self.first_rounds[-1]]
        else:
            since, start, until = (int(piece) for piece in token.split("."))
            if "$deltatoken" in query:
                since, start, until = until, 0, now
            if since < self.oldest.get(folder, 0) and since >= 0:
                return error(410, "SyncStateNotFound")
            if since >= 0:
                items = self._changes(folder, since, until)
            else:
                items = [self._item(folder, key) for key in self.first_rounds[-since - 1]]
        body: dict[str, Any] = {"value": items[start : start + self.page_size]}
        address = f"{GRAPH}/me/mailFolders/{folder}/messages/delta"
        if start + self.page_size < len(items):
            body["@odata.nextLink"] = f"{address}?$skiptoken={since}.{start + self.page_size}.{until}"
        else:
            body["@odata.deltaLink"] = f"{address}?$deltatoken={since}.0.{until}"
        return 200, {}, body

    def _changes(self, folder: str, since: int, until: int) -> list[dict[str, Any]]:
        keys = self.log[folder][since:until]
        return [self._item(folder, key, away_and_back=keys.count(key) > 1) for key in keys]

    def _item(self, folder: str, key: str, *, away_and_back: bool = False) -> dict[str, Any]:
        mail = self.mails.get(key)
        here = mail is not None and mail["parentFolderId"] == folder
        if mail is None or not here or (away_and_back and self.moved_back_is_only_removed):
            return {"@odata.type": "#microsoft.graph.message", "id": key, "@removed": {"reason": "deleted"}}
        return {"@odata.type": "#microsoft.graph.message", "id": key, "receivedDateTime": mail["receivedDateTime"]}

"""A mailbox that answers as providers/google.md §3 and §4 say Gmail does; small, and ours only to try the connector."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

Answer = tuple[int, Any]


def error(status: int, reason: str, name: str = "") -> Answer:
    return status, {"error": {"code": status, "message": "m", "errors": [{"reason": reason}], "status": name}}


GONE = error(404, "notFound", "NOT_FOUND")


class Mailbox:
    def __init__(self, count: int = 0) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[int, dict[str, Any]]] = []
        self.now = 1000
        self.oldest = 0
        self.asked: list[str] = []
        self.inner: dict[str, list[Answer]] = {}
        self.before_list: Callable[[], None] = lambda: None
        self.page_size: int | None = None
        self.too_big: set[str] = set()
        self.shuffle = False
        for number in range(count):
            self.add(f"m{number:04}", seconds=1_790_000_000 + number * 60)

    def add(self, key: str, *, seconds: int = 1_795_000_000, labels: tuple[str, ...] = ("INBOX",)) -> None:
        data = urlsafe_b64encode(f"text of {key}".encode()).decode().rstrip("=")
        self.messages[key] = {
            "id": key, "threadId": key, "labelIds": list(labels), "internalDate": str(seconds * 1000),
            "payload": {"mimeType": "text/plain", "headers": [{"name": "Subject", "value": key}],
                        "body": {"size": 9, "data": data}},
        }  # fmt: skip
        self._note({"messagesAdded": [{"message": {"id": key, "threadId": key, "labelIds": list(labels)}}]})

    def delete(self, key: str) -> None:
        del self.messages[key]
        self._note({"messagesDeleted": [{"message": {"id": key, "threadId": key}}]})

    def label(self, key: str, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
        labels = self.messages[key]["labelIds"]
        self.messages[key]["labelIds"] = sorted((set(labels) | set(add)) - set(remove))
        for name, changed in (("labelsAdded", add), ("labelsRemoved", remove)):
            if changed:
                self._note({name: [{"message": {"id": key}, "labelIds": list(changed)}]})

    def truth(self) -> set[str]:
        return {key for key, message in self.messages.items() if not {"TRASH", "SPAM"} & set(message["labelIds"])}

    def _note(self, step: dict[str, Any]) -> None:
        self.now += 3
        self.log.append((self.now, step))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/batch":
            return self._batch(request)
        status, body = self._answer(str(request.url))
        return httpx.Response(status, json=body)

    def _answer(self, url: str) -> Answer:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path).removeprefix("/gmail/v1/users/me/")
        self.asked.append(path)
        if path == "profile":
            return 200, {"historyId": str(self.now), "messagesTotal": len(self.messages)}
        if path == "messages":
            return self._list(query)
        if path == "history":
            return self._history(query)
        key = path.removeprefix("messages/")
        if self.inner.get(key):
            return self.inner[key].pop(0)
        return (200, self.messages[key]) if key in self.messages else GONE

    def _list(self, query: dict[str, str]) -> Answer:
        self.before_list()
        found = sorted(self.truth(), key=lambda key: -int(self.messages[key]["internalDate"]))
        for name, keeps in (("after:", lambda at, edge: at >= edge), ("before:", lambda at, edge: at < edge)):
            if query.get("q", "").startswith(name):
                edge = int(query["q"].removeprefix(name)) * 1000
                found = [key for key in found if keeps(int(self.messages[key]["internalDate"]), edge)]
        return self._cut("messages", [{"id": key, "threadId": key} for key in found], query)

    def _history(self, query: dict[str, str]) -> Answer:
        start = int(query["startHistoryId"])
        if start < self.oldest:
            return GONE
        status, body = self._cut("history", [{"id": str(at), **step} for at, step in self.log if at > start], query)
        return status, {**body, "historyId": str(self.now)}

    def _cut(self, name: str, items: list[Any], query: dict[str, str]) -> Answer:
        start = int(query.get("pageToken", "p0").removeprefix("p"))
        end = start + (self.page_size or int(query["maxResults"]))
        body: dict[str, Any] = {name: items[start:end]} if items[start:end] else {}
        if end < len(items):
            body["nextPageToken"] = f"p{end}"
        return 200, body

    def _batch(self, request: httpx.Request) -> httpx.Response:
        lines = [line for line in request.content.decode().split("\r\n") if line.startswith("GET ")]
        pieces = []
        for number, line in enumerate(lines):
            status, body = self._answer("https://x" + line.split(" ")[1])
            pieces.append(
                f"Content-Type: application/http\r\nContent-ID: <response-item{number}>\r\n\r\n"
                f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n\r\n{json.dumps(body)}\r\n"
            )
        if self.shuffle:
            pieces.reverse()
        content = "".join(f"--b\r\n{piece}" for piece in pieces) + "--b--\r\n"
        return httpx.Response(200, content=content, headers={"content-type": "multipart/mixed; boundary=b"})

"""What google-api-python-client needs of us: an HTTP object of httplib2's shape, and a model that leaves replies raw.

    service = build("gmail", "v1", http=…, model=RawModel(), static_discovery=True, cache_discovery=False)
    body = service.users().getProfile(userId="me").execute(http=session.http.google_http(costs=…))   # bytes

The client only builds requests; permits, token, gate, retries and errors are the session's. It never sees a status
from 400 on, so its `HttpError` does not arise; the inner replies of a batch are the connector's to judge.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httplib2
from googleapiclient.model import BaseModel

from worker.transport.ports import Cost

if TYPE_CHECKING:
    from worker.transport.session import Classify, ProviderSession

# Ours to set, or of the line rather than of the body.
_NOT_SENT_ON = frozenset({"authorization", "accept-encoding", "content-length", "host", "connection"})
_NOT_HANDED_BACK = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


class GoogleHTTP:
    """`request` is all that the Google client calls. It has no `credentials`, so the client adds no token."""

    def __init__(
        self,
        session: "ProviderSession",
        *,
        costs: Sequence[Cost],
        classify: "Classify | None",
        repeatable: bool | None,
        max_body: int,
        timeout_s: float,
    ) -> None:
        self._session = session
        self._costs = tuple(costs)
        self._classify = classify
        self._repeatable = repeatable
        self._max_body = max_body
        self._timeout_s = timeout_s

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int = 0,  # noqa: ARG002 -- the session has a rule of its own
        connection_type: object = None,  # noqa: ARG002 -- a thing of httplib2
    ) -> tuple[httplib2.Response, bytes]:
        """Send through the session; raises what `ProviderSession.send` raises."""
        given = {name.lower(): text for name, text in (headers or {}).items()}
        repeatable = self._repeatable
        if repeatable is None and given.get("x-http-method-override", "").upper() == "GET":
            repeatable = True  # The Google client turns a GET with a very long address into a POST.
        reply = self._session.send(
            method,
            uri,
            headers=[(name, text) for name, text in given.items() if name not in _NOT_SENT_ON],
            body=body.encode() if isinstance(body, str) else body or b"",
            costs=self._costs,
            classify=self._classify,
            repeatable=repeatable,
            max_body=self._max_body,
            timeout_s=self._timeout_s,
        )
        shown = {name: text for name, text in reply.headers.items() if name not in _NOT_HANDED_BACK}
        return httplib2.Response({**shown, "status": str(reply.status)}), reply.body

    def close(self) -> None:
        """Nothing to close: connections belong to the transport."""


class RawModel(BaseModel):  # type: ignore[misc]  # The Google client has no types.
    """Requests as JSON, replies as bytes: connectors decode them strictly, into types of their own."""

    accept = "application/json"
    content_type = "application/json"
    alt_param = "json"
    no_content_response = b""

    def serialize(self, body_value: Any) -> str:
        """The JSON of a request's body."""
        return json.dumps(body_value)

    def deserialize(self, content: bytes) -> bytes:
        """The reply's body as it came."""
        return content

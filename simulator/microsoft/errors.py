"""Graph's error envelope.

    {"error": {"code", "message", "innerError": {"date", "request-id", "client-request-id"}}}

Source: the provider sheet, sections 1.8, 3.4, 3.8 and 3.9.
"""

import uuid
from datetime import UTC, datetime

from simulator.exchange import Reply, Request, json_reply

_CODES = {
    400: "BadRequest", 401: "InvalidAuthenticationToken", 403: "ErrorAccessDenied", 404: "ErrorItemNotFound",
    405: "Request_BadRequest", 409: "ErrorIrresolvableConflict", 410: "SyncStateNotFound",
    429: "ApplicationThrottled", 500: "ErrorInternalServerError", 503: "ServiceUnavailable", 504: "GatewayTimeout",
    507: "ErrorQuotaExceeded",
}  # fmt: skip


class GraphError(Exception):
    """A call that fails; the family turns it into the envelope."""

    def __init__(self, status: int, message: str, code: str | None = None, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or _CODES.get(status, "generalException")
        self.headers = headers

    def reply(self, request: Request, now: float) -> Reply:
        """Return the error as it is sent."""
        request_id = str(uuid.uuid4())
        inner = {
            "date": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request_id,
            "client-request-id": request.headers.get("client-request-id", request_id),
        }
        error = {"code": self.code, "message": self.message, "innerError": inner}
        return json_reply({"error": error}, self.status, self.headers)


def unauthenticated(message: str, *extra: str) -> GraphError:
    """Return the error for a token that is missing, unknown or expired; `extra` goes into the challenge."""
    address = 'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    challenge = ", ".join(['Bearer realm=""', address, *extra])
    return GraphError(401, message, None, ("www-authenticate", challenge))


def access_denied() -> GraphError:
    """Return the error for a token without the permission."""
    return GraphError(403, "Access is denied. Check credentials and try again.")


def not_found(message: str = "The specified object was not found in the store.") -> GraphError:
    """Return the error for a thing that is not there, any more."""
    return GraphError(404, message)


def malformed_id() -> GraphError:
    """Return the error for an id that never was one."""
    return GraphError(400, "Id is malformed.", "ErrorInvalidIdMalformed")


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    """Return the error for a call that is not understood."""
    return GraphError(400, message, code)


def no_such_segment(name: str) -> GraphError:
    """Return the error for a path that leads nowhere."""
    return GraphError(400, f"Resource not found for the segment '{name}'.")


def scripted(status: int, reason: str | None) -> GraphError:
    """Return an error for a fault script; the reason is its code."""
    if status == 401 and reason is None:
        return unauthenticated("Scripted error 401.")
    return GraphError(status, f"Scripted error {status}.", reason)

"""Google's error envelopes, in the two styles that its services speak.

    legacy (Calendar)   {"error": {"errors": [{domain, reason, message, …}], "code", "message"}}
    modern (People)     {"error": {"code", "message", "status", "details": […]}}
    both   (Gmail)      all of it

Source: the provider sheet, sections 1.8, 3, 4.2, 4.4, 5.2, 5.4 and 6.2.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.exchange import Reply, json_reply

Style = Literal["legacy", "modern", "both"]

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    410: "FAILED_PRECONDITION", 412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
    502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_REASONS = {
    400: "badRequest", 401: "authError", 403: "forbidden", 404: "notFound", 409: "conflict", 410: "deleted",
    412: "conditionNotMet", 429: "rateLimitExceeded", 500: "backendError", 502: "backendError", 503: "backendError",
    504: "backendError",
}  # fmt: skip
_USAGE = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded"})
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(slots=True)
class GoogleError(Exception):
    """An API call that fails; the family turns it into the envelope of its service."""

    status: int
    message: str
    reason: str | None = None
    domain: str | None = None
    location: tuple[str, str] | None = None
    details: list[dict[str, Any]] = field(default_factory=list)
    status_name: str | None = None

    def reply(self, style: Style) -> Reply:
        """Return the error as a service of this style sends it."""
        reason = self.reason or _REASONS.get(self.status, "unknown")
        domain = self.domain or ("usageLimits" if reason in _USAGE else "global")
        item = {
            "message": "Invalid Credentials" if self.status == 401 else self.message,
            "domain": domain,
            "reason": reason,
        }
        if self.location is not None:
            item |= {"locationType": self.location[0], "location": self.location[1]}
        error: dict[str, Any] = {"code": self.status, "message": self.message}
        if style != "modern":
            error["errors"] = [item]
        if style != "legacy":
            error["status"] = self.status_name or _STATUS_NAMES.get(self.status, "UNKNOWN")
        if self.details and style != "legacy":
            error["details"] = self.details
        headers = (("www-authenticate", 'Bearer realm="https://accounts.google.com/"'),) if self.status == 401 else ()
        return json_reply({"error": error}, self.status, headers)


def error_info(reason: str, domain: str = "googleapis.com", **metadata: str) -> dict[str, Any]:
    """Return the detail that tells a machine the reason."""
    info: dict[str, Any] = {"@type": _ERROR_INFO, "reason": reason, "domain": domain}
    if metadata:
        info["metadata"] = metadata
    return info


def unauthenticated() -> GoogleError:
    """Return the error for a token that is missing, unknown, expired or revoked."""
    return GoogleError(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential.",
        "authError",
        location=("header", "Authorization"),
    )


def scope_missing(service: str) -> GoogleError:
    """Return the error for a token without the scope that a method needs."""
    return GoogleError(
        403,
        "Request had insufficient authentication scopes.",
        "insufficientPermissions",
        details=[error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service=service)],
    )


def invalid_argument(message: str, location: str | None = None) -> GoogleError:
    """Return the error for a request that the method does not understand."""
    return GoogleError(400, message, "badRequest", location=("parameter", location) if location else None)


def unknown_parameter(name: str) -> GoogleError:
    """Return the error for a query parameter that the method does not have."""
    return GoogleError(
        400,
        f"Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could "
        "not be found in request message.",
        "badRequest",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"description": f"Unknown name {name}: cannot bind query parameter."}],
            }
        ],
    )


def not_found(message: str = "Requested entity was not found.") -> GoogleError:
    """Return the error for a thing that is not there."""
    return GoogleError(404, message, "notFound")


def quota_exceeded(status: int, metric: str, limit: str, service: str, project: int, reason: str) -> GoogleError:
    """Return the error for a quota window that is used up."""
    return GoogleError(
        status,
        f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service '{service}' for consumer "
        f"'project_number:{project}'.",
        reason,
        details=[error_info("RATE_LIMIT_EXCEEDED", service=service, consumer=f"projects/{project}")],
        status_name="RESOURCE_EXHAUSTED" if status == 429 else None,
    )


def scripted(status: int, reason: str | None) -> GoogleError:
    """Return an error for a fault script; an upper-case reason goes where machine reasons go."""
    if reason is not None and reason.isupper():
        return GoogleError(status, f"Scripted {reason}.", details=[error_info(reason)])
    return GoogleError(status, f"Scripted error {status}.", reason)

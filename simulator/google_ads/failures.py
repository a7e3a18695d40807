"""How Google Ads says no: the common envelope, with a GoogleAdsFailure of the version that was called inside.

    {"error": {"code", "message", "status", "details": [{"@type": …GoogleAdsFailure, "errors": […], "requestId"}]}}

A stream wraps it in an array. The text of a message is no contract.
Source: the provider sheet, sections 8.2 and 8.6; the enumerations of google-ads 34.0.0.
"""

import re
from dataclasses import dataclass
from typing import Any

from simulator.exchange import Reply, json_reply

_ENVELOPES = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "The request's authentication credentials are missing or no longer valid."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
_CODES = {
    ("authenticationError", 401): """
        AUTHENTICATION_ERROR CLIENT_CUSTOMER_ID_INVALID CUSTOMER_NOT_FOUND GOOGLE_ACCOUNT_DELETED NOT_ADS_USER
        OAUTH_TOKEN_INVALID OAUTH_TOKEN_EXPIRED OAUTH_TOKEN_DISABLED OAUTH_TOKEN_REVOKED OAUTH_TOKEN_HEADER_INVALID
        TWO_STEP_VERIFICATION_NOT_ENROLLED ADVANCED_PROTECTION_NOT_ENROLLED ORGANIZATION_NOT_RECOGNIZED
        ORGANIZATION_NOT_APPROVED""",
    ("authorizationError", 403): """
        USER_PERMISSION_DENIED PROJECT_DISABLED ACTION_NOT_PERMITTED CUSTOMER_NOT_ENABLED MISSING_TOS
        CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION
        CLOUD_PROJECT_NOT_UNDER_ORGANIZATION ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT INCOMPLETE_SIGNUP""",
    ("headerError", 400): "INVALID_LOGIN_CUSTOMER_ID INVALID_LINKED_CUSTOMER_ID",
    ("requestError", 400): """
        UNSUPPORTED_VERSION PAGE_SIZE_NOT_SUPPORTED EXPIRED_PAGE_TOKEN INVALID_PAGE_TOKEN INVALID_CUSTOMER_ID
        REQUIRED_FIELD_MISSING VALIDATE_ONLY_REQUEST_HAS_PAGE_TOKEN INVALID_ENUM_VALUE
        CANNOT_RETURN_SUMMARY_ROW_FOR_REQUEST_WITHOUT_METRICS INCONSISTENT_RETURN_SUMMARY_ROW_VALUE
        CANNOT_RETURN_SUMMARY_ROW_FOR_VALIDATE_ONLY_REQUESTS TOTAL_RESULTS_COUNT_NOT_ORIGINALLY_REQUESTED""",
    ("queryError", 400): "QUERY_ERROR UNRECOGNIZED_FIELD REQUESTED_METRICS_FOR_MANAGER",
    ("dateRangeError", 400): "REQUESTED_DATE_GRANULARITY_NOT_SUPPORTED START_DATE_AFTER_END_DATE INVALID_DATE",
    ("quotaError", 429): """
        RESOURCE_EXHAUSTED RESOURCE_TEMPORARILY_EXHAUSTED EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION
        EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION ACCESS_PROHIBITED""",
    ("internalError", 500): "INTERNAL_ERROR TRANSIENT_ERROR",
    ("internalError", 504): "DEADLINE_EXCEEDED",
}  # fmt: skip
CATALOGUE = {code: (category, status) for (category, status), codes in _CODES.items() for code in codes.split()}

_REASON = re.compile(r"(?P<code>[A-Z_]+)( retryDelay=(?P<delay>[0-9]+(\.[0-9]+)?)s)?")


@dataclass(slots=True)
class AdsFailure(Exception):
    """A call that fails. Without a `code` the envelope carries no GoogleAdsFailure, as the front end's own errors."""

    status: int
    category: str = ""
    code: str = ""
    message: str = ""
    trigger: str | None = None
    retry_delay_s: float | None = None
    rate: tuple[str, str] | None = None

    def reply(self, version: str, request_id: str, *, stream: bool) -> Reply:
        """Return the failure as the version words it; version is one that has messages of its own."""
        body: Any = self.envelope(version, request_id)
        return json_reply([body] if stream else body, self.status, (("request-id", request_id),))

    def envelope(self, version: str, request_id: str) -> dict[str, Any]:
        """Return the body of the reply."""
        name, text = _ENVELOPES.get(self.status, ("UNKNOWN", "The request failed."))
        error: dict[str, Any] = {"code": self.status, "message": text if self.code else self.message or text}
        error["status"] = name
        if self.code:
            error["details"] = [
                {
                    "@type": f"type.googleapis.com/google.ads.googleads.{version}.errors.GoogleAdsFailure",
                    "errors": [self._item()],
                    "requestId": request_id,
                }
            ]
        return {"error": error}

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {"errorCode": {self.category: self.code}, "message": self.message}
        if self.trigger is not None:
            item["trigger"] = {"stringValue": self.trigger}
        if self.category == "quotaError" and (self.rate or self.retry_delay_s is not None):
            scope, name = self.rate or ("DEVELOPER", "Requests per service per method")
            details = {"rateScope": scope, "rateName": name}
            if self.retry_delay_s is not None:
                details["retryDelay"] = _duration(self.retry_delay_s)
            item["details"] = {"quotaErrorDetails": details}
        return item


def failure(code: str, message: str, **more: Any) -> AdsFailure:
    """Return a failure of the catalogue.

    Raises: KeyError for a code that is not in it.
    """
    category, status = CATALOGUE[code]
    return AdsFailure(status, category, code, message, **more)


def bad_request(message: str) -> AdsFailure:
    """Return the front end's error for a request that fits no message."""
    return AdsFailure(400, message=message)


def scripted(status: int, reason: str | None) -> AdsFailure:
    """Return what a fault script asks for: a code of the catalogue by name, with `retryDelay=30s` behind it or not."""
    read = _REASON.fullmatch(reason or "")
    if read is None or read["code"] not in CATALOGUE:
        return AdsFailure(status, message=f"Scripted error {status}." if reason is None else reason)
    delay_s = float(read["delay"]) if read["delay"] else None
    return AdsFailure(status, CATALOGUE[read["code"]][0], read["code"], "Scripted.", retry_delay_s=delay_s)


def _duration(seconds: float) -> str:
    """Return a duration as protobuf's JSON writes it: whole seconds, or milliseconds in three digits."""
    millis = round(seconds * 1_000)
    return f"{millis // 1_000}s" if millis % 1_000 == 0 else f"{millis // 1_000}.{millis % 1_000:03}s"

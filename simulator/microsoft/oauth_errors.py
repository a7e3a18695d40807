"""What the identity platform says when it refuses: one table from AADSTS code to the reply that carries it.

    {"error", "error_description": "AADSTS…: …", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri"}

`suberror` and `claims` are there for some. Descriptions are no contract.
Source: the provider sheet, section 1.6; where it names several possible `error` values the first is played.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.exchange import Reply, Request, html_reply, json_reply

NO_STORE = (("cache-control", "no-store, no-cache"), ("pragma", "no-cache"))
ERROR_PAGE = "https://login.microsoftonline.com/error?code="


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row: `error`, what is said, and what goes with it."""

    error: str
    text: str
    status: int = 400
    suberror: str | None = None


REFUSALS: dict[int, Refusal] = {
    50011: Refusal("invalid_request", "The redirect URI specified in the request is not registered."),
    50020: Refusal("unauthorized_client", "The account does not exist in this tenant and cannot use the application."),
    50033: Refusal("temporarily_unavailable", "A transient error has occurred. Please try again.", 503),
    50034: Refusal("invalid_grant", "The user account does not exist in the directory."),
    50053: Refusal("invalid_grant", "The account is locked."),
    50055: Refusal("invalid_grant", "The password is expired.", suberror="user_password_expired"),
    50057: Refusal("invalid_grant", "The user account is disabled."),
    50058: Refusal("login_required", "A silent sign-in request was sent but no user is signed in."),
    50072: Refusal("invalid_grant", "You must enrol in multi-factor authentication.", suberror="basic_action"),
    50074: Refusal("invalid_grant", "Strong authentication is required.", suberror="basic_action"),
    50076: Refusal("invalid_grant", "You must use multi-factor authentication.", suberror="basic_action"),
    50078: Refusal("invalid_grant", "Presented multi-factor authentication has expired.", suberror="basic_action"),
    50079: Refusal(
        "invalid_grant", "The user is required to use multi-factor authentication.", suberror="basic_action"
    ),
    50105: Refusal("invalid_grant", "The signed in user is not assigned to a role for the application."),
    50132: Refusal("invalid_grant", "The session is not valid due to a password expiration or change."),
    50133: Refusal("invalid_grant", "The session is not valid due to a recent password change.", suberror="bad_token"),
    50173: Refusal(
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
        suberror="bad_token",
    ),
    50194: Refusal("invalid_request", "The application is not configured as a multi-tenant application."),
    50196: Refusal("invalid_grant", "The server terminated an operation because it encountered a client request loop."),
    53000: Refusal("interaction_required", "The device is not in the required state.", suberror="message_only"),
    53003: Refusal("interaction_required", "Access has been blocked by Conditional Access.", suberror="message_only"),
    530032: Refusal("interaction_required", "Blocked by the tenant's security policy.", suberror="message_only"),
    530034: Refusal("interaction_required", "A delegated administrator was blocked.", suberror="message_only"),
    54005: Refusal("invalid_grant", "The authorization code was already redeemed."),
    65001: Refusal(
        "invalid_grant", "The user or administrator has not consented to the application.", suberror="consent_required"
    ),
    65004: Refusal("access_denied", "The user declined to consent to access the app."),
    70000: Refusal("invalid_grant", "The provided grant is invalid or malformed."),
    70001: Refusal("unauthorized_client", "The application is disabled."),
    70003: Refusal("unsupported_grant_type", "The app requested an unsupported grant type."),
    70008: Refusal("invalid_grant", "The provided authorization code or refresh token has expired."),
    70011: Refusal("invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    70012: Refusal("server_error", "A server error occurred while authenticating a consumer account.", 503),
    70043: Refusal("invalid_grant", "The refresh token has expired due to sign-in frequency.", suberror="bad_token"),
    90002: Refusal("invalid_request", "Tenant not found."),
    90014: Refusal("invalid_request", "A required field is missing from the request."),
    90033: Refusal("temporarily_unavailable", "A transient error has occurred. Please try again.", 503),
    90055: Refusal("temporarily_unavailable", "There are too many requests for this tenant.", 429),
    90090: Refusal("temporarily_unavailable", "The service is temporarily unavailable.", 503),
    90094: Refusal("access_denied", "An administrator of the organisation has to grant permission to the application."),
    90095: Refusal("access_denied", "The request for an administrator's approval was sent."),
    500112: Refusal("invalid_grant", "The reply address does not match the one of the authorization request."),
    501481: Refusal("invalid_grant", "The code_verifier does not match the code_challenge."),
    700016: Refusal("unauthorized_client", "The application was not found in the directory."),
    700082: Refusal("invalid_grant", "The refresh token has expired due to inactivity.", suberror="token_expired"),
    700084: Refusal("invalid_grant", "The refresh token was issued to a single page app and has a fixed lifetime."),
    900144: Refusal("invalid_request", "The request body must contain a parameter that is missing."),
    9002313: Refusal("invalid_grant", "Invalid request. The grant is malformed or invalid."),
    7000215: Refusal("invalid_client", "Invalid client secret provided.", 401),
    7000222: Refusal("invalid_client", "The provided client secret keys are expired.", 401),
}


class GrantRefused(Exception):
    """The identity platform says no, by a code of the table; a script may word it differently."""

    def __init__(self, code: int, detail: str = "", **instead: Any) -> None:
        super().__init__(f"AADSTS{code}")
        self.code = code
        self.detail = detail
        self.instead = instead

    @property
    def error(self) -> str:
        """The machine's word for it."""
        return str(self.instead.get("error", _row(self.code).error))

    @property
    def description(self) -> str:
        """The text for a person, with its code."""
        return f"AADSTS{self.code}: {' '.join(one for one in (_row(self.code).text, self.detail) if one)}"

    def reply(self, request: Request, now: float) -> Reply:
        """Return the refusal as the token endpoint sends it."""
        row = _row(self.code)
        at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        trace = str(uuid.uuid4())
        correlation = request.headers.get("client-request-id", str(uuid.uuid4()))
        text = f"{self.description} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": text,
            "error_codes": [self.code],
            "timestamp": at,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{ERROR_PAGE}{self.code}",
        }
        suberror = self.instead.get("suberror", row.suberror)
        if suberror:
            body["suberror"] = suberror
        if "claims" in self.instead:
            body["claims"] = self.instead["claims"]
        headers: tuple[tuple[str, str], ...] = NO_STORE
        if "retry_after" in self.instead:
            headers = (*headers, ("retry-after", str(self.instead["retry_after"])))
        return json_reply(body, int(self.instead.get("status", row.status)), headers)

    def page(self) -> Reply:
        """Return the refusal as a person sees it who cannot be sent back to the application."""
        return html_reply(
            f"<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body><h1>Sorry, but we are "
            f"having trouble signing you in.</h1><p>{self.error}</p><p>{self.description}</p></body></html>",
            400,
        )


def _row(code: int) -> Refusal:
    return REFUSALS.get(code, Refusal("invalid_grant", "Scripted."))


def plain_error(request: Request, status: int, reason: str | None, now: float) -> Reply:
    """Return an error for a fault script; `reason` may be an AADSTS code or a word for `error`."""
    code = int(reason) if reason and reason.isdigit() else None
    if code is not None:
        return GrantRefused(code, status=status).reply(request, now)
    guess = {400: 70000, 401: 7000215, 429: 90055}.get(status, 90033)
    instead: dict[str, Any] = {"error": reason} if reason else {}
    return GrantRefused(guess, status=status, **instead).reply(request, now)

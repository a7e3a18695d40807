"""Google's codes, each to one error of ours: providers/google.md §1.8, §3, §4.4, §5.2, §5.4, §6.2 and §6.4."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from worker.connectors import google_api
from worker.errors import (
    AdminBlocked,
    CursorExpired,
    Misconfigured,
    NotFound,
    ProviderRefused,
    ScopeMissing,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.transport.replies import Reply
from worker.transport.session import by_status

LEGACY = [
    (401, "authError", TokenExpired), (403, "insufficientPermissions", ScopeMissing),
    (403, "accessNotConfigured", Misconfigured), (403, "rateLimitExceeded", Throttled),
    (429, "rateLimitExceeded", Throttled), (403, "userRateLimitExceeded", Throttled),
    (429, "userRateLimitExceeded", Throttled), (403, "quotaExceeded", Throttled),
    (403, "dailyLimitExceeded", Throttled),
    (500, "backendError", Transient), (400, "failedPrecondition", Transient), (404, "notFound", NotFound),
    (410, "fullSyncRequired", CursorExpired), (410, "updatedMinTooLongAgo", CursorExpired), (410, "deleted", NotFound),
    (403, "forbidden", NotFound), (403, "forbiddenForNonOrganizer", NotFound), (403, "domainPolicy", AdminBlocked),
    (400, "invalidArgument", ProviderRefused),
]  # fmt: skip
MODERN = [
    (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", ScopeMissing),
    (403, "PERMISSION_DENIED", "SERVICE_DISABLED", Misconfigured),
    (400, "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN", CursorExpired),
    (400, "INVALID_ARGUMENT", "EXPIRED_SYNC_TOKEN", CursorExpired),
    (410, "", "EXPIRED_SYNC_TOKEN", CursorExpired),
    (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", Throttled),
    (429, "RESOURCE_EXHAUSTED", "", Throttled),
    (401, "UNAUTHENTICATED", "", TokenExpired),
    (404, "NOT_FOUND", "", NotFound),
    (503, "UNAVAILABLE", "", Transient),
    (400, "INVALID_ARGUMENT", "", ProviderRefused),
]


def reply(status: int, error: object) -> Reply:
    return Reply(status, {}, json.dumps({"error": error}).encode())


def judged(found: Reply) -> type:
    return type(google_api.classify(found) or by_status(found))


@pytest.mark.parametrize(("status", "reason", "expected"), LEGACY)
def test_legacy_reason_is_exactly_one_error(status, reason, expected):
    assert judged(reply(status, {"code": status, "message": "m", "errors": [{"reason": reason}]})) is expected


@pytest.mark.parametrize(("status", "name", "reason", "expected"), MODERN)
def test_modern_reason_is_exactly_one_error(status, name, reason, expected):
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    assert judged(reply(status, {"code": status, "message": "m", "status": name, "details": details})) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, TokenExpired), (404, NotFound), (410, CursorExpired), (429, Throttled), (503, Transient)],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error":"x"}', b'{"error":{"details":[{}]}}'])
def test_refusal_without_a_reason_is_told_by_its_status(status, body, expected):
    assert judged(Reply(status, {}, body)) is expected


def test_detail_is_asked_before_the_legacy_reason_and_both_before_the_status():
    error = {
        "status": "INVALID_ARGUMENT",
        "errors": [{"reason": "badRequest"}],
        "details": [{"reason": "EXPIRED_SYNC_TOKEN"}],
    }
    assert judged(reply(400, error)) is CursorExpired


def test_text_of_a_refusal_is_never_passed_on():
    found = google_api.classify(reply(404, {"message": "CANARY ana@example.com", "errors": [{"reason": "notFound"}]}))
    assert "CANARY" not in str(found)


def test_page_tokens_that_repeat_are_noticed():
    tokens = google_api.PageTokens()
    assert (tokens.next("a"), tokens.next(""), tokens.next("")) == ("a", "", "")
    with pytest.raises(Transient):
        tokens.next("a")


def test_p10_a_days_quota_that_is_used_up_is_not_asked_for_every_few_seconds() -> None:
    body = b'{"error": {"errors": [{"domain": "usageLimits", "reason": "dailyLimitExceeded"}]}}'
    error = google_api.classify(Reply(403, {}, body))
    assert isinstance(error, Throttled)
    assert error.until is not None
    assert error.until - datetime.now(UTC) > timedelta(minutes=50)

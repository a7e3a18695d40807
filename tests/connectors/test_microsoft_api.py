"""Graph's codes, each to one error of ours: providers/microsoft-linkedin.md §3.4, §3.8 and §3.9; links."""

import json

import pytest

from worker.connectors import microsoft_api
from worker.connectors.microsoft_api import Links
from worker.errors import (
    AdminBlocked,
    CursorExpired,
    NotFound,
    ProviderRefused,
    ScopeMissing,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.transport.replies import Reply
from worker.transport.session import by_status

CASES = [
    (401, "InvalidAuthenticationToken", TokenExpired), (403, "ErrorAccessDenied", ScopeMissing),
    (403, "Authorization_RequestDenied", ScopeMissing), (403, "", ScopeMissing), (404, "ErrorItemNotFound", NotFound),
    (404, "itemNotFound", NotFound), (404, "ResourceNotFound", NotFound), (404, "Request_ResourceNotFound", NotFound),
    (404, "ErrorSyncFolderNotFound", NotFound), (404, "", NotFound), (404, "MailboxNotEnabledForRESTAPI", AdminBlocked),
    (404, "ErrorInvalidUser", AdminBlocked), (410, "SyncStateNotFound", CursorExpired),
    (410, "syncStateInvalid", CursorExpired), (410, "resyncRequired", CursorExpired), (410, "", CursorExpired),
    (400, "SyncStateNotFound", CursorExpired), (429, "ApplicationThrottled", Throttled),
    (429, "TooManyRequests", Throttled), (429, "activityLimitReached", Throttled), (429, "", Throttled),
    (500, "ErrorCorruptData", Transient), (500, "ErrorInternalServerError", Transient), (500, "", Transient),
    (403, "ErrorQuotaExceeded", Transient), (507, "ErrorQuotaExceeded", Transient), (502, "", Transient),
    (503, "", Transient), (504, "", Transient), (400, "BadRequest", ProviderRefused),
]  # fmt: skip


def reply(status: int, code: str) -> Reply:
    body = json.dumps({"error": {"code": code, "message": "m", "innerError": {}}}).encode() if code else b""
    return Reply(status, {}, body)


@pytest.mark.parametrize(("status", "code", "expected"), CASES)
def test_each_code_is_exactly_one_error(status, code, expected):
    found = reply(status, code)
    assert type(microsoft_api.classify(found) or by_status(found)) is expected


@pytest.mark.parametrize("code", ["", "BadRequest", "ErrorInvalidUrlQuery"])
def test_a_refused_link_is_a_place_that_was_forgotten(code):
    assert isinstance(microsoft_api.classify_link(reply(400, code)), CursorExpired)
    assert isinstance(microsoft_api.classify_link(reply(404, "ErrorSyncFolderNotFound")), NotFound)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"code": "a b <c>"}}', b"\xff"])
def test_a_body_that_is_no_error_of_graphs_tells_nothing(body):
    assert microsoft_api.code_of(body) == ""


def test_links_lead_to_graph_and_never_in_a_circle():
    links = Links()
    assert links.next("") == ""
    assert links.next("https://graph.microsoft.com/v1.0/me/x?$skiptoken=1")
    with pytest.raises(Transient):
        links.next("https://graph.microsoft.com/v1.0/me/x?$skiptoken=1")
    with pytest.raises(ProviderRefused):
        links.next("https://graph.microsoft.com.evil.test/v1.0/me/x")


@pytest.mark.parametrize(
    ("ours", "asked"), [("common", "organizations"), ("consumers", None), ("contoso.example", "contoso.example")]
)
def test_an_administrator_is_asked_in_a_directory_that_has_one(ours, asked):
    url = microsoft_api.MICROSOFT_OAUTH.at_tenant(ours).admin_consent_url
    assert url == (None if asked is None else f"https://login.microsoftonline.com/{asked}/v2.0/adminconsent")

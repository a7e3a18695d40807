"""What all Microsoft connectors share: OAuth facts, limits, the table of Graph's error codes, how a request is made.

Graph is plain REST here, through the session; replies are decoded into types that name what we read. Tokens are
msal's affair (`worker/transport/msal_tokens.py`). Client capability CP1 is not declared: tokens then live an hour or
so and are not taken back in between, and a challenge that comes all the same is answered once.

Source: providers/microsoft-linkedin.md §1 and §3 (read 2026-11), with Microsoft's own pages named there.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from worker.connectors.contract import Session
from worker.errors import (
    AdminBlocked,
    BadRecord,
    CrmSyncError,
    CursorExpired,
    NotFound,
    ProviderRefused,
    ScopeMissing,
    Throttled,
    TokenExpired,
    Transient,
)
from worker.transport.client import MAX_BODY_BYTES
from worker.transport.json_reply import read_json
from worker.transport.ports import Budget, BudgetScope, Cost, OAuthFacts, Rotation, TokenLibrary
from worker.transport.replies import Reply

T = TypeVar("T")
HOSTS: Final = frozenset({"graph.microsoft.com"})
ROOT: Final = "https://graph.microsoft.com/v1.0"

# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow; microsoft-linkedin.md §1.1 to §1.7.
MICROSOFT_OAUTH: Final = OAuthFacts(
    authorize_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
    token_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",  # noqa: S106 - an address
    revoke_url=None,
    userinfo_url=f"{ROOT}/me?$select=id,displayName,mail,userPrincipalName",
    # The issuer is another one for each directory, so the account is asked of Graph, and not of the ID token.
    issuer=None,
    jwks_url=None,
    subject_claim="id",
    # `offline_access` is what makes a refresh token come.
    identity_scopes=("openid", "profile", "offline_access", "User.Read"),
    # Without `select_account` a person who is signed in somewhere connects that account, unasked.
    authorize_params=(("response_mode", "query"), ("prompt", "select_account")),
    # A refresh brings a new refresh token, and the old one goes on working until it ages out.
    rotation=Rotation.GRACE,
    revoke_ends_siblings=False,
    default_lifetime=timedelta(seconds=3599),
    library=TokenLibrary.MSAL,
    consent_gone_codes=frozenset(
        {"invalid_grant", "interaction_required", "consent_required", "login_required", "access_denied"}
    ),
    # Consent that only an administrator may give (90094, 90095), an app that the person is not assigned to (50105),
    # and rules of the directory about devices and places (53000 to 530034).
    admin_blocked_codes=frozenset(f"AADSTS{number}" for number in (90094, 90095, 50105, 53000, 53003, 530032, 530034)),
    awaits_admin_codes=frozenset({"consent_required", "AADSTS65001", "AADSTS90094", "AADSTS90095"}),
    # https://learn.microsoft.com/entra/identity-platform/v2-admin-consent (read 2026-11): not «common», since personal
    # accounts have no administrator.
    admin_consent_url="https://login.microsoftonline.com/{tenant}/v2.0/adminconsent",
    admin_tenants=(("common", "organizations"), ("consumers", None)),
    admin_scope_prefix="https://graph.microsoft.com/",
    misconfigured_codes=frozenset(
        {
            "invalid_client",
            "unauthorized_client",
            "invalid_request",
            "invalid_scope",
            "invalid_resource",
            "unsupported_grant_type",
            # A wrong and an expired secret, and an app that is not in the directory.
            "AADSTS7000215",
            "AADSTS7000222",
            "AADSTS700016",
        }
    ),
    # The same request again and again (50196), and a directory that is throttled (90055).
    throttled_codes=frozenset({"AADSTS50196", "AADSTS90055"}),
    transient_codes=frozenset(f"AADSTS{number}" for number in (90033, 50033, 90090, 70012)),
    consent_pages=("https://myapps.microsoft.com", "https://account.live.com/consent/Manage"),
)

MAILBOX: Final = Budget(
    "graph.mailbox",
    BudgetScope.USER,
    10_000,
    timedelta(minutes=10),
    "https://learn.microsoft.com/graph/throttling-limits",
)
AT_ONCE: Final = Budget(
    "graph.mailbox_at_once", BudgetScope.USER, 4, timedelta(seconds=90), MAILBOX.source, at_once=True
)
"""Whether for an app or for each of its mailboxes, the wording leaves open; it is taken as the latter. No request of
ours takes longer than that, the waiting for a token included."""
BUDGETS: Final = (MAILBOX, AT_ONCE)
BUDGET_OPTIONS: Final = {AT_ONCE.name: "microsoft_requests_at_once"}

# Every code of microsoft-linkedin.md §3.4, §3.8 and §3.9, in lower case, to exactly one error of ours. Texts are no
# contract and are not read.
CODES: Final[dict[str, type[CrmSyncError]]] = {
    "syncstatenotfound": CursorExpired,
    "syncstateinvalid": CursorExpired,
    "resyncrequired": CursorExpired,
    "invalidauthenticationtoken": TokenExpired,
    "erroraccessdenied": ScopeMissing,
    "authorization_requestdenied": ScopeMissing,
    "erroritemnotfound": NotFound,
    "itemnotfound": NotFound,
    "resourcenotfound": NotFound,
    "request_resourcenotfound": NotFound,
    "errorsyncfoldernotfound": NotFound,
    "errorfoldernotfound": NotFound,
    # A mailbox that has no licence or stands on the customer's own premises, and a person who left.
    "mailboxnotenabledforrestapi": AdminBlocked,
    "errorinvaliduser": AdminBlocked,
    "applicationthrottled": Throttled,
    "toomanyrequests": Throttled,
    "activitylimitreached": Throttled,
    "errorcorruptdata": Transient,
    "errorinternalservererror": Transient,
    # A full mailbox can still be read; whoever is told so in between asks again.
    "errorquotaexceeded": Transient,
    "errorinvalidurlquery": ProviderRefused,
}
_TEXTS: Final = {
    CursorExpired: "Microsoft no longer knows our place in the list",
    TokenExpired: "Microsoft refused the access token",
    ScopeMissing: "The grant lacks a permission",
    NotFound: "Microsoft does not have it",
    AdminBlocked: "The account has no mailbox that the app may reach; an administrator has to look at its licence",
    Throttled: "Microsoft asks us to slow down",
    Transient: "Microsoft failed",
    ProviderRefused: "Microsoft refused the request's arguments",
}
IMMUTABLE_IDS: Final = 'IdType="ImmutableId"'
"""Ids that stay when an item is moved within its mailbox. Kept in no link, so it goes with every request."""


class _Error(msgspec.Struct):
    code: str = ""


class _Envelope(msgspec.Struct):
    error: _Error


class Listed(msgspec.Struct):
    """A page of any list of Graph's: exactly one of the links is there in a delta, at most one in other lists."""

    value: list[msgspec.Raw] = []
    next_link: str = msgspec.field(default="", name="@odata.nextLink")
    delta_link: str = msgspec.field(default="", name="@odata.deltaLink")


def classify(reply: Reply) -> CrmSyncError | None:
    """What a refusal of Graph means; None if neither its code nor its status tells. Pure."""
    code = code_of(reply.body)
    error = CODES.get(code.lower())
    if error is not None:
        return error(f"{_TEXTS[error]} ({reply.status} {code}).")
    if reply.status == 410:
        return CursorExpired(f"{_TEXTS[CursorExpired]} (410).")
    if reply.status == 403:
        return ScopeMissing(f"{_TEXTS[ScopeMissing]} (403).")
    return None


def classify_link(reply: Reply) -> CrmSyncError | None:
    """The same for a link that Graph itself wrote: what it refuses of that is a place that it forgot. Pure."""
    error = classify(reply)
    if reply.status == 400 and (error is None or isinstance(error, ProviderRefused)):
        return CursorExpired("Microsoft refused a link that it gave us.")
    return error


def code_of(body: bytes) -> str:
    """The machine code in an error's body, or nothing."""
    try:
        code = read_json(body, _Envelope).error.code
    except CrmSyncError:
        return ""  # A web page of some proxy, or no body at all; the status has to do.
    return code if code.replace("_", "").replace(".", "").isalnum() and len(code) < 80 else ""


def get(
    session: Session,
    url: str,
    *,
    params: Sequence[tuple[str, str]] = (),
    prefer: Sequence[str] = (),
    judge: Callable[[Reply], CrmSyncError | None] = classify,
    max_body: int = MAX_BODY_BYTES,
) -> Reply:
    """The reply to one question, at the price of one request. `prefer` is what goes into the header of that name."""
    return session.http.send(
        "GET",
        url,
        params=params,
        headers=headers(prefer),
        costs=costs(),
        classify=judge,
        max_body=max_body,
    )


def headers(prefer: Sequence[str]) -> list[tuple[str, str]]:
    """What goes with every request; the id is what Microsoft's support asks for."""
    named = [("accept", "application/json"), ("client-request-id", str(uuid.uuid4()))]
    return [*named, ("prefer", ", ".join((IMMUTABLE_IDS, *prefer)))]


def costs(requests: int = 1) -> tuple[Cost, ...]:
    """What so many requests to one mailbox take."""
    return (Cost(MAILBOX.name, requests), Cost(AT_ONCE.name, 1))


def batch_costs(requests: int) -> tuple[Cost, ...]:
    """What a batch takes: each entry counts by itself, and Outlook works on four of them at a time."""
    return (Cost(MAILBOX.name, requests), Cost(AT_ONCE.name, min(requests, AT_ONCE.limit)))


def whole_list(session: Session, url: str, type_: type[T], params: Sequence[tuple[str, str]] = ()) -> Iterator[T]:
    """Every item of a list, page by page.

    Raises:
        BadRecord: an item cannot be read. To leave out a folder would delete what is in it.
        Transient: the list goes round in circles.
    """
    yield from list_from(session, get(session, url, params=params), type_)


def list_from(session: Session, page: Reply | bytes, type_: type[T]) -> Iterator[T]:
    """The same from its first page on."""
    links = Links()
    while True:
        listed = read_json(page, Listed)
        for raw in listed.value:
            try:
                yield msgspec.json.decode(raw, type=type_)
            except (msgspec.MsgspecError, RecursionError):
                raise BadRecord("An item of one of Microsoft's lists cannot be read.") from None
        if not (link := links.next(listed.next_link)):
            return
        page = get(session, link)


class Links:
    """Notices a list that never ends: a provider that gives a link twice in one run goes round in circles."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def next(self, link: str) -> str:
        """The link, if it is new and leads to Graph.

        Raises:
            Transient: it was given before.
            ProviderRefused: it leads somewhere else.
        """
        if not link:
            return ""
        if not link.startswith(ROOT.rpartition("/")[0] + "/"):
            raise ProviderRefused("Microsoft gave a link that leads away from Graph.")
        if link in self._seen:
            raise Transient("Microsoft gave the same link twice; the list would never end.")
        self._seen.add(link)
        return link

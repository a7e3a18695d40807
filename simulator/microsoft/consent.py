"""The consent page: checks an authorization request, shows it, and takes what the person decided.

Consent is all or nothing: the page has no boxes to untick. The control door decides in the person's place through the
same functions; the scopes that it may name stand for an organisation that withholds the others.
Source: the provider sheet, sections 1.2 and 1.3.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from simulator.clock import Clock
from simulator.exchange import Reply, Request, html_reply, split_target
from simulator.microsoft.grants import Grants
from simulator.microsoft.oauth_errors import GrantRefused
from simulator.microsoft.scopes import DEFAULT, IDENTITY, KNOWN, normalised
from simulator.microsoft.tenants import admit, check_tenant
from simulator.microsoft.tokens import Consent
from simulator.options import Options
from simulator.world import World
from simulator.world.office import OfficeAccount

CONSENT_PATH = "/common/Consent/Set"
_PROMPTS = frozenset({"login", "none", "consent", "select_account"})
_OWN = frozenset({"account", "decision", "tenant"})


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request that passed every check."""

    tenant: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    mode: str
    prompt: str
    login_hint: str | None
    challenge: str | None
    challenge_method: str
    nonce: str | None


class SentBack(Exception):
    """A request that is out of order in a way the application is told of; `address` is where the browser goes."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class ConsentPage:
    """Serves the page and turns decisions into codes."""

    def __init__(self, options: Options, world: World, grants: Grants, clock: Clock) -> None:
        self.redirect_uris = set(options.redirect_uris)
        self._client_id = options.microsoft_client_id
        self._world = world
        self._grants = grants
        self._clock = clock

    def register(self, addresses: Iterable[str]) -> list[str]:
        """Allow addresses for the way back, and return all that are allowed."""
        self.redirect_uris.update(addresses)
        return sorted(self.redirect_uris)

    def check(self, tenant: str, query: Iterable[tuple[str, str]]) -> Asked:
        """Return the request in order.

        Raises: GrantRefused for what ends on an error page, SentBack for what the application is told.
        """
        values = dict(query)
        checked = check_tenant(self._world, tenant)
        if values.get("client_id") != self._client_id:
            raise GrantRefused(700016, f"Application with identifier '{values.get('client_id')}'.")
        if values.get("redirect_uri") not in self.redirect_uris:
            raise GrantRefused(50011, f"{values.get('redirect_uri')!r} is not registered, letter by letter.")
        asked = Asked(
            tenant=checked,
            client_id=values["client_id"],
            redirect_uri=values["redirect_uri"],
            scopes=tuple(normalised(values.get("scope", ""))),
            state=values.get("state"),
            mode=values.get("response_mode", "query"),
            prompt=values.get("prompt", ""),
            login_hint=values.get("login_hint"),
            challenge=values.get("code_challenge"),
            challenge_method=values.get("code_challenge_method", "plain"),
            nonce=values.get("nonce"),
        )
        wrong = _wrong(asked, values)
        if wrong is not None:
            raise SentBack(back(asked, {"error": wrong[0], "error_description": wrong[1]}))
        return asked

    def decide(
        self, asked: Asked, account: OfficeAccount, kept: Iterable[str] | None = None, *, deny: bool = False
    ) -> str:
        """Return the address to which the browser goes after the person's decision.

        `kept` None means every scope; identity scopes are always given.

        Raises: GrantRefused for an account that cannot sign in here, which ends on an error page.
        """
        admit(asked.tenant, account)
        if account.dropped:
            raise GrantRefused(50034)
        switches = self._grants.switches
        wanted = self._given(asked, account)
        if account.email in switches.standing_errors:
            return back(asked, _told(GrantRefused(switches.standing_errors[account.email])))
        if deny:
            return back(asked, _told(GrantRefused(65004)))
        if account.email in switches.admin_approval and wanted & set(switches.admin_scopes):
            refused = GrantRefused(90094, error=switches.admin_approval_error)
            return back(asked, _told(refused))
        given = wanted if kept is None else wanted & (set(normalised(" ".join(kept))) | IDENTITY)
        consent = Consent(
            account=account,
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            scopes=frozenset(given),
            made_at=self._clock.now(),
            challenge=asked.challenge,
            challenge_method=asked.challenge_method,
            nonce=asked.nonce,
        )
        return back(asked, {"code": self._grants.agree(consent)})

    def show(self, tenant: str, request: Request) -> Reply:
        """Return the page with the accounts and what is asked for."""
        try:
            asked = self.check(tenant, request.query)
        except GrantRefused as refused:
            return refused.page()
        except SentBack as sent:
            return _redirect(sent.address)
        hinted = self.hinted(asked, None)
        accounts = "\n".join(
            f'<label><input type="radio" name="account" value="{account.email}"'
            f"{' checked' if account is hinted else ''}> "
            f"{html.escape(account.display_name)} ({account.email})</label><br>"
            for account in self._world.office
            if not account.dropped
        )
        wishes = "\n".join(f"<li>{html.escape(scope)}</li>" for scope in asked.scopes)
        hidden = "\n".join(
            f'<input type="hidden" name="{html.escape(key)}" value="{html.escape(value)}">'
            for key, value in (*request.query, ("tenant", tenant))
        )
        return html_reply(
            f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Permissions requested</title></head>
<body><h1>{html.escape(asked.client_id)} asks for permissions</h1>
<form method="post" action="/login.microsoftonline.com{CONSENT_PATH}">
{hidden}<fieldset><legend>Account</legend>{accounts}</fieldset>
<ul>{wishes}</ul>
<button name="decision" value="accept">Accept</button> <button name="decision" value="cancel">Cancel</button>
</form></body></html>"""
        )

    def take(self, request: Request) -> Reply:
        """Take the posted form and send the browser back to the application."""
        fields = request.form()
        form = dict(fields)
        try:
            asked = self.check(form.get("tenant", "common"), [pair for pair in fields if pair[0] not in _OWN])
            account = self._world.office_account(form.get("account"))
            address = self.decide(asked, account, deny=form.get("decision") != "accept")
        except GrantRefused as refused:
            return refused.page()
        except SentBack as sent:
            return _redirect(sent.address)
        except KeyError:
            return GrantRefused(50034).page()
        return _posted(address) if asked.mode == "form_post" else _redirect(address)

    def hinted(self, asked: Asked, chosen: str | None) -> OfficeAccount:
        """Return the account that the person picks: the chosen one, else the hinted one, else the first that may.

        Raises: KeyError for a chosen account that does not exist.
        """
        if chosen is not None:
            return self._world.office_account(chosen)
        fitting = [one for one in self._world.office if _may(asked.tenant, one)]
        named = [one for one in fitting if asked.login_hint in (one.email, one.oid)]
        return (named or fitting or self._world.office)[0]

    def _given(self, asked: Asked, account: OfficeAccount) -> set[str]:
        wanted = set(asked.scopes)
        if DEFAULT in wanted:
            wanted = (wanted - {DEFAULT}) | self._grants.consented(account, asked.client_id)
        return wanted


def _wrong(asked: Asked, values: dict[str, str]) -> tuple[str, str] | None:
    """Return the error and its text for a request that is not in order."""
    unknown = [scope for scope in asked.scopes if scope not in KNOWN | {DEFAULT}]
    if values.get("response_type") != "code":
        return "unsupported_response_type", "AADSTS70005: Only response_type=code is played here."
    if not asked.scopes or unknown:
        return "invalid_scope", f"AADSTS70011: The scope {' '.join(unknown)} is not valid."
    if asked.mode not in ("query", "fragment", "form_post"):
        return "invalid_request", "AADSTS90013: The response_mode is not valid."
    if asked.challenge_method not in ("S256", "plain") or ("code_challenge_method" in values and not asked.challenge):
        return "invalid_request", "AADSTS501491: The code challenge is not in order."
    if asked.challenge is not None and not 43 <= len(asked.challenge) <= 128:
        return "invalid_request", "AADSTS501491: The code challenge has a wrong size."
    if asked.prompt and asked.prompt not in _PROMPTS:
        return "invalid_request", "AADSTS90023: The prompt is not valid."
    if asked.prompt == "none":
        return "login_required", "AADSTS50058: Nobody is signed in."
    return None


def back(asked: Asked, parameters: dict[str, str]) -> str:
    """Return the application's address with what it is told; for form_post it is written as a query, too."""
    told = parameters if asked.state is None else {**parameters, "state": asked.state}
    mark = "#" if asked.mode == "fragment" else "&" if "?" in asked.redirect_uri else "?"
    return asked.redirect_uri + mark + urlencode(told)


def _told(refused: GrantRefused) -> dict[str, str]:
    return {"error": refused.error, "error_description": refused.description}


def _may(tenant: str, account: OfficeAccount) -> bool:
    try:
        admit(tenant, account)
    except GrantRefused:
        return False
    return not account.dropped


def _redirect(address: str) -> Reply:
    return Reply(302, b"", "text/html; charset=utf-8", (("location", address),))


def _posted(address: str) -> Reply:
    """Return the page by which a browser posts the answer to the application."""
    place, _, told = address.partition("?")
    fields = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in split_target("?" + told)[1]
    )
    return html_reply(
        f'<!DOCTYPE html><html><body onload="document.forms[0].submit()"><form method="post" action="{place}">{fields}'
        "<noscript><button>Continue</button></noscript></form></body></html>"
    )

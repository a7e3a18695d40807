"""The consent page: checks an authorization request, shows it, and takes what the person decided.

The control door decides in the person's place through the same functions.
Source: the provider sheet, sections 1.2 and 1.5.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from simulator.clock import Clock
from simulator.exchange import Reply, Request, html_reply
from simulator.google.grants import Grants
from simulator.google.scopes import IDENTITY, KNOWN, in_order, normalised
from simulator.google.tokens import Consent
from simulator.options import Options
from simulator.world import Account, World

CONSENT_PATH = "/signin/oauth/consent"
_CHALLENGE_METHODS = ("S256", "plain")


class AuthorizationRefused(Exception):
    """The request is shown as an error page and never returns to the application."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.status = status
        self.error = error


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request that passed every check."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    offline: bool
    prompts: frozenset[str]
    include_granted: bool
    login_hint: str | None
    challenge: str | None
    challenge_method: str
    nonce: str | None


class ConsentPage:
    """Serves the page and turns decisions into codes."""

    def __init__(self, options: Options, world: World, grants: Grants, clock: Clock, clients: Iterable[str]) -> None:
        self.redirect_uris = set(options.redirect_uris)
        self._world = world
        self._grants = grants
        self._clock = clock
        self._clients = frozenset(clients)

    def register(self, addresses: Iterable[str]) -> list[str]:
        """Allow addresses for the way back, and return all that are allowed."""
        self.redirect_uris.update(addresses)
        return sorted(self.redirect_uris)

    def check(self, query: Iterable[tuple[str, str]]) -> Asked:
        """Return the request in order.

        Raises: AuthorizationRefused.
        """
        pairs = list(query)
        values = dict(pairs)
        if len(values) != len(pairs):
            raise AuthorizationRefused(400, "invalid_request", "A parameter is given twice.")
        if values.get("client_id") not in self._clients:
            raise AuthorizationRefused(401, "invalid_client", "The OAuth client was not found.")
        if values.get("redirect_uri") not in self.redirect_uris:
            raise AuthorizationRefused(
                400, "redirect_uri_mismatch", f"{values.get('redirect_uri')!r} is not registered, letter by letter."
            )
        if values.get("response_type") != "code":
            raise AuthorizationRefused(400, "unsupported_response_type", "Only response_type=code is played here.")
        scopes = normalised(values.get("scope", ""))
        unknown = [one for one in scopes if one not in KNOWN]
        if not scopes or unknown:
            raise AuthorizationRefused(400, "invalid_scope", f"Missing or unknown scopes: {unknown}")
        method = values.get("code_challenge_method", "plain")
        if method not in _CHALLENGE_METHODS or ("code_challenge" not in values and "code_challenge_method" in values):
            raise AuthorizationRefused(400, "invalid_request", "The code challenge is not in order.")
        if values.get("access_type", "online") not in ("online", "offline"):
            raise AuthorizationRefused(400, "invalid_request", "access_type is online or offline.")
        return Asked(
            client_id=values["client_id"],
            redirect_uri=values["redirect_uri"],
            scopes=tuple(scopes),
            state=values.get("state"),
            offline=values.get("access_type") == "offline",
            prompts=frozenset(values.get("prompt", "").split()),
            include_granted=values.get("include_granted_scopes") == "true",
            login_hint=values.get("login_hint"),
            challenge=values.get("code_challenge"),
            challenge_method=method,
            nonce=values.get("nonce"),
        )

    def decide(
        self,
        asked: Asked,
        account: Account,
        ticked: Iterable[str] | None,
        *,
        deny: bool = False,
        lasts_s: float | None = None,
    ) -> str:
        """Return the address to which the browser goes after the person's decision.

        `ticked` None means everything; identity scopes cannot be unticked.
        """
        back: dict[str, str] = {} if asked.state is None else {"state": asked.state}
        if account.email in self._grants.switches.admin_policy_enforced:
            return _joined(asked.redirect_uri, back | {"error": "admin_policy_enforced"})
        wanted = set(asked.scopes)
        given = wanted if ticked is None else wanted & (set(normalised(" ".join(ticked))) | IDENTITY)
        if deny or not given or account.dropped:
            return _joined(asked.redirect_uri, back | {"error": "access_denied"})
        if asked.include_granted:
            given |= self._grants.granted_scopes(account)
        consent = Consent(
            account=account,
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            scopes=frozenset(given),
            offline=asked.offline,
            forced="consent" in asked.prompts,
            made_at=self._clock.now(),
            challenge=asked.challenge,
            challenge_method=asked.challenge_method,
            nonce=asked.nonce,
            lasts_s=lasts_s,
        )
        code = self._grants.agree(consent)
        extra = {"code": code, "scope": in_order(given), "authuser": "0", "prompt": "consent"}
        return _joined(asked.redirect_uri, back | extra)

    def show(self, request: Request) -> Reply:
        """Return the page with accounts and check boxes."""
        try:
            asked = self.check(request.query)
        except AuthorizationRefused as refused:
            return _error_page(refused)
        accounts = "\n".join(
            f'<label><input type="radio" name="account" value="{account.email}"'
            f"{' checked' if account is self.hinted(asked, None) else ''}> "
            f"{html.escape(account.display_name)} ({account.email})</label><br>"
            for account in self._world.accounts
            if not account.dropped
        )
        boxes = "\n".join(
            f'<label><input type="checkbox" name="tick" value="{scope}" checked> {scope}</label><br>'
            for scope in asked.scopes
            if scope not in IDENTITY
        )
        hidden = "\n".join(
            f'<input type="hidden" name="{html.escape(key)}" value="{html.escape(value)}">'
            for key, value in request.query
        )
        return html_reply(
            f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Simulated consent</title></head><body>
<h1>{html.escape(asked.client_id)} wants access</h1>
<form method="post" action="/accounts.google.com{CONSENT_PATH}">
{hidden}<fieldset><legend>Account</legend>{accounts}</fieldset>
<fieldset><legend>Allow</legend>{boxes}</fieldset>
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button>
</form></body></html>"""
        )

    def take(self, request: Request) -> Reply:
        """Take the posted form and send the browser back to the application."""
        own = {"account", "tick", "decision"}
        fields = request.form()
        try:
            asked = self.check((key, value) for key, value in fields if key not in own)
            account = self._world.account(dict(fields).get("account"))
        except AuthorizationRefused as refused:
            return _error_page(refused)
        except KeyError as error:
            return _error_page(AuthorizationRefused(400, "invalid_request", f"No account {error}."))
        ticked = [value for key, value in fields if key == "tick"]
        address = self.decide(asked, account, ticked, deny=dict(fields).get("decision") != "allow")
        return Reply(302, b"", "text/html; charset=utf-8", (("location", address),))

    def hinted(self, asked: Asked, chosen: str | None) -> Account:
        """Return the account that the person picks: the chosen one, else the hinted one, else the first.

        Raises: KeyError for a chosen account that does not exist.
        """
        if chosen is not None:
            return self._world.account(chosen)
        try:
            return self._world.account(asked.login_hint)
        except KeyError:
            return self._world.account(None)


def _joined(address: str, parameters: dict[str, str]) -> str:
    return address + ("&" if "?" in address else "?") + urlencode(parameters)


def _error_page(refused: AuthorizationRefused) -> Reply:
    return html_reply(
        f"<!DOCTYPE html><html><body><h1>Access blocked</h1><p>Error {refused.status}: {refused.error}</p>"
        f"<p>{html.escape(str(refused))}</p></body></html>",
        refused.status,
    )

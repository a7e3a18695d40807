"""The HTTP side of the identity platform: discovery, authorize, token, keys. There is no way to revoke one token.

What is true about tokens is decided in `grants.py`, what a person agrees to in `consent.py`.
Source: the provider sheet, sections 1 and 2.2.
"""

import base64
import hashlib
from typing import Any
from urllib.parse import urlsplit

import msgspec

from simulator.exchange import Reply, Request, html_reply, json_reply
from simulator.id_tokens import Signer
from simulator.microsoft.consent import CONSENT_PATH, ConsentPage
from simulator.microsoft.grants import REFRESH_IN_S, Grants
from simulator.microsoft.oauth_errors import NO_STORE, GrantRefused
from simulator.microsoft.scopes import DEFAULT, IDENTITY, KNOWN, in_order, normalised
from simulator.microsoft.tenants import CONSUMERS_ID, admit, check_tenant, tenant_id
from simulator.microsoft.tokens import Consent, Issued
from simulator.options import Options
from simulator.world import World

LOGIN_HOST = "login.microsoftonline.com"
_LOGIN = f"https://{LOGIN_HOST}"
_ALIASES = (LOGIN_HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net")
_FORM = "application/x-www-form-urlencoded"


class OAuth:
    """Serves login.microsoftonline.com."""

    def __init__(self, options: Options, world: World, grants: Grants, page: ConsentPage) -> None:
        self._clients = {options.microsoft_client_id: options.microsoft_client_secret}
        self._world = world
        self._grants = grants
        self._page = page
        self._signer = Signer()
        self.token_requests = 0

    def handle(self, request: Request) -> Reply:
        """Serve a request."""
        if (request.method, request.path) == ("POST", CONSENT_PATH):
            return self._page.take(request)
        match request.method, request.segments:
            case "GET", ("common", "discovery", "instance"):
                return self._instance(request)
            case "GET", (tenant, "v2.0", ".well-known", "openid-configuration"):
                return self._configuration(request, tenant)
            case "GET", (_, "discovery", "v2.0", "keys"):
                return json_reply(self._signer.key_set())
            case "GET", (tenant, "oauth2", "v2.0", "authorize"):
                return self._page.show(tenant, request)
            case "POST", (tenant, "oauth2", "v2.0", "token"):
                return self._token(request, tenant)
            case _, (_, "oauth2", "v2.0", "authorize" | "token"):
                return GrantRefused(900144, "The method is not allowed.", status=405).reply(request, self._now())
            case _:
                return html_reply("<!DOCTYPE html><html><head><title>404 - File or directory not found.</title>", 404)

    def identify(self, request: Request) -> None:
        """Note whose refresh token a form has, dead or alive."""
        owner = self._grants.owner_of_refresh(dict(request.form()).get("refresh_token", ""))
        if owner is not None:
            request.notes.account, request.notes.grant = owner.account.email, owner.grant

    def _now(self) -> float:
        return self._grants.now()

    def _token(self, request: Request, tenant: str) -> Reply:
        fields = request.form()
        form = dict(fields)
        self.token_requests += 1
        request.notes.form = {name: form[name] for name in ("grant_type", "scope") if name in form}
        try:
            checked = check_tenant(self._world, tenant)
            _check_form(request, form, len(fields))
            self._check_client(form)
            self._check_script(form)
            issued = self._issued(form, checked)
        except GrantRefused as refused:
            return refused.reply(request, self._now())
        request.notes.account, request.notes.grant = issued.access.account.email, issued.access.grant
        return json_reply(self._reply(issued, form), headers=NO_STORE)

    def _check_client(self, form: dict[str, str]) -> None:
        if form["client_id"] not in self._clients:
            raise GrantRefused(700016, f"Application with identifier '{form['client_id']}'.")
        code = self._grants.switches.client_error
        if code is not None or form.get("client_secret") != self._clients[form["client_id"]]:
            raise GrantRefused(code or 7000215)

    def _issued(self, form: dict[str, str], tenant: str) -> Issued:
        claims = form.get("claims")
        scopes = normalised(form.get("scope", ""))
        if any(one not in KNOWN | {DEFAULT} for one in scopes):
            raise GrantRefused(70011, form["scope"])
        if form["grant_type"] == "authorization_code":
            if not form.get("code"):
                raise GrantRefused(900144, "'code'.")
            consent = self._grants.consent_of(form["code"])
            admit(tenant, consent.account)
            _check_exchange(consent, form)
            return self._grants.issue(consent, claims)
        if form["grant_type"] == "refresh_token":
            token = form.get("refresh_token")
            if not token:
                raise GrantRefused(900144, "'refresh_token'.")
            owner = self._grants.owner_of_refresh(token)
            if owner is not None:
                admit(tenant, owner.account)
            return self._grants.refresh(token, form["client_id"], [one for one in scopes if one != DEFAULT], claims)
        raise GrantRefused(70003, form["grant_type"])

    def _check_script(self, form: dict[str, str]) -> None:
        """Raise the error that a script has for this grant's account: the standing one, or the next that waits."""
        owner = self._grants.owner_of_refresh(form.get("refresh_token", ""))
        email = owner.account.email if owner else None
        switches = self._grants.switches
        if email in switches.standing_errors:
            raise GrantRefused(switches.standing_errors[email])
        for waiting in switches.next_errors:
            if waiting.get("account") in (None, email):
                switches.next_errors.remove(waiting)
                instead = {name: value for name, value in waiting.items() if name not in ("account", "code")}
                raise GrantRefused(int(waiting.get("code", 70000)), **instead)

    def _reply(self, issued: Issued, form: dict[str, str]) -> dict[str, Any]:
        access, switches = issued.access, self._grants.switches
        life = round(access.expires_at - access.issued_at)
        reply: dict[str, Any] = {"token_type": "Bearer", "scope": in_order(access.scopes)}
        if switches.expires_in != "missing":
            reply["expires_in"] = life if switches.expires_in == "int" else str(life)
            reply["ext_expires_in"] = reply["expires_in"]
        if access.evaluated:
            reply["refresh_in"] = min(REFRESH_IN_S, life // 2)
        reply["access_token"] = issued.access_token
        if issued.refresh_token is not None:
            reply["refresh_token"] = issued.refresh_token
        if "openid" in access.scopes:
            reply["id_token"] = self._id_token(issued)
        if form.get("client_info") == "1":
            account = access.account
            info = msgspec.json.encode({"uid": account.oid, "utid": tenant_id(account)})
            reply["client_info"] = base64.urlsafe_b64encode(info).decode().rstrip("=")
        return reply

    def _id_token(self, issued: Issued) -> str:
        access = issued.access
        account = access.account
        subject = hashlib.sha256(f"{account.oid} {access.client_id}".encode()).digest()
        claims: dict[str, object] = {
            "aud": access.client_id,
            "iss": f"{_LOGIN}/{tenant_id(account)}/v2.0",
            "iat": int(access.issued_at),
            "nbf": int(access.issued_at),
            "exp": int(access.issued_at) + 3_600,
            "sub": base64.urlsafe_b64encode(subject).decode().rstrip("="),
            "tid": tenant_id(account),
            "ver": "2.0",
        }
        if "profile" in access.scopes:
            claims |= {"name": account.display_name, "oid": account.oid, "preferred_username": account.email}
        if "email" in access.scopes and account.shows_address:
            claims["email"] = account.email
        if issued.nonce is not None:
            claims["nonce"] = issued.nonce
        return self._signer.sign(claims)

    def _configuration(self, request: Request, tenant: str) -> Reply:
        try:
            checked = check_tenant(self._world, tenant)
        except GrantRefused as refused:
            return refused.reply(request, self._now())
        issuer = {"consumers": CONSUMERS_ID, "common": "{tenantid}", "organizations": "{tenantid}"}
        at = f"{_LOGIN}/{tenant}"
        return json_reply(
            {
                "token_endpoint": f"{at}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{at}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "scopes_supported": sorted(IDENTITY),
                "issuer": f"{_LOGIN}/{issuer.get(checked, checked)}/v2.0",
                "authorization_endpoint": f"{at}/oauth2/v2.0/authorize",
                "end_session_endpoint": f"{at}/oauth2/v2.0/logout",
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "oid", "tid", "email"],
                "tenant_region_scope": None,
                "cloud_instance_name": "microsoftonline.com",
                "msgraph_host": "graph.microsoft.com",
            }
        )

    def _instance(self, request: Request) -> Reply:
        """Tell which hosts are the same cloud; an address elsewhere is no instance of it."""
        asked = urlsplit(request.first("authorization_endpoint") or "")
        if request.first("api-version") not in ("1.0", "1.1") or not asked.path:
            return GrantRefused(900144, "'authorization_endpoint'.").reply(request, self._now())
        if asked.netloc not in _ALIASES:
            refused = GrantRefused(50049, "Unknown or invalid instance.", error="invalid_instance")
            return refused.reply(request, self._now())
        tenant = asked.path.split("/")[1]
        return json_reply(
            {
                "tenant_discovery_endpoint": f"https://{asked.netloc}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": request.first("api-version"),
                "metadata": [
                    {"preferred_network": LOGIN_HOST, "preferred_cache": "login.windows.net", "aliases": list(_ALIASES)}
                ],
            }
        )


def _check_form(request: Request, form: dict[str, str], fields: int) -> None:
    """Demand a form with every field once, and those without which nothing can be said.

    Raises: GrantRefused.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise GrantRefused(900144, "The request body must be a form.")
    if len(form) != fields:
        raise GrantRefused(9002313, "A parameter is given twice.", error="invalid_request")
    for name in ("grant_type", "client_id"):
        if not form.get(name):
            raise GrantRefused(900144, f"'{name}'.")


def _check_exchange(consent: Consent, form: dict[str, str]) -> None:
    """Hold a code exchange against the consent it comes from.

    Raises: GrantRefused.
    """
    if consent.client_id != form["client_id"]:
        raise GrantRefused(70000, "The code was issued to another application.")
    if form.get("redirect_uri") != consent.redirect_uri:
        raise GrantRefused(500112)
    verifier = form.get("code_verifier")
    if consent.challenge is None:
        return
    computed = verifier or ""
    if consent.challenge_method == "S256":
        computed = base64.urlsafe_b64encode(hashlib.sha256(computed.encode()).digest()).decode().rstrip("=")
    if not verifier or computed != consent.challenge:
        raise GrantRefused(501481)

"""The HTTP side of Google's OAuth: token, revoke, tokeninfo, userinfo, keys and the configuration document.

What is true about tokens is decided in `grants.py`, what a person agrees to in `consent.py`.
Source: the provider sheet, section 1.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from simulator.exchange import Reply, Request, html_reply, json_reply
from simulator.google.consent import CONSENT_PATH, ConsentPage
from simulator.google.grants import GrantRefused, Grants
from simulator.google.scopes import AUTH, IDENTITY, in_order
from simulator.google.tokens import AccessToken, Consent, Issued
from simulator.id_tokens import Signer, half_hash

ISSUER = "https://accounts.google.com"
_FORM = "application/x-www-form-urlencoded"
_EMAIL, _PROFILE = AUTH + "userinfo.email", AUTH + "userinfo.profile"


class OAuth:
    """Serves the hosts of Google's identity platform."""

    def __init__(self, grants: Grants, page: ConsentPage, clients: dict[str, str]) -> None:
        self._grants = grants
        self._page = page
        self._clients = clients
        self._signer = Signer()
        self.token_requests = 0
        self.routes: dict[tuple[str, str, str], Callable[[Request], Reply]] = {
            ("accounts.google.com", "GET", "/o/oauth2/v2/auth"): page.show,
            ("accounts.google.com", "GET", "/o/oauth2/auth"): page.show,
            ("accounts.google.com", "POST", CONSENT_PATH): page.take,
            ("accounts.google.com", "GET", "/.well-known/openid-configuration"): self._configuration,
            ("accounts.google.com", "POST", "/o/oauth2/token"): self._token,
            ("accounts.google.com", "POST", "/o/oauth2/revoke"): self._revoke,
            ("oauth2.googleapis.com", "POST", "/token"): self._token,
            ("oauth2.googleapis.com", "POST", "/revoke"): self._revoke,
            ("oauth2.googleapis.com", "GET", "/tokeninfo"): self._token_info,
            ("www.googleapis.com", "POST", "/oauth2/v4/token"): self._token,
            ("www.googleapis.com", "GET", "/oauth2/v3/certs"): lambda _request: json_reply(self._signer.key_set()),
            ("www.googleapis.com", "GET", "/oauth2/v3/userinfo"): self._user_info,
            ("openidconnect.googleapis.com", "GET", "/v1/userinfo"): self._user_info,
        }

    def handle(self, request: Request) -> Reply | None:
        """Serve a request, or return None when the path is none of ours."""
        route = self.routes.get((request.host, request.method, request.path))
        if route is not None:
            return route(request)
        if any((host, path) == (request.host, request.path) for host, _, path in self.routes):
            return html_reply("<!DOCTYPE html><title>Error 405 (Method Not Allowed)!!1</title>", 405)
        return None

    def identify(self, request: Request) -> None:
        """Note whose token a form is about, dead or alive."""
        form = dict(request.form())
        token = form.get("refresh_token") or form.get("token") or ""
        owner = self._grants.owner_of_refresh(token) or self._grants.known(token)
        if owner is not None:
            request.notes.account, request.notes.grant = owner.account.email, owner.grant

    def _token(self, request: Request) -> Reply:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return _refusal(GrantRefused("invalid_request", "The request must be a form."))
        fields = request.form()
        form = dict(fields)
        self.token_requests += 1
        request.notes.form = {"grant_type": form.get("grant_type", "")}
        if len(form) != len(fields):
            return _refusal(GrantRefused("invalid_request", "A parameter is given twice."))
        try:
            client_id = self._client(request, form)
            return self._scripted(form) or json_reply(self._answer(request, form, client_id), headers=_NO_STORE)
        except GrantRefused as refused:
            return _refusal(refused)

    def _answer(self, request: Request, form: dict[str, str], client_id: str) -> dict[str, Any]:
        kind = form.get("grant_type")
        if kind == "authorization_code":
            code = form.get("code", "")
            consent = self._grants.consent_of(code)
            _check_exchange(consent, form, client_id)
            issued = self._grants.issue(code, consent)
        elif kind == "refresh_token":
            if not form.get("refresh_token"):
                raise GrantRefused("invalid_request", "Missing required parameter: refresh_token")
            issued = self._grants.refresh(form["refresh_token"], client_id)
        else:
            raise GrantRefused("unsupported_grant_type", f"Invalid grant_type: {kind}")
        request.notes.account, request.notes.grant = issued.access.account.email, issued.access.grant
        return self._reply(issued)

    def _reply(self, issued: Issued) -> dict[str, Any]:
        access, switches = issued.access, self._grants.switches
        life = round(access.expires_at - access.issued_at)
        reply: dict[str, Any] = {"access_token": issued.access_token}
        if switches.expires_in != "missing":
            reply["expires_in"] = life if switches.expires_in == "int" else str(life)
        if issued.refresh_token is not None:
            reply["refresh_token"] = issued.refresh_token
        if issued.ends_at is not None:
            reply["refresh_token_expires_in"] = max(0, round(issued.ends_at - access.issued_at))
        reply |= {"scope": in_order(access.scopes), "token_type": "Bearer"}
        if "openid" in access.scopes:
            reply["id_token"] = self._id_token(issued)
        return reply

    def _id_token(self, issued: Issued) -> str:
        access = issued.access
        claims: dict[str, object] = {
            "iss": ISSUER,
            "azp": access.client_id,
            "aud": access.client_id,
            **self._claims(access),
            "at_hash": half_hash(issued.access_token),
            "iat": int(access.issued_at),
            "exp": int(access.issued_at) + 3600,
        }
        if issued.nonce is not None:
            claims["nonce"] = issued.nonce
        return self._signer.sign(claims)

    def _claims(self, access: AccessToken) -> dict[str, object]:
        account = access.account
        claims: dict[str, object] = {"sub": account.sub}
        if _EMAIL in access.scopes:
            claims |= {"email": account.email, "email_verified": True}
        if _PROFILE in access.scopes:
            claims |= {
                "name": account.display_name,
                "given_name": account.given_name,
                "family_name": account.family_name,
                "picture": f"https://lh3.googleusercontent.com/a/{account.sub}=s96-c",
            }
        return claims

    def _client(self, request: Request, form: dict[str, str]) -> str:
        """Return the client after checking its secret, from the form or the Basic header."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                client_id, _, secret = (unquote(one) for one in base64.b64decode(value).decode().partition(":"))
            except (binascii.Error, UnicodeDecodeError):
                raise GrantRefused("invalid_client", "The header cannot be read.", status=401) from None
        if self._grants.switches.deleted_client:
            raise GrantRefused("deleted_client", "The OAuth client was deleted.", status=401)
        if client_id not in self._clients:
            raise GrantRefused("invalid_client", "The OAuth client was not found.", status=401)
        if secret != self._clients[client_id] or self._grants.switches.invalid_client:
            raise GrantRefused("invalid_client", "The provided client secret is invalid.", status=401)
        return client_id

    def _scripted(self, form: dict[str, str]) -> Reply | None:
        """Return the next scripted error that is meant for this grant's account, if one waits."""
        owner = self._grants.owner_of_refresh(form.get("refresh_token", ""))
        for waiting in self._grants.switches.next_errors:
            if waiting.get("account") in (None, owner.account.email if owner else None):
                self._grants.switches.next_errors.remove(waiting)
                return _refusal(
                    GrantRefused(
                        str(waiting.get("error", "server_error")),
                        str(waiting.get("error_description", "Scripted.")),
                        status=int(waiting.get("status", 400)),
                        subtype=str(waiting["error_subtype"]) if "error_subtype" in waiting else None,
                    )
                )
        return None

    def _revoke(self, request: Request) -> Reply:
        token = dict(request.form()).get("token") or request.first("token")
        if not token:
            return _refusal(GrantRefused("invalid_request", "Missing required parameter: token"))
        account = self._grants.revoke(token)
        if account is None:
            return _refusal(GrantRefused("invalid_token", "Token expired or revoked"))
        request.notes.account = account.email
        return json_reply({})

    def _token_info(self, request: Request) -> Reply:
        access = self._grants.access(request.first("access_token") or "")
        if access is None:
            return _refusal(GrantRefused("invalid_token", "Invalid Value"))
        info: dict[str, object] = {
            "azp": access.client_id,
            "aud": access.client_id,
            "sub": access.account.sub,
            "scope": in_order(access.scopes),
            "exp": str(int(access.expires_at)),
            "expires_in": str(int(access.expires_at - self._grants.now())),
            "access_type": "offline",
        }
        if _EMAIL in access.scopes:
            info |= {"email": access.account.email, "email_verified": "true"}
        return json_reply(info)

    def _user_info(self, request: Request) -> Reply:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        access = self._grants.access(token) if kind.lower() == "bearer" else None
        if access is None or not access.scopes & IDENTITY:
            return _refusal(GrantRefused("invalid_request", "Invalid Credentials", status=401))
        return json_reply(self._claims(access))

    def _configuration(self, _request: Request) -> Reply:
        return json_reply(
            {
                "issuer": ISSUER,
                "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
                "token_endpoint": "https://oauth2.googleapis.com/token",
                "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
                "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
                "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
            }
        )


_NO_STORE = (("cache-control", "no-cache, no-store, max-age=0, must-revalidate"), ("pragma", "no-cache"))


def _check_exchange(consent: Consent, form: dict[str, str], client_id: str) -> None:
    """Hold a code exchange against the consent it comes from.

    Raises: GrantRefused.
    """
    if consent.client_id != client_id or form.get("redirect_uri") != consent.redirect_uri:
        raise GrantRefused("invalid_grant", "Bad Request")
    verifier = form.get("code_verifier")
    if consent.challenge is None:
        return
    if verifier is None:
        raise GrantRefused("invalid_grant", "Missing code verifier.")
    computed = verifier
    if consent.challenge_method == "S256":
        computed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    if computed != consent.challenge:
        raise GrantRefused("invalid_grant", "Invalid code verifier.")


def _refusal(refused: GrantRefused) -> Reply:
    body = {"error": refused.error, "error_description": refused.description}
    if refused.subtype:
        body["error_subtype"] = refused.subtype
    return json_reply(body, refused.status, _NO_STORE)


def plain_error(status: int, reason: str | None) -> Reply:
    """Return an error for a fault script, as these hosts word theirs."""
    error = reason or (
        "invalid_grant" if status == 400 else "temporarily_unavailable" if status > 500 else "server_error"
    )
    return _refusal(GrantRefused(error, "Scripted.", status=status))

"""Microsoft's tokens, asked for by msal, whose every request goes through a door of ours.

    redeem · renew ─▶ msal prepares the form ─▶ door: gate, transport, judgement ─▶ the reply, read by whoever asked

msal keeps three memories that would do harm in a worker of many tenants, and none of them outlives a call here. Its
cache of tokens would pile up everybody's secrets. Its throttle answers a repetition out of its memory: a refusal for a
minute, a 429 for up to an hour, though the provider was repaired or the person consented meanwhile. Its cache of
discovery documents is not needed: where the endpoints are stands in the connector's facts, and they are handed to it,
so that one refresh is one request. So the application object is made for one exchange; refusals are judged in the door
and never reach it; and of a good reply it is shown that there is a token, and nothing more.

Source: providers/microsoft-linkedin.md §2 (msal 1.39, read 2026-11)
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from worker.errors import ProviderRefused
from worker.transport.ports import OAuthClient, OAuthFacts, Secret
from worker.transport.replies import Reply

Door = Callable[[str, str, Mapping[str, str]], Reply]
"""Posts a form: address, form, headers. Gives back good replies only, and raises what the others mean."""

_DISCOVERY: Final = "/.well-known/openid-configuration"
_AUTHORIZE: Final = "/oauth2/v2.0/authorize"
_RESERVED: Final = frozenset({"openid", "profile", "offline_access"})
"""Scopes that msal adds by itself, and refuses to be given."""
_STATE: Final = "checked already"


def redeem(
    door: Door, facts: OAuthFacts, client: OAuthClient, *, code: Secret, verifier: Secret, redirect_uri: str,
    scopes: Sequence[str],
) -> Reply:  # fmt: skip
    """The reply to a code.

    Raises:
        CrmSyncError: whatever the door raises.
    """
    http = _HTTP(door, facts)
    wanted = sorted(set(scopes) - _RESERVED)
    # The person's state was found and used up before anybody comes here; msal compares two values, so it gets two.
    flow = {
        "state": _STATE,
        "scope": [*wanted, *sorted(_RESERVED)],
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.reveal(),
    }
    _application(http, facts, client).acquire_token_by_auth_code_flow(
        flow, {"state": _STATE, "code": code.reveal()}, scopes=wanted
    )
    return http.reply()


def renew(
    door: Door, facts: OAuthFacts, client: OAuthClient, *, refresh_token: Secret, scopes: Sequence[str], claims: str
) -> Reply:
    """The reply to a refresh token. `claims` answers a challenge of the API, if there was one.

    Raises:
        CrmSyncError: whatever the door raises.
    """
    http = _HTTP(door, facts)
    extra = {"data": {"claims": claims}} if claims else {}
    _application(http, facts, client).acquire_token_by_refresh_token(
        refresh_token.reveal(), sorted(set(scopes) - _RESERVED), **extra
    )
    return http.reply()


def _application(http: "_HTTP", facts: OAuthFacts, client: OAuthClient) -> Any:
    # Imported here: it costs a fifth of a second that workers without a Microsoft account need not spend.
    import msal  # noqa: PLC0415

    logging.getLogger("msal").setLevel(logging.WARNING)
    return msal.ConfidentialClientApplication(
        client.client_id,
        client_credential=client.client_secret.reveal(),
        authority=facts.authorize_url.removesuffix(_AUTHORIZE),
        http_client=http,
        instance_discovery=False,
    )


class _HTTP:
    """What msal takes for an HTTP client."""

    def __init__(self, door: Door, facts: OAuthFacts) -> None:
        self._door = door
        self._facts = facts
        self._last: Reply | None = None

    def get(self, url: str, **_: Any) -> "_Answer":
        """The discovery document, out of the facts.

        Raises:
            ProviderRefused: msal wants to know something else.
        """
        if not url.endswith(_DISCOVERY):
            raise ProviderRefused("msal asked for something that is no part of an exchange of tokens.")
        document = {
            "authorization_endpoint": self._facts.authorize_url,
            "token_endpoint": self._facts.token_url,
            "issuer": url.removesuffix(_DISCOVERY),
        }
        return _Answer(document)

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> "_Answer":
        """Send a form through the door."""
        form = data if isinstance(data, str) else urlencode(data or {})
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        self._last = self._door(url, form, sent)
        return _Answer({"access_token": "held back", "token_type": "Bearer"})

    def close(self) -> None:
        """Nothing to close: connections belong to the transport."""

    def reply(self) -> Reply:
        """The reply to the last form.

        Raises:
            ProviderRefused: msal sent none.
        """
        if self._last is None:
            raise ProviderRefused("msal made no request for tokens.")
        return self._last


class _Answer:
    """A good reply as msal reads it, with what msal needs in it."""

    status_code = 200

    def __init__(self, body: Mapping[str, str]) -> None:
        self.text = json.dumps(body)
        self.headers: dict[str, str] = {}

    def raise_for_status(self) -> None:
        """Nothing to raise: the door judged the status already."""

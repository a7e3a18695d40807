"""Lets authlib prepare addresses, PKCE and forms, while each of its requests goes through a door of ours.

It opens no socket of its own, and errors never reach it: whoever is behind the door has judged each reply.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.client import OAuth2Client

from worker.transport.ports import OAuthClient
from worker.transport.replies import Reply
from worker.transport.token_replies import access_token

Post = Callable[[str, str, Mapping[str, str]], Reply]
"""Sends a form with headers to an address, and raises for what is no success."""


def authlib_client(client: OAuthClient, door: "AuthlibDoor | None") -> Any:
    """Authlib's client of our registration. One for each request: it remembers the last token, which must not stay."""
    return OAuth2Client(
        session=door,
        client_id=client.client_id,
        client_secret=client.client_secret.reveal(),
        token_endpoint_auth_method="client_secret_post",  # noqa: S106 -- a method's name
        revocation_endpoint_auth_method="client_secret_post",
        code_challenge_method="S256",
    )


class AuthlibDoor:
    """What authlib takes for an HTTP session. `last` is the last reply."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.last = Reply(0, {}, b"")

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> "_DoorReply":
        """Send a form, with the client's own authentication added by authlib."""
        url, ready_headers, form = auth.prepare("POST", url, dict(headers), urlencode(data))
        self.last = self._post(url, form, ready_headers)
        return _DoorReply(self.last)


class _DoorReply:
    """A reply as authlib reads it. Only good ones get here."""

    def __init__(self, reply: Reply) -> None:
        self.status_code = reply.status
        self._reply = reply

    def json(self) -> Any:
        """All of the body that authlib needs: it would stumble over an odd `expires_in`, which `read_tokens` reads."""
        return {"access_token": access_token(self._reply), "token_type": "Bearer"}

    def raise_for_status(self) -> None:
        """Nothing to raise: the endpoint judged the status already."""

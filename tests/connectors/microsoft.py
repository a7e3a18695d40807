"""Microsoft for tests of connectors: a token of the simulated one, and what the engine makes of pages in many parts."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from simulator.client import Simulator
from tests.connectors.sessions import ConnectorSession
from worker.connectors import outlook
from worker.errors import CursorExpired, NotFound, RunAgainLater
from worker.records import FULL_PASS, Body, Page, Part, Refused
from worker.transport.client import Transport

SCOPES = ["User.Read", "Contacts.Read", "Mail.Read", "Calendars.Read"]
REDIRECT = "http://localhost:8765/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B.
LOGIN = "https://login.microsoftonline.com/common/oauth2/v2.0"


def access_token(simulator: Simulator, account: str, scopes: list[str] = SCOPES) -> str:
    """Consent as a person does, and redeem the code."""
    client, wanted = simulator.facts["microsoft"], " ".join(["openid", "profile", "offline_access", *scopes])
    asked = {
        "client_id": client["client_id"], "redirect_uri": REDIRECT, "response_type": "code", "scope": wanted,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s",
    }  # fmt: skip
    back = simulator.consent(f"{LOGIN}/authorize?{urlencode(asked)}", account)
    form = {
        "grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0], "scope": wanted,
        "client_id": client["client_id"], "client_secret": client["client_secret"], "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }  # fmt: skip
    headers = {"content-type": "application/x-www-form-urlencoded"}
    path = "/login.microsoftonline.com/common/oauth2/v2.0/token"
    status, raw = simulator.request("POST", path, urlencode(form).encode(), headers)
    assert status == 200, raw
    import json

    return str(json.loads(raw)["access_token"])


def session_over(transport: Transport, token: str, **options: Any) -> ConnectorSession:
    return ConnectorSession(transport, outlook.FACTS.hosts, outlook.FACTS.budgets, token=token, **options)


class HeldInParts:
    """What we hold of a stream with parts: the engine's rules in a few lines. `lost` are keys that were deleted while
    `alive` said that they are still there."""

    def __init__(self, stream: Any, alive: Callable[[str], bool] = lambda _: False) -> None:
        self.stream = stream
        self.alive = alive
        self.records: dict[str, tuple[str, Body]] = {}
        self.refused: dict[str, str] = {}
        self.cursors: dict[str, bytes | None] = {}
        self.seen: dict[str, set[str]] = {}
        self.lost: list[str] = []
        self.unshown: set[str] = set()
        self.pages: list[Page] = []

    def take(self, session: Any, part: str, page: Page) -> None:
        self.pages.append(page)
        seen = self.seen.setdefault(part, set())
        for record in page.records:
            self.records[record.key] = (part if record.part is None else record.part, record.body)
            (self.unshown.discard if record.part in {None, part} else self.unshown.add)(record.key)
            self.refused.pop(record.key, None)
        shown = {record.key for record in page.records}
        for key in set(page.tombstones) - shown:
            if self.records.get(key, ("",))[0] == part:
                self._drop(key)
        self.refused |= {item.key: item.reason for item in page.refused}
        seen |= shown | set(page.present) | {item.key for item in page.refused}
        self.cursors[part] = page.cursor
        if not page.more:
            if page.covers == FULL_PASS:
                self._sweep(session, part, seen)
            seen.clear()

    def _sweep(self, session: Any, part: str, seen: set[str]) -> None:
        unseen = [key for key, (of, _) in self.records.items() if of == part and key not in seen]
        where = self.stream.whereabouts(session, [self.records[key][1] for key in unseen])
        for key, now in zip(unseen, where, strict=True):
            if isinstance(now, Refused):
                self.refused[key] = now.reason
            elif now is None:
                self._drop(key)
            else:
                self.records[key] = (now, self.records[key][1])
                if now != part:
                    self.unshown.add(key)

    def _drop(self, key: str) -> None:
        if self.alive(key):
            self.lost.append(key)
        self.records.pop(key, None)

    def read_part(self, session: Any, part: Part, *, most_pages: int | None = None) -> bool:
        """Turn pages; False if it stopped before the end, as a killed worker does."""
        session.held = self._known(part)
        for number, page in enumerate(self.stream.pages(session, part, self.cursors.get(part.key)), start=1):
            self.take(session, part.key, page)
            session.held = self._known(part)
            if not page.more:
                return True
            if number == most_pages or page.not_before is not None:
                return False
        raise AssertionError("a run ended without a last page")

    def _known(self, part: Part) -> set[str]:
        return {key for key, (of, _) in self.records.items() if of == part.key and key not in self.unshown}

    def sync(self, session: Any, order: Callable[[list[Part]], list[Part]] = list) -> None:
        """All parts to the end; a dead cursor begins anew, what is to come later is asked for again."""
        listed = order(list(self.stream.parts(session)))
        for part in listed:
            for _ in range(12):
                try:
                    if self.read_part(session, part):
                        break
                except CursorExpired:
                    self.forget(part.key)
                except RunAgainLater:
                    continue
                except NotFound:
                    break
            else:
                raise AssertionError("a part never came to its end")
        for gone in set(self.cursors) - {part.key for part in listed}:
            self._sweep(session, gone, set())
            self.forget(gone)
            del self.cursors[gone]

    def forget(self, part: str) -> None:
        self.cursors[part] = None
        self.seen.pop(part, None)

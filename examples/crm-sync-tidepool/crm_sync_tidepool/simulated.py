"""Tidepool on loopback, for `crm-sync connector check tidepool`: OAuth, people in pages, changes since a state.

It was written from the provider's documentation, never from the connector, so that the two cannot share a mistake. Its
contract is that of `simulator.app.Family`, and of `simulator.rehearsal` for what may be tried.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.app import ControlHandler, Simulator
from simulator.exchange import Reply, Request, json_reply
from simulator.faults import Paging
from simulator.opaque import fingerprint
from simulator.plain_oauth import Addresses, PlainOAuth
from simulator.rehearsal import Rehearsal, StreamRehearsal

HOST: Final = "api.tidepool.example"
SCOPE: Final = "people.read"
MOST_ITEMS: Final = 100
_CODES: Final = {401: "token_expired", 403: "scope_missing", 404: "no_such_person", 410: "cursor_expired",
                 429: "slow_down", 503: "busy"}  # fmt: skip
_NAMES: Final = ("Mara Quill", "พิม แสงทอง", "سلمى الريح", "Ivo Tern", "Nora Vale")


@dataclass(slots=True)
class Book:
    """One account's people, and what happened to them in order; `oldest` is the first state that is remembered."""

    people: dict[int, dict[str, Any]] = field(default_factory=dict)
    log: list[int] = field(default_factory=list)
    oldest: int = 0

    def put(self, number: int, person: dict[str, Any]) -> None:
        """Add somebody, or change them."""
        self.people[number] = person
        self.log.append(number)

    def drop(self, number: int) -> None:
        """Delete somebody."""
        del self.people[number]
        self.log.append(number)


class Tidepool:
    """All hosts of Tidepool."""

    hosts = frozenset({HOST, "tidepool.example"})

    def __init__(self, simulator: Simulator) -> None:
        options = simulator.options
        self._limit = options.page_limit or MOST_ITEMS
        self._people = options.people
        self._books: dict[str, Book] = {}
        self._made = 0
        self.oauth = PlainOAuth(
            Addresses(
                authorize="https://tidepool.example/oauth/authorize",
                token=(HOST, "/oauth/token"),
                revoke=(HOST, "/oauth/revoke"),
                userinfo=(HOST, "/oauth/me"),
            ),
            client_id="tidepool-client",
            client_secret="tidepool-client-secret",  # noqa: S106 - a secret that is published is none.
            redirect_uris=options.redirect_uris,
            scopes=frozenset({"account", SCOPE}),
            accounts=[f"keeper.{number}@tidepool.example" for number in range(1, options.accounts + 1)],
            clock=simulator.clock,
        )

    def identify(self, request: Request) -> None:
        """Note whose request it is."""
        request.notes.account = self.oauth.holder(request)

    def handle(self, request: Request) -> Reply:
        """Serve a request."""
        reply = self.oauth.handle(request)
        if reply is not None:
            return reply
        grant = self.oauth.allowed(request, SCOPE)
        if isinstance(grant, int):
            return self.error(request, grant, None)
        book = self._book(grant.account)
        match request.path:
            case "/v2/people":
                return self._listed(book, request)
            case "/v2/people/changes":
                return self._changed(book, request)
            case _:
                return self.error(request, 404, None)

    def error(self, _request: Request, status: int, reason: str | None) -> Reply:
        """Return an error in Tidepool's own words."""
        return json_reply({"error": {"code": reason or _CODES.get(status, "unknown")}}, status)

    def counters(self) -> Mapping[str, int]:
        """Return nothing: Tidepool counts nothing of its own."""
        return {}

    def controls(self) -> Mapping[str, ControlHandler]:
        """Return nothing: all that tests need is in the rehearsal."""
        return {}

    def rehearsals(self) -> list[Rehearsal]:
        """Return how the connector may be tried."""
        return [self.rehearsal("tidepool")]

    def rehearsal(self, connector: str) -> Rehearsal:
        """Return how a connector of that name may be tried."""
        return Rehearsal(
            connector=connector,
            accounts=lambda: self.oauth.accounts,
            settings={
                "tidepool_client_id": self.oauth.client_id,
                "tidepool_client_secret": self.oauth.client_secret,
            },
            consent=self.oauth.consent,
            revoke=self.oauth.end,
            streams={
                "profile": StreamRehearsal(
                    pages={"host": HOST, "path": "^/oauth/me$"}, held=lambda account: [{"email": account}]
                ),
                "contacts": StreamRehearsal(
                    pages={"host": HOST, "path": "^/v2/people"},
                    held=self._held,
                    acts={
                        "add": self._many(self._add),
                        "change": self._change,
                        "delete": self._delete,
                        "expire": self._expire,
                    },
                    paging=Paging(token="next", parameter="after", ends=("state",), items="people"),  # noqa: S106
                    spoil={"emails": 7},
                ),
            },
        )

    def _listed(self, book: Book, request: Request) -> Reply:
        """People in order of their numbers; a list ends in the state at which it began, so that nothing is missed."""
        after, _, began = (request.first("after") or "0.").partition(".")
        state = int(began) if began else len(book.log)
        size = min(int(request.first("limit") or MOST_ITEMS), self._limit)
        numbers = sorted(number for number in book.people if number > int(after))
        people = [book.people[number] for number in numbers[:size]]
        if len(numbers) > size:
            return json_reply({"people": people, "next": f"{numbers[size - 1]}.{state}"})
        return json_reply({"people": people, "state": f"s{state}"})

    def _changed(self, book: Book, request: Request) -> Reply:
        """What happened since a state, each person as they are now; those who are gone are marked."""
        since = int((request.first("since") or "s0")[1:])
        if since < book.oldest:
            return self.error(request, 410, None)
        at, _, until = (request.first("after") or f"{since}.{len(book.log)}").partition(".")
        size = min(int(request.first("limit") or MOST_ITEMS), self._limit)
        end = min(int(at) + size, int(until))
        numbers = dict.fromkeys(book.log[int(at) : end])
        people = [book.people.get(number) or {"id": f"p{number}", "deleted": True} for number in numbers]
        if end < int(until):
            return json_reply({"people": people, "next": f"{end}.{until}"})
        return json_reply({"people": people, "state": f"s{until}"})

    def _book(self, account: str) -> Book:
        if account not in self._books:
            self._books[account] = Book()
            for _ in range(self._people):
                self._add(account)
        return self._books[account]

    def _held(self, account: str) -> list[dict[str, Any]]:
        return [{"display_name": person["name"], "notes": [person["note"]]} for person in
                self._book(account).people.values()]  # fmt: skip

    def _add(self, account: str) -> None:
        self._made += 1
        number, name = self._made, _NAMES[self._made % len(_NAMES)]
        address = f"someone{number}@{fingerprint(account)}.example"
        person = {"id": f"p{number}", "name": name, "emails": [address], "phones": ["02 123 4567"], "note": "new"}
        self._books[account].put(number, person)

    def _many(self, act: Callable[[str], None]) -> Callable[[str, int], None]:
        def acts(account: str, count: int) -> None:
            self._book(account)
            for _ in range(count):
                act(account)

        return acts

    def _change(self, account: str, count: int) -> None:
        book = self._book(account)
        for number in list(book.people)[:count]:
            book.put(number, {**book.people[number], "note": f"changed {len(book.log)}"})

    def _delete(self, account: str, count: int) -> None:
        book = self._book(account)
        for number in list(book.people)[-count:]:
            book.drop(number)

    def _expire(self, account: str, _count: int) -> None:
        book = self._book(account)
        book.log.append(next(iter(book.people)))  # So that no state of before is the newest one.
        book.oldest = len(book.log)

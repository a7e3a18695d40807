"""Fault scripts: which request is to go wrong, and how.

Matching and counting only; `distort.py` changes replies and `server.py` breaks connections.
"""

import re
from typing import Any, Literal

import msgspec

from simulator.exchange import Request


class Match(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Which requests a rule is for.

    Of those that fit, the `nth` (from 1) is the first to suffer and `times` (default 1; 0 means without end) suffer in
    all. `path`, `query` and `body` are regular expressions that are searched for; inner calls of a batch are matched as
    well.
    """

    host: str | None = None
    path: str | None = None
    query: str | None = None
    body: str | None = None
    method: str | None = None
    account: str | None = None
    nth: int = 1
    times: int = 1


class Paging(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How a provider's lists are paged, so that a page can be bent.

    `token` is the field of a page that names the next one, `parameter` where a request puts it, `ends` the fields that
    only a last page has, `items` the list of a page (None: the first one). With `link` that field has a whole address.
    """

    token: str = "nextPageToken"  # noqa: S105  The name of a field.
    parameter: str = "pageToken"
    ends: tuple[str, ...] = ("nextSyncToken",)
    items: str | None = None
    link: bool = False


class Action(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to a request; several may be joined (`delay_s` with `status`).

    `paging` says how the lists are paged that are to be bent; unless said as the provider's family has it.
    """

    delay_s: float = 0.0
    drop: bool = False
    reset: bool | Literal["before", "during"] = False
    status: int | None = None
    reason: str | None = None
    headers: dict[str, str] = {}
    retry_after: int | str | None = None
    body: Any = None
    field: str | None = None
    redirect: str | None = None
    gzip_bomb: int | None = None
    gzip: bool = False
    repeat_page_token: bool = False
    empty_page_with_token: bool = False
    duplicate_items: int = 0
    spoil_item: dict[str, Any] = {}
    unknown_fields: bool = False
    reorder: bool = False
    paging: Paging | None = None
    lost_reply: bool = False
    half_body: bool = False
    drip: float | None = None

    @property
    def bends_page(self) -> bool:
        """Whether the page that is sent is another one than the provider made."""
        return bool(
            self.repeat_page_token or self.duplicate_items or self.unknown_fields or self.reorder or self.spoil_item
        )

    @property
    def prevents(self) -> bool:
        """Whether the request is never carried out."""
        return (
            self.drop
            or self.reset in (True, "before")
            or self.status is not None
            or self.redirect is not None
            or self.gzip_bomb is not None
            or self.empty_page_with_token
        )


class Rule(msgspec.Struct):
    """A match, an action and how often both have met."""

    number: int
    match: Match
    action: Action
    seen: int = 0
    applied: int = 0

    def fits(self, request: Request) -> bool:
        """Say whether the rule is about this request."""
        return fits(self.match, request)


def fits(match: Match, request: Request) -> bool:
    """Say whether a request is one of those that a match means, however many there were before it."""
    query = "&".join(f"{key}={value}" for key, value in request.query)
    return (
        (match.host is None or match.host == request.host)
        and (match.method is None or match.method.upper() == request.method)
        and (match.account is None or match.account == request.notes.account)
        and (match.path is None or re.search(match.path, request.path) is not None)
        and (match.query is None or re.search(match.query, query) is not None)
        and (match.body is None or re.search(match.body, request.body.decode("utf-8", "replace")) is not None)
    )


class Faults:
    """The rules in force, oldest first."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._next = 1

    def add(self, match: Match, action: Action) -> Rule:
        """Add a rule.

        Raises: ValueError for a regular expression that does not compile.
        """
        for pattern in (match.path, match.query, match.body):
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        rule = Rule(self._next, match, action)
        self._next += 1
        self._rules.append(rule)
        return rule

    def pick(self, request: Request) -> Rule | None:
        """Count the request in every rule that fits it and return the first rule whose turn it is."""
        chosen: Rule | None = None
        for rule in self._rules:
            if not rule.fits(request):
                continue
            rule.seen += 1
            due = rule.seen >= rule.match.nth and (rule.match.times == 0 or rule.applied < rule.match.times)
            if due and chosen is None:
                chosen = rule
        if chosen is not None:
            chosen.applied += 1
            request.notes.fault = f"rule {chosen.number}"
        return chosen

    def shown(self) -> list[Rule]:
        """Return all rules with their counts."""
        return list(self._rules)

    def clear(self, number: int | None = None) -> None:
        """Drop one rule, or all."""
        self._rules = [rule for rule in self._rules if number is not None and rule.number != number]

"""The contract of a connector: the facts that it declares and the few functions that it has.

A connector is one file. It declares `CONNECTOR = Connector(facts=…, streams=…)`, and for each stream how to find
its parts and one generator of pages. It does not commit, retry, sleep, log in, encrypt or know who asks; it
raises errors of `worker.errors` only, which its `transport` session mostly raises for it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from worker.records import Body, Kind, Page, Part, Purpose, Refused
from worker.transport.ports import Budget, OAuthFacts
from worker.transport.session import ProviderSession

T = TypeVar("T")


class Session(Protocol):
    """What a connector is handed for one time slice of a run of one stream of one connection."""

    @property
    def http(self) -> ProviderSession:
        """The door to the provider, already bound to the grant, the gate, the budgets and the allowed hosts."""

    @property
    def options(self) -> dict[str, int | str]:
        """The connector's own settings (those it lists in `facts.options`), such as `window_days`."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""

    def known(self, part: Part, keys: Iterable[str]) -> frozenset[str]:
        """Those of `keys` that we hold in `part` already: for records that never change (a mail's text).

        What was written by an older `Stream.normaliser` is not among them, so it is read once more.
        """

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gave when `name` was first asked for in this time slice: what parts and pages have in common."""


PartsFinder = Callable[[Session], Iterable[Part]]
PageSource = Callable[[Session, Part, bytes | None], Iterator[Page]]
Whereabouts = Callable[[Session, Sequence[Body]], Sequence[str | Refused | None]]


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of data that a connector syncs.

    `normaliser` is the version of the stream's normal form: raise it when parsing changes, and every record is
    written anew. `scopes`, all of them, must have been granted. `interval` is how often the stream is due.
    `deletions` says how the stream learns of them. `full_pass_every` asks for a pass in full even if a cursor lives.

    `whereabouts` is asked about records that a full pass of their part did not show, before they are taken for gone:
    for each the key of the part in which it is all the same, None if it is gone, or a `Refused` if the provider would
    not say: that one is kept, and asked about again. A stream whose records move between parts needs it.

    The last five tell the conformance suite what there is to try: `single` is a stream of one record, `one_page` one
    whose every pass is one page, `deletes` says that records can go at the provider, `incremental` that a second pass
    need not read all, and `cursor_dies` that the provider forgets cursors.
    """

    name: str
    purpose: Purpose | None
    kind: Kind
    scopes: tuple[str, ...]
    interval: timedelta
    parts: PartsFinder
    pages: PageSource
    normaliser: int = 1
    full_pass_every: timedelta | None = None
    deletions: str = ""
    cursor: str = ""
    whereabouts: Whereabouts | None = None
    single: bool = False
    one_page: bool = False
    deletes: bool = True
    incremental: bool = True
    cursor_dies: bool = True


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of a connector: `field` is its name in `worker.settings`, or a third party's own.

    `CRM_SYNC_` and the field in capitals is the variable. A default makes it optional; a number's is read as a number.

    `window_of` says that it is how many days back records of that kind are read, 0 for all: where a rule ends them
    sooner, by their own day, the connector is handed the shorter of the two.
    """

    name: str
    field: str
    default: int | str | None = None
    window_of: Kind | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one may ask about a connector without running it."""

    name: str
    title: str
    family: str
    api_version: str
    hosts: frozenset[str]
    oauth: OAuthFacts
    budgets: tuple[Budget, ...]
    purposes: tuple[Purpose, ...]
    scope_reasons: dict[str, str]
    options: tuple[Option, ...] = ()
    budget_options: dict[str, str] = field(default_factory=dict)
    docs: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    """What it takes to get going with the real provider, step by step: registration, redirect address, reviews."""


@dataclass(frozen=True, slots=True)
class Connector:
    """A plug-in: its facts and its streams, in the order in which a new connection runs them."""

    facts: Facts
    streams: tuple[Stream, ...]

    def stream(self, name: str) -> Stream | None:
        """The stream of that name, or None."""
        return next((stream for stream in self.streams if stream.name == name), None)

    def scopes_for(self, purposes: Iterable[Purpose]) -> tuple[str, ...]:
        """The least scopes that `purposes` need, identity first, in a stable order."""
        held = set(purposes)
        scopes = dict.fromkeys(self.facts.oauth.identity_scopes)
        for stream in self.streams:
            if stream.purpose is None or stream.purpose in held:
                scopes.update(dict.fromkeys(stream.scopes))
        return tuple(scopes)

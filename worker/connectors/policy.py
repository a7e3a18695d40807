"""Provider policies as data: how long each kind of record is kept, what ends it, what is never taken or must be shown.

    policies/NAME.toml, in the folder of the connector's module ─▶ read ─▶ Policy

The files are for people who are no programmers; this module reads them strictly and says what is wrong in their words.
A connector from another package brings its own file in the same way: `policies/NAME.toml` in the folder that its module
lies in. A folder of the operator's own may hold a file of the same name, which is then read in place of ours. Nothing
here decides when a record goes.
"""

import re
import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from worker.errors import Misconfigured

FOLDER: Final = "policies"
SHIPPED: Final = Path(__file__).parent / FOLDER
_GROUP: Final = "crm_sync.connectors"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SPAN: Final = re.compile(r"(\d{1,5}) (hour|day)s?")
NO_LIMIT: Final = "no limit"


class CountedFrom(StrEnum):
    """From when an age is counted."""

    FETCHED = "fetched"
    """from when the provider last showed it, or last said that it had not changed"""
    RECORD_DATE = "record_date"
    """from the record's own date; a record without one is counted from when the provider last showed it"""


class Ending(StrEnum):
    """What ends the keeping of a record before its age does."""

    GONE_AT_PROVIDER = "gone_at_provider"
    """it is deleted at the provider"""
    PERSON_ASKS = "person_asks"
    """the person whom it is about asks for it"""
    ACCOUNT_ENDED = "account_ended"
    """the person removes the app, or closes their account"""
    PROVIDER_ASKS = "provider_asks"
    """the provider asks for it"""
    CLIENT_LEAVES = "client_leaves"
    """the customer for whom it is kept leaves, or asks for it"""
    AGREEMENT_ENDS = "agreement_ends"
    """our agreement with the provider ends"""


class Sureness(StrEnum):
    """How sure a rule is."""

    DOCUMENTED = "documented"
    """read on the provider's own page"""
    IN_DOUBT = "in doubt"
    """read, but without a clear number or in a sister document: to be checked again"""
    OUR_CHOICE = "our choice"
    """the provider names no number; this one is ours"""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long one kind of record is kept; `at_most` and `after_disconnect` are None for no limit."""

    kind: str
    what: str
    at_most: timedelta | None
    counted_from: CountedFrom
    after_disconnect: timedelta | None
    ends_when: tuple[Ending, ...]
    why: str
    source: str
    read_on: date
    sure: Sureness


@dataclass(frozen=True, slots=True)
class Duty:
    """Something that is never done (`why` it is not), or that must be shown (`why` is empty then)."""

    what: str
    why: str
    source: str
    read_on: date
    sure: Sureness


@dataclass(frozen=True, slots=True)
class Policy:
    """One provider's rules. A higher `version` replaces what a lower one published."""

    connector: str
    title: str
    version: int
    keep: dict[str, Keep]
    never: tuple[Duty, ...]
    show: tuple[Duty, ...]


def policy_of(connector: str, folder: Path | None = None) -> Policy:
    """The policy of an installed connector; a file in `folder` comes before the connector's own.

    Raises:
        Misconfigured: there is no such file, or it does not say what it must.
    """
    own = _beside_module(connector)
    paths = [folder / f"{connector}.toml"] if folder is not None else []
    paths += [own] if own is not None else [SHIPPED / f"{connector}.toml"]
    for path in paths:
        if path.is_file():
            return read_policy(path)
    raise Misconfigured(
        f"The connector «{connector}» has no policy: there is no file {paths[-1]}. Nothing may be stored without a "
        f"rule. Write it after the model of {SHIPPED / 'gmail.toml'}."
    )


def read_policy(path: Path) -> Policy:
    """Read one file.

    Raises:
        Misconfigured: what is wrong, where, and what to do.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path}: the file cannot be read ({type(error).__name__}). Is it there, as UTF-8?"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: not written as TOML asks: {error}. Mend that line.") from None
    top = _Place(path, "", found)
    policy = Policy(
        connector=top.name("connector"),
        title=top.text("title"),
        version=top.whole_number("version"),
        keep={kind: _keep(place, kind) for kind, place in top.tables("keep").items()},
        never=tuple(_duty(place, with_why=True) for place in top.list_of_tables("never")),
        show=tuple(_duty(place, with_why=False) for place in top.list_of_tables("show")),
    )
    top.nothing_else()
    if policy.connector != path.stem:
        raise top.refused("connector", f"is «{policy.connector}», but the file is {path.name}", "Let the two agree")
    for duty in policy.never:
        if duty.what in policy.keep:
            raise top.refused(
                f"keep.{duty.what}", "is a kind that the same file never keeps", "Take one of the two out"
            )
    return policy


def _keep(place: "_Place", kind: str) -> Keep:
    rule = Keep(
        kind=kind,
        what=place.text("what"),
        at_most=place.span("at_most"),
        counted_from=CountedFrom(place.choice("counted_from", [each.value for each in CountedFrom])),
        after_disconnect=place.span("after_disconnect"),
        ends_when=tuple(Ending(name) for name in place.choices("ends_when", [each.value for each in Ending])),
        why=place.text("why"),
        source=place.link("source"),
        read_on=place.day("read_on"),
        sure=Sureness(place.choice("sure", [each.value for each in Sureness])),
    )
    place.nothing_else()
    if _NAME.fullmatch(kind) is None:
        raise place.refused("", "is no kind", "Use small letters, digits and _, such as campaign_day")
    return rule


def _duty(place: "_Place", *, with_why: bool) -> Duty:
    duty = Duty(
        what=place.text("what"),
        why=place.text("why") if with_why else "",
        source=place.link("source"),
        read_on=place.day("read_on"),
        sure=Sureness(place.choice("sure", [each.value for each in Sureness])),
    )
    place.nothing_else()
    return duty


class _Place:
    """A table of the file: reads its values by name, and says of a wrong one what, where, and what to do."""

    def __init__(self, path: Path, where: str, values: dict[str, Any]) -> None:
        self._path, self._where, self._values = path, where, values
        self._left = set(values)

    def refused(self, name: str, what: str, todo: str) -> Misconfigured:
        """The error for the value called `name`."""
        where = ".".join(part for part in (self._where, name) if part)
        return Misconfigured(f"{self._path}: «{where}» {what}. {todo}.")

    def nothing_else(self) -> None:
        """Every value was asked for."""
        for name in sorted(self._left):
            raise self.refused(name, "is not known here", "Is it misspelt? Otherwise take it out")

    def text(self, name: str) -> str:
        """A sentence, or a few words."""
        value = self._take(name, "a text in quotes")
        if not isinstance(value, str) or not value.strip():
            raise self.refused(name, "must be a text", f'Write {name} = "…"')
        return value.strip()

    def name(self, name: str) -> str:
        """A name in small letters."""
        value = self.text(name)
        if _NAME.fullmatch(value) is None:
            raise self.refused(name, f"is «{value}»", "Use small letters, digits and _, beginning with a letter")
        return value

    def link(self, name: str) -> str:
        """Where the rule was read."""
        value = self.text(name)
        if not value.startswith("https://"):
            raise self.refused(name, f"is «{value}»", "Give the address of the page that was read, from https:// on")
        return value

    def whole_number(self, name: str) -> int:
        """A number from 1 on."""
        value = self._take(name, "a whole number")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refused(name, f"is «{value}»", "Write a whole number, from 1 on, without quotes")
        return value

    def day(self, name: str) -> date:
        """The day on which a page was read."""
        value = self._take(name, "a day")
        if type(value) is not date:
            raise self.refused(name, f"is «{value}»", "Write the day without quotes, such as 2026-11-23")
        return value

    def span(self, name: str) -> timedelta | None:
        """A length of time; None for no limit."""
        value = self.text(name)
        if value == NO_LIMIT:
            return None
        found = _SPAN.fullmatch(value)
        if found is None:
            raise self.refused(name, f"is «{value}»", 'Write "24 hours", "30 days" or "no limit"')
        return timedelta(**{f"{found[2]}s": int(found[1])})

    def choice(self, name: str, known: list[str]) -> str:
        """One of a few words."""
        value = self.text(name)
        if value not in known:
            raise self.refused(name, f"is «{value}»", f"Write one of: {', '.join(known)}")
        return value

    def choices(self, name: str, known: list[str]) -> list[str]:
        """Any of a few words, each once."""
        value = self._take(name, "a list of words")
        if not isinstance(value, list) or not set(map(str, value)) <= set(known) or len(set(value)) != len(value):
            raise self.refused(name, f"is «{value}»", f"Write a list of these words, each once: {', '.join(known)}")
        return value

    def tables(self, name: str) -> dict[str, "_Place"]:
        """The blocks [name.…]."""
        value = self._take(name, f"at least one block [{name}.…]")
        if not isinstance(value, dict) or not value or not all(isinstance(each, dict) for each in value.values()):
            raise self.refused(name, "must be blocks", f"Begin each with a line [{name}.KIND]")
        return {key: _Place(self._path, f"{name}.{key}", each) for key, each in value.items()}

    def list_of_tables(self, name: str) -> list["_Place"]:
        """The blocks [[name]]; there may be none."""
        if name not in self._values:
            return []
        value = self._take(name, "blocks")
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.refused(name, "must be blocks", f"Begin each with a line [[{name}]]")
        return [_Place(self._path, f"{name} {number}", each) for number, each in enumerate(value, 1)]

    def _take(self, name: str, wanted: str) -> Any:
        if name not in self._values:
            raise self.refused(name, "is missing", f"Add it: {wanted}")
        self._left.discard(name)
        return self._values[name]


def _beside_module(connector: str) -> Path | None:
    """Where the connector's own file should lie; None if no such connector is installed. Its module is not imported."""
    for entry in entry_points(group=_GROUP, name=connector):
        spec = find_spec(entry.module)
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).parent / FOLDER / f"{connector}.toml"
    return None

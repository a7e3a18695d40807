"""How commands speak: data on stdout, talk on stderr, errors in three parts, and an exit code that a script can use.

speech = Speech(as_json)
speech.say("connecting …")                       talk, for people only
speech.table("Streams", ["stream", "held"], rows) a table, or with --json the rows as JSON
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum
from typing import Any, Final
from uuid import UUID

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.errors import BadRequest, CrmSyncError, NeedsOperator, NotFound, RunAgainLater, VaultError

_WIDE = 200
_LONGEST_WORD = 36
"""What is longer than an id may be folded within its cell."""


class Exit(IntEnum):
    """Exit codes. They are wire names: add, never change."""

    OK = 0
    """What was asked was done."""
    FAILED = 1
    """It was tried and did not come out well: a job failed, a check found something."""
    USAGE = 2
    """The command line itself is wrong."""
    MISCONFIGURED = 3
    """A setting, a key, a login or the schema is missing or wrong; nothing was done."""
    REFUSED = 4
    """What was asked for cannot be: no such workspace, connection, provider, purpose, stream, job."""
    UNAVAILABLE = 5
    """A server cannot be reached, or did not answer in time; it may be tried again."""
    VAULT = 6
    """Something sealed did not open."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_code_of(error: Exception) -> Exit:
    """The exit code that an error of ours means."""
    match error:
        case BadRequest() | NotFound():
            return Exit.REFUSED
        case NeedsOperator():
            return Exit.MISCONFIGURED
        case RunAgainLater():
            return Exit.UNAVAILABLE
        case VaultError():
            return Exit.VAULT
        case CrmSyncError():
            return Exit.FAILED
        case _:
            # What is not of our taxonomy and still told, not raised, is that the embedded servers do not start.
            return Exit.MISCONFIGURED


class Speech:
    """One command's voice."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        # A pipe has no width, and rich would take it for a narrow terminal and break ids in two.
        narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
        self.out: Final = Console(width=None if narrow else _WIDE)
        self.err: Final = Console(stderr=True)

    def say(self, text: str, style: str | None = None) -> None:
        """Talk to a person; with --json nobody listens."""
        if not self.as_json:
            self.insist(text, style)

    def insist(self, text: str, style: str | None = None) -> None:
        """Talk to a person, also with --json: for what one must act on. Not wrapped, so an address stays whole."""
        self.err.print(Text(text, style=style or ""), soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], empty: str = "none") -> None:
        """Show rows: as a table of `columns`, or all that they hold as a JSON list."""
        if self.as_json:
            self.data(list(rows))
            return
        if not rows:
            self.say(f"{title}: {empty}")
            return
        table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim")
        for column in columns:
            # An id is there to be copied: other columns give way to it.
            table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column.endswith("_id"))
        cells = [[shown(row.get(column)) for column in columns] for row in rows]
        for row in cells:
            table.add_row(*map(Text, row))
        # A terminal too narrow for whole words folds lines of full width better than rich folds words.
        fits = _width_of_words([[column.replace("_", " ") for column in columns], *cells]) <= self.out.width
        (self.out if fits else Console(width=_WIDE)).print(table)

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Show names with their values, or a JSON object."""
        if self.as_json:
            self.data(facts)
            return
        for line in _told(facts):
            self.out.print(Text(line), soft_wrap=True)

    def data(self, value: Any) -> None:
        """JSON on stdout."""
        sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")

    def line(self, value: Any) -> None:
        """One JSON value on one line, for streams of them."""
        sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
        sys.stdout.flush()


def tell(error: Exception, as_json: bool) -> Exit:
    """Say an error on stderr, and return the exit code that goes with it."""
    code = exit_code_of(error)
    reason = error.reason if isinstance(error, CrmSyncError) else "embedded"
    if as_json:
        sys.stderr.write(json.dumps({"error": reason, "message": str(error), "exit_code": int(code)}) + "\n")
    else:
        Console(stderr=True).print(Text(str(error), style="red"), soft_wrap=True)
    return code


@contextmanager
def speaking(as_json: bool) -> Iterator[Speech]:
    """A command's body: errors of ours become a message and an exit code, never a traceback."""
    try:
        yield Speech(as_json)
    except _told_not_raised() as error:
        raise SystemExit(int(tell(error, as_json))) from None


def _told_not_raised() -> tuple[type[Exception], ...]:
    # Evaluated only once something was raised: the embedded servers' modules would slow every `--help`.
    from worker.embedded import EmbeddedError  # noqa: PLC0415 - heavy

    return (CrmSyncError, EmbeddedError)


def shown(value: Any) -> str:
    """A value as a cell of a table. Control characters are written out, since foreign text may hold any."""
    match value:
        case None:
            return "-"
        case True:
            return "yes"
        case False:
            return "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case timedelta():
            return span(value)
        case Enum():
            return str(value.value)
        case list() | tuple() | set() | frozenset():
            between = "; " if any(isinstance(item, dict) for item in value) else ", "
            return between.join(shown(item) for item in value) or "-"
        case dict():
            return ", ".join(f"{key} {shown(item)}" for key, item in value.items()) or "-"
        case _:
            return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def _width_of_words(rows: Sequence[Sequence[str]]) -> int:
    """How wide a table is at least in which no word is broken."""
    columns = zip(*rows, strict=True)
    words = (max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in columns)
    return sum(min(longest, _LONGEST_WORD) + 2 for longest in words)


def _told(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A line for each fact; what holds facts of its own is told below its name."""
    width = max((len(name) for name, value in facts.items() if not (isinstance(value, dict) and value)), default=0)
    for name, value in facts.items():
        spoken = name.replace("_", " ")
        if isinstance(value, dict) and value:
            yield f"{indent}{spoken}"
            yield from _told(value, indent + "  ")
        else:
            yield f"{indent}{spoken:<{width}}  {shown(value)}"


def span(value: timedelta) -> str:
    """A length of time in the largest unit that leaves no rest: 15 min, 1 day."""
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        count, rest = divmod(value, unit)
        if count and not rest:
            return f"{count} {name}{'s' if name == 'day' and count > 1 else ''}"
    return f"{value.total_seconds():g} s"


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    match value:
        case UUID():
            return str(value)
        case date():  # A moment is one, too.
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case Enum():
            return value.value
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _ if hasattr(type(value), "__struct_fields__"):
            import msgspec  # noqa: PLC0415 - only the bodies of records are its structs, and few commands open any

            return msgspec.to_builtins(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return value

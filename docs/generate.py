"""`python -m docs.generate [--check]`: writes the pages of docs/reference that follow from the code."""

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import typer.main

from worker import errors
from worker.cli.main import app
from worker.cli.speech import Exit, span
from worker.connectors import registry
from worker.connectors.contract import Connector
from worker.connectors.policy import SHIPPED, CountedFrom, Duty, Ending, Keep, Sureness, policy_of, read_policy
from worker.kit.cases import CASES
from worker.kit.grades import Grade
from worker.settings import PREFIX, Settings
from worker.store.feed import Event

FOLDER: Final = Path(__file__).parent / "reference"
HEAD: Final = "<!-- Written by `make docs` from the code; change the code instead. -->\n"


def settings_page() -> str:
    """Every setting."""
    lines = [HEAD, "# Settings\n", "Set by environment or a `.env` file; `crm-sync doctor` shows what holds.\n"]
    lines += ["| variable | default | about |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def exit_codes_page() -> str:
    """Exit codes with what they mean."""
    lines = [HEAD, "# Exit codes\n", "| code | name | meaning |", "|---|---|---|"]
    notes = _notes(Exit)
    lines += [f"| {code.value} | {code.name.lower()} | {notes[code.name]} |" for code in Exit]
    return "\n".join(lines) + "\n"


def events_page() -> str:
    """Codes of the feed."""
    lines = [HEAD, "# Events of the feed\n", "| event | meaning |", "|---|---|"]
    notes = _notes(Event)
    lines += [f"| `{event.value}` | {notes[event.name]} |" for event in Event]
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """The reasons that jobs, streams and metrics carry."""
    lines = [HEAD, "# Reasons\n", "| reason | meaning | what the customer reads |", "|---|---|---|"]
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CrmSyncError)]
    for kind in sorted(found, key=lambda each: each.reason):
        about = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        lines.append(f"| `{kind.reason}` | {about} | {kind.customer_text} |")
    return "\n".join(lines) + "\n"


def connectors_page() -> str:
    """All connectors at a glance, each with a page of its own."""
    lines = [HEAD, "# Connectors\n", "| connector | streams | purposes | API |", "|---|---|---|---|"]
    for name in registry.names(ours_only=True):
        connector = registry.load(name)
        streams = ", ".join(f"`{stream.name}`" for stream in connector.streams)
        purposes = ", ".join(purpose.value for purpose in connector.facts.purposes)
        title = f"[`{name}`](connectors/{name}.md) {connector.facts.title}"
        lines.append(f"| {title} | {streams} | {purposes} | {connector.facts.api_version} |")
    return "\n".join(lines) + "\n"


def connector_page(name: str) -> str:
    """What one connector syncs and asks for, how long it is kept, and what it takes to get going for real."""
    connector = registry.load(name)
    facts = connector.facts
    lines = [HEAD, f"# {name}: {facts.title}\n"]
    lines += [f"API: {facts.api_version}. Hosts: {', '.join(sorted(facts.hosts))}.\n", "## Streams\n"]
    lines += ["| stream | purpose | every | deletions | cursor |", "|---|---|---|---|---|"]
    for stream in connector.streams:
        purpose = stream.purpose.value if stream.purpose else "any"
        cells = (f"`{stream.name}`", purpose, span(stream.interval), stream.deletions, stream.cursor)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Scopes\n",
        "A purpose asks for its own scopes and no others.\n",
        "| scope | for | why |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{scope}` | {_wanted(connector, scope)} | {reason} |" for scope, reason in facts.scope_reasons.items()
    ]
    lines += ["", "## Limits\n", "| budget | of each | limit | window | source |", "|---|---|---|---|---|"]
    lines += [
        f"| `{budget.name}` | {budget.scope.value} | {budget.limit:,} | "
        f"{'under way at once' if budget.at_once else span(budget.window)} | {budget.source} |"
        for budget in facts.budgets
    ]
    lines += ["", "## How long it is kept\n", "By [its policy](../retention.md), unless a workspace asks for less:\n"]
    for rule in policy_of(name).keep.values():
        limit = f"at most {span(rule.at_most)}" if rule.at_most is not None else "as long as the connection lives"
        lines.append(f"- `{rule.kind}`: {limit}. {rule.why}")
    lines += ["", "## Getting going for real\n", *(f"{number}. {step}" for number, step in enumerate(facts.setup, 1))]
    lines += ["", "## How it works\n", *_manual(connector)]
    lines += ["", "## The provider's own pages\n", *(f"- <{address}>" for address in facts.docs)]
    return "\n".join(lines).rstrip() + "\n"


def _manual(connector: Connector) -> Iterator[str]:
    """The heads of the modules that read the streams: they say how a cursor dies, what is left out, and where from."""
    modules = dict.fromkeys(inspect.getmodule(stream.pages) for stream in connector.streams)
    for module in modules:
        yield from ("```text", (inspect.getdoc(module) or "").rstrip(), "```", "")


def _wanted(connector: Connector, scope: str) -> str:
    if scope in connector.facts.oauth.identity_scopes:
        return "any"
    wanted = {
        stream.purpose.value if stream.purpose else "any" for stream in connector.streams if scope in stream.scopes
    }
    return ", ".join(sorted(wanted))


def retention_page() -> str:
    """How long each kind of record is kept, by whose rule; for people who read no code."""
    lines = [HEAD, "# How long what is kept\n", *_RETENTION]
    for path in sorted(SHIPPED.glob("*.toml")):
        policy = read_policy(path)
        lines += [f"## {policy.connector}: {policy.title}\n", f"Version {policy.version} of these rules.\n"]
        lines += ["| kind | what it is | at most | counted from | after a disconnect | ends before, if | how sure |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_kept(rule) for rule in policy.keep.values()]
        lines += ["", *(f"- `{rule.kind}`: {rule.why} {_read(rule)}" for rule in policy.keep.values()), ""]
        for title, duties in (("Never taken or done", policy.never), ("Must be shown", policy.show)):
            if duties:
                lines += [f"{title}:\n", *(_duty(duty) for duty in duties), ""]
    return "\n".join(lines).rstrip() + "\n"


_RETENTION: Final = (
    "Every kind of record has a rule that says how long it may stay. The rules are files, one for each provider, in",
    "`worker/connectors/policies/`; another package brings its own, `policies/NAME.toml` beside its module. An",
    "operator who knows better puts a changed file with a higher version into `CRM_SYNC_POLICY_DIR`.\n",
    "A workspace may ask for less (`crm-sync retention set`), never for more: the shorter rule counts. From its end on",
    "a record cannot be read, and soon after it is deleted. While an account is connected, each sync confirms what it",
    "still shows, so that a rule which counts from the last showing ends only what nobody confirms any longer.",
    "`crm-sync why` tells of one record why it is here, `crm-sync retention report` what is held by which rule.\n",
)


def _kept(rule: Keep) -> str:
    counted = {CountedFrom.FETCHED: "its last showing", CountedFrom.RECORD_DATE: "its own date"}[rule.counted_from]
    endings = "; ".join(_notes(Ending)[ending.name] for ending in rule.ends_when)
    limits = [span(limit) if limit is not None else "no limit" for limit in (rule.at_most, rule.after_disconnect)]
    gone = limits[1] if rule.after_disconnect else "goes at once"
    sure = f"{rule.sure.value}: {_notes(Sureness)[rule.sure.name]}"
    return f"| `{rule.kind}` | {rule.what} | {limits[0]} | {counted} | {gone} | {endings} | {sure} |"


def _read(rule: Keep | Duty) -> str:
    return f"([read]({rule.source}) on {rule.read_on.isoformat()})"


def _duty(duty: Duty) -> str:
    text = f"`{duty.what}`: {duty.why}" if duty.why else duty.what
    return f"- {text} {_read(duty)}, {duty.sure.value}."


def commands_page() -> str:
    """Every command with its options."""
    lines = [HEAD, "# Commands\n"]
    for path, command in every_command(typer.main.get_command(app), ("crm-sync",)):
        lines += [f"## `{' '.join(path)}`\n", inspect.cleandoc(command.help or ""), ""]
        rows = [_option(option) for option in command.params if "--help" not in option.opts]
        if rows:
            lines += ["| option | about |", "|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def grades_page() -> str:
    """What each grade promises, and which cases it needs."""
    promises = _notes(Grade)
    lines = [HEAD, "# Grades\n", f"{GRADES_OPENING}\n", "| grade | what it promises |", "|---|---|"]
    lines += [f"| {grade.value} | {promises[grade.name]} |" for grade in Grade]
    lines += ["", "| case | from | what must hold | does not apply where | worker |", "|---|---|---|---|---|"]
    for case in CASES:
        unless = "; ".join(need.otherwise for need in case.needs)
        lines.append(f"| `{case.name}` | {case.grade.value} | {case.promise} | {unless} | {case.temper.value} |")
    return "\n".join([*lines, "", f"{GRADES_ENDING}\n"])


GRADES_OPENING: Final = (
    "`crm-sync connector check NAME` tries every stream of a connector against every case below, with its simulated "
    "provider, through consent, vault, ledger, scheduler and worker, on a real Postgres and a real Redis. A grade is "
    "reached when its cases, and those of the grades below it, hold for every stream. What a stream's facts rule out "
    "(`single`, `one_page`, `deletes`, `incremental`, `cursor_dies`, its scopes) does not apply to it; nothing else is "
    "left out, for anybody."
)
GRADES_ENDING: Final = (
    "After each sync the stream's counters must add up (P12), whatever the case. A steady worker is one as in "
    "production; a hasty one ends its time slice after every page, so that every page is resumed from; a mortal one is "
    "killed (kill -9) while a page comes in. A stream whose first pass does not hold is not tried further.\n\n"
    "Exit code 0: the connector reaches the grade of `--at-least` (bronze unless said), or with `--stream` or `--case` "
    "all that was tried held. 1: it does not. 3: it does not load, or no simulated provider plays for it. 4: there is "
    "no such connector, stream, case or grade."
)


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.param_type_name == "argument":
        names = f"`{str(option.name).upper()}`"
    about = (getattr(option, "help", None) or "").replace("|", "\\|")
    return f"| {names} | {about} |"


def every_command(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command beneath a command, with the words that call it."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from every_command(inner, (*path, name))
    else:
        yield path, command


def _notes(kind: type[Any]) -> dict[str, str]:
    """The sentence under each member of an enumeration, as its source has it."""
    notes: dict[str, str] = {}
    name = ""
    for line in inspect.getsource(kind).splitlines():
        text = line.strip()
        if " = " in text and not text.startswith('"'):
            name = text.partition(" = ")[0]
        elif text.startswith('"""') and name:
            notes[name] = text.strip('"')
    return notes


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "exit-codes.md": exit_codes_page,
    "events.md": events_page,
    "reasons.md": errors_page,
    "connectors.md": connectors_page,
    **{f"connectors/{name}.md": partial(connector_page, name) for name in registry.names(ours_only=True)},
    "retention.md": retention_page,
    "commands.md": commands_page,
    "grades.md": grades_page,
}


def main() -> int:
    """Write the pages, or with --check say which are out of date."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is out of date")
    only_check = parser.parse_args().check
    stale = []
    (FOLDER / "connectors").mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        path = FOLDER / name
        text = page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not only_check:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        sys.stderr.write(f"{'out of date' if only_check else 'written'}: {name}\n")
    return 1 if stale and only_check else 0


if __name__ == "__main__":
    sys.exit(main())

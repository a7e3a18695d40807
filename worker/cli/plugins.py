"""Commands for those who write and choose connectors: look at their facts, grade them, begin a new one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.options import Json
from worker.cli.speech import Speech, speaking

if TYPE_CHECKING:
    from worker.connectors.contract import Connector, Stream
    from worker.connectors.registry import Installed
    from worker.transport.ports import Budget

app = typer.Typer(no_args_is_help=True)
_SHOWN_STREAM = ("stream", "purpose", "every", "scopes", "deletions", "cursor")


def connectors(
    name: Annotated[str | None, typer.Argument(help="one connector only, with all its facts")] = None,
    as_json: Json = False,
) -> None:
    """List the connectors that are installed, with their streams and scopes; or all facts of one.

    A package that does not load is named on stderr with what is wrong with it; the others are listed all the same.

    Example: crm-sync connectors gmail --json
    """
    with speaking(as_json) as speech:
        from worker.connectors import registry  # noqa: PLC0415 - heavy

        if name is not None:
            registry.load(name)
        found = [entry for entry in registry.installed() if name in {None, entry.name}]
        if as_json:
            speech.data([_facts(entry) for entry in found])
        elif name is not None:
            _show_one(speech, found[0])
        else:
            _show_all(speech, found)
        for entry in found:
            if entry.problem:
                speech.say(entry.problem, "yellow")


@app.command("check")
def check(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="a connector, see `crm-sync connectors`")],
    stream: Annotated[list[str] | None, typer.Option("--stream", help="only this stream; may be repeated")] = None,
    case: Annotated[list[str] | None, typer.Option("--case", help="only this case; may be repeated")] = None,
    at_least: Annotated[str, typer.Option("--at-least", help="bronze, silver, gold or platinum")] = "bronze",
    as_json: Json = False,
) -> None:
    """Grade a connector: every stream against every fault, with its simulated provider, through the real engine.

    A Postgres, a Redis, the simulator, a scheduler and workers run in a folder of their own; nothing else is touched.
    Exit code 0: it reaches the grade of --at-least (with --case or --stream: all that was tried held). 1: it does not.
    3: it does not load, or no simulated provider plays for it. 4: there is no such connector, stream, case or grade.

    Example: crm-sync connector check gmail --at-least gold
    """
    with speaking(as_json) as speech:
        from worker.cli.checking import run_check  # noqa: PLC0415 - heavy

        raise SystemExit(run_check(speech, names, streams=stream or [], cases=case or [], at_least=at_least))


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="small letters, digits and _: what it will be called everywhere")],
    into: Annotated[Path, typer.Option("--into", help="the folder in which the package's own is made")] = Path(),
    as_json: Json = False,
) -> None:
    """Begin a connector: a package that works, with its provider simulated, a policy, tests and a README.

    Exit code 4: the name cannot be one or is taken, or the folder is there already; nothing is overwritten.

    Example: crm-sync connector new tidepool --into ..
    """
    with speaking(as_json) as speech:
        from worker.kit.scaffold import write_package  # noqa: PLC0415 - heavy

        folder = write_package(name, into)
        speech.say(f"written: {folder}", "green")
        speech.say(f"next:    pip install --no-deps --no-build-isolation -e {folder}")
        speech.say(f"         crm-sync connector check {name}")
        if as_json:
            speech.data({"connector": name, "folder": str(folder)})


def _show_all(speech: Speech, found: "list[Installed]") -> None:
    rows = [
        {
            "connector": entry.name,
            "stream": stream.name,
            "purpose": stream.purpose or "any",
            "every": stream.interval,
            "scopes": [scope.rpartition("/")[2] for scope in stream.scopes],
        }
        for entry in found
        if entry.connector is not None
        for stream in entry.connector.streams
    ]
    speech.table("Connectors", ["connector", "stream", "purpose", "every", "scopes"], rows)


def _show_one(speech: Speech, entry: "Installed") -> None:
    connector = entry.connector
    if connector is None:
        return
    facts = connector.facts
    speech.facts(
        {
            "connector": facts.title,
            "package": f"{entry.package} {entry.version}",
            "api version": facts.api_version,
            "hosts": sorted(facts.hosts),
            "purposes": facts.purposes,
            "settings": settings_of(connector),
            "docs": facts.docs,
        }
    )
    streams = [{**_stream(stream), "every": stream.interval, "purpose": stream.purpose or "any"} for stream in
               connector.streams]  # fmt: skip
    speech.table("Streams", _SHOWN_STREAM, streams)
    scopes = [{"scope": scope, "why": why} for scope, why in facts.scope_reasons.items()]
    speech.table("Scopes", ["scope", "why"], scopes)
    budgets = [{**_budget(budget), "window": budget.window} for budget in facts.budgets]
    speech.table("Budgets", ["name", "of_each", "limit", "window", "source"], budgets)


def _facts(entry: "Installed") -> dict[str, Any]:
    about: dict[str, Any] = {"connector": entry.name, "package": entry.package, "version": entry.version}
    if entry.connector is None:
        return {**about, "problem": entry.problem}
    facts = entry.connector.facts
    return {
        **about,
        "title": facts.title,
        "family": facts.family,
        "api_version": facts.api_version,
        "hosts": sorted(facts.hosts),
        "purposes": facts.purposes,
        "streams": [_stream(stream) for stream in entry.connector.streams],
        "scopes": facts.scope_reasons,
        "budgets": [_budget(budget) for budget in facts.budgets],
        "settings": settings_of(entry.connector),
        "docs": facts.docs,
    }


def _stream(stream: "Stream") -> dict[str, Any]:
    return {
        "stream": stream.name,
        "purpose": stream.purpose,
        "kind": stream.kind,
        "scopes": stream.scopes,
        "every_s": stream.interval,
        "deletions": stream.deletions,
        "cursor": stream.cursor,
        "single": stream.single,
        "deletes": stream.deletes,
        "incremental": stream.incremental,
        "one_page": stream.one_page,
        "cursor_dies": stream.cursor_dies,
    }


def settings_of(connector: "Connector") -> list[str]:
    """The variables that a connector reads: its OAuth client, its options, its limits."""
    from worker.settings import PREFIX  # noqa: PLC0415 - heavy

    facts = connector.facts
    own = [f"{facts.family}_client_id", f"{facts.family}_client_secret"]
    own += [option.field for option in facts.options]
    return [f"{PREFIX}{name.upper()}" for name in dict.fromkeys([*own, *facts.budget_options.values()])]


def _budget(budget: "Budget") -> dict[str, Any]:
    return {
        "name": budget.name,
        "of_each": budget.scope,
        "limit": budget.limit,
        "window_s": budget.window,
        "source": budget.source,
    }

"""Commands about how long records stay: what is held by which rule, a workspace's own rules, why one record is here."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.options import Json, Workspace
from worker.cli.speech import shown, span, speaking
from worker.errors import BadRequest

if TYPE_CHECKING:
    from worker.client import Client
    from worker.store.database import Database

app = typer.Typer(no_args_is_help=True)
Connector = Annotated[str, typer.Argument(help="the connector's name, such as gmail")]
RecordKind = Annotated[str, typer.Argument(help="the kind of record, such as message")]


@app.command("set")
def set_rule(
    connector: Connector,
    kind: RecordKind,
    at_most: Annotated[str, typer.Argument(help="the longest they may stay, such as 30d or 36h")],
    workspace: Workspace,
    counted_from: Annotated[
        str | None,
        typer.Option("--counted-from", help="fetched or record_date; by itself, the record's date if it has one"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Have records of a kind stay for a shorter time than the provider's rule allows. What is held follows in seconds.

    Example: crm-sync retention set gmail message 730d -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            age = _age(at_most)
            counted = crm.set_retention(connector, kind, age, counted_from=counted_from)
        speech.facts({"connector": connector, "kind": kind, "at_most": age, "counted_from": counted})
        if counted == "fetched":
            speech.say("What the provider still shows at a sync lives on; what nobody confirms for so long goes.")


@app.command()
def unset(connector: Connector, kind: RecordKind, workspace: Workspace, as_json: Json = False) -> None:
    """Take a workspace's own rule back, so that the provider's alone counts.

    Example: crm-sync retention unset gmail message -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            if not crm.unset_retention(connector, kind):
                raise BadRequest(
                    f"Workspace «{workspace}» has no rule of its own for «{kind}» of «{connector}», so nothing "
                    f"can be taken back. See `crm-sync retention list -w {workspace}`."
                )
        speech.facts({"connector": connector, "kind": kind, "own_rule": None})


@app.command("list")
def list_rules(workspace: Workspace, as_json: Json = False) -> None:
    """List the rules that a workspace asked for, beside the providers' own.

    Example: crm-sync retention list -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            rows = crm.retention_rules()
        columns = ["connector", "kind", "max_age", "counted_from", "policy_max_age", "set_by", "set_at"]
        speech.table("Rules of the workspace", columns, rows, empty="none; the providers' rules count")


@app.command()
def report(
    workspace: Annotated[
        str | None, typer.Option("--workspace", "-w", envvar="CRM_SYNC_WORKSPACE", help="the tenant that it is about")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="every tenant, one after another; the owner's login lists them, and no more")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what is held by kind: how much, since when, what ends next by which rule, what is due for deletion.

    These are counts and times; nothing of any record is shown. With --all, each tenant is still counted within its own
    walls, so no login sees more than one at a time.

    Example: crm-sync retention report -w acme --json
    """
    if workspace is None and not every:
        raise typer.BadParameter("Name a tenant, or ask for --all.", param_hint="--workspace")
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.settings import Role  # noqa: PLC0415 - likewise
        from worker.store.queries import load  # noqa: PLC0415 - likewise

        with environment() as opened:
            names = [workspace or ""]
            if every:
                with opened.database(Role.OWNER) as database, database.transaction() as tx:
                    names = [row["workspace_id"] for row in tx.execute(load("client")["workspaces"]).fetchall()]
            with opened.client(names[0] if names else "none") as crm, opened.database(Role.WORKER) as database:
                rows = [row for name in names for row in _held(crm.at(name), database)]
        columns = ["connector", "kind", "held", "oldest", "next_end", "rule", "due", "source"]
        speech.table("Held", ["workspace_id", *columns] if every else columns, rows)


def _held(crm: "Client", database: "Database") -> list[dict[str, Any]]:
    """What one tenant holds, and what of it waits for its sweep, which only the worker's login may count."""
    from worker.store import retention  # noqa: PLC0415 - heavy

    crm.workspace_facts()
    rows = crm.retention_report()
    with database.transaction(crm.workspace) as tx:
        due = retention.count_due(tx, crm.workspace)
    for row in rows:
        row["due"] = due.pop((row["connector"], row["kind"]), 0)
    rows += [
        {"connector": connector, "kind": kind, "held": 0, "due": count} for (connector, kind), count in due.items()
    ]
    return [{"workspace_id": crm.workspace, **row} for row in rows]


def why(
    record: Annotated[str, typer.Argument(help="the record's key, as the feed gives it")],
    workspace: Workspace,
    as_json: Json = False,
) -> None:
    """Say why a record is still here, or that it is not and why. Nothing of what is in it is shown.

    Example: crm-sync why 9a1b2c3d4e5f60718293a4b5c6d7e8f9 -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            found, heard = crm.why(record)
        if as_json:
            speech.data({"here": found, "last_heard": heard})
            return
        for facts in found:
            speech.out.print("\n".join(explained(facts)), soft_wrap=True, markup=False, highlight=False)
        if not found:
            speech.out.print(absent(heard), soft_wrap=True, markup=False, highlight=False)


def explained(facts: dict[str, Any]) -> list[str]:
    """Why a record is still here, in sentences. Pure."""
    text = {name: shown(value) for name, value in facts.items()}
    place = f"A {text['kind']} in the stream {text['stream']} of connection {text['connection_id']}"
    lines = [f"{place} ({text['provider']}, {text['state']} since {text['state_since']})."]
    consent = f"agreed on {text['agreed_at']} under policy version {text['policy_version']}"
    lines.append(f"Its purpose: {facts['purpose'] or 'any'}, to which somebody {consent}.")
    lines.append(f"It came on {text['created_at']}; the provider last showed it on {text['fetched_at']}.")
    if facts["why"]:
        source = f"({text['sure']}; read on {text['read_on']} at {text['source']})"
        lines.append(f"The provider's rule: {_told(facts['max_age'], facts['counted_from'])}. {facts['why']} {source}")
    if facts["own_max_age"] is not None:
        rule = _told(facts["own_max_age"], facts["own_counted_from"])
        lines.append(f"The workspace's rule: {rule}, asked for by {text['set_by']} on {text['set_at']}.")
    if facts["goes_unless_kept_at"] is not None:
        when = f"on {text['goes_unless_kept_at']} unless somebody says that it stays"
        lines.append(f"The provider shows it no more; it goes {when}: `crm-sync deletions list`.")
    if facts["expires_at"] is None:
        lines.append("No rule ends it by time.")
    else:
        lines.append(f"Its time is over on {text['expires_at']}, by {_RULES.get(facts['rule'], 'a rule')}.")
    return lines


def absent(heard: dict[str, Any] | None) -> str:
    """Why a record is not here, in a sentence. Pure."""
    if heard is None:
        return "It is not here, and the feed tells nothing of it: it never was, or that is longer ago than the feed."
    at = shown(heard["at"])
    match heard["event"]:
        case "record.expired":
            by = _RULES.get((heard["details"] or {}).get("rule", ""), "a rule")
            return f"It is not here any more: its time was over, by {by}, and it was deleted on {at}."
        case "record.deleted":
            return f"It is not here any more: it was gone at the provider, and was deleted here on {at}."
        case "record.moved":
            return f"It goes on under another key since {at}: {heard['key']}."
        case _:
            why = "its time is over and the sweep will come, or all data of its connection was deleted"
            return f"It is not here any more, though it was on {at}: {why}. See `crm-sync receipts`."


_RULES = {
    "policy": "the provider's rule",
    "workspace": "the workspace's rule",
    "disconnect": "the rule for a disconnect",
}


def _told(age: timedelta | None, counted_from: str | None) -> str:
    if age is None:
        return "no limit"
    start = "its own date" if counted_from == "record_date" else "when the provider last showed it"
    return f"at most {span(age)} from {start}"


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6}) ?(d|days?|h|hours?)", text.strip())
    if found is None:
        raise BadRequest(f"«{text[:80]}» is no length of time. Write days or hours, such as 30d or 36h.")
    unit = "days" if found[2].startswith("d") else "hours"
    return timedelta(**{unit: int(found[1])})

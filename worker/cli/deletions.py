"""Commands for mass deletions that wait for a word."""

from typing import Annotated

import typer

from worker.cli.options import Json, Timeout, Workspace
from worker.cli.speech import speaking

app = typer.Typer(no_args_is_help=True)
HoldId = Annotated[int, typer.Argument(help="the hold's number, see `crm-sync deletions list`")]


@app.command("list")
def list_holds(
    workspace: Workspace,
    everything: Annotated[bool, typer.Option("--all", help="those that were decided, too")] = False,
    as_json: Json = False,
) -> None:
    """List the deletions that wait for a word. Seven days after the last was added, they apply by themselves.

    Example: crm-sync deletions list -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.connecting import speech_dict  # noqa: PLC0415 - heavy
        from worker.cli.environment import environment  # noqa: PLC0415 - likewise

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            rows = [speech_dict(hold) for hold in crm.holds(decided_too=everything)]
        columns = ["hold_id", "connection_id", "stream", "state", "waiting", "part_total", "applies_at"]
        speech.table("Deletions", columns, rows)


@app.command()
def approve(hold_id: HoldId, workspace: Workspace, timeout: Timeout = 120, as_json: Json = False) -> None:
    """Delete what the provider says is gone.

    Example: crm-sync deletions approve 3 -w acme
    """
    _decide(hold_id, workspace, as_json, timeout, approve=True)


@app.command()
def reject(hold_id: HoldId, workspace: Workspace, timeout: Timeout = 120, as_json: Json = False) -> None:
    """Keep the records that the provider no longer shows.

    Example: crm-sync deletions reject 3 -w acme
    """
    _decide(hold_id, workspace, as_json, timeout, approve=False)


def _decide(hold_id: int, workspace: str, as_json: bool, timeout: float, *, approve: bool) -> None:
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.cli.waiting import wait_for  # noqa: PLC0415 - likewise

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            job = wait_for(speech, crm, crm.decide_deletions(hold_id, approve=approve), timeout)
        speech.facts(job.outcome or {})

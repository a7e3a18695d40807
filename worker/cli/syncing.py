"""Commands around work: sync now, and look at jobs."""

from typing import Annotated, Any

import typer

from worker.cli.options import Json, Timeout, Wait, Workspace, connection_id
from worker.cli.speech import Exit, speaking
from worker.errors import BadRequest


def sync(
    connection: Annotated[str, typer.Argument(help="the connection's id")],
    workspace: Workspace,
    stream: Annotated[str | None, typer.Option("--stream", help="one stream only; default: all that run")] = None,
    full: Annotated[bool, typer.Option("--full", help="read everything anew, rather than what has changed")] = False,
    wait: Wait = True,
    timeout: Timeout = 3600,
    as_json: Json = False,
) -> None:
    """Sync a connection now. A run that is under way is joined.

    Example: crm-sync sync 3f0c… -w acme --stream contacts --full
    """
    with speaking(as_json) as speech:
        from worker.cli.connecting import show_streams  # noqa: PLC0415 - heavy
        from worker.cli.environment import environment  # noqa: PLC0415 - likewise
        from worker.cli.waiting import counted, wait_for_all  # noqa: PLC0415 - likewise

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            crm.connection(connection_id(connection))
            job_ids = crm.sync(connection_id(connection), stream, full=full)
            if not wait:
                speech.facts({"job_ids": job_ids})
                return
            done = wait_for_all(speech, crm, job_ids, timeout)
            streams = crm.streams(connection_id(connection))
        if as_json:
            speech.data([_row(job) for job in done])
        else:
            show_streams(speech, [item for item in streams if stream in {None, item.stream}])
            for job in done:
                speech.say(f"this run of {job.args.get('stream')}: {counted(job.outcome or {}) or 'nothing new'}")
        failed = [job for job in done if not job.succeeded]
        for job in failed:
            speech.say(f"{job.args.get('stream')}: {job.state}, {job.reason}. {job.message or ''}", "red")
        if failed:
            raise SystemExit(int(Exit.FAILED))


def jobs(
    workspace: Workspace,
    state: Annotated[str | None, typer.Option("--state", help="only those, separated by commas")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="only this kind")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first.

    Example: crm-sync jobs -w acme --state parked,running
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            listed = crm.jobs(states=_states(state) if state else None, kind=kind, limit=limit)
        columns = ["job_id", "kind", "what", "lane", "state", "reason", "attempt", "run_at"]
        speech.table("Jobs", columns, [_row(job) for job in listed])


def _states(text: str) -> list[str]:
    from worker.store.jobs_view import STATES  # noqa: PLC0415 - heavy

    states = [name.strip() for name in text.split(",")]
    unknown = [name for name in states if name not in STATES]
    if unknown:
        raise BadRequest(f"There is no job state «{unknown[0]}». There are: {', '.join(STATES)}.")
    return states


def _row(job: Any) -> dict[str, Any]:
    shown = {name: getattr(job, name) for name in type(job).__dataclass_fields__ if "sealed" not in name}
    shown.pop("private", None)
    return {**shown, "what": job.args.get("stream") or job.args.get("provider")}

"""Commands for jobs that were given up."""

from typing import Annotated, Any

import typer

from worker.cli.options import Json, Workspace
from worker.cli.speech import speaking

app = typer.Typer(no_args_is_help=True)
JobId = Annotated[int, typer.Argument(help="the job's number")]


@app.command("list")
def list_dead(workspace: Workspace, as_json: Json = False) -> None:
    """List jobs that were given up, with their reasons.

    Example: crm-sync dead list -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.store.jobs_view import GIVEN_UP  # noqa: PLC0415 - likewise

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            listed = crm.jobs(states=list(GIVEN_UP), limit=200)
        rows = [_facts(job) for job in listed]
        speech.table("Given up", ["job_id", "kind", "state", "reason", "message", "finished_at"], rows)


@app.command()
def show(job_id: JobId, workspace: Workspace, as_json: Json = False) -> None:
    """Show all that is known of a job.

    Example: crm-sync dead show 17 -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            facts = _facts(crm.job(job_id))
        if not as_json and facts["progress"] == facts["outcome"]:
            del facts["progress"]  # A person need not read the same twice.
        speech.facts(facts)


@app.command()
def retry(job_id: JobId, workspace: Workspace, as_json: Json = False) -> None:
    """Ask again for a job that was given up; its attempts count from zero.

    Example: crm-sync dead retry 17 -w acme
    """
    _change(job_id, workspace, "retry", "asked for again", as_json)


@app.command()
def drop(job_id: JobId, workspace: Workspace, as_json: Json = False) -> None:
    """Lay a job to rest; what it carried sealed is deleted.

    Example: crm-sync dead drop 17 -w acme
    """
    _change(job_id, workspace, "drop", "laid to rest", as_json)


def _change(job_id: int, workspace: str, what: str, said: str, as_json: bool) -> None:
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.settings import Role  # noqa: PLC0415 - likewise
        from worker.store import jobs_view  # noqa: PLC0415 - likewise

        with environment() as opened, opened.database(Role.WORKER) as database, database.transaction(workspace) as tx:
            (jobs_view.retry if what == "retry" else jobs_view.drop)(tx, workspace, job_id)
        speech.say(f"job {job_id} is {said}", "green")
        if as_json:
            speech.data({"job_id": job_id, "done": what})


def _facts(job: Any) -> dict[str, Any]:
    return {
        name: getattr(job, name)
        for name in type(job).__dataclass_fields__
        if "sealed" not in name and name != "private"
    }

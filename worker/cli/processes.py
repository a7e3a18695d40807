"""Commands that run things: everything for development, one worker, one scheduler, the migrations."""

from typing import Annotated, Any

import typer

from worker.cli.options import Json
from worker.cli.speech import Exit, speaking

Pool = Annotated[str, typer.Option("--pool", help="all, interactive, sync or upkeep")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, max=256, help="default: CRM_SYNC_THREADS")]
POOLS = ("interactive", "sync", "upkeep")


def up() -> None:
    """Start everything for development, and keep it running until Ctrl-C.

    Postgres and Redis (embedded, unless URLs are set), the schema, keyrings, one scheduler and one worker for each
    pool. What dies is started again.

    Example: crm-sync up
    """
    with speaking(as_json=False) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.cli.supervise import Supervisor  # noqa: PLC0415 - likewise

        def say(name: str, line: str) -> None:
            speech.err.out(f"{name:<12}", line, highlight=False)

        with environment() as opened:
            where = opened.settings.data_dir if opened.servers else "the servers of your URLs"
            speech.say(f"Postgres and Redis are ready ({where}). Ctrl-C ends everything.", "green")
            supervisor = Supervisor(opened.variables(), say)
            try:
                supervisor.add("scheduler", "-m", "scheduler", *supervisor.ties)
                for pool in POOLS:
                    supervisor.add(pool, "-m", "worker", "--pool", pool, *supervisor.ties)
                supervisor.run()
            finally:
                supervisor.close()


def migrate(
    create_logins: Annotated[
        bool, typer.Option("--create-logins", help="make the three logins too; prints their URLs once")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the database's schema up to this release, with the owner's login.

    Example: CRM_SYNC_DATABASE_URL_OWNER=postgresql://… crm-sync migrate
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.settings import Role  # noqa: PLC0415 - likewise
        from worker.store import migrate as store  # noqa: PLC0415 - likewise

        with environment() as opened:
            owner = opened.settings.database_url_of(Role.OWNER)
            made: dict[str, Any] = {}
            if create_logins:
                made = {role.value: url for role, url in store.create_logins(owner).items()}
            applied = store.migrate(owner)
            speech.say(f"applied {', '.join(applied)}" if applied else "the schema is up to date", "green")
            if as_json:
                speech.data({"applied": applied, **({"logins": made} if made else {})})
            elif made:
                speech.say("Keep these addresses; they are shown once:")
                for role, url in made.items():
                    speech.out.print(f"{role:<10} {url}", highlight=False, soft_wrap=True)


def worker(pool: Pool = "all", threads: Threads = None) -> None:
    """Run one worker process until SIGTERM; a second one ends it at once.

    Example: crm-sync worker --pool sync
    """
    with speaking(as_json=False):
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.jobs.lanes import lanes_of  # noqa: PLC0415 - likewise

        lanes_of(pool)
        with environment() as opened:
            from worker import logs  # noqa: PLC0415 - likewise
            from worker.app import run_worker  # noqa: PLC0415 - likewise

            logs.set_up(opened.settings.log_format)
            raise SystemExit(run_worker(opened.settings, pool, threads=threads))


def scheduler() -> None:
    """Run one scheduler until SIGTERM; any number of them may run.

    Example: crm-sync scheduler
    """
    with speaking(as_json=False):
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened:
            from scheduler.loop import run_scheduler  # noqa: PLC0415 - likewise
            from worker import logs  # noqa: PLC0415 - likewise

            logs.set_up(opened.settings.log_format)
            raise SystemExit(run_scheduler(opened.settings) or int(Exit.OK))

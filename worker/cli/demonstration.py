"""`crm-sync demo`: the door to `worker.cli.demo`, which is imported only when it is asked for."""

from typing import Annotated

import typer

from worker.cli.options import Json
from worker.cli.speech import speaking


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave the demo's folder for a look afterwards")] = False,
    as_json: Json = False,
) -> None:
    """Connect, sync, change, kill, disconnect: against simulated providers, with every step checked.

    Starts a Postgres, a Redis, a simulator, a scheduler and workers of its own, and leaves nothing running.

    Example: crm-sync demo --json
    """
    with speaking(as_json) as speech:
        from worker.cli.demo import run_demo  # noqa: PLC0415 - heavy

        raise SystemExit(run_demo(speech, keep=keep))

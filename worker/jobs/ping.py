"""The `ping` job: proves that ledger, scheduler, doorbell and worker are alive, and does nothing else.

In development it may be asked to take its time: `{"sleep_s": 3}`.
"""

import time
from datetime import timedelta

from worker.errors import BadRequest
from worker.jobs.context import JobContext
from worker.jobs.handler import Handler
from worker.jobs.outcomes import Done, Outcome
from worker.settings import Mode

_LONGEST_S = 600.0


def run(context: JobContext) -> Outcome:
    """Answer."""
    if context.services.settings.effective_mode is Mode.DEVELOPMENT and "sleep_s" in context.args:
        _sleep(context.args["sleep_s"])
    return Done({"pong": True})


def _sleep(sleep_s: object) -> None:
    if isinstance(sleep_s, bool) or not isinstance(sleep_s, int | float) or not 0 <= sleep_s <= _LONGEST_S:
        raise BadRequest(f"ping: sleep_s must be a number from 0 to {_LONGEST_S:.0f}")
    time.sleep(sleep_s)


HANDLER = Handler("ping", run, deadline=timedelta(minutes=11))

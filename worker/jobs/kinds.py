"""The table of all kinds of jobs: each is a module of the same name in this package.

A worker loads them once, at its start, so that a broken one is found at the deploy and not at three in the night.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from worker.errors import Misconfigured
from worker.jobs.handler import Handler

KINDS: Final = (
    "ping",
    "start_connect",
    "complete_connect",
    "sync_stream",
    "disconnect",
    "purge_connection",
    "decide_deletions",
    "refresh_grant",
    "plan_retention",
    "sweep_expired",
    "sweep_own_rows",
)


def load_handlers() -> Mapping[str, Handler]:
    """Every kind that this release knows.

    Raises:
        Misconfigured: a module of the table hands over something else than its own handler.
    """
    # Imported here and not above, because those modules import this package's records themselves.
    handlers: dict[str, Handler] = {}
    for kind in KINDS:
        handler = import_module(f"worker.jobs.{kind}").HANDLER
        if not isinstance(handler, Handler) or handler.kind != kind:
            raise Misconfigured(f"worker.jobs.{kind} hands over no handler of the kind «{kind}».")
        handlers[kind] = handler
    return MappingProxyType(handlers)

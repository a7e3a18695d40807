"""Breaking the embedded servers on purpose, for tests of what must survive it.

Everything here acts on the processes that the keeper recorded, and returns when the keeper has brought the server back,
on the same port. It touches no data.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from typing import Literal

from worker.embedded.folder import EmbeddedError, Folder, Outage, ServerName, ServerState, State
from worker.embedded.processes import is_alive, mark_of, send, wait_gone

_POLL_S = 0.02


def restart_postgres(folder: Path, mode: Literal["fast", "immediate"] = "fast", timeout_s: float = 60.0) -> None:
    """Stop Postgres (`immediate` leaves a crash recovery to do), and return when the keeper has started it again."""
    _bounce(Folder(folder), "postgres", SIGQUIT if mode == "immediate" else SIGINT, timeout_s)


def restart_redis(folder: Path, timeout_s: float = 60.0) -> None:
    """Stop Redis cleanly, and return when the keeper has started it again."""
    _bounce(Folder(folder), "redis", SIGTERM, timeout_s)


def kill_postgres(folder: Path, timeout_s: float = 60.0) -> None:
    """Kill the postmaster with SIGKILL, and return when the keeper has started a new one."""
    _bounce(Folder(folder), "postgres", SIGKILL, timeout_s)


def kill_redis(folder: Path, timeout_s: float = 60.0) -> None:
    """Kill Redis with SIGKILL, and return when the keeper has started a new one."""
    _bounce(Folder(folder), "redis", SIGKILL, timeout_s)


@contextmanager
def outage(folder: Path, name: ServerName, *, kill: bool = False, timeout_s: float = 60.0) -> Iterator[None]:
    """Within it the server is down (killed, or stopped cleanly); at its end the server is ready again.

    The outage ends too when the process that asked for it does.
    """
    place = Folder(folder)
    me = mark_of(os.getpid())
    before, _ = _server(place, name)
    if me is None:
        raise EmbeddedError("The system does not tell when this process was born; is /proc mounted?")
    place.record_outage(name, Outage(me, kill))
    try:
        if before.process and not wait_gone(before.process, timeout_s):
            raise EmbeddedError(f"The embedded {name} did not stop within {timeout_s:g} s; see {place.log(name)}.")
        yield
    finally:
        place.record_outage(name, None)
    _wait_for_next(place, name, before, timeout_s)


def _bounce(place: Folder, name: ServerName, what: Signals, timeout_s: float) -> None:
    before, _ = _server(place, name)
    if before.process is None or not send(before.process, what):
        raise EmbeddedError(f"The embedded {name} in {place.path} is not running, so it cannot be restarted.")
    _wait_for_next(place, name, before, timeout_s)


def _wait_for_next(place: Folder, name: ServerName, before: ServerState, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        now, state = _server(place, name)
        if now.ready and now.process != before.process and is_alive(now.process):
            return
        if state.phase == "failed":
            break
        time.sleep(_POLL_S)
    raise EmbeddedError(f"The embedded {name} did not come back within {timeout_s:g} s; see {place.log(name)}.")


def _server(place: Folder, name: ServerName) -> tuple[ServerState, State]:
    state = place.living_state()
    if state is None or name not in state.servers:
        raise EmbeddedError(f"No embedded {name} runs in {place.path}; start it first.")
    return state.servers[name], state

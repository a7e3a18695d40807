"""The keeper: the one process that is the parent of a folder's servers.

    take keeper.lock ▶ go to the background ▶ end what a dead keeper left ▶ until nobody uses the servers:
        start what is asked for, start again what died, keep down what a test wants down, tell state.json
    ▶ stop the servers cleanly ▶ leave

Whoever uses the servers holds a shared lock on `users.lock`, which the kernel drops however its holder ends;
when the keeper gets that lock for itself, nobody is left. When the keeper itself is killed, the kernel tells
the servers to stop (Linux), and the next keeper waits for them. It speaks no SQL and knows nothing of schemas.
"""

import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec

from worker.embedded.folder import (
    SERVER_NAMES,
    EmbeddedError,
    Folder,
    Identity,
    Phase,
    ServerName,
    ServerState,
    State,
    is_file_at,
    open_lock,
    try_lock,
)
from worker.embedded.processes import Mark, die_with_parent, end, is_alive, living_in, mark_of, send
from worker.embedded.programs import Home, new_identity, open_home
from worker.embedded.servers import Postgres, Redis, Server, Ways, clean_environment

_TICK_S = 0.1
_EAGER_TICK_S = 0.01
# Shorter than for our own: its users are gone, and every server here is sound after a crash.
_LEFTOVER_WAYS: dict[str, Ways] = {
    "postgres": ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)),
    "redis": ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0)),
}
_TRIES = 4
_BACKOFF_S = 0.1
# Below the range from which systems take the near ends of outgoing connections, so that no client of anything
# can sit on our port while its server restarts.
_PORTS = range(20_000, 32_000)

_log = logging.getLogger("crm-sync.keeper")


def keep(path: Path, *, durable: bool) -> None:
    """Keep the servers of a folder until nobody uses them. Returns at once when another keeper does already.

    The caller returns when the state names the new keeper, which goes on in a forked child.
    """
    folder = Folder(path)
    folder.make()
    lock = open_lock(folder.keeper_lock)
    if not try_lock(lock, shared=False):
        return
    before = folder.state()
    told, tell = os.pipe()
    if os.fork():
        # The lock belongs to the opened file, which the child has too.
        os.close(tell)
        os.read(told, 1)
        return
    os.close(told)
    myself = mark_of(os.getpid())
    if myself is None:
        raise EmbeddedError("The system does not tell when this process was born; is /proc mounted?")
    folder.record_state(State(myself, "starting", durable))
    os.close(tell)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    keeper = _Keeper(folder, myself, durable=durable)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, keeper.be_told_to_leave)
    try:
        keeper.run(before)
    finally:
        # The state was told; dropping the keeper's lock last means that the next one finds nothing running.
        os.close(lock)


@dataclass(slots=True)
class _Kept:
    """One server in the keeper's hands."""

    server: Server
    process: subprocess.Popen[bytes] | None = None
    mark: Mark | None = None
    ready: bool = False
    was_ready: bool = False
    starts: int = 0
    failures: int = 0
    not_before_s: float = 0.0
    log_from: int = 0
    ending: bool = False


class _Keeper:
    def __init__(self, folder: Folder, myself: Mark, *, durable: bool) -> None:
        self._folder = folder
        self._state = State(myself, "starting", durable)
        self._durable = durable
        self._told_to_leave = False
        self._kept: dict[ServerName, _Kept] = {}
        self._keeper_file = open_lock(folder.keeper_lock)
        self._users = open_lock(folder.users_lock)
        self._identity: Identity | None = None
        self._home: Home | None = None

    def be_told_to_leave(self, _signal: int, _frame: FrameType | None) -> None:
        """A signal's handler: leave at the next tick, users or not."""
        self._told_to_leave = True

    def run(self, before: State | None) -> None:
        """From the first start to the last stop."""
        phase: Phase = "failed"
        failure = f"The keeper met an error of its own; see {self._folder.keeper_log}."
        try:
            self._settle(before)
            self._attend()
            phase, failure = "stopped", ""
        except EmbeddedError as error:
            failure = str(error)
            _log.error("keeper.failed: %s", failure)
        finally:
            self._leave(phase, failure)

    def _settle(self, before: State | None) -> None:
        """The identity and the home, with nothing of an earlier keeper alive in them."""
        identity = self._folder.identity()
        if identity is None:
            identity = new_identity(self._folder)
            self._folder.record_identity(identity)
        self._identity = identity
        self._home = open_home(identity)
        for name, state in (before.servers if before else {}).items():
            if state.process and is_alive(state.process):
                _log.info("keeper.ends_leftover %s pid=%s", name, state.process.pid)
                end(state.process, *_LEFTOVER_WAYS[name])
        for name in SERVER_NAMES:
            self._clear(self._home.data / name)

    def _attend(self) -> None:
        _log.info("keeper.started pid=%s durable=%s", os.getpid(), self._durable)
        while not self._told_to_leave and self._is_ours():
            for name in SERVER_NAMES:
                if name not in self._kept and self._folder.is_asked(name):
                    self._kept[name] = _Kept(self._server(name))
            for name, kept in self._kept.items():
                self._look_after(name, kept)
            settled = all(kept.ready for kept in self._kept.values())
            self._tell("running" if settled else "starting")
            if try_lock(self._users, shared=False):
                _log.info("keeper.unused")
                return
            time.sleep(_TICK_S if settled else _EAGER_TICK_S)

    def _look_after(self, name: ServerName, kept: _Kept) -> None:
        outage = self._folder.outage(name)
        if kept.process is not None and kept.process.poll() is not None:
            self._bury(name, kept, wanted=outage is not None)
        if kept.process is None:
            if outage is None and time.monotonic() >= kept.not_before_s:
                self._launch(name, kept)
        elif outage is not None:
            if not kept.ending:
                kept.process.send_signal(signal.SIGKILL if outage.kill else kept.server.signals[0][0])
                kept.ending = True
        elif not kept.ready and kept.server.is_ready(kept.process.pid, self._chosen()):
            kept.ready, kept.was_ready, kept.failures = True, True, 0
            _log.info("server.ready %s pid=%s port=%s", name, kept.process.pid, self._chosen().port(name))

    def _launch(self, name: ServerName, kept: _Kept) -> None:
        identity = self._chosen()
        # Once the server was ready, somebody knows its port, and it keeps it.
        if not kept.was_ready:
            identity = self._with_free_port(name, identity)
        if kept.starts:
            self._clear(kept.server.data)
        kept.server.prepare(identity)
        uid, gid = self._place().user or (None, None)
        log = self._folder.open_log(name)
        kept.log_from = os.fstat(log).st_size
        kept.process = subprocess.Popen(  # noqa: S603 -- our own command line
            kept.server.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            env=clean_environment(), user=uid, group=gid, extra_groups=() if uid is not None else None,
            preexec_fn=die_with_parent(kept.server.signals[0][0]),  # noqa: PLW1509 -- the keeper has one thread
        )  # fmt: skip
        os.close(log)
        kept.mark = mark_of(kept.process.pid)
        kept.ready, kept.ending = False, False
        kept.starts += 1

    def _bury(self, name: ServerName, kept: _Kept, *, wanted: bool) -> None:
        """Take note of a death, and give up when a server dies again and again before it was ready."""
        code = kept.process.returncode if kept.process else 0
        _log.info("server.ended %s code=%s ready=%s", name, code, kept.ready)
        died_young = not kept.ready and not wanted and not kept.ending
        kept.process, kept.mark, kept.ready = None, None, False
        if not died_young:
            return
        said = self._said(name, kept)
        if kept.server.cure(said):
            _log.warning("server.data_set_aside %s", name)
            return
        kept.failures += 1
        kept.not_before_s = time.monotonic() + _BACKOFF_S * 2**kept.failures
        if kept.failures >= _TRIES:
            raise EmbeddedError(
                f"The embedded {name} did not start in {_TRIES} tries (exit code {code}). Its log, "
                f"{self._folder.log(name)}, ends with:\n{said[-1500:]}"
            )

    def _said(self, name: ServerName, kept: _Kept) -> str:
        return self._folder.log(name).read_bytes()[kept.log_from :].decode(errors="replace").strip()

    def _server(self, name: ServerName) -> Server:
        home = self._place()
        return Postgres(home, durable=self._durable) if name == "postgres" else Redis(home)

    def _with_free_port(self, name: ServerName, identity: Identity) -> Identity:
        if _is_free(identity.port(name)):
            return identity
        taken = {identity.postgres_port, identity.redis_port}
        start = int.from_bytes(os.urandom(2)) % len(_PORTS)
        for port in (*_PORTS[start:], *_PORTS[:start]):
            if port not in taken and _is_free(port):
                self._identity = msgspec.structs.replace(identity, **{f"{name}_port": port})
                self._folder.record_identity(self._identity)
                return self._identity
        raise EmbeddedError(f"No port between {_PORTS.start} and {_PORTS.stop} is free on 127.0.0.1 for {name}.")

    def _clear(self, data: Path) -> None:
        """End whatever still works in a server's data folder, such as the children of a killed Postgres."""
        for mark in living_in(data):
            _log.info("keeper.ends_orphan pid=%s in %s", mark.pid, data)
            end(mark, (signal.SIGKILL, 10.0))

    def _leave(self, phase: Phase, failure: str) -> None:
        self._tell("stopping")
        for kept in self._kept.values():
            if kept.mark:
                send(kept.mark, kept.server.signals[0][0])
        for kept in self._kept.values():
            _stop(kept)
        if self._is_ours():
            self._folder.forget_asked()
            self._tell(phase, failure)
        elif self._home and self._home.user:
            # The folder that knew of this home was removed: nobody could find it again.
            shutil.rmtree(self._home.path)
        _log.info("keeper.left phase=%s", phase)

    def _tell(self, phase: Phase, failure: str = "") -> None:
        identity = self._identity
        servers: dict[str, ServerState] = {
            name: ServerState(kept.mark, identity.port(name) if identity else 0, kept.ready, kept.starts)
            for name, kept in self._kept.items()
        }
        state = State(self._state.keeper, phase, self._durable, servers, failure)
        if state != self._state and self._is_ours():
            self._folder.record_state(state)
            self._state = state

    def _is_ours(self) -> bool:
        """Whether the folder is still there and the same."""
        return is_file_at(self._keeper_file, self._folder.keeper_lock)

    def _chosen(self) -> Identity:
        if self._identity is None:
            raise EmbeddedError("The keeper was used before it was settled.")
        return self._identity

    def _place(self) -> Home:
        if self._home is None:
            raise EmbeddedError("The keeper was used before it was settled.")
        return self._home


def _stop(kept: _Kept) -> None:
    """End a server and bury it; the kindest signal was sent already."""
    if kept.process is None:
        return
    for position, (what, patience_s) in enumerate(kept.server.signals):
        if position:
            kept.process.send_signal(what)
        try:
            kept.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        break
    kept.process, kept.mark, kept.ready = None, None, False


def _is_free(port: int) -> bool:
    if not port:
        return False
    with socket.socket() as probe:
        # As servers do: connections that ended lately do not count as somebody there.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""Using the embedded servers: start or join them, look at them, stop and remove them.

    with start(Path(".crm-sync")) as servers:
        connect(servers.postgres_url)

`start` takes a shared lock that says "in use" and, if no keeper lives, starts one (`keeper.py`). The lock goes
with the process that holds it, or with `Servers.close()`. A program that is started with the URLs in its
environment is no user: whoever started it is. This module never starts a server itself.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from signal import SIGTERM
from typing import Self

from worker.embedded.folder import (
    EmbeddedError,
    Folder,
    Identity,
    LockFile,
    Phase,
    ServerName,
    ServerState,
    State,
    is_file_at,
    open_lock,
    try_lock,
)
from worker.embedded.processes import is_alive, send, wait_gone
from worker.embedded.servers import DATABASE, OWNER

_POLL_S = 0.02
_KEEPER_STARTS = 5
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(slots=True)
class Servers:
    """One use of the servers; they run at least until it is closed. A URL is empty for a server not asked for.

    A forked child shares the use: it ends when both have closed it or are gone.
    """

    folder: Path
    postgres_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    _use: LockFile | None = field(repr=False)

    def close(self) -> None:
        """End this use. The servers stop a moment later if it was the last one."""
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What runs in a folder now. A pid is None for what does not run; `users` are those that the system names."""

    phase: Phase
    home: Path | None
    keeper_pid: int | None
    postgres_pid: int | None
    postgres_port: int | None
    redis_pid: int | None
    redis_port: int | None
    users: tuple[int, ...]
    failure: str


def start(
    folder: Path, *, want_postgres: bool = True, want_redis: bool = True, durable: bool = True, timeout_s: float = 90.0
) -> Servers:
    """The servers of the folder, running and ready; they are made, started or joined as need be.

    With `durable=False` Postgres does not wait for the disk (for tests: a crash of the machine, not of a
    process, may cost data). Whoever starts the servers decides that for those who join.

    Raises:
        EmbeddedError: what is missing or wrong, and what to do next.
    """
    place = Folder(folder)
    deadline_s = time.monotonic() + timeout_s
    use = _take_use(place, deadline_s)
    wants: dict[ServerName, bool] = {"postgres": want_postgres, "redis": want_redis}
    wanted = [name for name, want in wants.items() if want]
    try:
        _join(place, wanted, deadline_s, durable=durable)
        identity = place.identity()
    except BaseException:
        os.close(use)
        raise
    if identity is None:
        os.close(use)
        raise EmbeddedError(f"The folder {place.path} was removed while its servers started. Start again.")
    return Servers(
        place.path,
        _postgres_url(identity) if want_postgres else "",
        _redis_url(identity) if want_redis else "",
        use,
    )


def status(folder: Path) -> ServerStatus:
    """What runs in the folder; nothing is started or made.

    Raises:
        EmbeddedError: the folder's records cannot be read.
    """
    place = Folder(folder)
    state, identity = _read(place)
    living = state if state and is_alive(state.keeper) else None
    servers = living.servers if living else {}

    def pid(name: ServerName) -> int | None:
        server = servers.get(name)
        return server.process.pid if server and server.process else None

    def port(name: ServerName) -> int | None:
        return servers[name].port if name in servers else None

    phase: Phase = living.phase if living else ("failed" if state and state.phase == "failed" else "stopped")
    return ServerStatus(
        phase=phase,
        home=Path(identity.home) if identity else None,
        keeper_pid=living.keeper.pid if living else None,
        postgres_pid=pid("postgres"),
        postgres_port=port("postgres"),
        redis_pid=pid("redis"),
        redis_port=port("redis"),
        users=_users(place),
        failure=state.failure if state else "",
    )


def stop(folder: Path, *, force: bool = False, timeout_s: float = 90.0) -> None:
    """Wait until the servers and their keeper are gone; nothing happens when none run.

    Raises:
        EmbeddedError: somebody uses them and `force` is not set, or they did not end in time.
    """
    place = Folder(folder)
    state, _ = _read(place)
    living = state if state and is_alive(state.keeper) else None
    if living is None:
        return
    if not force and living.phase not in ("stopping", "failed") and _is_used(place):
        users = ", ".join(map(str, _users(place))) or "not named by this system"
        raise EmbeddedError(
            f"The embedded servers in {place.path} are in use (pids: {users}). End those first, or stop with force; "
            "their connections break then."
        )
    send(living.keeper, SIGTERM)
    if not wait_gone(living.keeper, timeout_s):
        raise EmbeddedError(
            f"The keeper of {place.path} (pid {living.keeper.pid}) did not stop the servers within {timeout_s:g} s; "
            f"see {place.keeper_log}."
        )


def remove(folder: Path, *, force: bool = False) -> None:
    """Stop the servers and delete all that they hold, the home of root's servers too.

    Raises:
        EmbeddedError: as `stop`; or the folder is not one of embedded servers.
    """
    place = Folder(folder)
    if not place.path.exists():
        return
    stop(folder, force=force)
    identity = place.identity()
    if identity is None:
        raise EmbeddedError(
            f"{place.path} is no folder of embedded servers (it has no servers.json); nothing is removed."
        )
    if Path(identity.home) != place.path and Path(identity.home).is_dir():
        rmtree(identity.home)
    place.delete()


def _take_use(place: Folder, deadline_s: float) -> LockFile:
    """A shared lock on the users' file. It waits while a keeper is stopping its servers."""
    while time.monotonic() < deadline_s:
        place.make()
        use = open_lock(place.users_lock)
        while time.monotonic() < deadline_s:
            if not is_file_at(use, place.users_lock):
                break
            if try_lock(use, shared=True):
                return use
            time.sleep(_POLL_S)
        os.close(use)
    raise EmbeddedError(
        f"The embedded servers in {place.path} are being stopped, and that does not end; see {place.keeper_log}."
    )


def _join(place: Folder, wanted: list[ServerName], deadline_s: float, *, durable: bool) -> None:
    """Ask for the servers and wait until a living keeper says that they are ready."""
    earlier = place.state()
    known_dead = earlier.keeper if earlier and not is_alive(earlier.keeper) else None
    keepers = 0
    while time.monotonic() < deadline_s:
        for name in wanted:
            # Again each time: a keeper that was leaving may have forgotten what was asked.
            if not place.is_asked(name):
                place.ask(name)
        state = place.state()
        living = state if state and is_alive(state.keeper) else None
        if state and state.phase == "failed" and state.keeper != known_dead:
            raise EmbeddedError(f"The embedded servers in {place.path} failed. {state.failure}")
        if living is None:
            if keepers == _KEEPER_STARTS:
                break
            keepers += 1
            _start_keeper(place, durable=durable)
        elif living.phase in ("stopping", "stopped"):
            pass  # It goes; another one is started when it is gone.
        elif durable and not living.durable:
            raise EmbeddedError(
                f"The embedded servers in {place.path} run without waiting for the disk, as tests start them. Stop "
                f"them first (python -m worker.embedded stop {place.path}), or name another folder."
            )
        elif all(_is_ready(living.servers.get(name)) for name in wanted):
            return
        time.sleep(_POLL_S)
    raise EmbeddedError(
        f"The embedded servers in {place.path} were not ready in time. Their keeper says:\n"
        f"{place.log_tail('keeper') or '(nothing)'}\nIf another container holds {place.keeper_lock}, stop it there."
    )


def _start_keeper(place: Folder, *, durable: bool) -> None:
    log = place.open_log("keeper")
    # The keeper must find this very package, however the caller came by it, and inherits nothing secret.
    places = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in places if entry)
    command = [sys.executable, "-P", "-m", "worker.embedded", "keep", str(place.path)]
    try:
        done = subprocess.run(  # noqa: S603 -- our own command line
            command if durable else [*command, "--not-durable"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment,
            start_new_session=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(log)
    if done.returncode:
        raise EmbeddedError(f"The keeper of the embedded servers did not start:\n{place.log_tail('keeper')}")


def _is_ready(server: ServerState | None) -> bool:
    return server is not None and server.ready and is_alive(server.process)


def _read(place: Folder) -> tuple[State | None, Identity | None]:
    try:
        return place.state(), place.identity()
    except PermissionError as error:
        raise EmbeddedError(f"{error.filename} belongs to another user; ask as that user.") from error


def _is_used(place: Folder) -> bool:
    lock = open_lock(place.users_lock)
    try:
        # A keeper that is leaving holds the lock alone, and so does whoever looks at this moment: nobody uses it then.
        return not try_lock(lock, shared=False) and try_lock(lock, shared=True)
    finally:
        os.close(lock)


def _users(place: Folder) -> tuple[int, ...]:
    """Who holds the users' lock, as far as the system tells (Linux, and the same pid namespace)."""
    try:
        seen = place.users_lock.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ()
    file = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}:{seen.st_ino}"
    held = (line.split() for line in lines if f" {file} " in line and "->" not in line)
    return tuple(sorted({int(words[4]) for words in held if words[3] == "READ"}))


def _postgres_url(identity: Identity) -> str:
    return f"postgresql://{OWNER}:{identity.postgres_password}@127.0.0.1:{identity.postgres_port}/{DATABASE}"


def _redis_url(identity: Identity) -> str:
    return f"redis://:{identity.redis_password}@127.0.0.1:{identity.redis_port}/0"

"""The folder of the embedded servers: what lies where, and the small files through which processes speak.

    keeper.lock   held by the one keeper             users.lock   shared by everybody who uses the servers
    servers.json  ports, passwords, where the data is (mode 0600, made once)
    state.json    what the keeper says: pids, what is ready, why it failed
    asked/NAME    somebody wants this server         outages/NAME  a test keeps this server down
    *.log         what the keeper and the servers said

It starts and stops nothing. Files are replaced whole (written aside, then renamed), so that a reader
never sees half of one.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, NewType, TypeVar

import msgspec

from worker.embedded.processes import Mark, is_alive
from worker.errors import Misconfigured

ServerName = Literal["postgres", "redis"]
SERVER_NAMES: tuple[ServerName, ...] = ("postgres", "redis")
Phase = Literal["starting", "running", "stopping", "stopped", "failed"]
LockFile = NewType("LockFile", int)

_LOG_LIMIT_BYTES = 8_000_000
_TAIL_BYTES = 2_000


class EmbeddedError(Misconfigured):
    """The embedded servers cannot do what was asked; the text says what, why and what to do next."""

    reason = "embedded"


class Identity(msgspec.Struct, frozen=True):
    """What is chosen once for a folder. `home` holds the data; a port is 0 until its server first starts."""

    made_by_uid: int
    home: str
    postgres_password: str
    redis_password: str
    postgres_port: int = 0
    redis_port: int = 0

    def port(self, name: ServerName) -> int:
        """The port that is on record for the server."""
        return self.postgres_port if name == "postgres" else self.redis_port


class ServerState(msgspec.Struct, frozen=True):
    """One server as its keeper sees it; `starts` counts how often it was started in the keeper's life."""

    process: Mark | None
    port: int
    ready: bool
    starts: int


class State(msgspec.Struct, frozen=True):
    """What the keeper last said. True only as long as that keeper lives, but for a failure, which stays true."""

    keeper: Mark
    phase: Phase
    durable: bool
    servers: dict[str, ServerState] = {}
    failure: str = ""


class Outage(msgspec.Struct, frozen=True):
    """A wish that a server stays down; it ends with the process that wished it."""

    asker: Mark
    kill: bool


_Record = TypeVar("_Record", Identity, State, Outage)


class Folder:
    """The paths and records of one folder. Nothing is made before `make`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.keeper_lock = self.path / "keeper.lock"
        self.users_lock = self.path / "users.lock"
        self.keeper_log = self.path / "keeper.log"
        self._identity = self.path / "servers.json"
        self._state = self.path / "state.json"
        self._asked = self.path / "asked"
        self._outages = self.path / "outages"

    def make(self) -> None:
        """Create the folder for us alone, or see that an existing one is ours.

        Raises:
            EmbeddedError: it cannot be written, or its servers belong to another user.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._asked.mkdir(mode=0o700, exist_ok=True)
            self._outages.mkdir(mode=0o700, exist_ok=True)
            identity = self.identity()
        except OSError as error:
            raise EmbeddedError(
                f"The embedded servers cannot use the folder {self.path}: {error.strerror}. Perhaps another user "
                f"made it. {_OTHER_FOLDER}"
            ) from error
        if identity and identity.made_by_uid != os.geteuid():
            raise EmbeddedError(
                f"The embedded servers in {self.path} were made by the user with uid {identity.made_by_uid}, and "
                f"this process has uid {os.geteuid()}. Work as that user. {_OTHER_FOLDER}"
            )

    def short_name(self) -> str:
        """A name that tells folders apart, for a place where those of many projects lie side by side."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]

    def log(self, name: str) -> Path:
        """Where the server's own words go."""
        return self.path / f"{name}.log"

    def open_log(self, name: str) -> int:
        """The log for appending, begun anew when it has grown long."""
        path = self.log(name)
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.unlink()
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def log_tail(self, name: str) -> str:
        """The end of a log, for an error that has to explain itself."""
        try:
            text = self.log(name).read_bytes()
        except OSError:
            return ""
        return text[-_TAIL_BYTES:].decode(errors="replace").strip()

    def identity(self) -> Identity | None:
        """What was chosen for this folder, if anything was."""
        return _read(self._identity, Identity)

    def record_identity(self, identity: Identity) -> None:
        """Keep ports, passwords and the home. Only the keeper does this."""
        write_private(self._identity, msgspec.json.encode(identity))

    def state(self) -> State | None:
        """What the last keeper last said."""
        return _read(self._state, State)

    def living_state(self) -> State | None:
        """What the keeper says, if it lives."""
        state = self.state()
        return state if state and is_alive(state.keeper) else None

    def record_state(self, state: State) -> None:
        """Tell everybody how the servers are. Only the keeper does this."""
        write_private(self._state, msgspec.json.encode(state))

    def ask(self, name: ServerName) -> None:
        """Have the keeper start this server."""
        (self._asked / name).touch(mode=0o600)

    def is_asked(self, name: ServerName) -> bool:
        """Whether somebody wants this server."""
        return (self._asked / name).exists()

    def forget_asked(self) -> None:
        """Nobody wants any server any more."""
        for name in SERVER_NAMES:
            (self._asked / name).unlink(missing_ok=True)

    def record_outage(self, name: ServerName, outage: Outage | None) -> None:
        """Keep a server down, or with None let it come up again."""
        path = self._outages / name
        if outage is None:
            path.unlink(missing_ok=True)
        else:
            write_private(path, msgspec.json.encode(outage))

    def delete(self) -> None:
        """Remove what the servers and their keeper made here; what others put beside it stays."""
        self._identity.unlink(missing_ok=True)
        for part in ("data", "conf", "program", "asked", "outages"):
            shutil.rmtree(self.path / part, ignore_errors=True)
        for file in (self._state, self.keeper_log, *(self.log(name) for name in SERVER_NAMES)):
            file.unlink(missing_ok=True)
        for broken in self.path.glob("redis.broken-*"):
            shutil.rmtree(broken)
        self.keeper_lock.unlink(missing_ok=True)
        self.users_lock.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def outage(self, name: ServerName) -> Outage | None:
        """The outage that holds, if one does."""
        outage = _read(self._outages / name, Outage)
        return outage if outage and is_alive(outage.asker) else None


_OTHER_FOLDER = "Or name another folder (CRM_SYNC_DATA_DIR), or set the URLs of servers of your own."


def open_lock(path: Path) -> LockFile:
    """The lock's file, opened without taking the lock; it is not handed on to programs that we start."""
    return LockFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def try_lock(lock: LockFile, *, shared: bool) -> bool:
    """Take the lock if it is free. It goes with the last descriptor of the opened file, also by kill -9."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_file_at(lock: LockFile, path: Path) -> bool:
    """Whether the opened file is still the one that its path names; not so when the folder was removed."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def write_private(path: Path, content: bytes, owner: tuple[int, int] | None = None) -> None:
    """Put a file of mode 0600 in place whole; `owner` (uid, gid) gives it to the user of the servers.

    Only for folders in which nobody but us can write: the temporary name must not be anybody else's.
    """
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with open(handle, "wb") as file:  # noqa: PTH123 -- a descriptor has no path
        file.write(content)
        if owner:
            os.fchown(handle, *owner)
        file.flush()
        os.fsync(handle)
    Path(aside).replace(path)


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise EmbeddedError(
            f"{path} cannot be read as a record of the embedded servers: {error}. Remove the folder {path.parent} "
            "to begin afresh; what the servers hold is lost then."
        ) from error

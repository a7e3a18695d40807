"""Postgres and Redis as their keeper knows them: how each is prepared, started, found ready and stopped.

Two classes of one shape (`Server`). They hold no process and decide nothing about restarts; `keeper.py` does.
Listening is on 127.0.0.1 alone, with a password; no password stands on a command line, where every user of
the machine could read it. Postgres has no unix socket, whose path would be too long in a deep folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from worker.embedded.folder import EmbeddedError, Identity, ServerName, write_private
from worker.embedded.processes import die_with_parent, living_in, mark_of
from worker.embedded.programs import Home, postgres_programs, redis_program

OWNER = "crm_sync_owner"
DATABASE = "crm_sync"
Ways = tuple[tuple[signal.Signals, float], ...]

_POSTGRES_VERSION = "18"
_PREPARE_TIMEOUT_S = 120
_CONNECT_TIMEOUT_S = 0.5
_BROKEN_AOF = ("Bad file format", "Unexpected end of file")


class Server(Protocol):
    """What the keeper asks of a server. `signals` are ways to end it, kindest first, each with its time in seconds."""

    name: ServerName
    data: Path
    signals: Ways

    def prepare(self, identity: Identity) -> None:
        """Make data and configuration; called before each start, with no process in the data folder."""

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""

    def is_ready(self, pid: int, identity: Identity) -> bool:
        """Whether this process takes connections."""

    def cure(self, log_tail: str) -> bool:
        """Remove what stopped the server from starting, if it is something that may be lost. True when it did."""


def clean_environment() -> dict[str, str]:
    """What a server's process may know of ours: nothing that could be a secret."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class Postgres:
    """Postgres 18 from the wheel, with one superuser and one database."""

    name: ServerName = "postgres"
    signals: Ways = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

    def __init__(self, home: Home, *, durable: bool) -> None:
        self.data = home.data / "postgres"
        self._home = home
        self._durable = durable
        self._programs = postgres_programs(home)
        self._conf = home.conf / "postgresql.conf"

    def prepare(self, identity: Identity) -> None:
        """The cluster, made aside and renamed when it is whole; then the configuration, all of it, each time.

        Raises:
            EmbeddedError: initdb failed, or the data is another version's.
        """
        if not self.data.exists():
            self._make_cluster(identity.postgres_password)
        version_file = self.data / "PG_VERSION"
        version = version_file.read_text().strip() if version_file.exists() else "none"
        if version != _POSTGRES_VERSION:
            raise EmbeddedError(
                f"The data in {self.data} was made by Postgres {version}, and the embedded one is {_POSTGRES_VERSION}. "
                "Dump it with the old version, or remove the folder of the servers to begin afresh."
            )
        self._drop_misleading_pid_file()
        hba = self._home.conf / "pg_hba.conf"
        write_private(hba, b"host all all 127.0.0.1/32 scram-sha-256\n", self._home.user)
        write_private(self._conf, self._settings(identity.postgres_port, hba).encode(), self._home.user)

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        return [str(self._programs / "postgres"), "-D", str(self.data), "-c", f"config_file={self._conf}"]

    def is_ready(self, pid: int, identity: Identity) -> bool:  # noqa: ARG002 -- Redis needs it
        """Whether this process says in its pid file that it takes connections, as `pg_ctl --wait` asks."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def cure(self, log_tail: str) -> bool:  # noqa: ARG002 -- nothing in Postgres may be lost
        """Nothing that Postgres holds may be thrown away."""
        return False

    def _drop_misleading_pid_file(self) -> None:
        """Remove the pid file of a killed server if its pid is somebody else's by now.

        Postgres would refuse to start for it. Otherwise the file stays: Postgres reads more from it, such as
        which shared memory to look at before it is sure that it is alone.
        """
        if not sys.platform.startswith("linux"):
            return  # Nothing else here tells which process works in the data folder.
        file = self.data / "postmaster.pid"
        first = file.read_text().partition("\n")[0].strip() if file.exists() else ""
        if first.isdecimal() and mark_of(int(first)) and int(first) not in {mark.pid for mark in living_in(self.data)}:
            file.unlink()

    def _make_cluster(self, password: str) -> None:
        # One kept name, so that a cluster whose making was killed is found and made again.
        aside = self._home.data / "postgres.new"
        if aside.exists():
            shutil.rmtree(aside)
        pwfile = self._home.conf / "pwfile"
        write_private(pwfile, password.encode() + b"\n", self._home.user)
        try:
            self._run(
                "initdb", "-D", str(aside), "-U", OWNER, f"--pwfile={pwfile}", "--auth=scram-sha-256", "-E", "UTF8",
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions",
            )  # fmt: skip
        finally:
            pwfile.unlink()
        # Alone, with no port open yet: the database is there before anybody can look.
        self._run("postgres", "--single", "-D", str(aside), "postgres", words=f"CREATE DATABASE {DATABASE}\n")
        if self._durable:
            self._run("initdb", "--sync-only", "-D", str(aside))
        aside.rename(self.data)

    def _run(self, program: str, *arguments: str, words: str = "") -> None:
        uid, gid = self._home.user or (None, None)
        done = subprocess.run(  # noqa: S603 -- our own command line
            [str(self._programs / program), *arguments],
            input=words, capture_output=True, text=True, timeout=_PREPARE_TIMEOUT_S, check=False, cwd="/",
            env=clean_environment(), user=uid, group=gid, extra_groups=() if uid is not None else None,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        # In single-user mode the exit code is 0 even when the statement failed.
        if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            raise EmbeddedError(
                f"The embedded Postgres could not be set up: {program} ended with {done.returncode} and said: "
                f"{done.stderr.strip()[-1500:]}"
            )

    def _settings(self, port: int, hba: Path) -> str:
        settings = {
            "hba_file": _quoted(hba),
            "listen_addresses": "'127.0.0.1'",
            "port": port,
            "unix_socket_directories": "''",
            "max_connections": 200,
            "shared_buffers": "'128MB'",
            "dynamic_shared_memory_type": "posix",
            "jit": "off",
            "password_encryption": "'scram-sha-256'",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "synchronous_commit": "on",
            "timezone": "'UTC'",
            "log_timezone": "'UTC'",
            "lc_messages": "'C'",
            "default_text_search_config": "'pg_catalog.simple'",
            "log_checkpoints": "off",
            # Rows and statements of others' data do not belong into a log; whoever caused an error sees it anyway.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        return "".join(f"{name} = {value}\n" for name, value in settings.items())


class Redis:
    """Redis with an append-only file, no eviction and a password."""

    name: ServerName = "redis"
    signals: Ways = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 10.0))

    def __init__(self, home: Home) -> None:
        self.data = home.data / "redis"
        self._home = home
        self._program = redis_program(home)
        self._conf = home.conf / "redis.conf"

    def prepare(self, identity: Identity) -> None:
        """The data folder and the configuration."""
        if not self.data.exists():
            self.data.mkdir(mode=0o700)
            if self._home.user:
                os.chown(self.data, *self._home.user, follow_symlinks=False)
        settings = {
            "bind": "127.0.0.1",
            "port": identity.redis_port,
            "protected-mode": "yes",
            "requirepass": identity.redis_password,
            "dir": _double_quoted(self.data),
            "daemonize": "no",
            "logfile": '""',
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            # The last command may be cut short by a kill; what stands before it is whole.
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "always-show-logo": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_private(self._conf, text.encode(), self._home.user)

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        return [str(self._program), str(self._conf)]

    def is_ready(self, pid: int, identity: Identity) -> bool:  # noqa: ARG002 -- Postgres needs it
        """Whether a Redis that knows our password answers and has loaded its data."""
        words = f"AUTH {identity.redis_password}\r\nPING\r\n".encode()
        try:
            with socket.create_connection(("127.0.0.1", identity.redis_port), timeout=_CONNECT_TIMEOUT_S) as line:
                line.settimeout(_CONNECT_TIMEOUT_S)
                line.sendall(words)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = line.recv(200)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def cure(self, log_tail: str) -> bool:
        """Put an append-only file aside that Redis cannot read: all that it holds can be rebuilt."""
        broken = any(f"{sign} reading the append only file" in log_tail for sign in _BROKEN_AOF)
        if not broken or not self.data.exists():
            return False
        aside = Path(tempfile.mkdtemp(prefix="redis.broken-", dir=self._home.path))
        self.data.rename(aside / "redis")
        return True


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"


def _double_quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'

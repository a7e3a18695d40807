"""Processes as the embedded servers need them: who is who, who still lives, how one ends.

A pid alone names nobody, because the system gives it away again; a `Mark` adds the moment of birth, so
that a pid read from a file is signalled only while it is still the process that was meant. This module
starts nothing, and never looks for processes by name.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

_LINUX = sys.platform.startswith("linux")
_PROC = Path("/proc")
_SERVER_PROGRAMS = frozenset({"postgres", "redis-server", "valkey-server", "redis-check-rdb", "valkey-check-rdb"})
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.01


class Mark(msgspec.Struct, frozen=True):
    """One process for ever: its pid and when it was born, in the system's own words."""

    pid: int
    born: str


def mark_of(pid: int) -> Mark | None:
    """The mark of a living process; None when there is none, or only a zombie that nobody has buried."""
    born = _born_by_proc(pid) if _LINUX else _born_by_ps(pid)
    return Mark(pid, born) if born else None


def is_alive(mark: Mark | None) -> bool:
    """Whether this very process still runs."""
    return mark is not None and mark_of(mark.pid) == mark


def send(mark: Mark, what: signal.Signals) -> bool:
    """Signal the process if it is still the one that was marked; False when it is gone."""
    if not is_alive(mark):
        return False
    try:
        os.kill(mark.pid, what)
    except ProcessLookupError:
        return False
    return True


def wait_gone(mark: Mark, timeout_s: float) -> bool:
    """Whether the process ended within the time."""
    deadline = time.monotonic() + timeout_s
    while is_alive(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def end(mark: Mark, *how: tuple[signal.Signals, float]) -> bool:
    """Send each signal in turn, with its time in seconds, until the process is gone. True when it is."""
    return any(not send(mark, what) or wait_gone(mark, patience_s) for what, patience_s in how)


def living_in(folder: Path) -> list[Mark]:
    """The servers whose working folder is this one; empty where the system does not tell (not Linux).

    Postgres and Redis both work inside of their data folder, so this finds a server, or what is left of
    one, without trusting any file. Somebody's shell in that folder is no server and is not found.
    """
    if not _LINUX:
        return []
    place = os.path.realpath(folder)
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    found = [mark_of(pid) for pid in pids if _link(pid, "cwd") == place and _program(pid) in _SERVER_PROGRAMS]
    return [mark for mark in found if mark]


def die_with_parent(what: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` by which the kernel sends `what` to the child when its parent dies, however it dies.

    It works on Linux only. Elsewhere the next start finds what was left over by its mark.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None) if _LINUX else None

    def arrange() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(what), 0, 0, 0)
            if os.getppid() != parent:
                # The parent died before the kernel knew that we care.
                os._exit(1)

    return arrange


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(_PROC / str(pid) / name)  # noqa: PTH115 -- the plain text, not a Path of something gone
    except OSError:
        return ""


def _program(pid: int) -> str:
    # A program that was replaced on disk while it runs is marked as deleted.
    return Path(_link(pid, "exe").removesuffix(" (deleted)")).name


def _born_by_proc(pid: int) -> str:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return ""
    # The command's name stands in brackets and may hold anything, brackets and spaces too.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return "" if fields[0] in (b"Z", b"X") else f"{_boot()}/{fields[19].decode()}"


def _born_by_ps(pid: int) -> str:
    asked = subprocess.run(  # noqa: S603 -- a fixed command and a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, born = asked.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else born.strip()


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"

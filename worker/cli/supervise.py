"""Runs several processes as one: starts them, starts again what dies, prefixes what they say, ends them all.

A process that dies young waits longer before its next start. All of them end when this one ends, however it ends:
gently on SIGINT and SIGTERM, by the kernel's word if it is killed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final

_PATIENCE_S: Final = 12.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_OF_AGE_S: Final = 10.0
Say = Callable[[str, str], None]


@dataclass(slots=True)
class Child:
    """One process that is kept running. `starts` counts how often it was."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    due_s: float = 0.0
    starts: int = 0
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None


class Supervisor:
    """Keeps children running until it is closed."""

    def __init__(self, variables: Mapping[str, str], say: Say) -> None:
        self._variables = dict(variables)
        self._say = say
        self.children: list[Child] = []
        self._stopping = threading.Event()

    @property
    def ties(self) -> tuple[str, str]:
        """The arguments by which a process of ours ends with this one, even if this one is killed."""
        return ("--with-parent", str(os.getpid()))

    def add(self, name: str, *arguments: str) -> Child:
        """Start `python ARGUMENTS` and keep it running."""
        child = Child(name, (sys.executable, *arguments))
        self.children.append(child)
        self._start(child)
        return child

    def tend(self) -> None:
        """Start again what has died, if its pause is over. Call it every now and then."""
        now_s = time.monotonic()
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            if child.due_s == 0.0:
                if now_s - child.started_s > _OF_AGE_S:
                    child.pause_s = _FIRST_PAUSE_S
                child.due_s = now_s + child.pause_s
                child.pause_s = min(child.pause_s * 2, _LONGEST_PAUSE_S)
                self._say(child.name, f"ended with {child.process.returncode}; it is started again")
            elif now_s >= child.due_s:
                self._start(child)

    def run(self) -> None:
        """Tend until SIGINT or SIGTERM; a second one ends at once."""

        def on_signal(number: int, frame: object) -> None:  # noqa: ARG001
            if self._stopping.is_set():
                self._end(signal.SIGKILL)
            self._stopping.set()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping.wait(0.2):
                self.tend()
        finally:
            self.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """End all children, gently first."""
        self._stopping.set()
        self._end(signal.SIGTERM)
        give_up_s = time.monotonic() + _PATIENCE_S
        for child in self.children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, give_up_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            for reader in child.readers:
                reader.join(2)

    def _end(self, how: signal.Signals) -> None:
        for child in self.children:
            if child.pid is not None:
                os.kill(child.pid, how)

    def _start(self, child: Child) -> None:
        # A session of its own keeps a terminal's Ctrl-C from reaching it before we decide.
        child.process = subprocess.Popen(  # noqa: S603 - our own modules, by our own interpreter
            child.command, env=self._variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        child.started_s, child.due_s = time.monotonic(), 0.0
        child.starts += 1
        if child.process.stdout is not None:
            reader = threading.Thread(target=self._read, args=(child.name, child.process.stdout), daemon=True)
            child.readers.append(reader)
            reader.start()

    def _read(self, name: str, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self._say(name, line.decode("utf-8", "replace").rstrip())

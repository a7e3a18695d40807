"""`crm-sync up` keeps what it started running, and leaves nothing behind, however it ends. P5."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import environment_of
from worker.settings import Settings
from worker.store.database import Database

COMMAND = [sys.executable, "-m", "worker.cli.main"]
READY = re.compile(r"^(scheduler|interactive|sync|upkeep)\s")


class Up:
    """A running `crm-sync up` over the test session's servers, and what it says."""

    def __init__(self, settings: Settings) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "up"], env=environment_of(settings), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.lines.extend(lines)

    def children(self) -> dict[str, int]:
        """The processes below it: what each serves, and its pid."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except (OSError, IndexError):
                continue
            if parent == self.process.pid and "-m" in words:
                found[words[words.index("--pool") + 1] if "--pool" in words else "scheduler"] = int(folder.name)
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        self._reader.join(20)


@pytest.fixture
def up(settings: Settings) -> Iterator[Up]:
    running = Up(settings)
    until(lambda: len(running.children()) == 4, running)
    yield running
    running.end()


def until(holds: Callable[[], bool], up: Up, timeout_s: float = 20) -> None:
    give_up_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_s, "".join(up.lines)
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_p5_up_starts_again_what_dies(up: Up) -> None:
    before = up.children()
    assert set(before) == {"scheduler", "interactive", "sync", "upkeep"}
    os.kill(before["sync"], signal.SIGKILL)
    until(lambda: up.children().get("sync", before["sync"]) != before["sync"], up)
    after = up.children()
    assert {name for name in before if after.get(name) != before[name]} == {"sync"}
    assert any(line.startswith("sync ") and "started again" in line for line in up.lines)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_up_ends_cleanly_with_all_that_it_started(up: Up, how: signal.Signals) -> None:
    # What says something has installed its own handlers; before that, a signal just ends it.
    until(lambda: sum(READY.match(line) is not None for line in up.lines) >= 4, up)
    pids = up.children().values()
    up.process.send_signal(how)
    assert up.process.wait(20) == 0, "".join(up.lines)
    assert [pid for pid in pids if lives(pid)] == []


def test_p5_what_up_started_dies_with_it_when_it_is_killed(up: Up) -> None:
    pids = list(up.children().values())
    up.process.kill()
    until(lambda: not any(lives(pid) for pid in pids), up)


def test_ctrl_c_ends_a_command_with_its_own_code_and_no_traceback(
    settings: Settings, workspace: str, owner_db: Database
) -> None:
    with owner_db.transaction() as tx:
        tx.execute("INSERT INTO crm_sync.feed_head (workspace_id, position) VALUES (%s, 1)", [workspace])
        tx.execute(
            "INSERT INTO crm_sync.feed_entry (workspace_id, position, event) VALUES (%s, 1, 'stream.synced')",
            [workspace],
        )
    process = subprocess.Popen(
        [*COMMAND, "feed", "-w", workspace, "--follow", "--json"],
        env=environment_of(settings), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert "stream.synced" in process.stdout.readline(), "it follows the feed now"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "Traceback" not in said[1]

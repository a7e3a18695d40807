"""The demonstration: real processes and servers, simulated providers; each step says what it showed and if it held.

    set up ▶ connect two tenants ▶ sync ▶ look ▶ count the money ▶ change the world ▶ kill a worker ▶ disconnect ▶
    leave nothing behind

Everything goes through the same doors that a CRM and its operators use. It ends with 0 only if every step held.
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from worker import embedded
from worker.cli.demo_acts import Demo
from worker.cli.demo_stage import CALENDAR_DAYS, DAYS, QUOTA_SCALE, NotHeldError, Step, providers
from worker.cli.environment import open_environment
from worker.cli.folders import remove_folder
from worker.cli.speech import Exit, Speech
from worker.cli.supervise import Supervisor
from worker.errors import CrmSyncError
from worker.settings import Mode, Settings


def run_demo(speech: Speech, *, keep: bool = False) -> int:
    """Run the demonstration; returns the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="crm-sync-demo-"))
    log = (folder / "processes.log").open("w", encoding="utf-8")
    started_s = time.monotonic()
    steps: list[Step] = []
    failure = ""
    pids: list[int] = []
    try:
        _perform(speech, folder, log, steps, pids)
    except (NotHeldError, CrmSyncError, embedded.EmbeddedError, OSError, SystemExit) as error:
        failure = str(error) or type(error).__name__
    finally:
        embedded.remove(folder / "servers", force=True)
        log.close()
    still = [pid for pid in pids if _lives(pid)]
    steps.append(Step("left nothing running", held=not still, shown={"processes": len(pids), "still running": still}))
    held = not failure and all(step.held for step in steps)
    took_s = round(time.monotonic() - started_s, 1)
    if speech.as_json:
        speech.data({"held": held, "took_s": took_s, "failure": failure, "steps": [asdict(step) for step in steps]})
    elif held:
        speech.say(
            f"\nEvery step held, in {took_s:.0f} s. {len(pids)} processes were started, and all have ended.", "green"
        )
    else:
        wrong = failure or next(step.step for step in steps if not step.held)
        speech.say(f"\nNot everything held: {wrong}. What the processes said is in {folder}/processes.log", "red")
    if held and not keep:
        remove_folder(folder)
    return int(Exit.OK if held else Exit.FAILED)


def _perform(speech: Speech, folder: Path, log: Any, steps: list[Step], pids: list[int]) -> None:
    def write(name: str, line: str) -> None:
        log.write(f"{name}: {line}\n")
        log.flush()

    speech.say("● A Postgres, a Redis, simulated providers, a scheduler and two workers start", "bold cyan")
    started_s = time.monotonic()
    with providers(write) as simulated:
        settings = Settings(
            mode=Mode.DEVELOPMENT,
            data_dir=folder,
            provider_route=simulated.url,
            quota_scale=QUOTA_SCALE,
            google_client_id=simulated.facts["client_id"],
            google_client_secret=SecretStr(simulated.facts["client_secret"]),
            redirect_uri=simulated.facts["redirect_uris"][0],
            microsoft_client_id=simulated.facts["microsoft"]["client_id"],
            microsoft_client_secret=SecretStr(simulated.facts["microsoft"]["client_secret"]),
            gmail_window_days=0,
            outlook_window_days=0,
            outlook_calendar_days_back=CALENDAR_DAYS,
            outlook_calendar_days_ahead=CALENDAR_DAYS,
            google_ads_history_days=DAYS,
            lease_s=5,
            shutdown_s=2.0,
        )
        opened = open_environment(settings)
        supervisor = Supervisor(opened.variables(), write)
        try:
            supervisor.add("scheduler", "-m", "scheduler", *supervisor.ties)
            demo = Demo(speech, opened, simulated, supervisor)
            demo.steps = steps
            demo.workers = [
                supervisor.add(f"worker {number}", "-m", "worker", "--threads", "4", *supervisor.ties)
                for number in (1, 2)
            ]
            demo.await_workers()
            steps.append(Step("started", held=True, took_s=round(time.monotonic() - started_s, 2)))
            for act in (demo.connect, demo.sync, demo.look, demo.spend, demo.change, demo.kill, demo.disconnect):
                act()
        finally:
            pids += [simulated.process.pid, *(child.pid for child in supervisor.children if child.pid is not None)]
            if opened.servers is not None:
                status = embedded.status(folder / "servers")
                pids += [pid for pid in (status.keeper_pid, status.postgres_pid, status.redis_pid) if pid]
            supervisor.close()
            if opened.servers is not None:
                opened.servers.close()


def _lives(pid: int) -> bool:
    """Whether a process runs; a moment is given to those that are just ending."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True

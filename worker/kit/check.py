"""Runs the table of cases over connectors: every stream against every case, many of them at a time.

    for each temper: a worker ─▶ every case of that temper, in a thread of its own ─▶ results ─▶ a report a connector

The first pass comes first: a stream whose first pass does not hold is not tried further. Each case has a tenant and an
account of its own, so cases do not meet.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from worker.client import Client
from worker.connectors.contract import Connector, Stream
from worker.errors import BadRequest, CrmSyncError, Misconfigured
from worker.kit.cases import CASES, Case, first_pass
from worker.kit.grades import Report, Result, Verdict
from worker.kit.provider import Provider, Rehearsal, RehearsalRefused
from worker.kit.scene import NotHeld, Scene
from worker.kit.stage import Stage, Temper

AT_ONCE: Final = 12
_LONGEST_HALF_WAY_S: Final = 120.0
Progress = Callable[[Result, int, int], None]
"""Called with each result, how many there are by now, and how many there will be."""


def cases_named(names: Sequence[str]) -> tuple[Case, ...]:
    """The cases of those names, or all.

    Raises:
        BadRequest: there is none of such a name.
    """
    unknown = sorted(set(names) - {case.name for case in CASES})
    if unknown:
        known = ", ".join(case.name for case in CASES)
        raise BadRequest(f"There is no case «{unknown[0]}». There are: {known}.")
    return tuple(case for case in CASES if not names or case.name in names)


@dataclass(frozen=True, slots=True)
class Trial:
    """What of a connector is to be tried."""

    connector: Connector
    streams: Sequence[Stream]
    cases: Sequence[Case] = CASES


def accounts_needed(trials: Sequence[Trial]) -> int:
    """How many accounts trials use up, whichever connectors they are of."""
    return sum(len(trial.cases) * len(trial.streams) for trial in trials)


@dataclass(frozen=True, slots=True)
class _Task:
    connector: Connector
    stream: Stream
    case: Case
    account: str


class Check:
    """One check. `crm` is the CRM's door of any tenant; `progress` sees each result as it comes."""

    def __init__(self, stage: Stage, provider: Provider, crm: Client, progress: Progress) -> None:
        self._stage, self._provider, self._crm, self._progress = stage, provider, crm, progress
        self._results: list[tuple[Connector, Result]] = []
        self._guard = threading.Lock()
        self._total = 0

    def run(self, trials: Sequence[Trial]) -> list[Report]:
        """Try connectors, each as its trial says.

        Raises:
            Misconfigured: no simulated provider plays for one of them, or for one of its streams.
            Unavailable: the processes do not come up.
        """
        names = [trial.connector.facts.name for trial in trials]
        rehearsals = {name: self._provider.rehearsal(name) for name in names}
        tasks = self._tasks(trials, rehearsals)
        for temper in (temper for temper in Temper if any(task.case.temper is temper for task in tasks)):
            # One that holds for nothing else must hold first, so that its failure is told once and not of every case.
            first = [task for task in tasks if task.case.temper is temper and task.case.run is first_pass]
            rest = [task for task in tasks if task.case.temper is temper and task.case.run is not first_pass]
            self._stage.set(temper)
            self._play(first, rehearsals)
            self._play([task for task in rest if self._may_be_tried(task)], rehearsals)
        return [
            Report(name, _in_order(result for whose, result in self._results if whose is trial.connector))
            for name, trial in zip(names, trials, strict=True)
        ]

    def _tasks(self, trials: Sequence[Trial], rehearsals: Mapping[str, Rehearsal]) -> list[_Task]:
        """What is to be tried; what facts rule out is noted at once."""
        self._total = sum(len(trial.cases) * len(trial.streams) for trial in trials)
        tasks = []
        # Connectors that meet one provider share its accounts, and no two cases may meet in one.
        unused = {rehearsal.accounts: iter(rehearsal.accounts) for rehearsal in rehearsals.values()}
        for trial in trials:
            connector = trial.connector
            accounts = unused[rehearsals[connector.facts.name].accounts]
            for stream in trial.streams:
                for case in trial.cases:
                    why = case.ruled_out(connector.facts, stream)
                    if why:
                        self._note(connector, Result(case.name, stream.name, case.grade, Verdict.NOT_APPLICABLE, why))
                    else:
                        tasks.append(_Task(connector, stream, case, _next(accounts, connector)))
        return tasks

    def _may_be_tried(self, task: _Task) -> bool:
        failed = not task.case.of_claims and any(
            whose is task.connector and result.stream == task.stream.name
            for whose, result in self._results
            if result.case == CASES[0].name and result.verdict is Verdict.FAILED
        )
        if failed:
            case = task.case
            why = "the first pass does not hold"
            self._note(task.connector, Result(case.name, task.stream.name, case.grade, Verdict.NOT_TRIED, why))
        return not failed

    def _play(self, tasks: Sequence[_Task], rehearsals: Mapping[str, Rehearsal]) -> None:
        """Play scenes at the same time; those that need it wait for each other until the worker is killed."""
        mortal = self._stage.temper is Temper.MORTAL
        half_way: list[str] = []

        def die() -> None:
            half_way.append(threading.current_thread().name)
            if not self._stage.killed.wait(_LONGEST_HALF_WAY_S):
                half_way.remove(threading.current_thread().name)
                raise NotHeld("the worker was not killed, since other cases never came to a page half-way")

        with ThreadPoolExecutor(len(tasks) if mortal and tasks else AT_ONCE, thread_name_prefix="scene") as pool:
            futures = [pool.submit(self._try, task, rehearsals[task.connector.facts.name], die) for task in tasks]
            if mortal and tasks:
                self._kill_when_all_wait(futures, half_way)
            for future in futures:
                future.result()

    def _kill_when_all_wait(self, futures: Sequence[Future[None]], half_way: Sequence[str]) -> None:
        # Done is counted first: one that gives up in between is then counted later, and not twice.
        while sum(future.done() for future in futures) + len(half_way) < len(futures):
            time.sleep(0.1)
        if half_way:
            self._stage.kill()

    def _try(self, task: _Task, rehearsal: Rehearsal, die: Callable[[], None]) -> None:
        started_s = time.monotonic()
        case, stream = task.case, task.stream
        verdict, why = self._verdict(task, rehearsal, die)
        took_s = round(time.monotonic() - started_s, 2)
        self._note(task.connector, Result(case.name, stream.name, case.grade, verdict, why, took_s))

    def _verdict(self, task: _Task, rehearsal: Rehearsal, die: Callable[[], None]) -> tuple[Verdict, str]:
        part = rehearsal.streams.get(task.stream.name)
        if part is None:
            return Verdict.FAILED, "the simulated provider does not say how this stream may be tried"
        all_held = False
        scene = Scene(self._stage, self._provider, self._crm, task.connector, task.stream, part, task.account, die)
        try:
            task.case.run(scene)
            all_held = True
        except (NotHeld, RehearsalRefused) as error:
            return Verdict.FAILED, str(error)
        except CrmSyncError as error:
            return Verdict.FAILED, f"{error.reason}: {error}"
        finally:
            scene.close(all_held=all_held)
        return Verdict.HELD, ""

    def _note(self, connector: Connector, result: Result) -> None:
        with self._guard:
            self._results.append((connector, result))
            self._progress(result, len(self._results), self._total)


def _next(accounts: Iterator[str], connector: Connector) -> str:
    account = next(accounts, None)
    if account is None:
        raise Misconfigured(
            f"The simulated provider of «{connector.facts.name}» has too few accounts: each case needs one of its "
            "own. Its rehearsal must give as many as the simulator is started with (`--accounts`), or fewer cases be "
            "tried at a time."
        )
    return account


def _in_order(results: Iterable[Result]) -> list[Result]:
    places = {case.name: number for number, case in enumerate(CASES)}
    return sorted(results, key=lambda result: (places[result.case], result.stream))

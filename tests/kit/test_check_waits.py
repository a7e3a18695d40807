"""Cases in which the worker is killed hold only if it was; and a provider that fails fails its case, not the check."""

import socket
import threading
from typing import Any
from unittest.mock import MagicMock

import pytest

from worker.kit import check
from worker.kit.cases import Case
from worker.kit.check import Check, Trial
from worker.kit.grades import Grade, Result, Verdict
from worker.kit.provider import Provider, Rehearsal, StreamPart
from worker.kit.scene import Scene
from worker.kit.stage import Stage, Temper


class Kills(Stage):
    """A stage on which nothing runs."""

    def __init__(self) -> None:
        self.temper, self.killed, self.kills = Temper.MORTAL, threading.Event(), 0

    def set(self, temper: Temper) -> None:
        """Nothing runs."""

    def kill(self) -> None:
        self.kills += 1
        self.killed.set()


def results_of(*runs: Any) -> tuple[dict[str, Result], int]:
    """What comes of cases that run like that, and how often the worker was killed."""
    stage, results = Kills(), {}
    connector, stream = MagicMock(), MagicMock()
    connector.facts.name, stream.name = "made_up", "contacts"
    part = StreamPart(pages={}, acts=frozenset(), paging={}, refusals={})
    rehearsal = Rehearsal(tuple(f"account{number}" for number in range(len(runs))), {}, {"contacts": part})
    provider = MagicMock(rehearsal=lambda _: rehearsal)

    def told(result: Result, _number: int, _of: int) -> None:
        results[result.case] = result

    cases = [Case(run.__name__, Grade.SILVER, "…", run, temper=Temper.MORTAL) for run in runs]
    tried = Check(stage, provider, MagicMock(), told)
    tasks = tried._tasks([Trial(connector, [stream], cases)], {connector.facts.name: rehearsal})
    tried._play(tasks, {connector.facts.name: rehearsal})
    return results, stage.kills


def comes_half_way(scene: Scene) -> None:
    scene.mortal()


def comes_half_way_too(scene: Scene) -> None:
    scene.mortal()


def test_the_worker_is_killed_once_when_all_are_half_way_or_at_their_end() -> None:
    def ends_at_once(_: Scene) -> None: ...

    results, kills = results_of(comes_half_way, ends_at_once, comes_half_way_too)
    assert kills == 1
    assert {result.verdict for result in results.values()} == {Verdict.HELD}


def test_a_case_does_not_hold_if_the_worker_was_never_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_LONGEST_HALF_WAY_S", 0.3)
    gave_up = threading.Event()

    def comes_late(scene: Scene) -> None:
        gave_up.wait(30)

    def gives_up(scene: Scene) -> None:
        try:
            scene.mortal()
        finally:
            gave_up.set()

    results, kills = results_of(gives_up, comes_late)
    assert kills == 0
    assert results["gives_up"].verdict is Verdict.FAILED
    assert "was not killed" in results["gives_up"].why
    assert results["comes_late"].verdict is Verdict.HELD


def test_a_provider_that_went_away_fails_the_case_and_not_the_check() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = Provider(f"http://127.0.0.1:{closed.getsockname()[1]}")

        def asks(scene: Scene) -> None:
            scene._faults.append(1)
            scene.provider = away
            scene.truth()

        results, _ = results_of(asks)
    assert results["asks"].verdict is Verdict.FAILED
    assert "does not answer" in results["asks"].why


def test_a_provider_that_answers_otherwise_than_the_contract_says_is_told_so() -> None:
    def asks(scene: Scene) -> None:
        scene.provider = MagicMock(rehearse=lambda *_, **__: {"things": []})
        scene.truth()

    results, _ = results_of(asks)
    assert results["asks"].why == "the simulated provider's answer to «held» has no «items»"

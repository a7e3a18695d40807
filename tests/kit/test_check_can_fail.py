"""The kit's own proof: a connector that is broken in one way fails the case that is about it, and no other.

Each is tried with the case that must notice, with those that meet the same fault, and with some others in turn, so that
every case is shown both to hold and to fail. `--all-cases` tries every connector with every case.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.kit import broken
from tests.kit.packages import variables
from worker.client import Client
from worker.connectors import registry
from worker.kit.cases import CASES, Case
from worker.kit.check import Check, Trial, accounts_needed
from worker.kit.grades import Report, Verdict
from worker.kit.provider import QUOTA_SCALE, Provider
from worker.kit.stage import Stage
from worker.settings import Role, Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OTHERS = 4


def chosen(case: str, *, every: bool) -> tuple[Case, ...]:
    """The cases that a broken connector is tried with."""
    place = next(number for number, each in enumerate(CASES) if each.name == case)
    turn = {CASES[(place + step) % len(CASES)].name for step in range(1, OTHERS + 1)}
    wanted = {CASES[0].name, case, *broken.COMPANIONS.get(case, ()), *turn}
    return tuple(each for each in CASES if every or each.name in wanted)


@pytest.fixture(scope="module")
def reports(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[dict[str, Report]]:
    folder = broken.write(tmp_path_factory.mktemp("broken"))
    paths = [str(folder), str(broken.EXAMPLE.parent)]
    sys.path[:0] = paths
    registry._entries.cache_clear()
    registry.load.cache_clear()
    try:
        every = bool(pytestconfig.getoption("--all-cases"))
        trials = []
        for case in broken.BREAKS:
            connector = registry.load(broken.name_of(case))
            contacts = connector.stream("contacts")
            assert contacts is not None
            trials.append(Trial(connector, [contacts], chosen(case, every=every)))
        yield {report.connector: report for report in play(trials, module_settings, folder, tmp_path_factory)}
    finally:
        sys.path[:2] = []
        registry._entries.cache_clear()
        registry.load.cache_clear()


def play(
    trials: list[Trial], settings: Settings, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Report]:
    """One stage for all of them."""
    environment = variables(folder, broken.EXAMPLE.parent)
    with Provider.start(accounts=accounts_needed(trials), variables=environment) as provider:
        routed = settings.model_copy(
            update={
                "provider_route": provider.url,
                "quota_scale": QUOTA_SCALE,
                "tidepool_client_id": SecretStr("tidepool-client"),
                "tidepool_client_secret": SecretStr("tidepool-client-secret"),
                "log_format": "json",
            }
        )
        assert routed.records_keyring is not None
        crm = Client(
            routed.database_url_of(Role.CRM),
            Path(routed.records_keyring.get_secret_value()),
            workspace="check", actor="test", reason="a test of the kit",
        )  # fmt: skip
        logs = tmp_path_factory.mktemp("stage")
        with crm, Stage.open(routed, logs, {**environment, **routed.as_variables()}) as stage:
            return Check(stage, provider, crm, lambda _result, _number, _total: None).run(trials)


def test_every_case_has_a_connector_that_is_broken_for_it() -> None:
    assert list(broken.BREAKS) == [case.name for case in CASES]


@pytest.mark.parametrize("case", broken.BREAKS)
def test_a_broken_connector_fails_the_case_that_is_about_it_and_no_other(case: str, reports: dict[str, Report]) -> None:
    report = reports[broken.name_of(case)]
    failed = {result.case: result.why for result in report.results if result.verdict is Verdict.FAILED}
    assert case in failed, failed
    assert set(failed) <= {case} | broken.COMPANIONS.get(case, set()), failed
    assert all(failed.values()), "what does not hold is told"
    not_tried = {result.case for result in report.results if result.verdict is Verdict.NOT_TRIED}
    assert bool(not_tried) == (CASES[0].name in failed)

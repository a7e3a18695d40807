"""`crm-sync connector check`: sets the stage for the conformance suite, shows how it goes, and tells what it found."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker import embedded
from worker.cli.environment import open_environment
from worker.cli.folders import remove_folder
from worker.cli.speech import Exit, Speech
from worker.connectors import registry
from worker.connectors.contract import Connector, Stream
from worker.errors import BadRequest
from worker.kit.check import Check, Trial, accounts_needed, cases_named
from worker.kit.check import Progress as Told
from worker.kit.grades import Grade, Report, Result, Verdict
from worker.kit.provider import QUOTA_SCALE, Provider
from worker.kit.stage import Stage
from worker.settings import Mode, Settings, load

_SIGNS: Final = {
    Verdict.HELD: "held",
    Verdict.FAILED: "FAILED",
    Verdict.NOT_APPLICABLE: "-",
    Verdict.NOT_TRIED: "not tried",
}


def run_check(
    speech: Speech, names: Sequence[str], *, streams: Sequence[str], cases: Sequence[str], at_least: str
) -> int:
    """Check connectors and tell; returns the exit code.

    Raises:
        BadRequest: there is no such connector, stream, case or grade.
        Misconfigured: a connector does not load, or no simulated provider plays for it.
    """
    wanted = _grade(at_least)
    chosen = cases_named(cases)
    connectors = [registry.load(name) for name in dict.fromkeys(names)]
    trials = [Trial(connector, _streams(connector, streams), chosen) for connector in connectors]
    with _progress(speech) as told:
        reports = _check(trials, told)
    in_part = bool(streams or cases)
    if speech.as_json:
        speech.data([_as_data(report, in_part=in_part) for report in reports])
    else:
        for report in reports:
            _show(speech, report, in_part=in_part)
    good = all(_is_good(report, None if in_part else wanted) for report in reports)
    return int(Exit.OK if good else Exit.FAILED)


def _grade(name: str) -> Grade:
    try:
        return Grade(name)
    except ValueError:
        known = ", ".join(grade.value for grade in Grade)
        raise BadRequest(f"There is no grade «{name}». There are: {known}.") from None


def _streams(connector: Connector, names: Sequence[str]) -> list[Stream]:
    known = [stream.name for stream in connector.streams]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadRequest(f"«{connector.facts.name}» has no stream «{unknown[0]}». It has: {', '.join(known)}.")
    return [stream for stream in connector.streams if not names or stream.name in names]


def _check(trials: Sequence[Trial], told: Told) -> list[Report]:
    folder = Path(tempfile.mkdtemp(prefix="crm-sync-check-"))
    try:
        with Provider.start(accounts=accounts_needed(trials)) as provider:
            settings = _settings(folder, provider, trials)
            opened = open_environment(settings)
            try:
                with (
                    Stage.open(opened.settings, folder, opened.variables()) as stage,
                    opened.client("check", actor="check", reason="a conformance check") as crm,
                ):
                    return Check(stage, provider, crm, told).run(trials)
            finally:
                if opened.servers is not None:
                    opened.servers.close()
    finally:
        embedded.remove(folder / "servers", force=True)
        remove_folder(folder)


def _settings(folder: Path, provider: Provider, trials: Sequence[Trial]) -> Settings:
    """Settings with which every connector meets its simulated provider."""
    theirs: dict[str, Any] = {}
    for trial in trials:
        theirs |= provider.rehearsal(trial.connector.facts.name).settings
    return load(
        **theirs,
        mode=Mode.DEVELOPMENT,
        data_dir=folder,
        provider_route=provider.url,
        quota_scale=QUOTA_SCALE,
        database_url=None,
        database_url_owner=None,
        database_url_scheduler=None,
        database_url_crm=None,
        redis_url=None,
        keys_url=None,
        grant_keyring=None,
        records_keyring=None,
        lease_s=5,
        shutdown_s=2.0,
        log_format="json",
    )


@contextmanager
def _progress(speech: Speech) -> Iterator[Told]:
    if speech.as_json:
        yield lambda _result, _number, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=speech.err, transient=True) as bar:
        task = bar.add_task("servers start", total=None)

        def told(result: Result, number: int, total: int) -> None:
            bar.update(task, completed=number, total=total, description=f"{result.case} of {result.stream}")
            if result.verdict is Verdict.FAILED:
                bar.console.print(f"{result.case} of {result.stream} did not hold", style="red", highlight=False)

        yield told


def _is_good(report: Report, wanted: Grade | None) -> bool:
    if wanted is None:
        return not report.missing
    return report.grade is not None and report.grade.rank >= wanted.rank


def _show(speech: Speech, report: Report, *, in_part: bool) -> None:
    rows: dict[str, dict[str, str]] = {}
    for result in report.results:
        row = rows.setdefault(result.case, {"case": result.case, "grade": result.grade.value})
        row[result.stream] = _SIGNS[result.verdict]
    streams = list(dict.fromkeys(result.stream for result in report.results))
    speech.table(report.connector, ["case", "grade", *streams], list(rows.values()))
    for why, count in Counter(
        f"{result.case}: {result.why}" for result in report.results if result.verdict is Verdict.NOT_APPLICABLE
    ).items():
        speech.say(f"  does not apply to {_times(count)}: {why}", "dim")
    for result in report.missing:
        speech.say(f"\n{result.case} of {result.stream} {_SIGNS[result.verdict]} ({result.grade.value})", "red")
        speech.say(f"  why: {result.why}")
        again = f"crm-sync connector check {report.connector} --stream {result.stream} --case {result.case}"
        speech.say(f"  next: mend it and run `{again}`")
    if in_part:
        speech.say("\nNo grade: not everything was tried.", "bold")
        return
    grade = report.grade
    speech.out.print(f"{report.connector}: {grade.value if grade else 'no grade'}", style="bold", highlight=False)


def _times(count: int) -> str:
    return "one stream" if count == 1 else f"{count} streams"


def _as_data(report: Report, *, in_part: bool) -> dict[str, Any]:
    grade = None if in_part else report.grade
    return {
        "connector": report.connector,
        "grade": grade.value if grade else None,
        "missing": [f"{result.stream}: {result.case}: {result.why}" for result in report.missing],
        "results": report.results,
    }

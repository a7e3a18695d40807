"""Grades follow from results alone, and the table of cases is whole."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.connectors import registry
from worker.errors import BadRequest
from worker.kit.cases import CASES
from worker.kit.check import cases_named
from worker.kit.grades import Grade, Report, Result, Verdict, grade_of

ALL_HELD = [Result(case.name, "contacts", case.grade, Verdict.HELD) for case in CASES]


def but(verdict: Verdict, *grades: Grade) -> list[Result]:
    """Everything held but one case of each of those grades."""
    chosen = {grade: next(result for result in ALL_HELD if result.grade is grade) for grade in grades}
    return [replace(result, verdict=verdict) if result in chosen.values() else result for result in ALL_HELD]


def test_all_that_holds_is_platinum_and_nothing_tried_is_nothing() -> None:
    assert grade_of(ALL_HELD) is Grade.PLATINUM
    assert grade_of([]) is None


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.NOT_TRIED])
@pytest.mark.parametrize(
    ("missed", "reached"),
    [(Grade.BRONZE, None), (Grade.SILVER, Grade.BRONZE), (Grade.GOLD, Grade.SILVER), (Grade.PLATINUM, Grade.GOLD)],
)
def test_one_case_that_does_not_hold_costs_its_grade(verdict: Verdict, missed: Grade, reached: Grade | None) -> None:
    assert grade_of(but(verdict, missed)) is reached
    assert grade_of(but(verdict, missed, Grade.PLATINUM)) is reached


def test_what_does_not_apply_costs_nothing() -> None:
    assert grade_of(but(Verdict.NOT_APPLICABLE, *Grade)) is Grade.PLATINUM


def test_what_is_missing_for_the_next_grade_is_told_first() -> None:
    report = Report("fig", but(Verdict.FAILED, Grade.PLATINUM, Grade.SILVER))
    assert [result.grade for result in report.missing] == [Grade.SILVER, Grade.PLATINUM]


@given(st.lists(st.tuples(st.sampled_from(CASES), st.sampled_from(Verdict))))
def test_a_grade_never_rises_when_less_holds(cells: list[tuple[object, Verdict]]) -> None:
    results = [Result(case.name, "s", case.grade, verdict) for case, verdict in cells]  # type: ignore[attr-defined]
    before = grade_of(results)
    for number, result in enumerate(results):
        worse = [*results[:number], replace(result, verdict=Verdict.FAILED), *results[number + 1 :]]
        after = grade_of(worse)
        assert (after.rank if after else -1) <= (before.rank if before else -1)


def test_every_grade_needs_cases_and_every_case_has_one_name_and_a_promise() -> None:
    assert {case.grade for case in CASES} == set(Grade)
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.promise for case in CASES)


def test_what_is_ruled_out_is_so_by_facts_and_with_a_reason() -> None:
    connector = registry.load("gmail")
    profile, contacts = connector.stream("profile"), connector.stream("contacts")
    assert profile is not None
    assert contacts is not None
    by_name = {case.name: case for case in CASES}
    assert by_name["duplicates"].ruled_out(connector.facts, profile) == "the stream is one record"
    assert by_name["missing_scope"].ruled_out(connector.facts, profile) == "it needs no scope of its own"
    assert not any(case.ruled_out(connector.facts, contacts) for case in CASES)
    lasting = replace(contacts, cursor_dies=False, deletes=False)
    assert by_name["expired_cursor"].ruled_out(connector.facts, lasting) == "the provider forgets no cursor of it"
    assert by_name["tombstones"].ruled_out(connector.facts, lasting)


def test_a_case_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    assert cases_named([]) == CASES
    assert [case.name for case in cases_named(["frugal"])] == ["frugal"]
    with pytest.raises(BadRequest, match="first_pass"):
        cases_named(["furgal"])

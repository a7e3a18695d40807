"""Grades, and what a check found: which case of which stream held, which did not and why, which did not apply.

A grade is reached when every case that it needs, and every case of the grades below it, held for every stream or did
not apply to it. Nothing here runs anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum


class Grade(Enum):
    """From the lowest to the highest; the text under each is what it promises."""

    BRONZE = "bronze"
    """It syncs: what the provider holds is held, changes and deletions follow, and no secret is told."""
    SILVER = "silver"
    """It is reliable: an ordinary fault of the provider or of ours costs time, and nothing else."""
    GOLD = "gold"
    """It is careful: odd replies cost no record and no loop, and what it writes has a rule for how long it is kept."""
    PLATINUM = "platinum"
    """It is exemplary: it moves with a moving world, asks for no more than it needs, and its facts are complete."""

    @property
    def rank(self) -> int:
        """0 for the lowest."""
        return list(Grade).index(self)


class Verdict(StrEnum):
    """What came of one case for one stream."""

    HELD = "held"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Result:
    """One cell of the table. `why` says what did not hold, or which fact rules the case out."""

    case: str
    stream: str
    grade: Grade
    verdict: Verdict
    why: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """All that a check found out about a connector."""

    connector: str
    results: Sequence[Result] = field(default_factory=list)

    @property
    def grade(self) -> Grade | None:
        """The highest grade that it reaches; None if it does not reach the lowest."""
        return grade_of(self.results)

    @property
    def missing(self) -> list[Result]:
        """What did not hold or was not tried, the lowest grade first: what to mend next comes first."""
        wrong = [result for result in self.results if result.verdict in {Verdict.FAILED, Verdict.NOT_TRIED}]
        return sorted(wrong, key=lambda result: result.grade.rank)


def grade_of(results: Iterable[Result]) -> Grade | None:
    """The grade that results come to. Pure."""
    good = {Verdict.HELD, Verdict.NOT_APPLICABLE}
    results = list(results)
    if not results:
        return None
    lowest_missed = min((result.grade.rank for result in results if result.verdict not in good), default=len(Grade))
    return list(Grade)[lowest_missed - 1] if lowest_missed else None

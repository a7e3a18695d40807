"""When a record's time is over: the provider's rule and the workspace's, of which the shorter counts. Pure.

    rules of a connection ─▶ Retention ─▶ due(kind, its day, when it was last shown) ─▶ Due: when, by which rule

A rule counts from when the provider last showed a record, or from the record's own day. The two may stand side by side,
one the provider's and one the workspace's, and each has its own effect: what is shown again lives on by the first, and
not by the second. All times are the database's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec

from worker.errors import Misconfigured
from worker.records import LIES_AHEAD

POLICY, WORKSPACE, DISCONNECT = "policy", "workspace", "disconnect"
"""Which rule set an end; they are in rows, so none is ever renamed."""
_RENEWED_AFTER = 8
"""A record that is shown unchanged is written again once an eighth of its time has gone by, and not at each showing."""
_FOREVER = datetime.max.replace(tzinfo=UTC)


class Due(msgspec.Struct, frozen=True, gc=False):
    """The end of a record: None is never. `renewable`: if the provider shows it again, it lives on."""

    expires_at: datetime | None = None
    rule: str | None = None
    renewable: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """An age and whose word it is."""

    max_age: timedelta
    by: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one kind of record: the shorter age of each way of counting; None for none."""

    fetched: Rule | None = None
    dated: Rule | None = None
    after_disconnect: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules for a connection's records at one moment. `ended_at`: it was disconnected then, and its data kept."""

    now: datetime
    terms: Mapping[str, Terms] = field(default_factory=dict)
    ended_at: datetime | None = None

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> "Retention":
        """From the rows of the query `rules`, of which there is one at least."""
        terms: dict[str, Terms] = {}
        now, ended_at = _FOREVER, None
        for row in rows:
            now = row["now"]
            ended_at = row["state_since"] if row["state"] == "disconnected" else None
            if row["kind"] is not None:
                terms[row["kind"]] = _terms(row)
        return cls(now, terms, ended_at)

    def knows(self, kind: str) -> bool:
        """Whether there is a rule for that kind; without one nothing may be stored."""
        return kind in self.terms

    def require(self, kinds: Iterable[str]) -> None:
        """Refuse kinds for which there is no rule.

        Raises:
            Misconfigured: one has none.
        """
        for kind in sorted({kind for kind in kinds if kind not in self.terms}):
            raise Misconfigured(
                f"No published policy has a rule for records of the kind «{kind}», so none may be stored. Add "
                f"[keep.{kind}] to the connector's policy file, raise its version, and start the workers again."
            )

    def day(self, kind: str, dated: date | None) -> date | None:
        """The day that is believed: a mail from the future is one of today."""
        if dated is None or kind in LIES_AHEAD:
            return dated
        return min(dated, self.now.date())

    def due(self, kind: str, dated: date | None, fetched_at: datetime) -> Due:
        """When the time of such a record is over. The rule that is met first sets it."""
        terms = self.terms[kind]
        ends: list[tuple[datetime, str, bool]] = []
        after = self.end_after(kind)
        if after is not None:
            ends.append((after, DISCONNECT, True))
        if terms.dated is not None:
            start = fetched_at if dated is None else datetime.combine(dated, time.min, UTC)
            ends.append((_after(start, terms.dated.max_age), terms.dated.by, dated is None))
        if terms.fetched is not None:
            ends.append((_after(fetched_at, terms.fetched.max_age), terms.fetched.by, True))
        return Due(*min(ends, key=lambda end: end[0])) if ends else Due()

    def end_after(self, kind: str) -> datetime | None:
        """After a disconnect, the end of everything of that kind; None if it is connected, or may stay."""
        wait = self.terms[kind].after_disconnect
        return None if self.ended_at is None or wait is None else _after(self.ended_at, wait)

    def age_of_days(self, kind: str) -> tuple[timedelta | None, str | None]:
        """How long the numbers of a day are kept, and by whose word. They count from their day, whatever the rule."""
        terms = self.terms[kind]
        rules = [rule for rule in (terms.fetched, terms.dated) if rule is not None]
        shortest = min(rules, key=lambda rule: rule.max_age, default=None)
        return (shortest.max_age, shortest.by) if shortest else (None, None)

    def oldest_day(self, kind: str) -> date:
        """The oldest day whose numbers are kept still."""
        age, _ = self.age_of_days(kind)
        try:
            return date.min if age is None else (self.now - age).date() + timedelta(days=1)
        except OverflowError:
            return date.min

    def window_days(self, kind: str, days: int) -> int:
        """Of a window of `days` back (0: all), what is worth reading: what is older would be over when it comes."""
        dated = self.terms[kind].dated if kind in self.terms else None
        if dated is None:
            return days
        longest = max(1, -(-dated.max_age // timedelta(days=1)))
        return min(days, longest) if days else longest

    def wants_renewal(self, kind: str, fetched_at: datetime) -> bool:
        """Whether enough time has gone by to note that the provider showed a record again."""
        ages = self._ages_from_fetch(kind)
        return bool(ages) and self.now - fetched_at >= min(ages) / _RENEWED_AFTER

    def plan_again_in(self) -> timedelta | None:
        """After how long ends that count from the last showing must be reckoned anew; None if there are none."""
        if self.ended_at is not None:
            return None
        ages = [age for kind in self.terms for age in self._ages_from_fetch(kind)]
        return max(min(ages) / _RENEWED_AFTER, timedelta(minutes=5)) if ages else None

    def _ages_from_fetch(self, kind: str) -> list[timedelta]:
        terms = self.terms[kind]
        return [rule.max_age for rule in (terms.fetched, terms.dated) if rule is not None]


def _terms(row: Mapping[str, Any]) -> Terms:
    shortest: dict[str, Rule] = {}
    for age, counted_from, by in (
        (row["max_age"], row["counted_from"], POLICY),
        (row["own_max_age"], row["own_counted_from"], WORKSPACE),
    ):
        if age is not None and (counted_from not in shortest or age < shortest[counted_from].max_age):
            shortest[counted_from] = Rule(age, by)
    return Terms(shortest.get("fetched"), shortest.get("record_date"), row["after_disconnect"])


def _after(start: datetime, age: timedelta) -> datetime:
    try:
        return start + age
    except OverflowError:
        return _FOREVER

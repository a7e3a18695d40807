"""A series' rule as Graph words it: a pattern and a range.

What Graph has no words for (dates left out or added, several days of a month) is told by the occurrences alone.
Source: the provider sheet, section 3.5; https://learn.microsoft.com/graph/api/resources/recurrencepattern.
"""

from datetime import UTC, date, datetime
from typing import Any

from simulator.microsoft.times import utc
from simulator.world.event_facts import EventFacts
from simulator.world.moments import wall_of

_DAYS = {"MO": "monday", "TU": "tuesday", "WE": "wednesday", "TH": "thursday", "FR": "friday", "SA": "saturday",
         "SU": "sunday"}  # fmt: skip
_INDEX = {1: "first", 2: "second", 3: "third", 4: "fourth", -1: "last"}


def patterned(facts: EventFacts) -> dict[str, Any] | None:
    """Return the rule of a series; None for one that has only dates."""
    line = next((one for one in facts.recurrence if one.startswith("RRULE:")), None)
    if line is None:
        return None
    parts = dict(part.partition("=")[::2] for part in line.removeprefix("RRULE:").split(";"))
    first = _first_day(facts)
    return {"pattern": _pattern(parts, first), "range": _range(parts, first, facts.start.zone)}


def _first_day(facts: EventFacts) -> date:
    start = facts.start
    return date.fromisoformat(start.day) if start.day else wall_of(start.seconds or 0, start.zone).date()


def _pattern(parts: dict[str, str], first: date) -> dict[str, Any]:
    pattern: dict[str, Any] = {
        "interval": int(parts.get("INTERVAL", "1")), "month": 0, "dayOfMonth": 0, "firstDayOfWeek": "monday",
        "index": "first",
    }  # fmt: skip
    days = [one for one in parts.get("BYDAY", "").split(",") if one]
    weekdays = [_DAYS[one[-2:]] for one in days]
    every = parts["FREQ"]
    if every == "DAILY":
        return pattern | ({"type": "weekly", "daysOfWeek": weekdays} if days else {"type": "daily"})
    if every == "WEEKLY":
        return pattern | {"type": "weekly", "daysOfWeek": weekdays or [list(_DAYS.values())[first.weekday()]]}
    kind = "Monthly" if every == "MONTHLY" else "Yearly"
    month = {} if every == "MONTHLY" else {"month": first.month}
    if days:
        index = _INDEX.get(int(days[0][:-2] or 1), "first")
        return pattern | month | {"type": f"relative{kind}", "daysOfWeek": weekdays, "index": index}
    chosen = int(parts.get("BYMONTHDAY", str(first.day)).split(",")[0])
    if chosen < 0:
        return pattern | month | {"type": f"relative{kind}", "daysOfWeek": list(_DAYS.values()), "index": "last"}
    return pattern | month | {"type": f"absolute{kind}", "dayOfMonth": chosen}


def _range(parts: dict[str, str], first: date, zone: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "startDate": first.isoformat(), "recurrenceTimeZone": zone, "numberOfOccurrences": 0,
        "endDate": "0001-01-01", "type": "noEnd",
    }  # fmt: skip
    if "COUNT" in parts:
        return found | {"type": "numbered", "numberOfOccurrences": int(parts["COUNT"])}
    if "UNTIL" in parts:
        last = datetime.strptime(parts["UNTIL"][:8], "%Y%m%d").replace(tzinfo=UTC)
        return found | {"type": "endDate", "endDate": utc(last.timestamp())[:10]}
    return found

"""A calendar of a small world: single events and two series that all happen within some weeks.

Nothing lies outside the days `EARLIEST` to `LATEST` from the world's first one and no series is without an end: every
window that a connector may sensibly choose holds all of it.
"""

from datetime import timedelta

from simulator.world.calendars import Calendar
from simulator.world.moments import utc_text

EARLIEST, LATEST = -10, 40
_APART, _WHOLE_DAY = 3, 5
_LATER_S = 5 * 3_600


def add_singles(calendar: Calendar, count: int) -> None:
    """Add events that say what those of their numbers say in any world; every fifth is a whole day, and all holidays.

    They are spread over the weeks in no order of theirs.
    """
    for at in range(count):
        days = EARLIEST + _APART * at % (LATEST - EARLIEST)
        day = _day(calendar, days)
        times = {"start": f"{day}T{8 + at % 9:02}:00:00Z", "end": f"{day}T{8 + at % 9:02}:30:00Z"}
        if calendar.nature == "holiday" or at % _WHOLE_DAY == _WHOLE_DAY - 1:
            times = {"start": day, "end": _day(calendar, days + 1)}
        calendar.add({**times, "recurrence": []}, calendar.ground.epoch)


def add_series(calendar: Calendar) -> None:
    """Add one of whole days, and one of which the second does not happen and the fourth does so later, renamed."""
    now, day = calendar.ground.epoch, _day(calendar, EARLIEST + 2)
    fair = {"title": "Fair", "start": day, "end": _day(calendar, EARLIEST + 3)}
    calendar.add({**fair, "recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]}, now)
    talk = {"title": "Round of the week", "start": f"{day}T10:00:00Z", "end": f"{day}T10:45:00Z"}
    series = calendar.add({**talk, "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"]}, now)
    originals = [one.original for one in calendar.instances(series, int(now) + LATEST * 86_400)]
    calendar.depart(series, originals[1], None, now)
    later = {"title": "Round of the week, later", "start": utc_text(originals[3].moved(_LATER_S))}
    calendar.depart(series, originals[3], dict(later), now)


def _day(calendar: Calendar, days: int) -> str:
    return (calendar.ground.today + timedelta(days=days)).isoformat()

"""Hard cases: the first events of every primary calendar, each with a name that tests can look for.

A case is a function from the ground and the ordinary event of its number; one that is an exception of a series names
how far back the series stands and which of its occurrences it is.
Clocks are changed in the year of the world's first day; `moments.clock_change` finds the instant.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from simulator.world.event_facts import EventFacts, Guest, Organizer, shifted
from simulator.world.events import Departure, Ground, occurrence, ordinary_departure, ordinary_event
from simulator.world.moments import At, at_wall, clock_change, moment, wall_of
from simulator.world.recurrence import occurrences

Make = Callable[[Ground, EventFacts], EventFacts]
_MARK = re.compile(r"\{\+(\d+)\}")  # In a rule: the moment so many days after the start.
_HOUR = 3_600
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Case:
    """A named event."""

    name: str
    make: Make
    back: int = 0
    nth: int = 0
    cancelled: bool = False


def departure_of(number: int, *, hard: bool) -> Departure | None:
    """Say whether the event with this number is an exception of a series; `hard` calendars begin with the cases."""
    if hard and number < len(HARD_CASES):
        case = HARD_CASES[number]
        return Departure(number - case.back, case.nth, case.cancelled) if case.back else None
    found = ordinary_departure(number)
    return None if found is None or (hard and found.series < len(HARD_CASES)) else found


def event(ground: Ground, number: int, *, hard: bool) -> EventFacts:
    """Return the event with this number."""
    if not hard or number >= len(HARD_CASES):
        if hard and ordinary_departure(number) and departure_of(number, hard=True) is None:
            return _single(ground, ordinary_event(ground, number + 3))
        return ordinary_event(ground, number)
    case = HARD_CASES[number]
    if case.back:
        series = event(ground, number - case.back, hard=True)
        return case.make(ground, shifted(series, occurrence(series, case.nth)))
    return case.make(ground, _single(ground, ordinary_event(ground, number + 20 * len(HARD_CASES))))


def shared_meeting(ground: Ground) -> EventFacts:
    """Return the meeting that stands in an account's primary calendar and in its team's, under one `uid`."""
    uid = f"quarter-review-{ground.owner.number}@planning.example"
    return EventFacts(start=_wall(ground, 10, 10), end=_wall(ground, 10, 11), title="Review of the quarter", uid=uid)


def _single(ground: Ground, facts: EventFacts) -> EventFacts:
    """Return a plain event of an hour in the calendar's zone, so that a case is hard for one reason only."""
    return EventFacts(start=_wall(ground, 0, 10), end=_wall(ground, 0, 11), title=facts.title)


def _with(**changes: Any) -> Make:
    return lambda _ground, facts: msgspec.structs.replace(facts, **changes)


def _wall(ground: Ground, days: int, hour: int, minute: int = 0, zone: str = "") -> At:
    day = ground.today + timedelta(days=days)
    return moment(f"{day.isoformat()}T{hour:02}:{minute:02}:00", zone or ground.zone)


def _day(ground: Ground, days: int) -> At:
    return At(day=(ground.today + timedelta(days=days)).isoformat(), zone=ground.zone)


def _timed(days: int, hour: int, minutes: int = 60, *rules: str, zone: str = "", **changes: Any) -> Make:
    return lambda ground, facts: _lasting(facts, _wall(ground, days, hour, zone=zone), minutes * 60, rules, changes)


def _whole(days: int, length: int, *rules: str, **changes: Any) -> Make:
    return lambda ground, facts: _lasting(facts, _day(ground, days), length * _DAY, rules, changes)


def _lasting(facts: EventFacts, start: At, seconds: int, rules: tuple[str, ...], changes: dict[str, Any]) -> EventFacts:
    """Return an event or a series, which begins with the first moment that its rules allow."""
    filled = tuple(_MARK.sub(lambda days: _same_time(start, int(days[1])).stamp, rule) for rule in rules)
    first = next(occurrences(start, filled))
    return msgspec.structs.replace(facts, start=first, end=first.moved(seconds), recurrence=filled, **changes)


def _same_time(start: At, days: int) -> At:
    """Return the same wall time some days later."""
    if start.day is not None:
        return start.moved(days * _DAY)
    wall = wall_of(start.seconds or 0, start.zone).replace(tzinfo=None)
    return At(at_wall(wall + timedelta(days=days), start.zone), start.zone)


def _at_change(zone: str, from_s: int, to_s: int, *, forward: bool, rules: tuple[str, ...] = ()) -> Make:
    """An event that is placed by seconds from the moment when clocks are changed."""

    def make(ground: Ground, facts: EventFacts) -> EventFacts:
        change = clock_change(zone, ground.today.year, forward=forward)
        start = At(change + from_s, zone)
        return msgspec.structs.replace(facts, start=start, end=At(change + to_s, zone), recurrence=rules)

    return make


def _days_over_change(ground: Ground, facts: EventFacts) -> EventFacts:
    change = At(clock_change("Europe/London", ground.today.year, forward=True) - _DAY, "Europe/London")
    start = moment(f"{change.stamp[:4]}-{change.stamp[4:6]}-{change.stamp[6:8]}", ground.zone)
    return msgspec.structs.replace(facts, start=start, end=start.moved(3 * _DAY))


def _leap_day(ground: Ground, facts: EventFacts) -> EventFacts:
    year = ground.today.year - ground.today.year % 4
    start = moment(f"{year}-02-29", ground.zone)
    return msgspec.structs.replace(facts, start=start, end=start.moved(_DAY), recurrence=("RRULE:FREQ=YEARLY",))


def _flight(ground: Ground, facts: EventFacts) -> EventFacts:
    start = _wall(ground, 9, 23, 45, "Asia/Bangkok")
    end = At((start.seconds or 0) + 12 * _HOUR, "Europe/London")
    return msgspec.structs.replace(facts, start=start, end=end, title="BKK → LHR")


def _between(first: str, last: str, title: str) -> Make:
    def make(ground: Ground, facts: EventFacts) -> EventFacts:
        return msgspec.structs.replace(
            facts, start=moment(first, ground.zone), end=moment(last, ground.zone), title=title
        )

    return make


def _shown_as(**changes: Any) -> Make:
    """An exception that keeps its time and differs in what it says."""
    return _with(**changes)


def _moved(seconds: int, **changes: Any) -> Make:
    return lambda _ground, facts: msgspec.structs.replace(shifted(facts, facts.start.moved(seconds)), **changes)


def _with_own(*others: Guest, answer: str = "accepted", host: Organizer | None = None, **changes: Any) -> Make:
    def make(ground: Ground, facts: EventFacts) -> EventFacts:
        own = msgspec.convert(
            {"email": ground.owner.email, "name": ground.owner.name, "answer": answer, "organizer": host is None}, Guest
        )
        return msgspec.structs.replace(facts, guests=(own, *others), organizer=host, **changes)

    return make


_HOST = Organizer("maren.birch@planning.example", "Maren Birch")
_HOST_GUEST = Guest(_HOST.email, _HOST.name, "accepted", organizer=True)
_MANY = tuple(Guest(f"guest{n}@crowd.example", f"Guest {n}") for n in range(199))
_HTML = (
    "<p>Agenda&nbsp;for <b>Thursday</b><br>1&gt; numbers</p><script>alert('x')</script>"
    '<a href="javascript:alert(1)" onclick="x()">join</a><img src="http://tracker.example/p.gif">'
)

HARD_CASES: tuple[Case, ...] = (
    Case("thai", _timed(1, 9, title="ประชุมทีมขายประจำเดือน", location="ห้องประชุมชั้น ๑๒")),
    Case("arabic", _timed(1, 13, title="اجتماع المشروع مع شركة النخلة", description="<p>جدول الأعمال</p>")),
    Case("without a title", _timed(2, 9, title="")),
    Case("whole day", _whole(3, 1, title="Fair")),
    Case("several days", _whole(4, 5, title="Holiday", busy=False)),
    Case("whole days over the start of summer time", _days_over_change),
    Case("over the hour that is left out", _at_change("America/New_York", -1_800, 1_800, forward=True)),
    Case("in the first of the doubled hours", _at_change("Europe/London", -1_800, -900, forward=False)),
    Case("in the second of the doubled hours", _at_change("Europe/London", 1_800, 2_700, forward=False)),
    Case("daily with a count", _timed(-3, 8, 15, "RRULE:FREQ=DAILY;COUNT=10", title="Stand-up")),
    Case("weekly until a time", _timed(-30, 15, 60, "RRULE:FREQ=WEEKLY;UNTIL={+84}", title="Weekly round",
                                        zone="Europe/London")),
    Case("moved exception", _moved(2 * _DAY + _HOUR, title="Weekly round, two days later"), back=1, nth=2),
    Case("cancelled exception", _with(), back=2, nth=4, cancelled=True),
    Case("exception with another title", _shown_as(title="Weekly round with the auditors"), back=3, nth=5),
    Case("weekly without an end", _timed(-70, 11, 30, "RRULE:FREQ=WEEKLY;BYDAY=TU,TH", title="Pairing",
                                          zone="Asia/Amman")),
    Case("monthly on the last friday", _timed(-90, 16, 45, "RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=12",
                                               title="Month's end")),
    Case("monthly on the 31st", _timed(-60, 12, 30, "RRULE:FREQ=MONTHLY;BYMONTHDAY=31;COUNT=8", title="Rent")),
    Case("dates added and left out", _timed(-7, 14, 60, "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=8", "EXDATE:{+2},{+4}",
                                            "RDATE:{+3},{+40}", title="Course")),
    Case("yearly on 29 February", _leap_day),
    Case("whole days every week", _whole(-21, 1, "RRULE:FREQ=WEEKLY;COUNT=8", title="Market day")),
    Case("cancelled exception of whole days", _with(), back=1, nth=3, cancelled=True),
    Case("whole day exception moved", _moved(_DAY, title="Market day, on Sunday"), back=2, nth=5),
    Case("series through the hour that is left out",
         _at_change("Europe/London", -3 * _DAY + 1_800, -3 * _DAY + 3_600, forward=True,
                    rules=("RRULE:FREQ=DAILY;COUNT=6",))),
    Case("series through the doubled hour",
         _at_change("America/New_York", -2 * _DAY - 1_800, -2 * _DAY - 900, forward=False,
                    rules=("RRULE:FREQ=DAILY;COUNT=5",))),
    Case("begins and ends in different zones", _flight),
    Case("two hundred guests", _with_own(*_MANY, title="All hands")),
    Case("guests left out by the host", _with_own(*_MANY[:3], guests_omitted=True, title="Reception")),
    Case("declined", _with_own(_HOST_GUEST, answer="declined", host=_HOST, title="Budget round")),
    Case("organized by someone else", _with_own(_HOST_GUEST, answer="tentative", host=_HOST, title="Supplier day",
                                                uid="20261123T0900-supplier-day@planning.example")),
    Case("private", _timed(5, 17, title="Doctor", visibility="private", location="Mill Lane 3")),
    Case("confidential", _timed(6, 17, title="Salary talk", visibility="confidential")),
    Case("html in the description", _timed(2, 15, description=_HTML, title='<b>Bold</b> & "quoted"')),
    Case("very long description", _timed(2, 16, description="ก" * 8_000 + "x" * 192, title="t" * 1_000)),
    Case("emoji", _timed(2, 17, title="🎉🇹🇭 👩🏽‍🚀 launch", location="🌍")),
    Case("nul and bidirectional override", _timed(3, 9, title="plan\x00ning \u202etxt.exe", location="tab\there")),
    Case("no length", _timed(3, 10, 0, title="Reminder")),
    Case("longer than a year", _whole(-200, 500, title="Sabbatical")),
    Case("long ago", _between("1971-02-03T04:05:06+00:00", "1971-02-03T05:05:06+00:00", "First meeting")),
    Case("far ahead", _between("2199-12-31", "2200-01-01", "Century's end")),
    Case("end unspecified", _timed(3, 11, 60, title="Drinks", end_unspecified=True)),
    Case("video conference", _timed(3, 12, title="Call with the buyer", conference="meet")),
    Case("conference of another maker", _timed(3, 13, title="Webinar", conference="other")),
    Case("from a mail", _timed(7, 9, 120, kind="fromGmail", title="Reservation at Tin Roof", busy=False,
                               source=("Your reservation", "https://mail.example/m/1"))),
    Case("birthday", _whole(20, 1, "RRULE:FREQ=YEARLY", kind="birthday", title="Layla's birthday", busy=False,
                            visibility="private", person="people/c1")),
    Case("out of office", _timed(8, 9, 480, kind="outOfOffice", title="Out of office")),
    Case("focus time", _timed(8, 18, 90, kind="focusTime", title="Focus time")),
    Case("working from home", _whole(9, 1, "RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=10", kind="workingLocation", title="Home",
                                     busy=False, visibility="public", working_place="homeOffice")),
    Case("tentative and free", _timed(4, 9, status="tentative", busy=False, title="Maybe lunch")),
    Case("same meeting in another calendar", lambda ground, _facts: shared_meeting(ground)),
    Case("room and guests with odd addresses",
         _with_own(Guest("room-12@rooms.example", "Room 12", "accepted", resource=True),
                   Guest("  Mixed.Case@QUIETHARBOUR.Example "), Guest("ü@bücher.example", "ü"),
                   Guest("group@dokbua.example", "กลุ่ม", optional=True, with_others=7, comment="พวกเรามาด้วย"))),
    Case("own properties and attachments",
         _timed(4, 12, own_properties=(("crm", "17"),), shared_properties=(("deal", "A-1"),), color="11",
                attachments=(("Offer", "https://files.example/offer"),), reminders=(("email", 1440), ("popup", 0)))),
    Case("no reminders", _timed(4, 14, reminders=(), title="Quiet")),
)  # fmt: skip

"""What the demonstration shows of what came in: a few records in each script that it speaks of."""

from collections import Counter
from typing import Any, Final

from worker.records import Contact, Event, Message

SCRIPTS: Final = ("Latin", "Thai", "Arabic")


def script_of(text: str) -> str:
    """The script that most letters of a text are of, among those that the demonstration speaks of."""
    counts = Counter(
        "Thai" if "\u0e00" <= c <= "\u0e7f" else "Arabic" if "\u0600" <= c <= "\u06ff" else "Latin"
        for c in text
        if c.isalpha()
    )
    return counts.most_common(1)[0][0] if counts else "none"


def some_contacts(people: list[Contact]) -> list[dict[str, Any]]:
    """Rows of one contact in each script."""
    chosen = [
        next((each for each in people if script_of(each.display_name) == script and each.phones), None)
        for script in SCRIPTS
    ]
    return [
        {
            "name": person.display_name,
            "email": person.emails[0].value if person.emails else None,
            "phone": person.phones[0].value,
        }
        for person in chosen
        if person is not None
    ]


def some_mails(mails: list[Message]) -> list[dict[str, Any]]:
    """Rows of one mail in each script."""
    rows = []
    for script in SCRIPTS:
        written = (each for each in mails if script_of(each.subject) == script_of(each.text) == script)
        mail = next(written, None)
        if mail is not None:
            sender = mail.sender.value if mail.sender else None
            rows.append({"from": sender, "subject": mail.subject, "text": " ".join(mail.text.split())[:60]})
    return rows


def some_meetings(meetings: list[Event]) -> list[dict[str, Any]]:
    """Rows of one meeting in each script, and of one whole day."""
    whole_days = (each for each in meetings if each.starts and each.starts.date)
    chosen = [next((each for each in meetings if script_of(each.summary) == script), None) for script in SCRIPTS]
    return [
        {
            "starts": meeting.starts and (meeting.starts.date or meeting.starts.at),
            "summary": meeting.summary,
            "guests": len(meeting.attendees),
            "repeats": meeting.recurrence[0] if meeting.recurrence else None,
        }
        for meeting in (*chosen, next(whole_days, None))
        if meeting is not None
    ]

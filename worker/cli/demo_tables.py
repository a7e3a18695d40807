"""What the demonstration shows of what came in: a few records in each script that it speaks of."""

from collections import Counter
from typing import Any

from worker.records import Contact, Message


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
        for script in ("Latin", "Thai", "Arabic")
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
    for script in ("Latin", "Thai", "Arabic"):
        mail = next((each for each in mails if script_of(each.subject + each.text) == script), None)
        if mail is not None:
            sender = mail.sender.value if mail.sender else None
            text = " ".join(mail.text.split())[:60]
            rows.append({"script": script, "from": sender, "subject": mail.subject, "text": text})
    return rows

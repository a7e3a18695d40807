"""How tests write down what a mail says: the next of the seed, a hard case, raw bytes, or single fields."""

import base64
from typing import Any

import msgspec

from simulator.world.hard_mails import BY_NAME
from simulator.world.mail_facts import Letter, MailFacts, MailFile, MailTruth, Party, ordinary_mail, rfc5322_date
from simulator.world.mailbox import Mailbox, Own

_PEOPLE = ("to", "cc", "bcc", "reply_to")


def own_from(mailbox: Mailbox, given: dict[str, Any], at: float) -> Own | None:
    """Return what an edit says that a new mail should say; None leaves it to the hard case that it names.

    Raises: ValueError for a case or field that there is not.
    """
    if "case" in given:
        if given["case"] not in BY_NAME:
            raise ValueError(f"There is no hard case {given['case']!r}; there are {list(BY_NAME)}.")
        return None
    if "raw" in given:
        return Letter(base64.b64decode(given["raw"]), msgspec.convert(given.get("truth", {}), MailTruth))
    number = mailbox.next_number
    if "fields" not in given:
        return ordinary_mail(mailbox.owner, number, number, 0, at)
    setting = mailbox.setting(number, at)
    usual = MailFacts(sender=setting.other, to=(setting.owner,), date=rfc5322_date(at), message_id=setting.message_id)
    return facts_from(given["fields"], usual)


def facts_from(fields: dict[str, Any], usual: MailFacts) -> MailFacts:
    """Build facts from control input; people may be plain addresses, files have `text` or `base64`.

    Raises: ValueError for an unknown field.
    """
    unknown = set(fields) - set(MailFacts.__struct_fields__)
    if unknown:
        raise ValueError(f"A message has no field {sorted(unknown)}; it has {list(MailFacts.__struct_fields__)}.")
    values = dict(fields)
    if "sender" in values and values["sender"] is not None:
        values["sender"] = _party(values["sender"])
    for name in _PEOPLE:
        if name in values:
            values[name] = tuple(_party(one) for one in values[name])
    if "files" in values:
        values["files"] = tuple(_file(one) for one in values["files"])
    for name in ("references", "headers"):
        if name in values:
            values[name] = tuple(tuple(one) if isinstance(one, list) else one for one in values[name])
    return msgspec.structs.replace(usual, **values)


def _party(given: Any) -> Party:
    return Party("", given) if isinstance(given, str) else msgspec.convert(given, Party)


def _file(given: dict[str, Any]) -> MailFile:
    content = base64.b64decode(given["base64"]) if "base64" in given else str(given.get("text", "")).encode()
    return MailFile(
        str(given["filename"]), str(given.get("mime_type", "text/plain")), content, str(given.get("content_id", ""))
    )

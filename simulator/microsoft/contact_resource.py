"""A contact as Graph shows it. Facts come from the world; nothing is decided here.

Source: the provider sheet, section 3.5.
"""

from typing import Any

from simulator.microsoft.times import etag, utc
from simulator.world.folders import Item
from simulator.world.people import PersonFacts

PROPERTIES = (
    "assistantName", "birthday", "businessAddress", "businessHomePage", "businessPhones", "categories", "changeKey",
    "children", "companyName", "createdDateTime", "department", "displayName", "emailAddresses", "fileAs",
    "generation", "givenName", "homeAddress", "homePhones", "id", "imAddresses", "initials", "jobTitle",
    "lastModifiedDateTime", "manager", "middleName", "mobilePhone", "nickName", "officeLocation", "otherAddress",
    "parentFolderId", "personalNotes", "profession", "spouseName", "surname", "title", "yomiCompanyName",
    "yomiGivenName", "yomiSurname",
)  # fmt: skip
_NEVER_THERE = (
    "assistantName", "generation", "initials", "manager", "middleName", "officeLocation", "profession", "spouseName",
    "title", "yomiCompanyName", "yomiGivenName", "yomiSurname",
)  # fmt: skip


def contact(item: Item, facts: PersonFacts, contact_id: str, folder_id: str) -> dict[str, Any]:
    """Return everything that there is to say about a contact."""
    mobile = [one.value for one in facts.phones if one.kind == "mobile"]
    home = [one.value for one in facts.phones if one.kind == "home"]
    other = [one.value for one in facts.phones if one.kind not in ("mobile", "home")]
    return {
        "@odata.etag": etag(item.number, item.version),
        "id": contact_id,
        "createdDateTime": utc(item.created_at),
        "lastModifiedDateTime": utc(item.updated_at),
        "changeKey": etag(item.number, item.version)[3:-1],
        "categories": [],
        "parentFolderId": folder_id,
        "birthday": _birthday(facts),
        "fileAs": ", ".join(one for one in (facts.family_name, facts.given_name) if one) or facts.company,
        "displayName": facts.display_name,
        "givenName": facts.given_name or None,
        "nickName": facts.nickname or None,
        "surname": facts.family_name or None,
        "imAddresses": [],
        "jobTitle": facts.title or None,
        "companyName": facts.company or None,
        "department": facts.department or None,
        "businessHomePage": facts.website or None,
        "homePhones": home,
        "mobilePhone": mobile[0] if mobile else None,
        "businessPhones": [*mobile[1:], *other],
        "personalNotes": facts.note,
        "children": [],
        "emailAddresses": [{"name": facts.display_name or one.value, "address": one.value} for one in facts.emails],
        "homeAddress": {},
        "businessAddress": _address(facts),
        "otherAddress": {},
        **dict.fromkeys(_NEVER_THERE),
    }


def _birthday(facts: PersonFacts) -> str | None:
    """Return a birthday as midday in UTC; a year that is not known is 1604, and without a day there is none."""
    day = facts.birthday
    if day is None or not (day.month and day.day):
        return None
    return f"{day.year or 1604:04}-{day.month:02}-{day.day:02}T11:59:00Z"


def _address(facts: PersonFacts) -> dict[str, str]:
    parts = {"street": facts.street, "city": facts.city, "countryOrRegion": facts.country_code}
    return {name: value for name, value in parts.items() if value}

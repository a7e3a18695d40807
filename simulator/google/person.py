"""A person in the People API's words, from the facts of the world.

Pure: facts in, a resource out. Fields that are empty are left out, as protobuf's JSON leaves them out.
Source: the provider sheet, section 5.1, and the People discovery document, revision 20251117.
"""

from typing import Any

from simulator.clock import utc_text
from simulator.world import Account
from simulator.world.contacts import Contact
from simulator.world.people import PersonFacts

PERSON_FIELDS = frozenset(
    {"addresses", "ageRanges", "biographies", "birthdays", "calendarUrls", "clientData", "coverPhotos",
     "emailAddresses", "events", "externalIds", "genders", "imClients", "interests", "locales", "locations",
     "memberships", "metadata",
     "miscKeywords", "names", "nicknames", "occupations", "organizations", "phoneNumbers", "photos", "relations",
     "sipAddresses", "skills", "urls", "userDefined"}
)  # fmt: skip
LIST_LIMIT = 100
PHOTO_HOST = "lh3.googleusercontent.com"


def etag_of(contact: Contact) -> str:
    """Return the person's etag."""
    return f"%{_mixed(contact.key, contact.version):016x}"


def _mixed(first: int, second: int) -> int:
    """Return a number that looks like nothing and differs whenever either of the two does; a hash would cost more."""
    return (first * 0x9E3779B97F4A7C15 + second * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF


def contact_source(contact: Contact, kind: str) -> dict[str, Any]:
    """Return the source that stands for the address book's entry."""
    return {
        "type": kind,
        "id": f"{contact.key:x}",
        "etag": f"#{_mixed(contact.version, contact.key):016x}=",
        "updateTime": utc_text(contact.updated_at),
    }


def tombstone(contact: Contact, kind: str) -> dict[str, Any]:
    """Return what an incremental sync says of a deleted contact."""
    return {
        "resourceName": resource_name(contact, kind),
        "etag": etag_of(contact),
        "metadata": {"sources": [contact_source(contact, kind)], "deleted": True, "objectType": "PERSON"},
    }


def resource_name(contact: Contact, kind: str) -> str:
    """Return the name by which the API knows the contact."""
    return f"{'otherContacts' if kind == 'OTHER_CONTACT' else 'people'}/c{contact.name_number}"


def resource(
    contact: Contact,
    facts: PersonFacts,
    mask: frozenset[str],
    *,
    kind: str = "CONTACT",
    limit: int | None = None,
    former: bool = False,
    groups: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the person with the fields of the mask.

    `limit` caps e-mails and phones, as lists do; `former` adds previous resource names, as syncs do; `groups` maps our
    group names to the ids of the account.
    """
    source = {"type": kind, "id": f"{contact.key:x}"}
    first = {"primary": True, "source": source, "sourcePrimary": True}
    other = {"source": source}
    person: dict[str, Any] = {"resourceName": resource_name(contact, kind), "etag": etag_of(contact)}
    if "metadata" in mask:
        person["metadata"] = {"sources": [contact_source(contact, kind)], "objectType": "PERSON"}
        if former and contact.former:
            person["metadata"]["previousResourceNames"] = [f"people/c{number}" for number in contact.former]
    if "names" in mask and facts.display_name:
        person["names"] = [_name(facts, first)]
    if "photos" in mask:
        person["photos"] = [_photo(contact, facts, first)]
    if "memberships" in mask:
        person["memberships"] = [_membership(one, groups or {}, other) for one in facts.groups]
    _add_ways_to_reach(person, facts, mask, limit, first, other)
    _add_rare(person, facts, mask, first, other)
    return person


def _add_ways_to_reach(
    person: dict[str, Any],
    facts: PersonFacts,
    mask: frozenset[str],
    limit: int | None,
    first: dict[str, Any],
    other: dict[str, Any],
) -> None:
    if "emailAddresses" in mask and facts.emails:
        person["emailAddresses"] = [
            _with_kind({"metadata": other if at else first, "value": one.value}, one.kind)
            for at, one in enumerate(facts.emails[:limit])
        ]
    if "phoneNumbers" in mask and facts.phones:
        person["phoneNumbers"] = [
            _with_kind(
                {"metadata": other if at else first, "value": one.value}
                | ({"canonicalForm": one.canonical} if one.canonical else {}),
                one.kind,
            )
            for at, one in enumerate(facts.phones[:limit])
        ]
    if "organizations" in mask and (facts.company or facts.title):
        organisation = {"metadata": first, "name": facts.company, "department": facts.department, "title": facts.title}
        person["organizations"] = [{key: value for key, value in organisation.items() if value}]
    if "addresses" in mask and (facts.street or facts.city):
        person["addresses"] = [_address(facts, first)]


def _add_rare(
    person: dict[str, Any], facts: PersonFacts, mask: frozenset[str], first: dict[str, Any], other: dict[str, Any]
) -> None:
    if "nicknames" in mask and facts.nickname:
        person["nicknames"] = [{"metadata": first, "value": facts.nickname}]
    if "birthdays" in mask and facts.birthday is not None:
        day = facts.birthday
        date = {key: value for key, value in (("year", day.year), ("month", day.month), ("day", day.day)) if value}
        birthday: dict[str, Any] = {"metadata": first}
        birthday |= {"date": date} if date else {}
        birthday |= {"text": day.text} if day.text else {}
        person["birthdays"] = [birthday]
    if "biographies" in mask and facts.note:
        person["biographies"] = [{"metadata": first, "value": facts.note, "contentType": "TEXT_PLAIN"}]
    if "urls" in mask and facts.website:
        person["urls"] = [_with_kind({"metadata": first, "value": facts.website}, "homePage")]
    if "userDefined" in mask and facts.custom:
        person["userDefined"] = [
            {"metadata": other if at else first, "key": key, "value": value}
            for at, (key, value) in enumerate(facts.custom)
        ]


def _name(facts: PersonFacts, metadata: dict[str, Any]) -> dict[str, Any]:
    name: dict[str, Any] = {"metadata": metadata, "displayName": facts.display_name}
    if facts.family_name:
        name["familyName"] = facts.family_name
    if facts.given_name:
        name["givenName"] = facts.given_name
    both = facts.given_name and facts.family_name
    name["displayNameLastFirst"] = f"{facts.family_name}, {facts.given_name}" if both else facts.display_name
    name["unstructuredName"] = facts.display_name
    return name


def _photo(contact: Contact, facts: PersonFacts, metadata: dict[str, Any]) -> dict[str, Any]:
    if facts.photo == "default":
        return {
            "metadata": metadata,
            "url": f"https://{PHOTO_HOST}/cm/default-{contact.number % 8}=s100",
            "default": True,
        }
    return {"metadata": metadata, "url": f"https://{PHOTO_HOST}/contacts/{contact.key:x}-{facts.photo}=s100"}


def _membership(group: str, ids: dict[str, str], metadata: dict[str, Any]) -> dict[str, Any]:
    group_id = ids.get(group, group)
    return {
        "metadata": metadata,
        "contactGroupMembership": {
            "contactGroupId": group_id,
            "contactGroupResourceName": f"contactGroups/{group_id}",
        },
    }


def _address(facts: PersonFacts, metadata: dict[str, Any]) -> dict[str, Any]:
    lines = [one for one in (facts.street, facts.city, facts.country_code) if one]
    parts = {"streetAddress": facts.street, "city": facts.city, "countryCode": facts.country_code}
    address: dict[str, Any] = {"metadata": metadata, "formattedValue": "\n".join(lines), "type": "work"}
    address["formattedType"] = "Work"
    return address | {key: value for key, value in parts.items() if value}


def _with_kind(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if kind:
        value["type"] = kind
        value["formattedType"] = kind[:1].upper() + kind[1:]
    return value


def own_profile(account: Account, mask: frozenset[str]) -> dict[str, Any]:
    """Return what the account's owner says of themselves."""
    source = {"type": "PROFILE", "id": account.sub}
    metadata = {"primary": True, "verified": True, "source": source, "sourcePrimary": True}
    person: dict[str, Any] = {"resourceName": f"people/{account.sub}", "etag": "%self"}
    if "metadata" in mask:
        kind = {"objectType": "PERSON", "userTypes": ["GOOGLE_USER"]}
        person["metadata"] = {"sources": [{**source, "etag": "#self", "profileMetadata": kind}], "objectType": "PERSON"}
    if "names" in mask:
        person["names"] = [
            {"metadata": metadata, "displayName": account.display_name, "givenName": account.given_name,
             "familyName": account.family_name}
        ]  # fmt: skip
    if "emailAddresses" in mask:
        person["emailAddresses"] = [{"metadata": metadata, "value": account.email}]
    return person

"""How the People API takes its place in the family: its addresses, the truth about contacts and what tests may edit."""

from typing import Any

import msgspec

from simulator.google.contact_groups import ContactGroups
from simulator.google.people import SERVICE, People, PeopleSwitches, person_name
from simulator.google.person import PERSON_FIELDS
from simulator.google.service import Edit, Parts, Service
from simulator.world import Account, World
from simulator.world.contacts import AddressBook, Contact, facts_from


def people_service(parts: Parts) -> Service:
    """Build the service."""
    world = parts.simulator.world
    groups = ContactGroups(world, parts.simulator.mint)
    people = People(world, parts.simulator.mint, parts.access, groups)

    def set_switches(changes: dict[str, Any]) -> dict[str, Any]:
        people.switches = changed(people.switches, changes)
        return dict(msgspec.to_builtins(people.switches))

    return Service(
        name="people",
        prefixes=((SERVICE, "/v1/"),),
        style="modern",
        handle=people.handle,
        truth={
            "contacts": lambda account: _truth(account.contacts, "people"),
            "other_contacts": lambda account: _truth(account.others, "otherContacts"),
            "groups": groups.truth,
        },
        edits=_edits(world, people, groups),
        counts=lambda account: {"contacts": account.contacts.alive},
        switches=set_switches,
    )


def changed(switches: Any, changes: dict[str, Any]) -> Any:
    """Return switches (a dataclass) with some of them set.

    Raises: ValueError for an unknown one, msgspec.ValidationError for a wrong value.
    """
    present = {name: getattr(switches, name) for name in type(switches).__dataclass_fields__}
    unknown = sorted(set(changes) - set(present))
    if unknown:
        raise ValueError(f"There is no switch {unknown}; there are {sorted(present)}.")
    return msgspec.convert(msgspec.to_builtins(present | changes), type(switches))


def _truth(book: AddressBook, collection: str) -> list[dict[str, Any]]:
    return [_shown(book, contact, collection) for contact in book.from_number(0)]


def _shown(book: AddressBook, contact: Contact, collection: str) -> dict[str, Any]:
    facts = book.facts(contact)
    return {
        "id": f"{collection}/c{contact.name_number}",
        "source_id": f"{contact.key:x}",
        "number": contact.number,
        "version": contact.version,
        "former_ids": [f"{collection}/c{number}" for number in contact.former],
        "display_name": facts.display_name,
        **msgspec.to_builtins(facts),
    }


def _edits(world: World, people: People, groups: ContactGroups) -> dict[str, Edit]:
    now = world.clock.now

    def add(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        book = account.others if given.get("other") else account.contacts
        added = []
        for _ in range(int(given.get("count", 1))):
            facts = facts_from(given["fields"]) if "fields" in given else None
            added.append(person_name(book.add(facts, now())))
        return {"id": added[0], "ids": added}

    def change(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        contact = account.contacts.find(given["id"])
        account.contacts.change(contact, given["fields"], now())
        return {"id": person_name(contact)}

    def delete(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        contacts = [account.contacts.find(one) for one in given.get("ids", [given.get("id", "")])]
        for contact in contacts:
            account.contacts.delete(contact, now())
        return {"deleted": len(contacts)}

    def delete_all(account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        contacts = list(account.contacts.from_number(0))
        for contact in contacts:
            account.contacts.delete(contact, now())
        return {"deleted": len(contacts)}

    def rename(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        contact = account.contacts.find(given["id"])
        account.contacts.rename(contact, now())
        return {"id": person_name(contact), "former_ids": [f"people/c{number}" for number in contact.former]}

    def merge(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        kept, gone = account.contacts.find(given["keep"]), account.contacts.find(given["drop"])
        account.contacts.merge(kept, gone, now())
        return {"id": person_name(kept)}

    def group(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        return {"id": groups.edit(account, given["group"], given.get("name"))}

    def expire(account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        account.contacts.log.expire()
        account.others.log.expire()
        groups.expire(account)
        return {"expired": True}

    def warm(account: Account, given: dict[str, Any]) -> dict[str, Any]:
        mask = given.get("personFields")
        return {"warmed": people.warm(account, frozenset(mask.split(",")) if mask else PERSON_FIELDS)}

    return {
        "add_contact": add,
        "change_contact": change,
        "delete_contact": delete,
        "delete_all_contacts": delete_all,
        "rename_contact": rename,
        "merge_contacts": merge,
        "touch": lambda account, given: {"touched": account.contacts.touch(float(given["percent"]), now())},
        "edit_group": group,
        "expire_sync_tokens": expire,
        "warm_contacts": warm,
    }


__all__ = ["PeopleSwitches", "changed", "people_service"]

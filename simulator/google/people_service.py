"""How the People API takes its place in the family: its addresses, the truth about contacts and what tests may edit."""

from typing import Any

import msgspec

from simulator.google.contact_groups import ContactGroups
from simulator.google.people import SERVICE, People, person_name
from simulator.google.person import PERSON_FIELDS
from simulator.google.service import Edit, Parts, Service
from simulator.switching import switch
from simulator.world import Account, World
from simulator.world.contacts import AddressBook, Contact, facts_from


def people_service(parts: Parts) -> Service:
    """Build the service."""
    world = parts.simulator.world
    groups = ContactGroups(world, parts.simulator.mint)
    people = People(world, parts.simulator.mint, parts.access, groups)

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
        edits=_Edits(world, people, groups).table,
        counts=lambda account: {"contacts": account.contacts.alive},
        switches=lambda changes: switch(people.switches, changes),
    )


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


class _Edits:
    """What tests may do to an address book; every method takes the account and the edit as it was given."""

    def __init__(self, world: World, people: People, groups: ContactGroups) -> None:
        self._now = world.clock.now
        self._people = people
        self._groups = groups
        self.table: dict[str, Edit] = {
            "add_contact": self._add,
            "change_contact": self._change,
            "delete_contact": self._delete,
            "delete_all_contacts": self._delete_all,
            "rename_contact": self._rename,
            "merge_contacts": self._merge,
            "touch": self._touch,
            "edit_group": self._edit_group,
            "expire_sync_tokens": self._expire,
            "warm_contacts": self._warm,
        }

    def _add(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        book = account.others if given.get("other") else account.contacts
        added = []
        for _ in range(int(given.get("count", 1))):
            facts = facts_from(given["fields"]) if "fields" in given else None
            added.append(person_name(book.add(facts, self._now())))
        return {"id": added[0] if added else None, "ids": added}

    def _change(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        contact = account.contacts.find(given["id"])
        account.contacts.change(contact, given["fields"], self._now())
        return {"id": person_name(contact)}

    def _delete(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        contacts = [account.contacts.find(one) for one in given.get("ids", [given.get("id", "")])]
        for contact in contacts:
            account.contacts.delete(contact, self._now())
        return {"deleted": len(contacts)}

    def _delete_all(self, account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        contacts = list(account.contacts.from_number(0))
        for contact in contacts:
            account.contacts.delete(contact, self._now())
        return {"deleted": len(contacts)}

    def _rename(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        contact = account.contacts.find(given["id"])
        account.contacts.rename(contact, self._now())
        return {"id": person_name(contact), "former_ids": [f"people/c{number}" for number in contact.former]}

    def _merge(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        kept, gone = account.contacts.find(given["keep"]), account.contacts.find(given["drop"])
        account.contacts.merge(kept, gone, self._now())
        return {"id": person_name(kept)}

    def _touch(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        return {"touched": account.contacts.touch(float(given["percent"]), self._now())}

    def _edit_group(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        return {"id": self._groups.edit(account, given["group"], given.get("name"))}

    def _expire(self, account: Account, _given: dict[str, Any]) -> dict[str, Any]:
        account.contacts.log.expire()
        account.others.log.expire()
        self._groups.expire(account)
        return {"expired": True}

    def _warm(self, account: Account, given: dict[str, Any]) -> dict[str, Any]:
        mask = given.get("personFields")
        return {"warmed": self._people.warm(account, frozenset(mask.split(",")) if mask else PERSON_FIELDS)}

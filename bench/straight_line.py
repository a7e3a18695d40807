"""Contacts in a straight line: the same normalisation, sealing, lookups, feed and cursor, and no engine around them.

One thread, one connection to Postgres, one to the provider, one transaction a page; no gate, no permits, no comparison
with what is held, no counters, no lease. It is what the engine is measured against.
"""

import http.client
import json
import time
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from bench.place import Place
from worker.app import spare_collections
from worker.connectors import google_contacts
from worker.records import identifiers_of, normal_form
from worker.settings import Role
from worker.store import documents, feed
from worker.store.database import Database
from worker.store.documents import SealedDocument, StreamPlace
from worker.store.feed import Entry, Event
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore


def run(there: Place, account: str) -> dict[str, float]:
    """Sync an account's contacts; how many, and in how many seconds."""
    spare_collections()
    settings = there.opened.settings
    workspace, connection = f"line-{uuid4().hex[:8]}", uuid4()
    there.client(workspace).close()
    token = there.simulator.grant(account, [google_contacts.SCOPE])["access_token"]
    keyrings = {
        name: Keyring.load(getattr(settings, f"{name}_keyring").get_secret_value(), name)
        for name in ("grant", "records")
    }
    with Database(settings.database_url_of(Role.WORKER), max_size=2) as database:
        store = KeyStore(database, grant=keyrings["grant"], records=keyrings["records"])
        with database.transaction(workspace) as tx:
            tx.execute(
                "INSERT INTO crm_sync.connection (workspace_id, connection_id, provider, state, policy_version, "
                "agreed_by) VALUES (%s, %s, 'line', 'active', 'v', 'u')",
                [workspace, connection],
            )
            tx.execute(
                "INSERT INTO crm_sync.stream (workspace_id, connection_id, stream, every) "
                "VALUES (%s, %s, 'contacts', '1 h')",
                [workspace, connection],
            )
        store.create_for_connection(workspace, connection)
        keys, blind = store.records(workspace, connection), store.blind_index(workspace, "US")
        place = StreamPlace(workspace, connection, "contacts")
        part = keys.part_key("contacts", "")
        with database.transaction(workspace) as tx:
            tx.execute(
                "INSERT INTO crm_sync.part (workspace_id, connection_id, stream, part_key) "
                "VALUES (%s, %s, 'contacts', %s)",
                [workspace, connection, part],
            )
        address = urlsplit(there.simulator.url)
        line = http.client.HTTPConnection(address.hostname or "", address.port)
        query = {
            "personFields": google_contacts.PERSON_FIELDS,
            "pageSize": google_contacts.PAGE_SIZE,
            "sources": google_contacts.SOURCES,
            "requestSyncToken": "true",
        }
        count, page_token = 0, ""
        started_s = time.perf_counter()
        while True:
            asked = {**query, **({"pageToken": page_token} if page_token else {})}
            line.request(
                "GET",
                f"/people.googleapis.com/v1/people/me/connections?{urlencode(asked)}",
                headers={"authorization": f"Bearer {token}"},
            )
            listed, _ = google_contacts.parse_page(line.getresponse().read())
            sealed = []
            for person in listed.connections:
                body = google_contacts.contact_of(person)
                key = keys.document_key("contacts", person.resource_name)
                plain = normal_form(body)
                sealed.append(
                    SealedDocument(
                        key,
                        "contact",
                        keys.digest("contacts", 1, plain),
                        keys.seal("document.body", key, plain),
                        b"".join(blind.values(identifiers_of(body))),
                    )
                )
            sealed.sort(key=lambda document: document.document_key)
            page_token = listed.next_page_token
            cursor = keys.seal("part.cursor", part, json.dumps({"page": page_token}).encode())
            with database.transaction(workspace) as tx, tx.pipeline():
                documents.save(tx, place, part, 1, sealed)
                tx.execute(
                    "UPDATE crm_sync.part SET sealed_cursor = %s WHERE workspace_id = %s AND connection_id = %s "
                    "AND stream = 'contacts'",
                    [cursor, workspace, connection],
                )
                entries = [Entry(Event.RECORD_SAVED, document.document_key) for document in sealed]
                feed.append(tx, workspace, entries, connection_id=connection, stream="contacts")
            count += len(sealed)
            if not page_token:
                break
        took_s = time.perf_counter() - started_s
        line.close()
    return {"contacts": count, "took_s": round(took_s, 2), "per_s": round(count / took_s)}

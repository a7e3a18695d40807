"""A stream in a straight line: the same requests, normalisation, sealing, lookups, feed and cursor, and no engine.

    page ─▶ normal form ─▶ seal ─▶ one transaction: documents, lookups, cursor, feed ─▶ the next page

One thread, one connection to Postgres, one to the provider; no gate, no permits, no comparison with what is held, no
counters, no lease, nothing read ahead. It is what the engine is measured against.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from bench.place import Place
from worker.app import spare_collections
from worker.connectors import google_batch, google_contacts, google_mail, google_message
from worker.records import Body, identifiers_of, normal_form
from worker.settings import Role
from worker.store import documents, feed
from worker.store.database import Database
from worker.store.documents import SealedDocument, StreamPlace
from worker.store.feed import Entry, Event
from worker.transport.replies import Reply
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

Listed = tuple[list[tuple[str, Body]], str]
"""A page: what is in it by the provider's ids, and the token of the next."""


class Line:
    """One connection to the provider, with a token."""

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        self._line = http.client.HTTPConnection(address.hostname or "", address.port)
        self._token = token

    def get(self, path: str, **query: str | int) -> bytes:
        """The body of a reply."""
        self._line.request("GET", f"{path}?{urlencode(query)}", headers=self._headers())
        return self._line.getresponse().read()

    def post(self, path: str, body: bytes, content_type: str) -> Reply:
        """The reply to a batch."""
        self._line.request("POST", path, body, self._headers() | {"content-type": content_type})
        reply = self._line.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, headers, reply.read())

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"}

    def close(self) -> None:
        """Close it."""
        self._line.close()


def contacts(line: Line) -> Iterator[Listed]:
    """The address book, a thousand a page."""
    query: dict[str, str | int] = {
        "personFields": google_contacts.PERSON_FIELDS,
        "pageSize": google_contacts.PAGE_SIZE,
        "sources": google_contacts.SOURCES,
        "requestSyncToken": "true",
    }
    token = ""
    while True:
        asked = query | ({"pageToken": token} if token else {})
        listed, _ = google_contacts.parse_page(line.get("/people.googleapis.com/v1/people/me/connections", **asked))
        token = listed.next_page_token
        yield [(person.resource_name, google_contacts.contact_of(person)) for person in listed.connections], token
        if not token:
            return


def messages(line: Line) -> Iterator[Listed]:
    """The mailbox, as many a page as the connector reads: a list, then batches that read what it lists."""
    base = "/gmail/v1/users/me/messages"
    inner = urlencode({"format": "full", "fields": google_message.FIELDS})
    token = ""
    while True:
        asked = {"maxResults": google_mail.LIST_PAGE_SIZE} | ({"pageToken": token} if token else {})
        listed = json.loads(line.get(f"/gmail.googleapis.com{base}", **asked))
        token = listed.get("nextPageToken", "")
        all_ids = [each["id"] for each in listed.get("messages", [])]
        for start in range(0, len(all_ids), google_mail.MOST_IN_BATCH):
            ids = all_ids[start : start + google_mail.MOST_IN_BATCH]
            body = google_batch.write_batch([f"{base}/{key}?{inner}" for key in ids], "line")
            replies = google_batch.read_batch(
                line.post("/gmail.googleapis.com/batch", body, 'multipart/mixed; boundary="line"'), len(ids)
            )
            found: list[tuple[str, Body]] = [
                (key, message)
                for key, reply in zip(ids, replies, strict=True)
                if reply is not None and (message := google_message.read(key, reply.body)) is not None
            ]
            yield found, token
        if not token:
            return


SOURCES: dict[str, tuple[str, Callable[[Line], Iterator[Listed]]]] = {
    "contacts": (google_contacts.SCOPE, contacts),
    "messages": (google_mail.SCOPE, messages),
}


def run(there: Place, account: str, stream: str) -> dict[str, float]:
    """Sync a stream of an account; how many records, and in how many seconds."""
    spare_collections()
    scope, source = SOURCES[stream]
    settings = there.opened.settings
    workspace = f"line-{uuid4().hex[:8]}"
    there.client(workspace).close()
    line = Line(there.simulator.url, there.simulator.grant(account, [scope])["access_token"])
    keyrings = {
        name: Keyring.load(getattr(settings, f"{name}_keyring").get_secret_value(), name)
        for name in ("grant", "records")
    }
    with Database(settings.database_url_of(Role.WORKER), max_size=2) as database:
        store = KeyStore(database, grant=keyrings["grant"], records=keyrings["records"])
        place = StreamPlace(workspace, uuid4(), stream)
        _prepare(database, store, place)
        keys, blind = store.records(workspace, place.connection), store.blind_index(workspace, "US")
        part = keys.part_key(stream, "")
        _add_part(database, place, part)
        count = 0
        started_s = time.perf_counter()
        for page, token in source(line):
            sealed = []
            for key, body in page:
                document_key, plain = keys.document_key(stream, key), normal_form(body)
                sealed.append(
                    SealedDocument(
                        document_key,
                        stream.removesuffix("s"),
                        keys.digest(stream, 1, plain),
                        keys.seal("document.body", document_key, plain),
                        b"".join(blind.values(identifiers_of(body))),
                    )
                )
            sealed.sort(key=lambda document: document.document_key)
            cursor = keys.seal("part.cursor", part, json.dumps({"page": token}).encode())
            with database.transaction(workspace) as tx, tx.pipeline():
                documents.save(tx, place, part, 1, sealed)
                tx.execute(
                    "UPDATE crm_sync.part SET sealed_cursor = %s "
                    "WHERE workspace_id = %s AND connection_id = %s AND stream = %s",
                    [cursor, workspace, place.connection, stream],
                )
                entries = [Entry(Event.RECORD_SAVED, document.document_key) for document in sealed]
                feed.append(tx, workspace, entries, connection_id=place.connection, stream=stream)
            count += len(sealed)
        took_s = time.perf_counter() - started_s
        line.close()
    return {"records": count, "took_s": round(took_s, 2), "per_s": round(count / took_s)}


def _prepare(database: Database, store: KeyStore, place: StreamPlace) -> None:
    with database.transaction(place.workspace) as tx:
        tx.execute(
            "INSERT INTO crm_sync.connection (workspace_id, connection_id, provider, state, policy_version, agreed_by) "
            "VALUES (%s, %s, 'line', 'active', 'v', 'u')",
            [place.workspace, place.connection],
        )
        tx.execute(
            "INSERT INTO crm_sync.stream (workspace_id, connection_id, stream, every) VALUES (%s, %s, %s, '1 h')",
            [place.workspace, place.connection, place.stream],
        )
    store.create_for_connection(place.workspace, place.connection)


def _add_part(database: Database, place: StreamPlace, part: bytes) -> None:
    with database.transaction(place.workspace) as tx:
        tx.execute(
            "INSERT INTO crm_sync.part (workspace_id, connection_id, stream, part_key) VALUES (%s, %s, %s, %s)",
            [place.workspace, place.connection, place.stream, part],
        )

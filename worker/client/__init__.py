"""The CRM's door: ask for work, see how it goes, read what changed. Importable without any connector, SDK or broker.

    with Client(url, keyring, workspace="acme", actor="user:17", reason="shows the contact list") as crm:
        job = crm.wait(crm.sync(connection_id)[0])
        for change in crm.feed(after=position):
            ...

Whoever follows the feed begins with all records, page by page, and goes on from the position that the pages name; after
`PositionSwept` likewise:

    page = crm.records()                           # page.items are for your copy …
    while page.next:
        page = crm.records(page.next)              # … and these, page by page
    changes = crm.feed(after=page.position)        # what changed since, and while you read

It uses the CRM's login and the records keyring only, so it can open records and never a token. Everything it opens is
first written into the audit log, with the actor and the reason it was made with: if that fails, nothing is returned. It
runs no job itself; without workers, what it asked for waits. What it raises is in `worker.errors`.

It is one class to whoever uses it, and in parts by subject to whoever reads it:

    asking.py     ask for work, see how it goes, wait for it
    records.py    the feed, and records opened
    overview.py   how things stand: connections, streams, holds, receipts, retention, measures
    door.py       what they stand on: the workspace, the logins, the audit log
"""

from worker.client.asking import Asking
from worker.client.records import Change, Held, Record, Records, RecordsPage

__all__ = ["Change", "Client", "Held", "Record", "RecordsPage"]


class Client(Asking, Records):
    """One workspace, in the name of one actor and for one reason. Threads may share it."""

"""Retention as the CRM's login may see it and shorten it: rules, what is held by which of them, why a record is here.

It opens no record and shows nothing of one but its kind and its times.
"""

from datetime import timedelta
from typing import Any

from worker.errors import BadRequest
from worker.records import DATED
from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("client")
FETCHED, RECORD_DATE = "fetched", "record_date"


def own_rules(tx: Connection, workspace: str) -> list[dict[str, Any]]:
    """What the workspace asks for, beside the policies."""
    return tx.execute(QUERIES["own_rules"], {"workspace": workspace}).fetchall()


def set_rule(
    tx: Connection, workspace: str, connector: str, kind: str, max_age: timedelta, counted_from: str | None, by: str
) -> str:
    """Ask for a shorter time; returns from when it counts: the record's own date where its kind has one.

    Raises:
        BadRequest: no policy knows that kind, the age is under an hour, or it cannot be counted so.
    """
    counted = counted_from or (RECORD_DATE if kind in DATED else FETCHED)
    if counted not in {FETCHED, RECORD_DATE}:
        raise BadRequest(f"A time is counted from «{FETCHED}» or from «{RECORD_DATE}», not from «{counted[:80]}».")
    if not timedelta(hours=1) <= max_age <= timedelta(days=36_500):
        raise BadRequest(
            "A time is from one hour to a hundred years. To delete what is held, disconnect with deletion."
        )
    rule = {"connector": connector, "kind": kind, "max_age": max_age, "counted_from": counted, "by": by}
    tx.execute(QUERIES["set_rule"], {**rule, "workspace": workspace})
    return counted


def unset_rule(tx: Connection, workspace: str, connector: str, kind: str) -> bool:
    """Take such a wish back; False if there is none."""
    wish = {"workspace": workspace, "connector": connector, "kind": kind}
    return tx.execute(QUERIES["unset_rule"], wish).rowcount == 1


def report(tx: Connection, workspace: str) -> list[dict[str, Any]]:
    """What is held, by kind and by the rule that ends it; what is due is not held any more."""
    return tx.execute(QUERIES["retention_report"], {"workspace": workspace}).fetchall()


def why(tx: Connection, workspace: str, document_key: bytes) -> list[dict[str, Any]]:
    """What explains each record under a key; none if it is not here."""
    return tx.execute(QUERIES["why"], {"workspace": workspace, "document_key": document_key}).fetchall()


def last_heard_of(tx: Connection, workspace: str, document_key: bytes) -> dict[str, Any] | None:
    """What the feed said last of a key; None if it says nothing."""
    return tx.execute(QUERIES["last_heard_of"], {"workspace": workspace, "document_key": document_key}).fetchone()

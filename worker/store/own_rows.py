"""Our own rows that have served their end: jobs, their secrets, feed entries, decided holds. It decides nothing."""

from datetime import timedelta

from worker.store.connections import FAREWELLS
from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("own_rows")


def blank_secrets(tx: Connection, workspace: str, answered: timedelta, given_up: timedelta, limit: int) -> int:
    """Forget what finished jobs carried or answered under seal, once they ended so long ago; how many jobs."""
    ages = {"answered": answered, "given_up": given_up}
    return tx.execute(QUERIES["blank_secrets"], {"workspace": workspace, "limit": limit, **ages}).rowcount


def drop_jobs(tx: Connection, workspace: str, finished: timedelta, given_up: timedelta, limit: int) -> int:
    """Delete jobs that ended so long ago, those that were given up after another time; how many.

    Their requests stay counted for their connections. A disconnect or a purge that was given up is kept.
    """
    ages = {"finished": finished, "given_up": given_up, "farewells": list(FAREWELLS)}
    row = tx.execute(QUERIES["drop_jobs"], {"workspace": workspace, "limit": limit, **ages}).fetchone()
    return int(row["jobs"]) if row else 0


def drop_feed_entries(tx: Connection, workspace: str, kept: timedelta, limit: int) -> int:
    """Delete the feed's oldest entries, and note up to where; how many. Only whole beginnings go, so no gap opens."""
    gone = tx.execute(QUERIES["drop_feed_entries"], {"workspace": workspace, "kept": kept, "limit": limit}).fetchall()
    if gone:
        position = max(row["position"] for row in gone)
        tx.execute(QUERIES["note_feed_kept"], {"workspace": workspace, "position": position})
    return len(gone)


def drop_decided_holds(tx: Connection, workspace: str, decided: timedelta, limit: int) -> int:
    """Delete holds that were decided so long ago; how many."""
    return tx.execute(
        QUERIES["drop_decided_holds"], {"workspace": workspace, "decided": decided, "limit": limit}
    ).rowcount

"""Our own rows that have served their end: secrets of finished jobs, holds that were decided. It decides nothing."""

from datetime import timedelta

from worker.store.database import Connection
from worker.store.queries import load

QUERIES = load("own_rows")


def blank_secrets(tx: Connection, workspace: str, answered: timedelta, given_up: timedelta, limit: int) -> int:
    """Forget what finished jobs carried or answered under seal, once they ended so long ago; how many jobs."""
    ages = {"answered": answered, "given_up": given_up}
    return tx.execute(QUERIES["blank_secrets"], {"workspace": workspace, "limit": limit, **ages}).rowcount


def drop_decided_holds(tx: Connection, workspace: str, decided: timedelta, limit: int) -> int:
    """Delete holds that were decided so long ago; how many."""
    return tx.execute(
        QUERIES["drop_decided_holds"], {"workspace": workspace, "decided": decided, "limit": limit}
    ).rowcount

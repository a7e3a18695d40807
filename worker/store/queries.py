"""Named queries: SQL is source and lives in `store/queries/*.sql`, one file a family of tables.

A query stands in its file as

    -- name: claim_job
    -- What it is for, in a sentence or more.
    SELECT …;

and is read once, at import, by `load("ledger")["claim_job"]`. Parameters are psycopg's named ones: `%(job_id)s`.
"""

import re
from importlib.resources import files
from typing import LiteralString

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def load(family: str) -> dict[str, LiteralString]:
    """The statements of `store/queries/<family>.sql` by name.

    Raises:
        ValueError: a name stands twice, or a statement is empty.
    """
    text = files("worker.store").joinpath("queries", f"{family}.sql").read_text(encoding="utf-8")
    pieces = _NAME.split(text)
    statements: dict[str, LiteralString] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        statement = "\n".join(lines).strip().rstrip(";")
        if not statement or name in statements:
            raise ValueError(f"queries/{family}.sql: «{name}» is empty or stands twice")
        statements[name] = statement
    return statements

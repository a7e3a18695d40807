"""Options that many commands share, and how ids are read from a command line."""

from typing import Annotated
from uuid import UUID

import typer

from worker.errors import BadRequest

Json = Annotated[bool, typer.Option("--json", help="data as JSON on stdout, errors as JSON on stderr")]
Workspace = Annotated[
    str, typer.Option("--workspace", "-w", envvar="CRM_SYNC_WORKSPACE", help="the tenant that it is about")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="wait for the end and show progress")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="how many seconds to wait at most")]
Reason = Annotated[str, typer.Option("--reason", help="why; it goes into the audit log")]


def connection_id(text: str) -> UUID:
    """A connection's id.

    Raises:
        BadRequest: it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest(f"«{text}» is no connection id. See `crm-sync connections --workspace …`.") from None

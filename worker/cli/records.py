"""Commands that read: the feed, records by name, all keys. What shows personal data asks for a reason, and notes it."""

from typing import Annotated, Any

import typer

from worker.cli.options import Json, Workspace, connection_id
from worker.cli.speech import speaking

app = typer.Typer(no_args_is_help=True)
WhyNeeded = Annotated[str, typer.Option("--reason", help="why you look; it goes into the audit log")]


def feed(
    workspace: Workspace,
    after: Annotated[
        int | None,
        typer.Option("--after", min=0, help="the position you have read up to; else the oldest that is kept"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="go on with what comes, until Ctrl-C")] = False,
    as_json: Json = False,
) -> None:
    """Show what changed, in order and without gaps: codes and keys, no personal data.

    Entries have an end (CRM_SYNC_FEED_DAYS). After a position whose entries are gone, read all records: `records list`.

    Example: crm-sync feed -w acme --after 120 --follow
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.cli.waiting import until_interrupted  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm, until_interrupted() as interrupted:
            crm.workspace_facts()
            position = crm.feed_bounds().kept_after if after is None else after
            if after is None and position:
                speech.say(f"The feed is kept after position {position}; what came before was swept.")
            while True:
                changes = crm.feed(position, limit, open_records=False)
                rows = [_change(change) for change in changes]
                if follow and as_json:
                    for row in rows:
                        speech.line(row)
                elif rows or not follow:
                    speech.table("Feed", ["position", "at", "event", "stream", "key", "details"], rows)
                if not follow:
                    return
                position = changes[-1].position if changes else position
                if interrupted.wait(0 if changes else 0.5):
                    raise KeyboardInterrupt


@app.command("list")
def list_all(
    workspace: Workspace,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 500,
    as_json: Json = False,
) -> None:
    """List every record that is held, page by page: keys, no personal data. After the last, `feed --after POSITION`.

    Example: crm-sync records list -w acme --limit 1000
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            page = crm.records(after, limit, open_records=False)
        rows = [{name: getattr(item, name) for name in ("connection_id", "stream", "key")} for item in page.items]
        if as_json:
            speech.data({"records": rows, "position": page.position, "next": page.next})
            return
        speech.table("Records", ["connection_id", "stream", "key"], rows)
        if page.next is not None:
            speech.say(f"More: crm-sync records list -w {workspace} --limit {limit} --after {page.next}")
        else:
            speech.say(f"That is all. What changes from here on: crm-sync feed -w {workspace} --after {page.position}")


@app.command()
def show(
    connection: Annotated[str, typer.Argument(help="the connection's id")],
    stream: Annotated[str, typer.Argument(help="the stream's name")],
    key: Annotated[str, typer.Argument(help="the record's key, as the feed gives it")],
    workspace: Workspace,
    reason: WhyNeeded,
    as_json: Json = False,
) -> None:
    """Open one record.

    Example: crm-sync records show 3f0c… contacts 9a1b… -w acme --reason "ticket 4711"
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace, reason=reason) as crm:
            crm.workspace_facts()
            speech.facts(_record(crm.record(connection_id(connection), stream, key)))


@app.command()
def search(
    workspace: Workspace,
    reason: WhyNeeded,
    email: Annotated[str | None, typer.Option("--email", help="an address, in any spelling")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="a number, with or without its country")] = None,
    as_json: Json = False,
) -> None:
    """Find every record that names a person, by one address or one number.

    Example: crm-sync records search -w acme --email ann@example.com --reason "access request 12"
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace, reason=reason) as crm:
            crm.workspace_facts()
            rows = [_record(record) for record in crm.search(email=email, phone=phone)]
        speech.table("Records", ["stream", "key", "kind", "body"], rows)


def _change(change: Any) -> dict[str, Any]:
    names = ("position", "at", "event", "connection_id", "stream", "key", "details")
    return {name: getattr(change, name) for name in names}


def _record(record: Any) -> dict[str, Any]:
    from worker.cli.speech import plain  # noqa: PLC0415 - heavy

    shown = {name: getattr(record, name) for name in type(record).__dataclass_fields__}
    return {**shown, "body": plain(record.body)}

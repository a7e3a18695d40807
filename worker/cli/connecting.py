"""Commands around connections: tenants, connect, look, disconnect, receipts."""

from typing import Annotated, Any

import typer

from worker.cli.options import Json, Reason, Timeout, Wait, Workspace, connection_id
from worker.cli.speech import Speech, speaking

workspaces = typer.Typer(no_args_is_help=True)


@workspaces.command("add")
def add_workspace(
    workspace: Annotated[str, typer.Argument(help="your own id of the tenant: letters, digits, . _ -")],
    region: Annotated[str, typer.Option("--region", help="for phone numbers without a country, e.g. US, TH")] = "US",
    as_json: Json = False,
) -> None:
    """Register a tenant. Doing it again changes nothing.

    Example: crm-sync workspaces add acme --region TH
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            made = crm.register_workspace(region)
            speech.say(f"registered «{workspace}»" if made else f"«{workspace}» was registered before", "green")
            if as_json:
                speech.data({"workspace": workspace, "registered_now": made})


@workspaces.command("list")
def list_workspaces(as_json: Json = False) -> None:
    """List the tenants, with the owner's login.

    Example: crm-sync workspaces list
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.settings import Role  # noqa: PLC0415 - likewise
        from worker.store.queries import load  # noqa: PLC0415 - likewise

        with environment() as opened, opened.database(Role.OWNER) as database, database.transaction() as tx:
            rows = tx.execute(load("client")["workspaces"]).fetchall()
        speech.table("Workspaces", ["workspace_id", "default_region", "created_at"], rows)


def connect(
    provider: Annotated[str, typer.Argument(help="a connector's name, see `crm-sync connectors`")],
    workspace: Workspace,
    purposes: Annotated[str, typer.Option("--purposes", help="what the data may be used for, separated by commas")],
    policy_version: Annotated[str, typer.Option("--policy-version", help="of the privacy policy that was agreed to")],
    agreed_by: Annotated[str, typer.Option("--agreed-by", help="your own id of the person, never an address")],
    connection: Annotated[
        str | None, typer.Option("--connection", help="connect this one again, or add purposes to it")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="the account to suggest to the person")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="simulator only: consent without a browser")] = False,
    timeout: Timeout = 300,
    as_json: Json = False,
) -> None:
    """Connect an account: shows the provider's consent page, and waits for the person to come back from it.

    Example: crm-sync connect gmail -w acme --purposes contacts,mail --policy-version 2026-11 --agreed-by user:17
    """
    with speaking(as_json) as speech:
        from worker.cli.consent import connect_account  # noqa: PLC0415 - heavy
        from worker.cli.environment import environment  # noqa: PLC0415 - likewise

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            outcome = connect_account(
                opened.settings,
                crm,
                speech.insist,
                provider=provider,
                purposes=[name.strip() for name in purposes.split(",") if name.strip()],
                policy_version=policy_version,
                agreed_by=agreed_by,
                connection_id=connection_id(connection) if connection else None,
                account=account,
                without_browser=yes,
                timeout_s=timeout,
            )
            speech.say("connected", "green")
            streams = dict(sorted(outcome.get("streams", {}).items()))
            speech.facts({"connection_id": None, **outcome, "streams": streams})
            if outcome.get("missing_scopes"):
                speech.say("Some permissions were not given; their streams do not run.", "yellow")


def connections(workspace: Workspace, as_json: Json = False) -> None:
    """List a tenant's connections and their streams, with an honest status.

    Example: crm-sync connections -w acme
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            listed = crm.connections()
            streams = crm.streams()
        if as_json:
            speech.data(
                [
                    {**speech_dict(item), "streams": [s for s in streams if s.connection_id == item.connection_id]}
                    for item in listed
                ]
            )
            return
        rows = [speech_dict(item) for item in listed]
        speech.table(
            "Connections", ["connection_id", "provider", "state", "state_reason", "purposes", "agreed_by"], rows
        )
        show_streams(speech, streams)
        for item in listed:
            if item.admin_consent_url is not None:
                asked = (
                    f"{item.connection_id} waits for an administrator, who can allow the app for the organisation at:"
                )
                speech.say(f"{asked}\n\n  {item.admin_consent_url}\n\nThen connect it once more with --connection.")


def show_streams(speech: Speech, streams: list[Any]) -> None:
    """A table of streams with what they hold, and what became of all that was seen."""
    rows = [
        {
            "connection": str(item.connection_id)[:8],
            "stream": item.stream,
            "state": item.state if item.state != "active" or item.synced_at else "first pass",
            "held": sum(item.held.values()),
            "seen": item.counters.seen,
            "saved": item.counters.saved,
            "unchanged": item.counters.unchanged,
            "deleted": item.counters.deleted + item.counters.swept,
            "repeated": item.counters.repeated,
            "skipped": item.counters.skipped,
            "refused": item.counters.refused,
            "trouble": item.error_reason,
            "synced_at": item.synced_at,
        }
        for item in streams
    ]
    # The two rare ones take their place in a row only where there is something to tell.
    rare = [name for name in ("repeated", "skipped") if any(row[name] for row in rows)]
    columns = ["connection", "stream", "state", "held", "seen", "saved", "unchanged", "deleted", *rare, "refused"]
    speech.table("Streams", [*columns, "trouble", "synced_at"], rows)


def disconnect(
    connection: Annotated[str, typer.Argument(help="the connection's id")],
    workspace: Workspace,
    delete_data: Annotated[bool, typer.Option("--delete-data", help="delete what was synced, too")] = False,
    reason: Reason = "asked on the command line",
    wait: Wait = True,
    timeout: Timeout = 120,
    as_json: Json = False,
) -> None:
    """End a connection: stop, revoke at the provider, destroy its tokens; with --delete-data its records and keys too.

    Example: crm-sync disconnect 3f0c… -w acme --delete-data
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.cli.waiting import wait_for  # noqa: PLC0415 - likewise

        with environment() as opened, opened.client(workspace, reason=reason) as crm:
            crm.workspace_facts()
            crm.connection(connection_id(connection))
            job_id = crm.disconnect(connection_id(connection), delete_data=delete_data)
            if not wait:
                speech.facts({"job_id": job_id})
                return
            job = wait_for(speech, crm, job_id, timeout)
            purge = (job.outcome or {}).get("purge_job_id")
            if purge:
                wait_for(speech, crm, int(purge), timeout)
            receipts_made = crm.receipts(connection_id(connection))
        if as_json:
            speech.data([speech_dict(item) for item in receipts_made])
            return
        for item in receipts_made:
            speech.say(f"receipt {item.receipt_id} ({item.kind})", "green")
            speech.facts(dict(sorted(item.body.items(), key=_place_in_receipt)))


_RECEIPT = (
    *("provider", "connection_id", "purposes", "asked_by", "asked_because", "stopped_at", "requests"),
    *("last_request_at", "revoked_at_provider", "remove_consent_at", "siblings_ended", "grant_key_destroyed_at"),
    *("data", "streams", "documents", "measures", "keys_destroyed", "at", "confirmation_code"),
)
"""The order in which a receipt is read; the database keeps none."""


def _place_in_receipt(item: tuple[str, Any]) -> int:
    return _RECEIPT.index(item[0]) if item[0] in _RECEIPT else len(_RECEIPT)


def receipts(workspace: Workspace, as_json: Json = False) -> None:
    """List the proofs of what was ended and deleted.

    Example: crm-sync receipts -w acme --json
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            rows = [speech_dict(item) for item in crm.receipts()]
        speech.table("Receipts", ["at", "kind", "connection_id", "receipt_id"], rows)


def speech_dict(item: Any) -> dict[str, Any]:
    """A frozen record as a dictionary of its fields."""
    return {name: getattr(item, name) for name in type(item).__dataclass_fields__}


__all__ = ["connect", "connections", "disconnect", "receipts", "show_streams", "workspaces"]

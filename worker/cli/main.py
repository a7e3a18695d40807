"""`crm-sync`: the table of commands. What a command needs is imported when it runs, so that `--help` stays quick."""

import sys

import typer

from worker.cli import (
    connecting,
    dead,
    deletions,
    demonstration,
    diagnosis,
    keys,
    plugins,
    processes,
    records,
    retention,
    spend,
    syncing,
)

EPILOG = "Exit codes: 0 done, 1 failed, 2 usage, 3 misconfigured, 4 refused, 5 unavailable, 6 vault."

app = typer.Typer(
    help="Keeps customers' provider accounts in sync with a CRM, and lets go of them properly.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    demonstration.demo,
    processes.up,
    processes.migrate,
    processes.worker,
    processes.scheduler,
    plugins.connectors,
    connecting.connect,
    connecting.connections,
    connecting.disconnect,
    connecting.receipts,
    syncing.sync,
    syncing.jobs,
    records.feed,
    retention.why,
    spend.spend,
    diagnosis.doctor,
):
    app.command()(command)
app.add_typer(connecting.workspaces, name="workspaces", help="Register tenants, and list them.")
app.add_typer(dead.app, name="dead", help="Jobs that were given up: look, ask again, lay to rest.")
app.add_typer(deletions.app, name="deletions", help="Unusual numbers of deletions that wait for a word.")
app.add_typer(records.app, name="records", help="Open records by name; each opening is written down.")
app.add_typer(plugins.app, name="connector", help="For authors of connectors: grade one, begin a new one.")
app.add_typer(
    retention.app, name="retention", help="How long records stay: by which rules, and shorter ones of your own."
)
app.add_typer(keys.app, name="keys", help="Keyrings: make them, and see what they hold.")


def run() -> None:
    """The console script."""
    try:
        app(prog_name="crm-sync")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(130)


if __name__ == "__main__":
    run()

"""Commands for keyrings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.options import Json
from worker.cli.speech import speaking

app = typer.Typer(no_args_is_help=True)


@app.command()
def init(
    folder: Annotated[Path | None, typer.Option("--folder", help="where to write; default: CRM_SYNC_DATA_DIR")] = None,
    as_json: Json = False,
) -> None:
    """Write two new keyrings, readable by you alone. Existing ones are never touched.

    Example: crm-sync keys init --folder /etc/crm-sync
    """
    with speaking(as_json) as speech:
        from worker.errors import Misconfigured  # noqa: PLC0415 - heavy
        from worker.settings import load  # noqa: PLC0415 - likewise
        from worker.vault.keyring import NAMES, Keyring  # noqa: PLC0415 - likewise

        place = folder or load().data_dir
        place.mkdir(parents=True, exist_ok=True)
        paths = {name: place / f"{name}-keyring.json" for name in NAMES}
        existing = [str(path) for path in paths.values() if path.exists()]
        if existing:
            raise Misconfigured(
                f"{', '.join(existing)} exists already. A keyring is never overwritten: what it wrapped would be lost. "
                "Use it as it is, or name another --folder."
            )
        for name, path in paths.items():
            Keyring.generate(name).save(path)
        speech.say("Keep a copy of both where the database's backups do not go; without them nothing opens.", "yellow")
        variables = {f"CRM_SYNC_{name.upper()}_KEYRING": str(path) for name, path in paths.items()}
        if as_json:
            speech.data(variables)
            return
        for variable, where in variables.items():  # Each can be copied as it stands.
            speech.out.print(f"{variable}={where}", highlight=False, soft_wrap=True)


@app.command()
def status(as_json: Json = False) -> None:
    """Show the key-encryption keys that are held, and how many data keys each still wraps.

    Example: crm-sync keys status
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.settings import Role  # noqa: PLC0415 - likewise
        from worker.store.queries import load  # noqa: PLC0415 - likewise
        from worker.vault.keyring import NAMES, Keyring  # noqa: PLC0415 - likewise

        with environment() as opened:
            settings = opened.settings
            with opened.database(Role.OWNER) as database, database.transaction() as tx:
                counted = tx.execute(load("keys")["count_by_kek"]).fetchall()
            wraps = {(row["keyring"], row["kek_id"]): row["data_keys"] for row in counted}
            rows: list[dict[str, Any]] = []
            for name in NAMES:
                secret = getattr(settings, f"{name}_keyring")
                if secret is None:
                    continue
                for key in Keyring.load(secret.get_secret_value(), name).status():
                    wrapped = wraps.pop((name, key.kek_id), 0)
                    rows.append(
                        {
                            "keyring": name,
                            "key": key.kek_id,
                            "held": True,
                            "active": key.active,
                            "created_at": key.created_at,
                            "wraps": wrapped,
                        }
                    )
            rows += [
                {"keyring": name, "key": kek_id, "held": False, "active": False, "created_at": None, "wraps": count}
                for (name, kek_id), count in sorted(wraps.items())
            ]
        speech.table("Keys", ["keyring", "key", "held", "active", "created_at", "wraps"], rows)
        if settings.keys_url is not None:
            speech.say(
                "CRM_SYNC_KEYS_URL is set: the data keys that count live there. Run this with "
                "CRM_SYNC_DATABASE_URL_OWNER set to the owner's login of that database.",
                "yellow",
            )
        missing = [row["key"] for row in rows if not row["held"]]
        if missing:
            speech.say(f"Not held, though data keys need them: {', '.join(missing)}. Put them back.", "red")
            raise SystemExit(1)

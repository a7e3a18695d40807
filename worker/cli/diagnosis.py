"""`crm-sync doctor`: every setting and where it comes from, and whether what is set works."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.options import Json
from worker.cli.speech import Exit, speaking

if TYPE_CHECKING:
    from worker.cli.environment import Environment
    from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `help` says what to do about it."""

    check: str
    ok: bool
    found: str
    help: str = ""


def doctor(
    ping: Annotated[bool, typer.Option("--ping/--no-ping", help="send a job through everything")] = True,
    as_json: Json = False,
) -> None:
    """List every setting, and check that what is set works: logins, schema, keyrings, Redis, workers, a job.

    Example: crm-sync doctor --json
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy
        from worker.settings import load  # noqa: PLC0415 - likewise

        given = load()
        rows = list(settings_table(given))
        with environment(given) as opened:
            findings = list(_checks(opened, ping=ping))
        if as_json:
            speech.data({"mode": given.effective_mode, "settings": rows, "checks": [asdict(each) for each in findings]})
        else:
            speech.table(f"Settings ({given.effective_mode})", ["variable", "value", "from", "about"], rows)
            marked = [
                {"check": f"{'✓' if f.ok else '✗'} {f.check}", "found": f.found, "help": f.help} for f in findings
            ]
            speech.table("Checks", ["check", "found", "help"], marked)
        if not all(finding.ok for finding in findings):
            raise SystemExit(int(Exit.FAILED))


def settings_table(settings: "Settings") -> Iterator[dict[str, Any]]:
    """Each setting with its value (secrets hidden), where it comes from, and what it is for."""
    from worker.settings import PREFIX  # noqa: PLC0415 - heavy

    in_file = _names_in_file(Path(".env"))
    for name, field in type(settings).model_fields.items():
        variable = f"{PREFIX}{name.upper()}"
        value = getattr(settings, name)
        source = "environment" if variable in os.environ else ".env" if variable in in_file else "default"
        yield {
            "variable": variable,
            "value": "***" if hasattr(value, "get_secret_value") else str(value) if value is not None else None,
            "from": source if value is not None else "not set",
            "about": field.description or "",
        }


def _names_in_file(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.partition("=")[0].strip().removeprefix("export ").upper() for line in lines if "=" in line}


def _checks(opened: "Environment", *, ping: bool) -> Iterator[Finding]:
    from worker.settings import Role  # noqa: PLC0415 - heavy

    unknown = _unknown_variables(type(opened.settings))
    if unknown:
        help_text = "Nothing reads it. Is it spelt as in the list above?"
        yield Finding("settings", ok=False, found=f"unknown: {', '.join(unknown)}", help=help_text)
    # A host is given the logins of its own processes, and the others' are no fault of it. None at all is one.
    here = {role for role in Role if opened.settings.has_database_url(role)} or set(Role)
    served = set()
    for role in Role:
        name = f"Postgres as {role.value}"
        login = (
            _try(name, partial(_login, opened, role)) if role in here else Finding(name, ok=True, found="not set here")
        )
        yield login
        if login.ok and role in here:
            served.add(role)
    # Without its login each of these would wait in vain, and say less than the login does.
    if Role.OWNER in served:
        yield _try("schema", partial(_schema, opened))
    for name in ("grant", "records"):
        yield _try(f"{name} keyring", partial(_keyring, opened.settings, name))
    yield _try("Redis", partial(_redis, opened.settings))
    if Role.WORKER in served:
        yield _try("workers", partial(_workers, opened))
    for name in _connector_names():
        yield _try(f"connector {name}", partial(_connector, opened.settings, name))
    if ping and served >= {Role.OWNER, Role.CRM}:
        yield _try("a job", partial(_ping, opened))


def _try(check: str, look: Callable[[], Finding | str]) -> Finding:
    from worker.errors import CrmSyncError  # noqa: PLC0415 - heavy

    try:
        found = look()
    except CrmSyncError as error:
        return Finding(check, ok=False, found=error.reason, help=str(error))
    return found if isinstance(found, Finding) else Finding(check, ok=True, found=found)


def _unknown_variables(settings: type["Settings"]) -> list[str]:
    """What is set under our prefix and is no setting, neither of ours nor of a connector's."""
    from worker.cli.plugins import settings_of  # noqa: PLC0415 - heavy
    from worker.connectors import registry  # noqa: PLC0415 - likewise
    from worker.settings import PREFIX  # noqa: PLC0415 - likewise

    known = {f"{PREFIX}{name.upper()}" for name in settings.model_fields} | {f"{PREFIX}WORKSPACE"}
    for entry in registry.installed():
        if entry.connector is None:
            return []  # Which settings it would read, nobody knows.
        known.update(settings_of(entry.connector))
    given = {name.upper() for name in os.environ} | _names_in_file(Path(".env"))
    return sorted(name for name in given - known if name.startswith(PREFIX))


def _login(opened: "Environment", role: Any) -> Finding | str:
    from worker.store.database import why_refused  # noqa: PLC0415 - heavy

    refused = why_refused(opened.settings.database_url_of(role))
    if refused is not None:
        help_text = "Does the server run, and are host, port, user, password and database in the URL right?"
        return Finding(f"Postgres as {role.value}", ok=False, found=refused, help=help_text)
    with opened.database(role) as database, database.session() as session:
        row = session.execute(
            "SELECT current_user AS login, current_setting('server_version_num')::int AS version, "
            "(SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS unbound"
        ).fetchone()
    if row is None:
        return Finding(f"Postgres as {role.value}", ok=False, found="no answer")
    text = f"{row['login']}, Postgres {row['version'] // 10_000}"
    if row["version"] < 160_000:
        return Finding(f"Postgres as {role.value}", ok=False, found=text, help="Postgres 16 or newer is needed.")
    if row["unbound"] and role.value != "owner":
        help_text = "This login passes row-level security by. Make one with NOSUPERUSER NOBYPASSRLS."
        return Finding(f"Postgres as {role.value}", ok=False, found=text, help=help_text)
    return text


def _schema(opened: "Environment") -> Finding | str:
    from worker.settings import Role  # noqa: PLC0415 - heavy
    from worker.store.migrate import pending  # noqa: PLC0415 - likewise

    missing = pending(opened.settings.database_url_of(Role.OWNER))
    if missing:
        return Finding("schema", ok=False, found=f"lacks {', '.join(missing)}", help="Run `crm-sync migrate`.")
    return "up to date"


def _keyring(settings: "Settings", name: str) -> Finding | str:
    from worker.vault.keyring import Keyring  # noqa: PLC0415 - heavy

    secret = getattr(settings, f"{name}_keyring")
    if secret is None:
        return Finding(f"{name} keyring", ok=False, found="not set", help="Run `crm-sync keys init`, and set the path.")
    source = secret.get_secret_value()
    keys = Keyring.load(source, name).status()
    active = next(key.kek_id for key in keys if key.active)
    if not source.lstrip().startswith("{") and stat.S_IMODE(Path(source).stat().st_mode) & 0o077:
        return Finding(f"{name} keyring", ok=False, found="others may read it", help=f"Run: chmod 600 {source}")
    return f"{len(keys)} key{'s' if len(keys) != 1 else ''}, active {active}"


def _redis(settings: "Settings") -> Finding | str:
    import redis  # noqa: PLC0415 - heavy

    from worker.jobs.bell import open_redis  # noqa: PLC0415 - likewise

    if settings.redis_url is None:
        return Finding("Redis", ok=False, found="not set", help="Set CRM_SYNC_REDIS_URL.")
    client = open_redis(settings.redis_url.get_secret_value())
    try:
        facts: dict[str, Any] = client.info()
    except redis.RedisError as error:
        return Finding("Redis", ok=False, found=type(error).__name__, help="Check CRM_SYNC_REDIS_URL and the server.")
    finally:
        client.close()
    kept = "append-only file on" if facts.get("aof_enabled") else "no append-only file: a restart rings all jobs anew"
    name = f"{facts.get('server_name', 'redis')} {facts['redis_version']}"
    text = f"{name}, eviction {facts.get('maxmemory_policy')}, {kept}"
    if facts.get("maxmemory_policy") != "noeviction":
        help_text = "Budgets may be evicted, and limits passed. Set maxmemory-policy noeviction."
        return Finding("Redis", ok=False, found=text, help=help_text)
    return text


def _workers(opened: "Environment") -> Finding | str:
    from worker.settings import Role  # noqa: PLC0415 - heavy
    from worker.store.queries import load  # noqa: PLC0415 - likewise

    with opened.database(Role.WORKER) as database, database.session() as session:
        rows = session.execute(load("client")["processes"], {"lease": opened.settings.lease}).fetchall()
    lanes = {lane for row in rows for lane in row["lanes"]}
    missing = sorted({"interactive", "privacy", "sync", "backfill", "upkeep"} - lanes)
    if missing:
        found = f"{len(rows)} alive, nobody serves {', '.join(missing)}"
        return Finding("workers", ok=False, found=found, help="Start `crm-sync up`, or `crm-sync worker --pool …`.")
    return f"{len(rows)} alive, {sum(row['threads'] for row in rows)} threads"


def _connector_names() -> tuple[str, ...]:
    from worker.connectors import registry  # noqa: PLC0415 - heavy

    return registry.names()


def _connector(settings: "Settings", name: str) -> Finding | str:
    from worker.connectors import registry  # noqa: PLC0415 - heavy

    facts = registry.load(name).facts
    if not settings.own(f"{facts.family}_client_id"):
        prefix = f"CRM_SYNC_{facts.family.upper()}_CLIENT"
        text = f"Set {prefix}_ID and {prefix}_SECRET to connect accounts."
        return Finding(f"connector {name}", ok=True, found="installed, no OAuth client set", help=text)
    return f"{facts.api_version}, OAuth client set"


def _ping(opened: "Environment") -> Finding | str:
    """A job through ledger, scheduler, doorbell and worker, in the first workspace there is."""
    from worker.settings import Role  # noqa: PLC0415 - heavy
    from worker.store.queries import load  # noqa: PLC0415 - likewise

    with opened.database(Role.OWNER) as database, database.transaction() as tx:
        rows = tx.execute(load("client")["workspaces"]).fetchall()
    if not rows:
        return "no workspace yet, so no job to send"
    with opened.client(rows[0]["workspace_id"], reason="doctor") as crm:
        started_s = time.monotonic()
        job = crm.wait(crm.enqueue("ping"), timedelta(seconds=10))
    if not job.succeeded:
        help_text = "Is a scheduler running, and a worker for the interactive lane?"
        return Finding("a job", ok=False, found=f"still {job.state} after 10 s", help=help_text)
    return f"done in {(time.monotonic() - started_s) * 1000:.0f} ms"

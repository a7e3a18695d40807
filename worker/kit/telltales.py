"""What must be told nowhere: the connection's tokens, our client's secret, the account, the texts of its records.

They are read from the vault and from what is held, put into the provider's replies, and then looked for in everything
that processes, jobs and the feed say.
"""

from typing import Any, Final

from worker.kit.scene import NotHeld, Scene
from worker.records import Kind
from worker.settings import Role
from worker.store.database import Database
from worker.vault.grants import Grants
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

_LONG_ENOUGH: Final = 8
_SOME: Final = 12
_NAMES: Final = ("account_name", "campaign_name")


class Telltales:
    """Taken when the scene has synced once."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._texts = {**self._tokens(), **self._personal()}

    def text(self) -> str:
        """All of them, as a provider might repeat them in an error."""
        return " ".join(self._texts.values())

    def require_untold(self) -> None:
        """None of them stands where it must not.

        Raises:
            NotHeld: which, and where.
        """
        for place, said in self._said().items():
            for name, text in self._texts.items():
                if text in said:
                    raise NotHeld(f"{name} stands in {place}")

    def _said(self) -> dict[str, str]:
        crm = self._scene.crm
        jobs = [f"{job.reason} {job.message} {job.outcome} {job.progress}" for job in crm.jobs(limit=1_000)]
        feed = [f"{change.event} {change.details}" for change in crm.feed(limit=1_000_000, open_records=False)]
        streams = [str(stream) for stream in crm.streams()]
        return {
            "the log of a process": self._scene.stage.said(),
            "a job's outcome or error": "\n".join(jobs),
            "the feed": "\n".join(feed),
            "what the CRM sees of a stream": "\n".join(streams),
        }

    def _tokens(self) -> dict[str, str]:
        settings, crm = self._scene.stage.settings, self._scene.crm
        if settings.grant_keyring is None or settings.records_keyring is None:
            raise NotHeld("the check has no keyrings")
        grant = Keyring.load(settings.grant_keyring.get_secret_value(), "grant")
        records = Keyring.load(settings.records_keyring.get_secret_value(), "records")
        with Database(settings.database_url_of(Role.WORKER), max_size=2, name="crm-sync-check") as database:
            keys = KeyStore(database, grant=grant, records=records)
            key = keys.grant(crm.workspace, self._scene.connected)
            held = Grants(database, keys).read(crm.workspace, self._scene.connected, key)
        if held is None:
            raise NotHeld("the connection has no grant")
        family = self._scene.connector.facts.family
        found = {
            "the access token": held.tokens.access_token,
            "the refresh token": held.tokens.refresh_token,
            "our client's secret": str(settings.own(f"{family}_client_secret", "")),
        }
        return {name: text for name, text in found.items() if text}

    def _personal(self) -> dict[str, str]:
        held = self._scene.held()
        if self._scene.stream.kind is Kind.CAMPAIGN_DAY:
            # Of a measure only the names are anybody's own; its ids and days stand in the feed, and are to.
            held = [{name: day[name] for name in _NAMES} for day in held]
        texts = {text for record in held for text in _texts_of(record) if len(text) >= _LONG_ENOUGH}
        return {"the account's address": self._scene.account} | {
            f"a record's text ({len(text)} characters)": text for text in sorted(texts, key=len, reverse=True)[:_SOME]
        }


def _texts_of(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in _texts_of(item)]
        case list():
            return [text for item in value for text in _texts_of(item)]
        case _:
            return []

"""Every setting in one place: read once at the entry point, frozen, with all problems reported together.

Settings come from the environment (`CRM_SYNC_*`) or a `.env` file in the current folder. Nothing else in the
product reads the environment. Secrets are `SecretStr`, whose `repr` shows stars.

A `CRM_SYNC_*` variable that is none of ours is kept for connectors of third parties, as a secret: `own` gives it.
"""

import os
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.errors import Misconfigured

PREFIX = "CRM_SYNC_"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Mode(StrEnum):
    """Production refuses the simulator's route, embedded servers, the quota scale and generated keys."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Role(StrEnum):
    """The logins; each has a URL of its own."""

    OWNER = "owner"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    CRM = "crm"


class Settings(BaseSettings):
    """The settings of one process. Field names are the variables' names without their prefix, in lower case."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="allow", frozen=True, hide_input_in_errors=True
    )
    __pydantic_extra__: dict[str, SecretStr] = Field(init=False)

    mode: Annotated[
        Mode | None, Field(description="development or production; production is assumed when a database URL is set")
    ] = None

    database_url: Annotated[SecretStr | None, Field(description="Postgres for the worker's login")] = None
    database_url_owner: Annotated[SecretStr | None, Field(description="Postgres for the owner (migrate)")] = None
    database_url_scheduler: Annotated[SecretStr | None, Field(description="Postgres for the scheduler's login")] = None
    database_url_crm: Annotated[SecretStr | None, Field(description="Postgres for the CRM's login")] = None
    redis_url: Annotated[SecretStr | None, Field(description="Redis for doorbells and budgets")] = None
    keys_url: Annotated[
        SecretStr | None, Field(description="another Postgres for the wrapped data keys; default: the worker's")
    ] = None
    data_dir: Annotated[Path, Field(description="embedded servers and generated keys")] = Path(".crm-sync")

    grant_keyring: Annotated[
        SecretStr | None, Field(description="keyring of tokens: a file's path, or the keyring's JSON itself")
    ] = None
    records_keyring: Annotated[
        SecretStr | None, Field(description="keyring of records: a file's path, or the keyring's JSON itself")
    ] = None

    provider_route: Annotated[
        str | None, Field(description="http://127.0.0.1:PORT of the simulator; every provider request goes there")
    ] = None
    quota_scale: Annotated[float, Field(gt=0, description="multiplies every provider limit in our books")] = 1.0
    redirect_uri: Annotated[str, Field(description="where a provider sends the person back after consent")] = (
        "http://localhost:8765/callback"
    )

    google_client_id: Annotated[str | None, Field(description="OAuth client of the Google Cloud project")] = None
    google_client_secret: Annotated[SecretStr | None, Field(description="its secret")] = None
    google_project: Annotated[
        str, Field(description="name of the Google Cloud project; grants of one person to it are siblings")
    ] = "google"
    google_people_reads_per_minute: Annotated[
        int, Field(gt=0, description="People API critical reads a minute and user (not published; see the console)")
    ] = 90
    gmail_units_per_minute: Annotated[
        int, Field(gt=0, description="Gmail quota units a minute and user (6,000 for projects since May 2026)")
    ] = 6_000
    gmail_window_days: Annotated[
        int,
        Field(
            ge=0, description="how far back a full pass of messages reaches (0: all), unless a rule ends mail sooner"
        ),
    ] = 365

    google_ads_api_version: Annotated[
        str, Field(pattern=r"^v[1-9][0-9]?$", description="version of the Google Ads API; each lives about a year")
    ] = "v26"
    google_ads_developer_token: Annotated[
        SecretStr | None, Field(description="developer token; Google ignores it since September 2026")
    ] = None
    google_ads_operations_per_day: Annotated[
        int, Field(gt=0, description="operations a day of the Cloud project: Explorer 2,880, Basic 15,000")
    ] = 15_000
    google_ads_requests_per_minute: Annotated[
        int, Field(gt=0, description="requests a minute and person (not published; a limit of our own)")
    ] = 600
    google_ads_history_days: Annotated[
        int, Field(gt=0, le=1_110, description="how far back campaign days are read; Google keeps 37 months")
    ] = 1_110
    google_ads_restatement_days: Annotated[
        int, Field(gt=0, le=1_110, description="how many days are read again each day, since Google corrects them")
    ] = 90

    microsoft_client_id: Annotated[str | None, Field(description="OAuth client (application id) at Microsoft")] = None
    microsoft_client_secret: Annotated[SecretStr | None, Field(description="its secret")] = None
    microsoft_project: Annotated[
        str, Field(description="name of the application; grants of one person to it are siblings")
    ] = "microsoft"
    microsoft_tenant: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9.-]{1,100}$",
            description="common (work and personal accounts), organizations, consumers, or a directory's id or domain",
        ),
    ] = "common"

    microsoft_requests_at_once: Annotated[
        int, Field(ge=4, description="requests to one mailbox that may be under way at the same time (4 is documented)")
    ] = 4
    outlook_window_days: Annotated[
        int,
        Field(
            ge=0,
            description="how far back a full pass of a mail folder reaches (0: all), unless a rule ends mail sooner",
        ),
    ] = 365
    outlook_calendar_days_back: Annotated[
        int, Field(ge=0, le=900, description="how far back calendars are read; what is older stays as it was last seen")
    ] = 365
    outlook_calendar_days_ahead: Annotated[
        int, Field(gt=7, le=900, description="how far ahead calendars are read; the window moves along once in 7 days")
    ] = 365

    policy_dir: Annotated[
        Path | None,
        Field(description="folder of policy files of your own, each read in place of ours of the same name"),
    ] = None
    job_days: Annotated[int, Field(gt=0, description="how long jobs are kept that are done or were cancelled")] = 30
    given_up_job_days: Annotated[
        int,
        Field(gt=0, description="likewise for failed and dead jobs; a dead disconnect or purge waits for a person"),
    ] = 90
    feed_days: Annotated[
        int, Field(gt=0, description="how long entries of the feed are kept; a reader away for longer reads all anew")
    ] = 30
    default_region: Annotated[
        str, Field(pattern=r"^[A-Z]{2}$", description="region for phone numbers without country code")
    ] = "US"
    lease_s: Annotated[int, Field(ge=5, description="a process that has not beaten for so long is dead")] = 20
    slice_s: Annotated[float, Field(gt=0, description="how long a sync job works before it yields")] = 20.0
    shutdown_s: Annotated[float, Field(gt=0, description="how long a stopping worker lets its jobs finish")] = 5.0
    threads: Annotated[int, Field(ge=1, le=256, description="worker threads a process")] = 8
    log_format: Annotated[str, Field(pattern="^(console|json)$", description="console or json")] = "console"

    @field_validator("provider_route")
    @classmethod
    def _route_is_loopback(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK or parts.path not in {"", "/"}:
            raise ValueError("must be http://127.0.0.1:PORT; the simulator is only reached on loopback")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.effective_mode is not Mode.PRODUCTION:
            return self
        # A host that only migrates has the owner's URL and nothing else.
        of_processes = (self.database_url, self.database_url_scheduler, self.database_url_crm)
        only_migrates = self.database_url_owner is not None and not any(of_processes)
        needs_keys = not only_migrates and self.grant_keyring is None and self.records_keyring is None
        wrong = [
            text
            for broken, text in (
                (self.provider_route is not None, f"{PREFIX}PROVIDER_ROUTE is for development; unset it"),
                (self.quota_scale != 1.0, f"{PREFIX}QUOTA_SCALE must stay 1 in production; unset it"),
                (
                    self.redis_url is None and not only_migrates,
                    f"{PREFIX}REDIS_URL is missing, e.g. rediss://user:password@host:6379/0",
                ),
                (needs_keys, f"{PREFIX}RECORDS_KEYRING is missing"),
            )
            if broken
        ]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    @property
    def effective_mode(self) -> Mode:
        """The mode that holds: the one set, else production as soon as a database URL is set."""
        if self.mode is not None:
            return self.mode
        urls = (self.database_url, self.database_url_owner, self.database_url_scheduler, self.database_url_crm)
        return Mode.PRODUCTION if any(urls) else Mode.DEVELOPMENT

    @property
    def lease(self) -> timedelta:
        """How long a silent process keeps its jobs."""
        return timedelta(seconds=self.lease_s)

    def own(self, name: str, default: int | str | None = None) -> int | str | None:
        """A setting that a connector names: one of ours, or one that a third party's connector brought along.

        Raises:
            Misconfigured: `default` is a number and what is set is none.
        """
        value = getattr(self, name, None)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is None:
            return default
        if isinstance(default, int) and isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                raise Misconfigured(f"{PREFIX}{name.upper()} must be a whole number, e.g. {default}.") from None
        return value if isinstance(value, int | str) else str(value)

    def as_variables(self) -> dict[str, str]:
        """Every setting that is not empty, as the environment variables of a process started from here."""
        values: dict[str, str] = {}
        for name in (*type(self).model_fields, *self.__pydantic_extra__):
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None:
                values[f"{PREFIX}{name.upper()}"] = str(value)
        # Filled-in URLs would make a child take itself for a process of production.
        values[f"{PREFIX}MODE"] = self.effective_mode.value
        return values

    def has_database_url(self, role: Role) -> bool:
        """Whether a login's URL is set; a process is given no more of them than it needs."""
        return getattr(self, _url_field(role)) is not None

    def database_url_of(self, role: Role) -> str:
        """The URL for a login.

        Raises:
            Misconfigured: it is not set (and no embedded server has filled it in).
        """
        secret: SecretStr | None = getattr(self, _url_field(role))
        if secret is None:
            name = f"{PREFIX}{_url_field(role).upper()}"
            raise Misconfigured(
                f"{name} is not set. Set it to the {role.value} login's URL, e.g. "
                f"postgresql://crm_sync_{role.value}:PASSWORD@HOST/DATABASE, or unset every database URL "
                "to use the embedded servers in development."
            )
        return secret.get_secret_value()


def _url_field(role: Role) -> str:
    return "database_url" if role is Role.WORKER else f"database_url_{role.value}"


def load(**overrides: object) -> Settings:
    """Read the settings, once, at the entry point.

    Raises:
        Misconfigured: with every problem in one text, a line each: the variable and what is wrong with it.
    """
    given = {**dotenv_values(".env"), **os.environ}
    names = {name.lower().removeprefix(PREFIX.lower()): text for name, text in given.items() if _is_ours(name)}
    foreign = {name: text for name, text in names.items() if text and name not in Settings.model_fields}
    try:
        return Settings(**{**foreign, **overrides})  # type: ignore[arg-type]  # pydantic checks the values itself.
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            text = problem["msg"].removeprefix("Value error, ")
            name = "_".join(str(part) for part in problem["loc"]).upper()
            lines += [f"{PREFIX}{name}: {text}"] if name else text.splitlines()
        raise Misconfigured("The settings are not usable:\n  " + "\n  ".join(lines)) from None


def _is_ours(variable: str) -> bool:
    return variable.upper().startswith(PREFIX)

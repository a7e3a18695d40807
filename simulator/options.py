"""What a simulator is started with."""

from dataclasses import dataclass

DEFAULT_REDIRECT = "http://localhost:8765/callback"


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes are for each account; the same seed and epoch give the same world."""

    port: int = 0
    seed: int = 7
    people: int = 500
    messages: int = 200
    events: int = 60
    accounts: int = 4
    ad_accounts: int = 0
    ad_campaigns: int = 12
    ad_days: int = 0
    quota_scale: float = 1.0
    page_limit: int = 0
    epoch: float | None = None
    redirect_uris: tuple[str, ...] = (DEFAULT_REDIRECT,)
    client_id: str = "simulator-client.apps.googleusercontent.com"
    client_secret: str = "simulator-secret"  # noqa: S105  A secret that is published is none.
    project_id: str = "simulator-project"
    project_number: int = 414_243_444_546
    microsoft_client_id: str = "5b1c2a7e-0d3f-4e68-9a41-c7d2e8f0b396"
    microsoft_client_secret: str = "simulator~secret"  # noqa: S105  Likewise.

"""One case's own connection: a tenant, an account and one stream, and everything that a case may ask of them.

    scene.connect() ─▶ scene.sync() ─▶ scene.require_truth()

A scene speaks with the product as a CRM does, and with the provider by its control door. After each sync that came to
its end the stream's counters must add up (P12). What does not hold is raised as `NotHeld`.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from worker.client import Client
from worker.connectors.contract import Connector, Stream
from worker.errors import CrmSyncError
from worker.kit.provider import Provider, RehearsalRefused, StreamPart
from worker.kit.stage import Stage
from worker.records import Kind, Purpose, normal_form
from worker.store.connections_view import Counters
from worker.store.connections_view import Stream as StreamView
from worker.store.jobs_view import Job

PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.1
_FIGURES: Final = ("cost_micros", "impressions", "clicks", "conversions", "conversion_value")
_COUNTED: Final = ("saved", "unchanged", "deleted", "repeated", "skipped", "refused")


class NotHeld(Exception):
    """Something that must hold did not; the text is for the connector's author."""


def require(holds: object, otherwise: str) -> None:
    """Hold the connector to something: `holds` is true, or the text says what is wrong.

    Raises:
        NotHeld: it does not hold.
    """
    if not holds:
        raise NotHeld(otherwise)


class Scene:
    """See the top of this file. `mortal` is called when a page is half-way, and returns when the worker was killed."""

    def __init__(
        self,
        stage: Stage,
        provider: Provider,
        crm: Client,
        connector: Connector,
        stream: Stream,
        part: StreamPart,
        account: str,
        mortal: Callable[[], None],
    ) -> None:
        self.stage, self.provider, self.connector, self.stream = stage, provider, connector, stream
        self.part, self.account, self.mortal = part, account, mortal
        self.crm = crm.at(f"check-{secrets.token_hex(6)}")
        self.crm.register_workspace()
        self.connection: UUID | None = None
        self._faults: list[int] = []
        self._since = 0

    # The person.

    def connect(self, scopes: list[str] | None = None) -> dict[str, Any]:
        """Connect the account for the stream's purpose, as a person would who ticks `scopes` (all, if None)."""
        purpose = self.stream.purpose or next(iter(self.connector.facts.purposes), Purpose.CONTACTS)
        asked = self.crm.connect_start(
            self.connector.facts.name,
            [purpose.value],
            policy_version="check",
            agreed_by="check",
            connection_id=self.connection,
        )
        self._require_done(asked, "connecting did not begin")
        url = (self.crm.job(asked, open_outcome=True).private or {})["authorize_url"]
        back = self._told_of("consent", "redirect_url", authorize_url=url, scopes=scopes)
        done = self._require_done(self.crm.connect_complete(back), "connecting did not end well")
        outcome = dict(done.outcome or {})
        self.connection = UUID(outcome["connection_id"])
        return outcome

    @property
    def connected(self) -> UUID:
        """The connection's id."""
        if self.connection is None:
            raise NotHeld("the account is not connected")
        return self.connection

    def revoke(self) -> None:
        """End at the provider all that was granted."""
        self._rehearse("revoke")

    def begin(self) -> None:
        """Connect, and sync everything once, undisturbed: whatever then goes wrong may cost nothing that is held."""
        self.connect()
        self.sync()
        self.settle()
        self._since = self.provider.last_request()

    # The provider.

    def act(self, what: str, count: int = 1) -> None:
        """Let something happen at the provider: add, change, delete, expire."""
        require(what in self.part.acts, f"the simulated provider has no act «{what}» for this stream")
        self._rehearse(what, stream=self.stream.name, count=count)

    def spoil(self) -> None:
        """From now on one record of the stream cannot be read."""
        require("spoil" in self.part.acts, "the simulated provider has no act «spoil» for this stream")
        fault = self._rehearse("spoil", stream=self.stream.name)
        self._script({**fault["match"], "account": self.account, "times": 0}, fault["action"])

    def fault(self, action: Mapping[str, Any], *, page: int = 1, times: int = 1) -> None:
        """Something goes wrong with the requests for pages, from the so-manieth on; `times=0` is without end."""
        match = {**self.part.pages, "account": self.account, "nth": page, "times": times}
        self._script(match, {**action, "paging": self.part.paging})

    def refusal(self, name: str, **default: Any) -> dict[str, Any]:
        """The provider's own wording of an error, or a plain status."""
        return {**default, **self.part.refusals.get(name, {})}

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        while self._faults:
            self.provider.clear(self._faults.pop())

    def page_requests(self) -> list[dict[str, Any]]:
        """The requests for pages of the stream since `begin`, as the provider saw them."""
        return self.provider.requests({**self.part.pages, "account": self.account}, since=self._since)

    def truth(self) -> list[dict[str, Any]]:
        """What ought to be held: for each record some fields of its normal form."""
        return list(self._told_of("held", "items", stream=self.stream.name))

    # The CRM.

    def ask(self, *, full: bool = False) -> int:
        """Ask for a sync, and return the job's number."""
        (job_id,) = self.crm.sync(self.connected, self.stream.name, full=full)
        return job_id

    def wait(self, job_id: int, timeout_s: float = PATIENCE_S) -> Job:
        """A job at its end. It is looked at now and then: a hundred scenes that listen would be as many connections."""
        give_up_s = time.monotonic() + timeout_s
        while not (job := self.crm.job(job_id)).finished:
            require(time.monotonic() < give_up_s, f"the job did not end within {timeout_s:.0f} s: it is {_told(job)}")
            time.sleep(_POLL_S)
        return job

    def sync(self, *, full: bool = False) -> Job:
        """Sync to the end, which must be a good one, and count."""
        job = self._require_done(self.ask(full=full), "the sync did not end well")
        self.require_sums()
        return job

    def until(self, holds: Callable[[], bool], otherwise: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until something holds.

        Raises:
            NotHeld: it did not come to hold in time.
        """
        give_up_s = time.monotonic() + timeout_s
        while not holds():
            require(time.monotonic() < give_up_s, otherwise)
            time.sleep(_POLL_S)

    def settle(self) -> None:
        """Wait until nothing of the tenant runs: other streams of the same purpose are synced as well.

        They are planned a moment after the account was connected, so each must have been through once.
        """

        def still() -> bool:
            streams = [item for item in self.crm.streams(self.connected) if item.state == "active"]
            through = all(item.synced_at or item.error_reason for item in streams)
            return through and all(job.finished for job in self.crm.jobs(limit=1_000))

        self.until(still, "the other streams never end")

    def view(self) -> StreamView:
        """The stream as the CRM sees it."""
        found = next((item for item in self.crm.streams(self.connected) if item.stream == self.stream.name), None)
        if found is None:
            raise NotHeld("the connection has no such stream")
        return found

    def counters(self) -> Counters:
        """What came of everything that was ever seen."""
        return self.view().counters

    def held(self) -> list[dict[str, Any]]:
        """Every record that we hold, opened, as one finds them who reads the feed from its start; or all measures."""
        if self.stream.kind is Kind.CAMPAIGN_DAY:
            days: list[dict[str, Any]] = msgspec.to_builtins(list(self.crm.measures(self.connected)))
            # A day on which nothing happened is as good as one that is not there.
            return [day for day in days if any(float(day[figure]) for figure in _FIGURES)]
        believed: dict[str, dict[str, Any]] = {}
        for change in self.crm.feed(limit=1_000_000):
            if change.stream != self.stream.name or change.key is None:
                continue
            believed.pop(str(change.details.get("previous_key")), None)
            if change.event == "record.deleted" or change.record is None:
                believed.pop(change.key, None)
            else:
                believed[change.key] = msgspec.json.decode(normal_form(change.record.body))
        return list(believed.values())

    # What must hold.

    def require_truth(self) -> None:
        """What is held is what ought to be, record for record."""
        truth, held = self.truth(), self.held()
        names = sorted({name for item in truth for name in item})
        wanted, found = _tally(truth, names), _tally(held, names)
        missing, surplus = (wanted - found).total(), (found - wanted).total()
        require(
            not missing and not surplus,
            f"{len(held)} records are held and {len(truth)} ought to be; {missing} are missing or out of date, "
            f"{surplus} should not be there or not like this (compared by {', '.join(names)})",
        )

    def require_sums(self) -> None:
        """The counters add up (P12)."""
        counters = self.counters()
        parts = {name: getattr(counters, name) for name in _COUNTED}
        require(counters.seen == sum(parts.values()), f"the counters do not add up: {counters.seen} seen, {parts}")

    def require_pause(self, least_s: float) -> None:
        """After the provider's first refusal nothing was asked of it for pages for so long."""
        requests = sorted(self.page_requests(), key=lambda request: request["number"])
        refused = next((number for number, request in enumerate(requests) if request["fault"]), None)
        if refused is None:
            raise NotHeld("the provider was not asked for the page that it would have refused")
        later = requests[refused + 1 :]
        require(bool(later), "the page that was refused was never asked for again")
        pause_s = later[0]["real_at"] - requests[refused]["real_at"]
        require(
            pause_s >= least_s, f"the provider was asked again {pause_s:.1f} s after its refusal, not {least_s:g} s"
        )

    def close(self, *, all_held: bool) -> None:
        """Let nothing of the scene go on."""
        try:
            self.mend()
            if self.connection is not None and not all_held:
                self.crm.disconnect(self.connection)
        except (CrmSyncError, RehearsalRefused):
            return  # It was ended before, which is what is wanted; or nobody is there, which the case has told.

    def _require_done(self, job_id: int, otherwise: str) -> Job:
        job = self.wait(job_id)
        require(job.succeeded, f"{otherwise}: {_told(job)}")
        return job

    def _told_of(self, do: str, name: str, **more: Any) -> Any:
        """What the provider's part answers under that name."""
        told = self._rehearse(do, **more)
        require(isinstance(told, dict) and name in told, f"the simulated provider's answer to «{do}» has no «{name}»")
        return told[name]

    def _rehearse(self, do: str, **more: Any) -> Any:
        return self.provider.rehearse(self.connector.facts.name, do, self.account, **more)

    def _script(self, match: Mapping[str, Any], action: Mapping[str, Any]) -> None:
        self._faults.append(self.provider.fault(match, action))


def _told(job: Job) -> str:
    said = f" ({job.reason}: {job.message})" if job.reason else ""
    return f"{job.state}{said}"


def _tally(records: list[dict[str, Any]], names: list[str]) -> Counter[str]:
    """How often each set of values occurs; what is empty is as good as not there, and lists have no order."""
    return Counter(msgspec.json.encode([_plain(record.get(name)) for name in names]).decode() for record in records)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(value, key=str)
    return value or None

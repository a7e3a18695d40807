"""The acts of the demonstration, in their order; each says what it showed, and raises if it does not hold."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import SecretStr

from worker.cli.connecting import show_streams
from worker.cli.consent import connect_account
from worker.cli.demo_stage import Link, NotHeldError, Providers, Step, require
from worker.cli.demo_tables import script_of, some_contacts, some_mails, some_meetings
from worker.cli.environment import Environment
from worker.cli.speech import Speech
from worker.cli.spend import picture
from worker.cli.supervise import Child, Supervisor
from worker.cli.waiting import wait_for, wait_for_all
from worker.client import Client, Record
from worker.connectors import registry
from worker.errors import KeyShredded
from worker.records import Contact, Event, Message
from worker.settings import Role
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

TENANTS: Final = ("paper-moon", "river-books")
_PATIENCE_S: Final = 90.0
CHANGES: Final[tuple[dict[str, Any], ...]] = (
    {"do": "add_contact", "fields": {"given_name": "Nova", "family_name": "Arrival"}},
    {"do": "change_contact", "id": "#7", "fields": {"given_name": "Renamed"}},
    {"do": "delete_contact", "id": "#9"},
    {"do": "add_message", "fields": {"subject": "One more thing", "text": "The lorry leaves on Tuesday."}},
    {"do": "trash_message", "id": "#20"},
    {"do": "add_event", "fields": {"title": "One more meeting"}},
)
OUTLOOK_CHANGES: Final[tuple[dict[str, Any], ...]] = (
    {"do": "move_message", "id": "#5", "to": "archive"},
    {"do": "add_event", "fields": {"title": "One more meeting"}},
)
EXPECTED_NEWS: Final = {
    "gmail contacts record.saved": 2,
    "gmail contacts record.deleted": 1,
    "gmail messages record.saved": 1,
    "gmail messages record.deleted": 1,
    "gmail events record.saved": 1,
    "outlook messages record.saved": 1,
    "outlook events record.saved": 1,
}
"""A mail that is moved is no deletion, though Microsoft reports one."""
_SPEND_DAYS: Final = 60


class Demo:
    """The stage: what runs, and what was shown so far."""

    def __init__(self, speech: Speech, opened: Environment, providers: Providers, supervisor: Supervisor) -> None:
        self.speech, self.opened, self.providers, self.supervisor = speech, opened, providers, supervisor
        self.steps: list[Step] = []
        google: list[str] = providers.facts["accounts"]
        # Who advertises is somebody else than who has the mailbox: giving up the one must not touch the other.
        self.accounts = {
            "gmail": google[len(TENANTS) :],
            "outlook": providers.facts["microsoft"]["accounts"],
            "google_ads": google,
        }
        self.links: dict[tuple[str, str], Link] = {}
        self.workers: list[Child] = []

    @contextmanager
    def step(self, name: str, told: str) -> Iterator[dict[str, Any]]:
        """One step: it held unless something in it raised."""
        self.speech.say(f"\n● {told}", "bold cyan")
        step = Step(name)
        self.steps.append(step)
        started_s = time.monotonic()
        try:
            yield step.shown
            step.held = True
        finally:
            step.took_s = round(time.monotonic() - started_s, 2)
        if not self.speech.as_json:
            short = {key.replace("_", " "): value for key, value in step.shown.items() if not isinstance(value, dict)}
            if short:
                self.speech.say("  " + ", ".join(f"{key}: {value}" for key, value in short.items()))
            self.speech.say(f"  ✓ {name} ({step.took_s:.1f} s)", "green")

    def client(self, tenant: str) -> Client:
        """The CRM's side of a tenant."""
        return self.opened.client(tenant, actor="demo", reason="a demonstration")

    def await_workers(self) -> None:
        """Wait until both workers beat; the CRM can seal to the intake key then."""
        give_up_s = time.monotonic() + _PATIENCE_S
        with self.opened.database(Role.WORKER) as database:
            while True:
                with database.session() as session:
                    row = session.execute(
                        "SELECT (SELECT count(*) FROM crm_sync.process) AS processes, "
                        "(SELECT count(*) FROM crm_sync.intake) AS keys"
                    ).fetchone()
                if row is not None and row["processes"] == len(self.workers) and row["keys"]:
                    return
                require(time.monotonic() < give_up_s, "the workers did not start")
                self.supervisor.tend()
                time.sleep(0.05)

    def connect(self) -> None:
        """Two tenants connect an account of each provider."""
        told = (
            "Two tenants connect a Google, a Microsoft and a Google Ads account each: consent page, PKCE, code, vault"
        )
        with self.step("connected", told) as shown:
            for number, tenant in enumerate(TENANTS):
                with self.client(tenant) as crm:
                    crm.register_workspace("TH")
                    for provider, accounts in self.accounts.items():
                        link, streams = self._connect(crm, provider, accounts[number])
                        self.links[tenant, provider] = link
                        shown[f"{tenant} {provider}"] = streams

    def _connect(self, crm: Client, provider: str, account: str) -> tuple[Link, dict[str, str]]:
        outcome = connect_account(
            self.opened.settings,
            crm,
            self.speech.say,
            provider=provider,
            purposes=[purpose.value for purpose in registry.load(provider).facts.purposes],
            policy_version="2026-11",
            agreed_by="user:1",
            account=account,
            without_browser=True,
        )
        require(set(outcome["streams"].values()) == {"active"}, f"{provider} grants {outcome['streams']}")
        return Link(crm.workspace, provider, account, UUID(outcome["connection_id"])), outcome["streams"]

    def sync(self) -> None:
        """Everything comes in, and equals what the providers hold."""
        with self.step("synced", "Everything comes in; each page is one transaction") as shown:
            rows: dict[tuple[str, str], dict[str, Any]] = {}
            for link in self.links.values():
                with self.client(link.tenant) as crm:
                    done = wait_for_all(self.speech, crm, crm.sync(link.connection_id), _PATIENCE_S)
                    require(all(job.succeeded for job in done), f"a sync of {link.provider} did not succeed")
                    held = {stream.stream: sum(stream.held.values()) for stream in crm.streams(link.connection_id)}
                    if link.provider == "google_ads":
                        self._hold_spend_to_the_truth(crm, link)
                for stream, number in self.providers.numbers(link).items():
                    require(held[stream] == number, f"{link.tenant} holds {held[stream]} {stream} of {number}")
                for stream, number in held.items():
                    row = rows.setdefault((link.provider, stream), {"provider": link.provider, "stream": stream})
                    row[link.tenant] = number
                shown[f"{link.tenant} {link.provider}"] = held
            if not self.speech.as_json:
                self.speech.table("What came in", ["provider", "stream", *TENANTS], list(rows.values()))

    def _hold_spend_to_the_truth(self, crm: Client, link: Link) -> None:
        """What was spent, by currency, is the provider's own sum to the micro."""
        accounts = crm.measured_accounts(link.connection_id)
        truth = self.providers.spent(accounts)
        found = crm.spend(min(each.first_day for each in accounts), max(each.last_day for each in accounts))
        spent: dict[str, int] = {}
        for day in found:
            spent[day.currency] = spent.get(day.currency, 0) + day.cost_micros
        require(
            spent == {currency: micros for currency, micros in truth.items() if micros}, "the spend is not the truth"
        )

    def spend(self) -> None:
        """What advertising cost, as a picture."""
        with self.step("spent", "What advertising cost each day, to the millionth of each currency") as shown:
            for tenant in TENANTS:
                last = datetime.now(UTC).date()
                first = last - timedelta(days=_SPEND_DAYS - 1)
                with self.client(tenant) as crm:
                    found = crm.spend(first, last)
                if not self.speech.as_json:
                    days = [first + timedelta(days=number) for number in range(_SPEND_DAYS)]
                    self.speech.say(f"  {tenant}", "bold")
                    for line in picture(found, days):
                        self.speech.out.print(f"  {line}", highlight=False, markup=False)
                shown[tenant] = ", ".join(sorted({each.currency for each in found}))

    def look(self) -> None:
        """What came in, opened by name and written into the audit log."""
        with self.step("looked", "What came in, opened through the CRM's door; each opening is written down") as shown:
            with self.client(TENANTS[0]) as crm:
                if not self.speech.as_json:
                    show_streams(self.speech, crm.streams())
                records = self._records(crm)
                people = [record.body for record in records if isinstance(record.body, Contact)]
                mails = [record.body for record in records if isinstance(record.body, Message)]
                meetings = [record.body for record in records if isinstance(record.body, Event)]
                scripts = Counter(script_of(person.display_name) for person in people)
                found = next(person for person in people if person.emails and person.display_name)
                again = crm.search(email=found.emails[0].value)
                require(any(hit.body == found for hit in again), "a contact was not found by its address")
            if not self.speech.as_json:
                self.speech.table("Some contacts", ["name", "email", "phone"], some_contacts(people))
                self.speech.table("Some mails", ["from", "subject", "text"], some_mails(mails))
                self.speech.table("Some meetings", ["starts", "summary", "guests", "repeats"], some_meetings(meetings))
            written = {script_of(mail.subject + mail.text) for mail in mails}
            require({"Thai", "Arabic"} <= written, f"mails came in {sorted(written)} only")
            shown["contacts by script"] = dict(scripts)
            shown["found by e-mail"] = len(again)

    def change(self) -> None:
        """Just the change arrives."""
        with self.step("changed", "The world changes a little; just the change arrives") as shown:
            tenant = TENANTS[0]
            ours = {provider: self.links[tenant, provider] for provider in self.accounts}
            with self.client(tenant) as crm:
                before = crm.feed_head()
                self.providers.edit(ours["gmail"].account, *CHANGES)
                self.providers.edit(ours["outlook"].account, *OUTLOOK_CHANGES)
                for provider in ("gmail", "outlook"):
                    wait_for_all(self.speech, crm, crm.sync(ours[provider].connection_id), _PATIENCE_S)
                news = [change for change in crm.feed(before) if change.key]
            providers = {link.connection_id: provider for provider, link in ours.items()}
            rows = [
                {
                    "position": each.position,
                    "provider": providers[each.connection_id] if each.connection_id else None,
                    "stream": each.stream,
                    "event": each.event,
                    "key": (each.key or "")[:12],
                }
                for each in news
            ]
            if not self.speech.as_json:
                self.speech.table("The feed", ["position", "provider", "stream", "event", "key"], rows)
            seen = Counter(f"{row['provider']} {row['stream']} {row['event']}" for row in rows)
            require(seen == EXPECTED_NEWS, f"the feed told {dict(seen)}")
            shown["feed entries"] = dict(seen)

    def kill(self) -> None:
        """A worker is killed in the middle of a full pass; nothing is lost or doubled."""
        with self.step("killed", "A worker is killed (kill -9) in the middle of a full pass") as shown:
            link = self.links[TENANTS[0], "gmail"]
            tenant, account = link.tenant, link.account
            self.providers.control("faults", {"match": {"path": "connections", "times": 0}, "action": {"delay_s": 1.0}})
            with self.client(tenant) as crm:
                job_id = crm.sync(link.connection_id, "contacts", full=True)[0]
                owner = self._owner_after_a_page(tenant, job_id)
                victim = next(child for child in self.workers if child.pid == owner)
                os.kill(owner, signal.SIGKILL)
                self.speech.say(f"  killed {victim.name} (pid {owner}) after its first page")
                self.providers.control("faults", method="DELETE")
                self._tend_until(lambda: crm.job(job_id).finished)
                job = wait_for(self.speech, crm, job_id, _PATIENCE_S)
                streams = crm.streams(link.connection_id)
                held = sum(next(s for s in streams if s.stream == "contacts").held.values())
            truth = len(self.providers.truth(account, "contacts"))
            require(held == truth, f"{held} contacts are held, {truth} are there")
            notes = job.outcome or {}
            require(notes.get("saved") == 0, "the pass after the kill wrote records that had not changed")
            shown.update(held=held, at_the_provider=truth, unchanged=notes.get("unchanged"), starts=victim.starts)

    def disconnect(self) -> None:
        """One tenant leaves, and it is proven."""
        with self.step("disconnected", "One tenant disconnects and has its data deleted; here is the proof") as shown:
            link, other = self.links[TENANTS[0], "gmail"], self.links[TENANTS[1], "gmail"]
            tenant, connection = link.tenant, link.connection_id
            row = self._a_sealed_row(tenant, connection)
            keys = self._key_store()
            keys.records(tenant, connection).open("document.body", row["document_key"], row["sealed"])
            with self.client(tenant) as crm:
                job = wait_for(self.speech, crm, crm.disconnect(connection, delete_data=True), _PATIENCE_S)
                outcome = job.outcome or {}
                last = int(self.providers.control("requests")["last"])
                wait_for(self.speech, crm, int(outcome["purge_job_id"]), _PATIENCE_S)
                receipts = crm.receipts(connection)
            with self.client(other.tenant) as crm:
                wait_for_all(self.speech, crm, crm.sync(other.connection_id), _PATIENCE_S)
            after = [
                each
                for each in self.providers.control("requests", since=last)["requests"]
                if link.account in json.dumps(each, ensure_ascii=False)
            ]
            require(not after, f"{len(after)} requests were made for the account after its receipt")
            require(outcome["revoked_at_provider"] == "yes", "the grant was not revoked at the provider")
            require(self._opens_no_more(keys, tenant, connection, row), "a sealed row still opens")
            left, wrapped = self._what_is_left(tenant, connection)
            require(left == 0, f"{left} documents are left")
            require(wrapped == 0, f"{wrapped} keys are left")
            shown.update(
                requests_after_the_receipt=len(after),
                documents_left=left,
                keys_left=wrapped,
                a_kept_copy_of_a_sealed_row="does not open",
                the_other_tenant="goes on",
                receipts=[f"{receipt.kind} {receipt.body['confirmation_code']}" for receipt in receipts],
            )

    def _records(self, crm: Client) -> list[Record]:
        records: dict[str, Record] = {}
        position = 0
        while changes := crm.feed(position, 2_000):
            position = changes[-1].position
            records.update({change.key: change.record for change in changes if change.key and change.record})
        return list(records.values())

    def _owner_after_a_page(self, tenant: str, job_id: int) -> int:
        """The pid of the worker that has committed a page of the job and reads on."""
        give_up_s = time.monotonic() + _PATIENCE_S
        with self.opened.database(Role.WORKER) as database:
            while time.monotonic() < give_up_s:
                with database.transaction(tenant) as tx:
                    row = tx.execute(
                        "SELECT p.pid, (j.progress->>'pages')::int AS pages FROM crm_sync.job j "
                        "JOIN crm_sync.process p ON p.process_id = j.lease_owner "
                        "WHERE j.workspace_id = %s AND j.job_id = %s AND j.state = 'running'",
                        [tenant, job_id],
                    ).fetchone()
                if row is not None and (row["pages"] or 0) >= 1:
                    return int(row["pid"])
                time.sleep(0.02)
        raise NotHeldError("no worker came to its first page")

    def _tend_until(self, holds: Any) -> None:
        give_up_s = time.monotonic() + _PATIENCE_S
        while not holds():
            require(time.monotonic() < give_up_s, "the job did not come to its end")
            self.supervisor.tend()
            time.sleep(0.1)

    def _a_sealed_row(self, tenant: str, connection: UUID) -> dict[str, Any]:
        with self.opened.database(Role.CRM) as database, database.transaction(tenant) as tx:
            row = tx.execute(
                "SELECT document_key, sealed FROM crm_sync.document WHERE connection_id = %s LIMIT 1", [connection]
            ).fetchone()
        if row is None:
            raise NotHeldError("nothing was synced")
        return row

    def _key_store(self) -> KeyStore:
        keyring = Keyring.load(str(_text(self.opened.settings.records_keyring)), "records")
        return KeyStore(self.opened.database(Role.WORKER), grant=None, records=keyring)

    def _opens_no_more(self, keys: KeyStore, tenant: str, connection: UUID, row: dict[str, Any]) -> bool:
        try:
            keys.records(tenant, connection).open("document.body", row["document_key"], row["sealed"])
        except KeyShredded:
            return True
        return False

    def _what_is_left(self, tenant: str, connection: UUID) -> tuple[int, int]:
        with self.opened.database(Role.WORKER) as database, database.transaction(tenant) as tx:
            row = tx.execute(
                "SELECT (SELECT count(*) FROM crm_sync.document WHERE connection_id = %(id)s) AS documents, "
                "(SELECT count(*) FROM crm_sync.data_key WHERE connection_id = %(id)s AND wrapped IS NOT NULL) AS keys",
                {"id": connection},
            ).fetchone()
        return (int(row["documents"]), int(row["keys"])) if row else (0, 0)


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""

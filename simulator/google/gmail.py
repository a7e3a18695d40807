"""The Gmail API: profile, labels, messages, attachments, threads, history, watches, and batches of all that.

    request ─▶ whose is it ─▶ has the account Gmail ─▶ scope ─▶ quota units ─▶ parameters ─▶ reply

Of writes only messages.modify is played; everything else is changed through the control door.
Source: the provider sheet, section 4, and the Gmail discovery document, revision 20261005.
"""

import dataclasses
import re
from typing import Any

import msgspec

from simulator.app import Simulator
from simulator.exchange import Reply, Request, json_reply
from simulator.google import scopes
from simulator.google.access import GMAIL_PROJECT, GMAIL_USER, Access
from simulator.google.batch import serve_batch
from simulator.google.errors import GoogleError, invalid_argument, not_found, unknown_parameter
from simulator.google.gmail_lists import LIST, MailLists
from simulator.google.gmail_message import FORMATS, Format, Messages, hex_id
from simulator.google.gmail_rules import GMAIL_HOST, MAX_BATCH, OLD_PRICES, PRICES, WATCH_LIFE_S, GmailSwitches
from simulator.google.parameters import Kind, Parameters
from simulator.google.tokens import AccessToken
from simulator.switching import switch
from simulator.world import Account
from simulator.world.mailbox import SYSTEM_LABELS, Mail, Mailbox

_BATCH_PATHS = ("/batch", "/batch/gmail/v1")
_ID = re.compile(r"[0-9a-f]{1,16}")
_ONE: dict[str, Kind] = {"format": "text", "metadataHeaders": "many"}
_HIDDEN_LABELS = frozenset(label for label in SYSTEM_LABELS if label.startswith("CATEGORY_") or label == "CHAT")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


class _WatchRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    topic_name: str = ""
    label_ids: list[str] = []
    label_filter_behavior: str = "include"
    label_filter_action: str = "include"


class _ModifyRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    add_label_ids: list[str] = []
    remove_label_ids: list[str] = []


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """A push notification somebody asked for; nothing is ever pushed from here."""

    topic: str
    labels: tuple[str, ...]
    ends_at: float


class Gmail:
    """Serves gmail.googleapis.com."""

    def __init__(self, simulator: Simulator, access: Access) -> None:
        self._clock = simulator.clock
        self._access = access
        self._messages = Messages(simulator.mint)
        self._lists = MailLists(simulator.world, simulator.mint, self._messages)
        self._simulator = simulator
        self._batched = 0
        self._watches: dict[str, Watch] = {}

    @property
    def switches(self) -> GmailSwitches:
        """How the service behaves where Google leaves room."""
        return self._messages.switches

    def switch(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Set some of the switches and return all of them; what was written under others is written anew."""
        if changes:
            self._messages.forget_ready()
        return switch(self._messages.switches, changes)

    def handle(self, request: Request) -> Reply:
        """Serve a request.

        Raises: GoogleError.
        """
        if request.path in _BATCH_PATHS and not request.inner:
            return self._batch(request)
        segments = request.segments
        if segments[:3] != ("gmail", "v1", "users") or len(segments) < 5:
            raise not_found("Method not found.")
        serve = self._read if request.method == "GET" else self._write
        return serve(request, segments[3], segments[4:])

    def warm(self, account: Account, form: Format, limit: int | None) -> int:
        """Render messages beforehand; return how many are ready."""
        return self._messages.make_ready(account.mailbox, form, limit)

    def watch_of(self, account: Account) -> Watch | None:
        """Return the account's watch unless it has ended."""
        watch = self._watches.get(account.sub)
        return watch if watch is not None and watch.ends_at > self._clock.now() else None

    def _batch(self, request: Request) -> Reply:
        if request.query:
            raise unknown_parameter(request.query[0][0])
        return serve_batch(
            self._simulator,
            request,
            most=MAX_BATCH,
            within="/gmail/v1/",
            style="both",
            instead=self._too_many,
            backwards=self.switches.batch_order == "reversed",
        )

    def _too_many(self, at: int) -> GoogleError | None:
        """Return an error for a call of a batch that a switch says is one too many at the same time."""
        self._batched += 1
        every, above = self.switches.batch_429_every, self.switches.batch_429_above
        if (above and at >= above) or (every and self._batched % every == 0):
            return GoogleError(429, "Too many concurrent requests for user.", "rateLimitExceeded")
        return None

    def _read(self, request: Request, user: str, rest: tuple[str, ...]) -> Reply:
        match rest:
            case ("profile",):
                return self._profile(request, user)
            case ("labels",):
                return self._labels(request, user)
            case ("labels", label):
                return self._label(request, user, label)
            case ("messages" | "threads" as kind,):
                return self._list(request, user, kind)
            case ("messages", message):
                return self._get(request, user, message)
            case ("messages", message, "attachments", attachment):
                return self._attachment(request, user, message, attachment)
            case ("threads", thread):
                return self._thread(request, user, thread)
            case ("history",):
                token = self._admit(request, user, scopes.GMAIL_READ, "history.list")
                return self._lists.history(request, token.account)
            case _:
                raise not_found("Method not found.")

    def _write(self, request: Request, user: str, rest: tuple[str, ...]) -> Reply:
        match (request.method, *rest):
            case ("POST", "messages", message, "modify"):
                return self._modify(request, user, message)
            case ("POST", "watch"):
                return self._watch(request, user)
            case ("POST", "stop"):
                return self._stop(request, user)
            case _:
                raise not_found("Method not found.")

    def _admit(self, request: Request, user: str, allowed: frozenset[str], method: str) -> AccessToken:
        """Return the caller's token after everything that comes before a method's own parameters.

        Raises: GoogleError.
        """
        token = self._access.bearer(request)
        self._access.require(token, allowed, GMAIL_HOST)
        if user not in ("me", token.account.email):
            raise GoogleError(403, f"Delegation denied for {token.account.email}", "forbidden")
        if token.account.email in self.switches.without_gmail:
            raise _no_gmail()
        units = (OLD_PRICES if self.switches.old_prices else PRICES)[method]
        try:
            self._access.spend(request, token, user=GMAIL_USER, units=units, project=GMAIL_PROJECT)
        except GoogleError as error:
            if error.status != 403:
                raise
            reason, status = self.switches.user_limit_reason, self.switches.user_limit_status
            name = "RESOURCE_EXHAUSTED" if status == 429 else error.status_name
            raise dataclasses.replace(error, status=status, reason=reason, status_name=name) from None
        return token

    def _only_metadata(self, token: AccessToken) -> bool:
        narrow = token.scopes.isdisjoint(scopes.GMAIL_BODIES)
        return narrow or (self.switches.metadata_scope_wins and scopes.GMAIL_METADATA in token.scopes)

    def _profile(self, request: Request, user: str) -> Reply:
        account = self._admit(request, user, scopes.GMAIL_PROFILE, "getProfile").account
        Parameters(request, {})
        mailbox = account.mailbox
        totals = {"messagesTotal": mailbox.alive, "threadsTotal": mailbox.threads}
        shown = {name: total for name, total in totals.items() if total}
        return json_reply({"emailAddress": account.email, **shown, "historyId": str(mailbox.history.current)})

    def _labels(self, request: Request, user: str) -> Reply:
        account = self._admit(request, user, scopes.GMAIL_LABELS, "labels.list").account
        Parameters(request, {})
        names = [*SYSTEM_LABELS, *account.mailbox.label_names]
        return json_reply({"labels": [_label(account.mailbox, name) for name in names]})

    def _label(self, request: Request, user: str, label: str) -> Reply:
        account = self._admit(request, user, scopes.GMAIL_LABELS, "labels.get").account
        Parameters(request, {})
        mailbox = account.mailbox
        if label not in SYSTEM_LABELS and label not in mailbox.label_names:
            raise not_found()
        mails = [mail for mail in mailbox.every() if label in mail.labels]
        unread = [mail for mail in mails if "UNREAD" in mail.labels]
        return json_reply(
            {**_label(mailbox, label), "messagesTotal": len(mails), "messagesUnread": len(unread),
             "threadsTotal": len({mail.root for mail in mails}), "threadsUnread": len({mail.root for mail in unread})}
        )  # fmt: skip

    def _list(self, request: Request, user: str, kind: str) -> Reply:
        token = self._admit(request, user, scopes.GMAIL_READ, f"{kind}.list")
        given = Parameters(request, LIST)
        if given.text("q") is not None and self._only_metadata(token):
            raise GoogleError(403, "Metadata scope does not support 'q' parameter", "forbidden")
        serve = self._lists.messages if kind == "messages" else self._lists.threads
        return serve(given, token.account)

    def _get(self, request: Request, user: str, message: str) -> Reply:
        token = self._admit(request, user, scopes.GMAIL_READ, "messages.get")
        form, headers = self._format(request, token, FORMATS)
        mailbox = token.account.mailbox
        return Reply(200, self._messages.encoded(mailbox, _found(mailbox, message), form, headers))

    def _thread(self, request: Request, user: str, thread: str) -> Reply:
        token = self._admit(request, user, scopes.GMAIL_READ, "threads.get")
        form, headers = self._format(request, token, FORMATS[:3])
        mailbox = token.account.mailbox
        began = _by_id(mailbox, thread)
        mails = [one for one in mailbox.thread(began.number) if not one.vanished] if began is not None else []
        if not mails:
            raise not_found()
        head = {"id": hex_id(mailbox, mails[0].root), "historyId": str(max(one.history for one in mails))}
        shown = b",".join(self._messages.encoded(mailbox, mail, form, headers) for mail in mails)
        return Reply(200, msgspec.json.encode(head)[:-1] + b',"messages":[' + shown + b"]}")

    def _format(self, request: Request, token: AccessToken, known: tuple[Format, ...]) -> tuple[Format, frozenset[str]]:
        given = Parameters(request, _ONE)
        asked = given.text("format") or "full"
        form = next((one for one in known if one == asked), None)
        if form is None:
            raise invalid_argument(f"Invalid value at 'format' (TYPE_ENUM), \"{asked}\"", "format")
        if form in ("full", "raw") and self._only_metadata(token):
            raise GoogleError(403, f"Metadata scope doesn't allow format {form.upper()}", "forbidden")
        headers = given.many("metadataHeaders") if form == "metadata" else []
        return form, frozenset(name.lower() for name in headers)

    def _attachment(self, request: Request, user: str, message: str, attachment: str) -> Reply:
        token = self._admit(request, user, scopes.GMAIL_BODIES, "attachments.get")
        Parameters(request, {})
        mailbox = token.account.mailbox
        found = self._messages.attachment(mailbox, _found(mailbox, message), attachment)
        if found is None:
            raise GoogleError(400, "Invalid attachment token", "invalidArgument")
        return json_reply(found)

    def _modify(self, request: Request, user: str, message: str) -> Reply:
        token = self._admit(request, user, scopes.GMAIL_WRITE, "messages.modify")
        Parameters(request, {})
        asked = _body(request, _ModifyRequest)
        mailbox = token.account.mailbox
        mail = _found(mailbox, message)
        for label in (*asked.add_label_ids, *asked.remove_label_ids):
            if label not in mailbox.label_names and label not in SYSTEM_LABELS:
                raise GoogleError(400, f"Invalid label: {label}", "invalidArgument")
            if label in ("SENT", "DRAFT", "CHAT"):
                raise GoogleError(400, f"Cannot modify label: {label}", "invalidArgument")
        mailbox.label(mail, asked.add_label_ids, asked.remove_label_ids, self._clock.now())
        short: dict[str, Any] = {"id": message, "threadId": hex_id(mailbox, mail.root)}
        return json_reply(short | ({"labelIds": sorted(mail.labels)} if mail.labels else {}))

    def _watch(self, request: Request, user: str) -> Reply:
        account = self._admit(request, user, scopes.GMAIL_READ, "watch").account
        Parameters(request, {})
        asked = _body(request, _WatchRequest)
        if not _TOPIC.fullmatch(asked.topic_name):
            raise invalid_argument("Invalid topicName does not match projects/PROJECT/topics/TOPIC", "topicName")
        present = self.watch_of(account)
        if present is not None and present.topic != asked.topic_name:
            raise invalid_argument(
                "Only one user push notification client allowed per developer (call /stop then try again)"
            )
        ends_at = self._clock.now() + WATCH_LIFE_S
        self._watches[account.sub] = Watch(asked.topic_name, tuple(asked.label_ids), ends_at)
        return json_reply(
            {"historyId": str(account.mailbox.history.current), "expiration": str(int(ends_at * 1000))}
        )  # fmt: skip

    def _stop(self, request: Request, user: str) -> Reply:
        account = self._admit(request, user, scopes.GMAIL_READ, "stop").account
        Parameters(request, {})
        self._watches.pop(account.sub, None)
        return Reply(204)


def _label(mailbox: Mailbox, label: str) -> dict[str, Any]:
    if label in SYSTEM_LABELS:
        shown: dict[str, Any] = {"id": label, "name": label, "type": "system"}
        hidden = {"messageListVisibility": "hide", "labelListVisibility": "labelHide"}
        return shown | (hidden if label in _HIDDEN_LABELS else {})
    return {"id": label, "name": mailbox.label_names[label], "messageListVisibility": "show",
            "labelListVisibility": "labelShow", "type": "user"}  # fmt: skip


def _no_gmail() -> GoogleError:
    message = "Precondition check failed."
    return GoogleError(400, message, "failedPrecondition", status_name="FAILED_PRECONDITION")


def _by_id(mailbox: Mailbox, text: str) -> Mail | None:
    """Return what an id stands for.

    Raises: GoogleError 400 for a text that is no id.
    """
    if not _ID.fullmatch(text):
        raise GoogleError(400, "Invalid id value", "invalidArgument")
    return mailbox.by_key(int(text, 16))


def _found(mailbox: Mailbox, text: str) -> Mail:
    mail = _by_id(mailbox, text)
    if mail is None or mail.deleted or mail.vanished:
        raise not_found()
    return mail


def _body(request: Request, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(request.body or b"{}", type=shape)
    except msgspec.MsgspecError as error:
        raise invalid_argument(f"Invalid JSON payload received. {error}") from None

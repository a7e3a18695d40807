"""Gmail's lists: messages and threads from the newest on, and the history of a mailbox.

    list     newest first; a page token holds the place (time and number of the last message), so that mails which come
             in meanwhile move nothing
    history  records after startHistoryId, in order; the last page's historyId is where the next one starts

Source: the provider sheet, sections 4.1 and 4.2.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from simulator.clock import DAY_S
from simulator.exchange import Reply, Request, json_reply
from simulator.google.errors import GoogleError, invalid_argument, not_found
from simulator.google.gmail_message import Messages, hex_id, stub
from simulator.google.gmail_query import Test, search
from simulator.google.gmail_rules import DEFAULT_PAGE, MAX_PAGE, GmailSwitches
from simulator.google.parameters import Kind, Parameters
from simulator.opaque import Mint, fingerprint
from simulator.world import Account, World
from simulator.world.mail_history import Change
from simulator.world.mailbox import SYSTEM_LABELS, Mail, Mailbox

LIST: dict[str, Kind] = {
    "includeSpamTrash": "flag", "labelIds": "many", "maxResults": "integer", "pageToken": "text", "q": "text",
}  # fmt: skip
_HISTORY: dict[str, Kind] = {
    "historyTypes": "many", "labelId": "text", "maxResults": "integer", "pageToken": "text", "startHistoryId": "text",
}  # fmt: skip
_TYPES = ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")
_MORE = 201


class MailLists:
    """Serves users.messages.list, users.threads.list and users.history.list."""

    def __init__(self, world: World, mint: Mint, messages: Messages) -> None:
        self._world = world
        self._mint = mint
        self._messages = messages

    @property
    def _switches(self) -> GmailSwitches:
        return self._messages.switches

    def messages(self, given: Parameters, account: Account) -> Reply:
        """Serve messages.list.

        Raises: GoogleError.
        """
        mailbox = account.mailbox
        page, ending = self._page(given, account, "messages")
        reply: dict[str, Any] = {"messages": [stub(mailbox, mail) for mail in page]} if page else {}
        return json_reply(reply | ending)

    def threads(self, given: Parameters, account: Account) -> Reply:
        """Serve threads.list: threads by the newest of their messages that fit.

        Raises: GoogleError.
        """
        mailbox = account.mailbox
        page, ending = self._page(given, account, "threads")
        reply: dict[str, Any] = {"threads": [self._thread_stub(mailbox, mail) for mail in page]} if page else {}
        return json_reply(reply | ending)

    def history(self, request: Request, account: Account) -> Reply:
        """Serve history.list.

        Raises: GoogleError.
        """
        given = Parameters(request, _HISTORY)
        mailbox = account.mailbox
        size = self._size(given)
        kinds = self._kinds(given)
        label = given.text("labelId")
        if label is not None:
            self._known_label(mailbox, label)
        start = self._start(given, mailbox)
        shape = fingerprint(account.sub, start, sorted(kinds), label, size)
        place = self._place(given, "gmail.history", shape) or {
            "after": start, "again": start, "empty": self._switches.empty_history_pages,
        }  # fmt: skip
        if place["empty"]:
            token = self._mint.make("gmail.history", shape=shape, **{**place, "empty": place["empty"] - 1})
            return json_reply({"nextPageToken": token, "historyId": str(mailbox.history.current)})
        shown, ending = self._records(mailbox, place, size, kinds, label)
        if self._switches.history_repeats:
            shown = [record for record in shown for _ in range(2)]
        reply: dict[str, Any] = {"history": shown} if shown else {}
        if ending is not None:
            reply["nextPageToken"] = self._mint.make("gmail.history", shape=shape, empty=0, **ending)
        return json_reply(reply | {"historyId": str(mailbox.history.current)})

    def _page(self, given: Parameters, account: Account, kind: str) -> tuple[list[Mail], dict[str, Any]]:
        """Return one page of mails and what the reply ends with; of a thread only the newest mail that fits."""
        mailbox = account.mailbox
        size = self._size(given)
        labels, text = given.many("labelIds"), given.text("q")
        everywhere = given.flag("includeSpamTrash")
        fits = self._test(mailbox, labels, text, everywhere=everywhere)
        shape = fingerprint(kind, account.sub, sorted(labels), text, everywhere)
        place = self._place(given, "gmail.list", shape)
        found = (mail for mail in mailbox.newest_first((place["at"], place["number"]) if place else None) if fits(mail))
        if kind == "threads":
            found = (mail for mail in found if self._newest_that_fits(mailbox, mail, fits))
        page = list(itertools.islice(found, size + 1))
        ending: dict[str, Any] = {}
        if len(page) > size:
            page.pop()
            ending["nextPageToken"] = self._mint.make("gmail.list", shape=shape, at=page[-1].at, number=page[-1].number)
        plain = not labels and text is None and everywhere and kind == "messages"
        estimate = mailbox.alive if plain else _MORE if "nextPageToken" in ending else len(page)
        return page, ending | {"resultSizeEstimate": estimate}

    def _test(self, mailbox: Mailbox, labels: list[str], text: str | None, *, everywhere: bool) -> Test:
        for label in labels:
            self._known_label(mailbox, label)
        wanted = frozenset(labels)
        asked = search(text, mailbox, self._world.clock.now()) if text else None
        hidden = frozenset({"SPAM", "TRASH"})
        if everywhere or wanted & hidden or (asked is not None and asked.anywhere):
            hidden = frozenset()

        def fits(mail: Mail) -> bool:
            return (
                wanted <= mail.labels
                and hidden.isdisjoint(mail.labels)
                and (asked is None or asked.fits(mail))
            )  # fmt: skip

        return fits

    def _newest_that_fits(self, mailbox: Mailbox, mail: Mail, fits: Test) -> bool:
        fitting = [one for one in mailbox.thread(mail.root) if fits(one)]
        return fitting[-1] is mail

    def _thread_stub(self, mailbox: Mailbox, mail: Mail) -> dict[str, Any]:
        newest = max(one.history for one in mailbox.thread(mail.root))
        snippet = self._messages.snippet(mailbox, mail)
        return {"id": hex_id(mailbox, mail.root), "snippet": snippet, "historyId": str(newest)}

    def _size(self, given: Parameters) -> int:
        size = given.integer("maxResults") or DEFAULT_PAGE
        if size < 0 or (size > MAX_PAGE and not self._switches.clamp_page_size):
            raise invalid_argument(f"Invalid maxResults: {size}. It must be between 1 and {MAX_PAGE}.", "maxResults")
        return min(size, MAX_PAGE, self._switches.short_pages or size)

    def _known_label(self, mailbox: Mailbox, label: str) -> None:
        if label in SYSTEM_LABELS or label in mailbox.label_names:
            return
        if self._switches.unknown_label_status == 404:
            raise not_found()
        raise GoogleError(self._switches.unknown_label_status, f"Invalid label: {label}", "invalidArgument")

    def _place(self, given: Parameters, kind: str, shape: str) -> dict[str, Any] | None:
        token = given.text("pageToken")
        if token is None:
            return None
        place = self._mint.read(kind, token)
        if place is None or place.pop("shape") != shape:
            raise invalid_argument("Invalid pageToken", "pageToken")
        return place

    def _kinds(self, given: Parameters) -> frozenset[str]:
        asked = given.many("historyTypes")
        for at, kind in enumerate(asked):
            if kind not in _TYPES:
                wrong = f"Invalid value at 'history_types[{at}]' (TYPE_ENUM), \"{kind}\""
                raise invalid_argument(wrong, "historyTypes")
        return frozenset(asked or _TYPES)

    def _start(self, given: Parameters, mailbox: Mailbox) -> int:
        """Return the id to start from.

        Raises: GoogleError 400 when it is missing or no number, 404 when it is out of date or was never given out.
        """
        text = given.text("startHistoryId")
        if text is None:
            raise invalid_argument("Required parameter is missing: startHistoryId", "startHistoryId")
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise invalid_argument(f"Invalid value at 'start_history_id' (TYPE_UINT64), \"{text}\"", "startHistoryId")
        since = self._world.clock.now() - self._switches.history_days * DAY_S
        if not mailbox.history.knows(int(text), since):
            raise not_found()
        return int(text)

    def _records(
        self, mailbox: Mailbox, place: dict[str, Any], size: int, kinds: frozenset[str], label: str | None
    ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Return the records of a page and the place of the next one."""
        again = (self._record(mailbox, change, kinds, label) for change in self._again(mailbox, place))
        wanted = [record for record in again if record is not None]
        fresh, last = 0, place["after"]
        for seen, change in enumerate(mailbox.history.after(place["after"])):
            if (seen if self._switches.sparse_history_pages else fresh) >= size:
                return wanted, {"after": last, "again": self._where_overlap_begins(wanted, last)}
            last = change.id
            record = self._record(mailbox, change, kinds, label)
            if record is not None:
                wanted.append(record)
                fresh += 1
        return wanted, None

    def _where_overlap_begins(self, told: list[dict[str, Any]], last: int) -> int:
        overlap = min(self._switches.history_overlap, len(told))
        return int(told[-overlap]["id"]) - 1 if overlap else last

    def _again(self, mailbox: Mailbox, place: dict[str, Any]) -> Iterator[Change]:
        """Go through the records of the page before that are told once more."""
        return itertools.takewhile(lambda change: change.id <= place["after"], mailbox.history.after(place["again"]))

    def _record(
        self, mailbox: Mailbox, change: Change, kinds: frozenset[str], label: str | None
    ) -> dict[str, Any] | None:
        """Return a change as a history record, or None when nobody asked for it."""
        if label is not None and label not in {*change.labels, *change.gained, *change.lost}:
            return None
        mail = mailbox.at(change.mail)
        short = stub(mailbox, mail)
        long = short | ({"labelIds": sorted(change.labels)} if self._switches.history_labels and change.labels else {})
        typed: dict[str, Any] = {}
        if change.added and "messageAdded" in kinds:
            typed["messagesAdded"] = [{"message": long}]
        if change.deleted and "messageDeleted" in kinds:
            typed["messagesDeleted"] = [{"message": short}]
        if change.gained and "labelAdded" in kinds:
            typed["labelsAdded"] = [{"message": long, "labelIds": list(change.gained)}]
        if change.lost and "labelRemoved" in kinds:
            typed["labelsRemoved"] = [{"message": long, "labelIds": list(change.lost)}]
        return {"id": str(change.id), "messages": [short], **typed} if typed else None

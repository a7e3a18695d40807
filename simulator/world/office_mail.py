"""An account's mail in folders: the mails of a mailbox made up as for everybody, each in exactly one folder.

What labels say elsewhere is said by folders here: a mail lies in Sent, Drafts, Deleted, Junk or the Inbox, in one of
the folders that people made, or in the Archive. Whether it was read or flagged stays a label of the mail itself.
"""

from simulator.world.folders import Cabinet, Folder, Item
from simulator.world.mail_facts import MailOwner
from simulator.world.mailbox import Mail, Mailbox, Own

UNREAD, FLAGGED, DRAFT = "UNREAD", "STARRED", "DRAFT"
_FOLDERS = (
    ("Inbox", "inbox"), ("Drafts", "drafts"), ("Sent Items", "sentitems"), ("Deleted Items", "deleteditems"),
    ("Junk Email", "junkemail"), ("Archive", "archive"), ("Outbox", "outbox"),
)  # fmt: skip
_HIDDEN = (
    ("Conversation History", "conversationhistory"),
    ("Recoverable Items Deletions", "recoverableitemsdeletions"),
)
_OF_LABEL = (("DRAFT", "drafts"), ("TRASH", "deleteditems"), ("SPAM", "junkemail"))


class OfficeMail:
    """The mails of one account: item and mail have the same number."""

    def __init__(self, owner: MailOwner, size: int, epoch: float) -> None:
        self.box = Mailbox(owner, size, epoch)
        self.cabinet = Cabinet()
        self.corrupt: set[int] = set()
        self.root = self.cabinet.seed_folder("Top of Information Store", known_as="msgfolderroot", hidden=True)
        for name, known_as in _FOLDERS:
            self.cabinet.seed_folder(name, self.root, known_as)
        for name, known_as in _HIDDEN:
            self.cabinet.seed_folder(name, self.root, known_as, hidden=True)
        customers = self.cabinet.seed_folder("Customers", self.known("inbox"))
        suppliers = self.cabinet.seed_folder("Suppliers", self.root)
        self._of_user_label = {
            "Label_1": customers,
            "Label_2": self.cabinet.seed_folder("Asia", suppliers),
            "Label_3": self.cabinet.seed_folder("ลูกค้า", customers),
            "Label_4": suppliers,
        }
        for mail in self.box.every():
            self.cabinet.seed(self._place(mail.labels), mail.at)

    def known(self, known_as: str) -> Folder:
        """Return a folder that every mailbox has.

        Raises: KeyError for a name that programs do not know.
        """
        folder = self.cabinet.known(known_as)
        if folder is None:
            raise KeyError(known_as)
        return folder

    def mail(self, item: Item) -> Mail:
        """Return the mail itself."""
        return self.box.at(item.number)

    def unread(self, folder: Folder) -> int:
        """Return how many mails of a folder nobody has read."""
        return sum(UNREAD in self.box.at(number).labels for number in folder.members)

    def find(self, reference: str) -> Item:
        """Find a mail as tests name it: `#number`, or the name of a hard case.

        Raises: KeyError when there is none.
        """
        if reference.startswith("#"):
            return self.cabinet.items[int(reference[1:])]
        found = next((item for item in self.cabinet.items if self.mail(item).case == reference), None)
        if found is None:
            raise KeyError(reference)
        return found

    def add(self, folder: Folder, own: Own | None, now: float, at: float, *, case: str | None, read: bool) -> Item:
        """Add a mail to a folder."""
        labels = [*([] if read else [UNREAD]), *([DRAFT] if folder.known_as == "drafts" else [])]
        mail = self.box.add(now, own, case=case, labels=labels, at=at)
        item = self.cabinet.put(folder, now)
        item.created_at = at
        if item.number != mail.number:
            raise RuntimeError("A mail and its place in the folders have different numbers.")
        return item

    def rewrite(self, item: Item, own: Own, now: float) -> None:
        """Change what a mail says, as can happen to a draft."""
        self.mail(item).own = own
        self.cabinet.touch(item, now)

    def mark(self, item: Item, label: str, now: float, *, on: bool) -> None:
        """Mark a mail as unread or flagged, or take the mark from it; what it is already is no change."""
        if self.box.label(self.mail(item), (label,) if on else (), () if on else (label,), now):
            name = "isRead" if label == UNREAD else "flag"
            self.cabinet.touch(item, now, frozenset({name}), counted=label == UNREAD)

    def _place(self, labels: frozenset[str]) -> Folder:
        for label, known_as in _OF_LABEL:
            if label in labels:
                return self.known(known_as)
        own = next((self._of_user_label[one] for one in sorted(labels) if one in self._of_user_label), None)
        if own is not None:
            return own
        if "SENT" in labels and "INBOX" not in labels:
            return self.known("sentitems")
        return self.known("inbox" if "INBOX" in labels else "archive")

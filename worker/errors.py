"""Every way in which this product can fail, grouped by what the runtime does next.

    CrmSyncError
    ├── RunAgainLater            the job goes back; nobody is told
    │   ├── Throttled            the provider named a time, or its window does
    │   │   └── PartThrottled    for one part of a stream only: the others go on
    │   ├── BudgetSpent          our own books say that the window is full
    │   ├── Transient            a 5xx, a cut line, half a body
    │   │   └── ReplyLost        the request left us, and nobody knows whether the provider acted
    │   └── Unavailable          Postgres, Redis or a key service of ours is away
    │       └── StatementTimedOut   Postgres is there, and gave up on a statement of ours: that spends an attempt
    ├── TokenExpired             refresh once and repeat the request
    ├── AskPerson                the customer has to act; their data stays
    │   ├── ConsentGone          → reconnect_needed
    │   ├── ScopeMissing         → that stream missing_scope, the rest runs
    │   └── AdminBlocked         → blocked_by_admin
    ├── CursorExpired            drop the cursor, pass in full
    ├── SetAside                 one record is quarantined, the page goes on
    │   ├── BadRecord
    │   └── TooMuchData
    ├── NotFound                 the thing is gone at the provider
    │   └── PartClosed           a part of a stream is shown to nobody for now: it is asked for again, rarely
    ├── NeedsOperator            stop, a person of ours has to look; no customer is disconnected
    │   ├── Misconfigured
    │   └── ProviderRefused      an answer that no table of ours explains
    ├── DatabaseFault            Postgres refused a statement of ours: a few tries, then the dead list
    │   └── TooLargeForDatabase
    ├── BadRequest               the caller asked for something that cannot be
    │   └── PositionSwept        a place in the feed whose entries are no longer kept: read all records anew
    ├── Abandoned                this worker may no longer act; it drops what it holds, quietly
    │   ├── ConnectionStopped
    │   └── LeaseLost
    └── VaultError               never retried, never detailed
        ├── SealBroken
        ├── KeyMissing           named; what needs the key waits until it is back, and the rest goes on
        └── KeyShredded

An error has a `reason` (a slug: metric label and feed code), a text for us (`str(error)`) and a
`customer_text`. None ever holds a token, a body or a person's data: foreign errors are translated at the
edges (`transport`, `store`, `vault`) with `raise … from None` where their text could leak.
"""

from datetime import datetime
from typing import ClassVar


class CrmSyncError(Exception):
    """The root of the tree; never raised itself."""

    reason: ClassVar[str] = "error"
    customer_text: ClassVar[str] = "Something went wrong on our side. We are looking into it."


class RunAgainLater(CrmSyncError):
    """The job goes back to the scheduler; `until` is the earliest useful moment, if anybody named one."""

    reason = "later"
    customer_text = "We will try again by ourselves."

    def __init__(self, message: str, *, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class Throttled(RunAgainLater):
    """The provider asked us to slow down."""

    reason = "throttled"
    customer_text = "The provider limits how fast we may read. We go on as soon as it lets us."


class PartThrottled(Throttled):
    """The provider slows us down for one part of a stream (an ad account), and for no other."""

    reason = "part_throttled"


class BudgetSpent(RunAgainLater):
    """Our own books say that no permit is free before `until`; the provider was not asked."""

    reason = "budget_spent"
    customer_text = Throttled.customer_text


class Transient(RunAgainLater):
    """A fault that is expected to pass: a 5xx, a dropped connection, a body that ended early."""

    reason = "transient"


class ReplyLost(Transient):
    """The request left us and no whole answer came back: the provider may or may not have acted on it."""

    reason = "reply_lost"


class Unavailable(RunAgainLater):
    """A part of our own (Postgres, Redis, a key service) cannot be reached."""

    reason = "unavailable"


class StatementTimedOut(Unavailable):
    """Postgres cancelled a statement that ran too long; what takes too long each time ends in the dead list."""

    reason = "statement_timeout"


class TokenExpired(CrmSyncError):
    """The provider refused the access token; one refresh and one repetition may cure it."""

    reason = "token_expired"


class AskPerson(CrmSyncError):
    """Only the customer (or their administrator) can mend this."""

    reason = "ask_person"


class ConsentGone(AskPerson):
    """The provider says that this person must consent again."""

    reason = "consent_gone"
    customer_text = "The provider ended our access. Please connect the account again."


class ScopeMissing(AskPerson):
    """The grant lacks a scope that the stream needs."""

    reason = "missing_scope"
    customer_text = "A permission was not given when the account was connected. Connect again and allow it."

    def __init__(self, message: str, *, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.scopes = scopes


class AdminBlocked(AskPerson):
    """An administrator of the customer's organisation does not allow this app."""

    reason = "blocked_by_admin"
    customer_text = "Your organisation's administrator does not allow this connection. Ask them to permit it."

    def __init__(self, message: str, *, consent_helps: bool = False) -> None:
        super().__init__(message)
        self.consent_helps = consent_helps


class CursorExpired(CrmSyncError):
    """The provider forgot where we were; a full pass heals it."""

    reason = "cursor_expired"
    customer_text = "We are reading everything once more, because the provider no longer keeps the older changes."


class SetAside(CrmSyncError):
    """One record cannot be taken; it is put into quarantine and counted, the page goes on."""

    reason = "set_aside"


class BadRecord(SetAside):
    """A record that cannot be parsed."""

    reason = "bad_record"


class TooMuchData(SetAside):
    """A record or a body over one of our caps."""

    reason = "too_much_data"


class NotFound(CrmSyncError):
    """What was asked for is gone at the provider, or was never ours to see."""

    reason = "not_found"


class PartClosed(NotFound):
    """The provider has closed one part of a stream (a suspended ad account) for now; it is left alone until `until`."""

    reason = "part_closed"
    customer_text = "The provider has closed this account for now. We look again once a day."

    def __init__(self, message: str, *, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class NeedsOperator(CrmSyncError):
    """A person of ours has to look. It disconnects no customer."""

    reason = "needs_operator"


class Misconfigured(NeedsOperator):
    """A setting, a key, a client secret or a server of ours is wrong; the text says what to do next."""

    reason = "misconfigured"


class ProviderRefused(NeedsOperator):
    """The provider answered with something that no table of ours explains."""

    reason = "provider_refused"


class DatabaseFault(CrmSyncError):
    """Postgres refused a statement of ours: a bug, told by its SQLSTATE and place, never by the values in it."""

    reason = "database_fault"


class TooLargeForDatabase(DatabaseFault):
    """A value or a statement is larger than Postgres can take; trying again makes it no smaller."""

    reason = "too_large_for_database"


class BadRequest(CrmSyncError):
    """The caller asked for something that cannot be: an unknown provider, workspace, stream or argument."""

    reason = "bad_request"


class PositionSwept(BadRequest):
    """What happened after a reader's position is not kept any more, or not yet there: it must read all records anew."""

    reason = "position_swept"


class Abandoned(CrmSyncError):
    """This worker may no longer act for the job; what it holds is thrown away."""

    reason = "abandoned"


class ConnectionStopped(Abandoned):
    """The connection was stopped (its epoch moved on) since the job began."""

    reason = "connection_stopped"


class LeaseLost(Abandoned):
    """Another worker holds the job now."""

    reason = "lease_lost"


class VaultError(CrmSyncError):
    """Something sealed did not open. The message never says why, since why is what an attacker asks."""

    reason = "vault"


class SealBroken(VaultError):
    """A sealed value is damaged, was moved, or is an old one put back."""

    reason = "seal_broken"


class KeyMissing(VaultError):
    """A key-encryption key that is named by a stored data key is in no keyring that we hold."""

    reason = "key_missing"


class KeyShredded(VaultError):
    """The data key was destroyed on purpose; what it sealed is gone for good."""

    reason = "key_shredded"

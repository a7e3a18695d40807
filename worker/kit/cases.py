"""The table of cases: what each one sets up, what must hold then, which facts it needs, which grade needs it.

A case is a function of a scene that raises `NotHeld`. Cases know no connector and no provider; what a stream's facts
rule out is not tried. The table at the end is what `docs/reference/grades.md` is written from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.connectors.contract import Facts, Stream
from worker.kit import claims
from worker.kit.grades import Grade
from worker.kit.scene import Scene, require
from worker.kit.stage import Temper
from worker.kit.telltales import Telltales
from worker.store.jobs_view import Job

ELSEWHERE: Final = "elsewhere.example"
_ENOUGH_REQUESTS: Final = 60
"""More requests for pages than this mean that a list of a dozen records is read without end."""
_RESTLESS_PAGES: Final = 14
_TAKEN_OVER_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Need:
    """A fact without which a case makes no sense, and what is said then."""

    holds: Callable[[Facts, Stream], bool]
    otherwise: str


MANY = Need(lambda _, stream: not stream.single, "the stream is one record")
IN_PAGES = Need(lambda _, stream: not stream.one_page, "a pass is always one page, whole or not at all")
DELETES = Need(lambda _, stream: stream.deletes, "nothing is ever deleted in it at the provider")
INCREMENTAL = Need(lambda _, stream: stream.incremental, "every pass reads all of it")
DYING_CURSOR = Need(lambda _, stream: stream.cursor_dies, "the provider forgets no cursor of it")
OWN_SCOPE = Need(
    lambda facts, stream: bool(set(stream.scopes) - set(facts.oauth.identity_scopes)), "it needs no scope of its own"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    name: str
    grade: Grade
    promise: str
    run: Callable[[Scene], None]
    needs: tuple[Need, ...] = ()
    temper: Temper = Temper.STEADY
    of_claims: bool = False
    """Whether it looks at what the connector says of itself, and runs nothing."""

    def ruled_out(self, facts: Facts, stream: Stream) -> str:
        """Why the stream's facts rule the case out; empty if they do not."""
        return next((need.otherwise for need in self.needs if not need.holds(facts, stream)), "")


def first_pass(scene: Scene) -> None:
    """What the provider holds is held."""
    scene.connect()
    scene.sync()
    scene.require_truth()


def second_pass(scene: Scene) -> None:
    """Nothing changed, so nothing is written or announced."""
    scene.begin()
    before = scene.counters()
    scene.sync()
    after = scene.counters()
    written = after.saved - before.saved
    require(not written, f"{written} records were written anew though nothing had changed")
    require(after.deleted + after.swept == before.deleted + before.swept, "records were deleted that nobody deleted")
    scene.require_truth()


def changes(scene: Scene) -> None:
    """What is added and changed follows."""
    scene.begin()
    scene.act("add", 2)
    scene.act("change", 2)
    scene.sync()
    scene.require_truth()


def tombstones(scene: Scene) -> None:
    """What is deleted goes, and nothing else does."""
    scene.begin()
    scene.act("delete", 2)
    scene.sync()
    scene.require_truth()


def secrets_kept(scene: Scene) -> None:
    """Replies that repeat the token and the account lead to no log, error or feed entry that does."""
    scene.begin()
    telltales = Telltales(scene)
    for status in (400, 403, 404, 500):
        body = {"text": f"«{telltales.text()}» is not welcome here"}
        scene.fault({"status": status, "body": body}, times=3)
        scene.wait(scene.ask(full=True))
        scene.mend()
        if scene.crm.connection(scene.connected).state != "active":
            break
    telltales.require_untold()


def resume(scene: Scene) -> None:
    """A pass that is broken off after every page ends as an undisturbed one."""
    scene.connect()
    scene.sync()
    scene.require_truth()
    scene.act("add", 2)
    # The first pass may be over before it is asked for, since connecting begins it; what this one reads is known.
    _in_pages(scene.sync(full=True))
    scene.require_truth()


def expired_cursor(scene: Scene) -> None:
    """A dead cursor heals by a full pass, without a duplicate or a false deletion."""
    scene.begin()
    scene.act("add", 2)
    if scene.stream.deletes:
        scene.act("delete", 1)
    scene.act("expire")
    scene.sync()
    scene.require_truth()


def dead_grant(scene: Scene) -> None:
    """Access that the person ended asks them to connect again; what is held stays, and a new consent goes on."""
    scene.begin()
    held = scene.held()
    scene.revoke()
    job = scene.wait(scene.ask())
    # Another stream of the connection may have found it out first; then this job is stopped with the connection.
    told = job.reason in {"consent_gone", "connection_stopped", "connection_reconnect_needed"}
    require(told, f"the job ended as {job.state} ({job.reason}), not as consent_gone")
    state = scene.crm.connection(scene.connected).state
    require(state == "reconnect_needed", f"the connection is {state}, not reconnect_needed")
    require(scene.held() == held, "records were lost with the grant")
    scene.connect()
    scene.sync()
    scene.require_truth()


def missing_scope(scene: Scene) -> None:
    """A scope that the provider misses is told of the stream, and costs neither records nor the connection."""
    scene.begin()
    held = scene.held()
    scene.fault(scene.refusal("scope_missing", status=403), times=0)
    job = scene.wait(scene.ask(full=True))
    require(job.reason == "missing_scope", f"the job ended as {job.state} ({job.reason}), not as missing_scope")
    require(scene.view().state == "missing_scope", f"the stream is {scene.view().state}, not missing_scope")
    require(scene.crm.connection(scene.connected).state == "active", "the whole connection was ended for one stream")
    require(scene.held() == held, "records were lost with the scope")
    scene.mend()
    scene.connect()
    scene.sync()
    scene.require_truth()


def throttled_with_time(scene: Scene) -> None:
    """A 429 that names a time: nothing is asked before it, and then all goes on."""
    scene.begin()
    scene.fault({**scene.refusal("throttled", status=429), "retry_after": 3}, page=_second(scene))
    scene.sync(full=True)
    scene.require_pause(3.0)
    scene.require_truth()


def throttled_without_time(scene: Scene) -> None:
    """A 429 that names none: a pause of our own, and then all goes on."""
    scene.begin()
    scene.fault(scene.refusal("throttled", status=429), page=_second(scene))
    scene.sync(full=True)
    scene.require_pause(1.0)
    scene.require_truth()


def server_errors(scene: Scene) -> None:
    """A provider that fails for a while, with and without an answer, costs time only."""
    scene.begin()
    scene.fault({"status": 503}, page=_second(scene), times=4)
    scene.fault({"status": 500}, page=_second(scene) + 5)
    scene.fault({"reset": True}, page=_second(scene) + 7)
    scene.sync(full=True)
    scene.require_truth()


def half_a_body(scene: Scene) -> None:
    """A reply that is cut off is asked for again; what it did not show is not taken for gone."""
    scene.begin()
    scene.fault({"half_body": True}, page=_second(scene))
    scene.fault({"half_body": True}, page=_second(scene) + 2, times=4)
    scene.sync(full=True)
    scene.require_truth()


def redirect(scene: Scene) -> None:
    """A redirect to another host is not followed, and costs no record."""
    scene.begin()
    held = scene.held()
    scene.fault({"redirect": f"https://{ELSEWHERE}/collect"}, page=_second(scene), times=0)
    scene.wait(scene.ask(full=True))
    require(scene.held() == held, "records were lost by the redirect")
    require(not scene.provider.requests({"host": ELSEWHERE}), f"{ELSEWHERE} was asked")
    scene.mend()
    scene.sync()
    scene.require_truth()


def duplicates(scene: Scene) -> None:
    """Records that come twice, and out of order, are held once."""
    scene.begin()
    scene.fault({"duplicate_items": 3, "reorder": True}, times=0)
    scene.sync(full=True)
    scene.require_truth()
    scene.act("change", 2)
    scene.sync()
    scene.require_truth()


def killed_half_way(scene: Scene) -> None:
    """A worker that is killed (kill -9) while a page comes in: another one goes on, and nothing is lost or doubled."""
    scene.begin()
    # Every further page waits, so that none of the scenes is through before the last one has come so far.
    scene.fault({"delay_s": 25}, page=_second(scene), times=0)
    job_id = scene.ask(full=True)
    scene.until(lambda: len(scene.page_requests()) >= _second(scene), "the pass never came to the page")
    scene.mortal()
    scene.mend()
    # What a dead worker held at the provider (a place among four, say) is free only when its time is over.
    job = scene.wait(job_id, timeout_s=_TAKEN_OVER_S)
    require(job.succeeded, f"the job that was taken over ended as {job.state} ({job.reason}: {job.message})")
    scene.require_sums()
    scene.require_truth()


def repeated_page_token(scene: Scene) -> None:
    """A list that names the same page again and again is left, and read properly when it is well."""
    scene.begin()
    scene.fault({"repeat_page_token": True}, page=2, times=0)
    job_id = scene.ask(full=True)
    asked: Callable[[], int] = lambda: len(scene.page_requests())  # noqa: E731 - a name for what is asked twice.

    def left() -> bool:
        job: Job = scene.crm.job(job_id)
        return job.finished or job.attempt > 0 or asked() > _ENOUGH_REQUESTS

    scene.until(left, "the list was read without end")
    require(asked() <= _ENOUGH_REQUESTS, f"the list was read without end: {asked()} requests for pages")
    scene.mend()
    scene.wait(job_id)
    scene.sync()
    scene.require_truth()


def malformed_record(scene: Scene) -> None:
    """A record that cannot be read is set aside and counted; the others come, and it follows when it is well."""
    scene.begin()
    scene.act("add", 2)  # A record that is held already may never be read again, if the provider never changes it.
    scene.spoil()
    scene.sync(full=True)
    refused, held, there = scene.counters().refused, len(scene.held()), len(scene.truth())
    require(refused > 0, "no record was set aside, though one of them cannot be read")
    require(held >= there - refused, f"{there - held} records are missing, and only {refused} were set aside")
    scene.mend()
    scene.sync(full=True)
    scene.require_truth()


def empty_page(scene: Scene) -> None:
    """A page without records that names a next one is not the end."""
    scene.begin()
    for page in (1, 3):
        scene.fault({"empty_page_with_token": True}, page=page)
    scene.sync(full=True)
    scene.require_truth()
    scene.mend()
    scene.act("add", 2)
    scene.fault({"empty_page_with_token": True}, page=1)
    scene.sync()
    scene.require_truth()


def unknown_fields(scene: Scene) -> None:
    """Fields that nobody knows yet change nothing."""
    scene.begin()
    scene.fault({"unknown_fields": True}, times=0)
    scene.sync(full=True)
    refused = scene.counters().refused
    require(not refused, f"{refused} records were set aside for a field that they had more than before")
    scene.require_truth()


def restless_world(scene: Scene) -> None:
    """Records come, change and go while the pass is under way; the next pass leads to the truth."""
    scene.begin()
    scene.fault({"delay_s": 0.4}, times=0)
    job_id = scene.ask(full=True)
    acts = ["add", "change", *(["delete"] if scene.stream.deletes else [])]
    over: Callable[[], bool] = lambda: scene.crm.job(job_id).finished  # noqa: E731 - a name for what is asked often.
    for _ in range(_RESTLESS_PAGES):
        asked = len(scene.page_requests())
        for act in acts:
            scene.act(act)
        # The world moves while each page is read, and not all of it before the first one is.
        scene.until(lambda: over() or len(scene.page_requests()) > asked, "the pass never came to its end")  # noqa: B023
        if over():
            break
    scene.mend()
    scene.wait(job_id)
    scene.sync()
    scene.require_truth()


def frugal(scene: Scene) -> None:
    """A pass after which nothing changed asks for less than the first one did."""
    scene.connect()
    scene.sync()
    first = len(scene.page_requests())
    scene.sync()
    again = len(scene.page_requests()) - first
    require(again < first, f"the second pass asked for {again} pages, the first one for {first}")


def _second(scene: Scene) -> int:
    """The second page, where there can be one."""
    return 1 if scene.stream.single else 2


def _in_pages(job: Job) -> None:
    pages = (job.outcome or {}).get("pages", 0)
    require(pages > 1, "the pass had one page only, so nothing could be resumed; the simulated provider must give more")


BRONZE, SILVER, GOLD, PLATINUM = Grade
_HASTY, _MORTAL = Temper.HASTY, Temper.MORTAL

CASES: Final = (
    Case("first_pass", BRONZE, "what the provider holds is held, record for record", first_pass),
    Case("second_pass", BRONZE, "a pass after which nothing changed writes nothing", second_pass),
    Case("changes", BRONZE, "what is added and changed follows", changes, (MANY,)),
    Case("tombstones", BRONZE, "what is deleted goes, and nothing else does", tombstones, (MANY, DELETES)),
    Case("secrets", BRONZE, "no token and nothing personal in a log, an error or the feed", secrets_kept),
    Case("resume", SILVER, "a pass that is broken off after every page ends well", resume, (MANY, IN_PAGES), _HASTY),
    Case("expired_cursor", SILVER, "a dead cursor heals by a full pass, without false deletions", expired_cursor,
         (MANY, INCREMENTAL, DYING_CURSOR)),
    Case("dead_grant", SILVER, "ended access asks the person to connect again, and records stay", dead_grant),
    Case("missing_scope", SILVER, "a scope that is missing stops its stream only", missing_scope, (OWN_SCOPE,)),
    Case("throttled_with_time", SILVER, "a 429 that names a time is kept to", throttled_with_time),
    Case("throttled_without_time", SILVER, "a 429 that names none leads to a pause", throttled_without_time),
    Case("server_errors", SILVER, "500, 503 and cut lines cost time only", server_errors),
    Case("half_a_body", SILVER, "a reply that is cut off is asked for again", half_a_body),
    Case("redirect", SILVER, "a redirect elsewhere is not followed and costs nothing", redirect),
    Case("duplicates", SILVER, "records that come twice and out of order are held once", duplicates, (MANY,)),
    Case("killed_half_way", SILVER, "kill -9 while a page comes in loses and doubles nothing", killed_half_way, (),
         _MORTAL),
    Case("repeated_page_token", GOLD, "a list that goes round in circles is left", repeated_page_token, (MANY,)),
    Case("malformed_record", GOLD, "a record that cannot be read costs itself only", malformed_record, (MANY,)),
    Case("empty_page", GOLD, "an empty page that names a next one is not the end", empty_page, (MANY,)),
    Case("unknown_fields", GOLD, "fields that nobody knows change nothing", unknown_fields),
    Case("policy", GOLD, "each kind that is written has a rule for how long it is kept", claims.has_rules,
         of_claims=True),
    Case("restless_world", PLATINUM, "a world that moves while it is read is held as it is in the end", restless_world,
         (MANY,), _HASTY),
    Case("frugal", PLATINUM, "a pass after which nothing changed asks for less than the first", frugal,
         (MANY, INCREMENTAL)),
    Case("facts", PLATINUM, "cursor, deletions, scopes and limits are said, with their sources", claims.are_complete,
         of_claims=True),
)  # fmt: skip

"""The control door: JSON in, JSON out, for tests and demos to move the clock, script faults and read what happened.

It speaks for the parts that every provider shares; families add their own controls by name.
"""

from typing import Any

import msgspec

from simulator.app import ControlHandler, Sharing, Simulator
from simulator.distort import KINDS
from simulator.exchange import Reply, Request, json_reply
from simulator.faults import Action, Match, fits
from simulator.rehearsal import RehearsalDoor

_PREFIX = "/_control"


class _NewRule(msgspec.Struct, forbid_unknown_fields=True):
    match: Match = msgspec.field(default_factory=Match)
    action: Action = msgspec.field(default_factory=Action)


class ControlDoor:
    """Answers `/_control/...`; every mistake of the caller is a 400 that says what was wrong."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        rehearsals = RehearsalDoor(lambda: simulator.families)
        self._own: dict[str, ControlHandler] = {
            "clock": self._clock,
            "faults": self._faults,
            "requests": self._requests,
            "counters": self._counters,
            "quota": self._quota,
            "reset": self._reset,
            "rehearsals": rehearsals.shown,
            "rehearse": rehearsals.act,
        }

    def handle(self, request: Request) -> Reply:
        """Serve one control request."""
        name = request.path.removeprefix(_PREFIX).strip("/")
        if not name:
            return json_reply(self._help())
        query = dict(request.query)
        try:
            given = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
            handler = self._own.get(name) or self._of_family(name, query, given)
            if handler is None:
                return json_reply({"error": f"There is no control {name!r}; GET {_PREFIX} lists them."}, 404)
            return json_reply(handler(request.method, query, given))
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            return json_reply({"error": str(error)}, 400)
        except KeyError as error:
            return json_reply({"error": f"unknown or missing: {error}"}, 400)

    def _of_family(self, name: str, query: dict[str, str], given: dict[str, Any]) -> ControlHandler | None:
        """Return the control of this name: where several families have it, that of the one whose things it is about.

        The first family answers for what is about nobody in particular.
        """
        having = [family for family in self._simulator.families if name in family.controls()]
        concerned = [family for family in having if isinstance(family, Sharing) and family.concerns(query, given)]
        chosen = next(iter([*concerned, *having]), None)
        return None if chosen is None else chosen.controls()[name]

    def _clock(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        if method == "POST":
            self._simulator.clock.advance(float(given["advance_s"]))
        return {"now": self._simulator.clock.now(), "offset_s": self._simulator.clock.offset_s}

    def _faults(self, method: str, query: dict[str, str], given: dict[str, Any]) -> Any:
        faults = self._simulator.faults
        if method == "POST":
            rule = msgspec.convert(given, _NewRule)
            return {"number": faults.add(rule.match, rule.action).number}
        if method == "DELETE":
            faults.clear(int(query["number"]) if "number" in query else None)
        return {"faults": faults.shown()}

    def _requests(self, method: str, query: dict[str, str], _given: dict[str, Any]) -> Any:
        journal = self._simulator.journal
        if method == "DELETE":
            journal.clear()
        only = (query.get("host"), query.get("path"), query.get("account"))
        match = msgspec.json.decode(query.get("match", "{}"), type=Match)
        shown = journal.since(int(query.get("since", "0")), *only, fits=lambda request: fits(match, request))
        return {"last": journal.last_number, "requests": shown}

    def _counters(self, method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        if method == "DELETE":
            self._simulator.quotas.reset_counters()
        journal = self._simulator.journal
        own: dict[str, Any] = {
            "requests": journal.requests,
            "throttled": journal.throttled,
            "by_host": journal.by_host,
            "by_status": journal.by_status,
            "quotas": self._simulator.quotas.counters(),
        }
        for family in self._simulator.families:
            own |= family.counters()
        return own

    def _quota(self, method: str, _query: dict[str, str], given: dict[str, Any]) -> Any:
        quotas = self._simulator.quotas
        if method == "POST":
            quotas.scale = float(given.get("scale", quotas.scale))
            for name, units in given.get("limits", {}).items():
                quotas.change(name, int(units))
        return {"scale": quotas.scale, "quotas": quotas.counters()}

    def _reset(self, _method: str, _query: dict[str, str], _given: dict[str, Any]) -> Any:
        self._simulator.build()
        return {"reset": True}

    def _help(self) -> dict[str, Any]:
        return {
            "controls": sorted(
                {*self._own, *(name for family in self._simulator.families for name in family.controls())}
            ),
            "hosts": sorted(host for family in self._simulator.families for host in family.hosts),
            "fault_match": list(Match.__struct_fields__),
            "fault_actions": list(Action.__struct_fields__),
            "fault_body_kinds": sorted(KINDS),
            "examples": EXAMPLES,
        }


EXAMPLES = [
    "GET  /_control/accounts",
    "GET  /_control/accounts?provider=microsoft",
    'POST /_control/clock {"advance_s": 3600}',
    'POST /_control/consent {"authorize_url": "http://…/accounts.google.com/o/oauth2/v2/auth?…", "account": null}',
    'POST /_control/consent {"authorize_url": "…", "scopes": ["https://…/auth/contacts.readonly"], "deny": false}',
    "GET  /_control/truth?account=EMAIL&kind=contacts|messages|events|calendars",
    'POST /_control/world {"account": "EMAIL", "edits": [{"do": "add_contact", "fields": {"given_name": "Ana"}}]}',
    "GET  /_control/world (which edits there are)",
    'POST /_control/world {"account": "EMAIL", "edits": [{"do": "rename_contact", "id": "#5"}]}',
    'POST /_control/world {"account": "EMAIL", "edits": [{"do": "move_instance", "id": "#10", "nth": 1, "by_s": 60}]}',
    'POST /_control/world {"account": "EMAIL", "edits": [{"do": "add_message", "fields": {"subject": "Hello"}}]}',
    'POST /_control/world {"account": "EMAIL", "edits": [{"do": "trash_message", "id": "#5"}]}',
    'POST /_control/oauth {"rotation": "strict"}',
    'POST /_control/oauth {"next_errors": [{"error": "invalid_grant", "account": "EMAIL", "status": 400}]}',
    'POST /_control/oauth {"revoke_account": "EMAIL"}',
    'POST /_control/oauth {"register_redirects": ["http://127.0.0.1:4711/callback"]}',
    'POST /_control/entra {"remove_consent": "EMAIL", "standing_errors": {"EMAIL": 53003}}',
    'POST /_control/graph {"empty_pages": 2, "retry_after": "fraction"}',
    'POST /_control/services {"people": {"expired_status": 410}}',
    'POST /_control/services {"calendar": {"empty_pages": 2, "tombstones": "least"}}',
    'POST /_control/services {"gmail": {"history_days": 0.1, "batch_429_above": 50}}',
    'POST /_control/faults {"match": {"path": "connections", "nth": 2}, "action": {"status": 503}}',
    'POST /_control/faults {"match": {"path": "/token$", "times": 0}, "action": {"lost_reply": true}}',
    'POST /_control/faults {"match": {"path": "connections"}, "action": {"body": {"kind": "lone_surrogate"}}}',
    "GET  /_control/google_ads (advertising accounts and who reaches them)",
    "GET  /_control/google_ads/truth?customer=berlin&kind=days|sums|campaigns&from=2026-11-01&to=2026-11-22",
    'POST /_control/google_ads/world {"do": "restate_days", "customer": "tokyo", "campaign": "…", "days": {"…": null}}',
    'POST /_control/google_ads/errors {"error": "RESOURCE_TEMPORARILY_EXHAUSTED", "customer": "berlin", "times": 2}',
    'POST /_control/google_ads/switches {"access_level": "explorer", "page_size": 100}',
    "DELETE /_control/faults",
    "GET  /_control/requests?since=0&host=people.googleapis.com&path=connections",
    "DELETE /_control/requests",
    "GET  /_control/counters",
    'POST /_control/quota {"scale": 1.0, "limits": {"gmail.user": 6000}}',
    "GET  /_control/rehearsals",
    'POST /_control/rehearse {"connector": "gmail", "stream": "contacts", "do": "held", "account": "EMAIL"}',
    "POST /_control/reset",
]

"""Connectors that are each broken in one way: the example's own, with a line or two of it changed.

A name is the case that must notice. `COMPANIONS` are cases that meet the same fault and may notice it too.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.kit.packages import install

EXAMPLE = ROOT / "examples" / "crm-sync-tidepool" / "crm_sync_tidepool"
_LIST = "        listed = read_json(session.http.send("
_READ = f'{_LIST}"GET", url, params=asked, costs=COST, classify=classify), _People)\n'
_ENDS_INSTEAD = """        try:
            listed = read_json(session.http.send("GET", url, params=asked, costs=COST, classify=classify), _People)
        except {error}:
            listed = _People(state=place.since or "s0")
"""
_KIND = '    return kind(f"Tidepool says {code} ({reply.status}).") if kind is not None else None\n'
_DELETIONS = '            deletions="people'
_REMEMBERS = """_BEGUN: set[str] = set()


def profile_parts("""


@dataclass(frozen=True)
class Break:
    """What is changed in the example's text, pair by pair."""

    changes: tuple[tuple[str, str], ...]
    imports: str = ""
    policy: bool = True


BREAKS = {
    "first_pass": Break((("display_name=person.name,", "display_name=person.name.upper(),"),)),
    "second_pass": Break(
        (
            ("display_name=person.name,", "display_name=person.name, given_name=str(time.time_ns()),"),
            (
                '            deletions="people',
                '            full_pass_every=timedelta(0),\n            deletions="people',
            ),
            ("            cursor=\"Tidepool's", "            incremental=False,\n            cursor=\"Tidepool's"),
        ),
        "import time",
    ),
    "changes": Break(
        (
            (
                "yield page_of(listed, following, whole=not place.since)",
                "yield _only_new(session, _part, page_of(listed, following, whole=not place.since), place)",
            ),
            (
                "def page_of(",
                (
                    "def _only_new(session, part, page, place):\n"
                    "    if not place.since:\n        return page\n"
                    "    known = session.known(part, [record.key for record in page.records])\n"
                    "    new = tuple(record for record in page.records if record.key not in known)\n"
                    "    return replace(page, records=new, present=tuple(known))\n\n\ndef page_of("
                ),
            ),
        ),
        "from dataclasses import replace",
    ),
    "tombstones": Break((("tombstones=tuple(each.id for each in people if each.deleted),", "tombstones=(),"),)),
    "secrets": Break(
        (("        return None\n    kind =", "        return ProviderRefused(reply.body.decode())\n    kind ="),),
        "from worker.errors import ProviderRefused",
    ),
    "resume": Break(
        (
            ('    after: str = ""\n    version', '    after: str = ""\n    resumed: int = 0\n    version'),
            (
                "    while True:\n        url,",
                (
                    "    lost = place.resumed >= 2 and place.after\n"
                    "    place.resumed += 1\n    while True:\n        url,"
                ),
            ),
            (
                "_Cursor(place.since, listed.next) if listed.next",
                ("_Cursor(place.since, listed.next, place.resumed) if listed.next"),
            ),
            (
                "        yield page_of(",
                ('        if lost:\n            listed.people.clear()\n            lost = ""\n        yield page_of('),
            ),
        )
    ),
    "expired_cursor": Break((('"cursor_expired": CursorExpired', '"cursor_expired": NotFound'),)),
    "dead_grant": Break((('"token_expired": TokenExpired', '"token_expired": NotFound'),)),
    "missing_scope": Break((('"scope_missing": ScopeMissing', '"scope_missing": NotFound'),)),
    "throttled_with_time": Break(
        (
            (
                _KIND,
                '    if kind is Throttled and reply.header("retry-after"):\n'
                '        return Throttled("at once", until=datetime.now(UTC))\n' + _KIND,
            ),
        ),
        "from datetime import UTC, datetime",
    ),
    "throttled_without_time": Break(
        ((_KIND, '    if kind is Throttled and not reply.header("retry-after"):\n        kind = Transient\n' + _KIND),)
    ),
    "server_errors": Break((('"busy": Transient', '"busy": NotFound'),)),
    "half_a_body": Break(((_READ, _ENDS_INSTEAD.format(error="ReplyLost")),), "from worker.errors import ReplyLost"),
    "redirect": Break(
        ((_READ, _ENDS_INSTEAD.format(error="ProviderRefused")),), "from worker.errors import ProviderRefused"
    ),
    "duplicates": Break(
        (
            (
                "    people, refused = parse_people(listed.people)\n",
                (
                    "    people, refused = parse_people(listed.people)\n    seen: dict[str, int] = {}\n"
                    "    for each in people:\n        seen[each.id] = seen.get(each.id, 0) + 1\n"
                    '        each.id += "" if seen[each.id] == 1 else f"#{seen[each.id]}"\n'
                ),
            ),
        )
    ),
    "killed_half_way": Break(
        (
            ("def profile_parts(", _REMEMBERS),
            (
                "        yield page_of(",
                (
                    "        if place.after and place.after not in _BEGUN:\n"
                    "            listed.people.clear()\n        _BEGUN.add(listed.next)\n        yield page_of("
                ),
            ),
        )
    ),
    "repeated_page_token": Break(
        (
            ('    after: str = ""\n    version', '    after: str = ""\n    count: int = 0\n    version'),
            (
                "_Cursor(place.since, listed.next) if listed.next",
                "_Cursor(place.since, listed.next, place.count + 1) if listed.next",
            ),
        )
    ),
    "malformed_record": Break(
        (
            ("people: list[msgspec.Raw] = []", "people: list[_Person] = []"),
            ("    people, refused = parse_people(listed.people)\n", "    people, refused = listed.people, ()\n"),
        )
    ),
    "empty_page": Break(
        (
            (
                "        yield page_of(",
                (
                    "        if not listed.people and not place.since:\n"
                    '            yield Page(cursor=msgspec.json.encode(_Cursor("s0")), covers=FULL_PASS)\n'
                    "            return\n"
                    "        yield page_of("
                ),
            ),
        )
    ),
    "unknown_fields": Break(
        (("class _Person(msgspec.Struct):", "class _Person(msgspec.Struct, forbid_unknown_fields=True):"),)
    ),
    "policy": Break((), policy=False),
    "restless_world": Break(
        (
            (
                "        yield page_of(",
                (
                    "        if listed.state and not place.since:\n"
                    '            late = [("since", "s999999999")]\n'
                    '            newest = session.http.send("GET", CHANGES, params=late, costs=COST)\n'
                    "            following = _Cursor(read_json(newest, _People).state)\n        yield page_of("
                ),
            ),
        )
    ),
    "frugal": Break(((_DELETIONS, f"            full_pass_every=timedelta(0),\n{_DELETIONS}"),)),
    "facts": Break((('docs=("https://tidepool.example/docs/people-v2",),', "docs=(),"),)),
}

COMPANIONS = {
    # A restless world is resumed after every page as well, and its changes and deletions must follow like any other.
    "resume": {"restless_world"},
    "changes": {"restless_world", "duplicates"},
    "tombstones": {"restless_world"},
    # Without a rule nothing may be stored at all, so not even the first pass holds.
    "policy": {"first_pass"},
}

_SIMULATED = """
from crm_sync_tidepool.simulated import Tidepool
NAMES = {names!r}
class Broken(Tidepool):
    def rehearsals(self):
        return [self.rehearsal(name) for name in NAMES]
"""


def name_of(case: str) -> str:
    """The connector that is broken so that `case` fails."""
    return f"broken_{case}"


def write(folder: Path) -> Path:
    """Put a package of all broken connectors, and the example's own modules, into a folder for `sys.path`."""
    good = (EXAMPLE / "connector.py").read_text()
    policy = (EXAMPLE / "policies" / "tidepool.toml").read_text()
    names = [name_of(case) for case in BREAKS]
    install(
        folder,
        "crm-sync-broken",
        {name_of(case): text_of(good, case) for case in BREAKS} | {"broken_simulated": _SIMULATED.format(names=names)},
        {
            "crm_sync.connectors": {name: f"{name}:CONNECTOR" for name in names},
            "crm_sync.simulators": {"broken": "broken_simulated:Broken"},
        },
    )
    (folder / "policies").mkdir()
    for case, how in BREAKS.items():
        if how.policy:
            text = policy.replace('connector = "tidepool"', f'connector = "{name_of(case)}"')
            (folder / "policies" / f"{name_of(case)}.toml").write_text(text)
    return folder


def text_of(good: str, case: str) -> str:
    """The example's text, broken."""
    text = good.replace('name="tidepool"', f'name="{name_of(case)}"')
    for old, new in BREAKS[case].changes:
        assert text.count(old) == 1, f"{case}: the example has {text.count(old)} times: {old}"
        text = text.replace(old, new)
    return text.replace("from datetime import timedelta\n", f"from datetime import timedelta\n{BREAKS[case].imports}\n")

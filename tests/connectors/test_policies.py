"""P9: every kind that a connector writes has a rule, and the files that say so can be read and mended by people."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from worker.connectors import registry
from worker.connectors.policy import SHIPPED, CountedFrom, Sureness, policy_of, read_policy
from worker.errors import Misconfigured

EIGHT = ["facebook", "gmail", "google_ads", "google_photos", "linkedin_ads", "meta_ads", "outlook", "unsplash"]
RULES = [
    pytest.param(rule, id=f"{name}-{rule.kind}")
    for name in EIGHT
    for rule in read_policy(SHIPPED / f"{name}.toml").keep.values()
]


def test_p9_all_eight_providers_have_a_policy() -> None:
    assert sorted(path.stem for path in SHIPPED.iterdir()) == EIGHT


@pytest.mark.parametrize("name", registry.names())
def test_p9_no_connector_writes_a_kind_without_a_rule_nor_one_that_is_never_kept(name: str) -> None:
    policy = policy_of(name)
    for stream in registry.load(name).streams:
        assert stream.kind.value in policy.keep, (
            f"{name} writes «{stream.kind}»: add [keep.{stream.kind}] to its policy"
        )
        assert stream.kind.value not in {duty.what for duty in policy.never}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_told_in_whole_sentences_with_a_page_and_the_day_on_which_it_was_read(rule: object) -> None:
    assert rule.what[0].isupper()  # type: ignore[attr-defined]
    assert rule.what.endswith(".")  # type: ignore[attr-defined]
    assert rule.why.endswith(".")  # type: ignore[attr-defined]
    assert date(2026, 1, 1) < rule.read_on <= date(2027, 1, 1)  # type: ignore[attr-defined]
    assert rule.after_disconnect is not None, "kept for ever after a disconnect"  # type: ignore[attr-defined]


def test_linkedin_members_are_never_kept_and_unsplash_is_always_credited() -> None:
    never = {duty.what for duty in read_policy(SHIPPED / "linkedin_ads.toml").never}
    assert "member_profile" in never
    shown = " ".join(duty.what for duty in read_policy(SHIPPED / "unsplash.toml").show)
    for duty in ("Attribution", "Hotlinking", "Download tracking"):
        assert duty in shown


GOOD = """
connector = "acme"
title = "Acme"
version = 3
[keep.thing]
what = "A thing."
at_most = "36 hours"
counted_from = "fetched"
after_disconnect = "no limit"
ends_when = ["person_asks"]
why = "They say so."
source = "https://acme.example/terms"
read_on = 2026-11-23
sure = "documented"
"""


def test_a_policy_says_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD)
    policy = policy_of("acme", tmp_path)
    rule = policy.keep["thing"]
    assert (policy.version, rule.at_most, rule.after_disconnect) == (3, timedelta(hours=36), None)
    assert (rule.counted_from, rule.sure) == (CountedFrom.FETCHED, Sureness.DOCUMENTED)


def test_the_operators_file_comes_before_ours(tmp_path: Path) -> None:
    changed = (SHIPPED / "linkedin_ads.toml").read_text(encoding="utf-8").replace('"90 days"', '"60 days"')
    (tmp_path / "linkedin_ads.toml").write_text(changed, encoding="utf-8")
    assert policy_of("linkedin_ads", tmp_path).keep["lead"].at_most == timedelta(days=60)
    assert policy_of("linkedin_ads").keep["lead"].at_most == timedelta(days=90)


@pytest.mark.parametrize(("was", "becomes", "told"), [
    ('at_most = "36 hours"', 'at_most = "3 weeks"', ["keep.thing.at_most", "3 weeks", "30 days"]),
    ('at_most = "36 hours"', "at_most = 36", ["keep.thing.at_most", "text"]),
    ('at_most = "36 hours"', "", ["keep.thing.at_most", "missing"]),
    ('counted_from = "fetched"', 'counted_from = "birth"', ["keep.thing.counted_from", "birth", "record_date"]),
    ('["person_asks"]', '["somebody_asks"]', ["keep.thing.ends_when", "somebody_asks", "person_asks"]),
    ('["person_asks"]', '["person_asks", "person_asks"]', ["each once"]),
    ("https://acme", "acme", ["keep.thing.source", "https://"]),
    ("read_on = 2026-11-23", 'read_on = "last week"', ["keep.thing.read_on", "last week", "2026-11-23"]),
    ("read_on = 2026-11-23", "read_on = 2026-11-23T10:00:00Z", ["keep.thing.read_on"]),
    ('sure = "documented"', 'sure = "quite"', ["keep.thing.sure", "quite", "our choice"]),
    ('what = "A thing."', 'what = " "', ["keep.thing.what"]),
    ('what = "A thing."', 'what = "A thing."\ncolour = "red"', ["keep.thing.colour", "not known"]),
    ("version = 3", "version = 0", ["version", "from 1 on"]),
    ("version = 3", "version = true", ["version"]),
    ('connector = "acme"', 'connector = "other"', ["connector", "acme.toml"]),
    ('connector = "acme"', 'connector = "Acme Inc"', ["connector", "small letters"]),
    ("[keep.thing]", "[keep.Thing]", ["keep.Thing", "no kind"]),
    ("[keep.thing]", "[kept.thing]", ["keep", "missing"]),
    ("[keep.thing]", "[[keep]]", ["keep", "blocks"]),
    ("[keep.thing]", "[keep.thing", ["TOML", "line 5"]),
])  # fmt: skip
def test_a_wrong_file_is_told_with_what_where_and_what_to_do(
    tmp_path: Path, was: str, becomes: str, told: list[str]
) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(GOOD.replace(was, becomes, 1))
    with pytest.raises(Misconfigured) as refused:
        read_policy(path)
    text = str(refused.value)
    assert text.startswith(str(path))
    for part in told:
        assert part in text
    assert text.endswith(".")


def test_what_is_never_kept_cannot_have_an_age(tmp_path: Path) -> None:
    never = '[[never]]\nwhat = "thing"\nwhy = "No."\nsource = "https://a.example"\nread_on = 2026-11-23\n'
    never += 'sure = "documented"\n'
    path = tmp_path / "acme.toml"
    path.write_text(GOOD + never)
    with pytest.raises(Misconfigured, match=r"keep\.thing"):
        read_policy(path)


def test_a_connector_without_a_policy_is_told_where_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"acme\.toml.*model of"):
        policy_of("acme", tmp_path)


def test_a_file_that_is_no_text_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="UTF-8"):
        read_policy(path)


def test_a_package_brings_its_policy_in_the_folder_of_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "acme_crm"
    (package / "policies").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "connector.py").write_text("raise RuntimeError('to read a policy, no connector is imported')")
    (package / "policies" / "acme.toml").write_text(GOOD)
    info = tmp_path / "acme_crm-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-crm\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[crm_sync.connectors]\nacme = acme_crm.connector:CONNECTOR\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert policy_of("acme").title == "Acme"

"""What is odd about Tidepool. What holds for every connector is tried by `crm-sync connector check tidepool`."""

import msgspec
import pytest
from crm_sync_tidepool import connector
from crm_sync_tidepool.connector import CODES, classify, page_of, parse_people, read_cursor

from worker.errors import CursorExpired
from worker.records import FULL_PASS
from worker.transport.replies import Reply


def items(*people: object) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(person)) for person in people]


def test_a_person_who_cannot_be_read_is_set_aside_by_their_own_id() -> None:
    people, refused = parse_people(items({"id": "p1", "name": "Mara"}, {"id": "p2", "emails": 7}, {"emails": 7}))
    assert [person.id for person in people] == ["p1"]
    assert [item.key for item in refused] == ["p2", "item 2"]


def test_a_page_with_somebody_nameless_is_no_proof_that_others_are_gone() -> None:
    following = read_cursor(None)
    whole = connector._People(people=items({"id": "p1"}), state="s1")
    assert page_of(whole, following, whole=True).covers == FULL_PASS
    nameless = connector._People(people=items({"id": 7}), state="s1")
    assert page_of(nameless, following, whole=True).covers is None


@pytest.mark.parametrize("cursor", [b"", b"{}x", b'{"version":2}', b"whole"])
def test_a_cursor_of_another_release_leads_to_a_full_pass(cursor: bytes) -> None:
    with pytest.raises(CursorExpired):
        read_cursor(cursor)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_told_without_its_text(code: str) -> None:
    body = msgspec.json.encode({"error": {"code": code, "message": "for somebody's eyes only"}})
    error = classify(Reply(400, {}, body))
    assert type(error) is CODES[code]
    assert "eyes" not in str(error)


def test_what_is_no_error_of_tidepools_is_judged_by_its_status() -> None:
    assert classify(Reply(502, {}, b"<html>bad gateway</html>")) is None

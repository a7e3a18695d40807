"""Logs: one event a line, no secret and no personal shape of one, whoever wrote it (fault matrix 49 and 50)."""

import io
import json
import logging
import sys
import threading

import pytest
import structlog

from worker import logs


def fail(text: str) -> None:
    raise ValueError(text)


def fail_with_locals(half: str) -> None:
    canary = half + "ARY"
    raise ValueError(len(canary))


@pytest.fixture(params=["json", "console"])
def written(request):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.raiseExceptions, sys.excepthook, threading.excepthook)
    stream = io.StringIO()
    logs.set_up(request.param, stream=stream)
    yield stream
    root.handlers[:], root.level, logging.raiseExceptions, sys.excepthook, threading.excepthook = before
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text",
    [
        "GET https://h/x?access_token=CANARY-abc&b=1", "Authorization: Bearer CANARY.abcdefgh", "ya29.CANARYabcdefgh",
        "{'refresh_token': 'CANARY'}", '{"client_secret": "CANARY"}', "postgresql://u:CANARY@h/d", "1//CANARYabcdefgh",
        "eyJhbGciOiJ9.CANARYabcdef.sig", "https://h/cb?code=CANARY&state=s", "GOCSPX-CANARYabcdefgh",
    ],
)  # fmt: skip
def test_p3_secret_is_hidden_by_its_shape_whoever_logs_it(written, text) -> None:
    structlog.get_logger("x").info("x.happened", text=text, nested={"deep": [text]})
    logging.getLogger("dramatiq.worker").warning("failed: %s", text)
    try:
        fail(text)
    except ValueError:
        structlog.get_logger("x").exception("x.failed")
    assert written.getvalue().count("x.") >= 2
    assert "CANARY" not in written.getvalue()


def test_p3_secret_is_hidden_by_its_name_and_when_registered(written) -> None:
    logs.hide("registered-CANARY")
    structlog.get_logger("x").info(
        "x", access_token="CANARY", headers={"Authorization": "CANARY"}, t="registered-CANARY"
    )
    assert "CANARY" not in written.getvalue()


def test_traceback_shows_no_locals(written) -> None:
    try:
        fail_with_locals("CAN")
    except ValueError:
        structlog.get_logger("x").exception("x.failed")
    assert "Traceback" in written.getvalue()
    assert "CANARY" not in written.getvalue()


def test_event_stays_one_line_of_bounded_length(written) -> None:
    hostile = "a\r\n2026 [error] forged \x1b[31m\u202e\u2028" + "x" * 1_000_000
    structlog.get_logger("x").info("x.subject", subject=hostile)
    logging.getLogger("redis").warning(hostile)
    lines = written.getvalue().splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) < 4_000
    assert not {"\x1b", "\u202e", "\r"} & set(written.getvalue())


def test_uncaught_error_of_a_thread_is_logged_redacted(written) -> None:
    thread = threading.Thread(target=fail, args=["Bearer CANARY-abcdefgh"])
    thread.start()
    thread.join()
    assert "process.uncaught" in written.getvalue()
    assert "CANARY" not in written.getvalue()


def test_http_libraries_do_not_write_addresses(written) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://h/?q=CANARY")
    assert written.getvalue() == ""


def test_machines_get_json_with_the_event_its_level_and_time() -> None:
    event = {"event": "job.done", "job_id": 7, "raw": b"\x00secret", "odd": object}
    shown = logs.redact(None, "info", event)
    assert shown["job_id"] == 7
    assert shown["raw"] == "7 bytes"
    assert json.dumps(shown)

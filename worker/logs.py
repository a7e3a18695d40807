"""How a process speaks: one line an event, coloured for people or JSON for machines, and a net under secrets.

    set_up(settings.log_format)                       once, at the entry point
    structlog.get_logger(__name__).info("job.done", job_id=7)

Nobody may log a secret in the first place; `redact` is the net for the day that somebody does. It hides values by
their names and by known shapes, and what was registered by `hide`. It also keeps one event one line: control and
direction characters of foreign text are written as escapes, and long texts are cut. Tracebacks carry no locals.
The standard library's loggers (dramatiq, redis) end in the same place. It ships logs nowhere: stderr is enough.
"""

import logging
import re
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN: Final = "***"
MAX_CHARS: Final = 2_000
MAX_TRACEBACK_CHARS: Final = 12_000
_MAX_DEPTH: Final = 4
_MAX_ITEMS: Final = 50
_SHORTEST_SECRET: Final = 8

_SECRET_NAME = re.compile(
    r"(token|secret|password|passwd|authorization|cookie|verifier|assertion|api_?key|credential)s?$", re.IGNORECASE
)
_SHAPES: Final = (
    # A parameter, a JSON member or a keyword argument whose name says that its value is secret.
    re.compile(
        r"""(?i)((?:access_token|refresh_token|id_token|client_secret|code_verifier|client_assertion|assertion|"""
        r"""password|api_?key|[?&]code|[?&]key|[?&]token)["']?\s*[=:]\s*["']?)([^\s"'&,;})]+)"""
    ),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})"),
    # The password in a URL of a database.
    re.compile(r"(://[^\s:/@]*:)([^\s@/]+)(?=@)"),
    # Tokens that are known by how they begin: Google's, Meta's, and signed JSON of anybody.
    re.compile(r"()(\b(?:ya29\.|1//|4/0|GOCSPX-|EAA)[A-Za-z0-9._-]{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"),
)
_NOT_PRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NOT_PRINTED_BUT_LINES = re.compile(_NOT_PRINTED.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))

_hidden_lock = threading.Lock()
_hidden: set[str] = set()


def hide(secret: str) -> None:
    """Never show this text in a log of this process: for secrets that live as long as it, such as a client's."""
    if len(secret) >= _SHORTEST_SECRET:
        with _hidden_lock:
            _hidden.add(secret)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:  # noqa: ARG001 -- structlog's shape
    """The event without secrets, control characters and endless texts."""
    return {name: _shown(name, value, 0) for name, value in event.items()}


def set_up(log_format: str = "console", *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send every log of this process, structlog's and the standard library's, to `stream` (stderr) in this format.

    It may be called again, as in a forked child; the last call holds.
    """
    out = stream or sys.stderr
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    )
    handler = logging.StreamHandler(out)
    handler.set_name("crm-sync")
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                renderer,
            ],
        )
    )
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for other in list(root.handlers):
        # Only those that print to a terminal, such as dramatiq's; what a test or a tracer hung in stays.
        if type(other) is logging.StreamHandler:
            root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("httpx", "httpcore", "hpack", "googleapiclient"):
        # At INFO and DEBUG they write addresses and headers.
        logging.getLogger(name).setLevel(logging.WARNING)
    # A record that cannot be formatted would be printed raw, with its arguments.
    logging.raiseExceptions = False
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _shown(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, str):
        return _clean(value, traceback=name == "exception")
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {_clean(str(key)): _shown(str(key), item, depth + 1) for key, item in list(value.items())[:_MAX_ITEMS]}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_shown("", item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return _clean(str(value))


def _clean(text: str, *, traceback: bool = False) -> str:
    longest = MAX_TRACEBACK_CHARS if traceback else MAX_CHARS
    with _hidden_lock:
        secrets = sorted(_hidden, key=len, reverse=True)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    if len(text) > 4 * longest:
        # The shapes are searched in a bounded text; what is cut further down is never shown.
        text = text[: 2 * longest] + text[-2 * longest :]
    for shape in _SHAPES:
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    if len(text) > longest:
        text = f"{text[: longest // 2]} […{len(text) - longest} characters left out…] {text[-(longest // 2) :]}"
    unprinted = _NOT_PRINTED_BUT_LINES if traceback else _NOT_PRINTED
    return unprinted.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("crm-sync").critical("process.uncaught", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)

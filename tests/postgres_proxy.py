"""A wire between a process and Postgres that stops at the statement one names: to kill the process there, or to look.

It reads Postgres' frontend messages (protocol 3), counts the statements that pass (Execute and Query), and calls
`at_statement(number, text)` before each is passed on. Raising `Cut` there closes the connection; the statement is lost.
Raising `ReplyLost` passes it on and closes the connection once the server has carried it out: nobody knows then. What
ends an exchange, and commits it if it began no transaction, is no statement: `at_end()` is called first.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


class Cut(Exception):
    """The wire is to be cut here."""


class ReplyLost(Exception):
    """The statement is to be carried out, and its reply to be lost."""


class PostgresProxy:
    """Stands before the Postgres of `url`; `self.url` is the way through it."""

    def __init__(
        self, url: str, at_statement: Callable[[int, str], None], at_end: Callable[[], None] = lambda: None
    ) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._at_statement = at_statement
        self._at_end = at_end
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        self.statements = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self._listener, *self._sockets):
            _close(opened)
        for thread in self._threads:
            thread.join(5)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for opened in (client, server):
                    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                mute = threading.Event()
                self._start(self._forward, client, server, mute)
                self._start(_copy, server, client, mute)

    def _forward(self, client: socket.socket, server: socket.socket, mute: threading.Event) -> None:
        reader = client.makefile("rb")
        try:
            while True:  # Requests for encryption come before the start-up message.
                message = _read_start(reader)
                server.sendall(message)
                if struct.unpack("!I", message[4:8])[0] not in {_SSL_REQUEST, _GSS_REQUEST}:
                    break
            statement, prepared = "", {}
            while True:
                kind = _exactly(reader, 1)
                length = _exactly(reader, 4)
                body = _exactly(reader, struct.unpack("!I", length)[0] - 4)
                if kind == b"P":
                    name, text = body.split(b"\0")[:2]
                    prepared[name] = text.decode()
                elif kind == b"B":
                    statement = prepared.get(body.split(b"\0")[1], "")
                elif kind == b"Q":
                    statement = body.rstrip(b"\0").decode()
                if kind == b"S":
                    self._at_end()
                elif kind in {b"E", b"Q"}:
                    self._count(statement, mute)
                server.sendall(kind + length + body)
        except (Cut, OSError, EOFError, ValueError):
            _close(client)
            _close(server)

    def _count(self, statement: str, mute: threading.Event) -> None:
        with self._lock:
            number = self.statements
            self.statements += 1
        try:
            self._at_statement(number, statement)
        except ReplyLost:
            mute.set()


def _read_start(reader: object) -> bytes:
    length = _exactly(reader, 4)
    return length + _exactly(reader, struct.unpack("!I", length)[0] - 4)


def _exactly(reader: object, count: int) -> bytes:
    data: bytes = reader.read(count)  # type: ignore[attr-defined]
    if len(data) < count:
        raise EOFError
    return data


def _copy(server: socket.socket, client: socket.socket, mute: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            if not mute.is_set():
                client.sendall(data)
            elif data[-6:-1] == _READY:
                break
    _close(client)
    _close(server)


_READY = b"Z\0\0\0\5"
"""What the server ends each answer with, but for the letter of the transaction's state."""


def _close(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()

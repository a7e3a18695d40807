"""A wire between a process and Redis that loses the replies one chooses: the command was carried out, nobody knows.

`loses(request, reply)` is asked for each piece that Redis sends, with what the client sent last; if it says yes, the
piece is thrown away and the connection closed.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

Loses = Callable[[bytes, bytes], bool]


class RedisProxy:
    """Stands before the Redis of `url`; `self.url` is the way through it, `self.lost` counts what was lost."""

    def __init__(self, url: str, loses: Loses) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._loses = loses
        self._listener = socket.create_server(("127.0.0.1", 0))
        login = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self._listener.getsockname()[1]}"))
        self.lost = 0
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self._listener, *self._sockets):
            _close(opened)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                sent = [b""]
                threading.Thread(target=self._requests, args=(client, server, sent), daemon=True).start()
                threading.Thread(target=self._replies, args=(client, server, sent), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, sent: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                sent[0] = data
                server.sendall(data)
        _close(client)
        _close(server)

    def _replies(self, client: socket.socket, server: socket.socket, sent: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self._loses(sent[0], data):
                    self.lost += 1
                    break
                client.sendall(data)
        _close(client)
        _close(server)


def _close(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()

"""A server that says exactly the bytes it is told to, for what no well-behaved server would send."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket, bytes], None]


def says(text: bytes) -> Answer:
    """Send these bytes and close."""
    return lambda connection, _: connection.sendall(text)


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """A whole HTTP reply; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """Answers one request a connection with the next answer; the last one again for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.route = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.ending.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            received = b""
            while b"\r\n\r\n" not in received:
                piece = connection.recv(65_536)
                if not piece:
                    return
                received += piece
            head, _, body = received.partition(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    while len(body) < int(line.split(b":")[1]):
                        body += connection.recv(65_536)
            self.requests.append(head + b"\r\n\r\n" + body)
            place = min(len(self.requests), len(self._answers)) - 1
            self._answers[place](connection, received)


@contextmanager
def raw_server(*answers: Answer | bytes) -> Iterator[RawServer]:
    """A running server, closed at the end of the block."""
    server = RawServer(*(says(each) if isinstance(each, bytes) else each for each in answers))
    try:
        yield server
    finally:
        server.close()

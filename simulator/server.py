"""The socket side: HTTP/1.1 with keep-alive over asyncio and h11, and the faults that only a socket can have.

It decides nothing about a request but how its bytes leave: whole, half, dripping, or not at all.
"""

import asyncio
import contextlib
import socket
import struct
from http import HTTPStatus

import h11

from simulator.app import Simulator
from simulator.control import ControlDoor
from simulator.distort import unwrap
from simulator.exchange import Reply, Request, split_target
from simulator.faults import Action

_READ_BYTES = 1 << 16
_MAX_BODY_BYTES = 64 << 20
_CONTROL = "/_control"


class Hangup(Exception):
    """The connection ends here, by script or because the peer left."""


class Server:
    """Serves one simulator on 127.0.0.1."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._control = ControlDoor(simulator)
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> asyncio.Server:
        """Listen; the address is known afterwards.

        Raises: OSError when the port is taken.
        """
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=_READ_BYTES, backlog=1024)
        self._simulator.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def close(self, server: asyncio.Server) -> None:
        """Stop listening and end every connection."""
        server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        except (Hangup, ConnectionError):
            pass  # What was written still leaves; the finally below closes.
        except asyncio.CancelledError:
            writer.transport.abort()
        except h11.RemoteProtocolError as error:
            await _refuse(writer, error)
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after another until either side closes."""
        connection = h11.Connection(h11.SERVER)
        while True:
            event = await _next_event(connection, reader, writer)
            if not isinstance(event, h11.Request):
                return
            body = await _body(connection, reader, writer)
            await self._answer(connection, writer, event, body)
            if connection.our_state is h11.MUST_CLOSE:
                await writer.drain()
                return
            connection.start_next_cycle()

    async def _answer(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, event: h11.Request, body: bytes
    ) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        path, query = split_target(event.target.decode("latin-1"))
        if path == _CONTROL or path.startswith(_CONTROL + "/"):
            request = Request(event.method.decode(), "", path, query, headers, body)
            await _send(connection, writer, self._control.handle(request), Action())
            return
        host, _, rest = path[1:].partition("/")
        request = Request(event.method.decode(), host, "/" + rest, unwrap(query), headers, body)
        entry, action = self._simulator.begin(request)
        journal = self._simulator.journal
        limits = self._simulator.limits_of(request.host)
        begun: Reply | float = 0.0 if limits is None else limits.begin(request)
        if isinstance(begun, Reply):
            journal.close(entry, begun.status, len(begun.body))
            await _send(connection, writer, begun, Action())
            return
        try:
            if action.delay_s or begun:
                await asyncio.sleep(action.delay_s + begun)
            if action.drop or action.reset in (True, "before"):
                journal.close(entry, 0, 0)
                _hang_up(writer, reset=not action.drop)
            reply = self._simulator.serve(request, entry, action)
        finally:
            if limits is not None:
                limits.end(request)
        if action.lost_reply:
            journal.close(entry, 0, 0)
            _hang_up(writer)
        journal.close(entry, reply.status, len(reply.body))
        await _send(connection, writer, reply, action)


def _hang_up(writer: asyncio.StreamWriter, *, reset: bool = False) -> None:
    """End the connection at once, with a reset when asked.

    Raises: Hangup, always.
    """
    if reset:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort() if reset else writer.close()
    raise Hangup


async def _next_event(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event
        if connection.they_are_waiting_for_100_continue:
            proceed = h11.InformationalResponse(status_code=100, headers=[])
            writer.write(connection.send(proceed) or b"")
        connection.receive_data(await reader.read(_READ_BYTES))


async def _body(connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await _next_event(connection, reader, writer)
        if isinstance(event, h11.Data):
            size += len(event.data)
            if size > _MAX_BODY_BYTES:
                raise Hangup
            chunks.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return b"".join(chunks)
        else:
            raise Hangup


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply, action: Action) -> None:
    names = {name.lower() for name, _ in reply.headers}
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if "content-type" not in names:
        headers.append((b"content-type", reply.content_type.encode()))
    headers.append((b"content-length", str(len(reply.body)).encode()))
    reason = HTTPStatus(reply.status).phrase.encode() if reply.status in _KNOWN_STATUSES else b"Simulated"
    head = connection.send(h11.Response(status_code=reply.status, headers=headers, reason=reason)) or b""
    if action.half_body or action.reset == "during":
        writer.write(head + reply.body[: len(reply.body) // 2])
        await writer.drain()
        _hang_up(writer, reset=action.reset == "during")
    if action.drip is not None:
        await _drip(writer, head, reply.body, action.drip)
    else:
        writer.write(head + reply.body)  # One call of the kernel instead of two is most of what a small reply costs.
    connection.send(h11.Data(data=reply.body))
    connection.send(h11.EndOfMessage())
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, head: bytes, body: bytes, bytes_per_s: float) -> None:
    """Send the head at once and the body so slowly that only a total deadline ends it."""
    writer.write(head)
    step = max(1, int(bytes_per_s / 10))
    for start in range(0, len(body), step):
        writer.write(body[start : start + step])
        await writer.drain()
        await asyncio.sleep(step / bytes_per_s)


async def _refuse(writer: asyncio.StreamWriter, error: h11.RemoteProtocolError) -> None:
    text = str(error).encode()
    writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
    with contextlib.suppress(ConnectionError):
        await writer.drain()


_KNOWN_STATUSES = frozenset(status.value for status in HTTPStatus)

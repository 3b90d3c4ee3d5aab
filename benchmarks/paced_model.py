"""A model server that streams text to many at a steady pace and costs next to nothing: one thread, one wake-up a
millisecond at most, prepared bytes.

Run as a program it says its address in one line of JSON and ends when its standard input is closed. The message
`pace:RATE;` in a request is answered with RATE deltas a second until `GET /stop`, and `pace:0;` with a single delta.
`GET /report` tells what was sent. The first delta of each stream comes at a random part of its interval.
"""

import heapq
import json
import os
import random
import re
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Final

from benchmarks.stamps import Stamper

_PACE: Final = re.compile(rb"pace:(\d+);")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_BLOCK: Final = 1 << 18
_BACKLOG: Final = 1024
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_END: Final = b"0\r\n\r\n"
_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
LATE: Final = 0.02
"""Seconds behind its time after which a delta counts as late."""


@dataclass(slots=True)
class Response:
    """The bytes of one streamed response."""

    name: str
    text: bytearray = field(default_factory=bytearray)

    def opening(self) -> bytes:
        """Return all that comes before the first delta."""
        return _HEAD + _chunk(
            _event("response.created", response=self._response("in_progress"))
            + _event("response.output_item.added", output_index=0, item=self._item("in_progress", []))
            + _event("response.content_part.added", **self._place, part=_part(""))
        )

    def delta(self, piece: bytes) -> bytes:
        """Return one delta; the piece must need no escaping in JSON."""
        self.text += piece
        return _chunk(
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"msg_%b",'
            b'"output_index":0,"content_index":0,"delta":"%b"}\n\n' % (self.name.encode(), piece)
        )

    def closing(self) -> bytes:
        """Return all that comes after the last delta."""
        whole = self.text.decode()
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        return (
            _chunk(
                _event("response.output_text.done", **self._place, text=whole)
                + _event("response.content_part.done", **self._place, part=_part(whole))
                + _event("response.output_item.done", output_index=0, item=self._item("completed", [_part(whole)]))
                + _event("response.completed", response={**self._response("completed"), "usage": usage})
            )
            + _END
        )

    @property
    def _place(self) -> dict[str, object]:
        return {"item_id": f"msg_{self.name}", "output_index": 0, "content_index": 0}

    def _item(self, status: str, content: list[object]) -> dict[str, object]:
        named = {"type": "message", "id": f"msg_{self.name}", "role": "assistant"}
        return {**named, "status": status, "content": content}

    def _response(self, status: str) -> dict[str, object]:
        return {"id": f"resp_{self.name}", "object": "response", "model": "scripted", "status": status}


@dataclass(slots=True)
class Connection:
    """One client's connection, with what was read and what is still to be written."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)
    response: Response | None = None
    interval: float = 0.0
    blocked: bool = False
    """Whether the system takes no more for now."""
    closed: bool = False


class Server:
    """Serves from `serve` until standard input ends."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._due: list[tuple[float, int, Connection]] = []
        self._random = random.Random(1)
        self._stamper = Stamper()
        self._responses = 0
        self._sent = 0
        self._late = 0

    @property
    def base_url(self) -> str:
        """What belongs into `base_url` of a model provider."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def serve(self) -> None:
        """Answer requests and send what is due."""
        while True:
            timeout = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
            for descriptor, events in self._epoll.poll(timeout):
                if descriptor == sys.stdin.fileno():
                    return
                if descriptor == self._listener.fileno():
                    self._accept()
                elif (connection := self._connections.get(descriptor)) is not None:
                    self._attend(connection, events)
            self._send_due()

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[accepted.fileno()] = Connection(accepted)
        self._epoll.register(accepted.fileno(), select.EPOLLIN)

    def _attend(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush(connection)
        if not events & ~select.EPOLLOUT:
            return
        try:
            data = connection.socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.received += data
        while (request := _request(connection.received)) is not None:
            self._answer(connection, *request)

    def _answer(self, connection: Connection, line: bytes, body: bytes) -> None:
        if line.startswith(b"GET /report"):
            self._write(connection, _json(self._report()))
        elif line.startswith(b"GET /stop"):
            self._stop()
            self._write(connection, _json(self._report()))
        elif line.startswith(b"POST") and (paces := _PACE.findall(body)):
            self._begin(connection, int(paces[-1]))
        else:
            self._write(connection, _NOT_FOUND)

    def _report(self) -> dict[str, object]:
        streaming = sum(1 for _, _, connection in self._due if not connection.closed)
        return {"sent": self._sent, "late": self._late, "streaming": streaming}

    def _begin(self, connection: Connection, rate: int) -> None:
        self._responses += 1
        connection.response = Response(f"{self._responses:08d}")
        self._write(connection, connection.response.opening())
        now = time.monotonic()
        if rate:
            connection.interval = 1 / rate
            first = now + self._random.random() * connection.interval
            heapq.heappush(self._due, (first, self._responses, connection))
        else:
            self._send_delta(connection, now)
            self._end(connection)

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due, number, connection = self._due[0]
            if connection.closed:
                heapq.heappop(self._due)
                continue
            self._late += now - due > LATE
            self._send_delta(connection, now)
            heapq.heapreplace(self._due, (due + connection.interval, number, connection))
            now = time.monotonic()

    def _send_delta(self, connection: Connection, now: float) -> None:
        assert connection.response is not None
        self._sent += 1
        self._write(connection, connection.response.delta(self._stamper.stamp(now) + b" "))

    def _stop(self) -> None:
        for _, _, connection in self._due:
            self._end(connection)
        self._due.clear()

    def _end(self, connection: Connection) -> None:
        if connection.response is not None:
            self._write(connection, connection.response.closing())
            connection.response = None

    def _write(self, connection: Connection, data: bytes) -> None:
        waiting = bool(connection.unsent)
        connection.unsent += data
        if not waiting:
            self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        if connection.closed:
            return
        try:
            written = connection.socket.send(connection.unsent)
        except BlockingIOError:
            written = 0
        except ConnectionError:
            self._close(connection)
            return
        del connection.unsent[:written]
        if connection.blocked != bool(connection.unsent):
            connection.blocked = not connection.blocked
            events = select.EPOLLIN | (select.EPOLLOUT if connection.blocked else 0)
            self._epoll.modify(connection.socket.fileno(), events)

    def _close(self, connection: Connection) -> None:
        if not connection.closed:
            connection.closed = True
            self._epoll.unregister(connection.socket.fileno())
            del self._connections[connection.socket.fileno()]
            connection.socket.close()


def _request(received: bytearray) -> tuple[bytes, bytes] | None:
    """Take the first request from what was read, as its first line and its body; `None` where it is incomplete."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = _LENGTH.search(received, 0, head)
    end = head + 4 + (int(length[1]) if length else 0)
    if len(received) < end:
        return None
    line, body = bytes(received[: received.index(b"\r\n")]), bytes(received[head + 4 : end])
    del received[:end]
    return line, body


def _event(kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data.encode())


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": []}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json(fields: dict[str, object]) -> bytes:
    body = json.dumps(fields).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def main() -> None:
    """Serve until standard input ends."""
    server = Server()
    os.write(sys.stdout.fileno(), json.dumps({"base_url": server.base_url}).encode() + b"\n")
    server.serve()


if __name__ == "__main__":
    main()

"""Requests of one client that another host of the home answers: what they continue waits there.

While a host is replaced by another one, calls that wait for their user and tasks stay with the old host. Each request
for one of them gets a connection of its own to that host, which serves it as any client's.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, LineBuffer, Request, RequestId, encode
from greenroom.supervisor.frontend.client_channel import ClientChannel

log = logging.getLogger(__name__)

READ_SIZE: Final = 256 * 1024
GONE: Final = "the process of the server that was to answer this has ended; its outcome is not known"


class _Line(msgspec.Struct, frozen=True):
    """What the other host sends."""

    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: "_Error | None" = None


class _Error(msgspec.Struct, frozen=True):
    code: int = INTERNAL_ERROR
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


_read: Final = msgspec.json.Decoder(_Line).decode


class RelayedRequests:
    """Those of one client. `close` it. Must be made on the running loop."""

    def __init__(self, channel: ClientChannel, others: Mapping[str, Callable[[bytes, str], socket.socket]]) -> None:
        """`others` are the other hosts of the home by their runs: each returns a connection that serves a line."""
        self._channel = channel
        self._others = others
        self._open: dict[RequestId, _RelayedRequest] = {}

    @property
    def count(self) -> int:
        """Number of those that are open."""
        return len(self._open)

    def take(self, request: Request, run: str) -> bool:
        """Let another host answer a request, if what it continues waits in one; return whether that is so."""
        connect = self._others.get(run)
        if connect is None:
            return False
        line = b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}\n' % (
            encode(request.id),
            encode(request.method),
            request.params or b"{}",
        )
        try:
            connected = connect(line, self._channel.cwd)
        except OSError as error:
            log.error("a request cannot be passed on: %s", error)
            return False
        self._open[request.id] = _RelayedRequest(request, self._channel, connected, self._open)
        return True

    def cancel(self, request_id: RequestId) -> None:
        """End a request, if it is one of these: the other host treats its client as one that has left."""
        if (found := self._open.get(request_id)) is not None:
            found.give_up("cancelled")

    def close(self, reason: str = GONE) -> None:
        """Answer those that are open with an error; the other host treats their client as one that has left."""
        for one in tuple(self._open.values()):
            one.give_up(reason)


class _RelayedRequest:
    """One of them."""

    def __init__(
        self,
        request: Request,
        channel: ClientChannel,
        connected: socket.socket,
        table: "dict[RequestId, _RelayedRequest]",
    ) -> None:
        """`table` is left once it is answered."""
        self._request, self._channel, self._table = request, channel, table
        self._connected = connected
        self._lines = LineBuffer()
        self._loop = asyncio.get_running_loop()
        connected.setblocking(False)
        self._loop.add_reader(connected.fileno(), self._readable)

    def give_up(self, reason: str) -> None:
        self._leave()
        self._channel.fail(self._request, INTERNAL_ERROR, reason)

    def _readable(self) -> None:
        try:
            data = self._connected.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.give_up(GONE)
            return
        for line in self._lines.feed(data):
            if self._request.id in self._table:
                self._take(line)

    def _take(self, line: bytes | None) -> None:
        try:
            told = _read(line or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.give_up("the answer of another process of the server is not understood")
            return
        if bytes(told.result):
            self._leave()
            self._channel.peer.complete(self._request)
            self._channel.respond(self._request, bytes(told.result))
        elif told.error is not None:
            self._leave()
            data = told.error.data if bytes(told.error.data) else None
            self._channel.fail(self._request, told.error.code, told.error.message, data)
        elif told.method:
            self._channel.notify_about(self._request.id, told.method, told.params)

    def _leave(self) -> None:
        self._table.pop(self._request.id, None)
        self._loop.remove_reader(self._connected.fileno())
        self._connected.close()

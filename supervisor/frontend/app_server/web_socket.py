"""A Unix socket at which clients speak the protocol of `codex app-server` over WebSocket, as its own clients do.

Each text message is one message of the protocol. Between the WebSocket and the connection is a pair of sockets, so that
limits, back-pressure and the end of a client are those of every other transport.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias, cast

from aiohttp import WSCloseCode, WSMsgType, web

from greenroom.protocol.jsonrpc import MAX_LINE, LineBuffer
from greenroom.runtime.sockets import socket_file
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.connection import Connection, FrontEnd
from greenroom.supervisor.frontend.descriptors import READ_SIZE, Descriptors
from greenroom.supervisor.frontend.hello import HelloError
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.slow_reader import Patience
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.frontend.unix_listener import CheckPeer

log = logging.getLogger(__name__)

LEAVE_TIMEOUT: Final = 1.0
"""Seconds that connections have for closing at the end."""
PROBES: Final = frozenset({"/readyz", "/healthz"})
"""Paths at which a plain request is answered, so that others can wait for this server."""

MakeFront: TypeAlias = Callable[[Write], FrontEnd]


class WebSocketListener:
    """One listening socket, which it closes at its end; `path` is removed with it."""

    def __init__(
        self, listening: socket.socket, path: str, make_front: MakeFront, check_peer: CheckPeer, patience: Patience
    ) -> None:
        self._listening = listening
        self._path = path
        self._own = socket_file.identity(path)
        self._make_front = make_front
        self._check_peer = check_peer
        self._patience = patience
        self._intake: ClientIntake
        self._web: web.Server | None = None
        self._unix: asyncio.Server | None = None

    async def start(self, intake: ClientIntake) -> None:
        """Listen."""
        self._intake = intake
        self._web = web.Server(self._serve, access_log=None)
        self._unix = await asyncio.get_running_loop().create_unix_server(self._web, sock=self._listening)

    def stop(self) -> None:
        """Take in no more clients."""
        if self._unix is not None:
            self._unix.close()
            self._unix = None
            socket_file.remove_socket(self._path, self._own)

    async def drained(self) -> None:
        """Return: there is nothing to wait for."""

    async def close(self) -> None:
        """Drop the connections that are left."""
        self.stop()
        if self._web is not None:
            await self._web.shutdown(LEAVE_TIMEOUT)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one client to its end, or say why not."""
        if "origin" in request.headers:
            return _refused(403, "a web page has no business here")
        if request.path in PROBES:
            return web.Response(text="ok\n")
        if request.headers.get("upgrade", "").lower() != "websocket":
            return _refused(426, "this socket speaks WebSocket")
        try:
            assert request.transport is not None, "a request that is served has a connection"
            pid = self._check_peer(cast("socket.socket", request.transport.get_extra_info("socket")))
        except (HelloError, OSError) as error:
            log.warning("a client is refused: %s", error)
            return _refused(403, str(error))
        if (reason := self._intake.refusal()) is not None:
            return _refused(503, reason)
        response = web.WebSocketResponse(max_msg_size=MAX_LINE, compress=False)
        await response.prepare(request)
        await self._connect(response, pid)
        return response

    async def _connect(self, response: web.WebSocketResponse, pid: int) -> None:
        near, far = socket.socketpair()
        with near:  # a connection has descriptors of its own
            near.setblocking(False)
            unsent: list[bytes] = []
            front = self._make_front(unsent.append)
            descriptors = Descriptors(input=os.dup(near.fileno()), output=os.dup(near.fileno()))
            transport = partial(StdioTransport, descriptors)
            self._intake.attach(Connection(front, transport, b"".join(unsent), pid=pid, patience=self._patience))
        reader, writer = await asyncio.open_unix_connection(sock=far)
        answering = asyncio.create_task(_send(reader, response, self._patience.seconds), name="web socket")
        try:
            await _receive(response, writer)
            await answering
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            writer.close()


async def _receive(response: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    """Pass on what the client sends, and its end."""
    try:
        async for message in response:
            if message.type is not WSMsgType.TEXT:
                log.warning("a client sent no text over its WebSocket; it is let go")
                break
            writer.write(message.data.encode().replace(b"\n", b" ") + b"\n")  # JSON has no newline within a string
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:  # the connection has ended
        return


async def _send(reader: asyncio.StreamReader, response: web.WebSocketResponse, patience_s: float) -> None:
    """Pass on what the client is sent, until the connection ends; a client that takes nothing for long is let go."""
    buffer = LineBuffer()
    while data := await reader.read(READ_SIZE):
        for line in buffer.feed(data):
            if line is None:
                log.warning("a client is let go: what it was to be sent is longer than any message may be")
                await response.close(code=WSCloseCode.MESSAGE_TOO_BIG)
                return
            if response.closed:
                continue
            try:
                async with asyncio.timeout(patience_s):
                    await response.send_str(line.decode())
            except TimeoutError:
                log.warning("a client is let go: it has read nothing for %g s", patience_s)
                _abort(response)
                return
            except ConnectionError:  # the client has left, which the other direction notices
                continue
    await response.close(code=WSCloseCode.GOING_AWAY)


def _abort(response: web.WebSocketResponse) -> None:
    """End the connection of a client that would not read the end of it either."""
    transport = response.get_extra_info("socket")
    if transport is not None:
        with contextlib.suppress(OSError):
            transport.shutdown(socket.SHUT_RDWR)


def _refused(status: int, reason: str) -> web.Response:
    return web.Response(status=status, text=f"{reason}\n")

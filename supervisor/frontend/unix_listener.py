"""The host's Unix socket: takes in clients, whose first line names their protocol (`…frontend.hello`)."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from greenroom.runtime.sockets import socket_file
from greenroom.runtime.sockets.acceptor import Acceptor
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.connection import Connection, FrontEnd
from greenroom.supervisor.frontend.descriptors import READ_SIZE, Descriptors
from greenroom.supervisor.frontend.hello import (
    LONGEST,
    ClientHello,
    HelloError,
    accepted_line,
    may_be_hello,
    read_hello,
    refused_line,
)
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.slow_reader import Patience
from greenroom.supervisor.frontend.stdio import StdioTransport

log = logging.getLogger(__name__)

MOST_ARRIVING: Final = 512
"""Clients that may be about to say their first line at a time; further ones wait in the kernel."""

MakeFrontEnd: TypeAlias = Callable[[Write, ClientHello], FrontEnd]
"""Makes a front end that answers through the first argument until it has a transport."""
CheckPeer: TypeAlias = Callable[[socket.socket], int]
"""Returns the pid of the process that has connected, 0 where it is unknown. Raises `HelloError`, `OSError`."""


class _Opening(NamedTuple):
    """What a client has sent before it was known what it speaks."""

    hello: ClientHello
    is_explicit: bool
    """Whether it has sent a hello, which is answered."""
    rest: bytes
    """What follows."""


class UnixListener:
    """One listening socket, which it closes at its end."""

    def __init__(
        self,
        listening: socket.socket,
        protocols: Mapping[str, MakeFrontEnd],
        home_id: str,
        check_peer: CheckPeer,
        first_line_timeout_s: float,
        patience: Patience,
        path: str = "",
    ) -> None:
        """`listening` listens already.

        `path` is removed when the listener stops, unless another socket has taken its place; empty: nothing is.
        """
        self._listening = listening
        self._protocols = protocols
        self._home_id = home_id
        self._check_peer = check_peer
        self._timeout = first_line_timeout_s
        self._patience = patience
        self._path = path
        self._address = path or str(listening.getsockname())
        self._own = socket_file.identity(path)
        self._arriving: set[asyncio.Task[None]] = set()
        self._acceptor: Acceptor | None = None
        self._intake: ClientIntake

    async def start(self, intake: ClientIntake) -> None:
        """Listen."""
        self._intake = intake
        self._acceptor = Acceptor(self._listening, self._accepted)
        self._acceptor.resume()

    def stop(self) -> None:
        """Take in no more clients."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
            socket_file.remove_socket(self._path, self._own)
            self._listening.close()

    @property
    def descriptor(self) -> int:
        """The listening socket."""
        return self._listening.fileno()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return self._address

    @property
    def path(self) -> str:
        """What is removed when the listener stops; empty: nothing is."""
        return self._path

    @property
    def is_at_rest(self) -> bool:
        """Whether no client is about to say its first line."""
        return not self._arriving

    def release(self) -> None:
        """Accept no more, and leave the socket and its path to another process."""
        self._own = None
        self.stop()

    async def drained(self) -> None:
        """Return: it has nothing that goes on by itself."""

    async def close(self) -> None:
        """Drop the clients that have not said their first line."""
        self.stop()
        for task in self._arriving:
            task.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _accepted(self, connected: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._take_in(connected), name="arriving")
        self._arriving.add(task)
        task.add_done_callback(self._arrived)
        if len(self._arriving) >= MOST_ARRIVING and self._acceptor is not None:
            self._acceptor.pause()

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._arriving.discard(task)
        if len(self._arriving) == MOST_ARRIVING - 1 and self._acceptor is not None:
            self._acceptor.resume()

    async def _take_in(self, connected: socket.socket) -> None:
        """Serve a client, or say why not."""
        with connected:  # a connection has descriptors of its own
            try:
                pid = self._check_peer(connected)
                async with asyncio.timeout(self._timeout):
                    opening = await _opening(connected)
                self._check(opening.hello)
            except HelloError as error:
                log.warning("a client is refused: %s", error)
                _send_last(connected, refused_line(error))
            except TimeoutError:
                log.info("a client that said nothing for %g s is let go", self._timeout)
            except OSError as error:
                log.info("a client left at once: %s", error)
            else:
                self._attach(connected, pid, opening)

    def _check(self, hello: ClientHello) -> None:
        """Raise `HelloError` where a client cannot be served."""
        if hello.protocol not in self._protocols:
            known = ", ".join(sorted(self._protocols))
            raise HelloError("protocol", f"this host speaks {known}, and not {hello.protocol!r}")
        if hello.home not in ("", self._home_id):
            raise HelloError("home", "this host serves another CODEX_HOME")
        if (reason := self._intake.refusal()) is not None:
            raise HelloError("limit", reason)

    def _attach(self, connected: socket.socket, pid: int, opening: _Opening) -> None:
        unsent = [accepted_line()] if opening.is_explicit else []
        front = self._protocols[opening.hello.protocol](unsent.append, opening.hello)
        descriptors = Descriptors(input=os.dup(connected.fileno()), output=os.dup(connected.fileno()))
        transport = partial(StdioTransport, descriptors)
        connection = Connection(front, transport, b"".join(unsent), pid=pid, patience=self._patience)
        self._intake.attach(connection)
        if opening.rest:
            front.receive(opening.rest)


async def _opening(connected: socket.socket) -> _Opening:
    """Wait for the first bytes of a client, which leave no doubt. Raises `HelloError`, and `OSError` at the end."""
    loop = asyncio.get_running_loop()
    received = b""
    while may_be_hello(received):
        line, newline, rest = received.partition(b"\n")
        if newline:
            return _Opening(read_hello(line), True, rest)
        if len(received) > LONGEST:
            raise HelloError("malformed", f"a hello has at most {LONGEST} bytes")
        data = await loop.sock_recv(connected, READ_SIZE)
        if not data:
            raise ConnectionResetError("it closed the connection")
        received += data
    return _Opening(ClientHello(), False, received)


def _send_last(connected: socket.socket, line: bytes) -> None:
    with contextlib.suppress(OSError):  # it has left, or its buffer is full
        connected.send(line)

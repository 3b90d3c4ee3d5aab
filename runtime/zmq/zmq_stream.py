"""A ZeroMQ socket on the running asyncio loop: hands what arrives to one callback and never blocks.

ZeroMQ's descriptor tells only that something changed, so every look at the socket must go on until it is empty, and
every send must be followed by one (zmq_getsockopt(3), ZMQ_FD). That is kept here and nowhere else.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec
import zmq

BURST = 128
"""Messages taken in one pass before other callbacks of the loop get their turn."""

# As plain numbers: with members of an enumeration each `&` and `|` takes longer than what it is for.
_NOW: Final = int(zmq.NOBLOCK)
_NOW_AND_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_READABLE: Final = int(zmq.POLLIN)
_WRITABLE: Final = int(zmq.POLLOUT)

OnMessage: TypeAlias = Callable[[list[zmq.Frame]], None]


class ZmqStreamStatistics(msgspec.Struct, frozen=True):
    """Counters of a port since its start."""

    received: int
    """Messages handed to the callback."""
    sent: int
    """Messages that the socket took."""
    refused: int
    """Sends that found the queue full."""


class ZmqStream:
    """One socket, owned by one loop. Not to be shared between threads."""

    def __init__(self, socket: "zmq.Socket[bytes]", on_message: OnMessage) -> None:
        self._socket = socket
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._look_scheduled = False
        self._closed = False
        self._writable: asyncio.Future[None] | None = None
        self._received = self._sent = self._refused = 0
        self._loop.add_reader(self._descriptor, self._look)
        self._look_soon()

    def send(self, frames: Sequence[bytes]) -> bool:
        """Queue a message; `False` where the queue is full or the peer is not there."""
        try:
            for frame in frames[:-1]:
                self._socket.send(frame, _NOW_AND_MORE)
            self._socket.send(frames[-1], _NOW)  # only the first can be refused: a message leaves as a whole or not
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self._refused += 1
            return False
        self._sent += 1
        self._look_soon()
        return True

    async def wait_writable(self) -> None:
        """Wait until the queue may take a message again."""
        if self._closed or self._events() & _WRITABLE:
            return
        if self._writable is None:
            self._writable = self._loop.create_future()
        self._look_soon()
        await asyncio.shield(self._writable)

    def catch_up(self) -> None:
        """Hand on now what has arrived, a burst at most."""
        if not self._closed:
            self._take_burst()

    def statistics(self) -> ZmqStreamStatistics:
        """Return the counters."""
        return ZmqStreamStatistics(self._received, self._sent, self._refused)

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; what is queued has `linger_ms` milliseconds to leave."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._descriptor)
            self._socket.close(linger=linger_ms)
            self._wake_writers()

    def _events(self) -> int:
        return int(self._socket.getsockopt(zmq.EVENTS))

    def _look_soon(self) -> None:
        if not self._look_scheduled:
            self._look_scheduled = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._look_scheduled = False
        if self._closed:
            return
        events = self._events()
        if self._writable is not None and events & _WRITABLE:
            self._wake_writers()
        if events & _READABLE:
            self._take_burst()

    def _take_burst(self) -> None:
        for _ in range(BURST):
            try:
                frames = [self._socket.recv(_NOW, copy=False)]
            except zmq.Again:
                return
            while frames[-1].more:
                frames.append(self._socket.recv(_NOW, copy=False))
            self._received += 1
            self._on_message(frames)
            if self._closed:
                return
        self._look_soon()

    def _wake_writers(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

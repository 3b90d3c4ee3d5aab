"""A ZeroMQ socket on the running asyncio loop: passes messages to one callback and never blocks.

ZeroMQ's descriptor is edge-triggered: it reports only that something changed. So the socket must be read until it is
empty, and checked after every send (zmq_getsockopt(3), ZMQ_FD). Only this module deals with that.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import zmq

BURST = 128
"""Messages taken in one pass before other callbacks of the loop run."""

# Plain numbers, because `&` and `|` of enumeration members take longer than the operation that they serve.
_NOW: Final = int(zmq.NOBLOCK)
_NOW_AND_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_READABLE: Final = int(zmq.POLLIN)
_WRITABLE: Final = int(zmq.POLLOUT)

OnMessage: TypeAlias = Callable[[list[zmq.Frame]], None]


@dataclass(frozen=True, slots=True)
class ZmqStreamStatistics:
    """Counters of a stream since its start."""

    received: int
    """Messages passed to the callback."""
    sent: int
    """Messages accepted by the socket."""
    refused: int
    """Sends that found the queue full."""
    paused: bool
    """Whether reading is paused."""


class ZmqStream:
    """One socket, used by one loop. Not to be shared between threads."""

    def __init__(self, socket: "zmq.Socket[bytes]", on_message: OnMessage) -> None:
        self._socket = socket
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._look_scheduled = False
        self._paused = False
        self._closed = False
        self._writable: asyncio.Future[None] | None = None
        self._received = self._sent = self._refused = 0
        self._loop.add_reader(self._descriptor, self._look)
        self._look_soon()

    def send(self, frames: Sequence[bytes]) -> bool:
        """Queue a message; `False` if the queue is full or there is no peer."""
        try:
            for frame in frames[:-1]:
                self._socket.send(frame, _NOW_AND_MORE)
            self._socket.send(frames[-1], _NOW)  # only the first frame can be refused
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

    def pause(self) -> None:
        """Leave messages in the queue, so that the sender experiences back-pressure."""
        self._paused = True

    def resume(self) -> None:
        """Resume reading."""
        if self._paused:
            self._paused = False
            self._look_soon()

    def catch_up(self) -> None:
        """Pass on what has arrived, at most one burst."""
        if not (self._closed or self._paused):
            self._take_burst()

    def statistics(self) -> ZmqStreamStatistics:
        """Return the counters."""
        return ZmqStreamStatistics(self._received, self._sent, self._refused, self._paused)

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; queued messages have `linger_ms` milliseconds to be sent."""
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
        if events & _READABLE and not self._paused:
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
            if self._paused or self._closed:
                return
        self._look_soon()

    def _wake_writers(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

"""Tells when the connection of a known peer of a ZeroMQ socket has ended, and can end it; the socket does neither.

ZeroMQ's monitor names connections by descriptor, and so does each message that arrived over one. Numbers are used
again, so what the monitor has to tell is read before a number gets another name.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import zmq

from greenroom.runtime.zmq.zmq_stream import ZmqStream

BROKEN: Final = int(
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
"""Ends of the only connection of a client, or of the attempt to make it (zmq_socket_monitor(3))."""
_DISCONNECTED = int(zmq.EVENT_DISCONNECTED)
_NUMBER_AT = slice(2, 6)
"""Place of the descriptor in the first frame of an event (zmq_socket_monitor(3))."""


class PeerConnections:
    """The connections of one socket, on the running loop."""

    def __init__(self, watched: "zmq.Socket[bytes]", on_lost: Callable[[str], None]) -> None:
        """`on_lost` is called with the name of a peer whose connection has ended."""
        self._socket = watched
        self._on_lost = on_lost
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        """The connection over which each peer was noted last."""
        self._port = ZmqStream(watched.get_monitor_socket(_DISCONNECTED), self._observe)

    def note(self, frame: zmq.Frame, name: str) -> None:
        """Note that a frame came over the connection of a peer."""
        self._catch_up()
        number = frame.get(zmq.SRCFD)
        if isinstance(number, int):
            self._names[number] = name
            self._numbers[name] = number

    def cut(self, name: str) -> None:
        """End the connection of a peer; nothing more arrives over it. `on_lost` is called as for any other end."""
        number = self._numbers.get(name)
        if number is None:
            return
        try:
            ours = socket.socket(fileno=os.dup(number))
        except OSError:  # it has been closed since, and the monitor tells
            return
        with ours:
            self._catch_up()
            if self._names.get(number) == name:  # ZeroMQ tells of an end before it closes: this is still the connection
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)

    def _catch_up(self) -> None:
        """Take all that the monitor has told."""
        seen = -1
        while seen != (seen := self._port.statistics().received):
            self._port.catch_up()

    def close(self) -> None:
        """Stop watching."""
        with suppress(zmq.ZMQError):
            self._socket.disable_monitor()
        self._port.close()

    def _observe(self, parts: list[zmq.Frame]) -> None:
        number = int.from_bytes(parts[0].bytes[_NUMBER_AT], "little")
        name = self._names.pop(number, None)
        if name is not None:
            if self._numbers.get(name) == number:
                del self._numbers[name]
            self._on_lost(name)

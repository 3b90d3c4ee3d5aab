"""Tells when the connection of a known peer of a ZeroMQ socket has ended, which the socket itself does not.

ZeroMQ's monitor names connections by descriptor, and so does each message that arrived over one. Numbers are used
again, so what the monitor has to tell is read before a number gets another name.
"""

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

    def __init__(self, socket: "zmq.Socket[bytes]", on_lost: Callable[[str], None]) -> None:
        """`on_lost` is called with the name of a peer whose connection has ended."""
        self._socket = socket
        self._on_lost = on_lost
        self._names: dict[int, str] = {}
        self._port = ZmqStream(socket.get_monitor_socket(_DISCONNECTED), self._observe)

    def note(self, frame: zmq.Frame, name: str) -> None:
        """Note that a frame came over the connection of a peer."""
        seen = -1
        while seen != (seen := self._port.statistics().received):
            self._port.catch_up()
        number = frame.get(zmq.SRCFD)
        if isinstance(number, int):
            self._names[number] = name

    def close(self) -> None:
        """Stop watching."""
        with suppress(zmq.ZMQError):
            self._socket.disable_monitor()
        self._port.close()

    def _observe(self, parts: list[zmq.Frame]) -> None:
        name = self._names.pop(int.from_bytes(parts[0].bytes[_NUMBER_AT], "little"), None)
        if name is not None:
            self._on_lost(name)

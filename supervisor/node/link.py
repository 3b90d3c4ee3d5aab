"""The link of a node to its host: one socket that connects again by itself, and tells when it has or has not."""

import logging
from collections.abc import Callable
from typing import Final

import zmq

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.node import (
    HEARTBEAT_MS,
    HEARTBEAT_TIMEOUT_MS,
    FromNode,
    ToNode,
    node_frames,
    read_to_node,
)
from greenroom.protocol.internal.process import KeyPair
from greenroom.runtime.zmq.zmq_stream import ZmqStream

log = logging.getLogger(__name__)

RECONNECT_MS: Final = 50
CONNECT_TIMEOUT_MS: Final = 300
"""Milliseconds after which an attempt to connect is given up for another: the kernel would wait for seconds."""
HANDSHAKE_MS: Final = 2000
"""Milliseconds after which a handshake is given up for another: a host that cannot look up keys says nothing at all."""

_UP: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_REFUSED: Final = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_DOWN: Final = int(zmq.EVENT_DISCONNECTED)


class HostLink:
    """One link, on the running loop. Messages that are sent while it is down are dropped."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        address: str,
        host_key: str,
        keys: KeyPair,
        on_message: Callable[[ToNode], None],
        on_up: Callable[[], None],
        on_refused: Callable[[], None],
    ) -> None:
        """`on_up` is called with each new connection, `on_refused` where the host does not know the key. Follow with
        `connect`."""
        self._address = address
        self._on_message, self._on_up, self._on_refused = on_message, on_up, on_refused
        self.is_up = False
        """Whether there is a connection, as far as is known."""
        socket = self._socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.curve_serverkey = host_key.encode()
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
        self._monitor = ZmqStream(socket.get_monitor_socket(_UP | _REFUSED | _DOWN), self._observe)
        self._port = ZmqStream(socket, self._receive)

    def connect(self) -> None:
        """Connect, and again whenever the connection has ended."""
        self._socket.connect(self._address)

    def send(self, message: FromNode) -> bool:
        """Send a message; return false where there is no connection."""
        return self.is_up and self._port.send(node_frames(message))

    def close(self) -> None:
        """Disconnect."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._port.close()

    def _receive(self, parts: list[zmq.Frame]) -> None:
        try:
            message = read_to_node([part.bytes for part in parts])
        except RemoteProtocolError as error:
            log.error("the host: %s; dropped", error)
            return
        self._on_message(message)

    def _observe(self, parts: list[zmq.Frame]) -> None:
        event = int.from_bytes(parts[0].bytes[:2], "little")
        self.is_up = event == _UP
        if event == _UP:
            self._on_up()
        elif event == _REFUSED:
            self._on_refused()

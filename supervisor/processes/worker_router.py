"""The supervisor's mailbox: one ROUTER socket that every worker connects to, each with its own key."""

import logging
from collections.abc import Callable
from typing import TypeAlias

import zmq

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import KeyPair
from greenroom.protocol.internal.worker import Operation, ReceivedNotice, frames, read_notice
from greenroom.runtime.zap import ZapAuthenticator, sender, start_authenticator
from greenroom.runtime.zmq_stream import ZmqStream, ZmqStreamStatistics

log = logging.getLogger(__name__)

RECEIVE_QUEUE = 8
"""Messages of one worker that are queued here; a worker sends batches of up to 64 KiB."""

OnNotice: TypeAlias = Callable[[WorkerId, ReceivedNotice], None]


class WorkerRouter:
    """Sends operations to workers and hands their notices to one callback."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        admission: ZapAuthenticator,
        keys: KeyPair,
        address: str,
        on_notice: OnNotice,
    ) -> None:
        self._admission = admission
        self._on_notice = on_notice
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        start_authenticator(socket, keys.public, keys.secret)
        socket.bind(address)
        self._port = ZmqStream(socket, self._receive)

    def admit(self, worker_id: WorkerId, public_key: str) -> None:
        """Admit a worker."""
        self._admission.admit(public_key, worker_id)

    def revoke(self, worker_id: WorkerId) -> None:
        """Revoke the key of a worker that is gone."""
        self._admission.revoke(worker_id)

    def send(self, worker_id: WorkerId, operation: Operation, payload: bytes = b"") -> bool:
        """Send an operation; `False` where the worker is not connected."""
        return self._port.send([worker_id.encode(), *frames(operation, payload)])

    def catch_up(self) -> None:
        """Handle what has arrived already."""
        self._port.catch_up()

    def statistics(self) -> ZmqStreamStatistics:
        """Return the counters of the socket."""
        return self._port.statistics()

    def close(self) -> None:
        """Close the socket."""
        self._port.close()

    def _receive(self, parts: list[zmq.Frame]) -> None:
        name = parts[0].bytes.decode(errors="replace")
        if sender(parts[-1]) != name:
            log.error("a message under the name %s came with the key of another; dropped", name)
            return
        try:
            received = read_notice([part.bytes for part in parts[1:]])
        except RemoteProtocolError as error:
            log.error("worker %s: %s; dropped", name, error)
            return
        self._on_notice(WorkerId(name), received)

"""The supervisor's mailbox: one ROUTER socket that every worker connects to, each with its own key."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import zmq

from greenroom.protocol.errors import RemoteProtocolError, StartError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.event_stream import EVENTS, FrameDecoder
from greenroom.protocol.internal.process import KeyPair
from greenroom.protocol.internal.records import is_request
from greenroom.protocol.internal.worker.header import message_frames
from greenroom.protocol.internal.worker.notices import Ready, ReceivedNotice, read_notice
from greenroom.protocol.internal.worker.operations import Operation
from greenroom.protocol.internal.worker.parts import LARGEST_FRAME, put_together
from greenroom.runtime.zmq.keep_alive import keep_alive
from greenroom.runtime.zmq.zap import ZapAuthenticator, sender, start_authenticator
from greenroom.runtime.zmq.zmq_connections import PeerConnections
from greenroom.runtime.zmq.zmq_stream import ZmqStream, ZmqStreamStatistics
from greenroom.supervisor.processes.event_streams import OnEvents

log = logging.getLogger(__name__)

RECEIVE_QUEUE = 8
"""Messages of one worker that are queued here; a worker sends batches of up to 64 KiB."""

OnNotice: TypeAlias = Callable[[WorkerId, ReceivedNotice], None]
OnRecords: TypeAlias = Callable[[WorkerId, list[bytes]], None]
"""Called with each request about session records: worker, frames."""


LINGER_MS: Final = 500
"""Milliseconds that the last replies about session records have to leave."""
LARGEST_FROM_NODES: Final = LARGEST_FRAME + 1024
"""Bytes of one frame of a worker on a node, with what encryption adds."""


class WorkerRouter:
    """Sends operations to workers and hands their notices to one callback."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        admission: ZapAuthenticator,
        keys: KeyPair,
        address: str,
        on_notice: OnNotice,
        on_events: OnEvents = lambda *_: None,
    ) -> None:
        """`on_events` takes events that come as messages, from workers on nodes: worker, turn, batch."""
        self._admission = admission
        self._on_notice = on_notice
        self._on_events = on_events
        self._connections: PeerConnections | None = None
        self._on_records: OnRecords | None = None
        self._socket = socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        start_authenticator(socket, keys.public, keys.secret)
        socket.bind(address)
        self._port = ZmqStream(socket, self._receive)

    def listen_for_nodes(self, address: str, on_lost: Callable[[WorkerId], None], on_records: OnRecords) -> None:
        """Take the workers of nodes at a second address.

        `on_lost` is told of each whose connection has ended, and `on_records` takes requests about session records,
        which `reply` answers. Raises `StartError`.
        """
        self._on_records = on_records
        if self._connections is None:
            self._connections = PeerConnections(self._socket, lambda name: on_lost(WorkerId(name)))
        keep_alive(self._socket)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_FROM_NODES)  # it counts before a key is shown, too
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            raise StartError(f"workers on nodes cannot be listened for at {address}: {error.strerror}") from error

    def leave_nodes(self, address: str) -> None:
        """Stop listening at the second address, and end its connections."""
        self._socket.unbind(address)

    def admit(self, worker_id: WorkerId, public_key: str) -> None:
        """Admit a worker."""
        self._admission.admit(public_key, worker_id)

    def revoke(self, worker_id: WorkerId) -> None:
        """Revoke the key of a worker that is gone, and end the connection of one on a node."""
        self._admission.revoke(worker_id)
        if self._connections is not None:
            self._connections.cut(worker_id)

    def send(self, worker_id: WorkerId, operation: Operation, payload: bytes = b"") -> bool:
        """Send an operation; `False` where the worker is not connected."""
        return self._port.send([worker_id.encode(), *message_frames(operation, payload)])

    def reply(self, worker_id: WorkerId, frames: Sequence[bytes]) -> bool:
        """Send what answers a request about session records; `False` where the worker is not connected."""
        return self._port.send([worker_id.encode(), *frames])

    def catch_up(self) -> None:
        """Handle what has arrived already."""
        self._port.catch_up()

    def statistics(self) -> ZmqStreamStatistics:
        """Return the counters of the socket."""
        return self._port.statistics()

    def close(self) -> None:
        """Close the socket."""
        if self._connections is not None:
            self._connections.close()
            self._port.close(LINGER_MS)
        else:
            self._port.close()

    def _receive(self, parts: list[zmq.Frame]) -> None:
        name = parts[0].bytes.decode(errors="replace")
        if sender(parts[-1]) != name:
            log.error("a message under the name %s came with the key of another; dropped", name)
            return
        frames = [part.bytes for part in parts[1:]]
        if len(frames) > 1 and frames[0] == EVENTS:
            self._receive_events(WorkerId(name), put_together(frames, at=1, count=2)[1])
            return
        if self._on_records is not None and frames and is_request(frames[0]):
            self._on_records(WorkerId(name), put_together(frames, at=2, count=3))
            return
        if self._connections is not None and frames and frames[0] == Ready.wire:
            self._connections.note(parts[1], name)
        try:
            received = read_notice(put_together(frames, at=2, count=4))
        except RemoteProtocolError as error:
            log.error("worker %s: %s; dropped", name, error)
            return
        self._on_notice(WorkerId(name), received)

    def _receive_events(self, worker_id: WorkerId, events: bytes) -> None:
        try:
            frames = FrameDecoder().feed(events)
        except RemoteProtocolError as error:
            log.error("worker %s: %s; dropped", worker_id, error)
            return
        for frame in frames:
            self._on_events(worker_id, frame.turn_id, frame.payload)

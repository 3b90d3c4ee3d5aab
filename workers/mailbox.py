"""The worker's end of the mailbox: receives operations, sends notices and batches of events, with back-pressure.

Everything emitted in one pass of the loop is sent as one message. While the supervisor does not accept it, it waits
here, and producers wait in `drain`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import zmq

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import BEFORE_TURNS, ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.message import pack
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker import Events, Notice, ReceivedOperation, frames, read_operation
from greenroom.runtime.zmq_stream import ZmqStream

log = logging.getLogger(__name__)

BATCH = 64 * 1024
"""Size of a batch, in bytes, at which it is sent without waiting for the end of the loop's pass."""
HIGH_WATER = 256 * 1024
"""Bytes waiting for the supervisor beyond which producers wait."""
SEND_QUEUE = 4
"""Messages that ZeroMQ queues."""
RECONNECT_MS = 5

OnOperation: TypeAlias = Callable[[ReceivedOperation], None]


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """The state of the mailbox."""

    waiting_bytes: int
    """Bytes not yet taken by the supervisor."""
    waiting_messages: int


class Mailbox:
    """One connection to the supervisor, for the whole life of the worker."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", spec: WorkerSpec, on_operation: OnOperation) -> None:
        self._on_operation = on_operation
        self._loop = asyncio.get_running_loop()
        self._port = ZmqStream(_connect(context, spec), self._receive)
        self._events_header = b""
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._flush_scheduled = False
        self._queue: deque[tuple[int, list[bytes]]] = deque()
        self._waiting = 0
        self._pump: asyncio.Task[None] | None = None
        self._relieved = asyncio.Event()
        self._relieved.set()

    def address(
        self, conversation_id: ConversationId, incarnation: Incarnation, turn_id: TurnId = BEFORE_TURNS
    ) -> None:
        """Set the conversation and turn of further events. Events emitted before keep theirs."""
        self.flush()
        header = Events(conversation_id=conversation_id, incarnation=incarnation, turn_id=turn_id)
        self._events_header = pack(header)

    def emit(self, event: bytes) -> None:
        """Queue an event: a JSON object on one line. Follow with `drain` if many are emitted."""
        self._batch.append(event)
        self._batch_bytes += len(event) + 1
        if self._batch_bytes >= BATCH:
            self.flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_pass)

    def notify(self, notice: Notice, payload: bytes = b"") -> None:
        """Queue a notice behind all events emitted so far."""
        self.flush()
        self._post(frames(notice, payload))

    def flush(self) -> None:
        """Send the current batch."""
        if self._batch:
            payload = b"\n".join(self._batch)
            self._batch.clear()
            self._batch_bytes = 0
            self._post([Events.wire, self._events_header, payload])

    @property
    def pressed(self) -> bool:
        """Whether producers should wait."""
        return self._waiting >= HIGH_WATER

    async def drain(self) -> None:
        """Wait until the supervisor accepts messages."""
        if self._waiting >= HIGH_WATER:
            self._relieved.clear()
            await self._relieved.wait()

    async def sent(self) -> None:
        """Wait until everything has been handed to ZeroMQ."""
        self.flush()
        if self._pump is not None:
            await self._pump

    def statistics(self) -> MailboxStatistics:
        """Return the state of the mailbox."""
        return MailboxStatistics(self._waiting, len(self._queue))

    def close(self, linger_ms: int) -> None:
        """Close the connection; ZeroMQ's queue has `linger_ms` milliseconds to be sent."""
        if self._pump is not None:
            self._pump.cancel()
        self._port.close(linger_ms)

    def _flush_pass(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def _post(self, message: list[bytes]) -> None:
        if self._queue or not self._port.send(message):
            size = sum(map(len, message))
            self._queue.append((size, message))
            self._waiting += size
            if self._pump is None:
                self._pump = self._loop.create_task(self._send_queue(), name="mailbox")

    async def _send_queue(self) -> None:
        while self._queue:
            size, message = self._queue[0]
            if not self._port.send(message):
                await self._port.wait_writable()
                continue
            self._queue.popleft()
            self._waiting -= size
            if self._waiting < HIGH_WATER // 2:
                self._relieved.set()
        self._relieved.set()
        self._pump = None

    def _receive(self, parts: list[zmq.Frame]) -> None:
        try:
            received = read_operation([part.bytes for part in parts])
        except RemoteProtocolError as error:
            log.error("the supervisor sent no operation: %s", error)
            return
        self._on_operation(received)


def _connect(context: "zmq.Context[zmq.Socket[bytes]]", spec: WorkerSpec) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, spec.id.encode())
    socket.setsockopt(zmq.SNDHWM, SEND_QUEUE)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.CURVE_SERVERKEY, spec.mailbox_key.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, spec.keys.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, spec.keys.secret.encode())
    socket.connect(spec.mailbox_address)
    return socket

"""The worker's end of the mailbox: operations come in, notices and batches of events go out, with back-pressure.

Notices are messages of ZeroMQ, and events a stream of their own (`greenroom.workers.event_stream`). Each says how many
of the others come before it, so that the supervisor sees them in one order. What one pass of the loop emits leaves as
one frame. When the supervisor does not take it, it waits here, and producers are asked to wait with `drain`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
import zmq

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.records import is_reply
from greenroom.protocol.internal.worker.notices import OUT_OF_ORDER, NoticeOrder, WorkerNotice, notice_frames
from greenroom.protocol.internal.worker.operations import ReceivedOperation, read_operation
from greenroom.protocol.internal.worker.parts import in_parts
from greenroom.runtime.zmq.zmq_connections import BROKEN
from greenroom.runtime.zmq.zmq_stream import ZmqStream
from greenroom.workers.event_stream import EventStream
from greenroom.workers.message_stream import MessageStream

log = logging.getLogger(__name__)

BATCH = 64 * 1024
"""Bytes of events after which a batch leaves without waiting for the end of the loop's pass."""
HIGH_WATER = 256 * 1024
"""Bytes waiting for the supervisor from which on producers wait."""
SEND_QUEUE = 4
"""Notices that ZeroMQ keeps."""
RECONNECT_MS = 5
LATE_MS = 24 * 3600 * 1000
"""Instead of it, for a worker on a node, longer than it lives without its host: what was on its way is lost with the
connection, so both sides give up. Where ZeroMQ is told never to connect again (-1), it throws away what has arrived
together with the end of the connection, such as the last reply about session records."""

OnOperation: TypeAlias = Callable[[ReceivedOperation], None]


class MailboxStatistics(msgspec.Struct, frozen=True):
    """How the mailbox stands."""

    waiting_bytes: int
    """Bytes that the supervisor has not taken yet."""
    waiting_messages: int


class Mailbox:
    """One connection to the supervisor, for the whole life of the worker."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        spec: WorkerSpec,
        on_operation: OnOperation,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_lost` is called when the connection of a worker on a node has broken; there is no other."""
        self._on_operation = on_operation
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._socket = _socket(context, spec)
        self._end = self._socket.get_monitor_socket(BROKEN) if spec.is_on_node else None
        """Becomes readable once the connection of a worker on a node has ended."""
        self._monitor = None if self._end is None else ZmqStream(self._end, self._break)
        self._socket.connect(spec.mailbox_address)
        self._port = ZmqStream(self._socket, self._receive)
        self._stream: EventStream | MessageStream = MessageStream(self._port) if spec.is_on_node else EventStream(spec)
        self._replies: deque[list[bytes]] = deque()
        """What the host has answered about session records, and nobody has taken."""
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._flush_scheduled = False
        self._queue: deque[tuple[int, bytes | list[bytes]]] = deque()
        """Sizes in bytes, and frames of the stream or else notices, which come after all frames before them."""
        self._is_frame_begun = False
        """Whether the stream has taken a part of the first frame that waits."""
        self._waiting = 0
        self._notices = 0
        """Notices since the beginning."""
        self._pump: asyncio.Task[None] | None = None
        self._held = False
        self._relieved = asyncio.Event()
        self._relieved.set()

    def begin_turn(self, turn_id: TurnId) -> None:
        """Set the turn of the events that follow. Those emitted before keep their turn."""
        self.flush()
        self._stream.begin_turn(turn_id)

    def emit(self, event: bytes) -> None:
        """Queue an event: a JSON object on one line. Follow with `drain` where many are emitted."""
        self._batch.append(event)
        self._batch_bytes += len(event) + 1
        if self._batch_bytes >= BATCH:
            self.flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_pass)

    def notify(self, notice: WorkerNotice, payload: bytes = b"") -> None:
        """Queue a notice behind all events emitted so far."""
        self.flush()
        self._notices += 1
        message = notice_frames(notice, payload, NoticeOrder(self._stream.frames, self._notices))
        if self._held or self._queue or not self._send(message):
            self._wait_with(sum(map(len, message)), message)

    def report(self, notice: WorkerNotice) -> bool:
        """Send a notice ahead of all that waits, and return whether it was sent: the supervisor may take nothing."""
        return self._send(notice_frames(notice, b"", OUT_OF_ORDER))

    # For `greenroom.workers.records_channel`

    @property
    def sockets(self) -> "tuple[zmq.Socket[bytes], zmq.Socket[bytes]]":
        """The socket of a worker on a node, and the one that becomes readable once its connection has ended."""
        assert self._end is not None
        return self._socket, self._end

    def request(self, frames: Sequence[bytes]) -> bool:
        """Send a request ahead of all that waits, and return whether it was sent: the host may take nothing."""
        return self._send(frames)

    def take_reply(self) -> list[bytes] | None:
        """Return the next reply that has arrived; operations that have are put behind those before them."""
        if not self._replies:
            self._port.catch_up()
        return self._replies.popleft() if self._replies else None

    def hold(self, hold: bool) -> None:
        """Keep everything but reports here from now on, or send it again."""
        self._held = hold
        if not hold and self._queue:
            self._start_pump()

    def flush(self) -> None:
        """Send the batch as it is."""
        if self._batch:
            frame = self._stream.frame(b"\n".join(self._batch), self._notices)
            self._batch.clear()
            self._batch_bytes = 0
            if self._held or self._queue:
                self._wait_with(len(frame), frame)
            elif not self._stream.send(frame):
                self._is_frame_begun = True
                self._wait_with(len(frame), frame)

    @property
    def pressed(self) -> bool:
        """Whether producers should wait."""
        return self._waiting >= HIGH_WATER

    async def drain(self) -> None:
        """Wait until the supervisor takes what we send."""
        if self._waiting >= HIGH_WATER:
            self._relieved.clear()
            await self._relieved.wait()

    async def sent(self) -> None:
        """Wait until everything has been handed to ZeroMQ and the kernel."""
        self.flush()
        if self._pump is not None:
            await self._pump

    def statistics(self) -> MailboxStatistics:
        """Return how the mailbox stands."""
        return MailboxStatistics(self._waiting, len(self._queue))

    def close(self, linger_ms: int) -> None:
        """Close the connection; what ZeroMQ still has gets `linger_ms` milliseconds."""
        if self._pump is not None:
            self._pump.cancel()
        self._stream.close()
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close()
        self._port.close(linger_ms)

    def _send(self, frames: Sequence[bytes]) -> bool:
        return self._port.send(frames if self._end is None else in_parts(frames, at=2))

    def _flush_pass(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def _wait_with(self, size: int, item: bytes | list[bytes]) -> None:
        self._queue.append((size, item))
        self._waiting += size
        if not self._held:
            self._start_pump()

    def _start_pump(self) -> None:
        if self._pump is None:
            self._pump = self._loop.create_task(self._send_queue(), name="mailbox")

    async def _send_queue(self) -> None:
        while self._queue and not self._held:
            size, item = self._queue[0]
            if isinstance(item, bytes):
                is_sent = self._stream.send_rest() if self._is_frame_begun else self._stream.send(item)
                self._is_frame_begun = not is_sent
                if not is_sent:
                    await self._stream.wait_writable()
                    continue
            elif not self._send(item):
                await self._port.wait_writable()
                continue
            self._queue.popleft()
            self._waiting -= size
            if self._waiting < HIGH_WATER // 2:
                self._relieved.set()
        self._pump = None

    def _break(self, _: list[zmq.Frame]) -> None:
        self._on_lost()

    def _receive(self, parts: list[zmq.Frame]) -> None:
        if is_reply(parts[0].bytes):
            self._replies.append([part.bytes for part in parts])
            return
        try:
            received = read_operation([part.bytes for part in parts])
        except RemoteProtocolError as error:
            log.error("the supervisor sent no operation: %s", error)
            return
        self._on_operation(received)


def _socket(context: "zmq.Context[zmq.Socket[bytes]]", spec: WorkerSpec) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, spec.id.encode())
    socket.setsockopt(zmq.SNDHWM, SEND_QUEUE)
    socket.setsockopt(zmq.RECONNECT_IVL, LATE_MS if spec.is_on_node else RECONNECT_MS)
    socket.setsockopt(zmq.CURVE_SERVERKEY, spec.mailbox_key.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, spec.keys.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, spec.keys.secret.encode())
    return socket

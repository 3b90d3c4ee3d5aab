"""The way of session records from a worker on a node to the host: requests in order, each with one reply.

A commit waits for its reply, as it would wait for a disk, and nothing else of the worker runs meanwhile: that is one
round trip and the host's own wait. Everything else is sent and not waited for; a failure shows with the next request.
"""

import errno
import logging
import time
from collections.abc import Callable
from typing import Final, TypedDict

import zmq

from greenroom.protocol.errors import (
    GreenroomError,
    RemoteProtocolError,
    SessionBusyError,
    SessionFileError,
    SessionUnknownError,
)
from greenroom.protocol.ids import ConversationId, Incarnation
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.records import (
    CloseRecords,
    ReceivedReply,
    RecordsFailed,
    RecordsRequest,
    RecordsResumed,
    ResumeRecords,
    WriteRecords,
    read_reply,
    record_frames,
)
from greenroom.runtime.zmq_connections import BROKEN
from greenroom.runtime.zmq_stream import ZmqStream

log = logging.getLogger(__name__)

TIMEOUT: Final = 20.0
"""Seconds that the host has to write; the records are then kept there, and the user is told."""
RECONNECT_MS: Final = 24 * 3600 * 1000
"""Milliseconds after which ZeroMQ would connect again, longer than a worker lives without its host. Where it is told
never to (-1), it throws away what has arrived together with the end of the connection, such as the last reply."""
_ERRORS: Final[dict[str, type[GreenroomError]]] = {
    kind.kind: kind for kind in (SessionBusyError, SessionFileError, SessionUnknownError)
}


class _Address(TypedDict):
    conversation_id: ConversationId
    incarnation: Incarnation


class RecordsChannel:
    """The records of one worker (`greenroom.sessions.sent.RecordsSender`), connected before it has a conversation."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        spec: WorkerSpec,
        lifeline: int,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_lost` is called when the connection has ended, which is not made again: lines may be lost with it.

        So it is, in a wait, when `lifeline` reaches its end of file: the node is gone, and with it the right to go on.
        """
        self._on_lost = on_lost
        self._watch: ZmqStream | None = None
        self._address: _Address = {"conversation_id": ConversationId(""), "incarnation": Incarnation(0)}
        self._number = 0
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.curve_serverkey = spec.records_key.encode()
        self._socket.curve_publickey = spec.keys.public.encode()
        self._socket.curve_secretkey = spec.keys.secret.encode()
        self._monitor = self._socket.get_monitor_socket(BROKEN)
        self._socket.connect(spec.records_address)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(lifeline, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def watch(self) -> None:
        """Notice on the running loop, too, that the connection has ended: it may be long until the next request."""
        self._watch = ZmqStream(self._monitor, lambda _: self._on_lost())

    def begin(self, conversation_id: ConversationId, incarnation: Incarnation) -> None:
        """Set whose records follow."""
        self._address = {"conversation_id": conversation_id, "incarnation": incarnation}

    def resume(self) -> tuple[RecordsResumed, bytes]:
        """Return the conversation as it is at home, whose file is locked from now on.

        Raises `OSError`, `SessionUnknownError`, `SessionBusyError` or `SessionFileError`.
        """
        self._send(ResumeRecords(number=self._next(), **self._address))
        received = self._wait()
        if not isinstance(received.reply, RecordsResumed):
            raise RemoteProtocolError("the host answered something else than the session")
        return received.reply, received.lines

    def write(self, lines: bytes, *, commit: bool) -> None:
        self._send(WriteRecords(number=self._next(), commit=commit, **self._address), lines)
        if commit:
            self._wait()
        else:
            self._take_what_is_there()

    def close(self) -> None:
        if self._socket.closed:
            return
        try:
            self._send(CloseRecords(number=self._next(), **self._address))
            self._wait()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Disconnect without a word."""
        if self._socket.closed:
            return
        self._socket.disable_monitor()
        if self._watch is not None:
            self._watch.close()
        self._socket.close(linger=0)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, request: RecordsRequest, lines: bytes = b"") -> None:
        if self._monitor.poll(0):
            raise OSError(errno.ENOTCONN, "the host cannot be reached")
        self._socket.send_multipart(record_frames(request, lines), zmq.NOBLOCK)

    def _wait(self) -> ReceivedReply:
        """Return the reply to the last request. Raises what it, or one before it, says of a failure."""
        deadline = time.monotonic() + TIMEOUT
        failure: RecordsFailed | None = None
        while True:
            received = self._receive(deadline)
            reply = received.reply
            if isinstance(reply, RecordsFailed):
                failure = reply
            if reply.number < self._number:
                continue
            if isinstance(reply, RecordsFailed):
                raise _error(reply)
            if failure is not None:  # what failed earlier was kept, and has been written with this request
                log.warning("session records were written late: %s", failure.text)
            return received

    def _receive(self, deadline: float) -> ReceivedReply:
        remaining = max(0.0, deadline - time.monotonic())
        ready = dict(self._poller.poll(int(remaining * 1000)))
        if self._socket in ready or (ready and self._socket.poll(0)):  # what came before the end of the connection
            return read_reply(self._socket.recv_multipart())
        if ready:
            self._on_lost()
            raise OSError(errno.ENOTCONN, "the connection to the host has ended")
        raise TimeoutError(errno.ETIMEDOUT, "the host does not answer")

    def _take_what_is_there(self) -> None:
        while self._socket.poll(0):
            reply = read_reply(self._socket.recv_multipart()).reply
            if isinstance(reply, RecordsFailed):
                raise _error(reply)


def _error(reply: RecordsFailed) -> Exception:
    if reply.errno:
        return OSError(reply.errno, reply.text)
    return _ERRORS.get(reply.kind, SessionFileError)(reply.text)

"""The way of session records from a worker on a node to the host: requests in order, each with one reply.

A commit waits for its reply, as it would wait for a disk, and nothing else of the worker runs meanwhile: that is one
round trip and the host's own wait. Everything else is sent and not waited for; a failure shows with the next request.
"""

import errno
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypedDict

import zmq

from greenroom.protocol.errors import (
    GreenroomError,
    RemoteProtocolError,
    SessionBusyError,
    SessionFileError,
    SessionUnknownError,
)
from greenroom.protocol.ids import ConversationId, Incarnation
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

log = logging.getLogger(__name__)

TIMEOUT: Final = 20.0
"""Seconds that the host has to write; the records are then kept there, and the user is told."""
_ERRORS: Final[dict[str, type[GreenroomError]]] = {
    kind.kind: kind for kind in (SessionBusyError, SessionFileError, SessionUnknownError)
}


class _Address(TypedDict):
    conversation_id: ConversationId
    incarnation: Incarnation


class RecordsPort(Protocol):
    """What requests are sent by: the mailbox (`greenroom.workers.mailbox`), whose connection they share."""

    @property
    def sockets(self) -> "tuple[zmq.Socket[bytes], zmq.Socket[bytes]]":
        """The socket, and one that becomes readable once its connection has ended."""

    def request(self, frames: Sequence[bytes]) -> bool:
        """Send a request, and return whether it was sent; else the socket has to become writable."""
        ...

    def take_reply(self) -> list[bytes] | None:
        """Return the next reply that has arrived."""


class RecordsChannel:
    """The records of one worker (`greenroom.sessions.storage.sent.RecordsSender`)."""

    def __init__(self, port: RecordsPort, lifeline: int, on_lost: Callable[[], None] = lambda: None) -> None:
        """`on_lost` is called by a request where the connection has ended, or `lifeline` has: its end of file.

        Then the node is gone, and with it the right to go on.
        """
        self._port = port
        self._on_lost = on_lost
        self._address: _Address = {"conversation_id": ConversationId(""), "incarnation": Incarnation(0)}
        self._number = 0
        self._is_closed = False
        self._socket, self._end = port.sockets
        self._poller = zmq.Poller()
        self._poller.register(lifeline, zmq.POLLIN)
        self._poller.register(self._end, zmq.POLLIN)

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
        if not self._is_closed:
            self._is_closed = True
            self._send(CloseRecords(number=self._next(), **self._address))
            self._wait()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, request: RecordsRequest, lines: bytes = b"") -> None:
        if self._end.poll(0):
            self._on_lost()
            raise OSError(errno.ENOTCONN, "the host cannot be reached")
        frames = record_frames(request, lines)
        deadline = time.monotonic() + TIMEOUT
        while not self._port.request(frames):
            self._wait_for(zmq.POLLOUT, deadline)

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
        while (frames := self._port.take_reply()) is None:
            self._wait_for(zmq.POLLIN, deadline)
        return read_reply(frames)

    def _wait_for(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready. Raises `OSError` once it cannot be, and calls `on_lost` first."""
        self._poller.register(self._socket, event)
        ready = dict(self._poller.poll(int(max(0.0, deadline - time.monotonic()) * 1000)))
        if self._socket in ready or (ready and self._socket.poll(0, event)):  # what came before the connection's end
            return
        if ready:
            self._on_lost()
            raise OSError(errno.ENOTCONN, "the connection to the host has ended")
        raise TimeoutError(errno.ETIMEDOUT, "the host does not answer")

    def _take_what_is_there(self) -> None:
        while (frames := self._port.take_reply()) is not None:
            reply = read_reply(frames).reply
            if isinstance(reply, RecordsFailed):
                raise _error(reply)


def _error(reply: RecordsFailed) -> Exception:
    if reply.errno:
        return OSError(reply.errno, reply.text)
    return _ERRORS.get(reply.kind, SessionFileError)(reply.text)

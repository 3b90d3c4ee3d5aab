"""The stream of one worker's events to its supervisor, free of I/O: frames in order over a Unix socket.

A worker begins with the ticket that its spec holds. After it comes a frame for each batch of events. Notices travel by
another way (`greenroom.protocol.internal.worker`), and the order of both is that in which the worker sent them: a
frame has the number of notices before it, and a notice the number of frames.
"""

import struct
from typing import Final, NamedTuple

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import BEFORE_TURNS, TurnId

TICKET_SIZE: Final = 32
"""Bytes of a ticket. It names its worker and is good for one connection."""
EVENTS: Final = b"events"
"""Kind of the messages in which a worker on a node sends frames, one in each, through its mailbox."""
MAX_PAYLOAD: Final = 1024 * 1024 * 1024
"""Bytes that the events of one frame may have. A frame has up to 64 KiB, or else one event."""

_head: Final = struct.Struct(">IIB")
"""Bytes of the payload, notices before the frame, bytes of the turn's id."""


class EventFrame(NamedTuple):
    """A batch of events."""

    turn_id: TurnId
    payload: bytes
    """Events as JSON objects, a newline between two of them."""
    notices_before: int
    """Notices that the worker sent before it since its beginning."""


class FrameEncoder:
    """Makes the frames of one turn after the other."""

    def __init__(self) -> None:
        self._turn_id = b""

    def begin_turn(self, turn_id: TurnId) -> None:
        """Set the turn that the next frames belong to. Raises `ValueError` for an id of over 255 bytes."""
        encoded = turn_id.encode()
        if len(encoded) > 255:
            raise ValueError("the id of a turn has at most 255 bytes")
        self._turn_id = encoded

    def encode(self, payload: bytes, notices_before: int) -> bytes:
        """Return the frame of a batch."""
        return b"%b%b%b" % (_head.pack(len(payload), notices_before, len(self._turn_id)), self._turn_id, payload)


class FrameDecoder:
    """Cuts one stream into frames."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = _head.size
        """Bytes that are needed before there is anything to do."""
        self._encoded_id, self._turn_id = b"", BEFORE_TURNS
        self.frames = 0
        """Frames that have been returned since the beginning."""

    def feed(self, data: bytes) -> list[EventFrame]:
        """Return the frames that `data` completes. Raises `RemoteProtocolError`; the stream is of no use after it."""
        self._size += len(data)
        if self._size < self._wanted:
            self._pieces.append(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
        found: list[EventFrame] = []
        start = 0
        while (end := self._end_of_frame(data, start)) <= len(data):
            found.append(self._frame(data, start, end))
            start = end
        if start < len(data):
            self._pieces.append(data[start:])
        self._size = len(data) - start
        self._wanted = end - start
        self.frames += len(found)
        return found

    def _end_of_frame(self, data: bytes, start: int) -> int:
        if len(data) - start < _head.size:
            return start + _head.size
        payload_size, _, id_size = _head.unpack_from(data, start)
        if payload_size > MAX_PAYLOAD:
            raise RemoteProtocolError(f"a frame of {payload_size} bytes in the stream of events")
        return start + _head.size + int(id_size) + int(payload_size)

    def _frame(self, data: bytes, start: int, end: int) -> EventFrame:
        _, notices_before, id_size = _head.unpack_from(data, start)
        body = start + _head.size
        id_end = body + id_size
        encoded_id = data[body:id_end]
        if encoded_id != self._encoded_id:
            self._encoded_id, self._turn_id = encoded_id, TurnId(encoded_id.decode(errors="replace"))
        return EventFrame(self._turn_id, data[id_end:end], notices_before)

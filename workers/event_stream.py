"""The worker's end of the stream of its events: a Unix socket that is written from the loop's own thread.

Events do not travel as messages of ZeroMQ because each of those wakes a thread on either side. At the rate of a model
that writes token by token those two wake-ups cost more than all that is done with the event.
"""

import asyncio
import logging
import socket

from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.event_stream import FrameEncoder
from greenroom.protocol.internal.process import WorkerSpec

log = logging.getLogger(__name__)


class EventStream:
    """One connection to the supervisor. Ends the process where there is none to connect to: it has just died."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._loop = asyncio.get_running_loop()
        self._encoder = FrameEncoder()
        self._rest = memoryview(b"")
        """What the socket has not taken yet of the last frame."""
        self._writable: asyncio.Future[None] | None = None
        self.frames = 0
        """Frames that have been made since the beginning."""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(spec.events_path)
            self._socket.sendall(spec.events_ticket)
        except OSError as error:
            log.info("the supervisor takes no events (%s)", error)
            raise SystemExit(1) from None
        self._socket.setblocking(False)

    def begin_turn(self, turn_id: TurnId) -> None:
        """Set the turn that the next frames belong to."""
        self._encoder.begin_turn(turn_id)

    def frame(self, events: bytes, notices_before: int) -> bytes:
        """Return the frame of a batch of events; it is to be sent after those made before it."""
        self.frames += 1
        return self._encoder.encode(events, notices_before)

    def send(self, frame: bytes) -> bool:
        """Send a frame; `False` where `wait_writable` and then `send_rest` have to follow."""
        self._rest = memoryview(frame)
        return self.send_rest()

    def send_rest(self) -> bool:
        """Send what is left of the last frame, and return whether all of it has been taken."""
        try:
            sent = self._socket.send(self._rest)
        except BlockingIOError:
            return False
        except OSError:  # the supervisor is gone, which the lifeline tells too
            sent = len(self._rest)
        self._rest = self._rest[sent:]
        return not self._rest

    async def wait_writable(self) -> None:
        """Wait until the socket takes more."""
        self._writable = self._loop.create_future()
        self._loop.add_writer(self._socket, self._is_writable)
        try:
            await self._writable
        finally:
            self._stop_watching()

    def close(self) -> None:
        """Close the connection; the kernel keeps what was sent for the supervisor."""
        self._stop_watching()
        self._socket.close()

    def _stop_watching(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_writer(self._socket)

    def _is_writable(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

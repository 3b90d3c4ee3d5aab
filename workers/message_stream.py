"""The events of a worker on a node: messages in its mailbox, encrypted and in one order with notices."""

from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.event_stream import EVENTS, FrameEncoder
from greenroom.protocol.internal.worker.parts import in_parts
from greenroom.runtime.zmq.zmq_stream import ZmqStream


class MessageStream:
    """Takes the place of `greenroom.workers.event_stream.EventStream`."""

    frames = 0
    """What notices say that comes before them by another way: nothing does."""

    def __init__(self, port: ZmqStream) -> None:
        self._port = port
        self._encoder = FrameEncoder()
        self._rest = b""

    def begin_turn(self, turn_id: TurnId) -> None:
        """Set the turn that the next frames belong to."""
        self._encoder.begin_turn(turn_id)

    def frame(self, events: bytes, _: int) -> bytes:
        """Return the frame of a batch of events; it is to be sent after those made before it."""
        return self._encoder.encode(events, 0)

    def send(self, frame: bytes) -> bool:
        """Send a frame; `False` where `wait_writable` and then `send_rest` have to follow."""
        self._rest = frame
        return self.send_rest()

    def send_rest(self) -> bool:
        """Try again to send the last frame, and return whether it has been taken."""
        return self._port.send(in_parts([EVENTS, self._rest], at=1))

    async def wait_writable(self) -> None:
        """Wait until the socket may take more."""
        await self._port.wait_writable()

    def close(self) -> None:
        """Do nothing: the mailbox closes its socket."""

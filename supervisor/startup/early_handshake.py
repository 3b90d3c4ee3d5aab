"""The first moments with a client, before there is an event loop.

`HandshakeBuffer.answer_waiting` answers what the client has said already, which nearly always is `initialize`:
importing
asyncio takes longer than that.
"""

import os
import select
from collections.abc import Callable

from greenroom.supervisor.frontend.descriptors import READ_SIZE, Descriptors


class HandshakeBuffer:
    """Collects answers until there is a transport."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self._answers: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep an answer for the client."""
        self._answers.append(data)

    def answer_waiting(self, receive: Callable[[bytes], None]) -> None:
        """Hand on what lies in the pipe, if anything does, and send the answers as far as the client takes them."""
        if select.select((self._descriptors.input,), (), (), 0)[0]:
            try:
                data = os.read(self._descriptors.input, READ_SIZE)
            except OSError:
                data = b""
            if data:
                receive(data)
        self._send()

    def take_unsent(self) -> bytes:
        """Return what the client has not taken yet; it is the transport's to send."""
        unsent = b"".join(self._answers)
        self._answers.clear()
        return unsent

    def _send(self) -> None:
        data = self.take_unsent()
        try:
            sent = os.write(self._descriptors.output, data) if data else 0
        except OSError:
            sent = 0
        if sent < len(data):
            self._answers.append(data[sent:])

"""The handshake before there is an event loop.

`HandshakeBuffer.answer_waiting` answers what the client has sent already, usually `initialize`: importing asyncio takes
longer than that.
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
        """Queue an answer for the client."""
        self._answers.append(data)

    def answer_waiting(self, receive: Callable[[bytes], None]) -> None:
        """Handle what lies in the pipe, if anything, and send the answers as far as the client accepts them."""
        if select.select((self._descriptors.input,), (), (), 0)[0]:
            try:
                data = os.read(self._descriptors.input, READ_SIZE)
            except OSError:
                data = b""
            if data:
                receive(data)
        self._send()

    def take_unsent(self) -> bytes:
        """Return what the client has not accepted yet, for the transport to send."""
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

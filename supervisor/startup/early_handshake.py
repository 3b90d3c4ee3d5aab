"""The first moments with a client, before there is an event loop.

`take_over_stdio` moves the real standard input and output away before anything else can use them, so that a library
that prints,
or a child that inherits descriptor 1, reaches standard error and never the client. `answer_waiting` then answers what
the client has said already, which nearly always is `initialize`: importing asyncio takes longer than that.
"""

import os
import select
from collections.abc import Callable
from typing import NamedTuple

from greenroom.protocol.errors import RemoteProtocolError

READ_SIZE = 256 * 1024
"""Bytes taken from the client at once."""


class Descriptors(NamedTuple):
    """The client's two ends, out of everybody else's reach. Neither of them blocks."""

    input: int
    output: int


def take_over_stdio() -> Descriptors:
    """Take over standard input and output. Afterwards 0 reads nothing and 1 writes to standard error.

    Raises `RemoteProtocolError` where there is nobody at one of them.
    """
    try:
        ends = Descriptors(input=os.dup(0), output=os.dup(1))
    except OSError:
        raise RemoteProtocolError("standard input or output is closed; an MCP client has to be at both") from None
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for end in ends:
        os.set_blocking(end, False)
    return ends


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

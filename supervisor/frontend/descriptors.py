"""The client's two ends of the pipe, moved out of reach of everything else in the process.

A library that prints, or a child that inherits descriptor 1, then reaches standard error and never the client.
"""

import os
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

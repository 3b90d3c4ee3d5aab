"""The client's two ends of the pipe, moved to descriptors that nothing else in the process uses.

A library that prints, or a child that inherits descriptor 1, then writes to standard error and never to the client.
"""

import os
from typing import NamedTuple

from greenroom.protocol.errors import RemoteProtocolError

READ_SIZE = 256 * 1024
"""Bytes that are read from the client at once."""


class Descriptors(NamedTuple):
    """The client's two ends, both non-blocking."""

    input: int
    output: int


def take_over_stdio() -> Descriptors:
    """Take over standard input and output. Afterwards 0 reads nothing and 1 writes to standard error.

    Raises `RemoteProtocolError` where one of them is closed.
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


def leave_stdio() -> None:
    """Read nothing from standard input and write to standard error only, also where descriptors were closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)

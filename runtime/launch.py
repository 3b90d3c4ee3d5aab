"""Starts processes of ours with what they need and no more: a channel, a lifeline, an environment without secrets.

It is imported before everything else so that the fork server begins its imports while the supervisor does its own;
it must
stay cheap.
"""

import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

from greenroom.runtime.spawn import OWN_VARIABLES, spawn

DATAGRAM = 1024 * 1024
"""Bytes that one message on a child's channel may have."""
CONTROL = 3
"""Descriptor of a child's channel to the supervisor."""
LIFELINE = 4
"""Descriptor of a pipe that nobody writes to: its end of file means that the supervisor is gone."""
LAST_TIMEOUT = 1.3
"""Seconds that a refresh under way has when the server ends, or is killed."""

_UNCOLLECTED = "import gc; gc.disable(); "
"""Imports make no garbage worth looking for. Whoever stays turns the collector on again."""
FORK_SERVER = _UNCOLLECTED + "from greenroom.supervisor.processes.fork_server import main; main()"
SPAWNED = _UNCOLLECTED + "from greenroom.supervisor.processes.spawned import main; main()"


class Lifeline(NamedTuple):
    """A pipe that nobody writes to. Every process of ours holds the reader; the writer closes by itself when we die."""

    reader: int
    writer: int

    @classmethod
    def create(cls) -> "Lifeline":
        """Open the pipe. It is created once and lasts as long as the supervisor."""
        return cls(*os.pipe())


class Launched(NamedTuple):
    """A running child and our end of its channel."""

    pid: int
    control: socket.socket
    """Keeps message boundaries. Closing it tells the child to leave."""


def launch(statement: str, environment: Mapping[str, str], lifeline: Lifeline) -> Launched:
    """Start an isolated interpreter on `statement`, tied to us by a channel and the lifeline."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, _message_kind())
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM)
    with theirs:
        pid = spawn(statement, {**environment, **OWN_VARIABLES}, {CONTROL: theirs.fileno(), LIFELINE: lifeline.reader})
    return Launched(pid, ours)


def _message_kind() -> socket.SocketKind:
    return getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM) if os.uname().sysname == "Linux" else socket.SOCK_DGRAM

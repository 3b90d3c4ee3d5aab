"""Starts Greenroom's processes with a channel, the lifeline, and an environment without secrets.

It is imported before everything else, so that the fork server's imports run in parallel with the supervisor's; it must
stay cheap.
"""

import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

from greenroom.runtime.spawn import OWN_VARIABLES, spawn

DATAGRAM = 1024 * 1024
"""Maximum bytes of a message on a child's channel."""
CONTROL = 3
"""Descriptor of a child's channel to the supervisor."""
LIFELINE = 4
"""Descriptor of a pipe to which nothing is written: end of file means that the supervisor is gone."""
LAST_TIMEOUT = 1.3
"""Seconds for a refresh in progress when the server exits or is killed."""

_UNCOLLECTED = "import gc; gc.disable(); "
"""Imports create no garbage worth collecting. A process that stays enables the collector again."""
FORK_SERVER = _UNCOLLECTED + "from greenroom.supervisor.processes.fork_server import main; main()"
SPAWNED = _UNCOLLECTED + "from greenroom.supervisor.processes.spawned import main; main()"


class Lifeline(NamedTuple):
    """A pipe to which nothing is written. Every process holds the reading end; the kernel closes the writing end when
    the supervisor dies."""

    reader: int
    writer: int

    @classmethod
    def create(cls) -> "Lifeline":
        """Create the pipe, which lasts as long as the supervisor."""
        return cls(*os.pipe())


class Launched(NamedTuple):
    """A running child and this side of its channel."""

    pid: int
    control: socket.socket
    """Keeps message boundaries. Closing it tells the child to exit."""


def launch(statement: str, environment: Mapping[str, str], lifeline: Lifeline) -> Launched:
    """Start an isolated interpreter on `statement`, with a channel and the lifeline."""
    parent_end, child_end = socket.socketpair(socket.AF_UNIX, _message_kind())
    for end in (parent_end, child_end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM)
    with child_end:
        pid = spawn(
            statement, {**environment, **OWN_VARIABLES}, {CONTROL: child_end.fileno(), LIFELINE: lifeline.reader}
        )
    return Launched(pid, parent_end)


def _message_kind() -> socket.SocketKind:
    return getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM) if os.uname().sysname == "Linux" else socket.SOCK_DGRAM

"""Starts Greenroom's own processes, each with a channel, a lifeline and an environment without secrets.

It is imported before everything else, so that the fork server begins its imports while the supervisor does its own.
It must stay cheap to import: neither `typing` nor `socket`, which take longer
than to start a process.
"""

import _socket
import os

from greenroom.runtime.process.spawn import OWN_VARIABLES, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DATAGRAM = 1024 * 1024
"""Bytes that one message on a child's channel may have."""
CONTROL = 3
"""Descriptor of a child's channel to the supervisor."""
LIFELINE = 4
"""Descriptor of a pipe to which nothing is written: its end of file means that the supervisor is gone."""
LAST_TIMEOUT = 1.3
"""Seconds that a refresh under way has to finish when the server ends or is killed."""

_UNCOLLECTED = "import gc; gc.disable(); "
"""Imports make almost no garbage. A process that goes on after them enables the collector again."""
FORK_SERVER = _UNCOLLECTED + "from greenroom.supervisor.processes.engines.fork_server import main; main()"
SPAWNED = _UNCOLLECTED + "from greenroom.supervisor.processes.engines.spawned import main; main()"


class Lifeline:
    """A pipe to which nothing is written. Each child holds the reader; the kernel closes the writer when the supervisor
    dies."""

    __slots__ = ("reader", "writer")

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    def create(cls) -> "Lifeline":
        """Open the pipe, which lasts as long as the supervisor."""
        return cls(*os.pipe())


class Launched:
    """A running child, and the supervisor's end of its channel."""

    __slots__ = ("control", "pid")

    def __init__(self, pid: int, control: _socket.socket) -> None:
        """`control` keeps message boundaries. The child exits when it is closed."""
        self.pid, self.control = pid, control


def launch(statement: str, environment: "Mapping[str, str]", lifeline: Lifeline) -> Launched:
    """Start an isolated interpreter on `statement`, connected by a channel and the lifeline."""
    near, far = _socket.socketpair(_socket.AF_UNIX, _message_kind())
    try:
        for end in (near, far):
            end.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, DATAGRAM)
        pid = spawn(statement, {**environment, **OWN_VARIABLES}, {CONTROL: far.fileno(), LIFELINE: lifeline.reader})
    finally:
        far.close()
    return Launched(pid, near)


def _message_kind() -> int:
    return _socket.SOCK_SEQPACKET if os.uname().sysname == "Linux" else _socket.SOCK_DGRAM

"""What a service manager and a service tell each other: readiness (sd_notify(3)) and sockets (sd_listen_fds(3)).

The variables by which the manager speaks are for one process, so `take_over` removes them from the environment before
any other process is started.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final, NamedTuple

FIRST_SOCKET: Final = 3
"""The first descriptor of a passed socket (SD_LISTEN_FDS_START)."""
_VARIABLES: Final = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


class ServiceManager(NamedTuple):
    """What the service manager has given to this process, if there is one."""

    notify_address: str = ""
    """Where states are reported; empty where they are not wanted."""
    sockets: tuple[int, ...] = ()
    """Descriptors of the passed sockets, which no child inherits."""

    @classmethod
    def take_over(cls, environment: MutableMapping[str, str]) -> "ServiceManager":
        """Read and remove the variables, and keep the sockets from children."""
        values = {name: environment.pop(name, "") for name in _VARIABLES}
        count = _number(values["LISTEN_FDS"]) if _number(values["LISTEN_PID"]) == os.getpid() else 0
        sockets = tuple(range(FIRST_SOCKET, FIRST_SOCKET + count))
        for descriptor in sockets:
            os.set_inheritable(descriptor, False)
        return cls(values["NOTIFY_SOCKET"], sockets)

    def notify(self, *states: str) -> None:
        """Report states, such as `READY=1`. A manager that cannot be reached is none."""
        address = self.notify_address
        if address[:1] not in ("/", "@"):
            return
        name = "\0" + address[1:] if address.startswith("@") else address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(name)
            sender.sendall("\n".join(states).encode())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0

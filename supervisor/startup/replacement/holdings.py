"""What a host holds as the one host of its home, and would hand over to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from greenroom.runtime.service_manager import ServiceManager
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.mcp.front_state import FrontState
from greenroom.supervisor.frontend.unix_listener import UnixListener
from greenroom.supervisor.startup.host_lock import HostLock

if TYPE_CHECKING:
    from greenroom.supervisor.frontend.http.listener import HttpListener

MakeConnection: TypeAlias = Callable[[FrontState, int, int], Connection]
"""Makes the connection of a client from its state, its descriptor and its pid."""


@dataclass(slots=True)
class Holdings:
    """Complete once the host listens."""

    manager: ServiceManager
    """What watches the host, if anything."""
    lock: HostLock | None = None
    unix: UnixListener | None = None
    http: "HttpListener | None" = None
    """What serves MCP over HTTP; `None`: nothing does."""
    replaces: int | None = None
    """The pid of the host that was replaced, while that finishes its turns."""

    @property
    def socket_path(self) -> str:
        """Where clients find the host."""
        return "" if self.unix is None else self.unix.address

    def give_up(self) -> None:
        """Let go of what another host has now. Nothing is removed, and those that have come are served on."""
        if self.unix is not None:
            self.unix.release()
        if self.http is not None:
            self.http.release()
        if self.lock is not None:
            self.lock.close()

"""The interface of process engines: start, watch and end a process. Other engines may run processes elsewhere."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import msgspec

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import AnyProcessSpec, Exited
from greenroom.supervisor.processes.service_state import ServiceStatus

OnExit: TypeAlias = Callable[[Exited], None]
OnMeasured: TypeAlias = Callable[[Footprint], None]

FORK_SERVER_ID: Final = WorkerId("fork_server")
"""The id under which the end of a fork server is reported."""


ZYGOTE_ID: Final = WorkerId("zygote")
"""The id under which a zygote is shown."""
ZYGOTE_PREFIX: Final = "zygote-"
"""Prefix of the ids of shared zygotes."""


class EngineStatistics(msgspec.Struct, frozen=True):
    """Counters of an engine since its start."""

    born: int
    exited: int
    alive: int


class Engine(Protocol):
    """A keeper of processes. All calls are made on the supervisor's loop and none of them blocks."""

    async def start(self, on_exit: OnExit, on_ready: Callable[[], None]) -> None:
        """Start the engine; each end of a process is then reported to `on_exit` exactly once, a fork server's too.

        Processes can be requested at once. `on_ready` says that those requested from then on are cheapest; it may be
        called again when the engine has recovered from a failure.
        """

    def prepare(self, runtime_directory: str) -> None:
        """Get ready before the first process is requested; `on_ready` follows. Without this, it is done after that."""

    def spawn(self, spec: AnyProcessSpec) -> None:
        """Start a process. One that cannot be started is tried again, or reported to `on_exit` as one that ended."""

    def came_up(self, worker_id: WorkerId) -> None:
        """Note that a process is ready: its start is over."""

    def kill(self, worker_id: WorkerId) -> None:
        """Kill a process and its process group. Unknown ids are ignored."""

    def terminate(self, worker_id: WorkerId) -> None:
        """Ask a process to exit. Unknown ids are ignored."""

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return the process id while the process is alive."""

    @property
    def fork_server(self) -> ServiceStatus | None:
        """Status of the fork server, `None` where the engine has none."""

    @property
    def zygote(self) -> ServiceStatus | None:
        """Status of the zygote that starts commands for all workers, `None` where each worker has its own."""

    def measure_fork_server(self, on_measured: OnMeasured) -> bool:
        """Ask the fork server for its footprint; return whether there is one to answer."""
        ...

    def statistics(self) -> EngineStatistics:
        """Return the counters."""

    async def close(self, within_s: float) -> None:
        """End every process, and return when none is left; those that are left after a time are killed."""

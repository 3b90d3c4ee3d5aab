"""The engine of a machine where fork is not safe: each process is a fresh interpreter."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import AnyProcessSpec, BrokerSpec
from greenroom.runtime.process import child
from greenroom.runtime.process.launch import Launched
from greenroom.runtime.process.orphans import OrphanTracker, end_all_children, kill_group, terminate
from greenroom.supervisor.processes.engines.direct_child import (
    CLOSING_TIME,
    exited_of,
    reap_orphans,
    start_error,
    start_spawned,
)
from greenroom.supervisor.processes.engines.engine import EngineStatistics, OnExit, OnMeasured

log = logging.getLogger(__name__)


class SpawnEngine:
    """Starts each process directly, so that it needs no fork server."""

    def __init__(self, launch: Callable[[], Launched]) -> None:
        self._launch = launch
        self._alive: dict[WorkerId, int] = {}
        self._orphans = OrphanTracker()
        self._born = self._exited = 0
        self._empty = asyncio.Event()
        self._on_exit: OnExit = lambda _: None

    async def start(self, on_exit: OnExit, on_ready: Callable[[], None]) -> None:
        self._on_exit = on_exit
        asyncio.get_running_loop().call_soon(on_ready)

    def prepare(self, _: str) -> None:
        pass

    def spawn(self, spec: AnyProcessSpec) -> None:
        try:
            pid = start_spawned(self._launch, spec)
        except OSError as error:
            log.error("a process cannot be started: %s", error)
            asyncio.get_running_loop().call_soon(self._on_exit, start_error(spec, str(error)))
            return
        self._alive[spec.id] = pid
        if isinstance(spec, BrokerSpec):
            self._orphans.expect(pid)
        self._born += 1
        child.watch(pid, lambda ending: self._ended(spec.id, ending))

    def came_up(self, worker_id: WorkerId) -> None:
        pass

    def kill(self, worker_id: WorkerId) -> None:
        pid = self._alive.get(worker_id)
        if pid is not None:
            kill_group(pid)

    def terminate(self, worker_id: WorkerId) -> None:
        pid = self._alive.get(worker_id)
        if pid is not None:
            terminate(pid)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return self._alive.get(worker_id)

    @property
    def fork_server(self) -> None:
        return None

    @property
    def zygote(self) -> None:
        return None

    def measure_fork_server(self, _: OnMeasured) -> bool:
        return False

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self._born, self._exited, len(self._alive))

    async def close(self, within_s: float = CLOSING_TIME) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within_s
        for pid in self._alive.values():
            kill_group(pid)
        self._empty.clear()
        if self._alive:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(ends_at):
                    await self._empty.wait()
        end_all_children(self._orphans, max(ends_at - loop.time(), 0.0))

    def _ended(self, worker_id: WorkerId, ending: child.ChildExit) -> None:
        del self._alive[worker_id]
        self._exited += 1
        self._on_exit(exited_of(worker_id, ending))
        self._reap_orphans()
        if not self._alive:
            self._empty.set()

    def _reap_orphans(self) -> None:
        reap_orphans(set(self._alive.values()), self._orphans, self._reap_orphans)

"""The node: forks workers as its host orders, tells how they end, and ends them all when its lease is over."""

import asyncio
import logging
import os
from typing import Final, assert_never

import msgspec
import zmq

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import WorkerId, uuid7
from greenroom.protocol.internal.node import (
    BEAT,
    PROTOCOL,
    Beat,
    Beaten,
    Confirm,
    Enrolled,
    Join,
    Joined,
    KillWorker,
    Leave,
    Leaving,
    NodeLoad,
    Refused,
    Rejoin,
    ToNode,
)
from greenroom.protocol.internal.process import Exited, Spawn, WorkerSpec
from greenroom.protocol.version import __version__
from greenroom.runtime.files.rewritten_file import remove_unfinished
from greenroom.supervisor.node.identity import NodeIdentity
from greenroom.supervisor.node.lease import Lease
from greenroom.supervisor.node.ledger import WorkerLedger
from greenroom.supervisor.node.link import HostLink
from greenroom.supervisor.processes.departure import PROCESSES
from greenroom.supervisor.processes.engines.engine import Engine
from greenroom.supervisor.processes.exit_causes import ExitCauses
from greenroom.supervisor.processes.memory_limit import MemoryWatchdog, resident_memory
from greenroom.supervisor.processes.nodes.addresses import address_of

log = logging.getLogger(__name__)

WARM_UP: Final = 10.0
"""Seconds after which the node joins also where the fork server has not said that it has imported everything."""
LOAD_EVERY: Final = 5
"""Beats between two that carry the load."""


class Node:
    """One run of a node. Must be made on the running loop."""

    def __init__(
        self,
        identity: NodeIdentity,
        engine: Engine,
        address: str,
        state: str,
        runtime_directory: str,
        capacity: int,
        log_level: str,
        sandbox: str = "",
    ) -> None:
        """`address` is where the host is reached from here.

        `sandbox`: why commands cannot be confined here; empty where they can.
        """
        self._sandbox = sandbox
        self._identity = identity
        self._engine = engine
        self._address = address
        self._state = state
        self._runtime_directory = runtime_directory
        self._capacity = capacity
        self._log_level = log_level
        self._run = uuid7()
        self._lease = Lease()
        self._ledger = WorkerLedger(engine.pid_of)
        self._causes = ExitCauses()
        self._memory: MemoryWatchdog | None = None
        self._joined_at = 0.0
        self._is_connecting = False
        self._has_joined = False
        self._is_leaving = False
        self._beats = 0
        self._loop = asyncio.get_running_loop()
        self._left = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.failure: str | None = None
        """Why the host has turned it away for good."""
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._link = HostLink(
            self.context,
            address,
            identity.host_key,
            identity.keys,
            self._receive,
            self._join,
            self._refused,
        )

    @property
    def has_host(self) -> bool:
        """Whether the host has let it in, over the present connection."""
        return self._has_joined and self._link.is_up

    async def serve(self) -> None:
        """Serve until the host lets the node go, or `leave` is called. All workers are ended then."""
        warming = self._loop.call_later(WARM_UP, self._warmed_up)
        await self._engine.start(self._exited, self._warmed_up)
        self._engine.prepare(self._runtime_directory)
        self._beat()
        await self._left.wait()
        warming.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._memory is not None:
            self._memory.close()
        self._link.close()
        self.context.destroy(linger=0)
        await self._engine.close(PROCESSES)

    def leave(self) -> None:
        """End."""
        self._left.set()

    def drain(self) -> None:
        """End once the host has moved the conversations; at once without a host, or the second time."""
        if self._is_leaving or not self._has_joined or not self._link.send(Leaving()):
            self.leave()
        self._is_leaving = True

    # What the host says

    def _receive(self, message: ToNode) -> None:
        match message:
            case Joined():
                self._joined(message)
            case Refused():
                self.failure = message.text
                self._left.set()
            case Rejoin():
                if self._has_joined:
                    self._end_workers("the host has given the node up")
                    self._join()
            case Beaten():
                self._beaten(message)
            case Spawn():
                self._spawn(message)
            case KillWorker():
                self._kill(message.id, message.why)
            case Confirm():
                self._ledger.confirm(message.id)
            case Leave():
                log.warning("node %s leaves: %s", self._identity.name, message.text)
                self._left.set()
            case Enrolled():
                log.error("the host speaks of a ticket that was not shown; ignored")
            case _:
                assert_never(message)

    def _join(self) -> None:
        """Say how the node stands, over a connection that has just come up."""
        self._has_joined = False
        self._joined_at = self._loop.time()
        workers, exits = self._ledger.standing()
        self._link.send(
            Join(
                version=__version__,
                run=self._run,
                protocol=PROTOCOL,
                capacity=self._capacity,
                sandbox=self._sandbox,
                workers=workers,
                exits=exits,
            )
        )

    def _joined(self, message: Joined) -> None:
        self._has_joined = True
        self._lease.begin(self._joined_at)
        if self._memory is None:
            limits = Limits(worker_memory=message.worker_memory)
            self._memory = MemoryWatchdog(self._ledger, self._engine.pid_of, limits, self._kill, self._causes.tidy_up)
        for exited in self._ledger.standing()[1]:  # of which some may have ended since the host was told how it stands
            self._link.send(exited)
        log.warning("node %s has joined its host", message.name)
        if self._is_leaving:  # what was said before may have been lost with the link
            self._link.send(Leaving())

    def _refused(self) -> None:
        name = self._identity.name
        self.failure = f"the host does not know the key of node {name}: it was revoked, or its ticket was over"
        self._left.set()

    def _beaten(self, message: Beaten) -> None:
        self._lease.answered(message.number, self._loop.time())
        if self._has_joined and not self._lease.is_held:  # it was over, and this connection has outlived it
            self._join()

    def _spawn(self, message: Spawn) -> None:
        spec = message.spec
        if not isinstance(spec, WorkerSpec) or not self._lease.is_held or not self._ledger.order(spec.id):
            return
        self._engine.spawn(self._local(spec))
        if self._memory is not None:
            self._memory.begin()

    def _local(self, spec: WorkerSpec) -> WorkerSpec:
        """Return a spec with what this machine knows: its paths, and how the host is reached from here."""
        return msgspec.structs.replace(
            spec,
            supervisor_pid=os.getpid(),
            codex_home=self._state,
            runtime_directory=self._runtime_directory,
            log_level=self._log_level,
            mailbox_address=address_of(self._address, "mailbox"),
            broker_address=address_of(self._address, "broker"),
            broadcast_address=address_of(self._address, "changes"),
        )

    def _kill(self, worker_id: WorkerId, why: str) -> None:
        if why and worker_id in self._ledger:
            self._causes.note_kill(worker_id, why)
        if self._ledger.doom(worker_id):
            self._engine.kill(worker_id)

    # What happens here

    def _warmed_up(self) -> None:
        """Let the host know of this node: workers that are forked from now on have all imports done, and share them."""
        if not self._is_connecting:
            self._is_connecting = True
            self._link.connect()

    def _exited(self, exited: Exited) -> None:
        remove_unfinished(self._state, exited.pid)
        if exited.id not in self._ledger:
            return
        told = msgspec.structs.replace(exited, cause=self._causes.of(exited))
        self._ledger.ended(told)
        if self._has_joined:
            self._link.send(told)

    def _beat(self) -> None:
        now = self._loop.time()
        self._timer = self._loop.call_later(BEAT, self._beat)
        for worker_id in self._ledger.take_doomed():
            self._engine.kill(worker_id)
        if self._lease.is_over(now):
            self._end_workers("the host has not answered for the length of the lease")
            self._lease.end()
            if self._is_leaving:
                self.leave()
        if not self._has_joined or not self._link.is_up:
            return
        for spawned in self._ledger.newborn():
            self._link.send(spawned)
        self._beats += 1
        load = self._load() if self._beats % LOAD_EVERY == 1 else None
        self._link.send(Beat(number=self._lease.beat(now), round_trip=self._lease.round_trip, load=load))

    def _end_workers(self, why: str) -> None:
        if len(self._ledger):
            log.error("%s: its %d workers are ended", why, len(self._ledger))
        for worker_id in self._ledger:
            self._kill(worker_id, "the lease of its node was over")

    def _load(self) -> NodeLoad:
        pids = [pid for worker_id in self._ledger if (pid := self._engine.pid_of(worker_id)) is not None]
        helpers = [status.pid for status in (self._engine.fork_server, self._engine.zygote) if status is not None]
        own = [os.getpid(), *(pid for pid in helpers if pid is not None)]
        return NodeLoad(
            memory=sum(map(resident_memory, (*own, *pids))),
            free_memory=free_memory(),
            free_disk=free_disk(self._state),
            load=os.getloadavg()[0] / (os.cpu_count() or 1),
        )


def free_disk(path: str) -> int:
    """Return the bytes that can still be written at a path, 0 where the system does not tell."""
    try:
        facts = os.statvfs(path)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize


def free_memory() -> int:
    """Return the bytes that this machine could still give out, 0 where the system does not tell."""
    try:
        with open("/proc/meminfo", "rb") as file:
            lines = dict(line.split(b":", 1) for line in file)
        return int(lines[b"MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 0

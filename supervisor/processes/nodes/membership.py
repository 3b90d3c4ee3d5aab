"""One node as the host knows it: its state, its lease, and its workers. Free of I/O; times are of one monotonic clock.

What the host holds and what the node says are reconciled whenever the node joins, since whatever was on its way when
the link broke is lost.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.display import shown
from greenroom.protocol.errors import LocalProtocolError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.node import LEASE_AT_HOST, Join, NodeLoad
from greenroom.protocol.internal.process import Exited, Spawned, WorkerSpec
from greenroom.supervisor.processes.nodes.wish import NODE_LOST

LONGEST: Final = 240
"""Characters of what a node says in words: it ends up in logs and on terminals."""
MOST_WORKERS: Final = 10_000
"""Workers that a node may say it takes."""

NodeState: TypeAlias = Literal["absent", "ready", "away", "draining", "lost"]

MEANINGS: Final[Mapping[NodeState, str]] = {
    "absent": "known by its key, and has not joined",
    "ready": "joined, and takes workers",
    "away": "its link is cut, and its lease is not over: its workers may still run",
    "draining": "takes no more workers, and leaves when it has none",
    "lost": "its lease is over, or it has left: its workers have ended",
}

NodeEvent: TypeAlias = Literal["joined", "link_lost", "lease_over", "drain_asked"]

TRANSITIONS: Final[Mapping[tuple[NodeState, NodeEvent], NodeState]] = {
    ("absent", "joined"): "ready",
    ("lost", "joined"): "ready",
    ("away", "joined"): "ready",
    ("ready", "joined"): "ready",
    ("draining", "joined"): "draining",
    ("ready", "link_lost"): "away",
    ("draining", "link_lost"): "draining",
    ("away", "link_lost"): "away",
    ("ready", "lease_over"): "lost",
    ("away", "lease_over"): "lost",
    ("draining", "lease_over"): "lost",
    ("ready", "drain_asked"): "draining",
    ("away", "drain_asked"): "draining",
    ("draining", "drain_asked"): "draining",
}


def next_node_state(state: NodeState, happening: NodeEvent) -> NodeState:
    """Return the next state. Raises `LocalProtocolError` where the event is not possible in `state`."""
    try:
        return TRANSITIONS[state, happening]
    except KeyError:
        raise LocalProtocolError(f"a node that is {state} cannot have {happening}") from None


@dataclass(slots=True)
class NodeWorker:
    """A worker of a node, until its end has been reported."""

    spec: WorkerSpec
    pid: int | None = None
    """`None` until the node has started it."""
    doom: str | None = None
    """Why it is to be killed, `None` where it is not. An order to kill may be lost with the link: it is repeated."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What follows from a `Join`."""

    resend: tuple[WorkerSpec, ...] = ()
    """Workers that the node has not been told of, as far as it knows."""
    end: tuple[WorkerId, ...] = ()
    """Workers that live there and do not count any more."""
    ended: tuple[Exited, ...] = ()
    """Ends of workers."""
    kill: tuple[tuple[WorkerId, str], ...] = ()
    """Workers that count and are to be killed, each with the reason; sent after `resend`."""


@dataclass(slots=True)
class Membership:
    """One node."""

    name: str
    state: NodeState = "absent"
    run: str = ""
    """The run of its process that has joined last."""
    version: str = ""
    sandbox: str = ""
    """Why commands cannot be confined there; empty where they can."""
    capacity: int = 0
    heard_at: float = 0.0
    round_trip: float | None = None
    load: NodeLoad | None = None
    workers: dict[WorkerId, NodeWorker] = field(default_factory=dict)

    def happen(self, happening: NodeEvent) -> None:
        """Change to the following state."""
        self.state = next_node_state(self.state, happening)

    @property
    def is_member(self) -> bool:
        """Whether its workers count."""
        return self.state not in ("absent", "lost")

    def joined(self, join: Join, now: float) -> Reconciliation:
        """Take a node in, or in again, and return what follows for its workers."""
        is_same_run = self.run == join.run and self.is_member
        self.happen("joined")
        self.run, self.heard_at = join.run, now
        self.version, self.sandbox = shown(join.version, LONGEST), shown(join.sandbox, LONGEST)
        self.capacity = max(0, min(join.capacity, MOST_WORKERS))
        if not is_same_run:
            ended = tuple(self._lost(worker_id) for worker_id in list(self.workers))
            return Reconciliation(end=tuple(join.workers), ended=ended)
        ended = tuple(found for one in join.exits if (found := self.exited(one)) is not None)
        vanished = [
            worker_id
            for worker_id, worker in self.workers.items()
            if worker.pid is not None and worker_id not in join.workers
        ]
        ended += tuple(self._lost(worker_id) for worker_id in vanished)
        for worker_id, pid in join.workers.items():
            if worker_id in self.workers:
                self.workers[worker_id].pid = pid
        untold = (worker.spec for worker_id, worker in self.workers.items() if worker.pid is None)
        outdated = (worker_id for worker_id in join.workers if worker_id not in self.workers)
        doomed = ((worker_id, one.doom) for worker_id, one in self.workers.items() if one.doom is not None)
        return Reconciliation(tuple(untold), tuple(outdated), ended, tuple(doomed))

    def measured(self, round_trip: float | None, load: NodeLoad | None) -> None:
        """Take what a node has measured, unless it is no figure."""
        if round_trip is not None and _is_figure(round_trip):
            self.round_trip = round_trip
        if load is not None and all(map(_is_figure, msgspec.structs.astuple(load))):
            self.load = load

    def heard(self, now: float) -> None:
        """Note a sign of life."""
        self.heard_at = now

    def is_overdue(self, now: float) -> bool:
        """Tell whether the lease of a member is over."""
        return self.is_member and now - self.heard_at >= LEASE_AT_HOST

    def give_up(self) -> tuple[Exited, ...]:
        """End the membership, and return the ends of all its workers."""
        self.happen("lease_over")
        return tuple(self._lost(worker_id) for worker_id in list(self.workers))

    def enter(self, spec: WorkerSpec) -> None:
        """Enter a worker that is to be started."""
        self.workers[spec.id] = NodeWorker(spec)

    def doom(self, worker_id: WorkerId, why: str) -> None:
        """Note that a worker is to be killed, until it has ended."""
        if (worker := self.workers.get(worker_id)) is not None:
            worker.doom = worker.doom or why

    def spawned(self, message: Spawned) -> bool:
        """Note that a worker runs; return whether it counts, or else has to be ended."""
        worker = self.workers.get(message.id)
        if worker is None:
            return False
        worker.pid = message.pid
        return True

    def exited(self, exited: Exited) -> Exited | None:
        """Return the end of a worker as it is to be reported; `None` where it has been, or the worker is unknown."""
        if self.workers.pop(exited.id, None) is None:
            return None
        return of_node(exited, self.name)

    def drop(self, worker_id: WorkerId) -> Exited | None:
        """Take a worker as dead that the node has not reported, and return its end."""
        return self._lost(worker_id) if worker_id in self.workers else None

    def _lost(self, worker_id: WorkerId) -> Exited:
        worker = self.workers.pop(worker_id)
        return Exited(id=worker_id, pid=worker.pid or 0, returncode=-9, max_rss=0, node=self.name, cause=NODE_LOST)


def of_node(exited: Exited, name: str) -> Exited:
    """Return the end of a worker with the name of its node, whatever the node has said of that."""
    return Exited(
        id=exited.id,
        pid=exited.pid,
        returncode=exited.returncode,
        max_rss=exited.max_rss,
        start_error=None if exited.start_error is None else shown(exited.start_error, LONGEST),
        node=name,
        cause=None if exited.cause is None else shown(exited.cause, LONGEST),
    )


def _is_figure(value: float) -> bool:
    return math.isfinite(value) and 0 <= value < 2**63


def overdue_nodes(members: Mapping[str, Membership], now: float) -> Iterator[Membership]:
    """Yield the nodes whose leases are over."""
    yield from (member for member in members.values() if member.is_overdue(now))

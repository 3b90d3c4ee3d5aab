"""Has nodes started by Ray: tells `gr-ray` which there are to be, lets their keys in, and drains what is to go."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from greenroom.config.tables.nodes import RAY_PREFIX
from greenroom.config.tables.ray_nodes import RayTable
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.ids import NodeName
from greenroom.protocol.internal.outpost import Begin, Seen, Wanted
from greenroom.supervisor.processes.nodes.engine import NodeView
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from greenroom.supervisor.processes.nodes.placement import Candidate
from greenroom.supervisor.processes.nodes.ray.fleet import Fleet, NodeSight
from greenroom.supervisor.processes.nodes.ray.process import RayProcess
from greenroom.supervisor.processes.nodes.wish import Needs

log = logging.getLogger(__name__)

ENGINE: Final = "ray"
"""What has placed a node, as `status` says."""
LOOK: Final = 0.5
"""Seconds between two decisions."""


class PlacedNodes(Protocol):
    """What is asked of the engine of nodes (`greenroom.supervisor.processes.nodes.join_engine.JoinEngine`)."""

    def nodes(self) -> Sequence[NodeView]:
        """Return the nodes that are known."""
        ...

    def drain(self, node: NodeName) -> bool:
        """Start nothing on a node any more."""
        ...

    def forget(self, node: NodeName) -> None:
        """Know nothing of a node any more that has no workers."""


class RayPlacer:
    """Runs on the host's loop."""

    def __init__(
        self,
        table: RayTable,
        listen: str,
        host_key: str,
        log_level: str,
        keys: NodeKeys,
        engine: PlacedNodes,
        candidates: Callable[[], Sequence[Candidate]],
        waiting: Callable[[], Sequence[Needs]],
        on_change: Callable[[], None],
    ) -> None:
        """`candidates`: the nodes and what they have to do. `waiting`: resources that conversations wait for.

        `on_change` is called when there may be more room than before.
        """
        self._keys = keys
        self._engine = engine
        self._candidates = candidates
        self._waiting = waiting
        self._on_change = on_change
        self.fleet = Fleet(table)
        self._seen = Seen(is_connected=False)
        self._admitted: dict[str, str] = {}
        self._has_overflow = False
        self._has_tidied = False
        self._timer: asyncio.TimerHandle | None = None
        owner = f"greenroom-{hashlib.sha256(host_key.encode()).hexdigest()[:12]}"
        begin = Begin(
            address=table.address,
            namespace=table.namespace,
            owner=owner,
            join=listen,
            host_key=host_key,
            max_restarts=table.max_restarts,
            detached=table.detached,
            capacity=table.capacity,
            log_level=log_level,
        )
        self.process = RayProcess(begin, os.environ, self._see)

    def start(self) -> None:
        """Begin."""
        self.process.start()
        self._look()

    def close(self) -> None:
        """End `gr-ray`, and the nodes unless they are detached."""
        if self._timer is not None:
            self._timer.cancel()
        self.process.close()

    def note_overflow(self) -> None:
        """Note that a conversation has found no room on a node."""
        self._has_overflow = True

    def views(self, known: Sequence[NodeView]) -> list[NodeView]:
        """Return the nodes that are known, and those that Ray has not started yet, with what they wait for."""
        notes = self.fleet.pending(asyncio.get_running_loop().time())
        there = {str(view.name) for view in known}
        views = [replace(view, engine=ENGINE) if self.is_placed(view.name) else view for view in known]
        views += [NodeView(NodeName(name), "absent", 0, 0, engine=ENGINE) for name in notes if name not in there]
        absent = ("absent", "lost")
        return [
            replace(view, note=notes.get(view.name, "")) if view.state in absent and view.engine == ENGINE else view
            for view in views
        ]

    def is_placed(self, name: str) -> bool:
        """Tell whether a node is one of Ray's."""
        return name.startswith(RAY_PREFIX)

    def _see(self, seen: Seen) -> None:
        self._seen = seen
        if seen.is_connected:
            self._tidy_up()
            self._admit()
            self._decide()

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)
        self.process.look()
        self._decide()

    def _decide(self) -> None:
        if not self._seen.is_connected:
            return
        views = {view.name: view for view in self._engine.nodes()}
        busy = {one.name: one.busy for one in self._candidates()}
        sights: dict[str, NodeSight] = {
            name: NodeSight(view.state, view.capacity, busy.get(name, 0)) for name, view in views.items()
        }
        overflow, self._has_overflow = self._has_overflow, False
        now = asyncio.get_running_loop().time()
        decision = self.fleet.decide(self._seen, sights, self._waiting(), overflow=overflow, now=now)
        for name, why in self.fleet.newly_unplaced(now).items():
            log.warning("node %s: %s", name, why)
        for name in decision.drain:
            log.warning("node %s is drained, since its machine goes or it has had nothing to do", name)
            self._engine.drain(NodeName(name))
        for name in decision.forget:
            self._forget(name)
        wanted = self.fleet.wanted
        names = {outpost.name for outpost in wanted}
        self._admitted = {name: key for name, key in self._admitted.items() if name in names}
        self.process.want(Wanted(outposts=wanted, admitted=dict(self._admitted)))
        self._on_change()

    def _admit(self) -> None:
        """Let the keys in of nodes that have started."""
        for one in self._seen.outposts:
            name, key = one.outpost.name, one.public_key
            if one.state != "running" or not key or self._admitted.get(name) == key:
                continue
            try:
                if self._keys.key_of(name) != key:
                    self._keys.place(name, key)
            except (GreenroomError, ValueError) as error:
                log.error("node %s cannot be let in: %s", name, error)
                continue
            self._admitted[name] = key

    def _tidy_up(self) -> None:
        """Forget, once, the nodes of a former host that the cluster has no more."""
        if self._has_tidied:
            return
        self._has_tidied = True
        present = {one.outpost.name for one in self._seen.outposts}
        try:
            for name in self._keys.names():
                if self.is_placed(name) and name not in present:
                    self._forget(name)
        except GreenroomError as error:
            log.error("the keys of nodes cannot be read: %s", error)

    def _forget(self, name: str) -> None:
        self._admitted.pop(name, None)
        try:
            self._keys.revoke(name)
        except GreenroomError as error:
            log.error("the key of node %s cannot be forgotten: %s", name, error)
        self._engine.forget(NodeName(name))

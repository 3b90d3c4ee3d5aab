"""What conversations do when the state of a node changes: they leave a drained one, and use the room of a new one."""

import asyncio
from typing import Protocol

from greenroom.protocol.ids import NodeName


class DrainedNodes(Protocol):
    """What is asked of nodes (`greenroom.supervisor.processes.nodes.hub.NodeHub`)."""

    def is_draining(self, name: str) -> bool:
        """Tell whether a node takes no more workers, and has not left yet."""
        ...


class NodeConversations(Protocol):
    """What is asked of conversations (`greenroom.supervisor.conversations.registry.Conversations`)."""

    def vacate(self, node: NodeName, *, interrupt: bool = False) -> None:
        """End the processes on a node as soon as no turn runs in them, or at once."""

    def fill(self) -> None:
        """Assign workers to conversations that wait."""


class NodeFollower:
    """Runs on the supervisor's loop."""

    def __init__(self, nodes: DrainedNodes, conversations: NodeConversations, drain: float) -> None:
        """`drain`: seconds that turns on a node have to end once it is drained."""
        self._nodes = nodes
        self._conversations = conversations
        self._drain = drain
        self._limits: dict[NodeName, asyncio.TimerHandle] = {}
        """When the turns are ended of each node that is being drained."""

    def follow(self, node: NodeName) -> None:
        """Take notice that the state of a node has changed."""
        if not self._nodes.is_draining(node):
            if (limit := self._limits.pop(node, None)) is not None:
                limit.cancel()
            self._conversations.fill()
        elif node not in self._limits:
            limit = asyncio.get_running_loop().call_later(self._drain, self._end_turns, node)
            self._limits[node] = limit
            self._conversations.vacate(node)

    def _end_turns(self, node: NodeName) -> None:
        self._conversations.vacate(node, interrupt=True)

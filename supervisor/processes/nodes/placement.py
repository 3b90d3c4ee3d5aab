"""Which node a conversation goes to, or whether it stays on the host. Free of I/O."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from greenroom.config.path_map import PathMap
from greenroom.protocol.ids import HERE, NodeName
from greenroom.supervisor.processes.nodes.wish import Wish

PathsOf: TypeAlias = Callable[[NodeName], PathMap | None]
"""Returns which directories a node has; `None` where it is taken to have those of the host."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The host or a node, with the workers that have something to do."""

    name: NodeName
    capacity: int
    busy: int
    takes_workers: bool = True

    @property
    def room(self) -> float:
        """The part of its capacity that is free."""
        return 1 - self.busy / self.capacity if self.capacity else 0.0

    @property
    def has_room(self) -> bool:
        """Whether it can take one more."""
        return self.takes_workers and self.busy < self.capacity


@dataclass(slots=True)
class NodeRanking:
    """The nodes, those with the most room first; of equals names decide."""

    _candidates: dict[NodeName, Candidate] = field(default_factory=dict)
    _order: list[tuple[float, NodeName]] = field(default_factory=list)
    """Of those that have room."""

    def note(self, candidate: Candidate) -> None:
        """Rank a node anew. Its costs grow with the logarithm of the number of nodes (and with a copy of a list)."""
        if self._candidates.get(candidate.name) == candidate:
            return
        self.forget(candidate.name)
        self._candidates[candidate.name] = candidate
        if candidate.has_room:
            insort(self._order, _rank(candidate))

    def forget(self, name: NodeName) -> None:
        """Rank a node no more."""
        former = self._candidates.pop(name, None)
        if former is not None and former.has_room:
            del self._order[bisect_left(self._order, _rank(former))]

    def get(self, name: NodeName) -> Candidate | None:
        """Return a node, with room or without."""
        return self._candidates.get(name)

    def all(self) -> Iterator[Candidate]:
        """Yield all nodes."""
        yield from self._candidates.values()

    def with_room(self) -> Iterator[Candidate]:
        """Yield the nodes that have room, those with the most first."""
        for _, name in self._order:
            yield self._candidates[name]


def _rank(candidate: Candidate) -> tuple[float, NodeName]:
    return -candidate.room, candidate.name


def choose(
    wish: Wish,
    host: Candidate,
    nodes: NodeRanking,
    paths_of: PathsOf,
    has_resources: Callable[[NodeName], bool] = lambda _: True,
) -> NodeName:
    """Return where a conversation is to run: where it was, else where there is the most room, and the host if nowhere.

    A node is considered if it has room, the directory and the resources. Of equals the host comes first, then names
    decide.
    """
    if wish.only_here:
        return HERE

    def fits(node: NodeName) -> bool:
        return has_directory(wish, node, paths_of) and has_resources(node)

    if wish.has_run:
        last = host if wish.last == HERE else nodes.get(wish.last)
        if last is not None and last.has_room and (last is host or fits(last.name)):
            return wish.last
    best = next((one for one in nodes.with_room() if fits(one.name)), None)
    if best is None or (host.has_room and host.room >= best.room):
        return HERE
    return best.name


def has_directory(wish: Wish, node: NodeName, paths_of: PathsOf) -> bool:
    """Tell whether a node is expected to have the directory of a conversation."""
    if node in wish.lacking:
        return False
    known = paths_of(node)
    if known is None:
        return True
    return wish.cwd is not None and known.there(wish.cwd) is not None

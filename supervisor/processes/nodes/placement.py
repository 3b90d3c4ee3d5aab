"""Which node a conversation goes to, or whether it stays on the host. Free of I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from greenroom.config.path_map import PathMap
from greenroom.protocol.ids import HERE, NodeName
from greenroom.supervisor.processes.nodes.wish import Wish


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


def choose(wish: Wish, host: Candidate, nodes: Iterable[Candidate], paths: Mapping[NodeName, PathMap]) -> NodeName:
    """Return where a conversation is to run: where it was, else where there is the most room, and the host if nowhere.

    A node is considered if it has room and the directory. Of equals the host comes first, then names decide.
    """
    if wish.only_here:
        return HERE
    fit = [one for one in nodes if one.has_room and has_directory(wish, one.name, paths)]
    fit = ([host] if host.has_room else []) + sorted(fit, key=lambda one: one.name)
    if wish.has_run and any(one.name == wish.last for one in fit):
        return wish.last
    return max(fit, key=lambda one: one.room).name if fit else HERE


def has_directory(wish: Wish, node: NodeName, paths: Mapping[NodeName, PathMap]) -> bool:
    """Tell whether a node is expected to have the directory of a conversation."""
    if node in wish.lacking:
        return False
    known = paths.get(node)
    if known is None:
        return True
    return wish.cwd is not None and known.there(wish.cwd) is not None

"""The table `[greenroom.nodes]`: where a host is reached by nodes, and what each of them has. Off without `listen`."""

import re
from typing import Annotated, Final

from msgspec import Meta, field

from greenroom.config.document import Table
from greenroom.config.section import OwnSection
from greenroom.config.tables.ray_nodes import Amounts, RayTable
from greenroom.protocol.errors import ConfigError

PORTS: Final = 4
"""Consecutive ports: nodes, mailbox, broker, the broker's changes."""
ENGINES: Final = ("join", "ray")
RAY_PREFIX: Final = "ray-"
"""How the names of nodes begin that Ray has started."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Names of nodes."""
_LISTEN: Final = re.compile(r"tcp://(?P<host>[0-9A-Za-z.-]+):(?P<port>\d{1,5})")


class NodeTable(OwnSection, frozen=True):
    """`[greenroom.nodes.NAME]`: what is known of one node."""

    paths: dict[Annotated[str, Meta(pattern="^/")], Annotated[str, Meta(pattern="^/")]] = field(default_factory=dict)
    """Directories of the host, and where the node has them. Without any the node is taken to have the same paths."""
    capacity: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """Workers that it takes at a time; `None`: what it says itself."""
    resources: Amounts = field(default_factory=dict)
    """What conversations can ask for there. Of a node that Ray has started: what it has claimed of Ray."""


_NOTHING: Final = NodeTable()


class NodesTable(OwnSection, frozen=True):
    """The table itself, without the tables of single nodes."""

    listen: str | None = None
    """`tcp://ADDRESS:PORT` of an interface of this machine; the three ports after it are used too."""
    engine: str = "join"
    """What places nodes; `join`: whatever starts `greenroom node`; `ray`: a Ray cluster."""
    idle_workers: Annotated[int, Meta(ge=0, le=64)] = 2
    """Workers that wait on each node, ready, for the next conversation."""
    host_capacity: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """Conversations that the host itself takes while there are nodes; `None`: as many as `live_workers`."""
    wait_for_nodes: bool = False
    """Whether conversations wait where neither a node nor `host_capacity` has room; else the host runs them."""
    ray: RayTable = field(default_factory=RayTable)
    """What is asked of the cluster, with the engine `ray`."""
    named: dict[str, NodeTable] = field(default_factory=dict)
    """The tables of single nodes, by name."""

    @classmethod
    def plain(cls, table: Table) -> Table:
        """Put the tables of single nodes aside, since their names are chosen by the user."""
        if "named" in table:
            return table
        own = {key: value for key, value in table.items() if not isinstance(value, dict) or key == "ray"}
        named = {key: value for key, value in table.items() if key not in own}
        return {**own, "named": named} if named else own

    def of(self, name: str) -> NodeTable:
        """Return what is known of a node; without a table of its own, what is known of all that Ray starts."""
        if self.engine == "ray" and name not in self.named and name.startswith(RAY_PREFIX):
            return NodeTable(paths=self.ray.paths)
        return self.named.get(name, _NOTHING)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError("`engine` of nodes is `join` or `ray`")
        for name in self.named:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a node")
        if self.listen is not None:
            split_address(self.listen)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `tcp://HOST:PORT`. Raises `ValueError`."""
    found = _LISTEN.fullmatch(address)
    if found is None or not 0 < int(found["port"]) <= 65536 - PORTS:
        raise ValueError(f"{address!r} is no address of the form tcp://ADDRESS:PORT")
    return found["host"], int(found["port"])


def node_name(text: str) -> str:
    """Return a name of a node. Raises `ConfigError`."""
    if not NAME.fullmatch(text):
        raise ConfigError(f"{text!r} cannot be the name of a node: letters, digits, `.`, `_` and `-`, 63 at most")
    return text

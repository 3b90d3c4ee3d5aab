"""The table `[greenroom.nodes.ray]`: how many nodes Ray starts, what each claims of its machine, and when it ends."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from greenroom.config.section import OwnSection

Amounts: TypeAlias = dict[Annotated[str, Meta(min_length=1)], Annotated[float, Meta(gt=0.0)]]
"""Resources of a cluster by their names."""
Spread: TypeAlias = Literal["SPREAD", "STRICT_SPREAD", "none"]

RESERVED: frozenset[str] = frozenset({"CPU", "GPU", "memory", "object_store_memory"})
"""Names of resources that Ray takes as options of their own."""


class RayTable(OwnSection, frozen=True):
    """The table itself."""

    address: Annotated[str, Meta(min_length=1)] = "auto"
    """Of the cluster's head, `ADDRESS:PORT`; `auto`: the cluster that this machine belongs to."""
    namespace: Annotated[str, Meta(min_length=1)] = "greenroom"
    """The namespace of the actors."""
    min_nodes: Annotated[int, Meta(ge=0, le=1000)] = 1
    """Nodes that are there always."""
    max_nodes: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Nodes that there may be."""
    num_cpus: Annotated[float, Meta(ge=0.0)] = 1.0
    """Processors that each node claims of Ray."""
    memory_mb: Annotated[int, Meta(ge=0)] = 0
    """Mebibytes that each node claims of Ray; 0: none."""
    resources: Amounts = field(default_factory=dict)
    """Custom resources that each node claims of Ray."""
    spread: Spread = "SPREAD"
    """How the nodes that are asked for together are placed: the strategy of their placement group; `none`: no group."""
    max_restarts: Annotated[int, Meta(ge=-1)] = 3
    """Times that Ray starts a node again before it is given up and another one is asked for; -1: without end."""
    detached: bool = False
    """Whether nodes go on when the host is stopped, and wait for the next one."""
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """Workers that each node takes at a time."""
    idle_s: Annotated[float, Meta(gt=0.0)] = 300.0
    """Seconds without a conversation after which a node above `min_nodes` is drained and removed."""
    paths: dict[Annotated[str, Meta(pattern="^/")], Annotated[str, Meta(pattern="^/")]] = field(default_factory=dict)
    """Directories of the host, and where all nodes have them."""

    def __post_init__(self) -> None:
        if self.max_nodes < self.min_nodes:
            raise ValueError("`max_nodes` is less than `min_nodes`")
        if taken := RESERVED & self.resources.keys():
            raise ValueError(f"`resources` has {min(taken)}, for which there is `num_cpus` or `memory_mb`")

"""What `greenroom mcp-server` needs only after the handshake; imported while the client reads the first answer."""

from collections.abc import Callable, Mapping

from protocol.jsonrpc import Peer
from supervisor.elicitor import Elicitor
from supervisor.engine import Engine
from supervisor.fork_engine import ForkEngine
from supervisor.launch import Launched
from supervisor.options import ServerOptions
from supervisor.reception import Reception
from supervisor.spawn_engine import SpawnEngine
from supervisor.tree import SupervisionTree


def make_engine(nursery: Launched | None, launch: Callable[[], Launched]) -> Engine:
    """Return the engine: over the nursery that was launched, or spawning where there is none."""
    return SpawnEngine(launch) if nursery is None else ForkEngine(nursery, launch)


def make_tree(
    options: ServerOptions, engine: Engine, secrets: Mapping[str, str], user_agent: Callable[[], str]
) -> SupervisionTree:
    """Return the supervision tree, not started yet."""
    return SupervisionTree(options, engine, secrets, user_agent)


def make_reception(
    peer: Peer,
    write: Callable[[bytes], None],
    tree: SupervisionTree,
    options: ServerOptions,
    can_ask: Callable[[], bool],
) -> Reception:
    """Return the reception that takes the client's tool calls to the tree."""
    elicitor = Elicitor(peer, write, can_ask, options.limits.approval_patience)
    with_events = options.events != "off"
    return Reception(peer, write, tree.conversations, elicitor, with_events, options.limits.open_calls)

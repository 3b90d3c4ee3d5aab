"""What a server needs to start its processes; everything else is imported while they start."""

from collections.abc import Callable, Mapping

from greenroom.runtime.process.launch import Launched
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.engines.engine import Engine
from greenroom.supervisor.processes.engines.fork_engine import ForkEngine
from greenroom.supervisor.processes.engines.spawn_engine import SpawnEngine
from greenroom.supervisor.processes.tree import ProcessTree


def make_engine(fork_server: Launched | None, launch: Callable[[], Launched], spawn: Callable[[], Launched]) -> Engine:
    """Return the engine: over the fork server that was launched, or spawning where there is none.

    `launch` starts another fork server, `spawn` a process that waits for its spec.
    """
    return SpawnEngine(spawn) if fork_server is None else ForkEngine(fork_server, launch, spawn)


def make_host(
    options: ServerOptions,
    engine: Engine,
    environment: Mapping[str, str],
    secrets: Mapping[str, str],
) -> ConversationHost:
    """Return what hosts conversations, over a process tree that is not started yet."""
    return ConversationHost(ProcessTree(options, engine, environment, secrets), options, environment)

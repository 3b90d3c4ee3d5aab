"""The commands about nodes: `greenroom node --join …` on another machine, and tickets and keys on the host."""

import argparse
import asyncio
import logging
import os
import signal
import stat
import sys
from typing import Final

from greenroom.config.secrets.other_homes import node_state
from greenroom.config.tables.nodes import node_name, split_address
from greenroom.protocol.errors import ConfigError, StartError
from greenroom.runtime.log import log as logs
from greenroom.runtime.log import logfile
from greenroom.runtime.process import hardening
from greenroom.supervisor.node.enrolment import enrol
from greenroom.supervisor.node.identity import adopt, choose_identity, ticket_of
from greenroom.supervisor.node.node import Node
from greenroom.supervisor.node.placed import PlacedNode
from greenroom.supervisor.node.runtime_directory import runtime_directory
from greenroom.supervisor.processes.nodes.keys import NodeKeys, keep_from_commands, write_private
from greenroom.supervisor.startup.host_lock import HostLock
from greenroom.supervisor.startup.prelaunch import Prelaunch, environment_and_home
from greenroom.supervisor.startup.processes import make_engine
from greenroom.supervisor.startup.start import provide, server_options
from greenroom.workers.sandbox.rules.features import probe

log = logging.getLogger(__name__)

CAPACITY: Final = 100
"""Workers that a node takes at a time, unless it is told."""
LARGEST_POOL: Final = 1000
"""Nodes that may come by one ticket."""
MOST_MINUTES: Final = 24 * 60
"""Minutes for which a ticket may be good."""


def run_node(arguments: argparse.Namespace) -> int:
    """Serve as a node until a signal, or until the host lets it go; return the exit code. Raises `GreenroomError`."""
    require_address(arguments.join)
    state = state_directory(arguments.state)
    lock = HostLock.acquire(state)
    try:
        hardening.make_undumpable()
        hardening.set_name("gr-node")
        hardening.adopt_orphans()
        sandbox = ", ".join(f"there is no {name}" for name in probe().missing())  # forks: no thread is there yet
        placed = None
        ticket = ticket_of(state, arguments.ticket)
        if arguments.placed is None:
            identity, is_fresh = choose_identity(state, ticket, arguments.name)
        else:
            placed = PlacedNode(node_name(arguments.placed), arguments.host_key, arguments.alone)
            identity, is_fresh = placed.identity, False
        prelaunch = Prelaunch.prepare()
        options = server_options(_server_arguments(arguments), prelaunch.environment, state)
        logs.set_up(f"node {identity.name}", options.log_level, options.log_format)
        logfile.open_log(state, "node", instance=os.getpid())
        if ticket is not None and ticket.is_pool:
            hide_ticket(state, arguments.ticket)

        async def serve() -> int:
            if is_fresh and ticket is not None:
                await enrol(identity, ticket, arguments.join)
                adopt(state, identity)
            if placed is not None:
                await placed.wait_admitted()
            provisions = provide(options, prelaunch)
            engine = make_engine(provisions.fork_server, provisions.launch, provisions.spawn)
            with runtime_directory(lock, state, os.environ) as sockets:
                node = Node(
                    identity,
                    engine,
                    arguments.join,
                    state,
                    sockets,
                    arguments.capacity,
                    options.log_level,
                    sandbox,
                )
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(signal.SIGTERM, node.drain)
                for number in (signal.SIGINT, signal.SIGHUP):
                    loop.add_signal_handler(number, node.leave)
                if placed is not None:
                    placed.watch(lambda: node.has_host, node.leave)
                await node.serve()
            if node.failure is not None:
                raise StartError(node.failure)
            return 0

        return asyncio.run(serve())
    finally:
        lock.close()


def make_ticket(arguments: argparse.Namespace) -> int:
    """Make a ticket, and write it to a file. Raises `GreenroomError`."""
    import msgspec

    name = node_name(arguments.name)
    home = environment_and_home()[1]
    path = os.path.abspath(arguments.output or os.path.join(home, f".nodes.{name}.ticket"))
    if arguments.output and os.path.lexists(path):
        raise ConfigError(f"{path} exists already")
    pool, minutes = arguments.pool, arguments.minutes
    if pool is not None and not 1 <= pool <= LARGEST_POOL:
        raise ConfigError(f"a pool has 1 to {LARGEST_POOL} nodes")
    if not 1 <= minutes <= MOST_MINUTES:
        raise ConfigError(f"a ticket is good for 1 to {MOST_MINUTES} minutes")
    ticket = NodeKeys(home).issue(name, pool, minutes * 60.0)
    write_private(path, msgspec.json.encode(ticket))
    uses = "once" if pool is None else f"for {pool} nodes named {name}-…"
    words = "" if pool is None else f" --name {name}-1"
    sys.stdout.write(
        f"{path}\nIt is good {uses}, within {minutes} minutes. On the node, with the address of this host:\n"
        f"greenroom node --join tcp://ADDRESS:PORT --ticket FILE{words}\n"
    )
    return 0


def require_address(address: str | None) -> None:
    """Raise `ConfigError` unless this is the address of a host to join."""
    if address is None:
        raise ConfigError("say which host to join: greenroom node --join tcp://ADDRESS:PORT --ticket FILE")
    try:
        split_address(address)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def hide_ticket(state: str, path: str) -> None:
    """Keep a ticket that others can still come by from the commands of conversations here."""
    try:
        if os.stat(os.path.dirname(os.path.abspath(path))).st_mode & stat.S_IWOTH:  # where commands have to write
            raise StartError(f"commands of conversations can read {path}; put it into a directory of its own")
        keep_from_commands(state, path)
    except (OSError, StartError) as error:  # a full disk keeps no node from running
        log.warning("%s", error)


def state_directory(given: str | None) -> str:
    """Return where a node has its key and log."""
    return os.path.abspath(given) if given else node_state(os.environ)


def _server_arguments(arguments: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(oss=False, config=[], engine=None, log_level=arguments.log_level, log_format=None)

"""`greenroom node revoke`: forgets the key of a node, and has running hosts drop it."""

import argparse
import sys

from greenroom.config.tables.nodes import node_name
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.cli.status.status import find_instances
from greenroom.supervisor.control.control_messages import ActionDone, CheckNodeKeys
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from greenroom.supervisor.startup.prelaunch import environment_and_home

TIMEOUT = 2.0
"""Seconds that hosts have to say that they have looked; one that has not looks by itself."""


def revoke_node_key(arguments: argparse.Namespace) -> int:
    """Forget the key of a node, or of those of a pool. Raises `GreenroomError`."""
    name = node_name(arguments.name)
    if not NodeKeys(environment_and_home()[1]).revoke(name):
        raise ConfigError(f"no node, pool or ticket has the name {name}")
    heard = ask([one.control for one in find_instances(None)], CheckNodeKeys(), TIMEOUT).values()
    has_looked = bool(heard) and all(isinstance(one.reply, ActionDone) for one in heard)  # others may be out of sight
    what_follows = "no running host has it any more" if has_looked else "a running host drops it within a second"
    sys.stdout.write(f"{name} is revoked; {what_follows}.\n")
    return 0

"""The table of all checks. docs/doctor.md is made from it, and hosts rely on the ids: none is ever used anew."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.checks import (
    clock,
    configuration,
    git,
    installation,
    instances,
    kernel,
    limits,
    login,
    mcp_servers,
    network,
    node,
    nodes,
    providers,
    ray_cluster,
    sandbox,
    sessions,
    state,
)
from greenroom.supervisor.cli.doctor.finding import Finding

Examine: TypeAlias = Callable[[CheckContext], Awaitable[Finding]]
"""Looks at one thing. Raises `ConfigError` where the settings that it needs cannot be read."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    id: str
    """Stable. The same as in `codex doctor` where it means the same."""
    category: str
    meaning: str
    """What it tells, for the documentation."""
    examine: Examine


CHECKS: Final = (
    Check(
        "installation",
        "install",
        "Whether all packages are there, and `greenroom` on `PATH` is this one",
        installation.installation,
    ),
    Check(
        "runtime.provenance",
        "runtime",
        "Version, interpreter, system and engine; never a problem",
        installation.provenance,
    ),
    Check(
        "updates.status",
        "updates",
        "With `--online`: the version that the package index of pip offers",
        installation.updates,
    ),
    Check(
        "config.load",
        "config",
        "Whether every layer can be read and is valid, and the layer of each value",
        configuration.layers,
    ),
    Check("config.keys", "config", "Keys without effect, and the known key that each resembles", configuration.keys),
    Check(
        "auth.credentials",
        "auth",
        "Which login is in force, how long it lasts, and whether it can be renewed",
        login.credentials,
    ),
    Check("network.env", "network", "Whether the proxies of the environment are valid and answer", network.proxies),
    Check(
        "network.certificates",
        "network",
        "Whether there are certificates by which servers can be verified",
        network.certificates,
    ),
    Check(
        "network.provider_reachability",
        "reachability",
        "Whether each configured provider answers",
        providers.reachability,
    ),
    Check(
        "provider.credentials",
        "provider",
        "Whether each provider accepts the credential of requests to it",
        providers.authentication,
    ),
    Check("provider.model", "provider", "Whether the chosen provider lists the chosen model", providers.model),
    Check("clock.skew", "network", "How far the clock is from those of the providers", clock.skew),
    Check("sandbox.helpers", "sandbox", "Whether a confined command can be started", sandbox.helpers),
    Check(
        "sandbox.rights",
        "sandbox",
        "What a confined command can write, connect to and read, tried for real",
        sandbox.rights,
    ),
    Check("kernel.features", "sandbox", "Landlock, seccomp and namespaces", kernel.features),
    Check("limits.descriptors", "limits", "Open files, against the configured number of workers", limits.descriptors),
    Check("limits.processes", "limits", "Processes of the user and of the control group", limits.processes),
    Check("limits.memory", "limits", "Memory that is left, in the machine and in the control group", limits.memory),
    Check("limits.inotify", "limits", "Watches of files, for programs that conversations run", limits.inotify),
    Check("state.paths", "state", "Whether the home can be used, and whether others can read its secrets", state.paths),
    Check("system.disk", "disk", "Room on the file systems of the home, of temporary files and of sockets", state.disk),
    Check(
        "state.sessions",
        "state",
        "How many conversations are saved, and whether the latest can be read",
        sessions.health,
    ),
    Check("app_server.status", "app-server", "Whether a host serves the home, and its version", instances.serving_host),
    Check("instances.home", "instances", "Other servers on the home, and what is wrong with them", instances.others),
    Check(
        "nodes",
        "nodes",
        "The address for nodes, their keys and tickets, mapped directories, and how each node stands",
        nodes.nodes,
    ),
    Check(
        "nodes.ray",
        "nodes",
        "Whether the Ray cluster that places nodes can be used, and has what a node claims",
        ray_cluster.ray_cluster,
    ),
    Check("git.environment", "git", "Whether git works, and the repository of the working directory", git.git),
    Check("mcp.config", "mcp", "The tables of MCP servers, their programs and variables", mcp_servers.config),
    Check("mcp.servers", "mcp", "Whether each MCP server starts, lists its tools and stops", mcp_servers.servers),
)
"""In the order of the report."""

_ON_NODES: Final = (
    *("installation", "runtime.provenance", "sandbox.helpers", "sandbox.rights", "kernel.features"),
    *("limits.descriptors", "limits.processes", "limits.memory", "limits.inotify", "system.disk", "git.environment"),
)
"""Checks of `CHECKS` that mean the same on the machine of a node, whose home is its state directory."""

NODE_CHECKS: Final = (
    Check("node.state", "node", "The state directory, and the key or the ticket in files of mode 0600", node.state),
    Check("node.host", "node", "Whether the four ports of the host can be reached over TCP", node.host_ports),
    Check("node.key", "node", "Whether the host knows the key of this node, or its ticket", node.key),
    Check(
        "node.directories",
        "node",
        "Whether conversations can work in the directories that are named",
        node.directories,
    ),
    *(check for check in CHECKS if check.id in _ON_NODES),
)
"""Those of `greenroom node --doctor`, in the order of its report."""

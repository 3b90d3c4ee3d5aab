"""Checks of a host's nodes: the address that is listened at, keys, directories, and each node that has joined."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from pydantic import ValidationError

from greenroom.config.section import check
from greenroom.config.tables.greenroom import server_settings
from greenroom.config.tables.nodes import PORTS, NodesTable, split_address
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.report import NodeEntry, Report
from greenroom.protocol.version import __version__
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.cli.status.formatting import size
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.control_messages import GiveReport, Reported
from greenroom.supervisor.processes.nodes.keys import KnownKeys, NodeKeys, OpenTicket

MIB: Final = 1024 * 1024
LITTLE_MEMORY: Final = 512 * MIB
LITTLE_DISK: Final = 50 * MIB
"""Bytes of a node's disk without which not even its log can be written."""
AGAIN: Final = "greenroom node --join tcp://ADDRESS:PORT"


async def nodes(context: CheckContext) -> Finding:
    """Look at all that a host needs for nodes, and at those that it has. Raises `ConfigError`."""
    table = await nodes_table(context)
    if table is None or table.listen is None:
        return Finding("ok", "no nodes are set (`greenroom.nodes.listen`)")
    answers = await in_thread(lambda: _ask(context))
    entries = [node for report in answers.reports for node in report.nodes]
    problems = [
        *await in_thread(lambda: list(_of_address(table, is_served=bool(entries) or answers.has_silent))),
        *await in_thread(lambda: list(_of_directories(table))),
    ]
    known, faults = await in_thread(lambda: _keys(context))
    problems += faults
    problems += [*_of_tickets(known, context.machine.now()), *_of_nodes(entries, known)]
    details: dict[str, Detail] = {"listen": f"{table.listen}, {PORTS} ports", "engine": table.engine}
    details |= {f"node {one.name}": _told(one) for one in entries}
    details |= {f"pool {name}": ", ".join(members) or "none has joined" for name, members in known.pools.items()}
    strangers = sorted(table.named.keys() - known.nodes.keys())
    if strangers:
        details["set, and without a key"] = strangers
    ready = sum(one.state == "ready" for one in entries)
    return combined_finding(
        problems, f"nodes can join at {table.listen}; {ready} of {len(known.nodes)} are ready", details
    )


async def nodes_table(context: CheckContext) -> NodesTable | None:
    """Return the table `[greenroom.nodes]`, `None` where there is none. Raises `ConfigError`."""
    settings = await in_thread(lambda: server_settings(context.home, context.config_overrides))
    table = settings.table.nodes
    return check(NodesTable, table, ("greenroom", "nodes")) if table else None


class ServerReports(NamedTuple):
    """The reports of the servers of the home."""

    reports: Sequence[Report]
    has_silent: bool
    """Whether one did not answer in time (the check `instances.home` tells): the ports may be its."""


def _ask(context: CheckContext) -> ServerReports:
    wanted = os.path.realpath(context.home)
    running = instances.running(instances.parents(context.environment))
    controls = [one.control for one in running if os.path.realpath(one.instance.codex_home) == wanted]
    replies = [response.reply for response in ask(controls, GiveReport()).values()] if controls else []
    reports = []
    for reply in replies:
        if isinstance(reply, Reported):
            with suppress(ValidationError):  # of another version, which `instances.home` tells
                reports.append(Report.model_validate_json(bytes(reply.report)))
    return ServerReports(reports, has_silent=len(reports) < len(controls))


def _of_address(table: NodesTable, *, is_served: bool) -> Iterator[Problem]:
    """Try whether the address is of this machine and, unless a server has nodes there, whether its ports are free."""
    assert table.listen is not None
    host, first = split_address(table.listen)
    try:
        family, _, _, _, place = socket.getaddrinfo(host, first, type=socket.SOCK_STREAM)[0]
        _bind(family, str(place[0]), 0)
    except OSError as error:
        text = f"nodes cannot be listened for at {table.listen}: {error.strerror or error}"
        yield Problem("fail", text, "Name an address of this machine in `greenroom.nodes.listen` (`ip address`).")
        return
    taken = [] if is_served else [port for port in range(first, first + PORTS) if not _is_free(family, place[0], port)]
    if taken:
        text = f"other programs listen at the ports {', '.join(map(str, taken))}, which nodes need"
        remedy = f"End them (`ss -ltnp`), or name another port in `greenroom.nodes.listen`; {PORTS} in a row are used."
        yield Problem("fail", text, remedy)


def _is_free(family: int, host: str | int, port: int) -> bool:
    try:
        _bind(family, str(host), port)
    except OSError:
        return False
    return True


def _bind(family: int, host: str, port: int) -> None:
    """Bind an address for a moment without listening at it, which does not block other programs. Raises `OSError`."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _of_directories(table: NodesTable) -> Iterator[Problem]:
    """Find directories of the host that are mapped and not there."""
    maps = {name: node.paths for name, node in table.named.items()} | {"ray": table.ray.paths}
    for name, paths in maps.items():
        for path in paths:
            if not os.path.isdir(path):
                text = f"{path}, which `greenroom.nodes.{name}.paths` maps, is no directory of this machine"
                yield Problem("warning", text, f"Make it, or correct `greenroom.nodes.{name}.paths`.")


def _keys(context: CheckContext) -> tuple[KnownKeys, Sequence[Problem]]:
    keys = NodeKeys(context.home)
    faults: list[Problem] = []
    try:
        keys.look_at_host_keys()
    except GreenroomError as error:
        faults.append(Problem("fail", str(error), "Do what the message says; no node can join before."))
    try:
        return keys.content(), faults
    except GreenroomError as error:
        faults.append(Problem("fail", str(error), "Do what the message says; no node can join before."))
        return KnownKeys(), faults


def _of_tickets(known: KnownKeys, now: float) -> Iterator[Problem]:
    for name, ticket in known.tickets.items():
        if ticket.expires_at <= now:
            text = f"the ticket of {name} is over and was not used{_left(ticket)}"
            yield Problem(
                "warning",
                text,
                f"Make another one with `greenroom node ticket {name}`, or forget it with "
                f"`greenroom node revoke {name}`{', which revokes its nodes too' if known.pools.get(name) else ''}.",
            )


def _left(ticket: OpenTicket) -> str:
    return f" by {ticket.uses} nodes" if ticket.is_pool else ""


def _of_nodes(entries: Sequence[NodeEntry], known: KnownKeys) -> Iterator[Problem]:
    of_pools = {member for members in known.pools.values() for member in members}
    for one in entries:
        name = f"node {one.name}"
        if one.state == "away":
            ago = "" if one.heard_ago is None else f" for {one.heard_ago:.1f} s"
            text = f"{name} cannot be reached{ago}, and its lease runs out"
            yield Problem("warning", text, "Check its machine and the network between; it joins again by itself.")
        elif one.state in ("lost", "absent") and one.name not in of_pools and one.engine == "join":
            what = "is lost" if one.state == "lost" else "has not joined"
            remedy = f"Start it again there (`{AGAIN}`), or forget it: `greenroom node revoke {one.name}`."
            yield Problem("warning", f"{name} {what}", remedy)
        if one.state not in ("ready", "away", "draining"):
            continue
        if one.version != __version__:
            text = f"{name} has version {one.version}, and this is {__version__}"
            yield Problem("warning", text, f"Upgrade it: `greenroom drain {one.name}`, then start the new version.")
        if one.free_memory is not None and 0 < one.free_memory < LITTLE_MEMORY:
            text = f"{name} has {size(one.free_memory)}B of memory left"
            yield Problem("warning", text, f"Lower `greenroom.nodes.{one.name}.capacity`, or give it more memory.")
        if one.free_disk is not None and one.free_disk < LITTLE_DISK:
            text = f"{name} has {size(one.free_disk)}B of disk left for its state"
            yield Problem("warning", text, "Make room there, or start it with another `--state`.")
        if one.sandbox:
            text = f"commands cannot be confined on {name}: {one.sandbox}"
            remedy = "Run `greenroom node --doctor` there; commands run on it with `danger-full-access` alone."
            yield Problem("warning", text, remedy)


def _told(one: NodeEntry) -> str:
    facts = [one.state, f"{one.workers} of {one.capacity} workers"]
    facts += [f"version {one.version}"] if one.version else []
    facts += [f"round trip {one.round_trip * 1000:.1f} ms"] if one.round_trip is not None else []
    facts += [f"{size(one.free_memory)}B of memory free"] if one.free_memory else []
    facts += [f"{size(one.free_disk)}B of disk free"] if one.free_disk is not None else []
    return ", ".join(facts)

"""Checks of a machine that is to be a node: its state directory, its key or ticket, its host, and its directories."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from greenroom.config.tables.nodes import PORTS, split_address
from greenroom.protocol.errors import GreenroomError, StartError
from greenroom.protocol.internal.process import KeyPair
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext, NodeAim
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.node.enrolment import is_admitted
from greenroom.supervisor.node.identity import load_identity, read_ticket
from greenroom.supervisor.processes.nodes.keys import Ticket

USES: Final = ("nodes", "mailbox", "broker", "changes")
"""What the ports are for, in their order."""
ANOTHER: Final = "Make another ticket on the host (`greenroom node ticket NAME`), and start the node with it."


async def state(context: CheckContext) -> Finding:
    """Tell whether the state directory can be used, and whether there is a key or a ticket."""
    return await in_thread(lambda: _state(_aim(context)))


async def host_ports(context: CheckContext) -> Finding:
    """Tell which ports of the host can be connected to."""
    aim = _aim(context)
    address, first = split_address(aim.join)
    reasons = await asyncio.gather(
        *(_try_port(address, first + number, context.patience.node) for number in range(PORTS))
    )
    ports = {f"{first + number} ({use})": reasons[number] or "open" for number, use in enumerate(USES)}
    shut: dict[str, list[str]] = {}
    for port, reason in ports.items():
        if reason != "open":
            shut.setdefault(reason, []).append(port)
    if not shut:
        return Finding("ok", f"the {PORTS} ports of {address} can be reached", ports)
    remedy = (
        f"Check that a host runs there with `greenroom.nodes.listen` at this address, and that no firewall is between: "
        f"the ports {first} to {first + PORTS - 1} are needed."
    )
    why = "; ".join(f"{reason} at {', '.join(of)}" for reason, of in shut.items())
    return Finding("fail", f"the host at {aim.join} cannot be reached: {why}", ports, remedy)


async def key(context: CheckContext) -> Finding:
    """Ask the host whether it knows the key of this node, or its ticket, which is not used by that."""
    aim = _aim(context)
    try:
        identity, ticket = await in_thread(lambda: (load_identity(aim.state), _ticket(aim)))
    except GreenroomError:
        return Finding(
            "warning", "not asked, because there is no key that can be used", {}, "See the check node.state."
        )
    asked = [("the key of node " + identity.name, identity.host_key, identity.keys)] if identity is not None else []
    if ticket is not None:
        pair = KeyPair(public=ticket.public_key, secret=ticket.secret_key)
        asked.append((f"the ticket for {ticket.name}", ticket.host_key, pair))
    if not asked:
        return Finding("warning", "not asked, because there is neither key nor ticket", {}, "See the check node.state.")
    details: dict[str, Detail] = {}
    for what, host_key, pair in asked:
        try:
            known = await is_admitted(aim.join, host_key, pair, context.patience.node)
        except StartError as error:
            remedy = (
                f"See the check node.host. If the host has got another home or key: {ANOTHER[0].lower()}{ANOTHER[1:]}"
            )
            return Finding("fail", str(error), details, remedy)
        if known:
            return Finding("ok", f"the host knows {what}", details)
        details[what] = "not known"
    text = f"the host does not know {' nor '.join(what for what, _, _ in asked)}"
    return Finding("fail", f"{text}: it was used, revoked, or is over", details, ANOTHER)


async def directories(context: CheckContext) -> Finding:
    """Tell whether conversations can work in the directories that were named."""
    aim = _aim(context)
    if not aim.directories:
        return Finding("ok", "no directory was named (`--doctor DIR`)")
    problems = await in_thread(lambda: list(_of_directories(aim)))
    return combined_finding(problems, f"conversations can work in {', '.join(aim.directories)}")


def _aim(context: CheckContext) -> NodeAim:
    assert context.node is not None
    return context.node


def _state(aim: NodeAim) -> Finding:
    details: dict[str, Detail] = {"state": aim.state}
    above = aim.state
    while not os.path.lexists(above) and above != os.path.dirname(above):
        above = os.path.dirname(above)
    if not (os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK)):
        remedy = f"Give this user write access to {above}, or name another directory with `--state`."
        return Finding("fail", f"{aim.state} is no directory that this user can write to", details, remedy)
    problems: list[Problem] = []
    identity = ticket = None
    try:
        identity = load_identity(aim.state)
    except GreenroomError as error:
        problems.append(Problem("fail", str(error), "Do what the message says, then run this again."))
    try:
        ticket = _ticket(aim)
    except GreenroomError as error:
        remedy = f"Name the file that was made on the host. {ANOTHER}"
        problems.append(Problem("fail" if identity is None else "warning", str(error), remedy))
    if identity is not None:
        details["node"] = identity.name
        if aim.name not in (None, identity.name):
            text = f"{aim.state} holds the key of node {identity.name}, and `--name` is {aim.name}"
            problems.append(Problem("fail", text, "Leave `--name` out, or give this node a `--state` of its own."))
    elif ticket is not None:
        details["ticket"] = ticket.name
        if ticket.is_pool and (aim.name is None or not aim.name.startswith(f"{ticket.name}-")):
            text = f"the ticket is for the pool {ticket.name}, and the node has no name of it"
            problems.append(Problem("fail", text, f"Give it one that begins with {ticket.name}- (`--name`)."))
    elif not problems:
        problems.append(Problem("fail", f"{aim.state} holds no key of a node, and no ticket is named", ANOTHER))
    return combined_finding(problems, f"{aim.state} can be used, by its user alone", details)


def _ticket(aim: NodeAim) -> Ticket | None:
    """Return the ticket, if one is named. Raises `ConfigError` or `StartError`."""
    return None if aim.ticket is None else read_ticket(aim.ticket)


async def _try_port(address: str, port: int, seconds: float) -> str:
    """Return why a port cannot be connected to; empty where it can."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


def _of_directories(aim: NodeAim) -> Iterator[Problem]:
    for path in aim.directories:
        if not os.path.isdir(path):
            remedy = "Make or mount it, or map another one to it in `greenroom.nodes.NAME.paths` on the host."
            yield Problem("fail", f"{path} is no directory here", remedy)
        elif not os.access(path, os.R_OK | os.X_OK):
            yield Problem("fail", f"this user cannot read {path}", "Correct its owner and mode.")
        elif not os.access(path, os.W_OK):
            yield Problem("warning", f"this user cannot write to {path}", "Correct its owner and mode.")

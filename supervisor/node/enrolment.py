"""Replaces a node's ticket by its own key, over a connection with the key of the ticket."""

import asyncio
from typing import Final, Literal, TypeAlias

import zmq

from greenroom.protocol.errors import StartError
from greenroom.protocol.internal.node import Enrol, Enrolled, Refused, ToNode
from greenroom.protocol.internal.process import KeyPair
from greenroom.supervisor.node.identity import NodeIdentity
from greenroom.supervisor.node.link import HostLink
from greenroom.supervisor.processes.nodes.keys import Ticket

TIMEOUT: Final = 30.0
"""Seconds in which a host has to be reached."""

EnrolmentAnswer: TypeAlias = Literal["up", "unknown key"] | Enrolled | Refused


async def enrol(identity: NodeIdentity, ticket: Ticket, address: str, within: float = TIMEOUT) -> None:
    """Return once the host knows the key of a fresh identity. Raises `StartError`.

    A ticket that is over may have been used by this very node, whose answer was lost, or the node has been in before:
    then its own key is known. So it is not refused here, and nothing is noted either.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    shown = KeyPair(public=ticket.public_key, secret=ticket.secret_key)
    try:
        async with asyncio.timeout(within):
            question = Enrol(public_key=identity.keys.public, name=identity.name)
            answer = await _asked(context, address, ticket.host_key, shown, question)
            if answer == "unknown key":
                answer = await _asked(context, address, ticket.host_key, identity.keys)
    except TimeoutError:
        raise StartError(f"no host was reached at {address} within {within:.0f} s") from None
    finally:
        context.destroy(linger=0)
    if isinstance(answer, Refused):
        raise StartError(f"the host refuses the ticket: {answer.text}")
    if answer == "unknown key":
        raise StartError(
            f"the host does not know the key of the ticket for node {identity.name}: it was used, or is over; "
            f"make another one on the host (`greenroom node ticket {identity.name}`)"
        )


async def is_admitted(address: str, host_key: str, keys: KeyPair, within: float) -> bool:
    """Tell whether a host lets a key in, that of a node or of a ticket, which is not used by that.

    Raises `StartError` where the host does not say so in `within` seconds: nothing listens, or it has another key.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        async with asyncio.timeout(within):
            return await _asked(context, address, host_key, keys) == "up"
    except TimeoutError:
        raise StartError(f"the host at {address} does not answer with the key that it had") from None
    finally:
        context.destroy(linger=0)


async def _asked(
    context: "zmq.Context[zmq.Socket[bytes]]", address: str, host_key: str, keys: KeyPair, question: Enrol | None = None
) -> EnrolmentAnswer:
    """Return what the host answers to a question, or, without one, whether it lets the key in."""
    answer: asyncio.Future[EnrolmentAnswer] = asyncio.get_running_loop().create_future()

    def settle(found: EnrolmentAnswer) -> None:
        if not answer.done():
            answer.set_result(found)

    def receive(message: ToNode) -> None:
        if isinstance(message, Enrolled | Refused):
            settle(message)

    def up() -> None:
        if question is None:
            settle("up")
        else:
            link.send(question)

    link = HostLink(context, address, host_key, keys, receive, up, lambda: settle("unknown key"))
    link.connect()
    try:
        return await answer
    finally:
        link.close()

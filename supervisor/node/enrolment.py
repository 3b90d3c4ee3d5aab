"""Puts a node's own key in the place of its ticket, over a connection with the key of the ticket."""

import asyncio
from typing import Final

import msgspec
import zmq

from greenroom.protocol.errors import StartError
from greenroom.protocol.internal.node import Enrol, Enrolled, Refused, ToNode
from greenroom.protocol.internal.process import KeyPair
from greenroom.supervisor.node.identity import NodeIdentity, save
from greenroom.supervisor.node.link import HostLink
from greenroom.supervisor.processes.nodes.keys import Ticket

TIMEOUT: Final = 30.0
"""Seconds in which a host has to be reached."""


async def enrol(identity: NodeIdentity, ticket: Ticket, address: str, state: str) -> NodeIdentity:
    """Return the identity once the host knows its key. Raises `StartError`.

    A ticket that is over may have been used by this very node, whose answer was lost, or the node has been in before:
    then its own key is known. So it is not refused here, and nothing is noted either.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    answer: asyncio.Future[Enrolled | Refused | None] = asyncio.get_running_loop().create_future()

    def receive(message: ToNode) -> None:
        if not answer.done() and isinstance(message, Enrolled | Refused):
            answer.set_result(message)

    def refused() -> None:
        if not answer.done():
            answer.set_result(None)

    def show() -> None:
        link.send(Enrol(public_key=identity.keys.public, name=identity.name))

    keys = KeyPair(public=ticket.public_key, secret=ticket.secret_key)
    link = HostLink(context, address, ticket.host_key, keys, receive, show, refused)
    try:
        async with asyncio.timeout(TIMEOUT):
            result = await answer
    except TimeoutError:
        raise StartError(f"no host was reached at {address} within {TIMEOUT:.0f} s") from None
    finally:
        link.close()
        context.destroy(linger=0)
    if isinstance(result, Refused):
        raise StartError(f"the host refuses the ticket: {result.text}")
    if result is None:
        return identity
    enrolled = msgspec.structs.replace(identity, is_enrolled=True)
    save(state, enrolled)
    return enrolled

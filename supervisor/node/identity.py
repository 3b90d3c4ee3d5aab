"""Who a node is: its name, its key pair and the host's key, in a file that is made by a ticket."""

import os
from typing import Final

import msgspec

from greenroom.config.nodes import node_name
from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.internal.process import KeyPair
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.keys import HOST_KEY, Ticket, read_private, write_private

FILE: Final = HOST_KEY
"""Sandboxed commands are kept from files of this name in a home (`greenroom.protocol.secret_names`)."""


class NodeIdentity(msgspec.Struct, frozen=True):
    """The content of the file."""

    name: str
    host_key: str
    """Public key of the host."""
    keys: KeyPair
    ticket: str
    """Public key of the ticket that it came by."""
    is_enrolled: bool = False
    """Whether the host has taken the key in the ticket's place."""


def load(state: str) -> NodeIdentity | None:
    """Return the identity of a state directory, `None` where there is none. Raises `StartError`."""
    data = read_private(os.path.join(state, FILE))
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=NodeIdentity)
    except msgspec.MsgspecError as error:
        raise StartError(f"{os.path.join(state, FILE)} is no node's key; remove it and use a new ticket") from error


def save(state: str, identity: NodeIdentity) -> None:
    """Write it. Raises `StartError`."""
    write_private(os.path.join(state, FILE), msgspec.json.encode(identity))


def read_ticket(path: str) -> Ticket:
    """Return a ticket. Raises `ConfigError` or `StartError`."""
    data = read_private(path)
    if data is None:
        raise ConfigError(f"there is no ticket at {path}")
    try:
        return msgspec.json.decode(data, type=Ticket)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is no ticket ({error})") from error


def ticket_of(state: str, path: str | None) -> Ticket | None:
    """Return the ticket to show; `None` where there is no file of one and a node's key. Raises as `read_ticket`."""
    if path is None or (not os.path.lexists(path) and load(state) is not None):
        return None
    return read_ticket(path)


def chosen(state: str, ticket: Ticket | None, name: str | None = None) -> NodeIdentity:
    """Return who this node is to be: a new one for a ticket that it has not seen. Raises `ConfigError`.

    `name`: that of a node of a pool, which keeps its key with a new ticket of the pool and has it entered again.
    """
    known = load(state)
    if ticket is None:
        if known is None:
            raise ConfigError(
                f"{state} holds no key of a node; give a ticket (`greenroom node ticket NAME` on the host)"
            )
        if name not in (None, known.name):
            raise ConfigError(f"{state} holds the key of node {known.name}, and none of {name}")
        return known
    wanted = _wanted_name(ticket, name)
    if known is not None and (known.name, known.host_key) == (wanted, ticket.host_key):
        if known.ticket == ticket.public_key:
            return known
        if ticket.is_pool:
            return msgspec.structs.replace(known, ticket=ticket.public_key, is_enrolled=False)
    fresh = NodeIdentity(wanted, ticket.host_key, key_pair(), ticket.public_key)
    save(state, fresh)
    return fresh


def _wanted_name(ticket: Ticket, name: str | None) -> str:
    if not ticket.is_pool:
        if name not in (None, ticket.name):
            raise ConfigError(f"the ticket is for a node of the name {ticket.name}")
        return ticket.name
    if name is None:
        raise ConfigError(f"the ticket is for a pool: give the node a name that begins with {ticket.name}- (`--name`)")
    return node_name(name)

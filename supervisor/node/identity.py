"""Who a node is: its name, its key pair and the host's key, in a file that is made by a ticket."""

import os
from typing import Final

import msgspec

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


def chosen(state: str, ticket: Ticket | None) -> NodeIdentity:
    """Return who this node is to be: a new one for a ticket that it has not seen. Raises `ConfigError`."""
    known = load(state)
    if ticket is None and known is None:
        raise ConfigError(f"{state} holds no key of a node; give a ticket (`greenroom node ticket NAME` on the host)")
    if known is not None and (ticket is None or known.ticket == ticket.public_key):
        return known
    assert ticket is not None
    fresh = NodeIdentity(ticket.name, ticket.host_key, key_pair(), ticket.public_key)
    save(state, fresh)
    return fresh

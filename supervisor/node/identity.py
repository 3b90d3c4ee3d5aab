"""Who a node is: its name, its key pair and the host's key, in a file that is made by a ticket.

A fresh key is on the disk before its ticket is shown, in a file of its own: the answer may be lost, and a former key is
good until the fresh one is.
"""

import os
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from greenroom.config.tables.nodes import node_name
from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.internal.process import KeyPair
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.keys import HOST_KEY, Ticket, read_private, write_private

FILE: Final = HOST_KEY
"""Sandboxed commands are kept from files of this name in a home (`greenroom.protocol.secret_names`)."""
FRESH: Final = f"{FILE}.fresh"
"""An identity whose ticket may not have been taken yet."""


class NodeIdentity(msgspec.Struct, frozen=True):
    """The content of the file."""

    name: str
    host_key: str
    """Public key of the host."""
    keys: KeyPair
    ticket: str
    """Public key of the ticket that it came by."""


def load_identity(state: str) -> NodeIdentity | None:
    """Return the identity of a state directory, `None` where there is none. Raises `StartError`."""
    return _read(os.path.join(state, FILE))


def adopt(state: str, identity: NodeIdentity) -> None:
    """Replace the identity by a fresh one that the host knows. Raises `StartError`."""
    write_private(os.path.join(state, FILE), msgspec.json.encode(identity))
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(state, FRESH))


def _read(path: str) -> NodeIdentity | None:
    data = read_private(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=NodeIdentity)
    except msgspec.MsgspecError as error:
        raise StartError(f"{path} is no node's key; remove it and use a new ticket") from error


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
    if path is None or (not os.path.lexists(path) and load_identity(state) is not None):
        return None
    return read_ticket(path)


class Choice(NamedTuple):
    """Who a node is to be."""

    identity: NodeIdentity
    is_fresh: bool
    """Whether its ticket has to be shown first (`greenroom.supervisor.node.enrolment`)."""


def choose_identity(state: str, ticket: Ticket | None, name: str | None = None) -> Choice:
    """Return who this node is to be: a fresh one for a ticket that was not taken yet.

    `name`: that of a node of a pool, which keeps its key with a new ticket of the pool and has it entered again. Raises
    `ConfigError` or `StartError`.
    """
    known = load_identity(state)
    if ticket is None:
        if known is None:
            raise ConfigError(
                f"{state} holds no key of a node; give a ticket (`greenroom node ticket NAME` on the host)"
            )
        if name not in (None, known.name):
            raise ConfigError(f"{state} holds the key of node {known.name}, and none of {name}")
        return Choice(known, is_fresh=False)
    wanted = _wanted_name(ticket, name)
    if known is not None and (known.name, known.host_key) == (wanted, ticket.host_key):
        if known.ticket == ticket.public_key:
            return Choice(known, is_fresh=False)
        if ticket.is_pool:
            return Choice(msgspec.structs.replace(known, ticket=ticket.public_key), is_fresh=True)
    fresh = _read(os.path.join(state, FRESH))
    if fresh is None or (fresh.ticket, fresh.name) != (ticket.public_key, wanted):
        fresh = NodeIdentity(wanted, ticket.host_key, key_pair(), ticket.public_key)
        write_private(os.path.join(state, FRESH), msgspec.json.encode(fresh))
    return Choice(fresh, is_fresh=True)


def _wanted_name(ticket: Ticket, name: str | None) -> str:
    if not ticket.is_pool:
        if name not in (None, ticket.name):
            raise ConfigError(f"the ticket is for a node of the name {ticket.name}")
        return ticket.name
    if name is None:
        raise ConfigError(f"the ticket is for a pool: give the node a name that begins with {ticket.name}- (`--name`)")
    return node_name(name)

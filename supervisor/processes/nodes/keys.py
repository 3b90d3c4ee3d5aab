"""The keys of a host's nodes, in its home: its own pair, the public keys of nodes, and tickets that are not used yet.

A ticket is a key pair of which the home keeps the public half. It lives for `TICKET_LIFE` seconds of this machine's
clock, or as long as it was made for, and lets its holder do one thing: put the node's own key in its place. A ticket of
a pool does that for a number of nodes, each under a name that begins with that of the pool and that no other node has.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
import zmq.utils.z85

from greenroom.config.tables.nodes import NAME
from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.internal.process import KeyPair
from greenroom.runtime.files import filelock
from greenroom.supervisor.processes.endpoints import key_pair

HOST_KEY: Final = ".nodes.key"
"""The host's key pair."""
KNOWN: Final = ".nodes.json"
"""Public keys of nodes and tickets."""
LOCK: Final = ".nodes.lock"
TICKET: Final = ".nodes.ticket"
"""In the home of a node, a link to the file of its ticket: commands are kept from that as from any linked secret."""
TICKET_LIFE: Final = 600.0
"""Seconds."""
LOCK_TIMEOUT: Final = 5.0
LOCK_PAUSE: Final = 0.01


class OpenTicket(msgspec.Struct, frozen=True):
    """A ticket that was made and not used."""

    public_key: str
    expires_at: float
    """Seconds since the epoch."""
    uses: int = 1
    """Nodes that may still come by it."""
    is_pool: bool = False
    """Whether it is for the nodes of a pool, which name themselves."""


class KnownKeys(msgspec.Struct, frozen=True):
    """The content of `KNOWN`. Keys are in Z85."""

    nodes: dict[str, str] = msgspec.field(default_factory=dict)
    """Public key by name of the node."""
    tickets: dict[str, OpenTicket] = msgspec.field(default_factory=dict)
    """By the name that the node will have, or that of the pool."""
    pools: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Names of the nodes that have come by tickets of each pool."""


class Ticket(msgspec.Struct, frozen=True):
    """The content of a ticket's file."""

    name: str
    host_key: str
    """Public key of the host."""
    public_key: str
    secret_key: str
    is_pool: bool = False
    """Whether the node names itself, and `name` is that of the pool."""


class KeyOwner(NamedTuple):
    """Whose a key is."""

    kind: Literal["node", "ticket"]
    name: str


class NodeKeys:
    """What a home knows of nodes. Every question reads the file again: another process may have changed it."""

    def __init__(self, home: str, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._clock = clock

    def host_keys(self) -> KeyPair:
        """Return the host's pair, which is made at first use. Raises `StartError`."""
        path = os.path.join(self._home, HOST_KEY)
        with self._locked():
            found = read_private(path)
            if found is None:
                pair = key_pair()
                write_private(path, msgspec.json.encode(pair))
                return pair
        return _decode_pair(path, found)

    def look_at_host_keys(self) -> None:
        """Raise `StartError` where the host has a key pair that it cannot use; make none where it has none."""
        path = os.path.join(self._home, HOST_KEY)
        if (found := read_private(path)) is not None:
            _decode_pair(path, found)

    def content(self) -> KnownKeys:
        """Return all that is known. Raises `StartError`."""
        return self._known()

    def issue(self, name: str, pool: int | None = None, life: float = TICKET_LIFE) -> Ticket:
        """Make a ticket for a node of this name, in place of one that was not used. Raises `StartError`.

        `pool`: it is for so many nodes, with names of their own that begin with this one. `life`: seconds.
        """
        host, own, is_pool = self.host_keys(), key_pair(), pool is not None
        with self._changing() as known:
            known.tickets[name] = OpenTicket(own.public, self._clock() + life, pool or 1, is_pool)
        return Ticket(name, host.public, own.public, own.secret, is_pool)

    def redeem(self, name: str, ticket_key: str, public_key: str, node: str = "") -> str:
        """Let a node have `public_key` from now on, count its ticket, which it has shown, and return the node's name.

        `name` is that of the ticket, `node` the one that the node has given itself. Raises `ConfigError` where the
        ticket is over, another one was made for the name since, or the node may not have the name.
        """
        if len(public_key) != 40:
            raise ConfigError("a key has 40 characters")
        zmq.utils.z85.decode(public_key)
        with self._changing() as known:
            ticket = known.tickets.get(name)
            if ticket is None or ticket.public_key != ticket_key or ticket.expires_at <= self._clock():
                raise ConfigError(f"the ticket of {name} is over")
            if ticket.is_pool:
                _check_member(known, name, node, public_key)
                if node in known.nodes:  # its own key: it asks again, because the answer was lost
                    return node
                known.pools.setdefault(name, []).append(node)
            elif node not in ("", name):
                raise ConfigError(f"the ticket is for a node of the name {name}")
            chosen = node or name
            if ticket.uses > 1:
                known.tickets[name] = msgspec.structs.replace(ticket, uses=ticket.uses - 1)
            else:
                del known.tickets[name]
            known.nodes[chosen] = public_key
        return chosen

    def place(self, name: str, public_key: str) -> None:
        """Let a node have `public_key` from now on that was started by an engine, which has told the key.

        Raises `ValueError` where that is no key, and `StartError`.
        """
        if not NAME.fullmatch(name) or len(public_key) != 40:
            raise ValueError("this is no name, or no key")
        zmq.utils.z85.decode(public_key)
        with self._changing() as known:
            known.nodes[name] = public_key

    def revoke(self, name: str) -> bool:
        """Forget the key and the ticket of a node, or of all nodes of a pool; return whether there was one.

        Raises `StartError`.
        """
        with self._changing() as known:
            names = {name, *known.pools.pop(name, ())}
            found = [known.nodes.pop(one, None) for one in names] + [known.tickets.pop(name, None)]
            for members in known.pools.values():
                if name in members:
                    members.remove(name)
        return any(one is not None for one in found)

    def owner(self, key: bytes) -> KeyOwner | None:
        """Return whose a raw public key is; `None` where nobody's, or the ticket is over."""
        text = zmq.utils.z85.encode(key).decode()
        known, now = self._known(), self._clock()
        for name, public in known.nodes.items():
            if public == text:
                return KeyOwner("node", name)
        for name, ticket in known.tickets.items():
            if ticket.public_key == text and now < ticket.expires_at:
                return KeyOwner("ticket", name)
        return None

    def key_of(self, name: str) -> str | None:
        """Return the public key of a node."""
        return self._known().nodes.get(name)

    def known(self) -> Mapping[str, str]:
        """Return the public keys of all nodes, by their names. Raises `StartError`."""
        return self._known().nodes

    def names(self) -> list[str]:
        """Return the names of all nodes that have a key."""
        return sorted(self._known().nodes)

    def _known(self) -> KnownKeys:
        data = read_private(os.path.join(self._home, KNOWN))
        if data is None:
            return KnownKeys()
        try:
            return msgspec.json.decode(data, type=KnownKeys)
        except msgspec.MsgspecError as error:
            raise StartError(f"{os.path.join(self._home, KNOWN)} cannot be read ({error})") from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[KnownKeys]:
        with self._locked():
            known = self._known()
            yield known
            write_private(os.path.join(self._home, KNOWN), msgspec.json.encode(known))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            os.makedirs(self._home, exist_ok=True)
            with filelock.opened(os.path.join(self._home, LOCK)) as descriptor:
                filelock.acquire(descriptor, LOCK_TIMEOUT, LOCK_PAUSE)
                yield
        except (OSError, filelock.LockTimeoutError) as error:
            raise StartError(f"the keys of nodes in {self._home} cannot be changed ({error})") from error


def _decode_pair(path: str, data: bytes) -> KeyPair:
    try:
        return msgspec.json.decode(data, type=KeyPair)
    except msgspec.MsgspecError as error:
        raise StartError(f"{path} holds no key pair; remove it, and make new tickets for all nodes") from error


def _check_member(known: KnownKeys, pool: str, node: str, public_key: str) -> None:
    """Raise `ConfigError` where a node may not have the name by a ticket of the pool."""
    if not NAME.fullmatch(node) or not node.startswith(f"{pool}-"):
        raise ConfigError(f"the ticket is for nodes whose names begin with {pool}- (`--name`)")
    if known.nodes.get(node, public_key) != public_key:
        raise ConfigError(f"node {node} is known with another key; `greenroom node revoke {node}` forgets it")


def keep_from_commands(home: str, ticket: str) -> None:
    """Note where the file of a ticket is, which sandboxed commands may not read then.

    They may not write in its directory either. Raises `StartError`.
    """
    place = os.path.join(home, TICKET)
    fresh = f"{place}.{os.getpid()}"
    try:
        os.symlink(os.path.abspath(ticket), fresh)
        os.replace(fresh, place)
    except OSError as error:
        raise StartError(f"{ticket} cannot be kept from commands: {error.strerror}") from error


def read_private(path: str) -> bytes | None:
    """Return the content of a file with keys, `None` where there is none.

    Raises `StartError` where others could read or replace it.
    """
    try:
        with open(path, "rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
                raise StartError(f"{path} has to belong to this user alone (chmod 600)")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from error


def write_private(path: str, data: bytes) -> None:
    """Replace a file with keys, of mode 0600. Raises `StartError`."""
    fresh = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from error

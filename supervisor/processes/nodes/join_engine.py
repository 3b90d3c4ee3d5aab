"""The engine of nodes that join by themselves: one socket for all links, and what follows from their messages.

Nodes are told apart by their keys. A node that connects again is reached over its new connection at once, also where
the former one still seems to stand.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, assert_never

import zmq
import zmq.utils.z85

from greenroom.config.tables.nodes import NodesTable
from greenroom.protocol.display import shown
from greenroom.protocol.errors import GreenroomError, RemoteProtocolError, StartError
from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.protocol.internal.node import (
    HEARTBEAT_MS,
    HEARTBEAT_TIMEOUT_MS,
    OLDEST_SERVED,
    PROTOCOL,
    Beat,
    Beaten,
    Confirm,
    Enrol,
    Enrolled,
    Join,
    Joined,
    KillWorker,
    Leave,
    Leaving,
    Refused,
    Rejoin,
    ToNode,
    node_frames,
    read_from_node,
)
from greenroom.protocol.internal.process import Exited, KeyPair, Spawn, Spawned, WorkerSpec
from greenroom.protocol.message import MAX_HEADER
from greenroom.protocol.version import __version__
from greenroom.runtime.zmq.zap import TemporaryError, ZapAuthenticator, sender, start_authenticator
from greenroom.runtime.zmq.zmq_connections import PeerConnections
from greenroom.runtime.zmq.zmq_stream import ZmqStream
from greenroom.supervisor.processes.nodes.engine import NodeView, OnNodeChange, OnWorkerExit
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from greenroom.supervisor.processes.nodes.membership import LONGEST, Membership, Reconciliation, overdue_nodes

log = logging.getLogger(__name__)

DOMAIN: Final = b"greenroom.nodes"
"""Of the links: keys of workers are of no use there."""
LOOK: Final = 0.1
"""Seconds between two looks at the leases, while there are nodes."""
AWAY_AFTER: Final = 0.7
"""Seconds without a beat after which nothing is started on a node."""
REVOCATION_LOOK: Final = 1.0
"""Seconds between two looks whether the keys of nodes are still known."""
REPORT_GRACE: Final = 0.025
"""Seconds that a node has to tell how a worker ended that has lost its connection."""
CONNECTION_LOST: Final = "its connection to the host broke"
LEAVE_LINGER_MS: Final = 100
CUT_AFTER: Final = 0.1
"""Seconds that a revoked node has to hear of it and end its connection, before that is cut."""


class JoinEngine:
    """Implements `greenroom.supervisor.processes.nodes.engine.NodeEngine`."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        authenticator: ZapAuthenticator,
        keys: NodeKeys,
        host_keys: KeyPair,
        address: str,
        table: NodesTable,
        worker_memory: int,
    ) -> None:
        """`address` is where to `listen`. `worker_memory`: bytes beyond which nodes kill a worker."""
        self._keys = keys
        self._table = table
        self._worker_memory = worker_memory
        self._members: dict[str, Membership] = {name: Membership(name) for name in keys.names()}
        self._routes: dict[str, bytes] = {}
        """The connection over which each node has joined last."""
        self._joined_with: dict[str, str] = {}
        """Public key of each node that has joined."""
        self._nodes: dict[WorkerId, str] = {}
        self._graces: dict[WorkerId, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._look_timer: asyncio.TimerHandle | None = None
        self._revocations_at = 0.0
        self._on_exit: OnWorkerExit = lambda _: None
        self._on_change: OnNodeChange = lambda _: None
        authenticator.serve_domain(DOMAIN, self._name_of)
        self._address = address
        self._socket = _socket(context, host_keys)
        self._port = ZmqStream(self._socket, self._receive)
        self._links = PeerConnections(self._socket, self._link_ended)

    def listen(self) -> None:
        """Let nodes connect. Raises `StartError` where the address cannot be had."""
        bind(self._socket, self._address)

    def start(self, on_exit: OnWorkerExit, on_change: OnNodeChange) -> None:
        self._on_exit, self._on_change = on_exit, on_change

    def nodes(self) -> Sequence[NodeView]:
        return [self._view(self._members[name]) for name in sorted(self._members)]

    def view(self, node: NodeName) -> NodeView | None:
        member = self._members.get(node)
        return None if member is None else self._view(member)

    @property
    def workers(self) -> int:
        return len(self._nodes)

    def spawn(self, node: NodeName, spec: WorkerSpec) -> None:
        self._members[node].enter(spec)
        self._nodes[spec.id] = node
        if not self._send(node, Spawn(spec=spec)):
            self._link_lost(self._members[node])

    def kill(self, worker_id: WorkerId, why: str = "") -> None:
        node = self._nodes.get(worker_id)
        if node is not None:
            self._members[node].doom(worker_id, why)
            self._send(node, KillWorker(id=worker_id, why=why))

    def give_up_worker(self, worker_id: WorkerId, why: str) -> None:
        node = self._nodes.get(worker_id)
        if node is None:
            return
        member = self._members[node]
        self._send(node, KillWorker(id=worker_id, why=why))
        if (exited := member.drop(worker_id)) is not None:
            self._report(_with_cause(exited, why))
        self._dismiss_if_empty(member)

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        node = self._nodes.get(worker_id)
        return None if node is None else NodeName(node)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        node = self._nodes.get(worker_id)
        return None if node is None else self._members[node].workers[worker_id].pid

    def connection_lost(self, worker_id: WorkerId) -> None:
        if worker_id in self._nodes and worker_id not in self._graces:
            grace = REPORT_GRACE if self._nodes[worker_id] in self._routes else 0.0
            self._graces[worker_id] = self._loop.call_later(grace, self._count_as_dead, worker_id)

    def drain(self, node: NodeName) -> bool:
        member = self._members.get(node)
        if member is None or not member.is_member:
            return False
        member.happen("drain_asked")
        self._on_change(node)
        self._dismiss_if_empty(member)
        return True

    def forget(self, node: NodeName) -> None:
        """Know nothing of a node any more whose key is forgotten; one that is a member is dropped first."""
        member = self._members.get(node)
        if member is not None:
            if member.is_member:
                self._send(node, Leave(text="it was removed"))
                self._give_up(member, "it was removed")
            del self._members[node]
            self._joined_with.pop(node, None)
            self._on_change(node)

    def close(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
        for grace in self._graces.values():
            grace.cancel()
        self._nodes.clear()  # what breaks from now on is not told any more
        self._routes.clear()
        self._links.close()
        self._port.close(LEAVE_LINGER_MS)

    # What arrives

    def _name_of(self, key: bytes) -> str | None:
        """Return the name under which a key is let in; that of a node has its key, which may be revoked meanwhile.

        Raises `TemporaryError`.
        """
        try:
            owner = self._keys.owner(key)
        except GreenroomError as error:  # which says nothing of the key: its owner tries again
            raise TemporaryError(str(error)) from error
        return None if owner is None else f"{owner.kind}/{owner.name}/{zmq.utils.z85.encode(key).decode()}"

    def _receive(self, parts: list[zmq.Frame]) -> None:
        kind, name, key = (*sender(parts[-1]).split("/", 2), "", "", "")[:3]
        route = parts[0].bytes
        try:
            message = read_from_node([part.bytes for part in parts[1:]])
        except RemoteProtocolError as error:
            log.error("node %s: %s; dropped", name, error)
            return
        match message:
            case Enrol() if kind == "ticket":
                self._enrol(name, key, route, message)
            case Join() if kind == "node":
                self._links.note(parts[-1], _link(name, route))
                self._join(name, key, route, message)
            case Enrol() | Join():
                log.error("%s %s: %s is not for it; dropped", kind, name, message.wire.decode())
            case _ if kind == "node" and name not in self._routes:
                self._port.send([route, *node_frames(Rejoin())])
            case _ if kind != "node" or self._routes.get(name) != route:
                log.debug("node %s: a message over a former connection; dropped", name)
            case _:
                self._take(self._members[name], message)

    def _enrol(self, name: str, key: str, route: bytes, message: Enrol) -> None:
        try:
            node = self._keys.redeem(name, key, message.public_key, message.name)
        except (GreenroomError, ValueError) as error:
            log.error("a ticket for node %s was refused: %s", name, error)
            self._port.send([route, *node_frames(Refused(text=str(error)))])
            return
        log.warning("node %s has used its ticket; its key is known from now on", node)
        self._members.setdefault(node, Membership(node))
        self._port.send([route, *node_frames(Enrolled())])

    def _join(self, name: str, key: str, route: bytes, join: Join) -> None:
        try:
            known = self._keys.key_of(name)
        except GreenroomError as error:  # which says nothing of the node: it tries again
            log.error("node %s cannot join: %s", name, error)
            return
        if known != key:
            self._port.send([route, *node_frames(Refused(text=f"the key of node {name} was revoked"))])
            return
        if (text := version_refusal(name, join)) is not None:
            log.error("%s; refused", text)
            self._port.send([route, *node_frames(Refused(text=text))])
            return
        member = self._members.setdefault(name, Membership(name))
        former = member.state
        result = member.joined(join, self._loop.time())
        named = self._table.named.get(name)
        if named is not None and named.capacity is not None:
            member.capacity = named.capacity
        self._routes[name] = route
        self._joined_with[name] = key
        self._send(name, Joined(name=name, worker_memory=self._worker_memory))
        self._carry_out(member, join, result)
        if former != member.state:
            log.warning("node %s has joined with room for %d workers", name, member.capacity)
        self._look_later()
        self._on_change(NodeName(name))
        if member.state == "draining":  # its last worker may have ended while the link was cut
            self._dismiss_if_empty(member)

    def _carry_out(self, member: Membership, join: Join, result: Reconciliation) -> None:
        for worker_id in result.end:
            log.warning("node %s: worker %s is outdated and is ended", member.name, worker_id)
            self._send(member.name, KillWorker(id=worker_id))
        for exited in join.exits:
            self._send(member.name, Confirm(id=exited.id))
        for exited in result.ended:
            self._report(exited)
        for spec in result.resend:
            self._send(member.name, Spawn(spec=spec))
        for worker_id, why in result.kill:
            self._send(member.name, KillWorker(id=worker_id, why=why))

    def _take(self, member: Membership, message: Beat | Spawned | Exited | Leaving) -> None:
        member.heard(self._loop.time())
        match message:
            case Beat():
                self._send(member.name, Beaten(number=message.number))
                member.measured(message.round_trip, message.load)
                if member.state == "away":
                    member.happen("joined")
                    self._on_change(NodeName(member.name))
            case Leaving():
                log.warning("node %s has been asked to end, and is drained", member.name)
                self.drain(NodeName(member.name))
            case Spawned():
                if not member.spawned(message):
                    self._send(member.name, KillWorker(id=message.id))
            case Exited():
                self._send(member.name, Confirm(id=message.id))
                if (exited := member.exited(message)) is not None:
                    self._report(exited)
                self._dismiss_if_empty(member)
            case _:
                assert_never(message)

    # Ends

    def _link_ended(self, link: str) -> None:
        """Wait no longer for what a node tells of its workers: over this connection nothing comes any more."""
        self._port.catch_up()
        name = next((name for name, route in self._routes.items() if _link(name, route) == link), None)
        if name is None:
            return  # it has joined over another connection, or has been let go
        del self._routes[name]
        member = self._members[name]
        self._link_lost(member)
        for worker_id in member.workers:
            if (grace := self._graces.pop(worker_id, None)) is not None:
                grace.cancel()
                self.connection_lost(worker_id)

    def _count_as_dead(self, worker_id: WorkerId) -> None:
        """Report a worker as ended whose connection broke, and whose node has said nothing of it."""
        self._graces.pop(worker_id, None)
        node = self._nodes.get(worker_id)
        if node is None:
            return
        member = self._members[node]
        is_reached = self._send(node, KillWorker(id=worker_id))
        if not is_reached:
            self._link_lost(member)
        exited = member.drop(worker_id)
        if exited is not None:
            cause = CONNECTION_LOST if is_reached and member.state == "ready" else exited.cause
            self._report(_with_cause(exited, cause))
        self._dismiss_if_empty(member)

    def _report(self, exited: Exited) -> None:
        self._nodes.pop(exited.id, None)
        if (grace := self._graces.pop(exited.id, None)) is not None:
            grace.cancel()
        self._on_exit(exited)

    def _link_lost(self, member: Membership) -> None:
        if member.state == "ready":
            member.happen("link_lost")
            log.error("node %s cannot be reached; its lease runs", member.name)
            self._on_change(NodeName(member.name))

    def _give_up(self, member: Membership, why: str) -> None:
        log.error("node %s is lost: %s", member.name, why)
        ended = member.give_up()
        self._routes.pop(member.name, None)
        for exited in ended:
            self._report(exited)
        self._on_change(NodeName(member.name))

    def _dismiss_if_empty(self, member: Membership) -> None:
        if member.state == "draining" and not member.workers:
            self._send(member.name, Leave(text="it was drained"))
            self._routes.pop(member.name, None)
            member.happen("lease_over")
            log.warning("node %s is drained and leaves", member.name)
            self._on_change(NodeName(member.name))

    # Time

    def _look_later(self) -> None:
        if self._look_timer is None:
            self._look_timer = self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        self._look_timer = None
        now = self._loop.time()
        for member in list(overdue_nodes(self._members, now)):
            self._give_up(member, f"nothing was heard of it for {now - member.heard_at:.1f} s")
        for member in list(self._members.values()):
            if member.state == "ready" and now - member.heard_at >= AWAY_AFTER:
                self._link_lost(member)
        if now - self._revocations_at >= REVOCATION_LOOK:
            self._revocations_at = now
            self.drop_revoked()
        if any(member.is_member for member in self._members.values()):
            self._look_later()

    def drop_revoked(self) -> int:
        """Let go of the nodes whose key is known no more; return how many there were."""
        try:
            known = self._keys.known()
        except GreenroomError as error:
            log.error("the keys of nodes cannot be checked: %s", error)
            return 0
        revoked = [
            member
            for member in self._members.values()
            if member.is_member and known.get(member.name) != self._joined_with.get(member.name)
        ]
        for member in revoked:
            self._send(member.name, Leave(text="its key was revoked"))
            if (route := self._routes.get(member.name)) is not None:  # it may not end the connection itself
                self._loop.call_later(CUT_AFTER, self._links.cut, _link(member.name, route))
            self._give_up(member, "its key was revoked")
        return len(revoked)

    def _send(self, name: str, message: ToNode) -> bool:
        route = self._routes.get(name)
        return route is not None and self._port.send([route, *node_frames(message)])

    def _view(self, member: Membership) -> NodeView:
        is_member = member.is_member
        load = member.load if is_member else None
        return NodeView(
            NodeName(member.name),
            member.state,
            member.capacity,
            len(member.workers),
            member.version,
            round_trip=member.round_trip if is_member else None,
            heard_ago=self._loop.time() - member.heard_at if is_member else None,
            memory=None if load is None else load.memory,
            free_memory=None if load is None else load.free_memory,
            load=None if load is None else load.load,
            free_disk=None if load is None else load.free_disk,
            sandbox=member.sandbox if is_member else "",
        )


def _link(name: str, route: bytes) -> str:
    """Return the name of one connection of a node."""
    return f"{name}/{route.hex()}"


def _with_cause(exited: Exited, cause: str | None) -> Exited:
    return Exited(id=exited.id, pid=exited.pid, returncode=exited.returncode, max_rss=0, node=exited.node, cause=cause)


def _socket(context: "zmq.Context[zmq.Socket[bytes]]", keys: KeyPair) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, 2 * MAX_HEADER)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    start_authenticator(socket, keys.public, keys.secret, DOMAIN)
    return socket


def version_refusal(name: str, join: Join) -> str | None:
    """Return why a node cannot be let in by its version, with both; `None` where it can."""
    if OLDEST_SERVED <= join.protocol <= PROTOCOL:
        return None
    older = "upgrade the node" if join.protocol < OLDEST_SERVED else "upgrade the host"
    theirs, ours = f"{shown(join.version, LONGEST)} (protocol {join.protocol})", f"{__version__} (protocol {PROTOCOL})"
    return f"node {name} has version {theirs}, and this host {ours}: {older}"


def bind(socket: "zmq.Socket[bytes]", address: str) -> None:
    """Listen at an address of this machine. Raises `StartError`."""
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        raise StartError(f"nodes cannot be listened for at {address}: {error.strerror}") from error

"""All of a host that is about nodes: the engine, their idle workers, what their workers are told, and their records."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from greenroom.config.tables.nodes import NodesTable
from greenroom.protocol.errors import StartError
from greenroom.protocol.ids import HERE, ConversationId, Incarnation, NodeName, WorkerId, uuid7
from greenroom.protocol.internal.process import Exited, KeyPair, WorkerSpec
from greenroom.protocol.internal.worker.notices import Opened
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.endpoints import InstanceEndpoints, key_pair
from greenroom.supervisor.processes.nodes.addresses import address_of
from greenroom.supervisor.processes.nodes.authority import AuthorityResolver
from greenroom.supervisor.processes.nodes.credential_need import CredentialNeed
from greenroom.supervisor.processes.nodes.engine import NodeView
from greenroom.supervisor.processes.nodes.join_engine import JoinEngine
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from greenroom.supervisor.processes.nodes.openings import NodeOpenings, encoded
from greenroom.supervisor.processes.nodes.orders import NodeOrders
from greenroom.supervisor.processes.nodes.record_keeper import RecordKeeper, RecordOpening
from greenroom.supervisor.processes.nodes.wish import Needs, Opening, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

log = logging.getLogger(__name__)

LISTEN_AGAIN: Final = 0.1
"""Seconds after which addresses that another host has are tried again."""
DISTRUSTED: Final = "its node sent what no worker sends"
"""Why a worker is given up whose records or announcement cannot be those of a worker."""
LAST_RECORDS: Final = 5.0
"""Seconds that the disk has for the records of workers that are gone, before nodes are left to another host."""

if TYPE_CHECKING:
    from greenroom.supervisor.processes.nodes.ray.placer import RayPlacer
    from greenroom.supervisor.processes.service_state import ServiceStatus

Admit: TypeAlias = Callable[[Mapping[WorkerId, KeyPair]], None]
"""Lets new workers in at the mailbox and at the broker."""


class NodeHub:
    """Made where the settings name an address to listen at. Runs on the host's loop."""

    def __init__(
        self,
        options: ServerOptions,
        table: NodesTable,
        endpoints: InstanceEndpoints,
        router: WorkerRouter,
        admit: Admit,
    ) -> None:
        """Follow with `listen`. Raises `StartError`."""
        assert table.listen is not None
        self._options = options
        self._table = table
        self._listen = table.listen
        self._endpoints = endpoints
        self._router = router
        self._admit = admit
        self._loop = asyncio.get_running_loop()
        self._unheard: deque[Callable[[], None]] = deque((self._listen_for_mail,))
        """What is to be listened at yet, each as a call that raises `StartError` where another has the address."""
        self._next_try: asyncio.TimerHandle | None = None
        self._retreat: Callable[[], None] | None = None
        """Called once no node has a worker any more, where nodes are left to another host."""
        self._leaving: asyncio.Task[None] | None = None
        keys = NodeKeys(options.codex_home)
        host_keys = keys.host_keys()
        self.engine = JoinEngine(
            endpoints.context,
            endpoints.authenticator,
            keys,
            host_keys,
            address_of(table.listen, "nodes"),
            table,
            options.limits.worker_memory,
        )
        self._records = RecordKeeper(
            router.reply,
            router.catch_up,
            self._distrust,
            AuthorityResolver(options.codex_home, options.config_overrides),
            options.codex_home,
            endpoints.directory,
        )
        self._openings = NodeOpenings(options.codex_home, table)
        self._credential_need = CredentialNeed(options.codex_home, options.config_overrides, os.environ)
        self._place_again: Callable[[WorkerRequest, Wish], None] = lambda _, __: None
        self._on_change: Callable[[NodeName], None] = lambda _: None
        self._shut_out: Callable[[WorkerId], None] = lambda _: None
        self._on_worker_exit: Callable[[Exited], None] = lambda _: None
        own = table.host_capacity
        self._host_capacity = options.limits.live_workers if own is None else own
        self._orders = NodeOrders(
            self.engine,
            table.idle_workers,
            self._host_capacity,
            self._openings.paths_of,
            self._resources_of,
            self._enrol,
            self._displaced,
        )
        self.supply = self._orders.supply
        self._unheard.append(self.engine.listen)  # nodes last: their workers need the mailbox
        self._capacity: int | None = None
        """As it was summed up last; `None` since a node has changed."""
        self._placer = self._ray_placer(keys, host_keys.public) if table.engine == "ray" else None
        if self._placer is not None:
            self._unheard.append(self._placer.start)  # another host of the home has these nodes until then

    def listen(self) -> None:
        """Listen for workers and nodes. Raises `StartError` where an address cannot be had."""
        while self._unheard:
            self._unheard[0]()
            self._unheard.popleft()

    def listen_when_free(self) -> None:
        """Do so as soon as the addresses can be had, which another host has yet."""
        try:
            self.listen()
        except StartError:
            self._next_try = self._loop.call_later(LISTEN_AGAIN, self.listen_when_free)
        else:
            log.warning("nodes are listened for at %s", self._listen)

    def start(
        self,
        shut_out: Callable[[WorkerId], None],
        on_exit: Callable[[Exited], None],
        place_again: Callable[[WorkerRequest, Wish], None],
        on_change: Callable[[NodeName], None],
    ) -> None:
        """Take nodes from now on.

        `shut_out` is called with each worker that has ended or was given up, at once, and `on_exit` with its end, once
        its records are written. `place_again` is called with each order whose node is gone, `on_change` with each node
        whose state has changed.
        """
        self._shut_out = shut_out
        self._place_again = place_again
        self._on_change = on_change
        self._on_worker_exit = on_exit
        self.engine.start(self._given_up, self._changed)

    @property
    def mailbox_address(self) -> str:
        """Where workers on nodes reach the mailbox."""
        return address_of(self._listen, "mailbox")

    def views(self) -> Sequence[NodeView]:
        """Return the nodes that are known; none where they have been left to another host."""
        if self._leaving is not None:
            return ()
        if self._placer is None:
            return self.engine.nodes()
        return self._placer.views(self.engine.nodes())

    @property
    def ray_status(self) -> "ServiceStatus | None":
        """Status of the process that has the connection to Ray, where there is one."""
        return None if self._placer is None else self._placer.process.status

    def place(self, order: WorkerRequest, wish: Wish, busy_here: int) -> bool:
        """Order a worker of the node where a conversation is to run; return false where that is the host."""
        is_placed = self._orders.place(order, wish, busy_here)
        if not is_placed and self._placer is not None and busy_here >= self._host_capacity:
            self._placer.note_overflow()
        return is_placed

    def note_waiting(self) -> None:
        """Note that a conversation waits for room on a node."""
        if self._placer is not None:
            self._placer.note_overflow()

    def refusal(self, wish: Wish) -> str | None:
        """Return why a conversation can run nowhere, however long it waits; `None` where it can."""
        if not wish.needs:
            return None
        if wish.only_here:
            return f"it has to run on the host, which has no {_text(wish.needs)}"
        if any(self._orders.has(view.name, wish.needs) for view in self.engine.nodes()):
            return None
        if self._placer is not None and self._placer.fleet.can_have(wish.needs):
            return None
        return f"no node has {_text(wish.needs)}"

    def lacking(self, wish: Wish) -> str | None:
        """Return what a conversation has waited for in vain that needs resources."""
        if not wish.needs:
            return None
        error = "" if self._placer is None or not self._placer.process.error else f"; {self._placer.process.error}"
        return f"no node with {_text(wish.needs)} is free{error}"

    def can_go_elsewhere(self, wish: Wish, busy_here: int) -> bool:
        """Tell whether a node, or the host, has the directory of a conversation, as far as that is known."""
        has_it_here = wish.cwd is None or os.path.isdir(wish.cwd)
        return has_it_here or self._orders.choose(wish, busy_here) != HERE

    def room(self, only_here: int) -> int | None:
        """Return how many conversations may have a process on all machines; `None` where others go to the host.

        `only_here` of those that have one can run on the host alone: they have its room first, and none of the nodes.
        """
        if not self._table.wait_for_nodes:
            return None
        return max(self._host_capacity, only_here) + self.capacity

    @property
    def workers(self) -> int:
        """Workers that the nodes have; none where they have been left to another host."""
        return 0 if self._leaving is not None else self.engine.workers

    @property
    def capacity(self) -> int:
        """Workers that the nodes take together which take any."""
        if self._capacity is None:
            self._capacity = sum(view.capacity for view in self.engine.nodes() if view.state == "ready")
        return self._capacity

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order that has not been fulfilled."""
        self._orders.withdraw(order)

    def opening(
        self,
        worker_id: WorkerId,
        conversation_id: ConversationId,
        incarnation: Incarnation,
        opening: Opening,
    ) -> bytes | None:
        """Return what goes with `Open` to a worker on a node, as JSON, and take its records from now on.

        `None` for a worker of this machine.
        """
        node = self.engine.node_of(worker_id)
        if node is None:
            return None
        cwd = opening.cwd or (os.getcwd() if opening.resume == "no" else None)
        parts = self._openings.parts(node, conversation_id, cwd)
        self._records.expect(
            worker_id,
            RecordOpening(conversation_id, incarnation, msgspec.structs.replace(opening, cwd=cwd), parts.started),
        )
        return encoded(parts)

    def begin_turn(self, worker_id: WorkerId, settings: TurnSettings | None) -> None:
        """Note what the next turn of a worker overrides."""
        self._records.begin_turn(worker_id, settings)

    def announced(self, worker_id: WorkerId, notice: Opened, configured: bytes) -> tuple[Opened, bytes] | None:
        """Return the notice of a worker that has opened its conversation, and its event `session_configured`.

        Both are the host's for a worker on a node. `None` where that is ended instead.
        """
        if self.engine.node_of(worker_id) is None:
            return notice, configured
        return self._records.announced(worker_id, notice)

    def _distrust(self, worker_id: WorkerId, why: str) -> None:
        """Give up a worker that has sent what no worker sends."""
        log.error("worker %s on node %s: %s", worker_id, self.engine.node_of(worker_id) or "?", why)
        self._loop.call_soon(self.engine.give_up_worker, worker_id, f"{DISTRUSTED}: {why}")

    def drop_revoked(self) -> int:
        """Let go of the nodes whose key is known no more; return how many there were."""
        return self.engine.drop_revoked()

    def drain(self, name: str) -> bool:
        """Start nothing on a node any more, and let it leave once it is empty; return whether it has joined."""
        return self.engine.drain(NodeName(name))

    def is_draining(self, name: str) -> bool:
        """Tell whether a node takes no more workers, and has not left yet."""
        return any(node.name == name and node.state == "draining" for node in self.engine.nodes())

    @property
    def is_retreating(self) -> bool:
        """Whether nodes are left to another host, at once or as soon as they have no worker of this one."""
        return self._retreat is not None

    def retreat(self, then: Callable[[], None]) -> None:
        """Start nothing on nodes any more, and leave them, with the addresses, once none has a worker; call `then`."""
        if self._retreat is None:
            self._retreat = then
            self._stop_trying()
            self._orders.retreat()
            self._retreat_if_empty()

    def _retreat_if_empty(self) -> None:
        then = self._retreat
        if then is None or self._leaving is not None or self.engine.workers:
            return
        log.warning("nodes are left to the host that has replaced this one")
        self._leaving = self._loop.create_task(self._leave(then), name="leave nodes")

    async def _leave(self, then: Callable[[], None]) -> None:
        await self._records.close(LAST_RECORDS)
        if self._placer is not None:
            self._placer.close()
        if self._listen_for_mail not in self._unheard:
            self._router.leave_nodes(self.mailbox_address)
        then()
        self.engine.close()  # last: nodes look for the other host from now on

    def _listen_for_mail(self) -> None:
        self._router.listen_for_nodes(self.mailbox_address, self.engine.connection_lost, self._records.receive)

    def _stop_trying(self) -> None:
        if self._next_try is not None:
            self._next_try.cancel()

    async def close(self, within: float) -> None:
        """Write the records that have arrived, in so many seconds, and let go of all nodes."""
        self._stop_trying()
        if self._leaving is not None:
            await asyncio.wait((self._leaving,), timeout=within)
            self._leaving.cancel()
        self.supply.close()
        if self._placer is not None:
            self._placer.close()
        await self._records.close(within)
        self.engine.close()

    def _changed(self, node: NodeName) -> None:
        self._capacity = None
        self._orders.changed(node)
        self._on_change(node)

    def _given_up(self, exited: Exited) -> None:
        self._shut_out(exited.id)
        self._records.release(exited.id, lambda: self._ended(exited))

    def _ended(self, exited: Exited) -> None:
        """Handle the end of a worker, whose records are written."""
        self._orders.ended(exited.id)
        self._on_worker_exit(exited)
        self._retreat_if_empty()

    def _resources_of(self, node: NodeName) -> Mapping[str, float]:
        if self._placer is not None and self._placer.is_placed(node):
            return self._placer.fleet.resources_of(node)
        return self._table.of(node).resources

    def _ray_placer(self, keys: NodeKeys, host_key: str) -> "RayPlacer":
        from greenroom.supervisor.processes.nodes.ray.placer import RayPlacer  # not needed by most hosts

        return RayPlacer(
            self._table.ray,
            self._listen,
            host_key,
            self._options.log_level,
            keys,
            self.engine,
            lambda: list(self.supply.ranking.all()),
            lambda: self._orders.waiting,
            self._orders.place_waiting,
        )

    def _displaced(self, order: WorkerRequest, wish: Wish) -> None:
        self._place_again(order, wish)

    def _enrol(self, node: NodeName, count: int) -> None:
        newcomers = {WorkerId(f"w-{uuid7()}"): key_pair() for _ in range(count)}
        self._admit(newcomers)
        for worker_id, keys in newcomers.items():
            self.supply.expect(node, worker_id)
            self.engine.spawn(node, self._spec(worker_id, keys))

    def _spec(self, worker_id: WorkerId, keys: KeyPair) -> WorkerSpec:
        """Return a spec without what only its node can say: the node fills in its own paths and pid."""
        endpoints = self._endpoints
        return WorkerSpec(
            id=worker_id,
            keys=keys,
            supervisor_pid=0,
            codex_home="",
            runtime_directory="",
            log_level=self._options.log_level,
            mailbox_address=self.mailbox_address,
            mailbox_key=endpoints.keys.public,
            events_path="",
            events_ticket=b"",
            broker_address=address_of(self._listen, "broker"),
            broker_key=endpoints.broker_keys.public,
            broadcast_address=address_of(self._listen, "changes"),
            greets_broker=self._credential_need.expected(),
        )


def _text(needs: Needs) -> str:
    """Return resources as text for people."""
    return ", ".join(f"{name}={amount:g}" for name, amount in needs)
